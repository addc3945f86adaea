"""Benchmarks that are run by hand: `python -m bench` lists and runs them. Not part of the package."""
