"""From a folder on disk to windows: find, read, check, cache, label."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BenchError, DataError, LabelValueError, MissingCorpusError, SettingError
from ..registry import load
from ..store.hashing import code_hash, key_of
from .cache import Fingerprints, cache_root, cached_arrays, one_thread
from .channels import canonical
from .corpus import CorpusAdapter, Features, Inventory, Recording, TrialInfo
from .features import (
    RAW_RATE,
    amplitudes,
    check_features,
    check_signal,
    differential_entropy,
    implausible,
    listed,
    raw_windows,
    version_of,
)
from .labels import LabelRule, OwnMap, Task
from .montage.loss import interpolated
from .montage.named import COMMON, electrodes
from .montage.spline import VERSION as SPLINE_VERSION
from .montage.spline import Interpolation, interpolation
from .recipe import MARKER, Recipe, changed_files, read_marker
from .windows import Space, Windows

Progress = Callable[[str, int, int], None]
#: Files of a corpus's folder that are looked through for small ones, and bytes of a small one.
MOST_FILES, SMALL = 5000, 1 << 20
#: Shortest and longest window, in seconds.
WINDOWS_S = (0.1, 600.0)


@dataclass(frozen=True)
class CorpusName:
    """A corpus and one of its tasks, as written on the command line: ``DEAP:arousal``."""

    corpus: str
    task: str

    def __str__(self) -> str:
        return f"{self.corpus}:{self.task}"


@dataclass(frozen=True)
class ReadOptions:
    """What to read of a corpus, and how.

    Attributes
    ----------
    features : {"bench", "raw", "official", "official-4s"}
        Our own unsmoothed differential entropy from raw signals, the signals themselves at a
        common rate and in a common band, or the owner's files (in 4-s windows, where the owner
        distributes several).
    official_kind : str
        Which of the owner's features, e.g. "de_LDS"; the adapter's first kind if empty.
    window_s : float
        Window length of our own features in seconds (1 or 4).
    sessions : {"first", "all"}
        Each subject's first session, as in the published experiment, or all.
    rule : LabelRule
        Thresholds of rated corpora.
    exclude : frozenset of int
        Subjects to leave out.
    montage : str
        "common", the electrodes as they are, or a montage that signals are interpolated to, see
        :func:`bench.data.montage.named.electrodes`.
    """

    features: str = "bench"
    official_kind: str = ""
    window_s: float = 1.0
    sessions: str = "first"
    rule: LabelRule = field(default_factory=LabelRule)
    exclude: frozenset[int] = frozenset()
    montage: str = COMMON

    @property
    def files(self) -> Features:
        """Which of an owner's files are read."""
        return files_of(self.features)


def files_of(features: str) -> Features:
    """Which of an owner's files hold what is asked for: raw signals serve two kinds of windows."""
    return "bench" if features == "raw" else features  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Reading:
    """A corpus as read.

    Attributes
    ----------
    name : CorpusName
    windows : Windows
    digest : str
        Hash of content and options; equal digests mean equal windows.
    notices : tuple of str
        What was assumed or passed over; shown to the user and stored in records.
    recipe : Recipe or None
        Recipe if the corpus is simulated.
    threshold : float or None
        Ratings above it are high; None if no rating decides.
    """

    name: CorpusName
    windows: Windows
    digest: str
    notices: tuple[str, ...]
    recipe: Recipe | None
    threshold: float | None = None


def renamed(reading: Reading, items: Sequence[str]) -> Reading:
    """A reading whose classes are called as a user's map says, see :class:`~.labels.OwnMap`.

    Raises
    ------
    IncompatibleError, SettingError
    """
    if not items:
        return reading
    windows = OwnMap.parse(items).apply(reading.windows, str(reading.name))
    digest = key_of("renamed", reading.digest, reading.windows.labels, windows.labels,
                    hashlib.sha256(windows.y.tobytes()).hexdigest())
    return replace(reading, windows=windows, digest=digest)


