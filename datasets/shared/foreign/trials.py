"""From events to trials: where each begins and ends, what it is, and how it was rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.errors import DataError

from .. import bids, tables
from ..recordings import Continuous
from .description import Description, TrialsPart

#: Shortest trial, in seconds: a window. A shorter duration of an event is that of a trigger.
SHORTEST_S = 1.0


@dataclass(frozen=True)
class Occurrence:
    """An event of whatever source, in seconds.

    Attributes
    ----------
    onset, duration : float
    text : str
        What is shown, or what the annotation says.
    kind : str
        What decides whether it begins or ends a trial; the text where nothing else does.
    values : mapping of str to float
        Numbers that stand beside it.
    """

    onset: float
    duration: float
    text: str
    kind: str
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialCut:
    """A trial within a recording.

    Attributes
    ----------
    start, stop : float
        Seconds.
    label : str
        Text of its event.
    values : mapping of str to float
    """

    start: float
    stop: float
    label: str
    values: Mapping[str, float] = field(default_factory=dict)


def occurrences(
    opened: Continuous, recording: bids.BidsRecording | None, trials: TrialsPart
) -> list[Occurrence]:
    """Events of a recording: of its table where there is one, else its annotations.

    Raises
    ------
    DataError
        The table is wrong, or has not the column asked for.
    """
    if recording is None or recording.events_path is None:
        return [Occurrence(m.onset, m.duration, m.text, m.text) for m in opened.marks]
    events, _, _ = recording.events(
        None if trials.time == "auto" else trials.time, opened.seconds, opened.rate, opened.marks)
    for column in (trials.column, trials.only_column):
        if events and column and column not in events[0].cells:
            raise DataError(recording.events_path, f"a column {column!r}",
                            ", ".join(events[0].cells)[:200])
    column = trials.column or "trial_type"
    return [
        Occurrence(e.onset, e.duration, e.get(column), e.get(trials.only_column or column),
                   {n: v for n, c in e.cells.items() if (v := tables.number(c)) is not None})
        for e in events
    ]


def cut_trials(
    events: Sequence[Occurrence], seconds: float, description: Description
) -> list[TrialCut]:
    """Trials that events begin, in order of time; none overlaps the next.

    A trial begins with an event whose kind is one of ``only``, or else whose text is in the table
    of classes. It lasts as long as the description says; else up to an event that ends it; else as
    long as its event; else up to the next trial.

    Parameters
    ----------
    seconds : float
        Length of the recording.
    """
    trials = description.trials
    begins = [
        e for e in events
        if (e.kind in trials.only if trials.only else
            e.text in description.classes or (not description.classes and e.text))
    ]
    out: list[TrialCut] = []
    for i, event in enumerate(begins):
        start = event.onset + trials.skip
        following = begins[i + 1].onset if i + 1 < len(begins) else seconds
        if trials.length:
            stop = start + trials.length
        elif trials.ends:
            ends = (e.onset for e in events if e.onset > event.onset and (
                e.kind in trials.ends or e.text in trials.ends))
            stop = next(ends, following)
        elif event.duration >= SHORTEST_S:
            stop = event.onset + event.duration
        else:
            stop = following
        stop = min(stop, following, seconds)
        if stop - start >= SHORTEST_S and start >= 0:
            out.append(TrialCut(start, stop, event.text, event.values))
    return out


def rated(
    cuts: Sequence[TrialCut], rows: Sequence[Mapping[str, str]], description: Description
) -> list[TrialCut]:
    """Trials with their ratings, by the name of the clip, or by order if each has a row.

    A rating that stands in the table of events is taken from there. Trials that no row fits stay
    without.
    """
    out = []
    for i, cut in enumerate(cuts):
        values: dict[str, float] = {}
        for rating in description.ratings.values():
            value = cut.values.get(rating.column)
            if value is None:
                row = _row(rows, rating.match, cut.label) if rating.match else (
                    rows[i] if len(rows) == len(cuts) else None)
                value = tables.number(row.get(rating.column, "")) if row else None
            if value is not None:
                values[rating.column] = value
        out.append(replace(cut, values=values))
    return out


def _row(rows: Sequence[Mapping[str, str]], column: str, label: str) -> Mapping[str, str] | None:
    """The row of a clip: ``12.m4v`` is that of the label ``12``, and of ``12_2``, its second."""
    names = {label.lower(), label.rpartition("_")[0].lower()} - {""}
    for row in rows:
        name = row.get(column, "").lower()
        if name in names or (name.rpartition(".")[0] or name) in names:
            return row
    return None


def in_pieces(cut: TrialCut, length: float) -> list[TrialCut]:
    """Pieces of a trial, the rest at its end left out; the trial itself if there is no length."""
    if not length:
        return [cut]
    count = int((cut.stop - cut.start) / length + 1e-6)
    return [replace(cut, start=cut.start + i * length, stop=cut.start + (i + 1) * length)
            for i in range(count)]
