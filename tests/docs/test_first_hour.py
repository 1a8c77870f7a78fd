"""README's commands and the how-to pages run in an environment of their own, and are timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import firsthour
from pages import ROOT, blocks, commands


def test_milestones_stand_in_the_pages():
    for name, (page, command) in firsthour.MILESTONES.items():
        text = [b.text for b in blocks(firsthour.HOWTO / f"{page}.md") if b.runs]
        assert sum(command in t for t in text) == 1, name


def test_every_command_of_readme_is_run_but_for_downloads():
    found = [tuple(c) for b in blocks(ROOT / "README.md", "bash") for c in commands(b)]
    assert len(found) > 20
    assert set(found) >= firsthour.OUTSIDE


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the pages show a POSIX shell")
def test_the_first_hour(tmp_path):
    pytest.importorskip("setuptools")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True,
                      check=False).returncode:
        pytest.skip("there is no pip")
    out = tmp_path / "seconds.json"
    done = subprocess.run([sys.executable, firsthour.__file__, "--here", "--json", str(out)],
                          capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = json.loads(out.read_text())
    assert set(firsthour.MILESTONES) | {"install", "README: Python"} <= set(seconds)
    print(done.stdout)
