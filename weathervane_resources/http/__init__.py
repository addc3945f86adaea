"""HTTP to vendors: one session, one classifier, one error tree.

Belongs here: what is true of every vendor call (pace, retry, refresh, redaction, paging guards, strict JSON) and the
tables that read a vendor's answers. Does not belong here: request shapes and row types (`clients/`), configuration
and Dagster (`connectors.py`), data frames.
"""
