"""Windows of EEG: the one data type that flows through the harness.

Every window carries where it comes from, so that no later step can lose track of the trial, the
subject or the corpus. :class:`UnlabelledWindows` has no field ``y`` at all: what a protocol does
not grant does not exist in the object a method receives.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BenchError
from ..store.shown import html_table

Kind = Literal["de", "raw"]

#: Five bands of the field, in Hz (lower edge included, upper edge not).
FIVE_BANDS: tuple[tuple[float, float], ...] = ((1, 4), (4, 8), (8, 14), (14, 31), (31, 50))
BAND_NAMES = ("delta", "theta", "alpha", "beta", "gamma")

_PER_WINDOW = ("corpus", "subject", "session", "trial", "order", "onset")


@dataclass(frozen=True)
class Space:
    """What the axes of ``Windows.x`` mean.

    Attributes
    ----------
    channels : tuple of str
        Names in canonical spelling (see :mod:`bench.data.channels`), one per row.
    kind : {"de", "raw"}
        Differential entropy per band, or samples.
    bands : tuple of (float, float)
        Band edges in Hz, one per column of ``de`` windows; empty for ``raw``.
    rate : float
        Samples per second of ``raw`` windows; 0 for ``de``.
    window_s : float
        Length of a window in seconds.
    smoothing : str
        "none", or how the owner smoothed features over a trial ("LDS", "movingAve").
    source : str
        Who computed the features: "bench" or "owner"; numbers of the two are never mixed.
    """

    channels: tuple[str, ...]
    kind: Kind = "de"
    bands: tuple[tuple[float, float], ...] = FIVE_BANDS
    rate: float = 0.0
    window_s: float = 1.0
    smoothing: str = "none"
    source: str = "bench"

    @property
    def width(self) -> int:
        """Number of columns of a window: bands, or samples."""
        return len(self.bands) if self.kind == "de" else round(self.rate * self.window_s)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class _Grid:
    """Fields shared by labelled and unlabelled windows; all arrays have length n."""

    x: NDArray[np.float32]
    corpus: NDArray[np.str_]
    subject: NDArray[np.int64]
    session: NDArray[np.int64]
    trial: NDArray[np.int64]
    order: NDArray[np.int64]
    onset: NDArray[np.float32]
    space: Space

    def __post_init__(self) -> None:
        n = len(self.x)
        if self.x.ndim != 3 or self.x.dtype != np.float32:
            raise BenchError(
                f"windows must be float32 (windows, channels, features), got "
                f"{self.x.dtype} {self.x.shape}"
            )
        if self.x.shape[1:] != (len(self.space.channels), self.space.width):
            raise BenchError(
                f"windows of shape {self.x.shape[1:]} do not fit a space of "
                f"{len(self.space.channels)} channels x {self.space.width} features"
            )
        for name in self.columns():
            if getattr(self, name).shape != (n,):
                raise BenchError(
                    f"{name} has shape {getattr(self, name).shape}, expected ({n},): one per window"
                )

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of all arrays beside ``x``."""
        return _PER_WINDOW

    def __len__(self) -> int:
        return len(self.x)

    def _facts(self) -> dict[str, str]:
        """What a person wants to know of them, each in a few words."""
        corpora = [str(name) for name in np.unique(self.corpus)]
        columns = (self.corpus, self.subject, self.session, self.trial)
        trials = set(zip(*(column.tolist() for column in columns), strict=True))
        return {
            "corpus": "+".join(corpora) or "–", "windows": f"{len(self):,}",
            "subjects": str(len({trial[:2] for trial in trials})), "trials": f"{len(trials):,}",
            "channels": str(len(self.space.channels)),
            "features": f"{self.space.width} {self.space.kind}",
            "window": f"{self.space.window_s:g} s",
        }

    def __repr__(self) -> str:
        facts = self._facts()
        return (f"<{type(self).__name__} {facts['corpus']}  {facts['windows']} windows of "
                f"{facts['window']}, {facts['subjects']} subjects, {facts['trials']} trials, "
                f"{facts['channels']} channels x {facts['features']}>")

    def _repr_html_(self) -> str:
        facts = self._facts()
        return html_table(type(self).__name__, list(facts), [list(facts.values())])

    def take(self, index: ArrayLike) -> Self:
        """Copy the windows at ``index`` (integers or a boolean mask).

        Always a copy: no array of the result shares memory with this object, so a part handed to
        a method gives no way back to the rest.
        """
        index = np.asarray(index)
        changes: dict[str, Any] = {
            name: getattr(self, name)[index].copy() for name in ("x", *self.columns())
        }
        return dataclasses.replace(self, **changes)

    def with_x(self, x: NDArray[np.float32], space: Space | None = None) -> Self:
        """Same windows with other numbers, e.g. after scaling or choosing channels."""
        return dataclasses.replace(self, x=x, space=space or self.space)

    def trial_key(self) -> NDArray[np.str_]:
        """Name of each window's trial, unique across corpora: ``corpus/subject/session/trial``."""
        key = self.corpus.astype(str)
        for part in (self.subject, self.session, self.trial):
            key = np.char.add(np.char.add(key, "/"), part.astype(str))
        return key

    def trial_ids(self) -> NDArray[Any]:
        """Trial of each window; its whole name where there are several subjects or sessions."""
        alone = all((part == part[:1]).all() for part in (self.subject, self.session))
        return self.trial if alone else self.trial_key()

    def digest(self) -> str:
        """Sha256 of everything in the object, for cache keys and records."""
        h = hashlib.sha256(repr(self.space).encode())
        for name in ("x", *self.columns()):
            array = np.ascontiguousarray(getattr(self, name))
            if array.dtype.kind == "U":
                array = np.char.encode(array, "utf-8")
            h.update(f"{name}{array.dtype.str}{array.shape}".encode())
            h.update(array.tobytes())
        for extra in getattr(self, "labels", ()):
            h.update(f"{extra}\0".encode())
        for marked in (getattr(self, "pieces", ()), getattr(self, "stimulus_sets", ())):
            if marked:
                h.update(repr(marked).encode())
        return h.hexdigest()

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Join windows of the same space (and the same classes)."""
        first = parts[0]
        for part in parts[1:]:
            if part.space != first.space:
                raise BenchError(f"cannot join windows of {first.space} and {part.space}")
            if getattr(part, "labels", ()) != getattr(first, "labels", ()):
                raise BenchError("cannot join windows with different classes; map them first")
        names = ("x", *first.columns())
        joined: dict[str, Any] = {n: np.concatenate([getattr(p, n) for p in parts]) for n in names}
        for name in ("pieces", "stimulus_sets"):
            if marked := [m for p in parts for m in getattr(p, name, ())]:
                joined[name] = tuple(dict.fromkeys(marked))
        return dataclasses.replace(first, **joined)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class UnlabelledWindows(_Grid):
    """Windows without classes and without stimulus ids (a film clip gives its class away)."""


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Windows(_Grid):
    """Labelled windows.

    Attributes
    ----------
    x : (n, channels, features) float32
        Differential entropy in nats per band, or raw samples in the corpus's own unit.
    y : (n,) int64
        Class, an index into ``labels``.
    corpus, subject, session, trial : (n,)
        Where the window comes from; numbers as the owner gives them, from 1.
    stimulus : (n,) int64
        Which film or video was shown; equal numbers mean the same clip within a corpus.
    order : (n,) int64
        Rank of the trial in order of presentation within its session, from 0.
    onset : (n,) float32
        Start of the window in seconds from the start of its trial.
    space : Space
    labels : tuple of str
        Class names.
    pieces : tuple of (corpus, seconds)
        Corpora whose trials are pieces of longer recordings, and how long these are. Pieces of one
        recording resemble each other whatever their class, so every table says that they are some.
    stimulus_sets : tuple of (corpus, name)
        Corpora that showed a set of stimuli which others showed too: equal numbers of one set are
        the same clip, whatever the corpus.
    """

    y: NDArray[np.int64]
    stimulus: NDArray[np.int64]
    labels: tuple[str, ...]
    pieces: tuple[tuple[str, float], ...] = ()
    stimulus_sets: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.y) and not (self.y.min() >= 0 and self.y.max() < len(self.labels)):
            raise BenchError(
                f"classes run from {self.y.min()} to {self.y.max()}, "
                f"but {len(self.labels)} are named: {', '.join(self.labels)}"
            )

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """Names of all arrays beside ``x``."""
        return ("y", "stimulus", *_PER_WINDOW)

    @property
    def n_classes(self) -> int:
        """Number of classes the label space has, whether or not all occur."""
        return len(self.labels)

    def without_labels(self) -> UnlabelledWindows:
        """Copy without ``y``, ``labels`` and ``stimulus``."""
        columns = {name: getattr(self, name).copy() for name in _PER_WINDOW}
        return UnlabelledWindows(x=self.x.copy(), space=self.space, **columns)

    @classmethod
    def from_arrays(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        *,
        subject: ArrayLike,
        trial: ArrayLike,
        channels: Sequence[str],
        labels: Sequence[str],
        corpus: str = "own",
        session: ArrayLike = 1,
        stimulus: ArrayLike | None = None,
        order: ArrayLike | None = None,
        onset: ArrayLike | None = None,
        kind: Kind = "de",
        bands: Sequence[tuple[float, float]] = FIVE_BANDS,
        rate: float = 0.0,
        window_s: float = 1.0,
        source: str = "own",
        pieces_s: float = 0.0,
        stimulus_set: str = "",
    ) -> Windows:
        """Wrap your own arrays; :func:`bench.data.signals.from_signals` makes them from signals.

        Parameters
        ----------
        x : (n, channels, features)
            Differential entropy (``kind="de"``) or samples (``kind="raw"``).
        y : (n,)
            Classes: indices from 0, or names among ``labels``.
        subject, trial, session, stimulus : (n,) or scalar
            Integers. ``stimulus`` defaults to ``trial``. A trial has one class.
        order : (n,) or None
            Rank of presentation; defaults to the trial number.
        onset : (n,) or None
            Seconds; defaults to counting windows within each trial.
        source : str
            Who computed the features: "bench" if :mod:`bench.data.features` did. Windows of
            different origin are not put into one pair.
        pieces_s : float
            Seconds of a trial, where trials are pieces that were cut from longer recordings:
            records and tables then say so.
        stimulus_set : str
            Name of the set of stimuli, where another corpus showed the same ones under the same
            numbers: ``--hold-out stimulus`` then keeps them apart.

        Raises
        ------
        BenchError
            A column that holds no whole numbers or has another length, a class that is not among
            ``labels``, or a trial whose windows are of two classes.

        Examples
        --------
        >>> import numpy as np
        >>> w = Windows.from_arrays(np.zeros((4, 2, 5)), [0, 0, 1, 1], subject=1,
        ...     trial=[1, 1, 2, 2], channels=["FP1", "FP2"], labels=["rest", "task"])
        >>> len(w), w.onset.tolist()
        (4, [0.0, 1.0, 0.0, 1.0])
        """
        from .channels import canonical

        data = np.ascontiguousarray(x, dtype=np.float32)
        n = len(data)

        def column(name: str, value: ArrayLike, dtype: type = np.int64) -> NDArray:
            return column_of(name, value, n, dtype)

        subjects = column("subject", subject)
        sessions, trials = column("session", session), column("trial", trial)
        classes = column("y", class_indices(y, labels))
        _check_classes(classes, labels, np.stack([subjects, sessions, trials]))
        if onset is None:
            groups: dict[tuple[int, int, int], int] = {}
            counts = np.zeros(n, np.float32)
            for i, key in enumerate(zip(subjects, sessions, trials, strict=True)):
                counts[i] = groups.get(key, 0)
                groups[key] = int(counts[i]) + 1
            onset = counts * window_s
        space = Space(
            channels=tuple(canonical(c) for c in channels), kind=kind,
            bands=tuple((float(a), float(b)) for a, b in bands) if kind == "de" else (),
            rate=rate, window_s=window_s, source=source,
        )
        return cls(
            x=data, y=classes, corpus=np.full(n, corpus), subject=subjects, session=sessions,
            trial=trials, stimulus=trials if stimulus is None else column("stimulus", stimulus),
            order=trials if order is None else column("order", order),
            onset=column("onset", onset, np.float32), space=space, labels=tuple(labels),
            pieces=((corpus, float(pieces_s)),) if pieces_s else (),
            stimulus_sets=((corpus, stimulus_set),) if stimulus_set else (),
        )


def column_of(name: str, value: ArrayLike, n: int, dtype: type = np.int64) -> NDArray[Any]:
    """(n,) numbers of a type, of a scalar or of as many.

    Raises
    ------
    BenchError
        They are no numbers, no whole ones where the type is, or not as many.
    """
    given = np.asarray(value)
    try:
        numbers: NDArray[Any] = given.astype(dtype)
        if np.issubdtype(dtype, np.integer) and not (numbers == given.astype(float)).all():
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        what = "whole numbers" if np.issubdtype(dtype, np.integer) else "numbers"
        shown = ", ".join(map(repr, given.ravel()[:3].tolist()))
        raise BenchError(
            f"{name} must hold {what}, not {shown}",
            f"Names become numbers by: np.unique({name}, return_inverse=True)[1] + 1",
        ) from None
    if numbers.ndim and numbers.shape != (n,):
        raise BenchError(f"{name} has shape {numbers.shape}, expected ({n},)")
    return np.broadcast_to(numbers, (n,)).copy()


def class_indices(y: ArrayLike, labels: Sequence[str]) -> ArrayLike:
    """Classes as indices, if they were given by name.

    Raises
    ------
    BenchError
        A name that is not among ``labels``.
    """
    given = np.asarray(y)
    if given.dtype.kind not in "USO":
        return y
    names, wrong = list(labels), sorted({str(c) for c in given.ravel()} - set(labels))
    if wrong:
        raise BenchError(f"y holds {', '.join(map(repr, wrong[:3]))}, which labels does not name",
                         f"labels: {', '.join(names)}")
    return np.array([names.index(str(c)) for c in given.ravel()], np.int64).reshape(given.shape)


def _check_classes(y: NDArray, labels: Sequence[str], trials: NDArray) -> None:
    """Refuse a trial, one column of ``trials``, whose windows are of two classes."""
    if not len(y):
        return
    groups, number = np.unique(trials, axis=1, return_inverse=True)
    first = np.zeros(groups.shape[1], np.int64)
    first[number] = y  # of each trial any one
    mixed = np.flatnonzero(y != first[number])
    if len(mixed):
        i = mixed[0]
        subject, session, trial = trials[:, i].tolist()
        both = (int(y[i]), int(first[number[i]]))
        names = [str(labels[k]) if 0 <= k < len(labels) else str(k) for k in both]
        raise BenchError(
            f"trial {trial} of subject {subject}, session {session} has windows of two classes, "
            f"{' and '.join(sorted(names))}",
            "A trial has one class, or its windows would stand on both sides of a split: number "
            "what follows another stimulus as another trial.",
        )
