"""Tuned parameters: what is stored of a tuning, and which runs it is for.

``RUNS/tuning/<method>__<pair>__<protocol>__<scale>__seed<k>__<hash>.json`` holds the parameters
that ``bench tune`` found in one setting; ``--params tuned`` uses them in that setting alone. The
hash is of everything else that was set.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, IncompatibleError, SettingError, unwritable
from ..method import Method
from ..protocols.base import Protocol
from ..store.hashing import key_of
from ..store.seal import read_json, write_json
from ..store.shown import counted
from .options import DATA, TUNED, about

if TYPE_CHECKING:
    from ..cells.cell import Cell
    from ..method import Tunable
    from ..protocols.base import Fold
    from .options import CellOptions

#: From 2 on the file holds its checksum, and digests of the trials that the tuning saw.
SCHEMA = 2
#: Sub-folder of a run folder.
FOLDER = "tuning"


@dataclass(frozen=True)
class TuningSetting:
    """What a tuning is for, in names and numbers: all that is set but what is searched.

    Attributes
    ----------
    method : str
    fixed : dict
        Parameters that are not searched, and those that were set by hand.
    source, target : str
        ``CORPUS:TASK``.
    protocol : str
    scale : str
    rest : dict
        Options of the protocol, scaling, features, labels, subjects, recipe.
    """

    method: str
    fixed: dict[str, Any]
    source: str
    target: str
    protocol: str
    scale: str
    rest: dict[str, Any]

    @classmethod
    def of(
        cls, method: str, params: Mapping[str, Any], tunables: Mapping[str, Any], *,
        pair: tuple[str, str], protocol: tuple[str, Mapping[str, Any]], options: CellOptions,
    ) -> TuningSetting:
        """TuningSetting of a cell that is described in names.

        Parameters
        ----------
        params : mapping
            All parameters, as they were before any tuning, and *unresolved*.
        tunables : mapping
            Defaults of the parameters that can be tuned.
        pair, protocol
            Names of the corpora; name and complete options of the protocol.
        """
        from .lookup import simulated_recipe

        fixed = {
            k: v for k, v in params.items() if k not in tunables or v != tunables[k]
        }
        # Whatever decides numbers belongs to the setting; what concerns the data stands together.
        said = about(options)
        rest = {name: value for name, value in options.deciding().items()
                if said[name].panel != DATA and name not in ("scale", "preset")}
        read = asdict(options.read)
        if not options.rule.own:  # a setting of before corpora had thresholds of their own is found
            default = 5.0 if options.rule.threshold is None else options.rule.threshold
            read["rule"] = {"threshold": default, "drop_middle": options.drop_middle}
        if "montage" not in options.deciding():  # ... and of before there were montages
            del read["montage"]
        rest |= {
            "protocol": dict(protocol[1]), "read": read,
            "recipe": simulated_recipe(options).model_dump() if options.simulated else None,
            "exclude": {k.upper(): sorted(v) for k, v in options.exclude.items() if v},
        }
        if options.map:
            rest["map"] = list(options.map)
        scale = options.scale or ("demo" if options.simulated else "published")
        plain = json.loads(json.dumps(rest, default=sorted))
        return cls(method, fixed, *pair, protocol[0], scale, plain)

    @property
    def name(self) -> str:
        """Start of the file's name; what is set by hand shows in its hash alone."""
        method = "-".join([self.method, *filter(None, [self.fixed.get("network")])])
        parts = [method, self.source, self.target, self.protocol, self.scale]
        return "__".join(_plain(p) for p in parts)

    def file(self, seed: int) -> str:
        """Name of the file with parameters that were tuned with a seed."""
        return f"{self.name}__seed{seed}__{key_of(asdict(self))[:8]}.json"

    def command(self, seed: int = 0) -> str:
        """Command that tunes in this setting, as far as flags are short."""
        parts = [f"bench tune --method {self.method} --src {self.source} --tgt {self.target}"]
        if self.protocol != "few-shot":
            parts.append(f"--protocol {self.protocol}")
        if self.rest["recipe"] is not None:
            parts.append("--simulated")
        if "network" in self.fixed:
            parts.append(f"--set network={self.fixed['network']}")
        parts.append(f"--scale {self.scale}")
        return " ".join([*parts, *([f"--seed {seed}"] if seed else []), "--trials 20"])


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else "-" for c in text)


