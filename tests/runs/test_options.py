"""Each option is declared once, and found wherever options are: flags, keys, keywords, identity."""

from __future__ import annotations

import ast
import inspect
import shutil
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
import typer

import bench
from bench import Options
from bench.cli.main import app
from bench.cli.shared import parsed, with_options
from bench.errors import SettingError
from bench.runs import build
from bench.runs.options import OUT, PANELS, CellOptions, about, flag_of, option, options_of, takes
from bench.sweeps.request import Request, read_request

ROOT = Path(__file__).parents[2]
ABOUT = about(Options)
SMALL = {"subjects": 2, "length": 0.05}
#: Another value of each option than its default, and what else must be set for it.
OTHER = {
    "preset": ("published", {"method": "scmm"}), "scale": ("table", {}),
    "device": ("auto", {}), "precision": ("float64", {}), "deterministic": (True, {}),
    "compile": ("off", {}),
    "energy": (True, {}), "include": (["sweep_plugin"], {}), "scaling": ("z-score", {}),
    "scaling_scope": ("source", {}), "selection": ("calibration-val", {}),
    "data": ("copy of the corpora", {}),
    "simulated": (True, {"data": None, "recipe": SMALL}),
    "recipe": ({**SMALL, "class_effect": 0}, {"data": None, "simulated": True}),
    "montage": ("10-20", {}), "sessions": ("all", {}),
    "features": ("raw", {"method": "source-only"}),
    "official_kind": ("de_movingAve", {"features": "official-4s", "tgt": "SEED-IV"}),
    "window": (2.0, {}), "threshold": (4.0, {}), "drop_middle": ((4.9, 5.1), {}),
    "exclude": ({"DEAP": [2]}, {}),
    "map": (("low valence=negative", "high valence=positive"), {}),
    "weights": (Path("elsewhere"), {}), "save_models": (True, {}), "diagnostics": (True, {}),
    "controls": (False, {}), "shuffled_source": (True, {}),
    "hold_out": ("stimulus", {"method": "lr", "protocol": "within"}),
    "classes": ("shared", {"method": "source-only"}), "protocol": ("zero-shot", {}),
    "protocol_params": ({"calibration_trials": 3}, {}), "params": ({"C": 0.5}, {"method": "lr"}),
    "seed": (7, {}), "runs": (Path("elsewhere"), {}),
}


def flags(command: str) -> set[str]:
    """All flags of a command."""
    tree = typer.main.get_command(app).commands
    return {flag for p in tree[command].params for flag in (*p.opts, *p.secondary_opts)}


def of_options(command: str, model: type[CellOptions]) -> dict[str, str]:
    """Flag of each option that a command says it has."""
    return {name: flag_of(name, said) for name, said in about(model).items()
            if command in said.commands}


@pytest.mark.parametrize("command", ["run", "tune", "audit"])
def test_every_option_is_a_flag(command):
    mine = of_options(command, Options)
    assert set(mine.values()) <= flags(command)
    others = {flag_of(n, s) for n, s in ABOUT.items() if n not in mine}
    assert not others & flags(command) - {"--params"}  # of tune: parameters have no preset


@pytest.mark.parametrize("command", ["run", "sweep", "tune", "audit"])
def test_help_begins_with_what_is_run(command):
    """Panels stand in one order everywhere, a command's own after the first."""
    tree = typer.main.get_command(app).commands
    shown = list(dict.fromkeys(p.rich_help_panel for p in tree[command].params
                               if p.param_type_name == "option" and p.rich_help_panel))
    assert [panel for panel in shown if panel in PANELS] == list(PANELS)
    assert shown[0] == PANELS[0]
    assert shown[-4:] == list(PANELS[1:])
    first = [p.opts[0] for p in tree[command].params if p.rich_help_panel == PANELS[0]]
    assert first[0] == "--method"


def test_every_option_is_a_flag_of_a_sweep():
    assert set(of_options("sweep", Request).values()) <= flags("sweep")


