"""A curve of calibration sizes, from files to the headline, on two corpora of the same classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from curve_plugin import TRIALS, write_corpora
from sklearn.linear_model import LogisticRegression

from bench import registry
from bench.registry import include, load
from bench.reporting import ReportOptions
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.reports.shared.worth import headline, worths
from bench.store.records import Store
from bench.sweeps.manifest import Memo
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request
from bench.sweeps.run import execute
from bench.sweeps.sweep import Sweep, SweepOptions

PLUGIN = Path(__file__).parents[1] / "curve_plugin.py"


@pytest.fixture(autouse=True)
def _included(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_included", [])
    monkeypatch.setattr(registry, "_tables", {})
    include(str(PLUGIN))
    yield
    registry._tables.clear()


def swept(data: Path, runs: Path, methods: str, **values) -> Store:
    request = read_request(None, {
        "methods": methods, "pairs": "HERE->THERE", "data": data, "scale": "null",
        "include": [str(PLUGIN)], **values,
    })
    memo = Memo(runs)
    state = execute(Sweep(expand(request, memo.resolve), SweepOptions(runs=runs), memo))
    assert state.exit_code == 0
    return Store(runs)


def test_a_curve_of_plain_learning_is_scikit_learn(tmp_path):
    """Sizes are nested and tested on the same trials; 8 cannot be given, and 60 % are 4."""
    store = swept(write_corpora(tmp_path / "data", 3), tmp_path / "runs", "lr",
                  calibration=["1", "4", "8", "60%"], params={"lr": {"C": 0.5}})
    done = [r for r in store.records() if r.status == "done"]
    lr = [r for r in done if r.identity["method"] == "lr"]
    assert sorted(r.identity["protocol"]["params"]["calibration_trials"] for r in lr) == [1, 4]
    reasons = {r.reason for r in store.records() if r.status == "skipped"}
    assert any("cannot calibrate on 8 trials" in r for r in reasons)
    tested = {tuple(f["test_trials"]) for r in done for f in r.folds}
    assert len(tested) == 1
    assert len(*tested) == TRIALS - 2 * 4

    data = load("corpora", "THERE")  # the same numbers, without the harness
    from bench.data.reading import ReadOptions, read_corpus
    from bench.protocols.scaling import Scaler

    windows = read_corpus("THERE", tmp_path / "data", ReadOptions()).windows
    assert windows.labels == data.tasks[0].classes
    for record in done:
        if record.identity["params"].get("network") != "lr" or \
                record.identity["params"]["C"] != 0.5:
            continue
        proba = record.predictions()
        for fold in record.folds:
            mine = windows.take(windows.subject == fold["subject"])
            own = mine.take(np.isin(mine.trial, fold["calibration_trials"]))
            test = mine.take(np.isin(mine.trial, fold["test_trials"]))
            scale = Scaler.fit(own.x, "min-max")
            fitted = LogisticRegression(C=0.5, max_iter=1000).fit(
                scale(own.x).reshape(len(own), -1).astype(float), own.y)
            expected = fitted.predict_proba(scale(test.x).reshape(len(test), -1).astype(float))
            ours = proba[proba.subject == fold["subject"]][["p0", "p1"]].to_numpy()
            np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.slow
def test_one_table_holds_every_family_beside_plain_learning(tmp_path):
    store = swept(write_corpora(tmp_path / "data", 8), tmp_path / "runs",
                  "scmm,source-only,lr,lda,svm", calibration=["1", "3", "60%"])
    collection = collect(store, ReportOptions())
    every = tables(collection, ReportOptions())
    assert len(every) == 3  # one a size: shallow methods and networks stand in it
    for table in every:
        labels = {r.label for r in table.rows if r.key.kind != "oracle"}
        assert labels == {
            "scmm", "source-only", "lr", "lda", "svm", "majority", "target-only LR",
            "target-only LDA", "target-only SVM", "target-only CNN"}
    (worth,) = worths(collection, ReportOptions())
    assert worth.sizes == ["1 trial a class", "3 trials a class", "60 %"]
    assert len(worth.gains) == 15
    assert {g.test.n for g in worth.gains} == {8}
    assert all(g.test.interval is not None for g in worth.gains)
    assert headline(worth).startswith("Of 5 methods ")
    tested = {tuple(f["test_trials"]) for r in store.records() for f in r.folds}
    assert len(tested) == 1
