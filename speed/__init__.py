"""Benchmarks of ourselves: each prints a ratio against a stated baseline, timed in the same run.

``python -m speed`` lists them, ``python -m speed NAME`` runs one. They are no tests: a ratio
depends on the machine, and nothing fails when it is low.
"""
