"""Pure rules: frame and thresholds in, findings out.

Belongs here: what is wrong with data, and how badly. Does not belong here: Dagster, I/O and the clock.
"""
