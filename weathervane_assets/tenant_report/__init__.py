"""The tenant report: how one tenant's data stand, and what the weather did, as one HTML page that needs nothing else.

Belongs here: what the page says (one module a section, from the lake and the state database), its pictures and its
template. Does not belong here: judging (`weathervane_checks`) and when it is written (`schedules.py`).
"""
