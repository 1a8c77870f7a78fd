"""``bench rerun`` of records of owners' features and of raw windows."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.sweeps.repeat import repeat


@pytest.mark.parametrize(("features", "method", "pair", "montage"), [
    ("official-4s", "lda", ("SEED", "SEED-IV"), "common"),
    ("raw", "majority", ("SEED", "DEAP"), "common"), ("bench", "lda", ("SEED", "DEAP"), "SEED"),
])
def test_features_are_read_as_they_were(
    features, method, pair, montage, tiny_root, tmp_path: Path
):
    record = bench.run(method, *pair, data=tiny_root, features=features, runs=tmp_path,
                       controls=False, montage=montage)
    assert record.identity["features"].get("montage", "common") == montage
    assert any("on montage SEED" in n for n in record.notices) == (montage == "SEED")
    again = repeat(record, tiny_root)
    assert again.changed == []
    assert again.probability == 0
