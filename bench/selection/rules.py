"""Rules that choose the epoch whose network is scored: named, and part of every record.

A rule may use only what the protocol grants. Rules that hold data out need a training of their
own: pass A trains without the held-out part, which gives the best epoch of each fold; pass B trains
on everything, and the network is taken at that epoch. All others are evaluated while pass B goes
on, each a column of the record; only the chosen one is ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ..data.windows import Windows
from ..errors import IncompatibleError, check_known
from ..protocols.base import Fold, Protocol
from ..protocols.scaling import Scaling

#: Share of the source's subjects that are held out, at least one.
HELD_OUT = 0.2
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
        Which labels and windows it chooses by, for records.
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
    Rule("oracle", "labels of the test windows (accuracy): never ranked", scored=False),
)}


def rule(name: str) -> Rule:
    """Rule by name.

    Raises
    ------
    UnknownNameError
        Suggests the nearest names.
    """
    check_known("selection rule", RULES, name)
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
    IncompatibleError
        Names rule, protocol and what is lacking.
    """
    missing = lacking(name, protocol)
    if missing:
        possible = [n for n in RULES if not lacking(n, protocol)]
        raise IncompatibleError(
            f"selection {name} needs {missing}, which {protocol.name} does not grant",
            f"Under {protocol.name}: {', '.join(possible)}",
        )
    if rule(name).holds_out == "calibration" and getattr(protocol, "calibration_trials", 0) == 1:
        raise IncompatibleError(
            f"selection {name} holds out one calibration trial of each class, and with 1 trial of "
            "each none would be left to learn from",
            "Use --selection last, or 2 trials and more of each class.",
        )


def evaluated(chosen: str, protocol: Protocol) -> list[Rule]:
    """Rules a run evaluates, in the order of :data:`RULES`: all that cost no further training."""
    held = rule(chosen).holds_out
    return [
        r for r in RULES.values() if r.holds_out in ("", held) and not lacking(r.name, protocol)
    ]


def held_out(
    folds: Sequence[Fold], what: Literal["source", "calibration"], scaling: Scaling, seed: int
) -> list[Fold]:
    """Folds whose view lacks a part, which stands in place of the test windows; scaled.

    The statistics of the scaling are those of what is left in the view. Folds in which nothing
    can be held out are left out; folds that share a source go on sharing what is left of it.

    Parameters
    ----------
    folds : sequence of Fold
        Not scaled yet.
    what : {"source", "calibration"}
        A fifth of the source's subjects, drawn by the seed; or the last calibration trial of each
        class, where a class has more than one.
    """
    if what == "calibration":
        cut = [_without_trials(fold) for fold in folds]
        return scaling.folds([fold for fold in cut if fold is not None])
    return _without_subjects(folds, scaling, seed)


def _without_trials(fold: Fold) -> Fold | None:
    """Fold without the last calibration trial of each class, or None if one has no other."""
    windows = fold.view.calibration
    if windows is None:
        return None
    chosen = []
    for label in np.unique(windows.y):
        mine = windows.y == label
        trials = sorted(set(zip(windows.order[mine].tolist(), windows.trial[mine].tolist(),
                                strict=True)))
        if len(trials) < 2:
            return None
        chosen.append(trials[-1][1])
    out = np.isin(windows.trial, chosen)
    view = replace(fold.view, calibration=windows.take(~out))
    return fold.changed(view, windows.take(out))


def _without_subjects(folds: Sequence[Fold], scaling: Scaling, seed: int) -> list[Fold]:
    parts: dict[int, tuple[Windows, Windows] | None] = {}
    cut = []
    for fold in folds:
        source = fold.view.source
        if id(source) not in parts:
            parts[id(source)] = _cut_source(source, seed) if isinstance(source, Windows) else None
        found = parts[id(source)]
        if found is not None:
            view = replace(fold.view, source=found[0])
            cut.append(fold.changed(view))
    # The held-out subjects are scaled as the source is, whatever the target is scaled by.
    scaled = {
        id(kept): scaling.aside(kept, out)
        for kept, out in (pair for pair in parts.values() if pair is not None)
    }
    return [
        new.changed(test=scaled[id(old.view.source)])
        for old, new in zip(cut, scaling.folds(cut), strict=True)
    ]


def _cut_source(source: Windows, seed: int) -> tuple[Windows, Windows] | None:
    """Source without some subjects, and these; None if it has only one."""
    named = np.char.add(np.char.add(source.corpus, "/"), source.subject.astype(str))
    names = np.unique(named)
    if len(names) < 2:
        return None
    count = max(1, round(HELD_OUT * len(names)))
    out = np.isin(named, np.random.default_rng([seed, len(names)]).permutation(names)[:count])
    return source.take(~out), source.take(out)
