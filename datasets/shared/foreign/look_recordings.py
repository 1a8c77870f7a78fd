"""Folders of continuous recordings (EDF and its like): trials from annotations, or a file each."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.data.features import listed
from bench.errors import SettingError

from ..recordings import SUFFIXES, Continuous
from .description import TrialsPart
from .look import Draft, agree, numbers_of, openings, pattern_of, sampled, usable
from .trials import SHORTEST_S

#: Annotations that are no stimuli: what amplifiers and cleaning write.
_NOISE = re.compile(
    r"boundary|edge.*|bad.*|new segment.*|recording (starts|ends)|impedance.*|sync.*"
    r"|start recording|stop recording|art[ie]fact.*|eog.*|blink.*|muscle.*|lost samples.*"
    r"|.*impedances? (begin|end)|data discontinuity", re.IGNORECASE)
#: Texts that say that something ends.
_ENDS = re.compile(r".*(^|[_\W])(end|ends|stop|off|offset)([_\W]|$).*", re.IGNORECASE)
#: So many kinds of annotations may be classes; of more a person has to choose.
MOST_CLASSES = 12


def look(draft: Draft) -> None:
    """Fill in what a folder of recordings seems to hold.

    Raises
    ------
    SettingError, DataError
    """
    root = draft.folder.path.resolve()
    paths = usable(draft, SUFFIXES)
    if not paths:
        raise SettingError(f"{root} holds no recording that is there")
    pattern = pattern_of(draft, paths)
    named = [(p, f) for p in paths if (f := pattern.match(p.relative_to(root).as_posix()))]
    if not named:
        raise SettingError(f"no file in {root} is named {pattern.text}",
                           f"There: {', '.join(p.name for p in paths[:5])}")
    draft.values["subjects"] = numbers_of([f["subject"] for _, f in named if f.get("subject")])
    opened = openings(draft, sampled([p for p, _ in named]))
    agree(draft, opened)
    by_name = Counter(f["class"] for _, f in named if f.get("class"))
    found = {r.path.name: [(m.text, m.duration) for m in r.marks] for r in opened}
    kinds = stimuli(draft, found)
    if kinds and not (by_name and len(by_name) > 1 and not draft.folder.classes):
        draft.texts = kinds
        _as_events(draft, opened, len(named))
    elif by_name:
        draft.texts = by_name
        draft.values["trials"] = TrialsPart(source="file")
        draft.report.took("trials", f"a file each; the class from its name ({len(by_name)} kinds)")
        if kinds:
            draft.report.skipped("events", f"annotations {', '.join(kinds)}: the names of the "
                                 "files say the classes; --classes TEXT,... chooses annotations")
    else:
        raise draft.lacks("what the classes are: no annotation recurs, and no word varies in the "
                          "names", "--files 'S{subject}_{class}.edf', or --classes TEXT,TEXT")


def stimuli(
    draft: Draft, found: Mapping[str, Sequence[tuple[str, float]]]
) -> Counter[str]:
    """Annotations that may be stimuli, by text; what is passed over goes into the report.

    Parameters
    ----------
    found : mapping of str to sequence of (text, duration)
        By recording.
    """
    report = draft.report
    counts = Counter(text for marks in found.values() for text, _ in marks if text)
    noise = {t: n for t, n in counts.items() if _NOISE.fullmatch(t)}
    if noise:
        report.skipped("events", "no stimuli, by their names: "
                       + ", ".join(f"{t} ({n})" for t, n in noise.items()))
    texts = {t: n for t, n in counts.items() if t not in noise}
    ends = [t for t in texts if _ENDS.fullmatch(t)]
    silent = sorted(name for name, marks in found.items()
                    if not any(text in texts for text, _ in marks))
    if texts and silent:
        report.doubt("events", f"no annotation in {listed(silent, 3)}")
    if ends and len(ends) < len(texts):
        report.took("events", f"{', '.join(ends)}: the end of a trial")
        draft.values["trials"] = TrialsPart(source="events", ends=ends)
        texts = {t: n for t, n in texts.items() if t not in ends}
    _by_subject(draft, found, texts)
    return Counter(texts)


def _by_subject(
    draft: Draft, found: Mapping[str, Sequence[tuple[str, float]]], texts: Iterable[str]
) -> None:
    """Tell where codes differ from recording to recording, so that none means the same in all."""
    sets = [frozenset(t for t, _ in marks) & frozenset(texts) for marks in found.values()]
    sets = [s for s in sets if s]
    if len(sets) > 1 and len(set(sets)) > 1 and not frozenset.intersection(*sets):
        draft.varying = True
        shown = "; ".join(f"{name}: {', '.join(sorted({t for t, _ in marks})[:6])}"
                          for name, marks in list(found.items())[:3] if marks)
        draft.report.doubt("events", "annotations differ from recording to recording, and none is "
                           f"in all: codes may have been given out anew for each subject ({shown})")


def _as_events(draft: Draft, opened: Sequence[Continuous], files: int) -> None:
    """Trials begin with annotations; how long they last."""
    report, folder = draft.report, draft.folder
    lasts: dict[str, list[float]] = defaultdict(list)
    for recording in opened:
        for mark in recording.marks:
            lasts[mark.text].append(mark.duration)
    if folder.classes:
        wanted = {item.partition("=")[0].strip() for item in folder.classes}
    else:
        long = {t for t in draft.texts if np.median(lasts[t]) >= SHORTEST_S}
        wanted = long or set(draft.texts)
        if long and len(long) < len(draft.texts):
            report.skipped("events", ", ".join(t for t in draft.texts if t not in long)
                           + ": triggers, shorter than a second, beside annotations that last")
            draft.texts = Counter({t: n for t, n in draft.texts.items() if t in long})
        if len(wanted) > MOST_CLASSES or draft.varying:
            shown = ", ".join(f"{t} ({n})" for t, n in draft.texts.most_common(30))
            raise draft.lacks(f"which of {len(wanted)} annotations are classes: {shown}",
                              "--classes TEXT=CLASS,TEXT=CLASS")
    durations = [d for t in wanted for d in lasts.get(t, [])]
    ends = draft.values["trials"].ends if "trials" in draft.values else []
    draft.values["trials"] = TrialsPart(source="events", ends=[*ends, *folder.ends])
    looked = "" if len(opened) == files else f" in the {len(opened)} files that were looked at"
    counts = ", ".join(f"{t} ({n})" for t, n in draft.texts.items())
    report.took("trials", f"each annotation of a class begins one: {counts}{looked}")
    if folder.length:
        report.took("trials", f"they last {folder.length:g} s, as given")
    elif ends or folder.ends:
        report.took("trials", "they last up to the annotation that ends them")
    elif durations and min(durations) >= SHORTEST_S:
        report.took("times", f"they last as long as the annotation: {min(durations):g} to "
                    f"{max(durations):g} s")
    else:
        report.doubt("times", "annotations have no duration: a trial lasts up to the next one; "
                     "--length SECONDS says otherwise")