@dataclass(frozen=True)
class Tuned:
    """Outcome of a tuning.

    Attributes
    ----------
    setting : TuningSetting
    params : dict
        All parameters of the best trial.
    searched : dict
        Search range of each parameter that was tuned.
    rule, data : str
        Selection rule whose score was maximised, and which data that used.
    trials, seed : int
        Budget, and seed of the trials.
    study : str
        Key of the study: hash of everything but the parameters.
    score, default_score : float or None
        Validation score of the best trial, and of the defaults.
    failed, pruned : int
        Trials that diverged, and that were given up early.
    seen : dict of str to str
        Trials of the target corpus that some view held while it was tuned, by name
        (``corpus/subject/session/trial``), each with a digest of its windows.
    """

    setting: TuningSetting
    params: dict[str, Any]
    searched: dict[str, Any]
    rule: str
    data: str
    trials: int
    seed: int
    study: str
    score: float
    default_score: float | None
    failed: int = 0
    pruned: int = 0
    importance: dict[str, float] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What a cell holds of it: how the parameters were chosen, and on what.

        In a record's identity a hash stands for the trials that were seen. It is part of the
        identity since it is access: parameters of more trials, or of another rule, are another
        claim, even where they are the same numbers.
        """
        return {
            "rule": self.rule, "trials": self.trials, "seed": self.seed, "study": self.study,
            "data": self.data, "seen": dict(self.seen),
        }

    def write(self, runs: Path) -> Path:
        """Store it in a run folder, whole.

        Raises
        ------
        BenchError
            The folder cannot be written.
        """
        path = runs / FOLDER / self.setting.file(self.seed)
        try:
            write_json(path, {"schema": SCHEMA, **asdict(self)})
        except OSError as error:
            raise unwritable(path.parent, error) from error
        return path


def read_tuned(path: Path) -> Tuned:
    """Stored tuning.

    Raises
    ------
    BenchError
        The file cannot be read as one.
    """
    try:
        body = read_json(path, old=1)
        if body.pop("schema") != SCHEMA:
            raise ValueError("it is of another version, which did not write down what it saw")
        return Tuned(**{**body, "setting": TuningSetting(**body["setting"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchError(
            f"{path} does not hold tuned parameters: {error}",
            "Delete it and tune again: the trials are kept, so that takes no time.",
        ) from error


def find_tuned(runs: Path, setting: TuningSetting, seed: int) -> Tuned | None:
    """Parameters tuned in a setting: with the seed itself, else with the lowest there is."""
    folder = runs / FOLDER
    own = folder / setting.file(seed)
    if own.is_file():
        return read_tuned(own)
    begin, _, end = setting.file(0).rpartition("__seed0__")
    found = [read_tuned(p) for p in folder.glob(f"{begin}__seed*__{end}")]
    return min(found, key=lambda t: t.seed, default=None)


def need_tuned(runs: Path, setting: TuningSetting, seed: int) -> Tuned:
    """Parameters tuned in a setting.

    Raises
    ------
    SettingError
        There are none; gives the command that makes them.
    """
    found = find_tuned(runs, setting, seed)
    if found is None:
        raise SettingError(
            f"{runs} holds no tuned parameters of {setting.method} for {setting.source}→"
            f"{setting.target} under {setting.protocol} at scale {setting.scale} with these "
            "settings",
            f"Make them with: {setting.command(seed)}, and the options of this run",
        )
    return found


def defaults_of(tunables: Mapping[str, Tunable]) -> dict[str, Any]:
    """Default of each parameter that can be tuned."""
    return {name: t.default for name, t in tunables.items()}


def check_nested(cell: Cell) -> None:
    """Refuse to tune where one set of parameters for all folds would have seen tested trials.

    Raises
    ------
    IncompatibleError
    """
    folds = cell.folds().folds
    shared = _labelled(folds) & _tested(folds)
    if shared:
        raise IncompatibleError(
            f"tuning under {cell.protocol.name} would see tested trials: each is a labelled "
            "training trial of another fold, and the parameters are the same in all folds",
            "Tune under a protocol that keeps tested trials apart from all others "
            "(few-shot, unsupervised, zero-shot), or run with the default parameters.",
        )


def check_unseen(cell: Cell) -> None:
    """Refuse tuned parameters whose tuning saw trials that this cell tests.

    Trials are those that the tuning wrote down, by name and by what is in them. The cut may have
    changed since: another seed draws other ones, and where the order of presentation was not known
    they were drawn too. A record alone has no such list; then the seeds are compared.

    Raises
    ------
    IncompatibleError
        Says how to tune.
    """
    if cell.tuning is None:
        return
    seed, seen = cell.tuning["seed"], cell.tuning.get("seen")
    if isinstance(seen, Mapping):
        tested = _digests(f.open_test() for f in cell.folds().folds)
        known = set(seen.values())
        shared = [name for name, digest in tested.items() if name in seen or digest in known]
    elif seed != cell.seed:
        there = cell.protocol.folds(cell.mapped[0], seed).folds
        shared = list(_labelled(there) & _tested(cell.folds().folds))
    else:
        return
    if not shared:
        return
    if seed != cell.seed:
        raise IncompatibleError(
            f"the parameters were tuned with seed {seed}, whose calibration trials are tested with "
            f"seed {cell.seed} ({_some(shared)})",
            f"Tune with --seed {cell.seed} as well.",
        )
    raise IncompatibleError(
        f"the parameters were tuned on trials that are tested now: {_some(shared)}. The trials "
        "were cut in another way then, as they are where their order of presentation is not known",
        "Tune again with the options of this run: bench tune ...",
    )


def _some(names: Sequence[str]) -> str:
    return f"{counted(len(names), 'trial')}, {names[0]} among them"


def seen_by(cell: Cell) -> dict[str, str]:
    """Trials of the target corpus that a cell's views hold, each with a digest of its windows.

    Tested windows that a transductive protocol grants are not among them: they stand there
    unlabelled, in the run as in the tuning.
    """
    corpora = set(np.unique(cell.pair.target.corpus).tolist())
    parts: dict[int, Any] = {}
    for fold in cell.folds().folds:
        view = fold.view
        unlabelled = None if cell.protocol.transductive else view.unlabelled
        source = view.source if isinstance(view.source, Windows) else None
        parts |= {id(w): w for w in (source, view.calibration, unlabelled) if w is not None}
    every = _digests(parts.values())
    return {name: d for name, d in every.items() if name.partition("/")[0] in corpora}


def _digests(parts: Iterable[Windows | UnlabelledWindows]) -> dict[str, str]:
    """Digest of each trial: of how many windows it has, and of the first and the last of them."""
    out = {}
    for windows in parts:
        names, first, which = np.unique(
            windows.trial_key(), return_index=True, return_inverse=True
        )
        last = len(windows) - 1 - np.unique(which[::-1], return_index=True)[1]
        sizes = np.bincount(which)
        for name, a, b, n in zip(names.tolist(), first, last, sizes, strict=True):
            content = windows.x[a].tobytes() + windows.x[b].tobytes()
            out[str(name)] = hashlib.sha256(f"{n} ".encode() + content).hexdigest()[:16]
    return dict(sorted(out.items()))


def _labelled(folds: list[Fold]) -> set[str]:
    """Trials whose labels some view holds."""
    parts = {id(w): w for f in folds for w in (f.view.source, f.view.calibration)
             if isinstance(w, Windows)}
    return {trial for windows in parts.values() for trial in windows.trial_key().tolist()}


def _tested(folds: list[Fold]) -> set[str]:
    return {trial for f in folds for trial in f.open_test().trial_key().tolist()}


def setting_of(
    method: Method, pair: tuple[str, str], protocol: Protocol, options: CellOptions
) -> TuningSetting:
    """TuningSetting that a method, with the parameters it has before any tuning, is tuned in."""
    return TuningSetting.of(
        method.name, method.unresolved(method.params.model_dump(mode="json")),
        defaults_of(method.tunable()), pair=pair,
        protocol=(protocol.name, protocol.model_dump(mode="json")), options=options,
    )


def with_tuned(cell: Cell, tuned: Tuned) -> Cell:
    """The cell with tuned parameters.

    Raises
    ------
    IncompatibleError
        The tuning saw labels of trials that the cell tests.
    """
    method = type(cell.method)
    changed = replace(
        cell, method=method(method.parse(tuned.params)),
        params_origin=tuned_origin(cell.params_origin), tuning=tuned.identity(),
    )
    check_unseen(changed)
    return changed


def tuned_origin(before: str) -> str:
    """Origin of parameters that were tuned, given that of those they started from."""
    return f"{TUNED} + set" if before == "set" else TUNED
