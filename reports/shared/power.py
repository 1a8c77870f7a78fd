"""What a comparison could have seen, said wherever nothing was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median_low

from bench.scoring.inference import MINIMUM, Paired
from bench.scoring.power import detectable

from .text import numbers, percent

#: Level of all tests of reports.
ALPHA = 0.05


def too_few(tests: Iterable[Paired]) -> list[str]:
    """What cannot be told with so few subjects; nothing where there are enough."""
    least = min((test.n for test in tests), default=6)
    lines = ["With fewer than 6 subjects that p cannot fall below 0.05."] * (least < 6)
    return lines + [f"With fewer than {MINIMUM} there is no interval either."] * (least < MINIMUM)


def too_few_for_intervals(tests: Iterable[Paired]) -> str:
    """Why a picture of differences would say nothing; empty where one of them has an interval."""
    every = list(tests)
    if any(t.interval is not None for t in every):
        return ""
    return (f"differences over {numbers({t.n for t in every})} subjects have no interval: with "
            f"fewer than {MINIMUM} nothing can be said of them")


def sensitivity(tests: Sequence[Paired], family: int) -> str:
    """What comparisons could have seen: the smallest difference found with 80 % power.

    Parameters
    ----------
    tests : sequence of Paired
    family : int
        How many comparisons Holm's correction runs over.

    Returns
    -------
    str
        Empty where the differences of a test that could see something do not spread.
    """
    seen = sorted(d for test in tests if (d := smallest(test, family)) is not None)
    subjects = numbers({test.n for test in tests})
    among = f" among {family} comparisons" if family > 1 else ""
    if not seen and any(detectable(test.n, family, ALPHA) for test in tests):
        return ""  # the differences do not spread at all
    if not seen:
        return (f"With {subjects} subject{'s' * (subjects != '1')}{among} none could be, however "
                "large.")
    points = percent(seen[0])
    if percent(seen[-1]) != points:
        points += f" to {percent(seen[-1])} (half of them at most {percent(median_low(seen))})"
    return (f"Smallest difference that this test finds with 80 % power, with {subjects} subjects"
            f"{among} and differences that spread as these do: {points} points.")


def smallest(test: Paired, family: int) -> float | None:
    """Smallest difference that a comparison finds with 80 % power; None where it finds none."""
    effect = detectable(test.n, family, ALPHA)
    return None if effect is None or not test.sd else effect * test.sd
