"""What the lists of methods and protocols say is what the classes do."""

from __future__ import annotations

import io
import itertools
import json

import pytest
from rich.console import Console

from bench.cli.screen.tables import as_json, as_table, grants_of, profile_of
from bench.registry import Needs, Profile, entries, include, load

PROTOCOLS = list(entries("protocols"))
METHODS = list(entries("methods"))
#: Every set of grants that a protocol of anyone's may have.
GRANTS = [
    frozenset(c) for n in range(4)
    for c in itertools.combinations(("source", "calibration", "unlabelled"), n)
]


def drawn(group, width=100):
    console = Console(width=width, file=io.StringIO())
    console.print(as_table(group, width))
    return console.file.getvalue()


@pytest.mark.parametrize("name", METHODS)
def test_the_catalogue_says_what_the_class_declares(name):
    profile, method = entries("methods")[name].profile, load("methods", name)()
    for grants in GRANTS:
        assert profile.under(grants) == method.needs_under(grants)
    assert profile.transductive == method.transductive
    assert method.name == name


@pytest.mark.parametrize("name", PROTOCOLS)
def test_the_catalogue_says_what_the_protocol_grants(name):
    item = entries("protocols")[name]
    assert set(item.grants) == load("protocols", name).grants


@pytest.mark.parametrize(("needs", "grants", "lacking"), [
    (Needs(), {"source"}, []),
    (Needs(source="none", calibration=True), {"source"}, ["calibration"]),
    (Needs(unlabelled=True), {"source", "calibration"}, []),
    (Needs(unlabelled=True, calibration=True), {"source"}, ["calibration", "unlabelled"]),
    (Needs(), set(), ["source"]),
])
def test_what_is_lacking(needs, grants, lacking):
    assert needs.lacking(grants) == lacking


def test_the_list_of_methods_fits_a_hundred_columns():
    lines = drawn("methods").splitlines()
    assert max(map(len, lines)) <= 100
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert set(METHODS) <= set(rows)
    assert rows["scmm"].split()[1:7] == ["s", "c", "S", "S", "S", "de"]
    assert rows["dann"].split()[1:7] == ["S", "u", "S", "u", "·", "·"]
    assert rows["t3a"].split()[1:3] == ["S", "t"]
    assert "Chen et al., ICML 2020" in rows["simclr"]
    assert "Arjovsky et al., arXiv" in rows["irm"]
    assert "S labelled source" in " ".join(lines)
    families = [e.family for e in entries("methods").values()]
    assert set(families) <= {line.strip() for line in lines}
    assert "contrast of two augmented views" in drawn("methods", 160)


def test_json_of_methods_has_every_field():
    rows = {r["name"]: r for r in json.loads(as_json("methods"))}
    assert set(rows) == set(METHODS)
    scmm = rows["scmm"]
    assert scmm["protocols"]["few-shot"] == {
        "fits": True, "source": "unlabelled", "calibration": True, "unlabelled": False,
        "lacks": [],
    }
    assert scmm["features"] == sorted(entries("methods")["scmm"].profile.needs.features)
    assert rows["target-only"]["protocols"]["within"]["lacks"] == ["calibration"]
    assert {"family", "summary", "paper", "origin", "transductive"} <= set(scmm)


def test_the_list_of_protocols_has_grants_access_and_options():
    text = drawn("protocols")
    for name in PROTOCOLS:
        cls = load("protocols", name)
        assert cls.target_access[:40] in text
        for option in cls.model_fields:
            assert option in text
    row = next(r for r in json.loads(as_json("protocols")) if r["name"] == "few-shot")
    assert row["grants"] == ["calibration", "source"]
    assert row["options"]["draw"]["default"] == "chronological"
    assert "drawn with the seed" in row["options"]["draw"]["meaning"]


PLUGIN = '''
from bench.method import Method, Needs
from bench.registry import Entry

CATALOGUE = [Entry("mine", ":Mine", "mine"), Entry("torn", ":Nothing", "lost")]

class Mine(Method):
    name = "mine"
    needs = Needs(source="labelled", unlabelled=True, features=frozenset({"raw"}))
    transductive = True

    def fit(self, view, state, ctx):
        raise NotImplementedError
'''


def test_a_plugin_is_asked_what_it_needs_and_a_broken_one_stays_unknown(clean_registry, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    include(str(path))
    profile = profile_of(entries("methods")["mine"])
    assert profile.needs == Needs(unlabelled=True, features=frozenset({"raw"}))
    assert profile.transductive
    assert profile_of(entries("methods")["torn"]) is None
    rows = {line.split()[0]: line.split() for line in drawn("methods").splitlines() if line.strip()}
    assert rows["mine"][1:] == ["S", "u", "t", "S", "u", "t", "·", "·", "raw"]
    assert rows["torn"][1:] == ["?"] * 5


def test_a_strangers_protocol_is_asked_what_it_grants():
    from dataclasses import replace

    entry = replace(entries("protocols")["few-shot"], grants=())
    assert set(grants_of(entry)) == {"source", "calibration"}


def test_a_profile_with_one_answer_gives_it_everywhere():
    needs = Needs(source="none", calibration=True)
    assert all(Profile(needs).under(g) == needs for g in GRANTS)
