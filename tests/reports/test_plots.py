"""Plots: the data is right, every picture can be drawn, and says when it is simulated."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from bench import registry
from bench.errors import BenchError, SettingError
from bench.reporting import FORMATS, ReportOptions
from bench.reports import (
    calibration,
    confusion,
    cost,
    curves,
    difference,
    heatmap,
    rank_diagram,
    run,
    source_gain,
    subjects,
)
from bench.reports.shared import style
from bench.reports.shared.caption import caption
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.scoring.inference import paired
from bench.scoring.metrics import confusion as counted
from bench.store.records import Store

from records import HOSTILE, RECIPE, guesses, put, sweep

PICTURES = ("heatmap", "subjects", "curves", "confusion", "source_gain", "cost",
            "ranks", "difference", "calibration")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def only(store: Store, **options):
    (table,) = tables(collect(store, ReportOptions(**options)), ReportOptions(**options))
    return table


class TestData:
    def test_curves_are_means_over_seeds_and_subjects(self, store):
        for seed, scores in enumerate(([0.4, 0.6], [0.8, 0.6])):
            put(store, "scmm", scores, seed=seed, curves=True, epochs=4)
        (one,) = curves.curves(only(store))
        assert one.test.mean == pytest.approx([0.15, 0.3, 0.45, 0.6], abs=1e-3)
        assert one.test.sd[-1] == pytest.approx(np.std([0.4, 0.6, 0.8, 0.6], ddof=1))
        assert one.pretrain.mean == pytest.approx([3, 2, 1 + 2 / 3, 1.5], abs=1e-3)
        assert one.pretrain.sd == [0, 0, 0, 0]

    def test_curves_that_are_none_are_passed_over(self, store):
        record = put(store, "scmm", [0.5], curves=True)
        (record.path / "curves.json").write_text(
            '{"pretrain": {"total": ["x"]}, "fit": {"1/1": {"total": [1, NaN]}, "2/1": 3}}')
        assert curves.curves(only(store)) == []
        (record.path / "curves.json").unlink()
        assert curves.curves(only(store)) == []

    def test_source_gain(self, store):
        put(store, "scmm", [0.7, 0.8, 0.6])
        put(store, "target-only", [0.6, 0.6, 0.6], kind="control", params={"network": "scmm"})
        table = only(store)
        (gain,) = source_gain.write.find(table)
        assert gain.test == paired([0.7, 0.8, 0.6], [0.6, 0.6, 0.6])

    def test_ranks_are_the_leaderboard_s(self, store):
        table = only(sweep(store))
        found = rank_diagram.ranks(table)
        assert dict(zip(found.labels, found.ranks, strict=True)) == {
            r.label: r.rank for r in table.methods}
        assert found.blocks == 3 * 4  # subjects of three targets; their sources are averaged

    @pytest.mark.parametrize(("apart", "expected"), [
        (set(), [(0, 3)]), ({(0, 3)}, [(0, 2), (1, 3)]), ({(0, 3), (0, 2)}, [(0, 1), (1, 3)]),
        ({(0, 1), (1, 2), (2, 3), (0, 2), (0, 3), (1, 3)}, []), ({(1, 2)}, [(0, 1), (2, 3)]),
    ])
    def test_cliques(self, apart, expected):
        assert rank_diagram.cliques(4, apart) == expected

    def test_clear_differences_make_no_clique(self, store):
        rng = np.random.default_rng(0)
        for method, level in (("a", 0.8), ("b", 0.6), ("c", 0.59)):
            put(store, method, (level + rng.normal(0, 0.03, 15)).tolist())
        found = rank_diagram.ranks(only(store))
        assert found.labels[0] == "a"
        assert found.cliques == [(1, 2)]
        assert found.test.p < 0.001

    def test_difference_of_two(self, store):
        put(store, "a", [0.7, 0.8])
        put(store, "b", [0.6, 0.6])
        put(store, "c", [0.1, 0.1])
        table = only(store)
        best = difference.difference(table)
        assert (best.one, best.two) == ("a", "b")
        asked = difference.difference(table, ("C", "a"))
        assert (asked.one, asked.two) == ("c", "a")
        assert asked.tests[table.columns[0]].mean == pytest.approx(-0.65)

    def test_confusion_weighs_subjects_alike(self, store):
        some = guesses(2, subjects=3, right=0.6)
        some = some.drop(some.index[(some.subject == 1) & (some.onset > 2)])
        put(store, "scmm", [0.5] * 3, predictions=some)
        (one,) = confusion.confusions(only(store))
        each = []
        for _, group in some.groupby("subject"):
            table = counted(group.y.to_numpy(), group[["p0", "p1"]].to_numpy(), 2)
            each.append(table / table.sum(axis=1, keepdims=True))
        assert np.array(one.shares) == pytest.approx(np.mean(each, axis=0))
        assert np.sum(one.shares, axis=1) == pytest.approx([1, 1])

    def test_confusion_of_trials_and_of_odd_files(self, store):
        put(store, "scmm", [0.5] * 4, predictions=guesses(2, right=1.0))
        (one,) = confusion.confusions(only(store, unit="trial"))
        assert one.shares == [[1, 0], [0, 1]]
        put(store, "odd", [0.5] * 4, predictions=guesses(2).assign(y=9))
        put(store, "none", [0.5] * 4)
        assert [c.label for c in confusion.confusions(only(store))] == ["scmm"]

    def test_calibration_sizes_make_one_curve(self, store):
        for n, score in ((1, 0.5), (2, 0.6), (3, 0.7)):
            put(store, "scmm", [score, score + 0.1], calibration=n)
        put(store, "dann", [0.5, 0.5], calibration=1)
        (found,) = calibration.panels(tables(collect(store, ReportOptions()), ReportOptions()))
        (pair,) = found.pairs.values()
        (curve,) = pair
        assert curve.label == "scmm"
        assert [(s.trials, round(s.mean, 6), s.n) for s in curve.steps] == [
            (2, 0.55, 2), (4, 0.65, 2), (6, 0.75, 2)]

    def test_cost(self, store):
        put(store, "scmm", [0.7], info={"wall_s": 10, "parameters": 100, "device": "cpu"})
        put(store, "scmm", [0.7], seed=1, info={"wall_s": 1, "parameters": 300, "device": "cpu",
                                                "pretraining_reused": True})
        put(store, "lda", [0.6], info={"wall_s": 2, "parameters": None})
        put(store, "majority", [0.5], kind="control")
        found = {p.label: p for p in cost.points(only(store))}
        assert set(found) == {"scmm", "lda"}
        assert (found["scmm"].seconds, found["scmm"].parameters) == (10, 200)
        assert found["lda"].parameters is None


class TestPictures:
    @pytest.fixture
    def full(self, store):
        sweep(store)
        for n in (1, 2):
            put(store, "scmm", [0.5, 0.6, 0.7, 0.6], calibration=n, simulated=RECIPE)
        return store

    @pytest.mark.parametrize("name", PICTURES)
    def test_is_drawn_twice_the_same_and_says_simulated(self, full, tmp_path, name):
        draw = registry.load("reports", name)
        options = ReportOptions(formats=("png", "svg"))
        one = draw(full, tmp_path / "one", options)
        two = draw(full, tmp_path / "two", options)
        assert {p.suffix for p in one} == {".png", ".svg", ".csv"}
        data = pd.read_csv(next(p for p in one if p.suffix == ".csv"))
        assert len(data)
        assert set(data.simulated) == {"simulated"}
        assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
        for path in one:
            if path.suffix == ".svg":
                assert "simulated" in path.read_text()

    @pytest.mark.parametrize("name", PICTURES)
    def test_hostile_text_is_drawn(self, store, tmp_path, name):
        for n in (1, 2):
            for method in (HOSTILE, HOSTILE[::-1]):
                put(store, method, [0.7, 0.6] * 4, protocol=HOSTILE, oracle=0.1, curves=True,
                    source=f"{HOSTILE}:1", target=f"{HOSTILE}:2", calibration=n,
                    predictions=guesses(2, 2), classes=[HOSTILE, HOSTILE])
            put(store, "target-only", [0.5] * 8, kind="control", params={"network": HOSTILE},
                protocol=HOSTILE, source=f"{HOSTILE}:1", target=f"{HOSTILE}:2", calibration=n,
                classes=[HOSTILE, HOSTILE])
        # What one picture's PDF shows of such text holds for all; reading the fonts takes long.
        kinds = ("png", "svg", *(("pdf",) if name == "heatmap" else ()))
        for path in registry.load("reports", name)(store, tmp_path, ReportOptions(formats=kinds)):
            assert path.stat().st_size > (100 if path.suffix == ".csv" else 1000)
            assert path.suffix != ".svg" or "<script" not in path.read_text()
            if path.suffix == ".csv":
                with path.open(newline="", encoding="utf-8") as file:
                    fields = [f for row in csv.reader(file) for f in row]
                assert not [f for f in fields if f[:1] in ("=", "+", "@")]

    @pytest.mark.parametrize("name", PICTURES)
    def test_one_subject_and_nothing_to_draw(self, store, tmp_path, name):
        put(store, "scmm", [0.7])
        draw = registry.load("reports", name)
        try:
            paths = draw(store, tmp_path, ReportOptions(formats=("png",)))
        except BenchError as error:
            assert str(store.root) in error.message  # noqa: PT017
        else:
            assert [p.suffix for p in paths] == [".png", ".csv"]

    @pytest.mark.parametrize(("name", "scores", "why"), [
        ("ranks", [0.7, 0.6, 0.5, 0.6], "with fewer than 7 no two could be told apart"),
        ("difference", [0.7, 0.6], "differences over 2 subjects have no interval"),
        ("source_gain", [0.7, 0.6], "differences over 2 subjects have no interval"),
        ("calibration", [0.7, 0.6], "fewer than 3 subjects have no interval"),
    ])
    def test_what_could_say_nothing_is_not_drawn_and_that_is_said(
        self, store, tmp_path, name, scores, why
    ):
        draw = registry.load("reports", name)
        for more in (0, 6):
            for n in (1, 2) if name == "calibration" else (1,):
                for method in ("a", "b", "scmm"):
                    put(store, method, [*scores, *[0.6, 0.5] * more], calibration=n)
                put(store, "target-only", [*scores, *[0.5] * 2 * more], kind="control",
                    params={"network": "scmm"}, calibration=n)
            if more:
                assert draw(store, tmp_path, ReportOptions(formats=("csv",)))  # no need to paint
            else:
                with pytest.raises(BenchError, match=why):
                    draw(store, tmp_path, ReportOptions())

    @pytest.mark.parametrize("name", ["ranks", "source_gain", "calibration", "cost"])
    def test_is_as_wide_as_a_column_or_two(self, full, tmp_path, monkeypatch, name):
        wide = []
        monkeypatch.setattr("bench.reports.shared.pictures.save", lambda figure, *_: (
            wide.append(figure.get_size_inches()[0]), [])[1])
        for columns, inches in ((1, style.ONE_COLUMN), (2, style.TWO_COLUMNS)):
            wide.clear()
            registry.load("reports", name)(full, tmp_path, ReportOptions(columns=columns))
            assert set(wide) == {inches}
        with pytest.raises(SettingError, match="pictures of 3 columns"):
            ReportOptions(columns=3)

    @pytest.mark.parametrize("name", PICTURES)
    def test_no_text_is_cut(self, store, tmp_path, monkeypatch, name):
        classes = ["mildly negative", "clearly positive"]
        for source in ("SEED:3", "SEED-IV:4", "LAB:a-long-task"):
            for n in (1, 2) if name == "calibration" else (1,):
                where: Any = {"source": source, "calibration": n, "classes": classes}
                for method in ("a-method-of-quite-a-long-name [finetune=probe, lr=0.1]", "b"):
                    put(store, method, [0.7, 0.6, 0.7] * 3, curves=True, oracle=0.1,
                        predictions=guesses(2, 9, windows=2), **where)
                    put(store, "target-only", [0.5, 0.6, 0.5] * 3, kind="control",
                        params={"network": method}, **where)
        seen, cut = [], []

        def look(figure, stem, title, options):
            written(figure)
            seen.append(stem.name)
            unseen = {  # ticks beyond the axes
                tick.label1 for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
                for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]
                if not min(axis.get_view_interval()) <= tick.get_loc() <= max(
                    axis.get_view_interval())}
            for text in set(figure.findobj(Text)) - unseen:
                box = text.get_window_extent()
                if text.get_text().strip() and text.get_visible():
                    inside = (box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1
                              and box.y1 <= figure.bbox.y1 + 1)
                    cut.extend([] if inside else [(stem.name, text.get_text(), box)])
            return []

        monkeypatch.setattr("bench.reports.shared.pictures.save", look)
        registry.load("reports", name)(store, tmp_path, ReportOptions(formats=("png",)))
        assert seen
        assert cut == []


SHARED = {"identity": {"label_map": {"name": "polarity-2"}}, "classes": ["negative", "positive"]}


def written(figure) -> str:
    """All text of a figure that is not empty."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # names the ticks
    return "\n".join(t.get_text() for t in figure.findobj(Text) if t.get_text())


