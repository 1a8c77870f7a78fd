"""Published figures, the LaTeX and the JSON leaderboard, and the choice of formats."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from bench.errors import SettingError, UnknownNameError
from bench.reporting import ReportOptions
from bench.reports import json_file, latex, leaderboard, published
from bench.reports.shared.cells import collect
from bench.reports.shared.table import tables
from bench.store.records import Store

from records import HOSTILE, RECIPE, put, side, sweep

UDA = "unlabelled: other trials of the tested subject"
NEEDED = "method,target,value,design,access,seen_in"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "runs")


def compared(store: Store, **options) -> dict[tuple[str, str], published.ComparedFigure]:
    options = ReportOptions(**options)
    found = published.compare(collect(store, options), options)
    return {(b.figure.method, b.figure.pair): b for b in found}


class TestPublished:
    def test_every_figure_names_its_source(self):
        found = published.figures(ReportOptions())
        assert len(found) > 30
        for figure in found:
            assert figure.seen_in
            assert figure.access in published.ACCESS
            assert not any(n in figure.method.lower() for n in ("scmm", "jcfa"))  # none was seen

    def test_beside_only_where_setting_and_access_agree(self, store):
        put(store, "dann", [0.6, 0.7], protocol="unsupervised", access=UDA,
            source="SEED-IV:3", target="SEED:3")
        found = compared(store)
        one = found["E2STN", "SEED-IV→SEED"]
        assert one.measured[0][0] == "dann"
        assert one.measured[0][1].mean == pytest.approx(0.66)  # accuracy, whatever the page shows
        assert one.reason == ""
        assert found["DSTA", "SEED-IV→SEED"].reason == "its number of classes was not seen"
        assert found["GPTDS / PC-TTA", "SEED→DEAP"].reason == "this pair was not run"
        assert found["PR-PL", "SEED"].reason == "cross-subject, not cross-corpus"

    @pytest.mark.parametrize(("changes", "reason"), [
        ({}, "target access: unlabelled there, labelled trials here"),
        ({"access": UDA, "simulated": RECIPE}, "ours is from simulated corpora"),
        ({"access": UDA, "classes": ["a", "b", "c"]}, "2 classes there, 3 here"),
        ({"access": "none: no window of the target corpus"},
         "target access: unlabelled there, none here"),
        ({"access": "target-supervised: labelled trials of other target subjects"},
         "target access: unlabelled there, labels of other subjects here"),
    ])
    def test_else_the_reason(self, store, changes, reason):
        put(store, "scmm", [0.6, 0.7], **changes)
        one = compared(store)["GPTDS / PC-TTA", "SEED→DEAP"]
        assert one.measured == []
        assert one.reason == reason

    def test_a_csv_of_one_s_own(self, store, tmp_path):
        put(store, "scmm", [0.6, 0.7])
        mine = tmp_path / "mine.csv"
        mine.write_text("method,source,target,classes,value,sd,design,access,seen_in\n"
                        "ours,SEED,DEAP,2,65.5,3.0,cross-corpus,labelled trials,our paper\n")
        one = compared(store, published=(mine,))["ours", "SEED→DEAP"]
        assert one.measured
        assert (one.figure.value, one.figure.sd) == (65.5, 3.0)

    @pytest.mark.parametrize(("text", "message"), [
        ("method,target\nx,y\n", "line 1: column value, design, access, seen_in is missing"),
        (f"{NEEDED},method\nx,y,9,z,none,w,x\n", "line 1: column method is there twice"),
        (f"{NEEDED},metrc\nx,y,9,z,none,w,\n", "no column 'metrc'\nDid you mean 'metric'"),
        (f"{NEEDED}\nx,y,9,z,none,w, and more\n", "line 2: more values than columns"),
        (f"{NEEDED}\nx,y,9,z,none,\n", "line 2, column seen_in: must not be empty"),
        (f"{NEEDED}\nx,y,9,z,none,w\nx,y,900,z,none,w\n", "line 3, column value: '900'"),
        (f"{NEEDED}\nx,y,nan,z,none,w\n", "'nan' is not a percentage"),
        (f"{NEEDED}\nx,y,abc,z,none,w\n", "'abc' is not a percentage\nA percentage above 1"),
        (f"{NEEDED}\nx,y,65.5%,z,none,w\n", "no sign: 65.5"),
        (f"{NEEDED}\nx,y,0.655,z,none,w\n", "a fraction.*\nWrite it in percent: 65.5"),
        (f"{NEEDED}\nx,y,9,z,all,w\n", "column access: 'all' is not known"),
        (f"{NEEDED}\nx,y,9,z,non,w\n", "Did you mean 'none'. One of: none, unlabelled"),
        (f"{NEEDED}\nx,y,9,cross corpus,none,w\n", "column design: .*\nDid you mean 'cross-c"),
        (f"{NEEDED}\nx,y,9,Cross-Corpus,none,w\n", "column design: 'Cross-Corpus'"),
        (f"{NEEDED},metric\nx,y,9,z,none,w,acc\n", "column metric: .*\nDid you mean 'accuracy'"),
        (f"{NEEDED},classes\nx,y,9,z,none,w,three\n", "column classes: 'three'.*\nA whole n"),
        (f"{NEEDED},classes\nx,y,9,z,none,w,1\n", "column classes: '1'"),
        (f"{NEEDED},sd\nx,y,9,z,none,w,-3\n", "column sd: '-3'.*\nA number of percentage"),
    ])
    def test_a_csv_that_is_wrong_is_refused(self, tmp_path, text, message):
        path = tmp_path / "mine.csv"
        path.write_text(text)
        with pytest.raises(SettingError, match=message) as caught:
            published.figures(ReportOptions(published=(path,)))
        assert "mine.csv, line" in caught.value.message

    def test_what_cannot_be_read_is_refused(self, tmp_path):
        latin = tmp_path / "latin.csv"
        latin.write_bytes(b"m\xe9thode")
        for path, reason in ((tmp_path / "none.csv", "no such file"), (tmp_path, "not a file"),
                             (latin, "not UTF-8")):
            with pytest.raises(SettingError, match=reason):
                published.figures(ReportOptions(published=(path,)))

    @pytest.mark.parametrize("design", ["cross-subject", "cross-dataset", "leave one corpus out"])
    def test_another_design_stands(self, tmp_path, design):
        path = tmp_path / "mine.csv"
        path.write_text(f"{NEEDED},metric,classes,sd\nx,y,9,{design},none,w,auroc,,\n")
        one = published.figures(ReportOptions(published=(path,)))[-1]
        assert (one.design, one.metric, one.classes, one.sd) == (design, "auroc", None, None)

    def test_files(self, store, tmp_path):
        put(store, "scmm", [0.6, 0.7])
        paths = published.write(store, tmp_path, ReportOptions())
        assert [p.name for p in paths] == ["published.md", "published.csv"]
        with paths[1].open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(published.figures(ReportOptions()))
        assert all(r["seen"] and (r["measured"] or r["reason"]) for r in rows)

    def test_the_table_ships(self):
        folder = resources.files("bench.reports")
        assert folder.joinpath("published.csv").is_file()
        assert folder.joinpath("page", "page.html").is_file()


class TestLatex:
    def test_marks_best_and_second(self, store):
        sweep(store)
        (table,) = tables(collect(store, ReportOptions()), ReportOptions())
        lines = latex.lines(table)
        body = [line for line in lines if line.startswith(("scmm ", "simclr", "dann"))]
        assert body[0].startswith(r"scmm & \textbf{")
        assert r"\underline{" in body[1]
        assert r"{\scriptsize$\pm$" in body[0]
        grey = [line for line in lines if r"\textcolor{gray}" in line]
        assert len(grey) == 3
        assert any("simulated" in line for line in lines if line.startswith(r"\caption"))

    def test_text_shows_as_itself(self):
        assert latex.latex(r"a_b & 50 % {x} \cmd #1 ~^$") == (
            r"a\_b \& 50 \% \{x\} \textbackslash{}cmd \#1 "
            r"\textasciitilde{}\textasciicircum{}\$")
        assert latex.latex("é 中") == "e {[}U+4E2D{]}"
        assert latex.latex("ﬁ → ½") == r"fi $\to$ {[}U+00BD{]}"

    def test_hostile_text_leaves_the_table_whole(self, store, tmp_path):
        put(store, HOSTILE, [0.7, 0.6], protocol=HOSTILE)
        (path,) = latex.write(store, tmp_path, ReportOptions())
        text = path.read_text()
        assert text.isascii()
        assert text.count(r"\end{table}") == 1
        assert r"\textless{}/script\textgreater{}" in text

    @pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
    def test_compiles(self, store, tmp_path):
        sweep(store, seeds=1)
        put(store, HOSTILE, [0.7, 0.6], simulated=RECIPE)
        latex.write(store, tmp_path, ReportOptions())
        (tmp_path / "paper.tex").write_text(
            "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
            "\\usepackage{graphicx,xcolor}\\begin{document}\\input{leaderboard}\\end{document}")
        done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error",
                               "paper.tex"], cwd=tmp_path, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_json_holds_the_tables_unrounded(store, tmp_path):
    sweep(store)
    (path,) = json_file.write(store, tmp_path, ReportOptions())
    found = json.loads(path.read_text())
    (table,) = tables(collect(store, ReportOptions()), ReportOptions())
    (shown,) = found["tables"]
    assert shown["simulated"] is True
    assert [r["label"] for r in shown["methods"]] == [r.label for r in table.methods]
    column = table.columns[0]
    assert shown["methods"][0]["scores"][table.labels[column]]["mean"] == (
        table.methods[0].values[column].mean)
    assert len(shown["oracles"]) == 3
    assert found["metric"] == "balanced_accuracy"


class TestFormats:
    def test_only_what_was_asked_for(self, store, tmp_path):
        put(store, "scmm", [0.7, 0.6])
        paths = leaderboard.write(store, tmp_path, ReportOptions(formats=("md",)))
        assert [p.name for p in paths] == ["leaderboard.md"]
        with pytest.raises(UnknownNameError, match="no format named 'htm'"):
            ReportOptions(formats=("htm",))

    def test_command(self, store, tmp_path):
        from typer.testing import CliRunner

        from bench.cli.main import app

        put(store, "scmm", [0.7, 0.6], identity={"source": side("SEED:3")})
        out = tmp_path / "out"
        result = CliRunner().invoke(
            app, ["report", str(store.root), "--out", str(out), "--format", "html,latex",
                  "--format", "json"])
        assert result.exit_code == 0, result.output
        assert sorted(p.name for p in out.iterdir() if not p.name.startswith(".")) == [
            "leaderboard.json", "leaderboard.tex", "report.html"]
