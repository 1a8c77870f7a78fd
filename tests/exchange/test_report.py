"""``bench.report``: the command from Python."""

import pytest
from typer.testing import CliRunner

import bench
from bench.cli.main import app
from bench.store.records import Store

from records import sweep
from support import synthetic


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


def test_it_says_what_there_was_nothing_to_draw_for(tmp_path):
    sweep(Store(tmp_path / "runs"), seeds=1)
    files = bench.report(tmp_path / "runs", only=["leaderboard", "scalp"])
    assert sorted(files.refusals) == ["scalp"]
    assert "importance of bands" in files.refusals["scalp"]
    assert "none of scalp: see .refusals" in repr(files)
    assert files.refusals["scalp"][:20] in files._repr_html_()
    assert bench.report(tmp_path / "runs", only=["leaderboard"]).refusals == {}


def test_it_says_what_was_verified(tmp_path):
    from bench.exchange.export import export

    runs = tmp_path / "runs"
    own = {name: synthetic(corpus=name, seed=i) for i, name in enumerate(("A", "B"))}
    bench.run("lda", "A", "B", windows=own, runs=runs, scale="null")
    export(runs, tmp_path / "lab.zip", lab="Lab")
    files = bench.report(runs, tmp_path / "lab.zip", out=tmp_path / "out", formats=["csv"])
    (seen,) = files.archives
    assert (seen.path, seen.lab) == (tmp_path / "lab.zip", "Lab")
    assert "lab.zip verified" in repr(files)
    assert seen.digest in files._repr_html_()
