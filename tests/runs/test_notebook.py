"""A notebook shows how far a run is, where nobody else is told."""

from __future__ import annotations

import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench.cells.cell import Event
from bench.runs import notebook

from pages import DOCS

NOTEBOOK = DOCS / "examples" / "first-run.ipynb"


@pytest.fixture
def drawn(monkeypatch):
    """What a kernel's display would be handed, one after the other."""
    display = pytest.importorskip("IPython.display")
    import IPython

    texts = []
    handle = SimpleNamespace(update=lambda shown: texts.append(shown.data))

    def show(shown, display_id):
        texts.append(shown.data)
        return handle

    monkeypatch.setattr(display, "display", show)
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr(notebook, "EVERY", 0.0)
    return texts


def test_a_bar_says_stage_share_time_left_and_the_end(drawn):
    with notebook.watching(None) as told:
        told(Event("reading <SEED>", 0, 0))
        told(Event("pre-training", 1, 4, "loss 0.5", "epoch", 7.6))
    assert "reading &lt;SEED&gt;" in drawn[1]
    assert 'value="0.250"' in drawn[2]
    assert "pre-training  epoch 1/4  about 8 s left  loss 0.5" in drawn[2]
    assert re.search(r"done after [\d.]+ s", drawn[3])
    assert "<progress" not in drawn[3]


def test_a_run_that_is_stopped_says_so(drawn):
    with pytest.raises(KeyboardInterrupt), notebook.watching(None):
        raise KeyboardInterrupt
    assert "stopped: KeyboardInterrupt after" in drawn[-1]


def test_it_is_not_drawn_more_often_than_can_be_seen(drawn, monkeypatch):
    monkeypatch.setattr(notebook, "EVERY", 60.0)
    with notebook.watching(None) as told:
        for step in range(1, 101):
            told(Event("pre-training", step, 100))
    assert len(drawn) == 3  # the start, the last step, the end


def test_elsewhere_and_where_somebody_is_told_there_is_none(drawn, monkeypatch):
    seen = []
    with notebook.watching(seen.append) as told:
        told(Event("a", 0, 0))
    assert (len(seen), drawn) == (1, [])
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    with notebook.watching(None) as told:
        told(Event("a", 0, 0))
    assert drawn == []


def test_the_notebook_of_the_docs_is_stored_without_outputs():
    nbformat = pytest.importorskip("nbformat")
    stored = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(stored)
    assert all(not cell.outputs and cell.execution_count is None
               for cell in stored.cells if cell.cell_type == "code")


@pytest.mark.slow
def test_the_notebook_of_the_docs_runs_with_bars_and_tables(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    # A kernel of this very interpreter, whatever kernels there are.
    subprocess.run([sys.executable, "-m", "ipykernel", "install", "--prefix", str(tmp_path),
                    "--name", "here"], check=True, capture_output=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    stored = nbformat.read(NOTEBOOK, as_version=4)
    client.NotebookClient(stored, timeout=600, kernel_name="here",
                          resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [o for cell in stored.cells if cell.cell_type == "code" for o in cell.outputs]
    html = [o.data["text/html"] for o in outputs if "text/html" in o.get("data", {})]
    assert not any(o.output_type == "error" for o in outputs)
    assert sum("done after" in text for text in html) == 3  # a run, a sweep, a tuning
    assert any("standard error over n target subjects" in text for text in html)  # a leaderboard
    assert any("<caption>Windows</caption>" in text for text in html)
    assert all("SIMULATED" in text for text in html if "balanced_accuracy per" in text)
