"""``bench rerun`` of records of owners' features and of raw windows."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.sweeps.repeat import repeat


@pytest.mark.parametrize(("features", "method", "pair"), [
    ("official-4s", "lda", ("SEED", "SEED-IV")), ("raw", "majority", ("SEED", "DEAP")),
])
def test_features_are_read_as_they_were(features, method, pair, tiny_root, tmp_path: Path):
    record = bench.run(method, *pair, data=tiny_root, features=features, runs=tmp_path,
                       controls=False)
    again = repeat(record, tiny_root)
    assert again.changed == []
    assert again.probability == 0
