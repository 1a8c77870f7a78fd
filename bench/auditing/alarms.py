"""Alarms: scores that cannot be, or that say less than they seem to.

Everything is told from records, so that the screen of a run, the reports and ``bench audit
--records`` raise the same ones. An alarm is no proof: it names what a reader must look into before
a number is believed.
"""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import Self

import numpy as np

from ..errors import BenchError
from ..scoring.inference import mean_interval
from ..scoring.metrics import PRECISION, UNITS
from ..store.records import Record
from .findings import Finding

#: Share of the windows in one class from which on a method is said to know one class only.
DEGENERATE = 0.98
#: Above the best attainable: so sure, or by so much in every subject.
_SURE, _FAR = 0.9998, 0.25
#: Parts of an identity in which records agree that were tested on the same windows.
_TESTED = ("source", "target", "protocol", "features", "label_map", "scale", "seed")
#: Methods that know one class, or the truth, by what they are.
_BY_DESIGN = ("majority", "attainable")
Alarms = Iterator[Finding]


def alarms(records: Iterable[Record], read: bool = True) -> list[Finding]:
    """Alarms of records, which may be of any settings: only like ones are compared.

    Parameters
    ----------
    records : iterable of Record
        One that is not laid out as a record is passed over.
    read : bool
        Read predictions where a record does not say enough: of thousands that would take long.

    Returns
    -------
    list of Finding
        "leak" for scores above the best attainable, else "warning".
    """
    groups: dict[str, list[Scored]] = defaultdict(list)
    for record in records:
        if record.status == "done" and record.folds:
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                one = Scored.of(record, read)
                tested = {k: record.identity.get(k) for k in _TESTED}
                groups[json.dumps(tested, sort_keys=True)].append(one)
    found: list[Finding] = []
    for its in groups.values():
        for one in its:
            found += [*_one_class(one), *_missing_class(one), *_smoothed(one), *_warned(one)]
        found += [*_above_attainable(its), *_saturated(its), *_identical(its, read)]
    return list(dict.fromkeys(found))


@dataclass(frozen=True)
class Scored:
    """What alarms are told from.

    Attributes
    ----------
    record : Record
    scores : dict
        Unit to subject to balanced accuracy, averaged over sessions.
    counts : list of (subject, true, predicted)
        Of each fold: windows of each class, and taken for it; empty where that is not known.
    """

    record: Record
    scores: dict[str, dict[int, float]]
    counts: list[tuple[int, list[int], list[int]]]

    @classmethod
    def of(cls, record: Record, read: bool) -> Self:
        """Look at a record; raises what reading a misshapen one raises."""
        return cls(record, {u: subject_scores(record, u) for u in UNITS}, _counts(record, read))

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.record.identity["method"])

    @property
    def one_class(self) -> bool:
        """Whether nearly all windows of each subject are taken for one class, by no design."""
        windows = sum(sum(predicted) for *_, predicted in self.counts)
        most = sum(max(predicted) for *_, predicted in self.counts)
        return self.method not in _BY_DESIGN and bool(windows) and most > DEGENERATE * windows

    def perfect(self, unit: str) -> bool:
        """Whether everything is right."""
        return all(score == 1.0 for score in self.scores[unit].values())


def one_class(record: Record) -> bool:
    """Whether a record says that nearly all windows of each subject are taken for one class."""
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        return Scored(record, {}, _counts(record, read=False)).one_class
    return False


def name_of(record: Record) -> str:
    """``target-only (scmm) SEED→DEAP 1f3a9c2e``."""
    network = (record.identity.get("params") or {}).get("network")
    method = record.identity["method"] + (f" ({network})" if network else "")
    return f"{method} {_pair(record)} {record.id[:8]}"


def _pair(record: Record) -> str:
    source = (record.identity.get("source") or {}).get("name")
    target = record.identity["target"]["name"]
    return f"{source}→{target}" if source else str(target)


def _counts(record: Record, read: bool) -> list[tuple[int, list[int], list[int]]]:
    """Records of before counts were kept are counted from their predictions, if these are there."""
    if all("true_windows" in fold for fold in record.folds):
        return [(int(f["subject"]), list(map(int, f["true_windows"])),
                 list(map(int, f["predicted_windows"]))) for f in record.folds]
    classes = len(record.classes)
    try:
        table = record.predictions() if read else None
    except BenchError:
        table = None
    if table is None:
        return []
    named = table[[f"p{k}" for k in range(classes)]].to_numpy().argmax(axis=1)
    folds, of_window = np.unique(table[["subject", "session"]].to_numpy(), axis=0,
                                 return_inverse=True)
    y, of_window = table["y"].to_numpy(), of_window.ravel()
    return [
        (int(fold[0]), *(np.bincount(x[of_window == i], minlength=classes).tolist()
                         for x in (y, named)))
        for i, fold in enumerate(folds)
    ]


def subject_scores(
    record: Record, unit: str, metric: str = "balanced_accuracy"
) -> dict[int, float]:
    """Subject to score, averaged over sessions."""
    sessions: dict[int, list[float]] = defaultdict(list)
    for fold in record.folds:
        score = fold["scores"][unit].get(metric)
        if score is not None:
            sessions[int(fold["subject"])].append(float(score))
    return {s: fmean(v) for s, v in sessions.items()}