@pytest.mark.parametrize(("flag", "value", "of_plan", "name", "expected"), [
    ("--cluster", "tcp://127.0.0.1:8786", {}, "cluster", "tcp://127.0.0.1:8786"),
    ("--runs", "there", {}, "runs", Path("there")), ("--workers", "2", {}, "workers", 2),
    ("--stack", "3", {}, "stack", 3), ("--stack", "auto", {}, "stack", None),
    ("--timeout", "9", {}, "timeout", 9.0), ("--memory", "2GB", {}, "memory", "2GB"),
    ("--retry", "none", {}, "retry", "none"), ("--fail-fast", None, {}, "fail_fast", True),
    ("--seeds", "0,3", {"seeds": [0, 3]}, "workers", 1),
])
def test_a_flag_of_a_sweep_is_of_the_plan_or_of_how_it_is_run(
    flag, value, of_plan, name, expected, monkeypatch
):
    """The address of a scheduler was taken for the table of a plan, which has the same name."""
    seen = []
    monkeypatch.setattr("bench.cli.sweep.run_sweep",
                        lambda file, flags, options, **how: seen.append((flags, options)) or 0)
    command = typer.main.get_command(app)
    command(["sweep", flag, *([] if value is None else [value])], standalone_mode=False)
    ((flags, options),) = seen
    assert flags == of_plan
    assert getattr(options, name) == expected


@pytest.mark.parametrize("name", ABOUT)
def test_an_option_is_found_everywhere(name):
    said = ABOUT[name]
    assert "run" in said.commands or "sweep" in said.commands
    assert said.text
    assert name in inspect.signature(bench.run).parameters
    assert name in inspect.signature(bench.tune).parameters
    assert name in inspect.signature(bench.audit).parameters
    key = said.sweep or name
    if key == "runs":  # of a sweep: an option of how it is run
        assert "--runs" in flags("sweep")
        return
    assert key in {f.name for f in fields(Request)}
    assert key in inspect.signature(bench.sweep).parameters


