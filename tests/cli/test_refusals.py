"""What a command cannot do is one message; what strangers wrote shows as text."""

import errno
import io
import os
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from bench.cli import main as module
from bench.cli.screen.console import Screen
from bench.data.reading import check_window
from bench.errors import BenchError, SettingError
from bench.registry import include, load
from bench.reports.shared.text import spreadsheet
from bench.runs.lookup import check_folder
from bench.store.records import Store
from bench.sweeps.request import read_request


def ended(monkeypatch, capsys, what):
    """Status and error text of a command that does ``what``."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(module, "app", what)
    for number in before:  # under nohup they would be ignored, and waited for without an end
        signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as caught:
            module.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(("number", "said"), [
    (errno.ENOSPC, "The disk is full"), (errno.EROFS, "--runs"), (errno.EACCES, "BENCH_CACHE"),
    (errno.EDQUOT, "quota"), (errno.ENOTDIR, "A folder is needed there"), (errno.EIO, ""),
])
def test_what_the_system_refuses_is_one_message(monkeypatch, capsys, number, said):
    def refused(**_):
        raise OSError(number, os.strerror(number), "/somewhere/file")

    status, text = ended(monkeypatch, capsys, refused)
    assert status == 2
    assert f"Error: /somewhere/file: {os.strerror(number)}" in text
    assert said in text
    assert "Traceback" not in text


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_command_with_a_word(monkeypatch, capsys, name):
    number = getattr(signal, name)

    def killed(**_):
        os.kill(os.getpid(), number)
        signal.pause()

    status, text = ended(monkeypatch, capsys, killed)
    assert status == 128 + number
    assert text.strip() == f"Stopped by {name}."  # what is kept only a command knows


@pytest.mark.parametrize("command", [["run", "--help"], ["list", "methods"]])
def test_a_reader_that_has_seen_enough_is_no_error(command):
    """As with ``bench list methods | head -1``; rich and the command line then end the program."""
    process = subprocess.Popen([sys.executable, "-m", "bench.cli", *command], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (141, "")


def test_nohup_stays_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        module._listen([])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_a_plugin_that_exits_is_an_error(monkeypatch, capsys, tmp_path, clean_registry):
    status, text = ended(monkeypatch, capsys, lambda **_: sys.exit(0))
    assert (status, "ended the program: sys.exit(0)" in text) == (2, True)
    plugin = tmp_path / "plugin.py"
    plugin.write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(BenchError, match="cannot be imported: SystemExit: 3"):
        include(str(plugin))
    plugin.write_text("from bench.registry import Entry\nCATALOGUE = [Entry('x', 'exits_now:X')]\n")
    (tmp_path / "exits_now.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    include(str(plugin))
    with pytest.raises(BenchError, match="x .* cannot be loaded: SystemExit"):
        load("methods", "x")


@pytest.mark.parametrize("what", ["", " ", ".x", "a..b"])
def test_what_cannot_be_included_is_one_message(what):
    with pytest.raises(BenchError):
        include(what)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), 0.001, 0, -1, 1e9])
def test_a_window_that_is_none_is_refused(seconds):
    with pytest.raises(SettingError, match=r"is not between 0\.1 and 600 s"):
        check_window(seconds)


def test_a_run_folder_that_can_be_none_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "file", tmp_path / "file" / "runs"):
        with pytest.raises(SettingError, match="there is a file of that name"):
            check_folder(runs)
    check_folder(tmp_path / "new" / "runs")


@pytest.mark.parametrize(("text", "said"), [
    ("methods = " + "[" * 5000 + "]" * 5000, "nested too deep"),
    ('methods = ["m"]\nseeds = 99999999999', "10,000 seeds at most"),
    ('methods = ["m"]\nseeds = [99999999999999999999]', "."),
    ('methods = ["m"]\nscale = 3' + "0" * 3000, "."),
])
def test_an_absurd_plan_is_one_short_message(tmp_path, text, said):
    (tmp_path / "sweep.toml").write_text(text)
    with pytest.raises(SettingError, match=said) as caught:
        read_request(tmp_path / "sweep.toml", {}).numbers()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(("value", "shown"), [
    ("=1+1", "'=1+1"), (";=1+1", ";'=1+1"), ("a; @x", "a;' @x"), ("a\t+1", "a\t'+1"),
    ("lr=0.1; n=-3", "lr=0.1; n=-3"), (-1.5, -1.5), ("2014-01", "2014-01"),
])
def test_no_cell_of_a_spreadsheet_is_a_formula(value, shown):
    assert spreadsheet(value) == shown


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202ered\udc80"


def test_a_screen_shows_what_strangers_wrote_as_text():
    from rich.panel import Panel
    from rich.table import Table

    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    for kind in (Screen, Console):
        out = io.StringIO()
        screen = kind(file=out, force_terminal=True, width=60)
        screen.print(f"[bold]{HOSTILE}[/] plain")
        screen.print(table)
        screen.print(Panel(HOSTILE), soft_wrap=True)
        codes = ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\udc80")
        dangerous = any(code in out.getvalue() for code in codes)
        assert dangerous == (kind is Console)  # else this would prove nothing
    assert "owned" in out.getvalue()


def test_a_foreign_run_folder_cannot_write_on_the_terminal(monkeypatch, capsys, tmp_path):
    (tmp_path / "cells" / "\x1b[31mx").mkdir(parents=True)
    (tmp_path / "cells" / "\x1b[31mx" / "record.json").write_text("{")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for command in (["status"], ["report"]):
        monkeypatch.setattr(sys, "argv", ["bench", *command, str(tmp_path)])
        with pytest.raises(SystemExit):
            module.main()
        shown = "".join(capsys.readouterr())
        assert "\x1b[31mx" not in shown
    assert Store(tmp_path).get("\x1b[31mx") is None
