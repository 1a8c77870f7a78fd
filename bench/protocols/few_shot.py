"""Few-shot: calibrate on a few trials of each class, test on the others.

The setting of SCMM (Liu et al., ACM MM 2025) and of the field's within-session experiments: nine
of SEED's fifteen trials calibrate, six test. A trial is never split. The first trials calibrate
unless they are to be drawn: then the test is no longer later than the calibration, and a drift
within the session is seen on both sides.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ..data.pair import Pair
from .base import Draw, Folds, Protocol, cut_target


class FewShot(Protocol):
    """k labelled trials of the tested subject, the rest is test."""

    name: ClassVar[str] = "few-shot"
    target_access: ClassVar[str] = "target-supervised: labelled trials of the tested subject"
    grants: ClassVar[frozenset[str]] = frozenset({"source", "calibration"})

    calibration_trials: int | None = Field(
        None, ge=1, description="trials of each class to calibrate on; 60 % of each class if unset"
    )
    share: float = Field(
        0.6, gt=0, lt=1, description="share of each class's trials, rounded up, one left to test"
    )
    draw: Draw = Field(
        "chronological", description="chronological: the first trials of each class calibrate; "
        "random: trials of each class drawn with the seed"
    )

    def access(self) -> str:
        """What of the target a method sees under these options."""
        if self.draw == "chronological":
            return self.target_access
        return f"{self.target_access}, drawn from the whole session"

    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut each target subject and session."""
        cuts, out = cut_target(
            pair.target, seed, share=self.share, count=self.calibration_trials, draw=self.draw
        )
        out.folds.extend(cut.fold(pair, calibration=cut.earlier) for cut in cuts)
        return out
