"""What passes between engine and method: what it is handed, and what it must give back.

A method is handed what it needs of what the protocol grants, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..data.pair import Pair
from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, IncompatibleError
from ..method import Method, Needs
from ..protocols.base import Fold, Protocol, View

AnyWindows = Windows | UnlabelledWindows

#: A prediction may change by this much when a window is predicted alone: rounding of float32.
INDEPENDENCE = 1e-4


def check_compatible(method: Method, protocol: Protocol, pair: Pair) -> None:
    """Refuse a method that needs what protocol or features do not give.

    Raises
    ------
    IncompatibleError
        Says what is needed, what is granted, and what to do.
    """
    needs = method.needs_under(protocol.grants)
    lacking = needs.lacking(protocol.grants)
    if lacking:
        raise IncompatibleError(
            f"{method.name} needs {' and '.join(lacking)}, which {protocol.name} does not grant",
            f"{protocol.name} grants: {', '.join(sorted(protocol.grants))}",
        )
    method.check_space(pair.source.space)


def restrict_source(
    source: AnyWindows | None, need: Literal["none", "unlabelled", "labelled"]
) -> AnyWindows | None:
    """Source with its labels, without them, or not at all."""
    if need == "none":
        return None
    if need == "unlabelled" and isinstance(source, Windows):
        return source.without_labels()
    return source


def restrict_views(folds: Sequence[Fold], needs: Needs) -> list[Fold]:
    """Folds whose views are narrowed to a method's needs.

    A method that needs unlabelled target windows gets, where the protocol grants labelled ones
    instead, those without their labels. Folds that share a source go on sharing it.
    """
    sources: dict[int, AnyWindows | None] = {}
    out = []
    for fold in folds:
        view = fold.view
        if id(view.source) not in sources:
            sources[id(view.source)] = restrict_source(view.source, needs.source)
        unlabelled = view.unlabelled if needs.unlabelled else None
        if needs.unlabelled and unlabelled is None and view.calibration is not None:
            unlabelled = view.calibration.without_labels()
        narrowed = View(
            source=sources[id(view.source)], calibration=view.calibration,
            unlabelled=unlabelled, classes=view.classes,
        )
        out.append(Fold(fold.subject, fold.session, narrowed, fold.open_test()))
    return out


def alone_too(method: Method, test: Windows) -> list[int]:
    """Windows that are to be predicted a second time, alone."""
    if method.transductive or len(test) < 3:
        return []
    return np.unique(np.linspace(0, len(test) - 1, 5).astype(int))[::-1].tolist()


def check_probabilities(
    method: Method, test: Windows, proba: np.ndarray, alone: Sequence[np.ndarray], classes: int
) -> None:
    """Refuse predictions that break the contract.

    Parameters
    ----------
    alone : sequence of (1, classes)
        Of the windows of :func:`alone_too`.

    Raises
    ------
    BenchError
        Wrong shape, not probabilities, or a window's row depends on its neighbours.
    """
    if proba.shape != (len(test), classes):
        raise BenchError(
            f"{method.name} predicted an array of shape {proba.shape} for {len(test)} windows and "
            f"{classes} classes"
        )
    if not np.isfinite(proba).all() or (proba < -1e-9).any() or (
        abs(proba.sum(axis=1) - 1) > 1e-3
    ).any():
        raise BenchError(f"{method.name} predicted rows that are no probabilities")
    if not alone:
        return
    worst = float(np.abs(np.concatenate(alone) - proba[alone_too(method, test)]).max())
    if worst > INDEPENDENCE:
        raise IncompatibleError(
            f"{method.name} predicts a window differently alone and among others (by {worst:.2g})",
            "A method that uses test windows together must declare transductive = True.",
        )