def any_inventory(adapter: CorpusAdapter, root: Path) -> Inventory:
    """What a folder holds of a corpus: its signals, or its owner's features where these are all.

    Raises
    ------
    MissingCorpusError, DataError
        As of the signals, where neither is there.
    """
    try:
        return adapter.inventory(root, "bench")
    except MissingCorpusError:
        if adapter.official_kinds:
            with contextlib.suppress(BenchError):
                return adapter.inventory(root, "official")
        raise


def parse_name(text: str) -> tuple[CorpusAdapter, CorpusName, Task]:
    """Split ``CORPUS[:TASK]`` and look both up.

    Raises
    ------
    UnknownNameError
        Suggests the nearest corpus or task.
    """
    corpus, _, task_name = text.partition(":")
    adapter: CorpusAdapter = load("corpora", corpus)()
    task = adapter.task(task_name or None)
    return adapter, CorpusName(adapter.name, task.name), task


def read_corpus(
    name: str,
    root: Path,
    options: ReadOptions | None = None,
    progress: Progress | None = None,
) -> Reading:
    """Read a corpus as labelled windows.

    Parameters
    ----------
    name : str
        ``CORPUS[:TASK]``.
    root : Path
        The corpus's folder, or one that contains it.
    options : ReadOptions
    progress : callable, optional
        Called with (what, done, total) after every file.

    Raises
    ------
    MissingCorpusError, DataError, UnknownNameError, SettingError
    """
    options = options or ReadOptions()
    adapter, corpus_name, task = parse_name(name)
    rule = options.rule.of(adapter.name, task)
    inventory = adapter.inventory(root, options.files)
    notices = [f"{adapter.name}: {m}" for m in inventory.missing]
    notices += [f"skipped {path.name}: {why}" for path, why in inventory.skipped]
    recordings = _chosen(adapter, inventory, options, notices)
    space = _space(adapter, inventory, options)
    cut = None if options.montage == COMMON else interpolation(_measured(adapter), space.channels)
    if cut is not None and (words := interpolated(str(corpus_name), options.montage, cut)):
        notices.append(words)
    recipe = read_marker(inventory.root)
    parts: list[dict[str, np.ndarray]] = []
    keys: list[str] = []
    fingerprints, code = Fingerprints(), _code(adapter)
    # The default by name is the same as the default: a rerun knows the name.
    kind = options.official_kind
    kind = "" if kind.lower() in (k.lower() for k in adapter.official_kinds[:1]) else kind
    seen: dict[tuple[int, int, int], Recording] = {}
    changed = changed_files(inventory.root, fingerprints.of)
    if changed:
        notices.append(f"{adapter.name}: simulated, and not as it was written: {listed(changed)}")
    for i, recording in enumerate(recordings):
        key = key_of(
            "features", adapter.name, adapter.version, version_of(space.kind),
            fingerprints.of(recording.path), recording.subject, recording.session, repr(space),
            kind, *map(fingerprints.of, recording.others), *code,
            *(() if cut is None else (SPLINE_VERSION,)),
        )
        arrays, _ = cached_arrays(key, _maker(adapter, recording, options, space, cut))
        _check_once(seen, recording, arrays["number"].tolist())
        words = implausible(arrays["sizes"], _measured(adapter))
        if words and not any(n.startswith(f"{adapter.name}: implausible") for n in notices):
            notices.append(f"{adapter.name}: implausible signals, first in {recording.path.name}: "
                           f"{words}")
        trials = adapter.trials(inventory, recording, notices)
        parts.append(_labelled(arrays, recording, trials, task, rule))
        keys.append(key)
        if progress:
            progress(f"reading {corpus_name}", i + 1, len(recordings))
    for path in _companions(inventory.root):
        fingerprints.of(path)
    fingerprints.save()
    if fingerprints.replaced:
        names = listed([path.name for path in fingerprints.replaced])
        notices.append(f"{adapter.name}: not the files they were when last read, so these are "
                       f"other data: {names}")
    windows = _assemble(parts, adapter.name, task, space)
    if not len(windows):
        raise SettingError(f"no trial of {corpus_name} is left under task and threshold chosen")
    if not task.rated:
        windows = _shown(windows, str(corpus_name), notices)
    if adapter.pieces_s:
        windows = replace(windows, pieces=((adapter.name, adapter.pieces_s),))
        notices.append(f"{adapter.name}: its trials are pieces of {adapter.pieces_s:g} s of longer "
                       "recordings, so a score may tell the recording as much as the class")
    if adapter.stimulus_set:
        windows = replace(windows, stimulus_sets=((adapter.name, adapter.stimulus_set),))
    digest = key_of(
        "reading", keys, task.name, task.version,
        hashlib.sha256(
            windows.y.tobytes() + windows.order.tobytes() + windows.trial.tobytes()
        ).hexdigest(),
    )
    return Reading(
        corpus_name, windows, digest, tuple(dict.fromkeys(notices)), recipe,
        rule.threshold if task.rated else None,
    )


