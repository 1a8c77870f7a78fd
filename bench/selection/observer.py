"""The engine's side of a training in progress: curves, and which epoch each rule would choose.

A method shows a predictor after each epoch and learns nothing of what is done with it. No label of
a test window is here: what is predicted for these is shown to who holds the labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..method import Context, Part, Predictor
from ..protocols.base import Fold
from .looking import look
from .tested import Key, Look, Proba, SelectedEpoch, Show

#: Values of the rules for a predictor on a fold, by name; higher is better.
Scorer = Callable[[Fold, Predictor], dict[str, float]]
#: Told epoch, number of epochs and mean validation score of the chosen rule after each epoch.
Report = Callable[[int, int, float], None]
#: Optimiser steps, and windows handed to them.
Cost = tuple[int, int]
#: Told stage, epoch, number of epochs and details.
Tell = Callable[[str, int, int, str], None]

#: A network that all folds share is looked at after so many epochs at most, evenly spaced: with
#: many target subjects, predicting their windows would cost more than training does.
LOOKS = 20
_SHORT = {"total": "loss"}


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
    tested : callable or None
        Shown what is predicted for the test windows; None where those are held-out windows.
    pretrained : bool
        Whether what pre-training shows is what predicts in the end.
    """

    def __init__(
        self, folds: Sequence[Fold], scorer: Scorer, tell: Tell, *, chosen: str = "",
        report: Report | None = None,
        planned: Mapping[Key, Mapping[str, SelectedEpoch]] | None = None,
        tested: Show | None = None, pretrained: bool = False,
    ) -> None:
        self.folds = {f.key: f for f in folds}
        self.scorer, self.tell, self.chosen = scorer, tell, chosen
        self.planned, self.tested, self.pretrained = planned or {}, tested, pretrained
        self.curves: dict[str, Any] = {"pretrain": {}, "fit": {}}
        #: What each rule would choose, by fold.
        self.picks: dict[Key, dict[str, SelectedEpoch]] = {key: {} for key in self.folds}
        #: Stage that showed a fold's predictors, and its number of epochs.
        self.shown: dict[Key, tuple[str, int]] = {}
        #: Steps and windows of each part: of what all folds share (None), and of a fold's own.
        self.costs: dict[Part, dict[Key | None, Cost]] = {
            "before": {}, "after": {}, "choosing": {},
        }
        #: Steps that a budget left out of a part, by fold.
        self.missed: dict[tuple[Part, Key | None], int] = {}
        #: What libraries warned of while it was trained.
        self.warnings: list[str] = []
        self._scores = Told(report)

    def warned(self, ctx: Context, text: str) -> None:
        """A library warned in a training."""
        if text not in self.warnings:
            self.warnings.append(text)

    def spent(
        self, ctx: Context, part: Part, steps: int, windows: int, wanted: int = 0
    ) -> None:
        """A training that cost so much, and by its parameters more steps, is over."""
        key = (ctx.seed_axes["subject"], ctx.seed_axes["session"]) \
            if "subject" in ctx.seed_axes else None
        before = self.costs[part].get(key, (0, 0))
        self.costs[part][key] = before[0] + steps, before[1] + windows
        self.missed[part, key] = self.missed.get((part, key), 0) + max(0, wanted - steps)

    def cost(self, part: Part) -> Cost:
        """Steps and windows of a part of the training: of a fold, on the mean."""
        costs = self.costs[part]
        shared = costs.get(None, (0, 0))
        own = [costs.get(key, (0, 0)) for key in self.folds]
        steps, windows = (round(fmean(c[i] for c in own)) + shared[i] for i in (0, 1))
        return steps, windows

    def cut(self, part: Part) -> int:
        """Steps that a budget left out of a part of the training: of a fold, on the mean."""
        return round(fmean(self.missed.get((part, key), 0) for key in self.folds))

    def __call__(
        self, ctx: Context, number: int, of: int, losses: Mapping[str, float],
        predictor: Predictor | None,
    ) -> None:
        """An epoch of a stage is over."""
        row = {k: round(float(v), 6) for k, v in losses.items()}
        detail = "  ".join(f"{_SHORT.get(k, k)} {v:.4f}" for k, v in losses.items())
        curve = self.curves.setdefault(ctx.stage, {})
        shared = "subject" not in ctx.seed_axes
        name = "" if shared else "/".join(map(str, _key(ctx)))
        wanted = [] if predictor is None else self._seen(ctx, number, of)
        if predictor is not None and wanted:
            with look(predictor) as still:
                found, probas = self._see(wanted, ctx.stage, number, of, still)
            row |= found
            if self.tested is not None:
                self.tested(Look(ctx.stage, number, of, name, probas))
        if not shared:
            curve = curve.setdefault(name, {})
            detail = f"{ctx.fold}  {detail}"
        for key, value in row.items():
            curve.setdefault(key, []).append(value)
        self.tell(ctx.stage, number, of, detail)

    def wanted(self, ctx: Context, number: int, of: int) -> list[NDArray[Any]]:
        """Windows that a predictor is asked for when told of an epoch, each array once."""
        looked_at: Callable[[Fold], list[NDArray[Any]]] | None
        looked_at = getattr(self.scorer, "windows", None)
        arrays = [
            x for fold in self._seen(ctx, number, of)
            for x in ([fold.tested.x] if self.tested is not None else [])
            + ([] if looked_at is None else looked_at(fold))
        ]
        return list({id(x): x for x in arrays}.values())

    def begin(self, stage: str) -> None:
        """A stage begins anew: its curves are those of what is trained now."""
        self.curves[stage] = {}
        self.costs["before"].pop(None, None)
        if self.tested is not None:
            self.tested(Look(stage, 0, 0, "", {}))

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

    def epochs(self, key: Key) -> int:
        """How many epochs a fold showed; 1 if it showed none."""
        return self.shown.get(key, ("", 1))[1]

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
            return [self.folds[_key(ctx)]]
        if ctx.fold_key is None:
            return []
        source = self.folds[ctx.fold_key].view.source
        return [f for f in self.folds.values() if f.view.source is source]

    def _due(self, fold: Fold, number: int, of: int) -> bool:
        """Whether a rule has planned to take a fold's network at an epoch."""
        planned = self.planned.get(fold.key, {})
        return any(p.within(of) == number for p in planned.values())

    def _see(
        self, folds: Sequence[Fold], stage: str, number: int, of: int, predictor: Predictor
    ) -> tuple[dict[str, float], dict[Key, Proba]]:
        """Look at a predictor: means over the folds for the curves, and test probabilities."""
        rows: list[dict[str, float]] = []
        probas: dict[Key, Proba] = {}
        judged: dict[tuple[int, int], dict[str, float]] = {}
        for fold in folds:
            key = fold.key
            if self.shown.get(key, ("", 0))[0] != stage:  # a later stage ends in another network
                self.picks[key] = {}
            self.shown[key] = (stage, of)
            # Folds that share all their parts, as a source's held-out subjects, are judged once.
            same = (id(fold.tested), id(fold.view.unlabelled))
            if same not in judged:
                judged[same] = self.scorer(fold, predictor)
            if self.tested is not None:
                probas[key] = self._test(fold, number, of, predictor)
            self._judged(key, number, of, judged[same], probas.get(key))
            rows.append(judged[same])
        found: dict[str, list[float]] = {}
        for row in rows:
            for name, value in row.items():
                if math.isfinite(value):  # a validator may have nothing to go by
                    found.setdefault(name, []).append(value)
        return {name: round(fmean(values), 6) for name, values in found.items()}, probas

    def _test(self, fold: Fold, number: int, of: int, predictor: Predictor) -> Proba:
        """Test probabilities; those of epochs that are planned are kept."""
        key = fold.key
        proba = np.asarray(predictor.predict_proba(fold.tested.x), dtype=np.float64)
        for name, pick in self.planned.get(key, {}).items():
            if pick.within(of) == number:
                self.picks[key][name] = SelectedEpoch(number, of, pick.score, proba)
        return proba

    def _judged(
        self, key: Key, number: int, of: int, values: Mapping[str, float],
        proba: Proba | None = None,
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


def _key(ctx: Context) -> Key:
    """The fold that a context is of: one that names no part, by its subject and session."""
    return ctx.fold_key or (ctx.seed_axes["subject"], ctx.seed_axes["session"])


class Told:
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
