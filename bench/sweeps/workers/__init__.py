"""Processes that run the cells of a sweep, here or on a cluster."""
