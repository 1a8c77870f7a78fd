"""Every method under every protocol: it runs where the catalogue says so, else says why not."""

from __future__ import annotations

import pytest

from bench.errors import IncompatibleError
from bench.registry import entries, load
from bench.runs.lookup import make_protocol
from bench.runs.run import run

METHODS = list(entries("methods"))
PROTOCOLS = [
    ("few-shot", {}), ("few-shot", {"draw": "random", "calibration_trials": 1}),
    ("unsupervised", {}), ("unsupervised", {"form": "transductive"}), ("zero-shot", {}),
    ("within", {}),
]


def one(method, root, tmp_path, protocol, options, src="SEED", tgt="DEAP", **changes):
    features = "de" if "de" in entries("methods")[method].profile.needs.features else "raw"
    if method == "ea-shallownet":  # it refuses windows that are not aligned
        changes = {"scaling": "euclidean", **changes}
    return run(
        method, src, tgt, data=root, scale="null", protocol=protocol, protocol_params=options,
        runs=tmp_path, controls=False, features=features, **changes,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_each_method_under_each_protocol(method, tiny_root, tmp_path):
    profile = entries("methods")[method].profile
    for name, options in PROTOCOLS:
        protocol = make_protocol(load("protocols", name), options)
        lacking = profile.under(protocol.grants).lacking(protocol.grants)
        if lacking:
            with pytest.raises(IncompatibleError) as caught:
                one(method, tiny_root, tmp_path, name, options)
            assert caught.value.message == (
                f"{load('methods', method).name} needs {' and '.join(lacking)}, which {name} does "
                "not grant"
            )
            continue
        record = one(method, tiny_root, tmp_path, name, options)
        assert record.status == "done"
        assert [f["subject"] for f in record.folds] == [1, 2, 3]
        for fold in record.folds:
            assert 0 <= fold["scores"]["trial"]["balanced_accuracy"] <= 1
            assert not set(fold["calibration_trials"]) & set(fold["test_trials"])
            assert bool(fold["calibration_trials"]) == ("calibration" in protocol.grants)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lr", "source-only", "dann", "scmm", "clisa", "t3a", "coral"])
@pytest.mark.parametrize("protocol", ["few-shot", "unsupervised"])
def test_families_learn_from_several_sources(method, protocol, tiny_root, tmp_path):
    record = one(method, tiny_root, tmp_path, protocol, {}, src="SEED+SEED-IV")
    assert record.pair == "SEED:3+SEED-IV:4→DEAP:valence"
    assert len(record.folds) == 3
