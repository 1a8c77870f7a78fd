"""Real signal: rest against mental arithmetic, leaving subjects out (not emotion, but real EEG)."""

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.data.windows import Windows

from support import cell_of, paired

FOLDER = Path(os.environ.get(
    "BENCH_REFERENCE", Path(__file__).resolve().parents[2] / "shared" / "reference"
))
FILE = FOLDER / "eegmat_de_1s.npz"
CHANNELS = ("FP1", "FP2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4",
            "O1", "O2", "FZ", "CZ", "PZ")

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is not there")


@pytest.fixture(scope="module")
def eegmat() -> Windows:
    """Sixty seconds of each state of each of 36 people."""
    with np.load(FILE) as stored:
        de, subject, label, second = (stored[n] for n in ("de", "subject", "label", "second"))
    keep = np.zeros(len(de), bool)
    for person in np.unique(subject):
        for state in (0, 1):
            rows = np.flatnonzero((subject == person) & (label == state))
            keep[rows[np.argsort(second[rows])][:60]] = True
    return Windows.from_arrays(
        de[keep], label[keep], subject=subject[keep], trial=label[keep] + 1,
        onset=second[keep], channels=CHANNELS, labels=("rest", "arithmetic"), corpus="EEGMAT",
        bands=[(1, 4), (4, 8), (8, 14), (14, 31), (31, 45)],
    )


def test_it_is_a_balanced_corpus(eegmat):
    assert len(np.unique(eegmat.subject)) == 36
    assert np.bincount(eegmat.y).tolist() == [36 * 60] * 2
    assert len(np.unique(eegmat.trial_key())) == 72
    assert "T7" in eegmat.space.channels


def test_logistic_regression_on_unseen_people(eegmat):
    x = eegmat.x.reshape(len(eegmat), -1).astype(float)
    right = np.zeros(len(x), bool)
    for train, test in GroupKFold(9).split(x, eegmat.y, eegmat.subject):
        assert not set(eegmat.subject[train]) & set(eegmat.subject[test])
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
        model.fit(x[train], eegmat.y[train])
        right[test] = model.predict(x[test]) == eegmat.y[test]
    assert right.mean() >= 0.65


def test_two_recordings_a_person_cannot_be_calibrated(eegmat, tmp_path):
    """One trial a class: the harness must say so and not split a recording."""
    from bench.cells.engine import run_cell
    from bench.errors import BenchError
    from bench.registry import load
    from bench.store.records import Store

    pair = paired(eegmat.take(eegmat.subject < eegmat.subject.mean()), eegmat)
    with pytest.raises(BenchError, match="can be tested under few-shot") as caught:
        run_cell(cell_of(load("methods", "majority")(), pair), Store(tmp_path))
    assert "1 trial of class 'rest', 2 needed" in caught.value.hint


PLUGIN = Path(__file__).parent / "eegmat_plugin.py"
METHODS = "scmm,source-only,lr,lda,svm"


@pytest.fixture
def halves(tmp_path, monkeypatch):
    """Makes run folders of sweeps over the two halves of the people."""
    from bench import registry

    monkeypatch.setattr(registry, "_included", [])
    monkeypatch.setattr(registry, "_tables", {})

    def sweep(name, other_amplifier=False, **values):
        from eegmat_plugin import write_halves

        from bench.store.records import Store
        from bench.sweeps.manifest import Memo
        from bench.sweeps.plan import expand
        from bench.sweeps.request import read_request
        from bench.sweeps.run import execute
        from bench.sweeps.sweep import Sweep, SweepOptions

        data = tmp_path / f"data of {other_amplifier}"
        if not data.exists():
            write_halves(FILE, data, other_amplifier)
        registry.include(str(PLUGIN))
        request = read_request(None, {
            "methods": METHODS, "pairs": "ODD->EVEN", "data": data, "scale": "null",
            "features": "official", "include": [str(PLUGIN)], **values,
        })
        memo = Memo(tmp_path / name)
        options = SweepOptions(runs=tmp_path / name)
        state = execute(Sweep(expand(request, memo.resolve), options, memo))
        assert state.exit_code == 0, state.problems
        return Store(tmp_path / name)

    yield sweep
    registry._tables.clear()


