"""Sizes of a calibration: so many trials of each class, or a share of them; and curves of sizes.

All points of a curve are tested on the same trials: those that its largest size leaves. A smaller
calibration is the beginning of a larger one, so that points differ in what was learnt from alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.windows import Windows
from ..errors import SettingError

_EXAMPLE = "Trials of each class, or a share of them: --calibration 1,2,3,5,60%"


@dataclass(frozen=True)
class CalibrationSize:
    """A number of trials of each class, or a share of them, rounded up; the other is None."""

    trials: int | None
    share: float | None = None

    def __str__(self) -> str:
        return f"{100 * self.share:g}%" if self.share is not None else str(self.trials)

    @classmethod
    def parse(cls, text: str) -> CalibrationSize:
        """``3`` or ``60%``.

        Raises
        ------
        SettingError
        """
        number, percent, rest = text.strip().partition("%")
        try:
            size = cls(None, float(number) / 100) if percent else cls(int(number))
        except ValueError:
            raise SettingError(f"{text!r} is no calibration size", _EXAMPLE) from None
        if rest or not (0 < size.share < 1 if size.share is not None else (size.trials or 0) > 0):
            raise SettingError(f"{text!r} is no calibration size", _EXAMPLE)
        return size

    def options(self) -> dict[str, Any]:
        """Options of a protocol that calibrates on so much."""
        return {"calibration_trials": self.trials} if self.share is None else {"share": self.share}

    def of(self, trials: int) -> int | None:
        """How many of a class's trials; None if that leaves none to test."""
        if self.share is None:
            assert self.trials is not None
            return self.trials if self.trials < trials else None
        # A share always leaves one. Rounding: 0.6 times 5 is a little more than 3.
        return min(math.ceil(round(self.share * trials, 9)), trials - 1) if trials > 1 else None


def sizes_of(texts: Iterable[str]) -> list[CalibrationSize]:
    """Sizes, each once, whatever the order they were written in: numbers, then shares.

    Raises
    ------
    SettingError
    """
    found = {CalibrationSize.parse(text) for text in texts}
    return sorted(found, key=lambda s: (s.share is not None, s.share or s.trials))


def counts(target: Windows) -> list[list[int]]:
    """Number of trials of each class, for each subject and session."""
    out = []
    for subject, session in sorted(set(zip(target.subject.tolist(), target.session.tolist(),
                                           strict=True))):
        mine = (target.subject == subject) & (target.session == session)
        _, first = np.unique(target.trial[mine], return_index=True)
        out.append(np.bincount(target.y[mine][first], minlength=len(target.labels)).tolist())
    return out


def given(size: CalibrationSize, every: Sequence[Sequence[int]]) -> list[list[int]]:
    """Trials of each class that a size takes, for each subject and session that can give them."""
    taken = [[size.of(n) for n in trials] for trials in every]
    return [[n for n in row if n is not None] for row in taken if None not in row]
