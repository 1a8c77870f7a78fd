"""The engine's side of a training in progress: curves, and which epoch each rule would choose.

A method shows a predictor after each epoch and learns nothing of what is done with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..method import Context, Predictor
from ..protocols.base import Fold
from ..scoring.metrics import fold_scores
from .looking import look
from .rules import Rule

Key = tuple[int, int]
#: Values of the rules for a predictor on a fold, by name; higher is better.
Scorer = Callable[[Fold, Predictor], dict[str, float]]
#: Told epoch, number of epochs and mean validation score of the chosen rule after each epoch.
Report = Callable[[int, int, float], None]
#: Told stage, epoch, number of epochs and details.
Tell = Callable[[str, int, int, str], None]

#: A network that all folds share is looked at after so many epochs at most, evenly spaced: with
#: many target subjects, predicting their windows would cost more than training does.
LOOKS = 20
_SHORT = {"total": "loss"}


@dataclass(frozen=True, eq=False)
class SelectedEpoch:
    """Epoch that a rule chose on a fold.

    Attributes
    ----------
    epoch, of : int
        Number of the epoch, from 1, and how many there were.
    score : float or None
        Its validation score.
    proba : (n, classes) or None
        Probabilities of the test windows at this epoch.
    """

    epoch: int
    of: int
    score: float | None = None
    proba: NDArray[np.float64] | None = None

    def within(self, epochs: int) -> int:
        """The epoch after the same share of a training of another length."""
        return max(1, round(self.epoch / self.of * epochs))


class Observer:
    """Watches one training of all folds.

    Parameters
    ----------
    folds : sequence of Fold
    scorer : callable
        Gives the values of the rules that choose in this training.
    tell : callable
    report : callable or None
        Told the values of ``chosen``.
    chosen : str
        Rule that is reported.
    planned : mapping
        Rules whose epoch is known from another training, by fold: their probabilities are kept.
    tested : bool
        Whether the folds' test windows are those of the target; else nothing is tested.
    pretrained : bool
        Whether what pre-training shows is what predicts in the end.
    """

    def __init__(
        self, folds: Sequence[Fold], scorer: Scorer, tell: Tell, *, chosen: str = "",
        report: Report | None = None,
        planned: Mapping[Key, Mapping[str, SelectedEpoch]] | None = None, tested: bool = True,
        pretrained: bool = False,
    ) -> None:
        self.folds = {(f.subject, f.session): f for f in folds}
        self.scorer, self.tell, self.chosen = scorer, tell, chosen
        self.planned, self.tested, self.pretrained = planned or {}, tested, pretrained
        self.curves: dict[str, Any] = {"pretrain": {}, "fit": {}}
        #: What each rule would choose, by fold.
        self.picks: dict[Key, dict[str, SelectedEpoch]] = {key: {} for key in self.folds}
        #: Stage that showed a fold's predictors, and its number of epochs.
        self.shown: dict[Key, tuple[str, int]] = {}
        self._scores = _Scores(report)

    def __call__(
        self, ctx: Context, number: int, of: int, losses: Mapping[str, float],
        predictor: Predictor | None,
    ) -> None:
        """An epoch of a stage is over."""
        row = {k: round(float(v), 6) for k, v in losses.items()}
        detail = "  ".join(f"{_SHORT.get(k, k)} {v:.4f}" for k, v in losses.items())
        curve = self.curves.setdefault(ctx.stage, {})
        shared = "subject" not in ctx.seed_axes
        wanted = [] if predictor is None else self._seen(ctx, number, of)
        if predictor is not None and wanted:
            with look(predictor) as still:
                row |= self._see(wanted, ctx.stage, number, of, still)
        if not shared:
            axes = ctx.seed_axes
            curve = curve.setdefault(f"{axes['subject']}/{axes['session']}", {})
            detail = f"{ctx.fold}  {detail}"
        for name, value in row.items():
            curve.setdefault(name, []).append(value)
        self.tell(ctx.stage, number, of, detail)

    def wanted(self, ctx: Context, number: int, of: int) -> list[NDArray[Any]]:
        """Windows that a predictor is asked for when told of an epoch, each array once."""
        looked_at: Callable[[Fold], list[NDArray[Any]]] | None
        looked_at = getattr(self.scorer, "windows", None)
        arrays = [
            x for fold in self._seen(ctx, number, of)
            for x in ([fold.open_test().x] if self.tested else [])
            + ([] if looked_at is None else looked_at(fold))
        ]
        return list({id(x): x for x in arrays}.values())

    def finish(self, predictors: Sequence[Predictor]) -> None:
        """Training is over: a fold that showed no epoch has its predictor as only candidate."""
        for (key, fold), predictor in zip(self.folds.items(), predictors, strict=True):
            if key in self.shown:
                continue
            for name, planned in self.planned.get(key, {}).items():
                self.picks[key][name] = SelectedEpoch(1, 1, planned.score)
            with look(predictor, "no") as still:
                self._judged(key, 1, 1, self.scorer(fold, still))
        self._scores.flush()

    def picked(
        self, key: Key, name: str, final: NDArray[np.float64]
    ) -> tuple[SelectedEpoch, NDArray[np.float64]]:
        """What a rule picks on a fold, and its test probabilities: ``final`` at the last epoch."""
        of = self.shown.get(key, ("", 1))[1]
        found = self.picks[key].get(name) or SelectedEpoch(of, of)
        return found, final if found.proba is None or found.epoch == of else found.proba

    def _seen(self, ctx: Context, number: int, of: int) -> list[Fold]:
        """Folds that are looked at in an epoch."""
        if ctx.stage == "pretrain" and not self.pretrained:
            return []
        shared = "subject" not in ctx.seed_axes
        due = not shared or number == of or number % math.ceil(of / LOOKS) == 0
        return [f for f in self._concerned(ctx, shared) if due or self._due(f, number, of)]

    def _concerned(self, ctx: Context, shared: bool) -> list[Fold]:
        """Folds that a network is of: one, or all that share the source it is trained on."""
        if not shared:
            return [self.folds[ctx.seed_axes["subject"], ctx.seed_axes["session"]]]
        if ctx.fold_key is None:
            return []
        source = self.folds[ctx.fold_key].view.source
        return [f for f in self.folds.values() if f.view.source is source]

    def _due(self, fold: Fold, number: int, of: int) -> bool:
        """Whether a rule has planned to take a fold's network at an epoch."""
        planned = self.planned.get((fold.subject, fold.session), {})
        return any(p.within(of) == number for p in planned.values())

    def _see(
        self, folds: Sequence[Fold], stage: str, number: int, of: int, predictor: Predictor
    ) -> dict[str, float]:
        """Evaluate a predictor; returns what goes into the curves: means over the folds."""
        rows: list[dict[str, float]] = []
        judged: dict[tuple[int, int], dict[str, float]] = {}
        for fold in folds:
            key = (fold.subject, fold.session)
            if self.shown.get(key, ("", 0))[0] != stage:  # a later stage ends in another network
                self.picks[key] = {}
            self.shown[key] = (stage, of)
            # Folds that share all their parts, as a source's held-out subjects, are judged once.
            same = (id(fold.open_test()), id(fold.view.unlabelled))
            if same not in judged:
                judged[same] = self.scorer(fold, predictor)
            values = judged[same]
            tested = self._test(fold, number, of, predictor) if self.tested else {}
            self._judged(key, number, of, values, tested.get("proba"))
            rows.append(values | {k: v for k, v in tested.items() if k != "proba"})
        found: dict[str, list[float]] = {}
        for row in rows:
            for name, value in row.items():
                if math.isfinite(value):  # a validator may have nothing to go by
                    found.setdefault(name, []).append(value)
        return {name: round(fmean(values), 6) for name, values in found.items()}

    def _test(
        self, fold: Fold, number: int, of: int, predictor: Predictor
    ) -> dict[str, Any]:
        """Test accuracy and probabilities; keeps the oracle's epoch, and those that are planned."""
        key, test = (fold.subject, fold.session), fold.open_test()
        proba = np.asarray(predictor.predict_proba(test.x), dtype=np.float64)
        accuracy = round(float((proba.argmax(axis=1) == test.y).mean()), 6)
        mine = self.picks[key]
        if "oracle" not in mine or accuracy > (mine["oracle"].score or 0.0):
            mine["oracle"] = SelectedEpoch(number, of, accuracy, proba)
        for name, pick in self.planned.get(key, {}).items():
            if pick.within(of) == number:
                mine[name] = SelectedEpoch(number, of, pick.score, proba)
        return {"test_accuracy": accuracy, "proba": proba}

    def _judged(
        self, key: Key, number: int, of: int, values: Mapping[str, float],
        proba: NDArray[np.float64] | None = None,
    ) -> None:
        """Note the values of an epoch."""
        for name, value in values.items():
            self._offer(key, name, SelectedEpoch(number, of, value, proba))
        if self.chosen in values:
            self._scores.add(key, number, of, values[self.chosen])

    def _offer(self, key: Key, name: str, pick: SelectedEpoch) -> None:
        """Keep the better of two picks, the later one of equals; none without a finite score."""
        if pick.score is None or not math.isfinite(pick.score):
            return
        best = self.picks[key].get(name)
        if best is None or pick.score >= (best.score or 0.0):
            self.picks[key][name] = pick


