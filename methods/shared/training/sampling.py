"""Which windows form a batch, and where its indices are kept.

Most tasks take windows as they come (:class:`ShuffledBatches`). Others want windows that belong
together: successive ones of a trial, neighbours in time, two subjects at the same stimulus. A
sampler yields index tensors; their shape says how the windows are grouped.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.windows import UnlabelledWindows, Windows
from bench.draws import Draws
from bench.errors import IncompatibleError
from bench.training import Moment, batches, steps_per_epoch

Source = Windows | UnlabelledWindows


class Sampler(Protocol):
    """Chooses the batches of each epoch."""

    @property
    def steps(self) -> int:
        """Batches in an epoch; equal for all epochs."""

    @property
    def short(self) -> bool:
        """Whether the last batch of an epoch is smaller than the others."""

    def to(self, device: str) -> Self:
        """The sampler with its tables on a device."""

    def epoch(self, g: Draws) -> list[Tensor]:
        """Index tensors (K, ...) of one epoch's batches, all windows of a batch in one tensor.

        ``g`` holds the keys of K models at this epoch, on the sampler's device.
        """


class Tabled:
    """A dataclass whose tensors, and samplers within it, can be moved to a device."""

    @property
    def short(self) -> bool:
        """All batches are alike, where a sampler says no other."""
        return False

    def to(self, device: str) -> Self:
        """The same with its tensors on a device."""
        own: Any = self
        parts = {f.name: getattr(own, f.name) for f in fields(own)}
        return replace(own, **{n: t.to(device) for n, t in parts.items() if hasattr(t, "to")})


def kept(buffer: Tensor | None, value: Tensor) -> Tensor:
    """A value in the place of the one before, where a recorded step finds it."""
    return value.clone() if buffer is None else buffer.copy_(value)


class Order:
    """Batches of K models, drawn an epoch at a time and kept where the tensors are.

    Parameters
    ----------
    sampler : Sampler
    draws : Draws
        Of K models, on the sampler's device.
    """

    def __init__(self, sampler: Sampler, draws: Draws) -> None:
        self.sampler, self.draws = sampler, draws
        self.steps, self.short = sampler.steps, sampler.short
        self._whole: Tensor | None = None
        self._rest: Tensor | None = None

    def begin(self, epoch: int) -> None:
        """Draw the batches of an epoch."""
        drawn = self.sampler.epoch(self.draws.at(epoch))
        self._whole = kept(self._whole, torch.stack(drawn[:-1] if self.short else drawn))
        if self.short:
            self._rest = kept(self._rest, drawn[-1])

    def windows(self, batches: int) -> int:
        """How many windows a model is handed in so many batches from the beginning on."""
        if self._whole is None:
            raise ValueError("no epoch was begun")
        rests = batches // self.steps if self._rest is not None else 0
        rest = 0 if self._rest is None else self._rest[0].numel()
        return (batches - rests) * self._whole[0, 0].numel() + rests * rest

    def __call__(self, at: Moment) -> Tensor:
        """Indices (K, ...) of the batch of a moment."""
        if at.short and self._rest is not None:
            return self._rest
        if at.short or self._whole is None:
            raise ValueError("no epoch was begun")
        return self._whole.index_select(0, at.batch.view(1)).squeeze(0)


@dataclass(frozen=True)
class ShuffledBatches(Tabled):
    """``draw`` of all windows, afresh each epoch, in batches (K, B) of ``size``."""

    windows: int
    size: int
    draw: int

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.windows, self.size, self.draw)

    @property
    def short(self) -> bool:
        """Whether the last batch of an epoch is smaller: more than one window is left over."""
        return self.steps > 1 and min(self.windows, self.draw) % self.size > 1

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, B) of one epoch."""
        return batches(self.windows, self.size, g, self.draw)