class TestSharedClasses:
    @pytest.fixture
    def table(self, store):
        for method in ("lr", "lda"):
            put(store, method, [0.7, 0.6], target="SEED-IV:4", source="DEAP:valence", **SHARED)
            put(store, method, [0.6, 0.6], target="SEED-IV:4", source="SEED:3", identity=SHARED[
                "identity"], classes=["negative", "neutral", "positive"])
        return only(store)

    def drawn(self, table):
        return {
            "heatmap": heatmap.draw(table, heatmap.matrices(table)),
            "subjects": subjects.draw(table, subjects.panels(table)),
            "difference": difference.draw(table, difference.difference(table)),
            "ranks": rank_diagram.draw(table, rank_diagram.ranks(table)),
        }

    def test_are_in_every_title(self, table):
        for figure in self.drawn(table).values():
            title = figure.texts[0]
            assert "few-shot, shared classes" in title.get_text()
            assert title.get_window_extent().x1 <= figure.bbox.width

    def test_take_the_place_of_the_corpus_s_own(self, table):
        figures = self.drawn(table)
        for name in ("heatmap", "difference"):
            assert "SEED-IV\n2–3 classes" in written(figures[name])
            assert "SEED\n3 classes" in written(figures[name])
            assert "4 classes" not in written(figures[name])
        assert written(figures["heatmap"]).splitlines().count("2 classes") == 2
        assert "→ SEED-IV\n2 classes" in written(figures["subjects"])

    def test_are_not_said_of_methods_that_keep_the_target_s(self, store):
        put(store, "scmm", [0.7, 0.6], target="SEED-IV:4", source="DEAP:valence")
        text = written(heatmap.draw(t := only(store), heatmap.matrices(t)))
        assert "SEED-IV\n4 classes" in text
        assert "shared" not in text


