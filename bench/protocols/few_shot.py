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

from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator

from ..data.pair import Pair
from ..data.windows import Windows
from ..errors import IncompatibleError, SettingError
from .base import Draw, Folds, Protocol, check_order, cut_target
from .calibration import CalibrationSize, counts, given, sizes_of


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

    curve: str = Field(
        "", description="sizes of the curve this is a point of, as 1,2,3,5,60%: tested are the "
        "trials that the largest leaves; a size that leaves none of a class is passed over"
    )

    @field_validator("curve")
    @classmethod
    def _sizes(cls, value: str) -> str:
        try:
            return ",".join(map(str, sizes_of(t for t in value.split(",") if t)))
        except SettingError as error:
            raise ValueError(error.message) from error

    @property
    def size(self) -> CalibrationSize:
        """What calibrates."""
        if self.calibration_trials is not None:
            return CalibrationSize(self.calibration_trials)
        return CalibrationSize(None, self.share)

    @property
    def sizes(self) -> list[CalibrationSize]:
        """Sizes of the curve."""
        return sizes_of(t for t in self.curve.split(",") if t)

    @property
    def draws(self) -> bool:
        """Whether trials are drawn with the seed."""
        return self.draw == "random"

    def resolved(self, target: Windows) -> Self:
        """A share is the number of trials that it comes to, where that is on the curve too."""
        if not self.curve or self.calibration_trials is not None or \
                self.draw == "strictly-later":  # there, a share is one of the session
            return self
        every = counts(target)
        mine = given(self.size, every)
        for size in self.sizes:
            if size.share is None and given(size, every) == mine:
                whole = {"calibration_trials": size.trials,
                         "share": type(self).model_fields["share"].default}
                return self.model_copy(update=whole)
        return self

    def check_pair(self, pair: Pair) -> None:
        """Refuse to test strictly later where nobody knows what is later, and what none can give.

        Raises
        ------
        IncompatibleError
            Also for a point of a curve that no subject can give.
        """
        if self.draw == "strictly-later":
            check_order(pair.target)
        every = counts(pair.target)
        if self.curve and not given(self.size, every):
            most = max(min(trials) for trials in every)
            raise IncompatibleError(
                f"{pair.target_name} cannot calibrate on {self.size} trials of each class and "
                f"test on another: it has {most} at most, so this size is left out of the curve"
            )

    def access(self) -> str:
        """What of the target a method sees under these options."""
        return self.target_access + _ACCESS[self.draw]

    def describe(self) -> dict[str, Any]:
        """Name, options and target access; of a curve only where it is a point of one."""
        described = super().describe()
        if not self.curve:
            del described["params"]["curve"]
        return described

    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut each target subject and session."""
        cuts, out = cut_target(pair.target, seed, self.size, self.draw, self.sizes)
        out.folds.extend(cut.fold(pair, calibration=cut.earlier) for cut in cuts)
        if self.draw == "chronological" and not out.notices:  # else the order is not known
            before = sum(cut.preceding for cut in cuts)
            trials = sum(len(np.unique(cut.later.trial)) for cut in cuts)
            if before:
                out.notices.append(
                    f"{before} of {trials} tested trials were shown before a calibration trial "
                    "of another class; --protocol-set draw=strictly-later cuts the session at one "
                    "time")
        return out


#: What each draw adds to the target access.
_ACCESS = {
    "chronological": "", "strictly-later": ", all shown before the tested ones",
    "random": ", drawn from the whole session",
}
