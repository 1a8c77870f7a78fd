"""Slow references of one training step of every network method, and what compares them.

A reference is written from the paper or the authors' code, in plain torch, for one model, and
shares no code with the method: neither losses, nor networks, nor optimiser. :mod:`.harness` runs
the method for three steps, hands the reference the same start, batches and random numbers, and
compares all parameters at the end.
"""