def columns(
    rules: Sequence[Rule], observer: Observer, finals: Sequence[NDArray[np.float64]]
) -> dict[str, tuple[dict[str, Any], list[NDArray[np.float64]]]]:
    """What each rule gives: its column of the record, and the test probabilities of each fold.

    Parameters
    ----------
    finals : sequence of (n, classes)
        Probabilities of the last epoch, one of each fold.
    """
    out = {}
    for one in rules:
        folds: list[dict[str, Any]] = []
        probabilities = []
        for (key, fold), final in zip(observer.folds.items(), finals, strict=True):
            pick, exact = observer.picked(key, one.name, final)
            # Scored is what is stored, to its last digit, so that anyone can score it again.
            proba = exact.astype(np.float32).astype(np.float64)
            test = fold.open_test()
            probabilities.append(proba)
            folds.append({
                "subject": fold.subject, "session": fold.session, "epoch": pick.epoch,
                "of": pick.of, "score": pick.score if one.scored else None,
                "scores": fold_scores(test.y, proba, test.trial_ids(), proba.shape[1]),
            })
        scores = [f["score"] for f in folds if f["score"] is not None]
        mean = fmean(scores) if scores else None
        out[one.name] = ({"score": mean, "uses": one.uses, "folds": folds}, probabilities)
    return out


