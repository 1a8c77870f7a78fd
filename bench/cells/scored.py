"""Scoring, apart from training: what a training predicts holds no label, and the labels no window.

Both may be in one process, or the training in a worker and the labels with the coordinator. The
best attainable score, which only labels and a simulated corpus's true parameters tell, is here too.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..data.corpus import CorpusAdapter
from ..data.recipe import GENERATOR
from ..protocols.base import Fold, trial_table
from ..protocols.granted import Grant, Granted, numbered
from ..registry import load
from ..scoring.metrics import FoldOutcome
from ..selection.rules import evaluated
from ..selection.tested import Key, Proba, SelectedEpoch, Tested
from ..store.records import Record, Store
from ..version import __version__
from .diagnostics import Unlabelled, labelled
from .shortcuts import per_subject

if TYPE_CHECKING:
    import pandas as pd

    from .cell import Cell

#: A selected epoch of each fold, and its test probabilities.
Column = tuple[list[SelectedEpoch], list[Proba]]


@dataclass(frozen=True, eq=False)
class Answers:
    """What scoring needs to know of a fold's test windows; not the windows.

    Attributes
    ----------
    key : tuple of int
        Subject and session of the fold, and its part where it has several.
    y, subject, session, trial, stimulus, onset : (n,)
    trial_ids : (n,)
        What tells trials apart.
    calibration : (m,) int
        Trial of each calibration window.
    classes : tuple of str
    """

    key: Key
    y: NDArray[np.int64]
    subject: NDArray[np.int64]
    session: NDArray[np.int64]
    trial: NDArray[np.int64]
    stimulus: NDArray[np.int64]
    onset: NDArray[np.float32]
    trial_ids: NDArray[Any]
    calibration: NDArray[np.int64]
    classes: tuple[str, ...]

    @classmethod
    def of(cls, fold: Fold) -> Answers:
        """Answers of a fold."""
        test, calibration = fold.open_test(), fold.view.calibration
        return cls(
            fold.key, test.y, test.subject, test.session, test.trial,
            test.stimulus, test.onset, test.trial_ids(),
            np.array([], np.int64) if calibration is None else calibration.trial, test.labels,
        )

    @property
    def whole(self) -> tuple[int, int]:
        """Subject and session."""
        return self.key[0], self.key[1]

    @staticmethod
    def outcome(parts: Sequence[tuple[Answers, Proba]]) -> FoldOutcome:
        """Scores of test probabilities of all parts of a subject and session together."""
        every = [a for a, _ in parts]
        y, ids, trials, calibration = (
            np.concatenate([getattr(a, name) for a in every])
            for name in ("y", "trial_ids", "trial", "calibration")
        )
        return FoldOutcome.of(
            every[0].whole, y, np.concatenate([p for _, p in parts]), ids, test_trials=trials,
            calibration_trials=calibration,
            # Parts are calibrated on much the same windows: their sum would count these again.
            calibration_windows=max(len(a.calibration) for a in every),
        )

    def table(self, proba: Proba) -> pd.DataFrame:
        """Test windows and their probabilities (n, classes)."""
        import pandas as pd

        return pd.DataFrame({
            "subject": self.subject, "session": self.session, "trial": self.trial,
            "stimulus": self.stimulus, "onset": self.onset, "y": self.y,
            **{f"p{k}": proba[:, k].astype(np.float32) for k in range(proba.shape[1])},
        })


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a training predicts for its test windows.

    Attributes
    ----------
    finals : list of (n, classes)
        Probabilities of the last epoch, one of each fold.
    epochs : list of int
        How many epochs each fold showed.
    shown : bool
        Whether any fold showed an epoch.
    picks : list of dict
        For each fold what rules chose, but for those that need test labels.
    diagnostics : dict
    """

    finals: list[Proba]
    epochs: list[int]
    shown: bool
    picks: list[Mapping[str, SelectedEpoch]]
    diagnostics: Unlabelled | None = None


def granted(cell: Cell) -> tuple[Grant, list[Answers]]:
    """What a cell whose labels are here grants to another process, and what is kept back.

    Raises
    ------
    IncompatibleError
        The protocol makes windows of its own, which cannot be followed.
    """
    cut = replace(cell, pair=numbered(cell.pair)).folds()
    grant = Grant(
        Granted.by(cut, cell.pair), cell.identity(), cell.protocol.model_dump(),
        cell.target_classes,
    )
    return grant, [Answers.of(fold) for fold in cut.folds]


