"""Tuning: search a method's parameters by the score that its protocol allows.

A trial runs the cell with other parameters and looks at the validation score of a selection rule.
Tested windows are not even there: a trial's folds hold a few of them, all labelled alike. Trials
are no records; what they leave is an Optuna study, and the best parameters by name
(:mod:`bench.runs.tuned`).

Trial k draws from a seed of its own, derived from the names of the cell and from k. So a tuning
that was killed and goes on gives what an undisturbed one gives, and the labels of the tested
trials, which no name holds, decide nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..cells.cell import Cell, Event, OnEvent
from ..cells.contract import check_compatible
from ..cells.engine import validate_cells
from ..errors import BenchError, SettingError, reason_of
from ..method import Tunable
from ..runs.options import as_names
from ..runs.tuned import FOLDER, Tuned, TuningSetting, check_nested, read_tuned, seen_by
from ..selection.rules import check_selection, rule
from ..store.hashing import key_of
from ..store.memory import TrialStore
from ..store.records import Store
from .blinded import Epochs, TrialCell
from .space import check_scored, data_used, default_rule, suggested
from .studies import Storage, indices, live, opened

if TYPE_CHECKING:
    from optuna import Study, Trial

#: Trials before importances mean anything.
IMPORTANCE_FROM = 10


@dataclass(frozen=True)
class TuneOptions:
    """How to tune; the same for every method that is to be compared.

    Attributes
    ----------
    trials : int
        Trials in all, those of earlier calls included.
    rule : str or None
        Selection rule whose score is maximised; None for the protocol's default.
    only : tuple of str
        Parameters to search; all that can be tuned if empty.
    storage : str or None
        URL of an Optuna storage, or a journal file; None for a journal in the run folder.
    together : int
        Trials that are chosen at once, each knowing nothing of the others' scores, and trained
        as one stack where the method can.
    """

    trials: int = 20
    rule: str | None = None
    only: tuple[str, ...] = ()
    storage: str | None = None
    together: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "only", tuple(as_names("--only", self.only)))
        for name in ("trials", "together"):
            if getattr(self, name) < 1:
                raise SettingError(f"--{name} {getattr(self, name)}: at least one is needed")
        if self.together > 1 and Storage(self.storage, Path()).shared:
            raise SettingError(
                f"--together {self.together}: processes that share a database take one trial each",
                "Leave out --together, or give a journal file as --storage.",
            )
        if self.rule is not None:
            check_scored(self.rule)


@dataclass(frozen=True)
class TrialResult:
    """A trial that has ended, for whoever watches.

    Attributes
    ----------
    index, of : int
        Place among all trials, from 0, and how many there will be.
    state : {"done", "pruned", "failed"}
    values : dict
        Parameters that were searched.
    score : float or None
        Validation score, where there is one.
    best : float or None
        Best score so far.
    seconds : float
    reason : str
        Why it failed.
    """

    index: int
    of: int
    state: Literal["done", "pruned", "failed"]
    values: dict[str, Any]
    score: float | None
    best: float | None
    seconds: float
    reason: str = ""


class TuningFailedError(BenchError):
    """No trial of a tuning gave a score."""


OnTrialEnd = Callable[[TrialResult], None]


def tune_cell(
    cell: Cell, setting: TuningSetting, store: Store, options: TuneOptions,
    space: Mapping[str, Tunable], *, on_event: OnEvent | None = None,
    on_trial_end: OnTrialEnd | None = None,
) -> Tuned:
    """Search a cell's parameters and store the best ones; goes on where an earlier call stopped.

    Parameters
    ----------
    cell : Cell
        With the parameters that the first trial has: the defaults.
    setting : TuningSetting
        Names the outcome.
    store : Store
        Run folder; trials write no record into it.
    space : mapping of str to Tunable
        From :func:`search_space`.
    on_event, on_trial_end : callable, optional
        Told how each trial goes on, and of each that ends.

    Raises
    ------
    IncompatibleError
        Method, rule and protocol do not go together, or tested trials would be seen.
    BenchError
        Every trial failed, or the storage cannot be used.
    """
    check_compatible(cell.method, cell.protocol, cell.pair)
    name = options.rule or (
        cell.selection if rule(cell.selection).scored else default_rule(cell.protocol)
    )
    check_scored(name)
    check_selection(name, cell.protocol)
    check_nested(cell)
    return _Tuning(
        cell, setting, store, options, name, dict(space),
        on_event or (lambda event: None), on_trial_end or (lambda attempt: None),
    ).run()


@dataclass
class _Tuning:
    """One study in progress."""

    cell: Cell
    setting: TuningSetting
    store: Store
    options: TuneOptions
    rule: str
    space: dict[str, Tunable]
    on_event: OnEvent
    on_trial_end: OnTrialEnd

    def __post_init__(self) -> None:
        self.trials = TrialStore(self.store)

    def run(self) -> Tuned:
        key = self.key()
        before = self._before(key)
        if before is not None:
            return before
        try:
            with opened(Storage(self.options.storage, self.store.root), self.name(key)) as study:
                self._search(study)
                found = self._outcome(study, key)
        except OSError as error:
            raise BenchError(
                f"the trials cannot be written down: {error.strerror or error}",
                "What was finished is kept; free some space and give the same command again.",
            ) from error
        found.write(self.store.root)
        return found

    def _before(self, key: str) -> Tuned | None:
        """Outcome of this very tuning, if it is stored."""
        path = self.store.root / FOLDER / self.setting.file(self.cell.seed)
        if not path.is_file():
            return None
        try:
            found = read_tuned(path)
        except BenchError:  # of another version: its trials are kept, and give it anew
            return None
        return found if (found.study, found.trials) == (key, self.options.trials) else None

    def key(self) -> str:
        """Hash of everything but the parameters: two tunings with equal keys are one."""
        identity = {k: v for k, v in self.cell.identity().items()
                    if k not in ("params", "params_origin", "tuning")}
        params = self.cell.method.params.model_dump(mode="json")
        fixed = {k: v for k, v in params.items() if k not in self.space}
        ranges = {k: [t.default, list(t.values), t.scale] for k, t in self.space.items()}
        together = [self.options.together] if self.options.together > 1 else []
        return key_of("tuning", identity, fixed, ranges, self.rule, *together)[:20]

    def name(self, key: str) -> str:
        """Name of the study in its storage."""
        return f"{self.setting.name}__seed{self.cell.seed}__{key[:12]}"

    def seed(self, index: int) -> int:
        """Seed of a trial, from names alone: no digest of the data is in it."""
        axes = [self.setting.name, self.rule, self.cell.seed, sorted(self.space), index]
        digest = hashlib.sha256(repr(axes).encode()).digest()
        return int.from_bytes(digest[:4], "big")

    def _search(self, study: Study) -> None:
        """Run trials until all are there; other processes may take a part of them."""
        from optuna.storages import fail_stale_trials

        of, told = self.options.trials, False
        before = len([t for t in live(study, of) if t.state.is_finished()])
        if before:
            self.on_event(Event(f"going on after {before} of {of} trials"))
        while True:
            fail_stale_trials(study)  # of a database: those that have shown no life for long
            missing = sorted(set(range(of)) - indices(study, of))
            if missing and self.options.together > 1:
                size = self.options.together
                self._batch(study, [i for i in missing if i // size == missing[0] // size])
            elif missing:
                self._trial(study, missing[0])
            elif all(t.state.is_finished() for t in live(study, of)):
                return
            else:
                if not told:
                    self.on_event(Event("waiting for trials that other processes run"))
                told = True
                time.sleep(1.0)

    def _trial(self, study: Study, index: int) -> None:
        """Run one trial."""
        began = time.monotonic()
        self._sampler(study, index)
        study.optimize(
            lambda trial: self._objective(trial, index), n_trials=1, catch=(Exception,)
        )
        self._tell(study, index, time.monotonic() - began)

    def _batch(self, study: Study, batch: Sequence[int]) -> None:
        """Run trials that are chosen before any of them has a score.

        Those a kill interrupted take the parameters they had: some of their batch may have got a
        score since.
        """
        from optuna import TrialPruned
        from optuna.trial import TrialState

        began = time.monotonic()
        trials, asked = [], []
        for index in batch:
            self._sampler(study, index)
            trials.append(study.ask())
            trials[-1].set_user_attr("index", index)
            asked.append({n: suggested(trials[-1], n, t) for n, t in self.space.items()})
        for index, trial, score in zip(batch, trials, self._scores(trials, asked), strict=True):
            took = time.monotonic() - began
            trial.set_user_attr("seconds", round(took / len(batch), 3))
            if isinstance(score, float):
                study.tell(trial, score)
            elif isinstance(score, TrialPruned):
                study.tell(trial, state=TrialState.PRUNED)
            else:
                trial.set_user_attr("reason", reason_of(score))
                study.tell(trial, state=TrialState.FAIL)
            self._tell(study, index, took / len(batch))

    def _sampler(self, study: Study, index: int) -> None:
        """Prepare the study for the next trial."""
        from optuna.samplers import PartialFixedSampler, TPESampler

        together = self.options.together > 1
        if index == 0 and not any(t.state.name == "WAITING" for t in study.trials):
            study.enqueue_trial({name: t.first for name, t in self.space.items()})
        study.sampler = TPESampler(seed=self.seed(index), constant_liar=together)
        had = [t.params for t in study.trials if t.user_attrs.get("index") == index
               and t.params.keys() == self.space.keys()]
        if together and had:
            study.sampler = PartialFixedSampler(had[-1], study.sampler)

    def _tell(self, study: Study, index: int, seconds: float) -> None:
        """Tell whoever watches that a trial has ended."""
        trials = live(study, self.options.trials)
        trial = next(t for t in reversed(trials) if t.user_attrs["index"] == index)
        scores = [t.value for t in trials if t.state.name == "COMPLETE" and t.value is not None]
        state: Any = {"COMPLETE": "done", "PRUNED": "pruned"}.get(trial.state.name, "failed")
        self.on_trial_end(TrialResult(
            index, self.options.trials, state, trial.params, trial.value,
            max(scores, default=None), seconds, str(trial.user_attrs.get("reason", "")),
        ))

    def _objective(self, trial: Trial, index: int) -> float:
        from optuna import TrialPruned

        trial.set_user_attr("index", index)
        began = time.monotonic()
        try:
            values = {n: suggested(trial, n, t) for n, t in self.space.items()}
            score = self._scores([trial], [values])[0]
            if isinstance(score, float):
                return score
            raise score
        except TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("reason", reason_of(error))
            raise
        finally:
            trial.set_user_attr("seconds", round(time.monotonic() - began, 3))

    def _scores(
        self, trials: Sequence[Trial], asked: Sequence[Mapping[str, Any]]
    ) -> list[float | BaseException]:
        """Validation scores of trials, or what ended them; as few stacks as the method allows."""
        known = {
            tuple(t.params.items()): t.value
            for t in live(trials[0].study, self.options.trials) if t.state.name == "COMPLETE"
        }
        out: dict[int, float | BaseException] = {}
        cells: dict[int, Cell] = {}
        for i, values in enumerate(asked):
            before = known.get(tuple(values.items()))
            if before is not None:  # trials are exact: it would be the same again
                out[i] = before
                continue
            try:
                cells[i] = self._with(values)
            except BenchError as error:
                out[i] = error
        groups: dict[object, dict[int, Cell]] = {}
        for i, cell in cells.items():
            groups.setdefault(self._shared(cell, i), {})[i] = cell
        for group in groups.values():
            out |= self._stack(group, trials)
        return [out[i] for i in range(len(trials))]

    def _shared(self, cell: Cell, i: int) -> object:
        """What trials of one stack have in common."""
        method = cell.method
        if not method.stacks:
            return i
        params = method.params.model_dump(mode="json")
        return key_of({k: v for k, v in params.items() if k not in method.per_model()})

    def _stack(
        self, cells: Mapping[int, Cell], trials: Sequence[Trial]
    ) -> dict[int, float | BaseException]:
        """Scores at the epoch that a run would be scored at."""
        told = {i: Epochs(trials[i], alone=len(cells) == 1) for i in cells}
        found = validate_cells(
            list(cells.values()), self.trials, self.on_event, [t.report for t in told.values()]
        )
        out: dict[int, float | BaseException] = {}
        for (i, epochs), score in zip(told.items(), found, strict=True):
            if isinstance(score, BaseException):
                out[i] = score
                continue
            out[i] = epochs.outcome(score, self.rule, self.cell.selection == "last")
        return out

    def _with(self, values: Mapping[str, Any]) -> Cell:
        cell, cls = self.cell, type(self.cell.method)
        params = self.cell.method.params.model_dump()
        parts = {f: getattr(cell, f) for f in cell.__dataclass_fields__} | {
            "method": cls(cls.parse(params | dict(values))), "selection": self.rule,
            "params_origin": "tuned", "save_models": False,
        }
        return TrialCell(**parts)

    def _outcome(self, study: Study, key: str) -> Tuned:
        trials = live(study, self.options.trials)
        states = [t.state.name for t in trials]
        done = [t for t in trials if t.value is not None and t.state.name == "COMPLETE"]
        if not done:
            reasons = [t.user_attrs.get("reason") for t in trials]
            why = next((str(r) for r in reasons if r), "every trial was given up early")
            raise TuningFailedError(
                f"all {self.options.trials} trials of {self.setting.method} failed",
                f"The first: {why}",
            )
        # Of equal scores the earliest: the defaults are kept unless something is better.
        best = max(done, key=lambda t: (t.value, -t.user_attrs["index"]))
        first = next((t.value for t in done if t.user_attrs["index"] == 0), None)
        params = type(self.cell.method).parse(
            self.cell.method.params.model_dump() | best.params
        ).model_dump(mode="json")
        return Tuned(
            setting=self.setting, params=params,
            searched={k: list(t.values) for k, t in self.space.items()}, rule=self.rule,
            data=data_used(self.rule, self.cell), trials=self.options.trials,
            seed=self.cell.seed, study=key, score=float(best.value or 0.0), default_score=first,
            failed=states.count("FAIL"), pruned=states.count("PRUNED"),
            importance=_importance(study, len(done)), seen=seen_by(self.cell),
        )


def _importance(study: Study, done: int) -> dict[str, float]:
    """Share of the scores' variance that goes with each parameter (fANOVA), the largest first."""
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    if done < IMPORTANCE_FROM:
        return {}
    try:
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    except (RuntimeError, ValueError):  # all scores are equal
        return {}
    return {name: round(float(share), 4) for name, share in found.items()}