@pytest.mark.slow
def test_a_curve_on_real_signal_and_what_its_headline_says(halves):
    """All families beside plain learning, on two corpora of 18 people, pieces marked as such."""
    from bench.reporting import ReportOptions
    from bench.reports.shared.caption import note_lines, title
    from bench.reports.shared.cells import collect
    from bench.reports.shared.table import tables
    from bench.reports.shared.worth import headline, worths

    store = halves("curve", calibration=["1", "3", "60%"])
    collection = collect(store, ReportOptions())
    every = tables(collection, ReportOptions())
    assert len(every) == 3
    for table in every:
        assert {r.label for r in table.rows if r.key.kind != "oracle"} == {
            "scmm", "source-only", "lr", "lda", "svm", "majority", "target-only LR",
            "target-only LDA", "target-only SVM", "target-only CNN"}
        assert "(pieces of recordings)" in title(table)
        assert any("ODD 10 s" in line and "EVEN 10 s" in line for line in note_lines(table))
        assert {table.n(c) for c in table.columns} == {18}
    (worth,) = worths(collection, ReportOptions())
    assert worth.sizes == ["1 trial a class", "3 trials a class", "60 %"]
    assert len(worth.gains) == 15
    assert all(g.test.interval is not None for g in worth.gains)
    said = headline(worth)
    assert said.startswith("Trials are pieces of recordings. Of 5 methods ")
    assert "18 subjects" in said
    won = beaten(store)
    assert {s: sum(g.won for g in worth.gains if g.size == s) for s in worth.sizes} == won
    counts = [str(n) if n else "none" for n in won.values()]
    first = said.removeprefix("Trials are pieces of recordings. Of 5 methods ").split()
    assert first[:2] == [counts[0], "beat" if won["1 trial a class"] > 1 else "beats"]
    clauses = [(n, [size for size, _ in its]) for n, its in itertools.groupby(
        zip(worth.sizes, counts, strict=True), key=lambda pair: pair[1])]
    told = [" or ".join(filter(None, [", ".join(sizes[:-1]), sizes[-1]])) for _, sizes in clauses]
    expected = [f"at {told[0]}", *(f"{n} at {sizes}" for (n, _), sizes in
                                   zip(clauses[1:], told[1:], strict=True))]
    assert said.split("; ")[0].endswith(", ".join(expected))


def beaten(store):
    """Size to how many methods beat the best target-only, from the records alone."""
    from bench.scoring.inference import holm, paired

    scores = {}
    for record in store.records():
        if record.status != "done" or record.identity["method"] in ("majority", "attainable"):
            continue
        params = record.identity["protocol"]["params"]
        size = {1: "1 trial a class", 3: "3 trials a class"}.get(
            params["calibration_trials"], "60 %")
        name = (record.identity["method"], record.identity["params"].get("network"))
        scores[size, name] = [
            f["scores"]["window"]["balanced_accuracy"]
            for f in sorted(record.folds, key=lambda f: f["subject"])]
    tests = {}
    for size in dict.fromkeys(s for s, _ in scores):
        plain = [v for (s, n), v in scores.items() if s == size and n[0] == "target-only"]
        best = max(plain, key=np.mean)
        tests |= {(size, n): paired(v, best) for (s, n), v in scores.items()
                  if s == size and n[0] != "target-only"}
    adjusted = dict(zip(tests, holm([t.p for t in tests.values()]), strict=True))
    return {size: sum(t.mean > 0 and adjusted[key] <= 0.05 for key, t in tests.items()
                      if key[0] == size)
            for size in ("1 trial a class", "3 trials a class", "60 %")}


@pytest.mark.slow
def test_zero_shot_is_not_degenerate_where_each_window_is_scaled_alone(halves):
    """By the source's statistics another amplifier's windows lean to one class."""
    def leaning(scaling):
        store = halves(scaling, True, protocols=["zero-shot"], scaling=scaling,
                       pairs="EVEN->ODD")
        found = {}
        for record in store.records():
            if record.status == "done" and record.identity["method"] != "majority":
                counts = np.array([f["predicted_windows"] for f in record.folds])
                scores = [f["scores"]["window"] for f in record.folds]
                found[record.identity["method"]] = (
                    counts.max(axis=1).sum() / counts.sum(),
                    np.mean([s["balanced_accuracy"] for s in scores]),
                    np.mean([s["auroc"] for s in scores]))
        return found

    alone, by_source = leaning("window"), leaning("min-max")
    assert set(alone) == set(METHODS.split(","))
    for method, (share, score, auroc) in alone.items():
        assert share < 0.9, method
        assert auroc > 0.6, method
        assert score > 0.55, method
    for method in ("lr", "lda", "svm"):
        share, score, auroc = by_source[method]
        assert share > 0.98
        assert score < 0.51 < alone[method][1]
        assert auroc > 0.6  # what the balanced accuracy hides
