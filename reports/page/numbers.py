"""Scores as the tables show them, for files that must show the same digits."""

from __future__ import annotations

import math
from collections.abc import Sequence


def tenths(value: float | None) -> int | None:
    """Tenths of a percent, rounded as ``percent`` of reports.shared.text rounds: 712 for 71.2."""
    return None if value is None else int(f"{100 * value:.1f}".replace(".", ""))


def thinned(values: Sequence[float | None], most: int) -> list[int]:
    """At most ``most`` positions of a series in even steps, the first and the last among them."""
    n = len(values)
    if n <= most:
        return list(range(n))
    return sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})


def short(value: float, digits: int = 4) -> float:
    """A number to some significant digits: enough for a curve, and short when written."""
    if value == 0 or not math.isfinite(value):
        return 0.0
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))
