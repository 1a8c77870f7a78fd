"""Alarms as lines: what must be looked into before a number is believed."""

from __future__ import annotations

from collections.abc import Iterable

from bench.auditing.alarms import alarms
from bench.auditing.findings import grouped
from bench.store.records import Record

from .text import clean

#: Places named of each alarm.
_NAMED = 3


def alarm_lines(records: Iterable[Record], read: bool) -> list[str]:
    """One line for each alarm, the worst first; see :func:`bench.auditing.alarms.alarms`."""
    lines = []
    for severity, what, where in grouped(alarms(records, read)):
        named = ", ".join(where[:_NAMED]) + (", …" if len(where) > _NAMED else "")
        lines.append(clean(f"{'LEAK' if severity == 'leak' else 'alarm'}: {what} ({named})", 500))
    return lines