@dataclass(frozen=True)
class Streamed(Tabled):
    """Whole batches (K, B), ``steps`` an epoch, however many windows there are.

    Permutations of all windows follow one another without end, and batches are cut from them: so
    few windows make as many steps as many do.
    """

    windows: int
    size: int
    steps: int

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, B) of one epoch."""
        models = [self.windows] * len(g.keys)
        return list(filled(models, self.steps, self.size, g).unbind(dim=-2))


def filled(windows: Sequence[int], steps: int, size: int, draws: Draws) -> Tensor:
    """Batches of an epoch from K sets of any size, (K, steps, size): permutations end to end.

    Parameters
    ----------
    windows : sequence of int
        How many each model has; few fill batches again and again.
    draws : Draws
        Of this epoch.
    """
    count = steps * size

    def of(n: int, g: Draws) -> Tensor:
        rounds = g.permutation(n, -(-count // n), take=count)
        return rounds.flatten(-2)[..., :count].unflatten(-1, (steps, size))

    if len(set(windows)) == 1:
        return of(windows[0], draws)
    return torch.stack([of(n, Draws(key)) for n, key in zip(windows, draws.keys, strict=True)])


@dataclass(frozen=True)
class Grouped(Tabled, abc.ABC):
    """Groups of ``members`` windows around anchors, in batches (K, members, B).

    Batch and epoch count windows, not groups: all methods see equally many per step.

    Attributes
    ----------
    window : (n,) Tensor
        Which window stands at a position in time.
    anchors : (A,) Tensor
        Positions that a group can start from.
    members, size, draw : int
        Windows in a group, in a batch, in an epoch.
    among : Sampler or None
        Chooses among the anchors, by their numbers; None: any, as they come.
    """

    window: Tensor
    anchors: Tensor
    members: int
    size: int
    draw: int
    among: Sampler | None = field(default=None, kw_only=True)

    @abc.abstractmethod
    def gather(self, anchors: Tensor, g: Draws) -> Tensor:
        """Positions (K, members, B) of the groups of anchors (K, B)."""

    @property
    def inner(self) -> ShuffledBatches:
        """Batches of anchors whose groups make up the windows of a batch."""
        per = self.members
        size, draw = max(2, self.size // per), max(2, self.draw // per)
        return ShuffledBatches(len(self.anchors), size, draw)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return (self.among or self.inner).steps

    @property
    def short(self) -> bool:
        """Whether the last batch of an epoch is smaller than the others."""
        return (self.among or self.inner).short

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, members, B) of one epoch."""
        parts = (self.among or self.inner).epoch(g)
        return [self.window[self.gather(self.anchors[part], g)] for part in parts]


@dataclass(frozen=True)
class _Timeline:
    """Windows put in order of time: recording after recording, trial after trial.

    Attributes
    ----------
    window : (n,) int
        Which window stands at a position.
    onset : (n,) float
        Seconds from the start of its trial.
    trial, recording : (n,) int
        Number of the trial, and of the recording (one session of one subject), at a position.
    """

    window: NDArray[np.int64]
    onset: NDArray[np.float64]
    trial: NDArray[np.int64]
    recording: NDArray[np.int64]

    @classmethod
    def of(cls, source: Source) -> _Timeline:
        where = [source.corpus.astype(str), source.subject, source.session]
        columns = [np.unique(a, return_inverse=True)[1] for a in (*where, source.trial)]
        recording = np.unique(np.stack(columns[:-1]), axis=1, return_inverse=True)[1].ravel()
        # Trials are numbered by recording, and as they come: their own numbers may be codes.
        _, first, which = np.unique(
            np.stack(columns), axis=1, return_index=True, return_inverse=True
        )
        number = np.empty(len(first), dtype=np.int64)
        number[np.lexsort((first, recording[first]))] = np.arange(len(first))
        trial = number[which.ravel()]
        order = np.lexsort((source.onset, trial))
        return cls(order, source.onset[order].astype(float), trial[order], recording[order])


