"""At 80 columns no table breaks a word, and none loses a column."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from bench.auditing.checks import check_records
from bench.auditing.findings import show
from bench.cli.screen.sweep import show_plan
from bench.cli.screen.tables import as_table, shortcut_table
from bench.registry import load
from bench.reporting import ReportOptions
from bench.store.records import Store
from bench.sweeps.manifest import Memo
from bench.sweeps.plan import expand
from bench.sweeps.request import read_request

from records import RECIPE, put, sweep

LONG = "a-very-long-method-name-indeed"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    made = sweep(Store(tmp_path_factory.mktemp("wide") / "runs"))
    for method in (LONG, "deep-coral", "shuffled"):
        put(made, method, np.linspace(0.6, 0.9, 4).tolist(), origin="set", simulated=RECIPE,
            params={"network": LONG, "learning_rate": 0.0001})
    return made


def plan(console, tmp_path, pairs="all"):
    request = read_request(None, {"methods": "scmm,lda,dann", "pairs": pairs, "simulated": True})
    made = expand(request, Memo(tmp_path).resolve)
    show_plan(made, {}, {}, 1, console)


def audit(console, store):
    show(check_records(store.root), console)


SCREENS = {
    "plan": lambda console, store, tmp: plan(console, tmp),
    "audit": lambda console, store, tmp: audit(console, store),
    "shortcuts": lambda console, store, tmp: console.print(
        shortcut_table(load("methods", "scmm"), console.width)),
    "leaderboard": lambda console, store, tmp: console.print(
        load("reports", "terminal")(store, ReportOptions())),
    **{f"list {group}": lambda console, store, tmp, group=group: console.print(
        as_table(group, console.width)) for group in ("methods", "corpora", "protocols",
                                                      "reports")},
}


def words(screen, width, store, tmp_path):
    file = io.StringIO()
    SCREENS[screen](Console(file=file, width=width, color_system=None), store, tmp_path)
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    return [w for w in re.split(r"\s+", text) if w and not re.fullmatch(r"[━─╭╮╰╯│…]+", w)]


@pytest.mark.parametrize("screen", SCREENS)
def test_no_word_is_broken(screen, store, tmp_path):
    whole = set(words(screen, 400, store, tmp_path))
    narrow = words(screen, 80, store, tmp_path)
    assert [word for word in narrow if word not in whole] == []


def test_a_plan_of_several_tables_keeps_its_methods(tmp_path):
    file = io.StringIO()
    corpora = ("SEED", "SEED-IV", "DEAP", "FACED")
    pairs = ",".join(f"{a}->{b}" for a in corpora for b in corpora if a != b)
    plan(Console(file=file, width=80, color_system=None), tmp_path, pairs)
    text = file.getvalue()
    assert text.count("scmm") >= 2  # in each table
    for number in range(1, 13):
        assert f"({number})" in text


def test_of_many_pairs_those_with_the_same_cells_share_a_column(tmp_path):
    """42 pairs were nine tables, one below the other and all but alike."""
    file = io.StringIO()
    plan(Console(file=file, width=80, color_system=None), tmp_path)
    text = " ".join(file.getvalue().split())
    assert text.count("scmm") == 1
    request = read_request(None, {"methods": "scmm,lda,dann", "pairs": "all", "simulated": True})
    pairs = {c.pair for c in expand(request, Memo(tmp_path).resolve).cells}
    assert len(pairs) == 42
    assert all(pair in text for pair in pairs)
    assert "(1) each of 2 pairs: DEAP:valence→DREAMER:valence, DREAMER:valence→DEAP:valence" in text
    assert "(2) each of 40 pairs: " in text
    assert "(3)" not in text
