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

from ..errors import BenchError
from ..scoring.inference import mean_interval
from ..scoring.metrics import PRECISION, UNITS, subject_scores
from ..store.records import Record
from .findings import Finding

#: Share of the windows, or trials, in one class from which on a method is said to know one only.
DEGENERATE = 0.98
#: Tested windows or trials beyond the first of each fold: of fewer, guessing among two classes puts
#: all of a fold into one more often than in 1 of 1000 records.
_ENOUGH = 10
#: Above the best attainable: so sure, or by so much in every subject.
_SURE, _FAR = 0.9998, 0.25
#: Parts of an identity in which records agree that were tested on the same windows.
_TESTED = ("source", "target", "protocol", "features", "label_map", "scale", "seed")
#: Methods that know one class, or the truth, by what they are.
_BY_DESIGN = ("majority", "attainable")
Alarms = Iterator[Finding]
#: Subject; windows or trials of each class, and taken for it.
Count = tuple[int, list[int], list[int]]


def alarms(records: Iterable[Record], read: bool = True) -> list[Finding]:
    """Alarms of records, which may be of any settings: only like ones are compared.

    Parameters
    ----------
    records : iterable of Record
        One that is not laid out as a record is passed over.
    read : bool
        Compare predictions where scores are the same: of thousands that would take long.

    Returns
    -------
    list of Finding
        "leak" for scores above the best attainable, else "warning"; "note" for what cannot be told.
    """
    groups: dict[str, list[Scored]] = defaultdict(list)
    for record in records:
        if record.status == "done" and record.folds:
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                one = Scored.of(record)
                tested = {k: record.identity.get(k) for k in _TESTED}
                groups[json.dumps(tested, sort_keys=True)].append(one)
    found: list[Finding] = []
    for its in groups.values():
        for one in its:
            found += [*_one_class(one), *_missing_class(one), *_uncounted(one), *_smoothed(one),
                      *_warned(one)]
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
    counts : dict
        Unit to (subject, true, predicted) of each fold: windows or trials of each class, and taken
        for it; empty of a record of before they were kept.
    """

    record: Record
    scores: dict[str, dict[int, float]]
    counts: dict[str, list[Count]]

    @classmethod
    def of(cls, record: Record) -> Self:
        """Look at a record; raises what reading a misshapen one raises."""
        return cls(record, {u: subject_scores(record.folds, u) for u in UNITS},
                   {u: _counts(record, u) for u in UNITS})

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.record.identity["method"])

    def one_class(self, unit: str) -> bool:
        """Whether nearly all windows, or trials, of each subject are of one class, by no design."""
        named = [predicted for *_, predicted in self.counts[unit]]
        every, most = sum(map(sum, named)), sum(map(max, named))
        return (self.method not in _BY_DESIGN and every - len(named) >= _ENOUGH
                and most > DEGENERATE * every)

    def perfect(self, unit: str) -> bool:
        """Whether everything is right."""
        return all(score == 1.0 for score in self.scores[unit].values())


def one_class(record: Record, unit: str) -> bool:
    """Whether a record says that nearly all windows, or trials, of a subject are of one class."""
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        return Scored(record, {}, {unit: _counts(record, unit)}).one_class(unit)
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


def _counts(record: Record, unit: str) -> list[Count]:
    """As each fold says; none where one does not say so, whatever its scores may hint at."""
    true, predicted = f"true_{unit}s", f"predicted_{unit}s"
    if not all(true in fold for fold in record.folds):
        return []
    return [(int(f["subject"]), list(map(int, f[true])), list(map(int, f[predicted])))
            for f in record.folds]


def _one_class(one: Scored) -> Alarms:
    """Per window; per trial only where windows are of several classes."""
    unit = next((unit for unit in UNITS if one.one_class(unit)), None)
    if unit is not None:
        beside = ", ".join(
            f"{words} {100 * fmean(scores.values()):.1f}" for words, metric in (
                ("balanced accuracy", "balanced_accuracy"), ("AUROC", "auroc"),
                ("average precision", PRECISION),
            ) if (scores := subject_scores(one.record.folds, unit, metric))
        )
        which = " per trial" if unit == "trial" else ""
        yield Finding(
            "warning", f"predicts one class for over {100 * DEGENERATE:.0f} % of the {unit}s of a "
            f"subject, so that accuracies{which} say nothing of it; per {unit} {beside}"
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
    lacking = sorted({subject for subject, true, _ in one.counts["window"]
                      if any(n == 0 for n in true)})
    if lacking:
        named = ", ".join(map(str, lacking[:5])) + ", …" * (len(lacking) > 5)
        yield Finding(
            "warning", f"{record.identity['target']['name']}: a class is missing from the tested "
            f"windows of subject{'s' * (len(lacking) > 1)} {named}: chance is not 1/{k} there",
            name_of(record),
        )


def _uncounted(one: Scored) -> Alarms:
    """What cannot be told of a record of the first edition, which kept no counts."""
    if one.record.edition == 1 and not all(one.counts.values()):
        yield Finding(
            "note", "of edition 1, which did not count what is taken for each class: whether it "
            "predicts one class alone, or a subject lacks one, cannot be told", name_of(one.record),
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
        told = one.method not in _BY_DESIGN and not one.one_class("window")
        if told and record.kind != "oracle" and not one.perfect("window"):
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
