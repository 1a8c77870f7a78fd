"""Run an audit: the honest cells, their leaky twins, and a file that says which is which."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from ..cells.cell import Cell, Event, OnEvent
from ..cells.engine import run_cell
from ..cells.shortcuts import SHORTCUTS, Shortcut
from ..data.windows import Windows
from ..errors import BenchError, IncompatibleError, SettingError, check_known
from ..method import Method
from ..registry import load
from ..runs.build import cell_of_run
from ..runs.keywords import AuditKeywords
from ..runs.notebook import watching
from ..runs.options import Options, as_names, changed, parted, takes
from ..runs.own import with_windows
from ..selection.rules import rule
from ..store.hashing import key_of
from ..store.records import Record, Store
from ..store.seal import write_json
from ..store.shown import counted
from ..tuning.space import search_space, suggested

#: From 2 on the file holds its checksum.
SCHEMA = 2


@dataclass(frozen=True)
class AuditOptions:
    """Parts of an audit that are run.

    Attributes
    ----------
    seeds : tuple of int, or int
        Seeds of the honest run and of every twin, or how many.
    only : tuple of str
        Shortcuts; all if empty.
    draws : int
        Parameter draws of ``tuned-on-test`` beside the parameters of the honest run.
    """

    seeds: tuple[int, ...] = (0, 1, 2)
    only: tuple[str, ...] = ()
    draws: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "only", tuple(as_names("--only", self.only)))
        if isinstance(self.seeds, int):
            object.__setattr__(self, "seeds", tuple(range(self.seeds)))
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise SettingError("an audit needs one seed at least, none below 0, each once")
        if self.draws < 1:
            raise SettingError(f"--draws {self.draws}: one draw at least is needed")


@dataclass
class AuditEntry:
    """One shortcut of an audit: which records are compared, or why there are none.

    Attributes
    ----------
    name, does, steals : str
    honest, leaky : list of str
        Records whose scores are averaged on either side; for the best test epoch both are the
        same, and the leaky side is what they hold as ``oracle``.
    oracle : bool
        Whether the leaky side is the records' ``oracle``.
    note : str
        What a reader must know to judge the number.
    reason : str
        Why it does not apply; else empty.
    """

    name: str
    does: str
    steals: str
    honest: list[str] = field(default_factory=list)
    leaky: list[str] = field(default_factory=list)
    oracle: bool = False
    note: str = ""
    reason: str = ""


@takes(AuditOptions)
@takes(Options)
def audit(
    method: str = "scmm",
    src: str | Windows = "SEED",
    tgt: str | Windows = "DEAP",
    options: Options | None = None,
    on_event: OnEvent | None = None,
    *,
    what: AuditOptions | None = None,
    windows: Mapping[str, Windows] | None = None,
    **changes: Unpack[AuditKeywords],
) -> Path:
    """Run a method honestly and with each shortcut, and write down what is to be compared.

    Parameters
    ----------
    method, src, tgt, options, on_event, windows, **changes
        As for :func:`bench.run`; also fields of :class:`bench.AuditOptions`: ``seeds=5``.
    what : AuditOptions, optional
        These fields as one object.

    Returns
    -------
    Path
        ``RUNS/audit-<hash>.json``; read it with :func:`bench.auditing.inflation.read_audit`.

    Raises
    ------
    BenchError
        A name or setting is wrong, or the honest run fails. A shortcut that does not apply or
        fails is an entry with a reason.
    """
    what, rest = parted(what or AuditOptions(), Options, changes)
    options = with_windows(changed(options, rest), windows)
    if options.seed:
        raise SettingError(f"an audit is of several seeds, and was given seed={options.seed}",
                           f"Which seeds: seeds=({options.seed},); how many: seeds=3.")
    cls: type[Method] = load("methods", method)
    if cls.kind == "oracle":
        raise SettingError(
            f"{cls.name} takes shortcuts itself, so it has no honest run to compare with",
            "Audit the method it is a copy of.",
        )
    if options.preset == "tuned":
        raise SettingError(
            "an audit with tuned parameters is not possible: each seed has a tuning of its own",
            "Give the parameters with --set.",
        )
    wanted = chosen(cls, what.only)
    with watching(on_event) as told:
        cell = cell_of_run(method, src, tgt, options, told)
        run = _Audit(cell, Store(options.runs), what, told, tuple(options.params))
        told(Event(f"honest run, {counted(len(what.seeds), 'seed')}"))
        run.honest = [run_cell(replace(cell, seed=s), run.store, told) for s in what.seeds]
        entries = []
        for number, shortcut in enumerate(wanted, 1):
            told(Event(f"{number} of {len(wanted)}: {shortcut.name}: {shortcut.does}"))
            entries.append(run.entry(shortcut))
            if entries[-1].reason:
                told(Event(f"does not apply: {entries[-1].reason}"))
    ids, names = [r.id for r in run.honest], [e.name for e in entries]
    path = options.runs / f"audit-{key_of('audit', ids, names, what.draws)[:12]}.json"
    write_json(path, {"schema": SCHEMA, "honest": ids, "entries": [asdict(e) for e in entries]})
    return path


def chosen(cls: type[Method], only: Sequence[str]) -> list[Shortcut]:
    """Shortcuts of a method that are asked for, in the order of tables.

    Raises
    ------
    UnknownNameError
        No such shortcut, or none of this method.
    """
    switches = [
        Shortcut(name, does, steals="nothing of the test set", seen=other, how="switch")
        for name, does, other, _ in cls(None).shortcuts()
    ]
    known = {s.name: s for s in (*SHORTCUTS.values(), *switches)}
    check_known(f"shortcut of {cls.name}", known, *only)
    return [s for s in known.values() if not only or s.name in only]


@dataclass
class _Audit:
    """The honest records, and how to come by a twin."""

    cell: Cell
    store: Store
    what: AuditOptions
    on_event: OnEvent
    given: tuple[str, ...]
    honest: list[Record] = field(default_factory=list)

    def entry(self, shortcut: Shortcut) -> AuditEntry:
        """Run what a shortcut needs."""
        entry = AuditEntry(shortcut.name, shortcut.does, shortcut.steals, note=shortcut.note)
        entry.honest = [r.id for r in self.honest]
        try:
            shortcut.check(self.cell.protocol, self.cell.scaling)
            getattr(self, f"_{shortcut.how}")(shortcut, entry)
        except BenchError as error:
            entry.reason, entry.leaky = error.message, []
        return entry

    def _epochs(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        if any(r.oracle is None for r in self.honest):
            raise IncompatibleError(f"{self.cell.method.name} is not trained in epochs")
        entry.leaky, entry.oracle = entry.honest, True

    def _folds(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        if shortcut.parts and self.cell.hold_out != "none":
            raise IncompatibleError(
                "stimuli are held out of each subject's training, and a part of mixed subjects is "
                "no subject"
            )
        if shortcut.parts and rule(self.cell.selection).holds_out:
            raise IncompatibleError(
                f"selection {self.cell.selection} holds out trials or subjects of a fold, and a "
                "part of mixed subjects has none of its own"
            )
        entry.leaky = self._twins(replace(self.cell, shortcut=shortcut.name))

    def _stimuli(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        held = replace(self.cell, hold_out="stimulus")
        held.check()
        entry.honest = self._twins(held)
        entry.leaky = self._twins(replace(held, shortcut=shortcut.name))
        entry.note = ("against --hold-out stimulus: either side is tested in the same groups of "
                      "stimuli and trains without the stimuli of one group, the tested or another")

    def _switch(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        _, _, name, values = next(
            s for s in self.cell.method.shortcuts() if s[0] == shortcut.name
        )
        other: type[Method] = load("methods", name)
        entry.leaky = self._twins(replace(
            self.cell, method=other(other.parse(values)), params_origin="set",
            shortcut=shortcut.name,
        ))

    def _seeds(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        if len(self.honest) < 2:
            raise IncompatibleError("one seed leaves nothing to choose from; see --seeds")
        best = max(self.honest, key=test_score)
        entry.leaky = [self._compose(best, shortcut.name, self.honest).id]
        entry.note = f"best of {len(self.honest)} against their mean"

    def _draws(self, shortcut: Shortcut, entry: AuditEntry) -> None:
        seed = self.what.seeds[0]
        twin = replace(self.cell, seed=seed, shortcut=shortcut.name, params_origin="set")
        drafts = Drafts(self.store.root)
        cls = type(self.cell.method)
        tried = [self.honest[0]]
        draws = random_draws(self.cell.method, self.what.draws, self.given)
        for number, values in enumerate(draws, 1):
            self.on_event(Event(f"draw {number} of {len(draws)}"))
            try:
                tried.append(run_cell(replace(twin, method=cls(cls.parse(values))), drafts,
                                      self.on_event))
            except BenchError as error:  # a draw may diverge; the others are still to choose from
                self.on_event(Event(f"draw {number} failed: {error.message}"))
        honest, how = self._chosen_honestly(tried)
        entry.honest = [honest.id]
        entry.leaky = [self._compose(max(tried, key=test_score), shortcut.name, tried).id]
        entry.note = (f"best on test of {len(tried)} parameter sets, the honest one among them, "
                      f"against {how}; seed {seed}")

    def _chosen_honestly(self, tried: Sequence[Record]) -> tuple[Record, str]:
        """The record to report without test labels: by validation score where there is one."""
        name = self.cell.selection
        scored = [
            (float(score), -i) for i, r in enumerate(tried)
            if (score := r.selections.get(name, {}).get("score")) is not None
        ]
        if len(scored) < len(tried):
            return tried[0], "the honest run's own"
        return tried[-max(scored)[1]], f"the best by {name}"

    def _twins(self, twin: Cell) -> list[str]:
        """Run a twin with every seed; the ids of its records."""
        return [run_cell(replace(twin, seed=s), self.store, self.on_event).id
                for s in self.what.seeds]

    def _compose(self, best: Record, name: str, among: Sequence[Record]) -> Record:
        """The record that would be reported: the best by test score, of several."""
        identity = {**best.identity, "shortcut": name, "chosen_from": sorted(r.id for r in among)}
        made = replace(
            best, identity=identity, kind="oracle", oracle=None, curves={}, path=None, controls=[],
            notices=[*best.notices, f"chosen from {len(among)} runs by test score"],
        )
        known = self.store.get(made.id)
        if known is None:
            self.store.put(made, best.predictions())
        return known or made


def test_score(record: Record) -> float:
    """Mean accuracy per window over folds: what the field chooses by."""
    scores = [float(f["scores"]["window"]["accuracy"]) for f in record.folds]
    return sum(scores) / len(scores)


def random_draws(
    method: Method, count: int, given: Iterable[str] = (), seed: int = 0
) -> list[dict[str, Any]]:
    """All parameters of a method ``count`` times, those worth searching drawn anew each time.

    Parameters
    ----------
    given : iterable of str
        Parameters that were set by hand and stay as they are.

    Raises
    ------
    IncompatibleError
        The method has no parameter to search.
    """
    space = search_space(method, given=given)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    draws = []
    for _ in range(count):
        trial = study.ask()
        drawn = {name: suggested(trial, name, t) for name, t in space.items()}
        draws.append({**method.params.model_dump(), **drawn})
    return draws


class Drafts(Store):
    """Records of parameter draws, kept out of the leaderboard: ``RUNS/audit/cells``.

    Pre-trained states are shared with the run folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.cells = root / "audit" / "cells"
