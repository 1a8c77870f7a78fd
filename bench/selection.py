"""Rules that choose the epoch whose network is scored: named, and part of every record.

A rule may use only what the protocol grants. Rules that hold data out need a training of their
own: pass A trains without the held-out part, which gives the best epoch of each fold; pass B trains
on everything, and the network is taken at that epoch. All others are evaluated while pass B goes
on, each a column of the record; only the chosen one is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .errors import UnknownNameError, UnsuitedError
from .protocol import Protocol

#: Why a protocol cannot grant what a rule needs.
LACKING: Mapping[str, str] = {
    "source labels": "source windows in the classes the final network tells apart",
    "calibration": "labelled calibration trials of the tested subject",
    "unlabelled": "unlabelled target windows that are not trained on with their labels",
}


@dataclass(frozen=True)
class Rule:
    """One way to choose an epoch.

    Attributes
    ----------
    name : str
        On the command line.
    uses : str
        Which labels and windows it uses, for records.
    needs : tuple of str
        What a protocol must grant: keys of :data:`LACKING`.
    holds_out : {"", "source", "calibration"}
        What it holds out; "" for a rule that needs no training of its own.
    scored : bool
        Whether it has a validation score.
    """

    name: str
    uses: str
    needs: tuple[str, ...] = ()
    holds_out: Literal["", "source", "calibration"] = ""
    scored: bool = True


RULES: dict[str, Rule] = {r.name: r for r in (
    Rule("last", "nothing: the last epoch", scored=False),
    Rule("source-val", "labels of held-out source subjects", ("source labels",), "source"),
    Rule("calibration-val", "labels of one calibration trial of each class, held out",
         ("calibration",), "calibration"),
    Rule("entropy", "predictions on unlabelled target windows", ("unlabelled",)),
    Rule("snd", "predictions on unlabelled target windows", ("unlabelled",)),
    Rule("mixval", "unlabelled target windows and mixtures of them", ("unlabelled",)),
    Rule("mano", "predictions on unlabelled target windows", ("unlabelled",)),
    Rule("importance-weighted",
         "labels of held-out source subjects, weighted by unlabelled target windows",
         ("source labels", "unlabelled"), "source"),
    Rule("dev",
         "labels of held-out source subjects, weighted by encodings of unlabelled target windows",
         ("source labels", "unlabelled"), "source"),
    Rule("oracle", "labels of the test windows: never ranked", scored=False),
)}


def rule(name: str) -> Rule:
    """Rule by name.

    Raises
    ------
    UnknownNameError
        Suggests the nearest names.
    """
    if name not in RULES:
        raise UnknownNameError("selection rule", name, RULES)
    return RULES[name]


def grants_of(protocol: Protocol) -> frozenset[str]:
    """What a protocol grants to rules: any of the keys of :data:`LACKING`.

    Where calibration trials are granted the network ends in the target's own classes, so that
    source windows cannot score it, and it has seen the labels of the target windows granted.
    """
    if "calibration" in protocol.grants:
        return frozenset({"calibration"})
    found = {"unlabelled"} & protocol.grants
    return frozenset(found | ({"source labels"} if "source" in protocol.grants else set()))


def lacking(name: str, protocol: Protocol) -> str:
    """What a rule needs and a protocol does not grant, in words; empty if nothing."""
    missing = [LACKING[n] for n in rule(name).needs if n not in grants_of(protocol)]
    return " and ".join(missing)


def check_selection(name: str, protocol: Protocol) -> None:
    """Refuse a rule that is not known, or that a protocol cannot grant.

    Raises
    ------
    UnknownNameError
    UnsuitedError
        Names rule, protocol and what is lacking.
    """
    missing = lacking(name, protocol)
    if missing:
        possible = [n for n in RULES if not lacking(n, protocol)]
        raise UnsuitedError(
            f"selection {name} needs {missing}, which {protocol.name} does not grant",
            f"Under {protocol.name}: {', '.join(possible)}",
        )


def evaluated(chosen: str, protocol: Protocol) -> list[Rule]:
    """Rules a run evaluates, in the order of :data:`RULES`: all that cost no further training."""
    held = rule(chosen).holds_out
    return [
        r for r in RULES.values() if r.holds_out in ("", held) and not lacking(r.name, protocol)
    ]