def _code(adapter: CorpusAdapter) -> tuple[str, ...]:
    """Hash of the code that reads a third party's files, so that a change of it is noticed.

    Ours raise their ``version`` where what they read changes, which a comment does not.
    """
    ours = type(adapter).__module__.startswith("bench.datasets.")
    return () if ours else (code_hash(type(adapter)),)


def _check_once(
    seen: dict[tuple[int, int, int], Recording], recording: Recording, numbers: list[int]
) -> None:
    """Refuse a trial that two recordings of a subject's session have."""
    for number in numbers:
        key = (recording.subject, recording.session, number)
        twin = seen.setdefault(key, recording)
        if twin is not recording:
            raise DataError(
                recording.path, f"trial {number} of subject {recording.subject}, session "
                f"{recording.session} in one file", f"it in {twin.path.name}, too",
                "Several files of a session are one session: number their trials on.",
            )


def _companions(root: Path) -> list[Path]:
    """Small files beside the recordings: labels, ratings, times. Told when they have changed."""
    found = (p for p in islice(root.rglob("*"), MOST_FILES) if p.suffix in (".csv", ".mat", ".txt"))
    return [p for p in found if p.is_file() and p.stat().st_size < SMALL]


def _chosen(
    adapter: CorpusAdapter, inventory: Inventory, options: ReadOptions, notices: list[str]
) -> list[Recording]:
    """Recordings of the sessions and subjects asked for."""
    if options.sessions not in ("first", "all"):
        raise SettingError(f"sessions must be 'first' or 'all', not {options.sessions!r}")
    present = {r.subject for r in inventory.recordings}
    unknown = sorted(options.exclude - present)
    if unknown:
        raise SettingError(
            f"{adapter.name} has no subject {', '.join(map(str, unknown))} to exclude",
            f"Subjects found: {', '.join(map(str, sorted(present)))}",
        )
    chosen = [r for r in inventory.recordings if r.subject not in options.exclude]
    if options.exclude:
        notices.append(
            f"{adapter.name}: subjects {', '.join(map(str, sorted(options.exclude)))} excluded"
        )
    if options.sessions == "first":
        first: dict[int, int] = {}
        for recording in chosen:
            first.setdefault(recording.subject, recording.session)
        # A session may be in several files: all that are of the subject's first one are kept.
        chosen = [r for r in chosen if r.session == first[r.subject]]
        late = [subject for subject, session in first.items() if session != 1]
        if late:
            notices.append(
                f"{adapter.name}: session 1 is missing for subjects "
                f"{', '.join(map(str, late))}; their earliest session is used"
            )
    if not chosen:
        raise SettingError(f"no subject of {adapter.name} is left after exclusion")
    return chosen


def _measured(adapter: CorpusAdapter) -> tuple[str, ...]:
    return tuple(canonical(c) for c in adapter.channels)


def check_montage(montage: str, features: str = "bench") -> tuple[str, ...]:
    """Electrodes that signals are interpolated to; none if they stay as they are.

    Raises
    ------
    SettingError
        Owners' features are asked for, which are logarithms of power.
    UnknownNameError
        There is no such montage.
    """
    if montage == COMMON:
        return ()
    if files_of(features) != "bench":
        raise SettingError(
            f"--montage {montage} interpolates signals, and --features {features} are logarithms "
            "of their power", "Use --features bench (or raw) with it, or --montage common.",
        )
    return electrodes(montage)