@dataclass(frozen=True)
class Successive(Grouped):
    """Runs of successive windows, from :func:`successive`."""

    def gather(self, anchors: Tensor, g: Draws) -> Tensor:
        """Positions of the anchors and those that follow."""
        return anchors.unsqueeze(-2) + torch.arange(self.members, device=anchors.device)[:, None]


def successive(source: Source, length: int, size: int, draw: int) -> Grouped:
    """Runs of ``length`` successive windows of a trial; batches (length, B).

    Windows are successive if less than one and a half window lengths lie between their onsets, so
    that a run does not step over a gap.

    Raises
    ------
    IncompatibleError
        Fewer than two runs.
    """
    line = _Timeline.of(source)
    joined = (np.diff(line.trial) == 0) & (np.diff(line.onset) < 1.5 * source.space.window_s)
    gaps = np.concatenate([[0], np.cumsum(~joined)])
    starts = np.arange(len(gaps) - length + 1)
    starts = starts[gaps[starts] == gaps[starts + length - 1]]
    if len(starts) < 2:
        raise IncompatibleError(
            f"no trial of the source has {length} successive windows",
            "Use shorter runs or shorter windows.",
        )
    window, anchors = torch.from_numpy(line.window), torch.from_numpy(starts)
    return Successive(window, anchors, length, size, draw)


@dataclass(frozen=True)
class Neighbours(Grouped):
    """Anchors, windows near them and distant ones, from :func:`neighbours`.

    Attributes
    ----------
    near, recording : (2, n) Tensor
        First position, and the one after the last, of each position's neighbourhood and of its
        recording.
    """

    near: Tensor
    recording: Tensor

    def gather(self, anchors: Tensor, g: Draws) -> Tensor:
        """Positions of anchors, neighbours and distant windows."""
        count = anchors.shape[-1]
        a, b = self.near[0][anchors], self.near[1][anchors]
        start, stop = self.recording[0][anchors], self.recording[1][anchors]
        near = a + g.integers(b - a - 1, count)
        near = near + (near >= anchors)  # skips the anchor itself
        far = start + g.integers(stop - start - (b - a), count)
        far = torch.where(far >= a, far + (b - a), far)  # skips the neighbourhood
        return torch.stack([anchors, near, far], dim=-2)


def neighbours(source: Source, seconds: float, size: int, draw: int) -> Grouped:
    """An anchor, a window near it, and a distant one; batches (3, B).

    Near: another window of the same trial whose onset differs by at most ``seconds``. Distant:
    any other window of the same recording, so that the two are not told apart by the subject.

    Raises
    ------
    IncompatibleError
        Fewer than two windows have a neighbour.
    """
    line = _Timeline.of(source)
    # Trials laid far apart on one axis, so that one search finds the bounds within each trial.
    clock = line.onset + line.trial * 2 * (np.ptp(line.onset) + seconds + 1)
    low = np.searchsorted(clock, clock - seconds - 1e-3)
    high = np.searchsorted(clock, clock + seconds + 1e-3, side="right")
    # First position of each one's own recording, and the one after the last.
    first, last = (np.searchsorted(line.recording, line.recording, side=side)
                   for side in ("left", "right"))
    usable = np.flatnonzero((high - low > 1) & (last - first > high - low))
    if len(usable) < 2:
        raise IncompatibleError(
            f"no window of the source has a neighbour within {seconds:g} s and a distant window",
            "Widen the neighbourhood.",
        )
    window, anchors, near, recording = (
        torch.from_numpy(a)
        for a in (line.window, usable, np.stack([low, high]), np.stack([first, last]))
    )
    return Neighbours(window, anchors, 3, size, draw, near, recording)


