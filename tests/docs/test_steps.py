"""The table of whole steps says what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from whole_step.harness import LIMIT
from whole_step.references import REFERENCES

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def steps():
    """docs/steps.py, as a module."""
    spec = importlib.util.spec_from_file_location("docs_steps", DOCS / "steps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(steps) -> dict[str, float]:
    rows = steps.written(steps.PAGE.read_text(encoding="utf-8")).splitlines()[2:]
    return {row.split("|")[1].strip(" `"): float(row.split("|")[3]) for row in rows}


def test_the_table_is_that_of_the_catalogue_and_the_docstrings(steps):
    found = shown(steps)
    assert set(found) == set(REFERENCES)
    assert max(found.values()) <= LIMIT
    page = steps.PAGE.read_text(encoding="utf-8")
    assert steps.written(page) == steps.table(found), "run python docs/steps.py"


@pytest.mark.slow
def test_deviations_are_those_that_are_shown(steps):
    """Of one size, whatever the processor rounds."""
    found = shown(steps)
    for name, deviation in steps.measured().items():
        assert deviation <= 1000 * found[name]