def _space(adapter: CorpusAdapter, inventory: Inventory, options: ReadOptions) -> Space:
    channels = check_montage(options.montage, options.features) or _measured(adapter)
    if options.files == "bench":
        check_window(options.window_s)
        if options.features == "raw":
            return Space(
                channels=channels, kind="raw", bands=(), rate=RAW_RATE, window_s=options.window_s
            )
        return Space(channels=channels, window_s=options.window_s)
    official = adapter.official(inventory, options.official_kind)
    return Space(
        channels=channels, bands=adapter.official_bands, window_s=official.window_s,
        smoothing=official.smoothing, source=f"owner:{official.name}",
    )


def check_window(window_s: float) -> None:
    """Refuse a length of windows that nothing can be told from, or that no trial has.

    Raises
    ------
    SettingError
    """
    low, high = WINDOWS_S
    if not low <= window_s <= high:  # NaN is not, either
        raise SettingError(
            f"window length {window_s:g} s is not between {low:g} and {high:g} s",
            "Usual are --window 1 and --window 4.",
        )


def _maker(
    adapter: CorpusAdapter, recording: Recording, options: ReadOptions, space: Space,
    cut: Interpolation | None,
) -> Callable[[], dict[str, np.ndarray]]:
    """What computes the arrays of one recording when the cache has none."""

    def make() -> dict[str, np.ndarray]:
        signals = adapter.read(recording, options.files, options.official_kind)
        blocks, numbers, names = [], [], sorted({v for s in signals for v in s.values})
        measured = _measured(adapter)
        sizes = np.ones((len(signals), 2, len(measured)), np.float32)
        for size, signal in zip(sizes, signals, strict=True):
            where = f"{recording.path} trial {signal.number}"
            if options.files == "bench":
                check_signal(signal.data, where, measured)
                data = signal.data if cut is None else cut.matrix @ signal.data
                if space.kind == "raw":
                    x = raw_windows(data, adapter.rate, space.window_s)
                else:
                    x = differential_entropy(data, adapter.rate, space.window_s, space.bands)
                check_features(x, where, space.channels)
                size[:] = amplitudes(signal.data)
            else:
                x = signal.data.transpose(1, 0, 2).astype(np.float32)
                if not np.isfinite(x).all():
                    raise DataError(where, "finite features", f"{(~np.isfinite(x)).sum()} NaN")
            blocks.append(x)
            numbers.append(np.full(len(x), signal.number))
        values = np.array([[s.values.get(n, np.nan) for n in names] for s in signals])
        return {
            "x": np.concatenate(blocks), "trial": np.concatenate(numbers),
            "number": np.array([s.number for s in signals]),
            "values": values.reshape(len(signals), len(names)),
            "names": np.array(names, dtype="U32"), "sizes": sizes,
        }

    return make


def _labelled(
    arrays: Mapping[str, np.ndarray],
    recording: Recording,
    trials: Mapping[int, TrialInfo],
    task: Task,
    rule: LabelRule,
) -> dict[str, np.ndarray]:
    """Per-window columns of one recording; windows of dropped trials are left out."""
    columns: dict[int, tuple[int, int, int]] = {}
    for number, row in zip(arrays["number"].tolist(), arrays["values"], strict=True):
        info = trials.get(number)
        if info is None:
            raise DataError(recording.path, f"a label for trial {number}", "none")
        values = {**dict(zip(arrays["names"].tolist(), row.tolist(), strict=True)), **info.values}
        if task.key not in values and task.optional:
            continue
        if task.key not in values:
            raise DataError(
                f"{recording.path} trial {number}", f"a {task.key} for task {task.name}", "none",
                "The corpus's files of ratings or labels may be missing: bench data check DIR",
            )
        try:
            label = task.label(values, rule)
        except LabelValueError as error:
            raise DataError(
                f"{recording.path} trial {number}", error.expected, error.found
            ) from error
        if label is not None:
            columns[number] = (label, info.stimulus, -1 if info.order is None else info.order)
    keep = np.isin(arrays["trial"], list(columns))
    trial = arrays["trial"][keep]
    table = np.array([columns[t] for t in trial.tolist()], dtype=np.int64).reshape(-1, 3)
    full = arrays["trial"]
    starts = np.r_[0, np.flatnonzero(np.diff(full)) + 1]
    position = np.arange(len(full)) - np.repeat(starts, np.diff(np.r_[starts, len(full)]))
    n = len(trial)
    return {
        "x": arrays["x"][keep], "y": table[:, 0], "stimulus": table[:, 1], "order": table[:, 2],
        "trial": trial.astype(np.int64), "position": position[keep],
        "subject": np.full(n, recording.subject), "session": np.full(n, recording.session),
    }


