"""Optuna studies: opened from a journal file or a database, and mended after a kill.

A journal has one user at a time, so whatever is still running in it when it is opened was killed.
A database may have many; there a trial that has shown no life for a while counts as killed. A trial
that was killed is marked failed *without a reason*, and its place is taken by another.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BenchError, SettingError
from ..runs.tuned import FOLDER
from ..store.lock import RunLock
from ..store.seal import DamagedError, read_json, sum_of, write_json

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

#: Seconds between two signs of life of a trial in a database, and after which it counts as killed.
HEARTBEAT, SILENT = 10, 60
#: Times that a database is tried to be set up, while others do the same.
STARTS = 5
#: Complete trials before one may be given up early.
PRUNE_AFTER = 5


@dataclass(frozen=True)
class Storage:
    """Where a study lies.

    Attributes
    ----------
    given : str or None
        URL of a database, a journal file, or None for a journal in the run folder.
    runs : Path
    """

    given: str | None
    runs: Path

    @property
    def shared(self) -> bool:
        """Whether several processes may work on a study at once."""
        return self.given is not None and "://" in self.given

    def journal(self, study: str) -> Path:
        """Journal file of a study."""
        return Path(self.given) if self.given else self.runs / FOLDER / f"{study}.journal"


@contextlib.contextmanager
def opened(storage: Storage, name: str) -> Iterator[Study]:
    """A study to be maximised, made if it is not there; Optuna says nothing meanwhile.

    Raises
    ------
    LockedError
        Another process works on the journal.
    SettingError
        The storage cannot be opened.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            if storage.shared:
                yield _database(str(storage.given), name)
                return
            path = storage.journal(name)
            with RunLock(path.parent, f"{path.name}.held", "a tuning"):
                study = _journal(path, name)
                for trial in study.trials:
                    if trial.state == optuna.trial.TrialState.RUNNING:
                        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                try:
                    yield study
                finally:
                    _sum_up(path)
    finally:
        optuna.logging.set_verbosity(before)


def _database(url: str, name: str) -> Study:
    from optuna.storages import RDBStorage

    for attempt in range(STARTS):
        try:
            return _study(
                RDBStorage(url, heartbeat_interval=HEARTBEAT, grace_period=SILENT), name)
        except Exception as error:  # SQLAlchemy, drivers and Optuna raise many types
            if "already exists" in str(error) and attempt < STARTS - 1:
                time.sleep(1.0)  # another process makes the tables at this moment
                continue
            raise _unusable(url, error) from error
    raise AssertionError


def _journal(path: Path, name: str) -> Study:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    _check_sum(path)
    try:
        repair(path)
        return _study(JournalStorage(JournalFileBackend(str(path))), name)
    except Exception as error:
        raise _unusable(str(path), error) from error


def _study(storage: Any, name: str) -> Study:
    from optuna import create_study
    from optuna.pruners import MedianPruner

    return create_study(storage=storage, study_name=name, direction="maximize",
                        load_if_exists=True, pruner=MedianPruner(n_startup_trials=PRUNE_AFTER))


def _check_sum(journal: Path) -> None:
    """Refuse a journal that was changed since a tuning closed it; what a kill left is behind that.

    Raises
    ------
    SettingError
    """
    path = _sum_path(journal)
    if not path.is_file():  # a new one, or of before there were sums
        return
    try:
        known = read_json(path)
        with journal.open("rb") as file:
            same = sum_of(file.read(int(known["bytes"]))) == known["sha256"]
    except (OSError, DamagedError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise SettingError(
            f"the journal {journal} is not as it was left, or {path.name} is not",
            "Put both back from a copy, or remove both: then it is tuned anew.",
        )


def _sum_up(journal: Path) -> None:
    """Write down how long a journal is, and its checksum."""
    with contextlib.suppress(OSError):  # a full disk: then it stays without
        body = journal.read_bytes()
        write_json(_sum_path(journal), {"bytes": len(body), "sha256": sum_of(body)})


def _sum_path(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.sum")


def _unusable(where: str, error: Exception) -> BenchError:
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return SettingError(
        f"storage {where} cannot be opened: {text}",
        "Give a journal file (studies.journal), or a URL such as sqlite:///studies.db or "
        "postgresql://USER@HOST/NAME, whose driver is installed; without --storage, a journal in "
        "the run folder is used.",
    )


def repair(journal: Path) -> None:
    """Remove what a kill left in a journal that nobody else uses: half a line, and its lock."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.is_file():
        return
    with journal.open("rb+") as file:
        body = file.read()
        whole = body.rfind(b"\n") + 1
        if whole < len(body):
            file.truncate(whole)


def killed(trial: FrozenTrial) -> bool:
    """Whether a trial ended without a result or a reason."""
    return trial.state.name == "FAIL" and "reason" not in trial.user_attrs


def live(study: Study, of: int) -> list[FrozenTrial]:
    """Trials among the first ``of`` places that have ended or are running."""
    return [
        t for t in study.trials
        if t.state.name != "WAITING" and t.user_attrs.get("index", of) < of and not killed(t)
    ]


def indices(study: Study, of: int) -> set[int]:
    """Places among the first ``of`` that are taken."""
    return {t.user_attrs["index"] for t in live(study, of)}
