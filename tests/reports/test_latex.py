"""The LaTeX table compiles, whatever the records say; skipped where there is no LaTeX."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.reporting import ReportOptions
from bench.reports import latex
from bench.store.records import Store

from records import HOSTILE, RECIPE, put, sweep

DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,graphicx,xcolor}
\begin{document}
\input{leaderboard.tex}
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX")
def test_compiles_in_a_minimal_document(tmp_path: Path):
    store = sweep(Store(tmp_path / "runs"))
    put(store, "incomplete", [0.5] * 3, simulated=RECIPE)
    put(store, HOSTILE, [0.5] * 3, source=HOSTILE, target=HOSTILE, simulated={HOSTILE: HOSTILE})
    put(store, "é ﬁ 中 → ½ ∑ 𝛼 \\end{table} % & _ # $ ^ ~", [0.5] * 3, protocol="zero-shot")
    for name, levels in (("lr", (0.6, 0.9)), (HOSTILE, (0.8, 0.7)), ("scmm", (0.6, 0.9))):
        for trials, level in zip((1, 3), levels, strict=True):  # a curve, and its table of gains
            put(store, "target-only" if name == "lr" else name,
                [level + 0.01 * (i + (name != "lr")) for i in range(12)], simulated=RECIPE,
                params={"network": "lr"} if name == "lr" else {}, identity={"protocol": {
                    "name": "few-shot", "params": {"calibration_trials": trials, "curve": "1,3"},
                    "target_access": "target-supervised: labelled trials"}})
    latex.write(store, tmp_path, ReportOptions())
    assert "Gain over the best" in (tmp_path / "leaderboard.tex").read_text()
    assert r"$^\circ$" in (tmp_path / "leaderboard.tex").read_text()
    (tmp_path / "paper.tex").write_text(DOCUMENT)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "paper.log").read_text(errors="replace")
    assert "Undefined control sequence" not in log
    assert (tmp_path / "paper.pdf").stat().st_size > 10_000


def captions(folder: Path) -> list[str]:
    text = (folder / "leaderboard.tex").read_text()
    return [part.partition("\n")[0].removesuffix("}") for part in text.split(r"\caption{")[1:]]


def notes(folder: Path) -> list[str]:
    text = (folder / "leaderboard.tex").read_text()
    return [part.partition("\n")[0] for part in text.split(r"\emph{Note.}")[1:]]


def test_a_caption_is_two_lines_and_the_note_has_the_rest(tmp_path: Path):
    latex.write(sweep(Store(tmp_path / "runs")), tmp_path, ReportOptions())
    ((caption,), (note,)) = captions(tmp_path), notes(tmp_path)
    assert len(caption) <= 140  # two lines of the narrowest usual page, 70 letters each
    assert "(simulated), in" in caption
    assert r"mean $\pm$ standard deviation over target subjects" in caption
    for said in ("target access", "selection last", "they say nothing of EEG", "Oracle"):
        assert said in note
        assert said not in caption
    assert (tmp_path / "leaderboard.tex").read_text().index(r"\emph{Note.}") > (
        tmp_path / "leaderboard.tex").read_text().index(r"\bottomrule")


def test_rows_of_oracles_can_be_left_out_and_are_not_spoken_of(tmp_path: Path):
    store = sweep(Store(tmp_path / "runs"))
    latex.write(store, tmp_path, ReportOptions())
    whole = (tmp_path / "leaderboard.tex").read_text()
    latex.write(store, tmp_path, ReportOptions(oracles=False))
    less = (tmp_path / "leaderboard.tex").read_text()
    assert "(oracle)" in whole
    assert "oracle" not in less.lower()
    assert r"\textcolor{gray}" not in less
    kept = [line for line in whole.splitlines() if "gray" not in line and "Note" not in line]
    assert [line for line in less.splitlines() if "Note" not in line] == [
        line for i, line in enumerate(kept) if not (line == r"\midrule" and kept[i + 1]
                                                    == r"\bottomrule")]
    latex.write(store, tmp_path, ReportOptions())
    assert (tmp_path / "leaderboard.tex").read_text() == whole  # the table itself was not changed