def _assemble(
    parts: list[dict[str, np.ndarray]], corpus: str, task: Task, space: Space
) -> Windows:
    joined: dict[str, Any] = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    onset = (joined.pop("position") * space.window_s).astype(np.float32)
    return Windows(
        corpus=np.full(len(onset), corpus), onset=onset, space=space, labels=task.classes,
        **joined,
    )


def _shown(windows: Windows, name: str, notices: list[str]) -> Windows:
    """Windows in the classes of which there is a trial: a session may show clips of some only."""
    present = np.unique(windows.y)
    absent = [c for k, c in enumerate(windows.labels) if k not in present]
    if not absent or len(present) < 2:
        return windows
    notices.append(
        f"{name}: no trial of {', '.join(absent)} is among those read; {len(present)} classes left"
    )
    return replace(windows, y=np.searchsorted(present, windows.y),
                   labels=tuple(windows.labels[k] for k in present))


def simulated_root(
    corpus: str, recipe: Recipe, progress: Progress | None = None
) -> Path:
    """Folder of a simulated corpus in the cache, written on first use, or anew where damaged."""
    adapter: CorpusAdapter = load("corpora", corpus)()
    folder = simulated_path(adapter, recipe)
    told = progress or (lambda what, done, total: None)
    if folder.is_dir() and (wrong := _damage(folder)):
        told(f"the cached {adapter.name} is written anew, since {wrong}", 0, 1)
        aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        with contextlib.suppress(FileNotFoundError):  # another process has put it aside
            folder.rename(aside / folder.name)
        shutil.rmtree(aside, ignore_errors=True)
        if not folder.is_dir():
            simulate_corpus(adapter, folder, recipe)
        _damage(folder)  # so that what was damaged is not what is remembered of these files
    if not folder.is_dir():
        told(f"simulating {adapter.name}", 0, 1)
        simulate_corpus(adapter, folder, recipe)
        told(f"simulating {adapter.name}", 1, 1)
    return folder


def _damage(folder: Path) -> str:
    """What is wrong with a simulated corpus in the cache; empty if nothing is."""
    markers = sorted(folder.glob(f"*/{MARKER}"))
    fingerprints = Fingerprints()
    try:
        wrong = [w for m in markers for w in changed_files(m.parent, fingerprints.of)]
    except DataError:
        wrong = ["its marker is damaged"]
    if markers and not wrong:  # what is damaged is not what was last read
        fingerprints.save()
    return ("its marker is missing" if not markers else wrong[0] if wrong else "")


def simulated_path(adapter: CorpusAdapter, recipe: Recipe) -> Path:
    """Where the cache keeps a simulated corpus, whether it is there or not."""
    return cache_root() / "simulated" / f"{adapter.name}-v{adapter.version}-{recipe.key()}"


def simulate_corpus(adapter: CorpusAdapter, folder: Path, recipe: Recipe) -> None:
    """Write a simulated corpus whole: into a temporary sibling first, then renamed.

    Raises
    ------
    BenchError
        The folder exists and is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BenchError(f"{folder} is not empty", "Choose another folder, or remove this one.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with one_thread():
            adapter.simulate(temporary, recipe)
        temporary.chmod(0o755)
        try:
            if folder.exists():
                folder.rmdir()
            temporary.rename(folder)
        except OSError:
            if not (folder.is_dir() and any(folder.iterdir())):
                raise  # else another process was first: same recipe, same content
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def describe(values: Any) -> str:
    """Numbers of a set of windows in one line, for progress output."""
    subjects = len(np.unique(values.subject))
    trials = len(np.unique(values.trial_key()))
    return f"{subjects} subjects, {trials} trials, {len(values):,} windows"
