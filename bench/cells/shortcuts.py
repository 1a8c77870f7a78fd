"""The field's shortcuts: what each one does, who has taken it, and which access it steals.

A shortcut that changes what a method is given alters the honest folds, here and nowhere else: no
method knows of it. All are evaluated beside the honest run, on the same tested windows where the
shortcut allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from ..data.windows import UnlabelledWindows, Windows
from ..errors import IncompatibleError
from ..method import Budget
from ..protocols.base import Fold, Protocol, View
from ..protocols.hold_out import TESTED_STIMULI
from ..protocols.scaling import Scaling
from ..scoring.metrics import FoldOutcome

if TYPE_CHECKING:
    import pandas as pd

#: Most parts that windows of all subjects are cut into when subjects are mixed.
PARTS = 10

Cut = Callable[[Sequence[Fold], int], list[Fold]]
Rescale = Callable[[Sequence[Fold], Scaling, int], list[Fold]]


@dataclass(frozen=True)
class Shortcut:
    """One shortcut.

    Attributes
    ----------
    name : str
        On the command line, and in the identity of its records.
    does : str
        What is done, for tables.
    steals : str
        What of the test set it uses.
    seen : str
        Who did it, or measured it.
    how : {"folds", "epochs", "seeds", "draws", "stimuli", "switch"}
        Where its score comes from: altered folds, the best epoch of the honest run, the best of
        several seeds, the best of several parameter draws, other stimuli held out than the tested
        ones, or a method's own switch.
    cut : callable, optional
        Folds before scaling, and the seed, to altered folds.
    rescale : callable, optional
        Scaled folds, scaling and seed, to altered folds.
    bars : callable, optional
        Why it means nothing under a protocol and scaling; "" if it does.
    note : str
        What a reader must know to judge its number.
    parts : bool
        Whether its folds are parts of the target and no longer its subjects.
    """

    name: str
    does: str
    steals: str
    seen: str
    how: Literal["folds", "epochs", "seeds", "draws", "stimuli", "switch"] = "folds"
    cut: Cut | None = None
    rescale: Rescale | None = None
    bars: Callable[[Protocol, Scaling], str] | None = None
    note: str = ""
    parts: bool = False

    def check(self, protocol: Protocol, scaling: Scaling) -> None:
        """Refuse where the shortcut means nothing.

        Raises
        ------
        IncompatibleError
            Says why.
        """
        reason = self.bars(protocol, scaling) if self.bars else ""
        if reason:
            raise IncompatibleError(reason)


def recut(shortcut: str | None, folds: Sequence[Fold], seed: int) -> list[Fold]:
    """Folds before scaling, altered by a shortcut if one is named.

    A name that is not in :data:`SHORTCUTS` is a method's own switch and alters no fold.
    """
    found = SHORTCUTS.get(shortcut or "")
    return found.cut(folds, seed) if found is not None and found.cut is not None else list(folds)


def scaled_folds(
    shortcut: str | None, folds: Sequence[Fold], scaling: Scaling, seed: int
) -> list[Fold]:
    """Folds scaled, and altered by a shortcut if one is named."""
    found, scaled = SHORTCUTS.get(shortcut or ""), scaling.folds(folds)
    if found is not None and found.rescale is not None:
        return found.rescale(scaled, scaling, seed)
    return scaled


def test_scaled_alone(fold: Fold, scaling: Scaling) -> Fold:
    """Fold whose tested windows are scaled by their own statistics."""
    test = fold.open_test()
    return fold.changed(test=scaling.fit(test.x).apply(test))


def scaled_together(fold: Fold, scaling: Scaling) -> Fold:
    """Fold whose target windows, granted and tested, are scaled by the statistics of them all.

    Scalers are affine per feature, so that it does not matter that the fold is scaled already.
    """
    view, test = fold.view, fold.open_test()
    parts = [p.x for p in (view.calibration, view.unlabelled) if p is not None]
    scaler = scaling.fit(np.concatenate([*parts, test.x]))
    changed = replace(
        view,
        calibration=None if view.calibration is None else scaler.apply(view.calibration),
        unlabelled=None if view.unlabelled is None else scaler.apply(view.unlabelled),
    )
    return fold.changed(changed, scaler.apply(test))


def split_windows(fold: Fold, seed: int) -> Fold:
    """Fold cut by windows, not by trials: of each class as many on either side as before."""
    view, test = fold.view, fold.open_test()
    if view.calibration is None:
        raise IncompatibleError("there are no labelled windows of the tested subject to draw from")
    both = Windows.concatenate([view.calibration, test])
    rng = np.random.default_rng([seed, fold.subject, fold.session, 3])
    first = np.zeros(len(both), dtype=bool)
    for label in range(both.n_classes):
        mine = np.flatnonzero(both.y == label)
        count = int((view.calibration.y == label).sum())
        first[rng.permutation(mine)[:count]] = True
    return fold.changed(replace(view, calibration=both.take(first)), both.take(~first))


def mixed(folds: Sequence[Fold], seed: int) -> list[Fold]:
    """The tested windows of all subjects, mixed and cut into parts; each is tested once.

    A part is tested after training on the windows of all other parts, labelled, beside what the
    honest folds grant: in place of the calibration windows of one subject there are those of all;
    where none are granted the windows join the source (under ``within`` they are the source).
    """
    tested = Windows.concatenate([f.open_test() for f in folds])
    parts = np.random.default_rng([seed, 4]).permutation(len(tested))
    count = max(2, min(len(folds), PARTS))
    out = []
    for number, part in enumerate(np.array_split(parts, count), 1):
        inside = np.zeros(len(tested), dtype=bool)
        inside[part] = True
        view = _joined(folds, tested.take(~inside))
        out.append(Fold(number, 0, view, tested.take(inside)))
    return out


def _joined(folds: Sequence[Fold], known: Windows) -> View:
    view = folds[0].view
    source: Windows | UnlabelledWindows | None = view.source
    calibration, unlabelled = None, None
    if view.calibration is not None:
        calibration = Windows.concatenate(
            [*(f.view.calibration for f in folds if f.view.calibration is not None), known]
        )
    elif source is None or _of_target(folds[0]):
        source = known
    elif isinstance(source, Windows):
        source = Windows.concatenate([source, known])
    granted = [f.view.unlabelled for f in folds if f.view.unlabelled is not None]
    if granted:
        unlabelled = UnlabelledWindows.concatenate(granted)
    return View(source, calibration, unlabelled, view.classes)


def _of_target(fold: Fold) -> bool:
    """Whether the windows to train on are of the target corpus, as under ``within``."""
    source = fold.view.source
    return source is not None and bool(set(source.corpus) & set(fold.open_test().corpus))


def _mixed_raw(folds: Sequence[Fold], seed: int) -> list[Fold]:
    return mixed(folds, seed) if _trains_on_target(folds[0]) else list(folds)


def _mixed_scaled(folds: Sequence[Fold], scaling: Scaling, seed: int) -> list[Fold]:
    # Where source and target meet in one training set, each is scaled first, as in the honest run.
    return list(folds) if _trains_on_target(folds[0]) else mixed(folds, seed)


def _trains_on_target(fold: Fold) -> bool:
    return fold.view.calibration is not None or _of_target(fold)


def more_windows(before: Sequence[Fold], after: Sequence[Fold]) -> float:
    """How many times as many calibration windows altered folds have, on average.

    A budget of steps is stretched by it, so that windows are seen as often as in the honest run.
    """
    sizes = [
        [len(f.view.calibration) for f in folds if f.view.calibration is not None]
        for folds in (before, after)
    ]
    if not all(sizes):
        return 1.0
    return float(np.mean(sizes[1]) / np.mean(sizes[0]))


def stretched(budget: Budget, times: float) -> Budget:
    """Budget whose fitting may take so many times as many steps."""
    return budget if budget.fit is None else replace(budget, fit=round(budget.fit * times))


def per_subject(folds: Sequence[Fold], table: pd.DataFrame) -> list[FoldOutcome]:
    """Outcome of each subject and session, wherever its windows were tested.

    Parameters
    ----------
    folds : sequence of Fold
        As they were trained; parts of mixed subjects are no subjects.
    table : DataFrame
        Predictions, one row per tested window.

    Returns
    -------
    list of FoldOutcome
        By subject and session.
    """
    trained = [f.view.calibration for f in folds if f.view.calibration is not None]
    trained = trained or [f.view.source for f in folds if isinstance(f.view.source, Windows)]
    corpus = folds[0].open_test().corpus[0]
    columns = [f"p{k}" for k in range(len(folds[0].view.classes))]
    out = []
    for key, mine in table.groupby(["subject", "session"]):
        here = [
            w.trial[(w.corpus == corpus) & (w.subject == key[0]) & (w.session == key[1])]
            for w in trained
        ]
        y, proba, trial = (mine[names].to_numpy() for names in ("y", columns, "trial"))
        out.append(FoldOutcome.of(
            cast("tuple[int, int]", key), y, proba, trial, test_trials=trial,
            calibration_trials=np.concatenate([*here, []]),
            # Several folds train on the same windows: the sum would count them again and again.
            calibration_windows=max(map(len, here), default=0),
        ))
    return out


def _no_scaling(protocol: Protocol, scaling: Scaling) -> str:
    return "nothing is scaled" if scaling.kind == "none" else ""


def _no_granted(protocol: Protocol, scaling: Scaling) -> str:
    if protocol.transductive:
        return "the protocol grants the tested windows: there it is no secret"
    if scaling.transductive:
        return "the scope of the scaling says that it takes the tested windows: it is no secret"
    if not protocol.grants & {"calibration", "unlabelled"}:
        return "no target windows are granted to be joined by the tested ones; see test-scaler"
    return _no_scaling(protocol, scaling)


def _no_subjects(protocol: Protocol, scaling: Scaling) -> str:
    if scaling.scope.startswith("subject"):
        return "subjects are scaled one by one, and a part of mixed subjects is none"
    return ""


def _no_calibration(protocol: Protocol, scaling: Scaling) -> str:
    if "calibration" in protocol.grants:
        return ""
    return "no labelled trials of the tested subject are granted that could be cut by windows"


#: All that concern any method, in the order of tables.
SHORTCUTS: Mapping[str, Shortcut] = {s.name: s for s in (
    Shortcut(
        "best-test-epoch", "the epoch of highest test accuracy is reported",
        steals="test labels choose the epoch", how="epochs",
        note="each subject's own best epoch",
        seen="10 of 12 public repositories of the field, SCMM, TF-C and SimMTM among them",
    ),
    Shortcut(
        "test-scaler", "tested windows are scaled by their own statistics",
        steals="statistics of the tested windows", bars=_no_scaling,
        rescale=lambda folds, scaling, seed: [test_scaled_alone(f, scaling) for f in folds],
        seen="SCMM's released loader; +12.5 points on SEED (Fdez et al. 2021)",
    ),
    Shortcut(
        "split-windows", "windows of one trial stand on both sides",
        steals="labelled windows of the tested trials", bars=_no_calibration,
        note="tested windows differ from the honest ones, as many of each class",
        cut=lambda folds, seed: [split_windows(f, seed) for f in folds],
        seen="+37 points on DEAP, DGCNN (audit of TorchEEG's splitters)",
    ),
    Shortcut(
        "mixed-subjects", "windows of all target subjects are mixed and cut into parts",
        steals="labelled windows of the tested trials and of all other target subjects",
        cut=_mixed_raw, rescale=_mixed_scaled, parts=True, bars=_no_subjects,
        note="also trains on more windows than the honest run, each as often; under within on as "
        "many",
        seen="97.7 against 69.2 on DEAP in one paper: subject-mixed 10-fold against "
        "leave-one-subject-out",
    ),
    Shortcut(
        "transductive-scaling", "granted and tested windows are scaled together",
        steals="statistics of the tested windows", bars=_no_granted,
        rescale=lambda folds, scaling, seed: [scaled_together(f, scaling) for f in folds],
        seen="per-subject normalisation of whole recordings, in most published pipelines",
    ),
    Shortcut(
        TESTED_STIMULI, "tested stimuli are trained on, as shown to other subjects or in other "
        "sessions", steals="the tested stimuli, with their classes", how="stimuli",
        seen="leaving one subject out on SEED or DEAP, where all subjects see the same films",
    ),
    Shortcut(
        "tuned-on-test", "of several parameter draws the best on test is reported",
        steals="test labels choose the parameters", how="draws",
        seen="SCMM's released settings differ from pair to pair, without a rule",
    ),
    Shortcut(
        "best-of-seeds", "of several seeds the best on test is reported",
        steals="test labels choose the seed", how="seeds",
        seen="single seeds without a stated choice; SCMM's release has one seed, 42",
    ),
)}
