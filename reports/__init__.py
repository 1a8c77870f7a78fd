"""Reports: one file each. They read the store and nothing else."""

from bench.registry import Entry

CATALOGUE: list[Entry] = []
