"""Nothing ranks, bolds or says "best" across unequal settings: over generated records and plans."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.reporting import ReportOptions
from bench.reports import difference, heatmap, json_file, published, rank_diagram
from bench.reports.html import write as write_html
from bench.reports.latex import write as write_latex
from bench.reports.leaderboard import render
from bench.reports.leaderboard import write as write_leaderboard
from bench.reports.shared import cells
from bench.reports.shared.against import against_target_only
from bench.reports.shared.cells import collect
from bench.reports.shared.table import Table, TableRow, tables
from bench.reports.shared.worth import worths
from bench.store.records import Record, Store
from bench.sweeps.plan import CellSpec
from bench.sweeps.status import SweepState, ranked_score

from records import RECIPE, SUPERVISED, body, put, side

OPTIONS = ReportOptions()
#: What rows of a table may differ in. All else must be equal where scores are compared.
OF_A_ROW = {"method", "params", "params_origin", "code", "seed", "precision", "tuning", "shortcut",
            "source_label_map"}
SIZE = ("calibration_trials", "share")


def few_shot(**params: Any) -> dict[str, Any]:
    return {"protocol": {"name": "few-shot", "params": params, "target_access": SUPERVISED}}


#: Ways in which two settings are unequal: what to change of a record, each of them alone.
CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "calibration": {"identity": few_shot(calibration_trials=1)},
    "a curve": {"identity": few_shot(calibration_trials=1, curve="1,3,60%")},
    "another point": {"identity": few_shot(calibration_trials=3, curve="1,3,60%")},
    "draw": {"identity": few_shot(calibration_trials=None, draw="random")},
    "an option of a stranger's protocol": {"identity": {"protocol": {
        "name": "few-shot", "params": {"calibration_trials": None}, "target_access": SUPERVISED,
        "blocks": 3}}},
    "protocol": {"protocol": "zero-shot", "access": "none: no window of the target corpus"},
    "target access": {"access": SUPERVISED + "; for scaling, the tested windows, unlabelled"},
    "number of classes": {"classes": ["low", "middle", "high"]},
    "names of classes": {"classes": ["calm", "excited"]},
    "shared classes": {"identity": {"label_map": {"name": "m", "version": 1, "classes": ["a"]}}},
    "another label map": {"identity": {"label_map": {"name": "n", "version": 1, "classes": ["a"]}}},
    "threshold": {"identity": {"label_rule": {"threshold": 4.5, "drop_middle": None}}},
    "scaling": {"identity": {"scaling": {"name": "window", "source": "each", "target": "each"}}},
    "scope of the scaling": {"identity": {"scaling": {
        "name": "min-max", "source": "each subject", "target": "calibration"}}},
    "budget": {"identity": {"scale": "table"}},
    "selection": {"identity": {"selection": "calibration-val"}},
    "montage": {"identity": {"features": {
        "kind": "de", "by": "bench", "channels": ["C"] * 62, "montage": "10-20"}}},
    "another montage": {"identity": {"features": {
        "kind": "de", "by": "bench", "channels": ["C"] * 62, "montage": "DEAP"}}},
    "channels": {"identity": {"features": {"kind": "de", "by": "bench", "channels": ["C"] * 32}}},
    "features": {"identity": {"features": {"kind": "raw", "by": "bench", "channels": ["C"] * 62}}},
    "hold-out": {"identity": {"hold_out": "stimulus"}},
    "an option of a later version": {"identity": {"augmented": "twice"}},
    "edition": {"edition": 1},
    "simulated": {"simulated": RECIPE},
    "another recipe": {"simulated": {**RECIPE, "class_effect": 0}},
    "source": {"source": "SEED-IV:4"},
    "target": {"target": "DEAP:arousal"},
    "data of the source": {"identity": {"source": side("SEED:3", digest="other")}},
    "data of the target": {"identity": {"target": side("DEAP:valence", digest="other")}},
    "sessions": {"identity": {"source": side("SEED:3", sessions="all")}},
    "subjects of the source": {"identity": {"source": side("SEED:3", subjects=[1, 2])}},
    "pieces of recordings": {"identity": {"target": side("DEAP:valence", pieces={"DEAP": 20})}},
}
METHODS = ("scmm", "lr", "dann", "target-only")


def put_changed(
    store: Store, names: list[str], method: str, scores: list[float], seed: int
) -> None:
    """A record with some changes; of two in one part of it the last holds."""
    how: dict[str, Any] = {"identity": {}}
    for name in names:
        change = dict(CHANGES[name])
        how["identity"] |= change.pop("identity", {})
        how |= change
    edition = how.pop("edition", None)
    params = {"network": "lr", "C": "auto"} if method == "target-only" else {}
    record = put(store, method, scores, seed=seed, params=params, **how)
    if edition is not None:
        record.edition = edition
        store.put(record)


def setting_of(record: Record, size: bool = True) -> str:
    """All that must be equal where two records are compared; ``size``: calibration too."""
    identity = {k: v for k, v in record.identity.items() if k not in OF_A_ROW}
    if not size:
        protocol = identity["protocol"]
        params = {k: v for k, v in protocol["params"].items() if k not in SIZE}
        identity["protocol"] = {**protocol, "params": params}
    return json.dumps([identity, record.classes, record.simulated, record.edition], sort_keys=True)


def ranked(table: Table) -> list[TableRow]:
    return [*table.methods, *table.controls]


def check_table(table: Table) -> None:
    """All rows of a column are of one setting, and the marked ones of the same people."""
    for column in table.columns:
        behind = [c.record for row in ranked(table) for c in row.cells.get(column, ())]
        assert len({setting_of(r) for r in behind}) <= 1, table.labels[column]
        marked = [row for row in table.methods if table.mark(row, column)]
        assert len({frozenset(row.values[column].subjects) for row in marked}) <= 1
        if marked:
            assert set(marked[0].values[column].subjects) == set(table.subjects(column))
    for row in table.methods:
        if row.rank is not None or table.mark(row, None):
            assert set(row.values) == set(table.columns)
    for c in against_target_only(table):
        assert c.row in {r.key for r in table.methods}


def check_worth(store: Store) -> None:
    """A gain is over a target-only of the same setting; a curve differs in the size alone."""
    for worth in worths(collect(store, OPTIONS), OPTIONS):
        at = dict(zip(worth.sizes, worth.tables, strict=True))
        assert len(at) == len(worth.tables)
        by_column: dict[Any, set[str]] = {}
        for g in worth.gains:
            rows = {r.key: r for r in at[g.size].rows}
            sides = [c.record for key in (g.row, g.reference) for c in rows[key].cells[g.column]]
            assert len({setting_of(r) for r in sides}) == 1
            by_column.setdefault(g.column, set()).update(setting_of(r, size=False) for r in sides)
        assert all(len(found) == 1 for found in by_column.values())


def check_files(store: Store, shown: list[Table], out: Path) -> None:
    """Every bold number of Markdown, LaTeX, page and screen is a mark of one of the tables."""
    marks = sum(table.mark(row, c) == 2 for table in shown for row in table.rows
                for c in (*table.columns, *([None] if "Mean" in table.summary_heads else [])))
    write_leaderboard(store, out, OPTIONS)
    write_latex(store, out, OPTIONS)
    write_html(store, out, OPTIONS)
    text = (out / "leaderboard.md").read_text()
    assert text.count("**") == 2 * marks
    assert (out / "leaderboard.tex").read_text().count(r"\textbf{") == marks
    page = body(out / "report.html")
    assert len(page["tables"]) == len(shown)
    for table, drawn in zip(shown, page["tables"], strict=True):
        view = drawn["views"]["balanced_accuracy/window"]
        rows = table.rows
        for row, scored in zip(rows, view["rows"], strict=True):
            values = [v for v in scored["values"] if v is not None]
            assert [v[2] for v in values] == [table.mark(row, c) for c in table.columns
                                              if c in row.values]
    plain = json_file.leaderboard(store, OPTIONS)["tables"]
    assert [t["setting"] for t in plain] == [vars(t.setting) for t in shown]
    render(store, OPTIONS)


def check(store: Store, files: Path | None = None) -> None:
    """All that compares scores compares equal settings."""
    shown = tables(collect(store, OPTIONS), OPTIONS)
    for table in shown:
        check_table(table)
        found = rank_diagram.ranks(table)
        if found is not None:
            assert set(found.labels) == {r.label for r in table.methods if r.rank is not None}
        labels = {r.label for r in table.methods}
        assert {m.label for m in heatmap.matrices(table)} <= labels
        two = difference.difference(table)
        assert two is None or {two.one, two.two} <= labels
    check_worth(store)
    for figure in published.compare(collect(store, OPTIONS), OPTIONS):
        named = [label for label, _ in figure.measured]
        assert len(set(named)) == len(named)  # of several settings, each says which it is of
    if files is not None:
        check_files(store, shown, files)


records = st.lists(st.tuples(
    st.lists(st.sampled_from(sorted(CHANGES)), max_size=2), st.sampled_from(METHODS),
    st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.8]), min_size=2, max_size=4), st.integers(0, 1),
), min_size=2, max_size=8)


@given(drawn=records)
@settings(max_examples=20, deadline=None)
def test_generated_records_are_compared_with_their_like_alone(drawn):
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "runs")
        for names, method, scores, seed in drawn:
            put_changed(store, names, method, scores, seed)
        check(store, Path(folder) / "report")


@pytest.mark.parametrize("name", [n for n in CHANGES if n != "nothing"])
def test_two_settings_are_never_compared(name, tmp_path):
    """One method better in one setting, one in the other: neither is the best of anything."""
    store = Store(tmp_path)
    put_changed(store, [], "scmm", [0.6] * 4, 0)
    put_changed(store, [name], "lr", [0.8] * 4, 0)
    check(store)
    for table in tables(collect(store, OPTIONS), OPTIONS):
        assert not any(table.best.values())
        assert all(r.rank is None for r in table.methods)
        assert rank_diagram.ranks(table) is None


def test_the_check_tells_equal_settings_that_are_compared(tmp_path):
    store = Store(tmp_path)
    put_changed(store, ["scaling"], "scmm", [0.6] * 4, 0)
    put_changed(store, ["scaling"], "lr", [0.8] * 4, 0)
    check(store)
    (table,) = tables(collect(store, OPTIONS), OPTIONS)
    assert [table.mark(r, table.columns[0]) for r in table.methods] == [2, 1]


def test_those_tested_on_fewer_subjects_are_not_the_best(tmp_path):
    store = Store(tmp_path)
    put_changed(store, [], "scmm", [0.6] * 4, 0)
    put_changed(store, [], "dann", [0.5] * 4, 0)
    put_changed(store, [], "lr", [0.9] * 2, 0)
    (table,) = tables(collect(store, OPTIONS), OPTIONS)
    column = table.columns[0]
    assert {r.label: table.mark(r, column) for r in table.methods} == {
        "lr": 0, "scmm": 2, "dann": 1}


#: A part of a setting, and a change that only this part tells apart.
PARTS = {
    "protocol_params": "calibration", "selection": "selection", "scaling": "scaling",
    "scale": "budget", "features": "montage", "simulated": "another recipe",
    "hold_out": "hold-out", "other": "an option of a later version", "edition": "edition",
    "classes": "", "target_access": "target access", "protocol": "",
}


def test_every_part_of_a_setting_is_tried():
    assert set(PARTS) == {f.name for f in dataclasses.fields(cells.TableSetting)}


@pytest.mark.parametrize(("part", "name"), [(p, n) for p, n in PARTS.items() if n])
def test_without_a_part_of_the_setting_the_check_fails(part, name, tmp_path, monkeypatch):
    """The test above can fail: grouping that overlooks a part puts the two in one column."""
    whole = cells._setting
    monkeypatch.setattr(
        cells, "_setting", lambda r: dataclasses.replace(whole(r), **{part: ""}))
    store = Store(tmp_path)
    first = [name] if part == "simulated" else []
    put_changed(store, ["simulated"] if first else [], "scmm", [0.6] * 4, 0)
    put_changed(store, [name], "lr", [0.8] * 4, 0)
    with pytest.raises(AssertionError):
        check(store)


@pytest.mark.parametrize("name", ["data of the source", "another label map", "threshold",
                                  "channels", "sessions", "names of classes"])
def test_without_its_data_in_the_column_the_check_fails(name, tmp_path, monkeypatch):
    whole = cells._column
    monkeypatch.setattr(cells, "_column", lambda r: dataclasses.replace(
        whole(r), data="", sessions="", classes=(), label_map="", pieces=""))
    store = Store(tmp_path)
    put_changed(store, ["shared classes"] if "map" in name else [], "scmm", [0.6] * 4, 0)
    put_changed(store, [name], "lr", [0.8] * 4, 0)
    with pytest.raises(AssertionError):
        check(store)


# --- while a sweep goes on ------------------------------------------------------------------

specs = st.builds(
    CellSpec, method=st.sampled_from(["scmm", "lr", "dann"]),
    params=st.sampled_from([{"C": 1}, {"C": 2}]), origin=st.sampled_from(["default", "set"]),
    source=st.sampled_from(["SEED:3", "SEED-IV:4"]), target=st.just("DEAP:valence"),
    protocol=st.sampled_from(["few-shot", "zero-shot"]),
    protocol_params=st.sampled_from([
        {"calibration_trials": 1, "share": 0.6, "draw": "chronological", "curve": ""},
        {"calibration_trials": 3, "share": 0.6, "draw": "chronological", "curve": ""},
        {"calibration_trials": 3, "share": 0.6, "draw": "random", "curve": ""},
        {"calibration_trials": 3, "share": 0.6, "draw": "chronological", "curve": "1,3"},
    ]), seed=st.integers(0, 2), control=st.booleans(),
    classes=st.sampled_from(["own", "shared"]),
)


@given(drawn=st.lists(st.tuples(specs, st.none() | st.floats(0, 1)), min_size=2, max_size=14,
                      unique_by=lambda pair: pair[0].key))
@settings(max_examples=60, deadline=None)
def test_best_so_far_is_of_one_setting_and_of_methods_that_are_done(drawn):
    """A score of None: the cell is not done."""
    scores: dict[tuple, dict[tuple, list[float | None]]] = {}
    for spec, score in drawn:
        if not spec.control:
            setting = (spec.pair, spec.protocol, json.dumps(spec.protocol_params), spec.classes)
            row = (spec.method, json.dumps(spec.params), spec.origin)
            scores.setdefault(setting, {}).setdefault(row, []).append(score)
    expected = set()
    for rows in scores.values():
        means = [(sum(r) / len(r), len(r)) for r in rows.values() if None not in r]
        if len(means) > 1:
            expected.add(round(max(means)[0], 9))
    named = finished(drawn).best()
    assert {round(score, 9) for _, score, _ in named.values()} == expected
    assert len(named) <= len(scores)


def finished(cells_: list[tuple[CellSpec, float | None]]) -> SweepState:
    state = SweepState("plan", Path("runs"), len(cells_))
    state.expect([spec for spec, _ in cells_])
    for spec, score in cells_:
        if score is not None:
            state.finish_cell(spec, "done", "", score)
    return state


def spec_of(method: str = "lr", seed: int = 0, **changes: Any) -> CellSpec:
    return CellSpec(**{
        "method": method, "params": {"C": 1}, "origin": "default", "source": "SEED:3",
        "target": "DEAP:valence", "protocol": "few-shot", "protocol_params": {}, "seed": seed,
        **changes})


def best_of(*cells_: tuple[CellSpec, float | None]) -> list[tuple[str, float, int]]:
    return list(finished(list(cells_)).best().values())


def test_best_so_far_averages_no_two_parameter_sets():
    one, two = spec_of(), spec_of(params={"C": 2}, origin="set")
    assert best_of((one, 0.9), (two, 0.1), (spec_of("scmm"), 0.6)) == [("lr", 0.9, 1)]
    assert best_of((one, 0.9)) == []  # alone it is the best of nothing


def test_best_so_far_waits_until_a_method_is_done():
    """Seed 0 was the luckier one; lda has no seed, so one cell is all of it."""
    scmm = [(spec_of("scmm", s), score) for s, score in enumerate((0.8, 0.6))]
    lda = spec_of("lda"), 0.75
    assert best_of(scmm[0], (scmm[1][0], None), lda) == []
    assert best_of(*scmm, lda) == [("lda", 0.75, 1)]


def test_a_method_with_a_failed_seed_is_never_best_so_far():
    state = finished([(spec_of("scmm"), 0.9), (spec_of("scmm", 1), None), (spec_of(), 0.5),
                      (spec_of("lda"), 0.4)])
    state.finish_cell(spec_of("scmm", 1), "failed", "it diverged", None)
    assert list(state.best().values()) == [("lr", 0.5, 1)]


def test_two_settings_make_two_curves(tmp_path):
    store = Store(tmp_path)
    for scaling in ([], ["scaling"]):
        for size in ("a curve", "another point"):
            for method in ("scmm", "target-only"):
                put_changed(store, [size, *scaling], method, [0.6, 0.7, 0.8], 0)
    check(store)
    found = worths(collect(store, OPTIONS), OPTIONS)
    assert [len(w.sizes) for w in found] == [2, 2]


def test_beside_a_published_figure_scores_say_which_setting_they_are_of(tmp_path):
    """Twice the same method, in two settings: neither is shown as the other."""
    store, where = Store(tmp_path), {"source": "SEED-IV:3", "target": "SEED:3"}
    for scaling in ("min-max", "window"):
        put(store, "dann", [0.6, 0.7], protocol="unsupervised", **where,
            access="unlabelled: other trials of the tested subject",
            identity={"scaling": {"name": scaling}})
    check(store)
    every = published.compare(collect(store, OPTIONS), OPTIONS)
    (figure,) = [f for f in every if f.measured and f.figure.method == "E2STN"]
    assert sorted(label for label, _ in figure.measured) == [
        "dann [scaling min-max]", "dann [scaling window]"]


def test_one_that_saw_test_labels_is_never_best_so_far(tmp_path):
    record = put(Store(tmp_path), "scmm-released", [0.9, 0.9], kind="oracle")
    assert ranked_score(record) is None
    assert ranked_score(put(Store(tmp_path), "scmm", [0.9, 0.9])) == pytest.approx(0.9)
    by_oracle = put(Store(tmp_path), "lr", [0.9, 0.9], identity={"selection": "oracle"})
    assert ranked_score(by_oracle) is None
