"""Pure transforms: frame in, frame out.

Belongs here: what can be computed from its arguments alone. Does not belong here: Dagster, I/O and the clock.
"""
