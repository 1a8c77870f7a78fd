"""``bench.leaderboard``: one line, tables in a notebook, long and wide forms."""

from __future__ import annotations

import re

import pytest

import bench
from bench.errors import UnknownNameError
from bench.store.records import Store

from records import put, sweep


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    sweep(Store(runs), seeds=1)
    return bench.leaderboard(runs)


def test_it_is_one_line_that_says_simulated(board):
    assert "\n" not in repr(board)
    assert "1 table, 3 methods, 2 controls, 3 oracles, 6 pairs" in repr(board)
    assert "SIMULATED" in repr(board)


def test_wide_is_long_turned(board):
    long, wide = board.long(), board.wide("accuracy", "trial", value="se")
    assert list(wide.index.names) == ["table", "block", "method"]
    assert [block for _, block, _ in wide.index] == sorted(
        [block for _, block, _ in wide.index], key=["method", "control", "oracle"].index)
    row = long.query("metric == 'accuracy' and unit == 'trial' and method == 'scmm' and "
                     "block == 'method'").iloc[0]
    assert wide.loc[(row["table"], "method", "scmm"), row["pair"]] == row["se"]
    assert board.wide().notna().all().all()
    assert len(board.wide().columns) == 6


def test_what_it_gives_can_be_changed_without_changing_it(board):
    long = board.long()
    long.loc[:, "mean"] = 0.0
    assert board.long()["mean"].max() > 0.5


def test_html_has_chance_n_and_every_row(board):
    text = board._repr_html_()
    assert text.count("<table>") == 1
    assert text.count("<tr>") == 1 + 8 + 1  # heads, rows, chance
    assert text.index("<td>chance</td>") > text.index("(oracle)")
    last = re.findall(r"<td>([^<]*)</td>", text)[-7:]
    of = {"DEAP:valence": "50.0", "SEED:3": "33.3", "SEED-IV:4": "25.0"}
    assert last == ["chance", *(of[pair.partition("→")[2]] for pair in board.wide())]
    assert "balanced_accuracy per window in percent" in text
    mean = board.wide().loc[(1, "method", "scmm")].iloc[0]
    assert f"{100 * mean:.1f} ± " in text
    assert "(n 4)" in text
    assert "SIMULATED" in text


def test_another_setting_is_another_table(tmp_path):
    for protocol in ("few-shot", "zero-shot"):
        put(Store(tmp_path), "scmm", [0.5, 0.6], protocol=protocol)
    board = bench.leaderboard(tmp_path)
    assert set(board.wide().index.get_level_values("table")) == {1, 2}
    assert board._repr_html_().count("<table>") == 2
    spreads = board._repr_html_().replace("± standard", "")
    assert "± " not in spreads  # of two subjects there is none


def test_unknown_names_are_refused(board):
    with pytest.raises(UnknownNameError, match="column of the long form"):
        board.wide(value="men")
    with pytest.raises(UnknownNameError, match="metric"):
        board.wide("acuracy")
