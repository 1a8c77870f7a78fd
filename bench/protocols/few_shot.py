"""Few-shot: calibrate on a few trials of each class, test on the others.

The setting of SCMM (Liu et al., ACM MM 2025) and of the field's within-session experiments: nine
of SEED's fifteen trials calibrate, six test. A trial is never split. The first trials of each class
calibrate. In SEED every tested trial comes after all of them. In SEED-IV and DEAP, whose classes
are not spread evenly over the session, many a tested trial was shown before a calibration trial of
another class, so that a drift within the session is in part seen on both sides; a notice counts
them. ``draw="strictly-later"`` cuts the session at one time instead, for all classes, so that every
tested trial comes after all that calibrate; ``draw="random"`` draws, and a drift is seen on both
sides.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from ..data.pair import Pair
from .base import Draw, Folds, Protocol, check_order, cut_target


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
        "chronological", description="chronological: the first trials of each class calibrate, "
        "all others are tested; strictly-later: the session is cut at one time, and what was shown "
        "after it is tested; "
        "random: trials of each class drawn with the seed"
    )

    def access(self) -> str:
        """What of the target a method sees under these options."""
        return self.target_access + _ACCESS[self.draw]

    def check_pair(self, pair: Pair) -> None:
        """Refuse to test strictly later where nobody knows what is later.

        Raises
        ------
        IncompatibleError
        """
        if self.draw == "strictly-later":
            check_order(pair.target)

    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut each target subject and session."""
        cuts, out = cut_target(
            pair.target, seed, share=self.share, count=self.calibration_trials, draw=self.draw
        )
        out.folds.extend(cut.fold(pair, calibration=cut.earlier) for cut in cuts)
        if self.draw == "chronological" and not out.notices:  # else the order is not known
            before = sum(cut.preceding for cut in cuts)
            trials = sum(len(np.unique(cut.later.trial)) for cut in cuts)
            out.notices.extend([_preceding(before, trials)] * (before > 0))
        return out


#: What each draw adds to the target access.
_ACCESS = {
    "chronological": "", "strictly-later": ", all shown before the tested ones",
    "random": ", drawn from the whole session",
}


def _preceding(before: int, trials: int) -> str:
    return (f"{before} of {trials} tested trials were shown before a calibration trial of another "
            "class; --protocol-set draw=strictly-later cuts the session at one time")
