"""Which windows form a batch of a pre-training task.

Most tasks take windows as they come (:class:`ShuffledBatches`). Others want windows that belong
together: successive ones of a trial, neighbours in time, two subjects at the same stimulus. A
sampler yields index tensors; their shape says how the windows are grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import IncompatibleError
from bench.training import batches, steps_per_epoch

Source = Windows | UnlabelledWindows


class Sampler(Protocol):
    """Chooses the batches of each epoch."""

    @property
    def steps(self) -> int:
        """Batches in an epoch; equal for all epochs."""

    def epoch(self, g: torch.Generator) -> list[Tensor]:
        """Index tensors of one epoch's batches, all windows of a batch in one tensor."""


@dataclass(frozen=True)
class ShuffledBatches:
    """``draw`` of all windows, afresh each epoch, in batches (B,) of ``size``."""

    windows: int
    size: int
    draw: int

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return steps_per_epoch(self.windows, self.size, self.draw)

    def epoch(self, g: torch.Generator) -> list[Tensor]:
        """Batches (B,) of one epoch."""
        return batches(self.windows, self.size, g, self.draw)


@dataclass(frozen=True)
class Grouped:
    """Groups of ``members`` windows around anchors, in batches (members, B).

    Batch and epoch count windows, not groups: all methods see equally many per step.

    Attributes
    ----------
    anchors : (A,) Tensor
        What a group can start from.
    gather : callable
        ``gather(anchors (B,), generator)`` gives the windows of the groups, (members, B).
    members, size, draw : int
        Windows in a group, in a batch, in an epoch.
    """

    anchors: Tensor
    gather: Callable[[Tensor, torch.Generator], Tensor]
    members: int
    size: int
    draw: int

    @property
    def _inner(self) -> ShuffledBatches:
        per = self.members
        size, draw = max(2, self.size // per), max(2, self.draw // per)
        return ShuffledBatches(len(self.anchors), size, draw)

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self._inner.steps

    def epoch(self, g: torch.Generator) -> list[Tensor]:
        """Batches (members, B) of one epoch."""
        return [self.gather(self.anchors[part], g) for part in self._inner.epoch(g)]


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

    def within(self, groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First position, and the one after the last, of each position's own group."""
        return np.searchsorted(groups, groups), np.searchsorted(groups, groups, side="right")


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
    window, offsets = torch.from_numpy(line.window), torch.arange(length)[:, None]

    def gather(anchors: Tensor, g: torch.Generator) -> Tensor:
        return window[anchors + offsets]

    return Grouped(torch.from_numpy(starts), gather, length, size, draw)


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
    first, last = line.within(line.recording)
    usable = np.flatnonzero((high - low > 1) & (last - first > high - low))
    if len(usable) < 2:
        raise IncompatibleError(
            f"no window of the source has a neighbour within {seconds:g} s and a distant window",
            "Widen the neighbourhood.",
        )
    window, lo, hi, start, stop = (
        torch.from_numpy(a) for a in (line.window, low, high, first, last)
    )

    def gather(anchors: Tensor, g: torch.Generator) -> Tensor:
        a, b = lo[anchors], hi[anchors]
        u = torch.rand(2, len(anchors), generator=g, dtype=torch.float64)
        near = a + (u[0] * (b - a - 1)).long()
        near += near >= anchors  # skips the anchor itself
        far = start[anchors] + (u[1] * (stop[anchors] - start[anchors] - (b - a))).long()
        far = torch.where(far >= a, far + (b - a), far)  # skips the neighbourhood
        return window[torch.stack([anchors, near, far])]

    return Grouped(torch.from_numpy(usable), gather, 3, size, draw)


@dataclass(frozen=True)
class SameStimulus:
    """Pairs of subjects at the same moments of the same stimuli, in batches (2, P, S).

    Each of P pairs of subjects contributes S stimuli: one window of either subject, at the same
    position of the same stimulus.

    Attributes
    ----------
    trials : dict
        (subject, stimulus) to the trials, each the indices of its windows in order of time.
    pairs : list of (subject, subject, stimuli)
        Subjects, and what both were shown.
    stimuli : int
        S.
    size, draw : int
        Windows in a batch, in an epoch.
    """

    trials: dict[tuple[int, int], list[NDArray[np.int64]]]
    pairs: list[tuple[int, int, NDArray[np.int64]]]
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
        trials: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        shown: dict[int, set[int]] = {}
        for part in np.split(line.window, np.flatnonzero(np.diff(line.trial)) + 1):
            subject, stimulus = int(source.subject[part[0]]), int(source.stimulus[part[0]])
            trials.setdefault((subject, stimulus), []).append(part)
            shown.setdefault(subject, set()).add(stimulus)
        both = [
            (a, b, np.array(sorted(shown[a] & shown[b]))) for a in shown for b in shown if a < b
        ]
        most = max((len(s) for _, _, s in both), default=0)
        if most < 2:
            raise IncompatibleError(
                "no two subjects of the source were shown the same two stimuli",
                "To compare subjects at a stimulus, two subjects must share it.",
            )
        stimuli = max(2, min(most, size // 2))
        return cls(trials, [p for p in both if len(p[2]) >= stimuli], stimuli, size, draw)

    @property
    def _pairs_per_batch(self) -> int:
        return max(1, self.size // (2 * self.stimuli))

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return max(1, round(self.draw / (2 * self.stimuli * self._pairs_per_batch)))

    def epoch(self, g: torch.Generator) -> list[Tensor]:
        """Batches (2, P, S) of one epoch."""
        rng = np.random.default_rng(int(torch.randint(2**62, (1,), generator=g)))
        return [
            torch.from_numpy(
                np.stack([self._pair(rng) for _ in range(self._pairs_per_batch)], axis=1)
            )
            for _ in range(self.steps)
        ]

    def _pair(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Windows (2, S) of a pair of subjects at stimuli and moments drawn anew."""
        first, second, shared = self.pairs[rng.integers(len(self.pairs))]
        out = []
        for stimulus in rng.permutation(shared)[: self.stimuli]:
            mine, yours = (
                runs[rng.integers(len(runs))]
                for runs in (self.trials[first, stimulus], self.trials[second, stimulus])
            )
            moment = rng.integers(min(len(mine), len(yours)))
            out.append((mine[moment], yours[moment]))
        return np.array(out).T
