"""The page: right numbers, hostile text as text, and what a user does with it in Chromium."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from bench.errors import BenchError
from bench.exchange.merged import MergedStore, Place, opened
from bench.reporting import ReportOptions
from bench.reports import html, latex, rank_diagram, significance, site
from bench.reports.html import embedded
from bench.reports.page.data import page
from bench.reports.page.numbers import short, tenths, thinned
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.reports.shared.text import p_value, percent, signed
from bench.reports.shared.worth import worths
from bench.store.records import Store

import browser
from records import CLASSES, HOSTILE, PAIRS, RECIPE, body, guesses, many, put, side, sweep

needs_chromium = pytest.mark.skipif(browser.find() is None, reason="no Chromium")


@pytest.fixture(scope="module")
def chromium():
    with browser.Browser() as b:  # one for all tests: it takes a second to start
        yield b


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def made(store: Store, tmp_path: Path, **options) -> Path:
    (path,) = html.write(store, tmp_path / "out", ReportOptions(**options))
    return path


class TestData:
    def test_shows_the_numbers_of_the_tables_in_every_metric(self, store, tmp_path):
        sweep(store)
        data = body(made(store, tmp_path))
        (shown,) = data["tables"]
        options = ReportOptions()
        (first,) = tables(collect(store, options), options)
        labels = [r["label"] for r in shown["rows"]]
        for metric, unit in (("balanced_accuracy", "window"), ("accuracy", "trial")):
            (table,) = tables(collect(store, options), options, metric, unit)
            view = shown["views"][f"{metric}/{unit}"]
            assert [labels[i] for i in view["order"]] == [r.label for r in table.rows]
            for row, line in zip(table.rows, view["rows"], strict=True):
                assert line["mean"] == tenths(row.mean)
                for column, value in zip(first.columns, line["values"], strict=True):
                    found = row.values[column]
                    assert f"{value[0] / 10:.1f}" == percent(found.mean)
                    assert value[4] == [tenths(v) for v in found.subjects.values()]

    def test_holm_is_said_to_be_over_the_whole_leaderboard(self, store, tmp_path):
        sweep(store, seeds=1)
        view = body(made(store, tmp_path))["tables"][0]["views"]["balanced_accuracy/window"]
        assert len(view["compared"]) == 6
        assert view["footnotes"][0].endswith(
            "p (Holm) is adjusted over the 6 comparisons of the whole leaderboard.")
        assert "this table" not in " ".join(view["footnotes"])

    def test_names_every_record_with_its_identity(self, store, tmp_path):
        sweep(store)
        data = body(made(store, tmp_path))
        stored = {r.id: r for r in store.records()}
        assert {r[0] for r in data["records"]} == set(stored)
        one, flat, outcome, _ = data["records"][0]
        identity = {data["texts"][flat[i]]: data["texts"][flat[i + 1]]
                    for i in range(0, len(flat), 2)}
        assert identity["method"] == stored[one].identity["method"]
        assert identity["code"] == stored[one].identity["code"]
        assert json.loads(identity["scaling"]) == stored[one].identity["scaling"]
        texts = [data["texts"][i] for i in outcome]
        assert "SIMULATED" in texts
        assert "wall_s" in texts

    def test_mixed_protocols_and_simulated_are_settings_of_their_own(self, store, tmp_path):
        put(store, "scmm", [0.7, 0.6])
        put(store, "scmm", [0.5, 0.6], protocol="zero-shot", access="none: no window")
        put(store, "scmm", [0.9, 0.9], simulated=RECIPE,
            identity={"source": side("SEED:3", digest="simulated")})
        found = body(made(store, tmp_path))["tables"]
        assert sorted((t["protocol"], t["simulated"]) for t in found) == [
            ("few-shot", False), ("few-shot", True), ("zero-shot", False)]
        assert all(len(t["rows"]) == 1 for t in found)

    def test_compares_as_the_file_of_comparisons(self, store, tmp_path):
        sweep(store, seeds=1)
        for name in ("balanced_accuracy/window", "auroc/trial"):
            metric, unit = name.split("/")
            options = ReportOptions(metric=metric, unit=unit, formats=("csv",))
            (written,) = significance.write(store, tmp_path / unit, options)
            wanted = pd.read_csv(written)
            shown = body(made(store, tmp_path))["tables"][0]
            label = [r["label"] for r in shown["rows"]]
            found = [
                (label[one], label[two], n, mean, wins)
                for f in shown["views"][name]["families"]
                for one, two, n, mean, _, _, _, _, wins, *_ in f["differences"]
            ]
            assert found == [(w.first, w.second, w.n_subjects, tenths(w.difference), w.wins)
                             for w in wanted.itertuples(index=False)]
            assert [f["column"] for f in shown["views"][name]["families"]] == [-1, *range(6)]

    def test_every_gain_of_the_headline_is_drawn(self, store, tmp_path):
        sweep(store, seeds=1)
        put(store, "dann", [0.99] * 9, target="SEED-IV:4", simulated=RECIPE, protocol="other")
        put(store, "target-only", [0.3 + 0.01 * i for i in range(9)], kind="control", seed=0,
            target="SEED-IV:4", simulated=RECIPE, protocol="other", params={"network": "lr"})
        data = body(made(store, tmp_path))
        options = ReportOptions()
        curves = worths(collect(store, options), options)
        drawn = data["worths"]["balanced_accuracy/window"]
        for curve, shown in zip(curves, drawn, strict=True):
            gains = sorted((g.row.label, tenths(g.test.mean)) for g in curve.gains)
            assert gains == sorted((name, cell[1]) for name, _, cells in shown["lines"]
                                   for cell in cells if cell and len(cell) > 1)
        other = next(t for t in data["tables"] if t["protocol"] == "other")
        (row, column, sign) = other["views"]["balanced_accuracy/window"]["marks"][0]
        assert (other["rows"][row]["label"], column, sign) == ("dann", 0, "*")

    def test_knows_a_method_by_its_card(self, store, tmp_path):
        put(store, "dsan", [0.7, 0.6])
        put(store, "somebody's", [0.7, 0.5])
        cards = body(made(store, tmp_path))["cards"]
        assert set(cards) == {"dsan"}
        assert cards["dsan"]["paper"].startswith("Zhu")
        assert cards["dsan"]["equation"].startswith("CE(f(h_s), y)")

    def test_a_row_says_where_it_is_from_and_what_it_cost(self, store, tmp_path):
        put(store, "scmm", [0.7], seed=0)
        put(Store(tmp_path / "other"), "dann", [0.6], info={"wall_s": 30.0, "device": "cpu",
                                                            "parameters": 2500})
        with opened([store.root, tmp_path / "other"]) as (merged, _):
            data = body(made(merged, tmp_path))
        assert data["origins"] == ["other", "runs"]
        rows = {r["label"]: r for t in data["tables"] for r in t["rows"]}
        assert (rows["scmm"]["from"], rows["dann"]["from"]) == (["runs"], ["other"])
        assert rows["dann"]["cost"] == [30.0, 2500, None, "cpu"]
        assert rows["scmm"]["cost"][0] == 10.0

    def test_a_record_of_an_archive_names_its_file(self, store, tmp_path):
        put(store, "scmm", [0.7])
        put(Store(tmp_path / "both"), "scmm", [0.7])
        put(Store(tmp_path / "other"), "dann", [0.6])
        put(Store(tmp_path / "odd"), "lr", [0.5])
        merged = MergedStore([
            Place("Lab", Store(tmp_path / "both"), "ab", "both.zip"), Place("runs", store),
            Place("Other lab", Store(tmp_path / "other"), "cd", "their results.zip"),
            Place("Odd", Store(tmp_path / "odd"), "ef", "new\nline.zip")])
        data = body(made(merged, tmp_path))
        assert sorted(place for *_, place in data["records"]) == [
            "ARCHIVE.zip", "runs", "their results.zip"]
        put(Store(tmp_path / "alone"), "dann", [0.6])
        alone = body(made(Store(tmp_path / "alone"), tmp_path))
        assert [place for *_, place in alone["records"]] == [""]

    def test_zero_records(self, store, tmp_path):
        with pytest.raises(BenchError, match="there are no records in"):
            made(store, tmp_path)
        assert not (tmp_path / "out").exists()

    def test_one_subject_has_no_spread(self, store, tmp_path):
        put(store, "scmm", [0.7])
        view = body(made(store, tmp_path))["tables"][0]["views"]["balanced_accuracy/window"]
        assert view["rows"][0]["values"][0][:2] == [700, None]

    def test_no_file_or_folder_name_but_the_last_is_told(self, store, tmp_path):
        put(store, "scmm", [0.7])
        assert str(tmp_path) not in made(store, tmp_path).read_text()

    def test_same_records_same_bytes(self, store, tmp_path):
        sweep(store, seeds=1)
        one = made(store, tmp_path).read_bytes()
        assert made(store, tmp_path).read_bytes() == one


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def hostile(store: Store) -> Store:
    where = {"source": f"{HOSTILE}:3", "target": f"{HOSTILE}X:2", "protocol": HOSTILE,
             "simulated": {HOSTILE: HOSTILE}, "access": HOSTILE, "classes": [HOSTILE, "b"]}
    for method in (HOSTILE, "__proto__"):
        put(store, method, [0.7, 0.6, 0.5], params={HOSTILE: HOSTILE, "__proto__": 1},
            origin=HOSTILE, oracle=0.1, curves=True, info={HOSTILE: HOSTILE},
            predictions=guesses(2, 3), **where)
    put(store, "target-only", [0.5, 0.5, 0.5], kind="control", params={"network": HOSTILE},
        **where)
    put(store, "=1+1", [], status="failed", reason=HOSTILE)
    return store


class TestHostileText:
    def test_adds_no_element_and_no_attribute(self, hostile, tmp_path):
        put(Store(tmp_path / "plain"), "scmm", [0.5])
        names = []
        for store in (hostile, Store(tmp_path / "plain")):
            parser = _Tags()
            parser.feed(made(store, tmp_path).read_text())
            names.append([(tag, sorted(a)) for tag, a in parser.tags])
        assert names[0] == names[1]

    def test_data_cannot_end_its_element(self):
        text = embedded({"a": "</script><!--<script>\u2028&"})
        assert not set("<>&\u2028") & set(text)
        assert json.loads(text) == {"a": "</script><!--<script>\u2028&"}

    @pytest.mark.parametrize("name", ["%DATA%", "%STYLE%", "%CARDS%"])
    def test_a_mark_of_the_template_is_a_name_like_any_other(self, tmp_path, name):
        store = sweep(Store(tmp_path / name))
        (whole,) = html.write(store, tmp_path / "page", ReportOptions())
        index, *_ = site.write(store, tmp_path / "site", ReportOptions())
        assert f"Leaderboard · {name}</title>" in whole.read_text()
        assert f"Leaderboards · {name}</title>" in index.read_text()

    def test_policy_allows_one_script_by_its_hash(self, hostile, tmp_path):
        text = made(hostile, tmp_path).read_text()
        assert "default-src 'none'" in text
        assert "script-src 'sha256-" in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text

    @needs_chromium
    def test_shows_as_text(self, chromium, hostile, tmp_path):
        path, b = made(hostile, tmp_path), chromium
        b.errors.clear()
        b.requests.clear()
        b.open(path)
        assert b.run("document.querySelectorAll('img, main script').length") == 0
        shown = b.run("document.querySelector('#board').innerText")
        assert "<img src=x onerror=alert(2)>"[:20] in shown
        for i in range(b.run("document.querySelectorAll('#board .cell').length")):
            b.run(f"document.querySelectorAll('#board .cell')[{i}].click()")
            b.run("document.querySelector('#made').close()")
        assert "onerror=alert" in b.run("document.querySelector('#problems').innerText")
        b.open(path, b.run("place('compare')"))
        assert b.errors == []
        assert {u.split("#")[0] for u in b.requests} == {path.resolve().as_uri()}

    @needs_chromium
    def test_is_escaped_in_the_index_of_a_site(self, chromium, hostile, tmp_path):
        index, *pages = site.write(hostile, tmp_path / "site", ReportOptions())
        assert all(re.fullmatch(r"[a-z0-9-]+\.html", p.name) for p in pages)
        chromium.errors.clear()
        chromium.open(index)
        assert chromium.run("document.querySelectorAll('img, script').length") == 0
        assert "<img src=x onerror"[:10] in chromium.run("document.body.innerText")
        assert chromium.errors == []


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return made(sweep(Store(folder / "runs")), folder)


@needs_chromium
def test_the_browser_sees_errors_and_requests(chromium, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text('<img src="http://127.0.0.1:9/x.png"><script>throw new Error("seen")</script>')
    chromium.open(bad)
    assert any("seen" in e for e in chromium.errors)
    assert "http://127.0.0.1:9/x.png" in chromium.requests


@needs_chromium
class TestInChromium:
    @pytest.fixture
    def b(self, chromium, path):
        chromium.errors.clear()
        chromium.requests.clear()
        chromium.open(path)
        yield chromium
        assert chromium.errors == []
        assert {u.split("#")[0] for u in chromium.requests} <= {path.resolve().as_uri()}

    def names(self, b):
        return b.run("[...document.querySelectorAll('#board tbody.method th')]"
                     ".map(e => e.innerText)")

    def test_blocks_are_apart(self, b):
        assert self.names(b) == ["scmm", "simclr", "dann"]
        assert "target-only (scmm)" in b.run("document.querySelector('tbody.control').innerText")
        assert "scmm (oracle)" in b.run("document.querySelector('tbody.oracle').innerText")
        grey = "getComputedStyle(document.querySelector('tbody.{} th:not([colspan])')).color"
        assert b.run(grey.format("oracle")) != b.run(grey.format("method"))

    def test_settings_say_their_classes_and_count(self, chromium, store, tmp_path):
        put(store, "scmm", [0.7, 0.6])
        put(store, "lr", [0.7, 0.6], identity={"label_map": {"name": "polarity-2"}})
        chromium.open(made(store, tmp_path))
        options = chromium.run("[...document.querySelectorAll('#table option')].map(e => e.text)")
        assert sorted(o[3:] for o in options) == [
            "few-shot, shared classes: 1 method, 1 pair", "few-shot: 1 method, 1 pair"]

    def test_simulated_is_written_across(self, b):
        assert b.run("document.title").startswith("SIMULATED")
        assert "SIMULATED" in b.run("document.querySelector('#simulated').innerText")
        assert b.run("getComputedStyle(document.querySelector('.across'), '::after').content"
                     ) == '"SIMULATED"'
        charts = b.run("[...document.querySelectorAll('main svg')].map(s => s.textContent)")
        assert charts
        assert all("SIMULATED" in text for text in charts)

    def test_sorting_by_keyboard(self, b):
        order = "[...document.querySelectorAll('#board thead button')]"
        b.run(f"{order}[1].focus()")
        b.press("Enter")
        values = "[...document.querySelectorAll('tbody.method tr')].map(" \
                 "r => Number(r.querySelectorAll('.num')[0].innerText))"
        down = b.run(values)
        assert down == sorted(down, reverse=True)
        b.press("Enter")  # the focus stays on the button
        assert b.run(values) == sorted(down)
        assert b.run(f"{order}[1].closest('th').getAttribute('aria-sort')") == "ascending"
        b.run(f"{order}[0].click()")
        assert self.names(b) == ["dann", "scmm", "simclr"]
        assert b.run("document.querySelector('tbody.control .block') !== null")

    def test_filtering(self, b):
        b.press("/")
        assert b.run("document.activeElement.id") == "filter"
        b.type("SIM")
        assert self.names(b) == ["simclr"]
        assert "1 of 3 methods shown" in b.run("document.querySelector('#count').innerText")
        assert b.run("document.querySelectorAll('tbody.control').length") == 1
        columns = b.run("document.querySelectorAll('#board thead th').length")
        b.run("document.querySelector('[aria-label=\"trained on\"] input').click()")
        assert b.run("document.querySelectorAll('#board thead th').length") == columns - 2
        assert "4 of 6 pairs shown" in b.run("document.querySelector('#count').innerText")

    def test_how_a_number_was_made_opens_and_closes_by_keyboard(self, b):
        b.run("document.querySelector('#board .cell').focus()")
        assert "above chance" in b.run("document.querySelector('#tip').innerText")
        b.press("Enter")
        text = b.run("document.querySelector('#made').innerText")
        for part in ("over 4 target subjects", "2 records (seeds)", "code of scmm", "SIMULATED",
                     "protocol", "finished"):
            assert part in text
        b.press("Escape")
        assert b.run("document.querySelector('#made').open") is False
        assert b.run("document.activeElement.className").startswith("cell")

    def test_every_control_can_be_reached_by_tab(self, b):
        seen = set()
        for _ in range(60):
            b.press("Tab")
            seen.add(b.run("document.activeElement.id || document.activeElement.getAttribute("
                           "'class') || document.activeElement.tagName"))
        assert {"theme", "metric", "unit", "filter", "latex", "csv", "json", "blocks",
                "arrow"} <= seen

    def test_metric_and_place_are_in_the_address(self, b, path):
        b.run("(() => { const s = document.querySelector('#metric'); s.value = 'accuracy';"
              " s.dispatchEvent(new Event('change')); })()")
        assert "accuracy per window" in b.run("document.querySelector('#board-h').innerText")
        b.run("(() => { const s = document.querySelector('#pair-pick'); s.value = '3';"
              " s.dispatchEvent(new Event('change')); })()")
        heading = b.run("document.querySelector('#pair-h').innerText")
        address = b.run("location.hash")
        b.open(path, address)
        assert b.run("document.querySelector('#pair-h').innerText") == heading
        assert b.run("document.querySelector('#metric').value") == "accuracy"
        b.open(path, "#table=9&pair=-1&method=x&metric=%3Cb%3E&target=__proto__")
        assert self.names(b) == ["scmm", "simclr", "dann"]

    def test_copied_latex_is_the_file(self, b, path):
        store = Store(path.parent.parent / "runs")
        options = ReportOptions()
        collection = collect(store, options)
        (table,) = tables(collection, options)
        assert b.run("asLatex()") == "\n".join(latex.lines(table, worths(collection, options)))

    def test_themes(self, b, path):
        paper = "getComputedStyle(document.body).backgroundColor"
        assert b.run(paper) == "rgb(255, 255, 255)"
        b.run("document.querySelector('#theme').click()")
        b.run("document.querySelector('#theme').click()")
        assert b.run(paper) == "rgb(20, 24, 29)"
        b.open(path, scheme="dark")
        assert b.run(paper) == "rgb(20, 24, 29)"

    def test_a_phone_shows_the_table_first(self, b, path):
        top = "document.querySelector('{}').getBoundingClientRect().top"
        assert b.run(top.format("#hero")) < b.run(top.format("#board table"))
        assert b.run("document.querySelector('#metric').checkVisibility()")
        b.open(path, width=390, height=800)
        assert b.run("document.documentElement.scrollWidth") <= 390
        assert b.run(top.format("#board table")) < b.run(top.format("#hero"))
        assert b.run(top.format("#board tbody")) < 800
        assert not b.run("document.querySelector('#metric').checkVisibility()")
        b.run("document.querySelector('#fold summary').focus()")
        b.press("Enter")
        assert b.run("document.querySelector('#metric').checkVisibility()")

    def pick(self, b, name, value):
        b.run(f"(() => {{ const s = document.querySelector('#{name}-pick'); s.value = '{value}';"
              " s.dispatchEvent(new Event('change')); })()")

    def test_compares_two_methods(self, b, path):
        store, options = Store(path.parent.parent / "runs"), ReportOptions()
        (table,) = tables(collect(store, options), options)
        pooled, first, *_ = significance.families(table)
        text = "document.querySelector('#compare').innerText"
        labels = b.run("table().rows.map(r => r.label)")
        for family, over in ((pooled, -1), (first, 0)):
            self.pick(b, "over", over)
            for one, two in (("dann", "scmm"), ("scmm", "dann")):
                self.pick(b, "one", labels.index(one))
                self.pick(b, "two", labels.index(two))
                c = next(c for c in family.differences if {c.one, c.two} == {one, two})
                way = 1 if c.one == one else -1
                assert b.run("document.querySelector('#difference').innerText") == \
                    f"{signed(way * c.test.mean)} points"
                shown = b.run(text)
                assert f"Wilcoxon p {p_value(c.test.p)}, after Holm over 3 comparisons " \
                    f"{p_value(c.holm)}" in shown
                low, high = c.test.interval if way > 0 else [-v for v in c.test.interval[::-1]]
                assert f"{signed(low)} to {signed(high)}" in shown
        assert "Not significant" in b.run(text)
        assert b.run("document.querySelectorAll('#compare svg circle').length") == 3 * 4
        assert b.run("document.querySelectorAll('#squares button').length") == 6
        b.run("document.querySelector('#squares button').click()")
        assert b.run("rowName(state.one)") == "scmm"

    def test_critical_difference(self, chromium, store, tmp_path):
        put(store, "a", [0.7, 0.8, 0.8, 0.7, 0.6, 0.8, 0.7, 0.6])
        put(store, "b", [0.6, 0.7, 0.7, 0.6, 0.7, 0.7, 0.6, 0.7])
        put(store, "c", [0.5] * 8)
        options = ReportOptions()
        found = rank_diagram.ranks(tables(collect(store, options), options)[0])
        b = chromium
        b.open(made(store, tmp_path))
        said = b.run("[...document.querySelectorAll('#compare svg')].map(s => s.textContent)")[-1]
        for label, rank in zip(found.labels, found.ranks, strict=True):
            assert f"{label} {rank:.2f}" in said
        assert b.run("document.querySelectorAll('.joined').length") == len(found.cliques) == 1

    def test_no_critical_difference_where_none_could_be_told_apart(
        self, chromium, store, tmp_path
    ):
        for name, score in (("a", 0.7), ("b", 0.6), ("c", 0.5)):
            put(store, name, [score + 0.01 * i for i in range(6)])
        chromium.open(made(store, tmp_path))
        said = chromium.run("document.querySelector('#compare').innerText")
        assert ("Not drawn: ranks of 3 methods over 6 subjects: with fewer than 7 no two could be "
                "told apart, so one bar would join all.") in said
        assert "A bar joins" not in said
        assert chromium.run("document.querySelectorAll('.joined').length") == 0

    def test_one_class_for_nearly_all_is_said_beside_the_score(self, chromium, store, tmp_path):
        for method, named in (("svm", [100, 0]), ("lr", [60, 40])):
            record = put(store, method, [0.5] * 3)
            for fold in record.folds:
                fold |= {"true_windows": [50, 50], "predicted_windows": named}
                fold["scores"]["window"] |= {"auroc": 0.71, "average_precision": 0.68}
            store.put(record)
        chromium.open(made(store, tmp_path))
        rows = chromium.run(
            "[...document.querySelectorAll('#board tbody tr')].map(r => r.innerText)")
        said = {row.split()[0]: "one class: AUROC 71.0, AP 68.0" in row for row in rows}
        assert said["svm"]
        assert not said["lr"]
        (table,) = tables(collect(store, ReportOptions()), ReportOptions())
        assert r"{\scriptsize one class: AUROC 71.0, AP 68.0}" in "\n".join(latex.lines(table))
        assert r"{\scriptsize one class: AUROC 71.0, AP 68.0}" in chromium.run("asLatex()")

    def test_marks_are_explained(self, b):
        legend = b.run("document.querySelector('#legend').innerText")
        assert "Bold: best mean" in legend
        assert "* better" in legend
        assert "not a test" in legend

    def test_downloads(self, b, tmp_path):
        b.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        for name in ("csv", "json"):
            b.run(f"document.querySelector('#{name}').click()")
        wanted = {tmp_path / b.run(f"fileName('{name}')") for name in ("csv", "json")}
        until = time.monotonic() + 10
        while not all(p.exists() and p.stat().st_size for p in wanted):
            assert time.monotonic() < until, list(tmp_path.iterdir())
            time.sleep(0.05)
        b.requests[:] = [u for u in b.requests if not u.startswith("blob:")]
        (csv,), (js,) = ([p for p in wanted if p.suffix == s] for s in (".csv", ".json"))
        frame = pd.read_csv(csv)
        order = b.run("view().order.map(rowName)")
        assert frame.method.unique().tolist() == order
        assert frame["mean"][0] == b.run("scores(view().order[0]).values[0][0]") / 10
        assert (frame.simulated == "simulated").all()
        data = json.loads(js.read_text())
        assert [r["name"] for r in data["rows"]] == order
        assert len(data["rows"][0]["pairs"]) == 6
        assert len(data["comparisons"]) == 7

    def test_csv_runs_no_formula(self, chromium, hostile, tmp_path):
        chromium.open(made(hostile, tmp_path))
        text = chromium.run("asCsv()")
        fields = [f for row in csv.reader(io.StringIO(text)) for f in row]
        assert any("cmd|" in f for f in fields)
        assert not [f for f in fields if f[:1] in "=+-@" and f]

    def test_links_survive_new_records(self, chromium, store, tmp_path):
        sweep(store, seeds=1)
        chromium.open(made(store, tmp_path))
        row = "[...document.querySelectorAll('tbody.method tr')].find(r => r.innerText.startsWith"
        chromium.run(f"{row}('simclr')).querySelectorAll('.cell')[4].click()")
        shown = "document.querySelector('#made').innerText"
        before, address = chromium.run(shown), chromium.run("place('')")
        chromium.run("new Promise(done => { const box = document.querySelector('#made');"
                     " box.addEventListener('close', done); box.close(); })")
        assert "record=" not in chromium.run("location.hash")
        self.pick(chromium, "one", chromium.run("table().rows.findIndex(r => r.label === 'dann')"))
        self.pick(chromium, "pair", 4)
        compared = "[document.querySelector('#one-pick').selectedOptions[0].text, " \
                   "document.querySelector('#pair-h').innerText]"
        others, place = chromium.run(compared), chromium.run("linkTo('compare')").partition("#")[2]
        # A better method, a pair that sorts first, more rows of another setting, and a seed.
        for source, target in PAIRS:
            put(store, "abetter", [0.95] * 4, source=source, target=target, simulated=RECIPE)
        put(store, "abetter", [0.9] * 4, source="AAA:2", target="BBB:2", simulated=RECIPE)
        put(store, "simclr", [0.6] * 4, source="SEED:3", target="SEED-IV:4", simulated=RECIPE,
            identity={"code": "another"})
        for i in range(8):
            put(store, f"m{i}", [0.5] * 4, protocol="zero-shot", access="none: no window")
        path = made(store, tmp_path)
        chromium.open(path, address)
        after = chromium.run(shown)
        assert chromium.run("document.querySelector('#made').open")
        assert after.splitlines()[0].startswith("simclr")
        record = re.search(r"bench rerun (\w+)", before)[1]
        assert f"bench rerun {record} --runs runs" in after
        assert before.partition("Subjects: ")[2].partition("\n")[0] in after
        chromium.open(path, f"#{place}")
        assert chromium.run(compared) == others
        assert chromium.errors == []

    def test_a_score_of_an_archive_is_run_again_from_it(self, chromium, store, tmp_path):
        put(store, "scmm", [0.7, 0.8])
        put(Store(tmp_path / "odd"), "dann", [0.6, 0.7])
        merged = MergedStore([Place("Other lab", store, "ab", "their results.zip"),
                              Place("Odd lab", Store(tmp_path / "odd"), "cd", "new\nline.zip")])
        chromium.open(made(merged, tmp_path))
        said = []
        for row in (0, 1):
            chromium.run(f"document.querySelectorAll('tbody.method tr')[{row}]"
                         ".querySelector('.cell').click()")
            said.append(chromium.run("document.querySelector('#made').innerText"))
            chromium.run("document.querySelector('#made').close()")
        assert re.search(r"bench rerun \w+ --runs 'their results.zip'\n", said[0])
        assert "ARCHIVE.zip" not in said[0]
        assert re.search(r"bench rerun \w+ --runs ARCHIVE.zip\n", said[1])
        assert "ARCHIVE.zip stands for the file of the archive that Odd lab published." in said[1]

    def test_links_within_a_page_are_followed(self, b):
        b.run("location.hash = place('').replace('window', 'trial')")
        until = time.monotonic() + 5
        while "per trial" not in b.run("document.querySelector('#board-h').innerText"):
            assert time.monotonic() < until
            time.sleep(0.02)

    def test_every_pair_in_one_view(self, b):
        assert b.run("document.querySelector('#pair-h').innerText") == "All pairs (simulated)"
        assert b.run("document.querySelectorAll('#pair svg').length") == 6
        self.pick(b, "pair", 2)
        assert b.run("document.querySelector('#pair-h').innerText").startswith("Pair SEED-IV")

    def test_site(self, chromium, store, tmp_path):
        sweep(store, seeds=1)
        put(store, "scmm", [0.5, 0.6], protocol="zero-shot", access="none: no window")
        index, *pages = site.write(store, tmp_path / "site", ReportOptions())
        assert len(pages) == 2
        chromium.errors.clear()
        chromium.open(index)
        links = chromium.run("[...document.querySelectorAll('.setting')].map(a => a.href)")
        assert sorted(links) == sorted(p.resolve().as_uri() for p in pages)
        assert "target-only" in chromium.run("document.querySelector('.headline').innerText")
        for path in pages:
            chromium.open(path)
            assert chromium.run("document.querySelector('#home').href") == index.resolve().as_uri()
            assert chromium.run("document.querySelector('#table')") is None
            assert chromium.run("DATA.records.length") == (1 if "zero-shot" in path.name else 30)
        assert chromium.errors == []

    def test_prints(self, b):
        assert b.pdf().startswith(b"%PDF")
        b.call("Emulation.setEmulatedMedia", media="print")
        hidden = "getComputedStyle(document.querySelector('{}')).display"
        assert b.run(hidden.format("#fold")) == "none"
        assert b.run(hidden.format("#board table")) == "table"
        b.call("Emulation.setEmulatedMedia", media="")

    def test_odd_folders_are_drawn(self, chromium, tmp_path):
        for name, fill in {
            "one": lambda s: put(s, "scmm", [0.7]),
            "failed": lambda s: put(s, "scmm", [], status="failed", reason="boom"),
            "control": lambda s: put(s, "majority", [0.5], kind="control"),
            "epoch": lambda s: put(s, "scmm", [0.5, 0.5], curves=True, epochs=1, oracle=0.1),
            "mixed": lambda s: (put(s, "a", [0.7, 0.6]), put(s, "b", [0.5], protocol="zero-shot"),
                                put(s, "c", [0.6, 0.5], source="", identity={"source": {}})),
        }.items():
            store = Store(tmp_path / name)
            fill(store)
            chromium.errors.clear()
            chromium.open(made(store, tmp_path / name))
            for metric in ("macro_f1", "auroc"):
                chromium.run(f"state.metric = '{metric}', start()")
            assert chromium.errors == [], name
            text = chromium.run("document.body.innerText")
            assert "undefined" not in text
            assert "NaN" not in text
            assert chromium.run("document.querySelectorAll('h2').length") >= 1


def test_helpers():
    assert [tenths(v) for v in (0.7123, 0.71249, None, 1.0, -0.034)] == [712, 712, None, 1000, -34]
    assert thinned([1.0] * 100, 5) == [0, 25, 50, 74, 99]
    assert thinned([1.0] * 3, 5) == [0, 1, 2]
    assert [short(v) for v in (1.23456, 0.00012345, 12345.6, 0.0)] == [1.235, 0.0001234, 12350.0, 0]


def test_texts_are_stored_once(store):
    sweep(store)
    data = page(collect(store, ReportOptions()), ReportOptions())
    assert len(set(data["texts"])) == len(data["texts"])
    assert set(CLASSES["DEAP:valence"]) <= {c for t in data["tables"] for x in t["columns"]
                                            for c in x["classes"]}


@pytest.mark.slow
def test_two_thousand_records_are_small_and_quick(store, tmp_path):
    many(store)
    began = time.process_time()  # of this process: other tests may run beside it
    path = made(store, tmp_path)
    took = time.process_time() - began
    print(f"{took:.1f} s, {path.stat().st_size / 1e6:.2f} MB")
    assert path.stat().st_size < 3e6
    assert took < 15
