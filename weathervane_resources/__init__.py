"""The outside world: vendors, the lake, the state database, tenants and places.

Belongs here: everything that talks to something outside the process, and the configuration it needs.
Does not belong here: the graph (`weathervane_assets`) and judgements about data (`weathervane_checks`).
"""