def oracle(observer: Observer, selections: Mapping[str, Any]) -> dict[str, Any] | None:
    """Scores at the epoch that is best on the test set: the field's shortcut, measured.

    None where no fold showed any epoch.
    """
    if not observer.shown:
        return None
    wanted = ("subject", "session", "epoch", "scores")
    folds = [{k: f[k] for k in wanted} for f in selections["oracle"]["folds"]]
    return {"selection": "best test epoch", "folds": folds}


class _Scores:
    """Mean validation scores over the folds that have come to an epoch, told once it is over."""

    def __init__(self, report: Report | None) -> None:
        self.report = report
        self._by_epoch: dict[int, dict[Key, float]] = {}
        self._pending: tuple[int, int] | None = None

    def add(self, key: Key, epoch: int, of: int, score: float) -> None:
        """A fold has come to an epoch; the first of a next epoch ends the one before."""
        if self._pending is not None and self._pending != (epoch, of):
            self.flush()
        self._pending = (epoch, of)
        if math.isfinite(score):
            self._by_epoch.setdefault(epoch, {})[key] = score

    def flush(self) -> None:
        """Tell of the epoch that is over."""
        pending, self._pending = self._pending, None
        if self.report is not None and pending is not None and self._by_epoch.get(pending[0]):
            self.report(*pending, fmean(self._by_epoch[pending[0]].values()))