def _one_class(one: Scored) -> Alarms:
    if one.one_class:
        beside = ", ".join(
            f"{words} {100 * fmean(scores.values()):.1f}" for words, metric in (
                ("balanced accuracy", "balanced_accuracy"), ("AUROC", "auroc"),
                ("average precision", PRECISION),
            ) if (scores := subject_scores(one.record, "window", metric))
        )
        yield Finding(
            "warning", f"predicts one class for over {100 * DEGENERATE:.0f} % of the windows of a "
            f"subject, so that accuracies say nothing of it; per window {beside}"
            + _foreign(one.record),
            name_of(one.record),
        )


def _foreign(record: Record) -> str:
    """What may help where nothing of the target is granted to scale it by."""
    scaling = record.identity.get("scaling")
    by = scaling.get("target") if isinstance(scaling, Mapping) else None
    if record.identity["protocol"]["name"] != "zero-shot" or by != "source":
        return ""
    return ("; the target is scaled by the source's statistics, which may not fit its amplifier: "
            "--scaling window needs none")


def _missing_class(one: Scored) -> Alarms:
    """A class that a target subject lacks: who knows that guesses among fewer."""
    record, k = one.record, len(one.record.classes)
    lacking = sorted({subject for subject, true, _ in one.counts if any(n == 0 for n in true)})
    if lacking:
        named = ", ".join(map(str, lacking[:5])) + ", …" * (len(lacking) > 5)
        yield Finding(
            "warning", f"{record.identity['target']['name']}: a class is missing from the tested "
            f"windows of subject{'s' * (len(lacking) > 1)} {named}: chance is not 1/{k} there",
            name_of(record),
        )


def _smoothed(one: Scored) -> Alarms:
    features = one.record.identity.get("features")
    how = features.get("smoothing") if isinstance(features, Mapping) else None
    if how not in ("none", "", None):
        yield Finding(
            "warning", f"the owner smoothed these features over whole trials ({how}): a window "
            "holds of what came before and after it", name_of(one.record),
        )


def _warned(one: Scored) -> Alarms:
    """What a library said of a training; a solver that was cut short ranks its method too low."""
    texts = one.record.info.get("warnings")
    params = one.record.identity.get("params") or {}
    for text in texts if isinstance(texts, list) else ():
        if isinstance(text, str):
            short = "converge" in text and "max_iter" in params
            more = "; --set max_iter=N gives it more" if short else ""
            yield Finding("warning", f"a library warned while it was trained: {text}{more}",
                          name_of(one.record))


def _above_attainable(group: Sequence[Scored]) -> Alarms:
    """Better than who knows the generator: a simulated corpus has told something it must not."""
    best = next((one for one in group if one.method == "attainable"), None)
    for one in group if best is not None else ():
        if one is best or one.record.kind == "oracle":
            continue
        for unit in UNITS:
            ours, theirs = one.scores[unit], best.scores[unit]  # type: ignore[union-attr]
            shared = [s for s in ours if s in theirs]
            if _surely_above([ours[s] - theirs[s] for s in shared]):
                yield Finding(
                    "leak", "above the best attainable: balanced accuracy per "
                    f"{unit} {100 * fmean(ours[s] for s in shared):.1f}, and who knows the "
                    f"generator reaches {100 * fmean(theirs[s] for s in shared):.1f}: the method "
                    "must have seen test labels", name_of(one.record),
                )
                break


def _surely_above(gaps: Sequence[float]) -> bool:
    """One-sided t test at 0.0001, or far above in every subject."""
    interval = mean_interval(gaps, level=_SURE)
    return interval is not None and (interval[0] > 0 or min(gaps) > _FAR)


def _saturated(group: Sequence[Scored]) -> Alarms:
    methods = [one for one in group if one.record.kind == "method"]
    for unit in UNITS if methods else ():
        if all(one.perfect(unit) for one in methods):
            names = sorted({one.method for one in methods})
            who = f"all {len(names)} methods score" if len(names) > 1 else f"{names[0]} scores"
            yield Finding(
                "warning", f"{who} 100 % per {unit}: the task is saturated and tells nothing "
                "apart, or labels leak", _pair(methods[0].record),
            )
            return


def _identical(group: Sequence[Scored], read: bool) -> Alarms:
    """Two methods whose predictions are the same: one thing under two names, or a copied file."""
    alike: dict[str, list[Record]] = defaultdict(list)
    for one in group:
        record = one.record
        if record.kind != "oracle" and one.method not in _BY_DESIGN and not one.one_class \
                and not one.perfect("window"):
            scores = [(f["subject"], f.get("session"), f["scores"]) for f in record.folds]
            setting = [record.identity.get(k) for k in ("selection", "scaling")]
            alike[json.dumps([setting, scores], sort_keys=True)].append(record)
    for its in alike.values():
        for first, second in combinations(its, 2):
            if first.kind == second.kind == "control" or _same(first, second):
                continue
            names = sorted((name_of(first), name_of(second)))
            yield Finding(
                "warning", f"identical {_agreeing(first, second, read)}: the same thing twice, or "
                "what tells them apart has no effect", " and ".join(names),
            )


def _same(one: Record, two: Record) -> bool:
    """One method with the same parameters, however these were come by."""
    return all(one.identity.get(k) == two.identity.get(k) for k in ("method", "params"))


def _agreeing(one: Record, two: Record, read: bool) -> str:
    """Predictions, where both have them and they are the same; else all scores."""
    with contextlib.suppress(BenchError):
        if read:
            a, b = one.predictions(), two.predictions()
            if a.equals(b):
                return "predictions"
    return "scores in every metric and subject"
