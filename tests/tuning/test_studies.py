"""Journals of studies: what was changed in them since they were closed is not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.errors import SettingError
from bench.tuning.studies import Storage, opened


def ran(runs: Path, trials: int) -> Path:
    """A study with so many more trials; its journal."""
    storage = Storage(None, runs)
    with opened(storage, "s") as study:
        for number in range(trials):
            trial = study.ask()
            trial.suggest_float("lr", 0.001, 0.1)
            study.tell(trial, 0.5 + number / 100)
    return storage.journal("s")


def values(runs: Path) -> list[float]:
    with opened(Storage(None, runs), "s") as study:
        return [t.value for t in study.trials]


def test_a_journal_is_gone_on_with(tmp_path):
    ran(tmp_path, 2)
    ran(tmp_path, 1)
    assert values(tmp_path) == [0.5, 0.51, 0.5]


@pytest.mark.parametrize("change", [
    lambda whole: whole.replace(b"0.51", b"0.91"), lambda whole: whole[: len(whole) // 2],
    lambda whole: b"", lambda whole: whole.replace(b"0.5", b"\xff.5", 1),
])
def test_a_changed_journal_is_refused(tmp_path, change):
    journal = ran(tmp_path, 2)
    whole = journal.read_bytes()
    journal.write_bytes(change(whole))
    for _ in range(2):
        with pytest.raises(SettingError, match="is not as it was left") as refusal:
            values(tmp_path)
    assert "tuned anew" in refusal.value.hint
    journal.write_bytes(whole)
    assert values(tmp_path) == [0.5, 0.51]


def test_what_a_kill_left_behind_the_sum_is_read(tmp_path):
    """A tuning that is killed has told its journal of trials that no sum counts yet."""
    journal = ran(tmp_path, 1)
    before = Path(f"{journal}.sum").read_bytes()
    ran(tmp_path, 1)
    Path(f"{journal}.sum").write_bytes(before)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "tri')
    assert values(tmp_path) == [0.5, 0.5]


def test_a_journal_of_before_there_were_sums_is_read(tmp_path):
    journal = ran(tmp_path, 1)
    Path(f"{journal}.sum").unlink()
    assert values(tmp_path) == [0.5]
    assert json.loads(Path(f"{journal}.sum").read_text())["bytes"] == len(journal.read_bytes())