@dataclass(frozen=True, eq=False)
class Scoring:
    """Scores what a cell's training predicts.

    Parameters
    ----------
    cell : Cell
    answers : sequence of Answers
        One of each fold that is trained.
    parts : sequence of Fold
        Of an audit's shortcut that mixes subjects, the folds that it made.
    """

    cell: Cell
    answers: Sequence[Answers]
    parts: Sequence[Fold] = field(default_factory=tuple)

    def tested(self) -> Tested:
        """Who judges the epochs of an attempt."""
        return Tested({a.key: a.y for a in self.answers})

    def score(self, record: Record, predicted: Predicted, tested: Tested) -> pd.DataFrame:
        """Fill in all of a record that labels decide; the table of predictions."""
        import pandas as pd

        cell = self.cell
        rules = evaluated(cell.selection, cell.protocol)
        picked = {r.name: self._column(r.name, predicted, tested) for r in rules}
        record.selections = {
            r.name: self._scores(r.uses, r.scored, *picked[r.name]) for r in rules
        }
        _, chosen = picked["oracle" if "epoch" in cell.test_access else cell.selection]
        pairs = list(zip(self.answers, chosen, strict=True))
        table = pd.concat([answers.table(p) for answers, p in pairs], ignore_index=True)
        if cell.shortcut:
            outcomes = per_subject(list(self.parts), table)
        else:
            outcomes = [Answers.outcome(parts) for parts in _by_session(pairs)]
            if predicted.shown:
                record.oracle = _oracle(record.selections["oracle"])
        record.folds = [outcome.as_dict() for outcome in outcomes]
        tested.add_to(record.curves)
        if predicted.diagnostics is not None:
            record.diagnostics = labelled(
                predicted.diagnostics, [a.y for a in self.answers],
                [a.trial for a in self.answers], self.answers[0].classes)
        return table

    def _column(self, name: str, predicted: Predicted, tested: Tested) -> Column:
        """What a rule chose on each fold: probabilities of the last epoch where it chose none."""
        found: Column = ([], [])
        for n, answers in enumerate(self.answers):
            of = predicted.epochs[n]
            pick = tested.picks.get(answers.key) if name == "oracle" \
                else predicted.picks[n].get(name)
            pick = pick or SelectedEpoch(of, of)
            exact = pick.proba
            if exact is None or pick.epoch == of:
                exact = predicted.finals[n]
            found[0].append(pick)
            # Scored is what is stored, to its last digit, so that anyone can score it again.
            found[1].append(exact.astype(np.float32).astype(np.float64))
        return found

    def _scores(
        self, uses: str, scored: bool, picks: list[SelectedEpoch], probas: list[Proba]
    ) -> dict[str, Any]:
        """What a record keeps of a rule."""
        parts = _by_session(list(zip(self.answers, zip(picks, probas, strict=True), strict=True)))
        folds = [_picked(its, scored) for its in parts]
        scores = [p.score for p in picks if scored and p.score is not None]
        return {"score": fmean(scores) if scores else None, "uses": uses, "folds": folds}


T = TypeVar("T")


def _by_session(pairs: Sequence[tuple[Answers, T]]) -> list[list[tuple[Answers, T]]]:
    """Parts of each subject and session together, in the order of the first."""
    found: dict[tuple[int, int], list[tuple[Answers, T]]] = {}
    for answers, value in pairs:
        found.setdefault(answers.whole, []).append((answers, value))
    return list(found.values())


def _picked(
    parts: Sequence[tuple[Answers, tuple[SelectedEpoch, Proba]]], scored: bool
) -> dict[str, Any]:
    """What a rule chose for a subject and session; of several parts the mean epoch and score."""
    picks = [pick for _, (pick, _) in parts]
    scores = [pick.score for pick in picks if scored and pick.score is not None]
    outcome = Answers.outcome([(answers, proba) for answers, (_, proba) in parts])
    return {
        "subject": outcome.subject, "session": outcome.session,
        "epoch": round(fmean(pick.epoch for pick in picks)),
        "of": round(fmean(pick.of for pick in picks)),
        "score": fmean(scores) if scores else None, "scores": outcome.scores,
    }


def _oracle(column: Mapping[str, Any]) -> dict[str, Any]:
    """Scores at the epoch that is best on the test set: the field's shortcut, measured."""
    wanted = ("subject", "session", "epoch", "scores")
    folds = [{k: f[k] for k in wanted} for f in column["folds"]]
    return {"selection": "best test epoch", "folds": folds}


def attainable_record(cell: Cell, store: Store) -> Record | None:
    """Record of the best attainable scores on the test trials of a cell's folds.

    A control of kind "control", method "attainable". Windows are drawn anew from the generator
    (the recording itself is one draw) and classified by the exact posterior. Beside them, under
    ``info["linear"]``, the folds of the best linear classifier of features: a bound that can be
    reached.

    Returns
    -------
    Record or None
        None where the target is not simulated, its adapter does not know, windows are not 1 s,
        or a label map dropped classes of the target.
    """
    recipe = cell.pair.recipes[1]
    target = cell.mapped[0].target
    if recipe is None or not is_known(cell):
        return None
    corpus = cell.pair.target_name.partition(":")[0]
    adapter: CorpusAdapter = load("corpora", corpus)()
    record = Record(
        identity=attainable_identity(cell), kind="control", simulated=recipe.model_dump()
    )
    known = store.get(record.id)
    if known is not None and known.status == "done":
        return known
    began = time.perf_counter()
    record.classes = list(target.labels)
    tested: dict[tuple[int, int], dict[int, int]] = {}
    for fold in cell.folds().folds:
        trials = tested.setdefault((fold.subject, fold.session), {})
        trials |= {int(t): int(c) for t, c, _ in trial_table(fold.open_test())}
    linear: list[dict[str, Any]] = []
    for key, labels in tested.items():
        asked = (recipe, *key, labels, len(record.classes))
        drawn, reached = adapter.attainable(*asked), adapter.reachable(*asked)
        if drawn is None:
            return None
        for found, its in ((drawn, record.folds), (reached, linear)):
            if found is not None:
                its.append(FoldOutcome.of(key, *found, test_trials=list(labels)).as_dict())
    record.info = {
        "versions": {"bench": __version__}, "wall_s": round(time.perf_counter() - began, 3),
        "linear": linear,
    }
    store.put(record)
    return record


def is_known(cell: Cell) -> bool:
    """Whether the target is simulated, in windows of 1 s, and has kept all its classes."""
    target = cell.mapped[0].target
    return (
        cell.pair.recipes[1] is not None and target.space.window_s == 1.0
        # The generator knows no dropped class.
        and len(target.labels) == len(cell.pair.target.labels) and not cell.class_map
    )


def attainable_identity(cell: Cell) -> dict[str, Any]:
    """Identity of the record of the best attainable scores: the cell's, but for the method."""
    own = {k: v for k, v in cell.identity().items() if k != "tuning"}
    return own | {
        "method": "attainable", "params": {}, "params_origin": "default",
        "code": f"generator-{GENERATOR}",
    }