@dataclass(frozen=True)
class SameStimulus(Tabled):
    """Pairs of subjects at the same moments of the same stimuli, in batches (K, 2, P, S).

    Each of P pairs of subjects contributes S stimuli: one window of either subject, at the same
    position of the same stimulus.

    Attributes
    ----------
    window : (n,) Tensor
        Which window stands at a position in time.
    trials : (2, R) Tensor
        First position of each trial, and how many windows it has.
    shows : (2, G) Tensor
        Trials of a subject with one stimulus: the first of them, and how many there are.
    pairs : (N, M, 2) Tensor
        For each pair of subjects and stimulus that both were shown, where in ``shows`` they stand.
    shared : (N,) Tensor
        How many stimuli these are; the rest of M is padding.
    stimuli : int
        S.
    size, draw : int
        Windows in a batch, in an epoch.
    """

    window: Tensor
    trials: Tensor
    shows: Tensor
    pairs: Tensor
    shared: Tensor
    stimuli: int
    size: int
    draw: int

    @classmethod
    def of(cls, source: Windows, size: int, draw: int) -> SameStimulus:
        """From windows; uses ``stimulus``, ``subject`` and time, and no class.

        Raises
        ------
        IncompatibleError
            No two subjects share two stimuli.
        """
        line = _Timeline.of(source)
        first = np.flatnonzero(np.diff(line.trial, prepend=-1))
        seen = np.stack([source.subject[line.window[first]], source.stimulus[line.window[first]]])
        order = np.lexsort(seen[::-1])
        groups, start, count = np.unique(
            seen[:, order], axis=1, return_index=True, return_counts=True
        )
        shown = {int(s): groups[1, groups[0] == s] for s in groups[0]}
        place = {(int(s), int(film)): i for i, (s, film) in enumerate(groups.T)}
        both = [
            (a, b, np.intersect1d(shown[a], shown[b])) for a in shown for b in shown if a < b
        ]
        most = max((len(films) for _, _, films in both), default=0)
        if most < 2:
            raise IncompatibleError(
                "no two subjects of the source were shown the same two stimuli",
                "To compare subjects at a stimulus, two subjects must share it.",
            )
        stimuli = max(2, min(most, size // 2))
        both = [pair for pair in both if len(pair[2]) >= stimuli]
        pairs = np.zeros((len(both), most, 2), dtype=np.int64)
        for row, (a, b, films) in zip(pairs, both, strict=True):
            row[: len(films)] = [(place[a, int(f)], place[b, int(f)]) for f in films]
        lengths = np.diff(first, append=len(line.trial))
        window, trials, shows, table, shared = (torch.from_numpy(a) for a in (
            line.window, np.stack([first, lengths])[:, order], np.stack([start, count]), pairs,
            np.array([len(films) for _, _, films in both]),
        ))
        return cls(window, trials, shows, table, shared, stimuli, size, draw)

    @property
    def _pairs_per_batch(self) -> int:
        return max(1, self.size // (2 * self.stimuli))

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, round(self.draw / (2 * self.stimuli * self._pairs_per_batch)))

    def epoch(self, g: Draws) -> list[Tensor]:
        """Batches (K, 2, P, S) of one epoch."""
        count, most = self.steps * self._pairs_per_batch, self.pairs.shape[1]
        pair = g.integers(len(self.pairs), count)
        order = g.permutation(most, count)
        # Of the permutation, what both were shown comes first, in its order.
        padding = order >= self.shared[pair].unsqueeze(-1)
        order = order.gather(-1, padding.int().argsort(dim=-1, stable=True))[..., : self.stimuli]
        show = self.pairs[pair.unsqueeze(-1), order]
        trial = self.shows[0][show] + g.integers(self.shows[1][show], *show.shape[-3:])
        moment = g.integers(self.trials[1][trial].amin(dim=-1), *trial.shape[-3:-1])
        drawn = self.window[self.trials[0][trial] + moment.unsqueeze(-1)]
        drawn = drawn.unflatten(-3, (self.steps, self._pairs_per_batch))
        return list(drawn.movedim(-1, -3).unbind(-4))
