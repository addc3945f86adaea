"""Whether to believe it: checks on the assets, their thresholds, and the reports.

Belongs here: judgements about data that is already written. Does not belong here: how it is computed or fetched.
"""
