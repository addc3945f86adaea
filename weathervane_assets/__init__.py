"""The graph: assets, their contracts, their transforms, and how they are started.

Belongs here: what is computed from what, and when. Does not belong here: how a vendor is spoken to
(`weathervane_resources`) and whether a result is to be believed (`weathervane_checks`).
"""
