"""Check of somebody's split, given as a CSV: what stands on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BenchError, DataError, UnknownNameError
from .findings import Finding, Report, Severity

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("corpus", "subject", "session", "trial", "side")
#: What a side may be called, and what it is; anything but "test" is learned or chosen from.
SIDES = {
    "train": "train", "training": "train", "source": "train", "calibration": "train",
    "fine-tune": "train", "target-train": "train", "val": "validation",
    "validation": "validation", "valid": "validation", "dev": "validation", "test": "test",
    "testing": "test",
}
_TRIAL = ("corpus", "subject", "session", "trial")


def check_split(path: Path) -> Report:
    """Findings of a CSV of a split.

    Parameters
    ----------
    path : Path
        One row per window or per trial: ``corpus, subject, session, trial, side``; where known
        ``stimulus``, ``window`` (number within its trial) and ``fold`` (each is checked by
        itself).

    Raises
    ------
    DataError
        No CSV, a column or value is missing.
    UnknownNameError
        A side that is none of :data:`SIDES`.
    """
    table = _read(path)
    report = Report(f"Audit of the split {path}", "")
    folds = list(table.groupby("fold", sort=True)) if "fold" in table else [("", table)]
    for fold, part in folds:
        where = f"fold {fold}" if fold != "" else ""
        for side in ("train", "validation"):
            if (part["side"] == side).any() and (part["side"] == "test").any():
                report.findings += _between(part, side, where)
        if not (part["side"] == "test").any():
            report.findings.append(Finding("warning", "nothing is tested", where))
        elif not (part["side"] == "validation").any():
            report.findings.append(Finding(
                "note", "no validation side: say how epoch and parameters are chosen", where
            ))
    if "stimulus" not in table:
        report.findings.append(Finding(
            "note", "no column stimulus: whether the sides share stimuli cannot be said"
        ))
    several = f" in {len(folds)} folds" if len(folds) > 1 else ""
    report.checked = f"{len(table)} rows{several}"
    return report


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise BenchError(f"{path} is not there", f"A CSV with columns {', '.join(NEEDED)}")
    try:
        table = pd.read_csv(path, dtype=str, skipinitialspace=True)
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(path, "a CSV of a split", str(error)[:200]) from error
    table.columns = [str(c).strip().lower() for c in table.columns]
    missing = [c for c in NEEDED if c not in table]
    if missing:
        raise DataError(
            path, f"columns {', '.join(NEEDED)}", f"no {' and no '.join(missing)}",
            "Further columns that are used: stimulus, window, fold.",
        )
    if not len(table):
        raise DataError(path, "rows", "none")
    empty = table[list(NEEDED)].isna().any(axis=1)
    if empty.any():
        raise DataError(f"{path}, row {int(empty.to_numpy().argmax()) + 2}", "a value in each of "
                        f"{', '.join(NEEDED)}", "an empty one")
    named = table["side"].str.strip().str.lower()
    unknown = named[~named.isin(list(SIDES))]
    if len(unknown):
        raise UnknownNameError(f"side in {path}", str(unknown.iloc[0]), SIDES)
    table["side"] = named.map(SIDES)
    for column in (*_TRIAL, "stimulus", "window", "fold"):
        if column in table:
            table[column] = table[column].str.strip()
    return table


def _between(part: pd.DataFrame, side: str, fold: str) -> list[Finding]:
    """Findings on what stands on one side and in the test."""
    checks: list[tuple[str, tuple[str, ...], Severity, str]] = [
        ("trial", _TRIAL, "leak", f"trials stand on both sides, {side} and test"),
        ("subject", _TRIAL[:2], "warning",
         f"subjects stand on both sides, {side} and test: subject-dependent"),
        ("session", _TRIAL[:3], "note",
         f"sessions stand on both sides, {side} and test"),
    ]
    if "window" in part:
        checks.insert(0, ("window", (*_TRIAL, "window"), "leak",
                          f"the same windows stand on both sides, {side} and test"))
    if "stimulus" in part:
        checks.append(("stimulus", ("corpus", "stimulus"), "warning",
                       f"stimuli stand on both sides, {side} and test: a stimulus may be "
                       "recognised instead of an emotion"))
    findings = []
    for what, columns, severity, text in checks:
        keys = part[list(columns)].dropna().agg("/".join, axis=1)
        sides = part.loc[keys.index, "side"]
        shared = sorted(set(keys[sides == side]) & set(keys[sides == "test"]))
        if shared:
            some = ", ".join(shared[:2]) + (f" and {len(shared) - 2} more" if len(shared) > 2
                                            else "")
            findings.append(Finding(severity, text, f"{fold + ': ' if fold else ''}{what} {some}"))
    return findings