class TestOneSubject:
    def test_pictures_promise_no_spread(self, store):
        put(store, "scmm", [0.7])
        put(store, "target-only", [0.6], kind="control", params={"network": "scmm"})
        table = only(store)
        for figure in (heatmap.draw(table, heatmap.matrices(table)),
                       subjects.draw(table, subjects.panels(table))):
            assert "SD" not in written(figure)
            assert "interval" not in written(figure)
        assert "one subject" in written(heatmap.draw(table, heatmap.matrices(table)))

    def test_captions_are_in_the_singular(self, store):
        put(store, "scmm", [0.7])
        lines = "\n".join(caption(only(store)))
        assert "of 1 target subject, so without a spread" in lines
        assert "±" not in lines

    @pytest.mark.parametrize(("scores", "said", "unsaid"), [
        ([0.7], "Percent, of 1 subject. It is calibrated on 6 trials", "±"),
        ([0.7, 0.6], "± is the standard deviation over 2 subjects. Each is", "of 1"),
    ])
    def test_a_run_says_how_many(self, store, scores, said, unsaid):
        from rich.console import Console

        record = put(store, "scmm", scores, oracle=0.1)
        console = Console(width=200, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
        run.show(record, console)
        text = console.export_text()
        assert said in text
        assert unsaid not in text
        assert ("1 subject:" in text) == (len(scores) == 1)


class TestCost:
    def test_a_cost_that_nobody_recorded_has_no_panel(self, store):
        put(store, "lr", [0.7, 0.6], info={"wall_s": 0.956083, "device": "cpu"})
        table = only(store)
        figure = cost.draw(table, cost.points(table))
        assert len(figure.axes) == 1
        assert "mathdefault" not in written(figure)
        assert "0.956" in written(figure).splitlines()
        assert "1 pair" in written(figure)
        assert "grey" not in written(figure)

    def test_a_mean_is_rounded_and_called_one(self, store):
        for seed, number in enumerate((140098, 145476)):
            put(store, "scmm", [0.7, 0.6], seed=seed, info={"wall_s": 10, "parameters": number})
        table = only(store)
        text = written(cost.draw(table, cost.points(table)))
        assert "143k" in text.splitlines()
        assert "parameters of the network, mean over records" in text

    @pytest.mark.parametrize(("value", "text"), [
        (142787, "143k"), (999900, "1M"), (0.956083, "0.956"), (10, "10"), (1234, "1.23k"),
    ])
    def test_three_digits(self, value, text):
        assert cost._round(value) == text


class TestLines:
    def test_chance_lies_over_the_grid(self):
        from matplotlib.figure import Figure

        axes = Figure().add_subplot()
        style.plain_axes(axes)
        style.chance_line(axes, 0.5)
        (line,) = axes.lines
        assert line.get_zorder() > 0.5  # where axisbelow puts the grid
        assert line.get_color() == style.INK

    @pytest.mark.parametrize(("before", "said"), [([0.7, 0.5], True), ([0.6, 0.5], False)])
    def test_a_tie_is_explained_where_there_is_one(self, store, before, said):
        put(store, "scmm", [0.7, 0.8])
        put(store, "target-only", before, kind="control", params={"network": "scmm"})
        table = only(store)
        text = written(subjects.draw(table, subjects.panels(table)))
        assert ("dotted: equal" in text) == said

    def test_a_method_without_a_curve_has_no_empty_panel(self, store):
        put(store, "scmm", [0.7, 0.8], curves=True)
        put(store, "dann", [0.9, 0.8], curves=["fit"])
        table = only(store)
        figure = curves.draw(table, curves.curves(table))
        assert len(figure.axes) == 3
        assert all(axes.lines for axes in figure.axes)
        assert [a.get_title(loc="left") for a in figure.axes] == ["dann", "scmm", ""]


def test_catalogue_names_formats():
    found = registry.entries("reports")
    assert set(PICTURES) <= set(found)
    for name, entry in found.items():
        assert set(entry.formats) <= set(FORMATS)
        assert entry.formats or name in (
            "run", "terminal", "frame", "audit-screen", "published-figures", "site"
        )


def test_records_are_read_once_and_again_when_they_change(store, monkeypatch):
    put(store, "scmm", [0.7])
    first = collect(store, ReportOptions())
    assert collect(store, ReportOptions(metric="accuracy")) is first
    put(store, "scmm", [0.9], seed=1)
    assert len(collect(store, ReportOptions()).cells) == 2
    assert len(first.cells) == 1
