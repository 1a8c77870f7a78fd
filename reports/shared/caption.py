"""Captions: the few lines under a table that say what its numbers mean."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from bench.store.shown import counted

from .cells import Collection, origins
from .table import Table
from .text import METRIC_NAMES, capital, clean, numbers
from .worth import Worth, size_of

#: Problems and notes beyond this many are counted, not listed.
LISTED = 20
#: Methods of one problem that are named; of more, their number.
_NAMED = 6
#: How the notice of a record begins that says what holding stimuli out costs.
_HELD_OUT = "tested stimuli are held out of training"
_BANDS = r"bands=\[\[.*?\]\](, )?"


def title(table: Table) -> str:
    """``few-shot: balanced accuracy per window (simulated)``."""
    shared = ", shared classes" if table.setting.classes else ""
    match = re.search(r"calibration_trials=(\d+)", table.setting.protocol_params)
    if match:
        shared += f", {match[1]} trial{'s' * (match[1] != '1')} a class"
    elif "curve=" in table.setting.protocol_params:  # else the caption gives the share
        share = re.search(r"share=([\d.]+)", table.setting.protocol_params)
        shared += f", {100 * float(share[1]):g} % of the trials" if share else ""
    if table.setting.hold_out:
        shared += f", tested {_PLURAL.get(table.setting.hold_out, table.setting.hold_out)} held out"
    if table.setting.edition:
        shared += f", records of {table.setting.edition}"
    text = f"{table.setting.protocol}{shared}: {table.measured}"
    text += " (pieces of recordings)" if table.pieces else ""
    return text + (" (simulated)" if table.simulated else "")


_PLURAL = {"stimulus": "stimuli"}


def caption(table: Table) -> list[str]:
    """Two lines in plain words: who was tested, on how much calibration; classes and budget."""
    return [
        f"{capital(METRIC_NAMES[table.metric])} in %, per {table.unit}: {_spread(table)} "
        f"{_calibration(table)}",
        f"{_classes(table)} {_budget(table)}",
    ]


def curve_caption(worth: Worth) -> list[str]:
    """The same two lines of a curve, over the subjects that its methods are compared on."""
    table = worth.tables[-1]
    counts = sorted({g.test.n for g in worth.gains})
    who = counted(counts[-1], "target subject") if len(counts) == 1 else \
        f"{numbers(counts)} target subjects"
    who += f" in each of {len(worth.columns)} pairs" if len(worth.columns) > 1 else ""
    over = _over({seed for t in worth.tables for seed in t.seeds()})
    held = f", no tested {table.setting.hold_out} trained on" if table.setting.hold_out else ""
    ends = [size if "trial" in size else f"{size} of the trials of each class"
            for size in (worth.sizes[0], worth.sizes[-1])]
    return [
        f"{capital(METRIC_NAMES[table.metric])} in %, per {table.unit}: mean over {who}{over}. "
        f"Calibrated on {ends[0]} to {ends[1]}{held}.",
        f"{_classes(table)} {_budget(table)}",
    ]


def note_lines(table: Table) -> list[str]:
    """What else the numbers mean: the setting in its own words, data, ranks, what is no method."""
    s = table.setting
    told = re.sub(r"\w+=null(, |$)", "", s.protocol_params).removesuffix(", ")
    parts = [
        f"protocol {s.protocol}" + (f" ({told})" if told else ""),
        f"target access {s.target_access}" if s.target_access else "",
        f"selection {s.selection}", f"scaling {s.scaling or 'none'}", f"scale {s.scale or '–'}",
        # The edges of the bands are in the CSV; here they would be half the note.
        f"features {re.sub(_BANDS, '', s.features)}" if s.features else "",
        f"held out: {s.hold_out}" if s.hold_out else "", s.other,
    ]
    lines = [capital("; ".join(p for p in parts if p)) + ".", _data(table), *_held_out(table)]
    if table.costed:
        lines.append("Steps and windows: optimiser steps, and windows handed to them, before a "
                     "head for the target was put on and after it.")
    if len(table.columns) > 1 and table.methods:
        lines.append(_ranks(table))
    lines += _tuned(table)
    if any(table.best.values()):
        lines.append("Best method of a column in bold, second underlined, among those that were "
                     "tested on all its subjects; controls are not ranked.")
    if table.metric == "macro_f1":
        lines.append("Chance of macro F1 depends on the class shares and is not shown.")
    if any(v.beside for v in table.values):
        lines.append(f"One class: nearly all {table.unit}s of each subject are taken for one "
                     "class, so that accuracies say nothing; AUROC and average precision (AP) do. "
                     "Chance is 50 for AUROC, and for AP the share of the class.")
    if table.oracles:
        lines.append("Oracle and leaky rows (grey) saw of the test set what no method may, such as "
                     "labels to choose the best epoch by: shown for the gap, never ranked.")
    lines += _origins(table)
    if s.edition:
        lines.append(f"Records of {s.edition}: their scores came about by other rules than those "
                     "of this version, so they are shown apart and ranked with no others.")
    if table.pieces:
        lines.append(pieces_said(table.pieces))
    if table.simulated:
        lines.append(f"Scores are from simulated corpora ({s.simulated}); they say nothing of EEG.")
    return lines


def pieces_said(pieces: str) -> str:
    """What it means that trials are pieces of longer recordings.

    Examples
    --------
    >>> pieces_said("LAB 20 s")[:57]
    'Trials are pieces of longer recordings (LAB 20 s): pieces'
    """
    return (f"Trials are pieces of longer recordings ({pieces}): pieces of one recording "
            "resemble each other whatever their class, so scores may tell recordings apart, "
            "and not classes.")


def _spread(table: Table) -> str:
    """Says what a score is the mean of, and ± the deviation over."""
    counts = sorted({len(table.subjects(c)) for c in table.columns})
    over = _over(table.seeds())
    who = counted(counts[-1], "target subject") if len(counts) == 1 else \
        f"{counts[0]} to {counts[-1]} target subjects (n in the headings)"
    who += f" in each of {len(table.columns)} pairs" if len(table.columns) > 1 else ""
    if any(v.sd is not None for v in table.values):
        return f"mean ± SD over {who}{over}."
    return f"of {who}, so without a spread{over}."


def _over(seeds: Iterable[int]) -> str:
    """Which seeds a score is of, to go on with."""
    given = set(seeds)
    if not given:
        return ""
    return f", seeds {numbers(given)} averaged" if len(given) > 1 else f", seed {numbers(given)}"


def _calibration(table: Table) -> str:
    """What of the target is seen before the test."""
    protocol, size = table.setting.protocol, size_of(table)
    held = f", no tested {table.setting.hold_out} trained on" if table.setting.hold_out else ""
    if protocol == "few-shot" and size:
        size = size if "trial" in size else f"{size} of the trials of each class"
        # What a draw adds stands behind the name of the access.
        _, comma, more = table.setting.target_access.partition(";")[0].partition(", ")
        return f"Calibrated on {size}{comma}{more}{held}."
    if table.setting.target_access.startswith("none"):
        return f"Nothing of the target is seen before the test{held}."
    access = table.setting.target_access.partition("; no ")[0] or "what the protocol grants"
    return f"Seen of the target before the test: {access}{held}."


def _classes(table: Table) -> str:
    """Which classes are told apart, and whose they are."""
    every = {c.classes for c in table.columns}
    if len(every) == 1:
        names = next(iter(every))
        what = f"{len(names)} classes ({', '.join(names)})" if names else "Classes not known"
    else:
        counts = sorted({len(names) for names in every})
        span = " to ".join(map(str, [counts[0], counts[-1]][: 1 + (len(counts) > 1)]))
        what = f"{span} classes, by pair"
    mapped = table.setting.classes or any(c.label_map for c in table.every)
    return f"{what}, {'those that the corpora share' if mapped else 'those of the target'}."


def _budget(table: Table) -> str:
    """How long methods trained, and what that means for a ranking."""
    scale = table.setting.scale or "not known"
    if scale == "published":
        return "Budget: published, what each method's authors use."
    return (f"Budget: {scale}, a shortened training; rankings at this budget are not to be "
            "quoted.")


def _held_out(table: Table) -> list[str]:
    """What holding stimuli out costs, as records of each pair say."""
    if not table.setting.hold_out:
        return []
    lines = []
    for column in table.columns:
        said = {clean(n, 400) for row in table.rows for c in row.cells.get(column, ())
                for n in c.record.notices if str(n).startswith(_HELD_OUT)}
        lines += [f"{table.labels[column]}: {text}." for text in sorted(said)]
    return lines


def _origins(table: Table) -> list[str]:
    """Which rows are from where, in a table of several run folders and archives."""
    rows: dict[str, list[str]] = defaultdict(list)
    for row in table.rows:
        for name in origins(row.every):
            rows[name].append(row.label)
    if not rows:
        return []
    every = [name for name, its in rows.items() if len(its) == len(table.rows)]
    told = [f"{name}: all rows" if name in every else f"{name}: {', '.join(its)}"
            for name, its in sorted(rows.items())]
    return [f"Records are from {'; '.join(told)}."]


def _tuned(table: Table) -> list[str]:
    """How tuned rows came by their parameters, and on what data; it differs from a single run's."""
    how: dict[str, list[str]] = {}
    for row in table.rows:
        for tuning in [c.record.identity.get("tuning") for c in row.every]:
            if isinstance(tuning, dict):
                text = (f"{clean(tuning.get('trials'))} trials by {clean(tuning.get('rule'))} on "
                        f"{clean(tuning.get('data'))}")
                if row.label not in how.setdefault(text, []):
                    how[text].append(row.label)
    lines = [f"Tuned: {', '.join(rows)}: {text}; no tested trial." for text, rows in how.items()]
    if len({text.split(" on ")[0] for text in how}) > 1:
        lines.append("These rows were not tuned alike, so their differences are not the methods' "
                     "alone.")
    return lines


