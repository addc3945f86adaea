"""The five vendors' request shapes and row types: request in, pages out.

Belongs here: URLs, parameters, the fields we keep and how a vendor pages. Row types declare only the fields we keep,
so personal data is dropped while decoding and never exists as an object. Does not belong here: retries, pace and
credentials (`http/`), money arithmetic and days (`transforms/`), Dagster, data frames.
"""
