"""Comparisons for the page: all pairs of methods, mean ranks, gains at each size of calibration.

Every number of a test comes from here, as the reports in files have it; the page draws and sums up
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..rank_diagram import ranks, too_few
from ..shared.against import interval
from ..shared.caption import curve_caption
from ..shared.power import smallest
from ..shared.rows import RowKey
from ..shared.table import Table
from ..shared.text import p_value, percent, signed
from ..shared.worth import Worth, gain_notes, gain_rows, headline, signs
from ..significance import POOLED, Family, caption, families
from .numbers import tenths

Number = Mapping[RowKey, int]


def family_data(table: Table, number: Number, first: Table) -> list[dict[str, Any]]:
    """Families of comparisons of a table; a difference is a flat list, see :func:`_difference`."""
    by_label = {row.label: number[row.key] for row in table.methods}
    column = {table.labels[c]: first.columns.index(c) for c in table.columns}
    return [_family(table, f, by_label, column) for f in families(table, guessing=False)]


def _family(
    table: Table, family: Family, by_label: Mapping[str, int], column: Mapping[str, int]
) -> dict[str, Any]:
    pooled = family.over == POOLED
    data: dict[str, Any] = {
        "column": -1 if pooled else column[family.over], "n": family.subjects,
        "rows": [by_label[m] for m in family.scores], "notes": caption(table, family),
        "differences": [
            _difference(by_label[c.one], by_label[c.two], c.test, c.holm, len(family.differences))
            for c in family.differences
        ],
    }
    if pooled:  # elsewhere these are the scores of the table
        who = sorted({s for its in family.scores.values() for s in its}, key=str)
        data["who"] = [f"{corpus} {subject}" for corpus, subject in who]
        data["scores"] = [[tenths(its.get(s)) for s in who] for its in family.scores.values()]
    return data


def _difference(one: int, two: int, test: Any, holm: float, among: int) -> list[Any]:
    """``[one, two, n, mean, low, high, p, Holm, wins, losses, significant, detectable]``."""
    low, high = test.interval or (None, None)
    return [one, two, test.n, tenths(test.mean), tenths(low), tenths(high), p_value(test.p),
            p_value(holm), test.wins, test.losses, int(holm <= 0.05),
            tenths(smallest(test, among))]


def rank_data(table: Table, number: Number) -> dict[str, Any] | None:
    """Mean ranks, and the runs of methods that no test tells apart, or why there is no diagram."""
    found = ranks(table)
    if found is None:
        return None
    by_label = {row.label: number[row.key] for row in table.methods}
    return {
        "rows": [by_label[name] for name in found.labels],
        "ranks": [round(r, 3) for r in found.ranks],
        "cliques": [list(run) for run in found.cliques], "subjects": found.blocks,
        "p": None if found.test is None else p_value(found.test.p),
        "refusal": too_few(table, found),
    }


def worth_data(worth: Worth) -> dict[str, Any]:
    """Headline, gains over plain learning as texts, and the same as numbers to draw.

    A cell of ``rows`` is score, gain and interval. A line of ``lines`` is label, number of the pair
    and, for each size, ``[score, gain, low, high, sign]``; of what is target-only the score alone.
    """
    labels = worth.short_labels
    chance = {c: t.chance(c) for t in worth.tables for c in t.columns}
    rows = gain_rows(worth, labels)
    pairs = [labels[c] for c in worth.columns]
    return {
        "headline": headline(worth), "sizes": [size or "score" for size in worth.sizes],
        "pairs": pairs, "chance": [tenths(chance[c]) for c in worth.columns],
        "caption": curve_caption(worth) if len(worth.sizes) > 1 else [],
        "notes": gain_notes(worth),
        "rows": [[row.label, row.pair, [
            ["–" if score is None else percent(score),
             "" if g is None else signed(g.test.mean) + signs(g),
             "" if g is None else interval(g.test)]
            for score, g in zip(row.scores, row.gains, strict=True)]] for row in rows],
        "lines": [[row.label, pairs.index(row.pair), [
            None if score is None else [tenths(score)] if g is None else
            [tenths(score), tenths(g.test.mean), *(map(tenths, g.test.interval or (None, None))),
             signs(g), g.reference.label]
            for score, g in zip(row.scores, row.gains, strict=True)]] for row in rows],
    }


def marks(table: Table, worth: Worth | None, number: Number, first: Table) -> list[list[Any]]:
    """``[row, column, sign]`` of the scores that differ from the best target-only after Holm."""
    if worth is None:
        return []
    size = worth.sizes[next(i for i, t in enumerate(worth.tables) if t is table)]
    return [[number[g.row], first.columns.index(g.column), signs(g)]
            for g in worth.gains if g.size == size and signs(g)]


def costs(rows: Sequence[Any]) -> list[list[Any]]:
    """``[seconds, parameters, MB, devices]`` of each row; None where unknown.

    Means over the records of a row. Seconds are of the records that did their own pre-training, as
    in the plot of costs.
    """
    from ..cost import cost_of

    return [
        [seconds and round(seconds, 1), parameters and round(parameters), memory and round(memory),
         ", ".join(sorted(devices))]
        for seconds, parameters, memory, devices in map(cost_of, rows)
    ]