@pytest.fixture(scope="module")
def corpora(tiny_root, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "corpora"
    shutil.copytree(tiny_root, copy)
    return tiny_root, copy


def identity_of(values, corpora):
    values = {"data": corpora[0], "method": "lda", "src": "SEED", "tgt": "DEAP:valence", **values}
    if values["data"] == "copy of the corpora":
        values["data"] = corpora[1]
    method, src, tgt = (values.pop(n) for n in ("method", "src", "tgt"))
    options = Options(**{n: v for n, v in values.items() if v is not None})
    return build.cell_of_run(method, src, tgt, options, lambda event: None).identity()


def at(identity, path):
    for key in path.split("."):
        identity = identity.get(key)
    return identity


@pytest.mark.parametrize("name", ABOUT)
def test_an_option_decides_the_identity_as_it_says(name, corpora, monkeypatch, clean_registry):
    monkeypatch.setattr("bench.runs.lookup.check_energy", lambda: None)
    other, also = OTHER[name]
    base = {"recipe": SMALL} if name == "recipe" else {}
    first = identity_of({**also, **base}, corpora) if name != "simulated" \
        else identity_of({}, corpora)
    second = identity_of({**also, name: other}, corpora)
    path = ABOUT[name].identity
    if path is None:
        assert first == second
        return
    assert at(first, path) != at(second, path)
    if ABOUT[name].given and name in about(CellOptions):
        shown = options_of(second)[name]
        assert (tuple(shown) if isinstance(shown, list) else shown) == other


def test_the_default_of_a_later_option_leaves_no_trace():
    """Records, plans and tunings of before there was the option keep their names."""
    later = [n for n, s in about(CellOptions).items() if s.later]
    assert later
    for name in later:
        assert name not in Options().deciding()
        assert name in Options(**{name: OTHER[name][0]}).deciding()
        plain = read_request(None, {"methods": "lr"})
        assert name not in plain.shared()
        assert name in read_request(None, {"methods": "lr", name: OTHER[name][0]}).shared()


def test_a_rerun_reads_back_what_decides_numbers():
    back = {n for n, s in about(CellOptions).items() if s.identity and s.given}
    assert {"precision", "scaling", "selection", "scale", "window", "threshold"} <= back


@dataclass(frozen=True, kw_only=True)
class More(Options):
    colour: str = option("grey", "Of no meaning.", OUT, identity="colour")


def test_a_new_option_is_one_field():
    @with_options("run", More)
    def run(**values):
        seen.update(parsed(More, values))

    @takes(More)
    def from_python(**changes):
        """Takes options."""

    seen = {}
    made = typer.Typer()
    made.command()(run)
    command = typer.main.get_command(made)
    with pytest.raises(SystemExit):
        command(["--colour", "red", "--exclude", "SEED:2,1", "--drop-middle", "4:6"])
    assert seen["colour"] == "red"
    assert (seen["exclude"], seen["drop_middle"]) == ({"SEED": [1, 2]}, (4.0, 6.0))
    assert "colour" in inspect.signature(from_python).parameters
    assert options_of({"colour": "red"}) == {}  # it is not among those of all cells


@pytest.mark.parametrize(("name", "text", "message"), [
    ("recipe", ["length"], "--recipe 'length' is not of the form NAME=VALUE"),
    ("drop_middle", "4", "--drop-middle '4' is not of the form LOW:HIGH"),
    ("exclude", ["SEED"], "--exclude 'SEED' is not of the form CORPUS:N,N"),
    ("params", ["=1"], "--set '=1' is not of the form NAME=VALUE"),
])
def test_values_that_cannot_be_read_are_named_by_their_flag(name, text, message):
    with pytest.raises(SettingError) as caught:
        parsed(Options, {name: text})
    assert caught.value.message == message


def test_a_request_is_what_all_its_cells_have_in_common():
    request = read_request(None, {"methods": "lr", "pairs": "SEED->DEAP", "window": 2,
                                  "exclude": {"DEAP": [3]}, "precision": "float64"})
    same = Options(window=2.0, exclude={"DEAP": [3]}, precision="float64")
    assert request.common() == replace(same).common()
    shared = {n: v for n, v in same.deciding().items() if n != "preset"}  # that is in the cells
    assert request.shared() == shared


#: Where the name of an option stands as a text and means something else, or reads a record.
ELSEWHERE = {
    "window": "the unit of a score", "data": "the group of commands, what a rule used",
    "seed": "a key of records, of files' names", "params": "a key of records and of tables",
    "protocol": "a key of records and of tables", "features": "a column, the cache's folder",
    "scale": "a message, a key of records", "runs": "the default folder",
    "recipe": "a message", "scaling": "a message, a key of records",
    "selection": "a key of records and of what is built from them",
    "precision": "a key of records", "sessions": "a key of records",
    "threshold": "a key of records", "drop_middle": "a key of records",
    "exclude": "a key of tunings", "preset": "stands apart in a tuning's setting",
    "diagnostics": "a key of random streams", "save_models": "off in a trial",
    "montage": "a key of records and of tunings",
    "hold_out": "a key of records",
    "official_kind": "read from a record by hand", "simulated": "read from a record by hand",
    "weights": "a parameter of networks, a key of records",
    "classes": "a key of records", "map": "a key of records and of a tuning's setting",
}


def test_no_option_is_a_literal_elsewhere():
    """Names that mean an option alone stand in bench/runs/options.py, and nowhere else."""
    alone = set(ABOUT) - set(ELSEWHERE)
    assert {"energy", "deterministic", "scaling_scope", "controls", "include"} <= alone
    wrong = []
    for path in sorted((ROOT / "bench").rglob("*.py")):
        if path.name == "options.py" or path.parts[-2] == "store":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in alone:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.value}")
    assert wrong == []
