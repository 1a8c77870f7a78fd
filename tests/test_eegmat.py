"""Real signal: rest against mental arithmetic, leaving subjects out (not emotion, but real EEG)."""

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