def _data(table: Table) -> str:
    sessions = sorted({c.sessions for c in table.columns if c.sessions})
    counts = {table.labels[c]: len(table.subjects(c)) for c in table.columns}
    if len(set(counts.values())) == 1:
        subjects = counted(next(iter(counts.values())), "target subject")
        subjects += " in every pair" if len(counts) > 1 else ""
    else:
        subjects = "target subjects: " + ", ".join(f"{k} {n}" for k, n in counts.items())
    seeds = table.seeds()
    text = f"Seed{'s' if len(seeds) > 1 else ''} {numbers(seeds)}; "
    return text + (f"sessions {', '.join(sessions)}; " if sessions else "") + subjects + "."


def _ranks(table: Table) -> str:
    if table.complete == 0:
        return "No method ran every pair, so there is no mean over pairs."
    text = f"Mean: over all {len(table.columns)} pairs, for rows that ran every one"
    if table.complete > 1:
        text += (
            f"; rank: mean rank of the {table.complete} such methods within each target subject, "
            "1 is best"
        )
    missing = len(table.methods) - table.complete
    if missing:
        text += f". {missing} of {len(table.methods)} methods are incomplete"
    return text + "."


def problems(collection: Collection) -> list[str]:
    """Records without scores, folds left out and corrupt folders, one line each."""
    lines = []
    grouped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for p in collection.problems:
        grouped[p.status, p.pair, p.reason].append(p.method)
    for (status, pair, reason), methods in sorted(grouped.items(), key=lambda i: (i[0][0], i[1])):
        names = sorted(set(methods))
        times = f" ({len(methods)} records)" if len(methods) > len(names) else ""
        who = ", ".join(names) if len(names) <= _NAMED else f"{len(names)} methods"
        lines.append(f"{status}: {who} on {pair}{times}: {reason}")
    lines += [f"corrupt: {where}: {what}" for where, what in collection.corrupt]
    return shortened(lines)


def shortened(lines: list[str]) -> list[str]:
    """At most :data:`LISTED` lines and how many more there are."""
    more = len(lines) - LISTED
    return lines if more <= 1 else [*lines[:LISTED], f"… and {more} more"]
