"""What a tuning searches, and what it may go by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..cells.cell import Cell
from ..errors import IncompatibleError, SettingError, check_known
from ..method import Method, Tunable
from ..protocols.base import Protocol
from ..selection.rules import RULES, lacking, rule

if TYPE_CHECKING:
    from optuna import Trial

#: Rules in the order of trust; the first that a protocol grants is the default.
PREFERRED = ("calibration-val", "source-val")


def default_rule(protocol: Protocol) -> str:
    """Rule that a protocol's tuning goes by if none is named.

    Raises
    ------
    IncompatibleError
        The protocol grants no labels to score by.
    """
    for name in PREFERRED:
        if not lacking(name, protocol):
            return name
    raise IncompatibleError(
        f"{protocol.name} grants no labels that parameters could be scored by",
        "Name an unsupervised validator, if the protocol allows one: bench run --help",
    )


def search_space(
    method: Method, only: Iterable[str] = (), given: Iterable[str] = ()
) -> dict[str, Tunable]:
    """Parameters to search: those with a range that were not set by hand.

    Parameters
    ----------
    only : iterable of str
        Names to search; all if empty.
    given : iterable of str
        Names that were set by hand.

    Raises
    ------
    IncompatibleError
        There is none.
    UnknownNameError
        ``only`` names one that has no range.
    """
    known, names = method.tunable(), set(given)
    found = {k: t for k, t in known.items() if k not in names}
    if not found:
        raise IncompatibleError(
            f"{method.name} has no parameter to tune" + (
                f": {', '.join(known)} {'are' if len(known) > 1 else 'is'} set" if known else ""
            ),
            "Leave out --set of one of them." if known else
            "Its parameters have no search range; see: bench list methods",
        )
    check_known(f"parameter to tune of {method.name}", found, *only)
    return {k: t for k, t in found.items() if not only or k in set(only)}


def check_scored(name: str) -> None:
    """Refuse a rule that has no validation score, or one of test labels."""
    if not rule(name).scored:
        scored = ", ".join(n for n, r in RULES.items() if r.scored)
        why = "uses test labels" if name == "oracle" else "has no score"
        raise SettingError(f"selection {name} {why}, so nothing can be tuned by it",
                           f"Rules that can: {scored}")


def suggested(trial: Trial, name: str, t: Tunable) -> Any:
    """Value of a parameter in a trial."""
    if t.scale == "choice":
        return trial.suggest_categorical(name, list(t.values))
    low, high = t.values
    if t.whole:
        return trial.suggest_int(name, int(low), int(high), log=t.scale == "log")
    return trial.suggest_float(name, low, high, log=t.scale == "log")


def data_used(name: str, cell: Cell) -> str:
    """Which data a tuning by a rule goes by, in words, and whether that is extra access."""
    needs, parts = rule(name).needs, []
    subjects = len({f.subject for f in cell.folds().folds})
    if "source labels" in needs:
        parts.append("held-out source subjects")
    if "calibration" in needs:
        parts.append(f"calibration trials of all {subjects} target subjects: extra access")
    if "unlabelled" in needs:
        parts.append(f"unlabelled windows of all {subjects} target subjects: extra access")
    return "; ".join(parts)
