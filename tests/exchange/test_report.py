"""``bench.report``: the command from Python."""

import pytest
from typer.testing import CliRunner

import bench
from bench.cli.main import app
from bench.store.records import Store

from records import sweep


def test_it_writes_what_the_command_writes(tmp_path):
    sweep(Store(tmp_path / "runs"), seeds=1)
    files = bench.report(tmp_path / "runs", out=tmp_path / "ours", formats=["csv"])
    done = CliRunner().invoke(app, ["report", str(tmp_path / "runs"), "--format", "csv",
                                    "--out", str(tmp_path / "theirs")])
    assert done.exit_code == 0, done.output
    ours = {path.name: path.read_bytes() for path in files}
    assert ours
    assert ours == {path.name: path.read_bytes() for path in (tmp_path / "theirs").glob("*.csv")}


def test_an_unknown_report_is_refused(tmp_path):
    with pytest.raises(bench.BenchError, match="nonsense"):
        bench.report(tmp_path, only=["nonsense"])
