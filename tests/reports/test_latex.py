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


@pytest.fixture(autouse=True)
def _no_flush(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda fd: None)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no LaTeX")
def test_compiles_in_a_minimal_document(tmp_path: Path):
    store = sweep(Store(tmp_path / "runs"))
    put(store, "incomplete", [0.5] * 3, simulated=RECIPE)
    put(store, HOSTILE, [0.5] * 3, source=HOSTILE, target=HOSTILE, simulated={HOSTILE: HOSTILE})
    put(store, "é ﬁ 中 → ½ ∑ 𝛼 \\end{table} % & _ # $ ^ ~", [0.5] * 3, protocol="zero-shot")
    latex.write(store, tmp_path, ReportOptions())
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
