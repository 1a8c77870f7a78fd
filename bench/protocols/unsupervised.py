"""Unsupervised domain adaptation: target windows without their labels.

Both forms are tested on the same windows, the later trials that ``few-shot`` tests on, so that
they differ in nothing but which windows are seen beforehand.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ..data.pair import Pair
from .base import Folds, Protocol, cut_target
from .calibration import CalibrationSize


class Unsupervised(Protocol):
    """Unlabelled target windows: of earlier trials, or the tested ones themselves.

    Labels decide nothing but the cut: trials of classes that the label map drops are on neither
    side, and each class has trials on both.
    """

    name: ClassVar[str] = "unsupervised"
    target_access: ClassVar[str] = "unlabelled: other trials of the tested subject"
    grants: ClassVar[frozenset[str]] = frozenset({"source", "unlabelled"})
    maps_labels: ClassVar[bool] = True

    form: Literal["inductive", "transductive"] = Field(
        "inductive", description="inductive: other trials of the tested subject than the tested; "
        "transductive: the tested windows themselves"
    )
    share: float = Field(
        0.6, gt=0, lt=1, description="share of each class's trials that come before the tested"
    )

    @property
    def transductive(self) -> bool:
        """Whether a view holds the tested windows themselves, unlabelled."""
        return self.form == "transductive"

    def access(self) -> str:
        """What of the target a method sees under these options."""
        return "unlabelled: the tested windows" if self.transductive else self.target_access

    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut each target subject and session as ``few-shot`` does."""
        cuts, out = cut_target(pair.target, seed, CalibrationSize(None, self.share))
        for cut in cuts:
            seen = cut.later if self.transductive else cut.earlier
            out.folds.append(cut.fold(pair, unlabelled=seen.without_labels()))
        return out
