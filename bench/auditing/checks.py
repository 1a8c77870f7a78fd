"""Checks of records that exist: what of the test set they used, and what a reader must know.

A record of ours can hardly leak, but records are mergeable by copying and written by plugins,
other versions and other people. Everything here is told from the record alone: what it says of
itself, what its folds hold, and whether its scores follow from its predictions.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BenchError
from ..scoring.metrics import fold_scores
from ..store.records import Record, Store
from ..store.shown import counted
from .alarms import alarms
from .findings import Finding, Report, Severity

if TYPE_CHECKING:
    import pandas as pd

#: How bad each thing is, and what it is.
Said = Iterator[tuple[Severity, str]]
#: Scores in a record may differ this much from those of its predictions: they are stored shorter.
TOLERANCE = 0.005
#: Words in a target access, scope of a scaler or rule of selection that mean tested windows.
_TESTED = ("tested", "test window", "test set", "its own statistics")


def check_records(runs: Path) -> Report:
    """Check all records of a run folder.

    Raises
    ------
    BenchError
        There is no record.
    """
    store = Store(runs)
    report = Report(f"Audit of the records in {runs}", "")
    seeds: dict[str, set[int]] = defaultdict(set)
    names: dict[str, str] = {}
    known: list[Record] = []
    count = 0
    for record in store.records():
        count += 1
        try:
            report.findings += check_record(record)
            known.append(record)
            key = json.dumps({**record.identity, "seed": None}, sort_keys=True)
            if record.status == "done" and record.kind == "method":
                seeds[key].add(int(record.identity["seed"]))
                names[key] = f"{record.identity['method']} {record.pair}"
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            report.findings.append(
                Finding("warning", f"not laid out as a record: {error!r}"[:120], record.id[:8])
            )
    report.findings += [
        Finding("warning", "cannot be read", path.name[:8]) for path, _ in store.corrupt
    ]
    if not count:
        raise BenchError(f"there are no records in {runs}", "Give a run folder: ./runs")
    report.findings += [
        Finding("warning", "one seed: the spread between seeds is unknown", names[k])
        for k, its_seeds in seeds.items() if len(its_seeds) == 1
    ]
    report.findings += alarms(known)
    report.checked = counted(count, "record")
    return report


def check_record(record: Record) -> list[Finding]:
    """Everything there is to say of one record."""
    if record.status != "done":
        return []
    where = f"{record.identity['method']} {record.id[:8]}"
    # What an oracle uses of the test set is what it is for.
    leak: Severity = "declared" if record.kind == "oracle" else "leak"
    said: list[tuple[Severity, str]] = [
        *_declared(record), *_access(record), *_scaling(record, leak),
        *_selection(record, leak), *_parameters(record, leak), *_sides(record, leak),
    ]
    table = _predictions(record)
    if table is None and record.identity["method"] != "attainable":
        said.append(("warning", "no predictions stored: scores and tested trials cannot be "
                      "checked"))
    said += [*_trials(record, table, leak), *_scores(record, table), *_stimuli(record, table)]
    said += _origin(record)
    if record.simulated is not None:
        said.append(("note", "simulated corpora: the scores say nothing of EEG"))
    if len({f["subject"] for f in record.folds}) == 1:
        said.append(("warning", "one target subject: no spread, no test"))
    if record.left_out:
        said.append(("note", "target subjects were left out"))
    return [Finding(severity, what, where) for severity, what in said]


def _origin(record: Record) -> Said:
    """Whose code the method is, where it is not ours."""
    origin = record.info.get("method_origin")
    if not isinstance(origin, Mapping) or origin.get("ours"):
        return
    whose = f"{origin.get('package')} {origin.get('version')}" if origin.get("package") \
        else f"{origin.get('file')}, sha256 {str(origin.get('sha256'))[:12]}"
    yield "note", f"a method of a plugin: {whose}"
    if any("is the name of a method of ours" in notice for notice in record.notices):
        yield "warning", "bears the name of a method that comes with bench, and is not it"


def _declared(record: Record) -> Said:
    shortcut = record.identity.get("shortcut")
    if shortcut and record.kind == "oracle":
        yield "declared", f"takes a shortcut: {shortcut}"
    elif shortcut:
        yield "leak", f"takes a shortcut, {shortcut}, and is not kept as an oracle"
    elif record.kind == "oracle":
        yield "declared", "an oracle"


def _access(record: Record) -> Said:
    protocol = record.identity["protocol"]
    access = str(protocol.get("target_access") or "")
    if not access:
        yield "warning", "target access is not stated"
    elif "at prediction" in access:
        yield "warning", f"target access: {access}"
    elif "tested windows" in access:
        yield "warning", f"transductive, as stated: target access {access}"
    else:
        yield "note", f"target access: {access}"


def _scaling(record: Record, leak: Severity) -> Said:
    scaling = record.identity.get("scaling")
    if not isinstance(scaling, Mapping):
        yield "warning", "scope of the scaler is not stated"
        return
    access = str(record.identity["protocol"].get("target_access") or "")
    granted = "tested windows" in access and "at prediction" not in access
    for part in ("target", "test"):
        scope = str(scaling.get(part, ""))
        if any(word in scope for word in _TESTED):
            if part == "target" and granted:
                yield "warning", "target scaled by tested windows, as the target access states"
            else:
                yield leak, f"scaler fitted on tested windows ({part}: {scope})"


def _selection(record: Record, leak: Severity) -> Said:
    rule = str(record.identity.get("selection") or "")
    if not rule or "unknown" in rule:
        yield "warning", "selection rule is not stated"
    elif rule == "oracle" or "test" in rule:
        yield leak, f"epoch chosen on the test set (selection {rule})"


def _parameters(record: Record, leak: Severity) -> Said:
    origin = str(record.identity.get("params_origin") or "")
    tuning = record.identity.get("tuning")
    said = json.dumps(tuning, sort_keys=True).lower() if tuning else ""
    if "selection unknown" in origin or not origin:
        yield "warning", f"parameters of unknown selection ({origin or 'no origin'}): they may " \
            "have been chosen on test data"
    if origin.startswith("tuned"):
        if '"oracle"' in said or "on test" in f"{said} {origin}":
            yield leak, "parameters tuned on the test set"
        elif not tuning:
            yield "warning", "tuned parameters, but the record does not say on what"
        else:
            yield "note", "tuned parameters"
    if origin == "set":
        yield "note", "parameters set by hand: say how they were chosen"


def _sides(record: Record, leak: Severity) -> Said:
    source, target = record.identity.get("source") or {}, record.identity["target"]
    if target["corpus"] not in _corpora(source) or not source.get("subjects"):
        return
    tested = {int(f["subject"]) for f in record.folds}
    if tested & {int(s) for s in source["subjects"]}:
        yield leak, f"source and target are both {target['corpus']} and share tested subjects"


def _corpora(source: Mapping[str, Any]) -> list[str]:
    """Corpora of a source, which may be several: ``SEED+SEED-IV``."""
    return str(source.get("corpus") or "").split("+")


def _predictions(record: Record) -> pd.DataFrame | None:
    try:
        return record.predictions()
    except (BenchError, OSError, ValueError):
        return None


def _trials(record: Record, table: pd.DataFrame | None, leak: Severity) -> Said:
    for fold in record.folds:
        tested = {int(t) for t in fold.get("test_trials") or ()}
        if table is not None:
            mine = (table["subject"] == fold["subject"]) & (table["session"] == fold["session"])
            tested |= {int(t) for t in table.loc[mine, "trial"].unique()}
        shared = tested & {int(t) for t in fold.get("calibration_trials") or ()}
        if shared:
            yield leak, "trials stand on both sides, calibration and test"
            return


def _scores(record: Record, table: pd.DataFrame | None) -> Said:
    """Whether the stored scores are those of the stored predictions."""
    if table is None:
        return
    columns = [f"p{k}" for k in range(len(record.classes))]
    for fold in record.folds:
        mine = table[(table["subject"] == fold["subject"]) & (table["session"] == fold["session"])]
        if not len(mine):
            yield "leak", "a subject has scores but no predictions"
            return
        again = fold_scores(mine["y"].to_numpy(), mine[columns].to_numpy(),
                            mine["trial"].to_numpy(), len(columns))
        for unit, scores in again.items():
            for metric in ("accuracy", "balanced_accuracy"):
                one, two = scores[metric], fold["scores"][unit][metric]
                if one is None or two is None or abs(one - two) > TOLERANCE:
                    yield "leak", "scores do not follow from the stored predictions"
                    return


def _stimuli(record: Record, table: pd.DataFrame | None) -> Said:
    """Films that were seen on both sides, by other subjects or in other sessions."""
    if table is None:
        return
    if record.identity.get("hold_out") == "stimulus":
        yield "note", "tested stimuli were held out of training, as it says"
        return
    access = str(record.identity["protocol"].get("target_access") or "")
    key = {"other target subjects": "subject", "other sessions": "session"}
    of = next((column for words, column in key.items() if words in access), None)
    if of is not None:
        films = table.groupby("stimulus")[of].nunique()
        if (films > 1).any():
            yield "warning", f"trained and tested on the same stimuli, shown to other {of}s: " \
                "a stimulus may be recognised instead of an emotion"
    elif "labelled trials of the tested subject" in access:
        sessions = table.groupby(["subject", "stimulus"])["session"].nunique()
        if (sessions > 1).any():
            yield "note", "the sessions of a subject show the same stimuli (calibrated and " \
                "tested within a session each)"
    source, target = record.identity.get("source") or {}, record.identity["target"]
    if target["corpus"] in _corpora(source):
        yield "warning", f"source and target are both {target['corpus']}: the same stimuli"
