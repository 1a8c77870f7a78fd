"""Zero-shot: nothing of the target is seen before it is tested (domain generalisation)."""

from __future__ import annotations

from typing import ClassVar

from ..data.pair import Pair
from .base import Fold, Folds, Protocol, View, subject_sessions


class ZeroShot(Protocol):
    """No target data; every target subject is tested on all its trials."""

    name: ClassVar[str] = "zero-shot"
    target_access: ClassVar[str] = "none: no window of the target corpus"
    grants: ClassVar[frozenset[str]] = frozenset({"source"})
    maps_labels: ClassVar[bool] = True

    def folds(self, pair: Pair, seed: int) -> Folds:
        """One fold for each target subject and session; nothing is drawn."""
        view = View(
            source=pair.source, calibration=None, unlabelled=None, classes=pair.target.labels
        )
        out, target = Folds(), pair.target
        for subject, session in subject_sessions(target):
            test = target.take((target.subject == subject) & (target.session == session))
            out.folds.append(Fold(subject, session, view, test))
        return out
