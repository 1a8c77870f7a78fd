"""Cards of methods: all that is known of one, read from its class and its docstring."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from bench.cards.docstrings import adapted, docstring, sections
from bench.cli.main import app
from bench.cli.screen.cards import as_card, card
from bench.cli.screen.tables import as_json
from bench.errors import UnknownNameError
from bench.methods.shared.training.finetuning import FineTuned
from bench.registry import Entry, entries, load

ROOT = Path(__file__).resolve().parents[3]
METHODS = list(entries("methods"))
#: Methods that were not as their authors' code had them; each says what it still adapts.
MENDED = ["dsan", "shot", "mldg", "mixup", "ms-mda", "vicreg", "ts-tcc", "softclt", "simmtm", "irm",
          "tf-c"]
DOCSTRING = """One line.

More of it,
in two lines.

Equation
--------
a + b
  - c

Adapted
-------
one thing
    for a reason
    of two lines.
another
"""


def drawn(facts, width=80):
    console = Console(width=width, file=io.StringIO())
    console.print(as_card(facts))
    return console.file.getvalue()


def test_sections_of_a_docstring():
    found = sections(DOCSTRING)
    assert found[""] == ["One line.", "", "More of it,", "in two lines."]
    assert found["Equation"] == ["a + b", "  - c"]
    assert adapted(DOCSTRING) == [{"what": "one thing", "why": "for a reason of two lines."},
                                  {"what": "another", "why": ""}]
    assert adapted("One line.") == []


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_a_card(name):
    facts = card(name)
    assert json.loads(json.dumps(facts)) == facts
    cls = load("methods", name)
    assert set(facts["parameters"]) == set(cls.Params.model_fields)
    assert facts["equation"]
    assert facts["tests"]
    assert all((ROOT / path).is_file() for path in facts["tests"])
    if issubclass(cls, FineTuned):
        # A foundation model is trained by the last step alone, which has tests of its own.
        held_by = "foundation" if name == "foundation" else "whole_step"
        assert facts["tests"][0] == f"tests/methods/test_{held_by}.py"
        assert facts["budget"]["most"]["table"] == {"source": 120, "fit": 40}
    lines = drawn(facts).splitlines()
    assert max(map(len, lines)) <= 80
    assert {"Equation", "Learns from", "Parameters", "Budget", "Adapted", "Held by"} <= set(lines)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_adapted_has_a_reason(name):
    found = card(name)["adapted"]
    assert all(each["what"] and each["why"].endswith(".") for each in found)
    assert found or name not in MENDED


def test_the_list_says_what_is_adapted_and_imports_no_method():
    code = ("import sys; from bench.cli.screen.tables import as_json; print(as_json('methods')); "
            "assert 'torch' not in sys.modules, 'torch'")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = {row["name"]: row["adapted"] for row in json.loads(done.stdout)}
    assert rows == {name: card(name)["adapted"] for name in METHODS}


def test_parameters_with_their_ranges():
    facts = card("dsan")
    assert facts["parameters"]["weight"] == {
        "default": 0.5, "meaning": "weight of the adaptation term, reached on a ramp",
        "stage": "pretrain", "bounds": {"ge": 0}, "tuned": [0.01, 10.0], "unit": "",
    }
    assert next(iter(facts["parameters"])) == "weight"  # its own come first
    shown = drawn(facts, 160)
    assert "≥ 0; tuned 0.01 to 10" in shown
    assert "does not fit: needs unlabelled" in shown


def test_a_method_without_a_module_to_read(tmp_path):
    for target in (":Method", "no_such_module:Method", "sys:Method"):
        assert docstring(Entry("x", target)) == ""


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="no method named 'dsna'"):
        card("dsna")


def test_the_command_shows_a_card_on_screen_and_as_json(capsys):
    assert app(["show", "vicreg", "--json"], standalone_mode=False) is None
    assert json.loads(capsys.readouterr().out)["name"] == "vicreg"
    app(["show", "vicreg"], standalone_mode=False)
    assert "vicreg  self-supervised" in capsys.readouterr().out
    assert "vicreg" in as_json("methods")
