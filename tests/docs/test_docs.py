"""The documentation is true: its links lead somewhere, its commands exist, its examples run."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from batch import fake_slurm
from pages import DOCS, MADE, ROOT, Block, blocks, commands, inline_commands, links, pages

PAGES = pages()
EXAMPLE = DOCS / "examples" / "bench_shrunk_means.py"


def of_page(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=of_page)


# --- links -----------------------------------------------------------------------------------

def wrong_links(page: Path) -> list[str]:
    """Links of a page that lead nowhere; outside addresses are only looked at."""
    wrong = []
    for link in links(page):
        parts = urlsplit(link)
        if parts.scheme:
            fine = parts.scheme in ("http", "https") and "." in parts.netloc and " " not in link
        else:
            path = (page.parent / parts.path).resolve() if parts.path else page
            fine = path.is_file()
            if fine and parts.fragment and path.suffix == ".md":
                fine = parts.fragment in anchors(path)
        if not fine:
            wrong.append(link)
    return wrong


def anchors(page: Path) -> set[str]:
    """What a link into a page may name: its headings, and what its reference documents."""
    text = page.read_text(encoding="utf-8")
    found = set(re.findall(r"^::: ([\w.]+)", text, re.MULTILINE))
    members = {link for link in re.findall(r"#(bench\.[\w.]+)", "\n".join(map(read, PAGES)))
               if any(link.startswith(f"{module}.") for module in found)}
    for heading in re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        found.add(re.sub(r"[\s-]+", "-", plain))
    return found | members


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@every_page
def test_links_lead_somewhere(page):
    assert wrong_links(page) == []


def test_wrong_links_are_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# One two\n[a](no.md) ![b](no.png) [c](#one-two) [d](#three)\n"
                    "[e](https://example.org/x) [f](https://nowhere) `[g](code.md)` <http://x>\n")
    assert wrong_links(page) == ["no.md", "no.png", "#three", "https://nowhere", "http://x"]


def test_every_page_is_in_the_menu():
    def leaves(nav):
        for item in nav:
            for what in item.values():
                yield from leaves(what) if isinstance(what, list) else [what]

    listed = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    there = {str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md")} | MADE
    assert there <= set(listed)
    assert len(listed) == len(set(listed))


# --- commands --------------------------------------------------------------------------------

def wrong_command(words: list[str]) -> str:
    """What the command line has against a command, without running it; "" for nothing."""
    import typer

    from bench.cli.main import app

    command, context = typer.main.get_command(app), None
    words = list(words)
    try:
        while hasattr(command, "commands"):
            context = command.make_context("bench", words[:1] or ["--none"], parent=context)
            name = words.pop(0)
            if name not in command.commands:
                return f"no command {name!r}"
            command = command.commands[name]
        command.make_context("bench", words, parent=context)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


@every_page
def test_commands_exist(page):
    shown = [(b, c) for b in blocks(page, "bash") for c in commands(b)]
    assert {f"{b}: bench {shlex.join(c)}": wrong_command(c) for b, c in shown
            if wrong_command(c)} == {}


@every_page
def test_commands_in_the_text_exist(page):
    """Of those only the names are looked at: `bench data check DIR` is no complete command."""
    wrong = []
    for text in inline_commands(page):
        known, words = whole_tree(), text.split()[1:]
        while isinstance(known, dict) and words and not words[0].startswith("-"):
            known = known.get(words.pop(0))
        flags = [w.partition("=")[0] for w in words if w.startswith("-")]
        if known is None or not (isinstance(known, dict) or set(flags) <= known | {"--help"}):
            wrong.append(text)
    assert wrong == []


@functools.cache
def whole_tree():
    return tree()


def tree(command=None):
    """Commands as dictionaries of names, with the options of each as a set."""
    import typer

    from bench.cli.main import app

    command = command or typer.main.get_command(app)
    inner = getattr(command, "commands", None)
    if inner is not None:
        return {name: tree(sub) for name, sub in inner.items()}
    return {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}


@pytest.mark.parametrize(("line", "wrong"), [
    ("run --src SEED --seed 3", ""), ("data check x", ""), ("walk", "no command 'walk'"),
    ("run --sauce SEED", "NoSuchOption"), ("run --seed x", "BadParameter"), ("rerun", "Missing"),
])
def test_wrong_commands_are_seen(line, wrong):
    found = wrong_command(line.split())
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)


def test_shell_blocks_say_that_they_are():
    """A block without a language is not looked at, so it may not hold a command."""
    assert [str(b) for p in PAGES for b in blocks(p) if b.language != "bash"
            and re.search(r"^bench \w", b.text, re.MULTILINE)] == []


def test_every_option_says_what_it_does():
    import typer

    from bench.cli.main import app

    def silent(command, name):
        inner = getattr(command, "commands", None)
        if inner is not None:
            return [s for n, sub in inner.items() for s in silent(sub, f"{name} {n}")]
        return [f"{name} {p.name}" for p in command.params if not getattr(p, "help", None)] + (
            [] if command.help else [name])

    assert silent(typer.main.get_command(app), "bench") == []


# --- blocks of code --------------------------------------------------------------------------

@every_page
def test_python_compiles(page):
    for block in blocks(page, "python"):
        compile("\n" * block.line + block.text, str(page), "exec")


@every_page
def test_sweep_requests_are_valid(page, tmp_path):
    from bench.registry import entry
    from bench.sweeps.request import read_request

    for block in blocks(page, "toml"):
        path = tmp_path / "sweep.toml"
        path.write_text(block.text)
        if re.search(r"^methods\b", block.text, re.MULTILINE):
            request = read_request(path, {})
            for group, names in (("methods", request.methods), ("protocols", request.protocols)):
                assert all(entry(group, name.partition(":")[0]) for name in names)
        else:
            import tomllib

            assert tomllib.loads(block.text)


# --- examples that are run ---------------------------------------------------------------------

RUN = [p for p in PAGES if any(b.runs for b in blocks(p))]
SLOW = [p for p in RUN if any(b.mark == "run: slow" for b in blocks(p))]


def run_page(page: Path, folder: Path) -> None:
    """Run the marked blocks of a page one after the other in one folder, as a reader would."""
    wrapper = folder / "bin" / "bench"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m bench.cli "$@"\n')
    wrapper.chmod(0o755)
    fake_slurm(wrapper.parent)
    env = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "MPLBACKEND": "Agg",
           "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
           "BENCH_CONFIG": str(folder / "corpora.json")}
    here = folder / "work"
    here.mkdir()
    for block in blocks(page):
        if block.mark.startswith("file: "):
            path = here / block.mark.removeprefix("file: ")
            assert path.is_file(), f"{block}: nothing there to replace"
            path.write_text(block.text)
        elif block.runs:
            done = call(block, here, env)
            assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def call(block: Block, here: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = {
        "bash": ["bash", "-euc", block.text], "python": [sys.executable, "-c", block.text],
    }[block.language]
    return subprocess.run(command, cwd=here, env=env, capture_output=True, text=True, timeout=900,
                          check=False)


@pytest.mark.skipif(os.name == "nt", reason="the pages show a POSIX shell")
@pytest.mark.parametrize("page", [
    pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in RUN
], ids=of_page)
def test_examples_run(page, tmp_path):
    run_page(page, tmp_path)


def test_there_are_examples():
    assert {of_page(p) for p in RUN} >= {"docs/index.md", "docs/first-plugin.md"}
    marks = {b.mark for p in PAGES for b in blocks(p) if b.language in ("bash", "python")}
    assert marks <= {"", "run", "run: slow"} | {m for m in marks if m.startswith("file: ")}


# --- the first plugin --------------------------------------------------------------------------

def test_the_page_shows_the_tested_plugin():
    (block,) = (b for b in blocks(DOCS / "first-plugin.md", "python") if b.mark)
    assert block.text == EXAMPLE.read_text()


def test_the_plugin_is_short():
    import ast

    (method,) = (n for n in ast.parse(EXAMPLE.read_text()).body
                 if isinstance(n, ast.ClassDef) and n.name == "ShrunkMeans")
    assert method.end_lineno - method.lineno < 30


@pytest.mark.slow
def test_the_plugin_installs_with_pip(tmp_path, bench):
    """As a stranger has it: a folder of her own, pip, a fresh environment, no --include."""
    assert bench("new", "method", "shrunk-means").returncode == 0
    folder = tmp_path / "bench-shrunk-means"
    (folder / "bench_shrunk_means.py").write_text(EXAMPLE.read_text())
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    python = venv / "bin" / "python"
    (site,) = (venv / "lib").glob("python*/site-packages")
    here = [p for p in sys.path if p.endswith("site-packages")]
    (site / "around.pth").write_text(
        "".join(f"import site; site.addsitedir({p!r})\n" for p in here))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps",
           "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    if subprocess.run([*pip[:3], "--version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no pip")

    def call(*command):
        done = subprocess.run([python, "-m", "bench.cli", *command], cwd=tmp_path, text=True,
                              capture_output=True, timeout=600, check=False,
                              env={**os.environ, "NO_COLOR": "1", "TERM": "dumb"})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "shrunk-means" not in call("list", "methods", "--json")
    subprocess.run([*pip, folder], check=True)
    rows = {row["name"]: row for row in json.loads(call("list", "methods", "--json"))}
    assert rows["shrunk-means"]["origin"] == "bench-shrunk-means"
    call("run", "--method", "shrunk-means", "--src", "SEED", "--tgt", "DEAP", "--simulated",
         "--scale", "null")
    call("report", "runs", "--format", "csv")
    assert "shrunk-means" in (tmp_path / "runs" / "report" / "leaderboard.csv").read_text()


# --- the site ------------------------------------------------------------------------------------

def module(name: str):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_all_pictures_are_there():
    assert module("build").missing_pictures() == []


def test_every_figure_of_the_gallery_says_when_not_to_trust_it():
    """How to read it comes first, then when not to, then the picture."""
    picture = re.compile(r"^!\[[^\n]*\]\(pictures/(\w+)\.png\)$", re.MULTILINE)
    parts = picture.split(read(DOCS / "gallery.md"))
    texts = dict(zip(parts[1::2], parts[0::2], strict=False))
    assert set(texts) >= {"page", "heatmap", "difference", "ranks", "selection", "scalp"}
    wrong = {name for name, text in texts.items() if text.count("*When not to trust it:*") != 1
             or len(text.partition("*When not")[0].split()) < 15}
    assert wrong == set()


@pytest.mark.parametrize(("words", "variable", "missing", "ran"), [
    ([], "", [], ["-m"]), ([], "0", [], ["-m"]), ([], "1", [], ["gallery.py", "-m"]),
    (["--gallery"], "", [], ["gallery.py", "-m"]), ([], "", ["x.png"], ["gallery.py", "-m"]),
])
def test_when_the_gallery_is_run(monkeypatch, words, variable, missing, ran):
    build = module("build")
    called = []
    monkeypatch.setattr(sys, "argv", ["build.py", *words, "--quiet"])
    monkeypatch.setenv("BENCH_GALLERY", variable)
    monkeypatch.setattr(build, "missing_pictures", lambda: missing)
    monkeypatch.setattr(build, "_call", lambda *command: called.append(command) or 0)
    assert build.main() == 0
    assert [Path(str(c[0])).name for c in called] == ran
    assert called[-1][1:] == ("mkdocs", "build", "--strict", "--quiet")


def test_the_site_builds(tmp_path):
    """Strictly: a broken link, an unknown reference or an address of another host is an error."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=ROOT, text=True, capture_output=True, timeout=600, check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    front = (tmp_path / "site" / "index.html").read_text()
    assert "pictures/page.png" in front
    reference = (tmp_path / "site" / "api" / "training.html").read_text()
    assert 'id="bench.methods.shared.losses.transfer.mmd"' in reference
    assert "bench data set" in (tmp_path / "site" / "commands.html").read_text()


@pytest.mark.parametrize(("html", "fetches"), [
    ('<script src="https://cdn.example.org/x.js"></script>', True),
    ('<link rel="stylesheet" href="//fonts.example.org/css">', True),
    ('<img alt="" src=https://example.org/x.png>', True),
    ('<a href="https://example.org">there</a>', False),
    ('<link rel="canonical" href="https://example.org/">', False),
    ('<script src="assets/x.js"></script>', False),
])
def test_what_a_browser_would_fetch(html, fetches):
    pytest.importorskip("mkdocs")
    assert bool(module("hooks")._FETCHED.search(html)) == fetches
