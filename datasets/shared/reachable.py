"""A bound that can be reached: the best linear classifier of what the sensors see.

The best attainable accuracy (:mod:`.attainable`) knows the power of every source, which no method
sees. Here sources are mixed to the scalp, and background and noise are added, as in a recording;
log band powers of the channels are what a classifier gets. It is logistic regression, and has seen
many times more labelled windows of the very subject and session than any protocol grants. What is
above it is not linear; what is below has not learnt what there was to learn.

Windows are drawn as band powers, not as signals: the powers of a second in a band of W Hz are means
of 2 W squared normal numbers whose covariance over channels follows from sources and mixing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .brain import BANDS, SOURCES, Array, PlannedTrial, stream
from .courses import course

if TYPE_CHECKING:
    from .simulator import Generator

#: Windows that are learnt from, and tested, about; at once held in memory.
_LEARNT, _TESTED, _AT_ONCE = 6000, 2000, 250
#: Inverse penalty: with so many windows it hardly matters.
_C = 0.01


def reachable(  # noqa: PLR0917
    generator: Generator,
    subject: int,
    session: int,
    trials: Sequence[PlannedTrial],
    y: Sequence[int],
    n_classes: int,
    seed: int = 0,
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Draw windows of one recording, learn a linear classifier, and classify others with it.

    Parameters
    ----------
    generator : Generator
    subject, session : int
    trials : sequence of PlannedTrial
    y : sequence of int
        Class of each trial; trials with -1 are left out.
    n_classes : int
        Number of classes, whether or not all occur.
    seed : int
        Of the draws (the recording's own are not used).

    Returns
    -------
    y : (n,) int64
        Class of each 1-s window that is tested.
    proba : (n, n_classes) float64
    trial : (n,) int64
        ``repeat * 1000 + number``, as in :func:`.attainable.attainable`.

    Raises
    ------
    ValueError
        Numbers of trials and classes differ, or no trial is left.
    """
    from sklearn.linear_model import LogisticRegression

    kept = [(t, int(c)) for t, c in zip(trials, y, strict=True)
            if c >= 0 and t.samples >= generator.rate]
    if not kept:
        raise ValueError("no trial has a class")
    rng = stream(generator.recipe.seed, generator.corpus, subject, session, "reachable", seed)
    length = sum(int(t.samples // generator.rate) for t, _ in kept)
    sensors = _Sensors(generator, subject, session)

    def drawn(windows: int) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
        parts = [
            (sensors.draw(rng, trial), label, 1000 * repeat + trial.number)
            for repeat in range(max(1, round(windows / length))) for trial, label in kept
        ]
        counts = [len(x) for x, _, _ in parts]
        return (np.concatenate([x for x, _, _ in parts]),
                np.repeat([label for _, label, _ in parts], counts),
                np.repeat([number for _, _, number in parts], counts))

    (x, learnt, _), (tested, truth, ids) = drawn(_LEARNT), drawn(_TESTED)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    proba = np.zeros((len(tested), n_classes))
    if len(np.unique(learnt)) == 1:
        proba[:, learnt[0]] = 1
        return truth, proba, ids
    model = LogisticRegression(C=_C, max_iter=200).fit((x - mean) / spread, learnt)
    proba[:, model.classes_] = model.predict_proba((tested - mean) / spread)
    return truth, proba, ids


class _Sensors:
    """Log band powers of the channels of one recording.

    Parameters
    ----------
    generator : Generator
    subject, session : int
    """

    def __init__(self, generator: Generator, subject: int, session: int) -> None:
        self._generator, self._of = generator, (subject, session)
        self._mixing, self._response, self._ambient = generator.sensors(subject)
        self._rows = [round(2 * (high - low)) for low, high in BANDS]

    def draw(self, rng: np.random.Generator, planned: PlannedTrial) -> Array:
        """(windows, channels * bands) log powers of a fresh draw of a trial."""
        generator, (subject, session) = self._generator, self._of
        seconds = int(planned.samples // generator.rate)
        felt = planned.emotion
        if rng.random() < generator.recipe.label_noise:
            others = generator.confusions(felt)
            felt = others[rng.integers(len(others))]
        # At any place of the session: where in its drift a trial stands must not give it away.
        order = int(rng.integers(generator.sessions_trials))
        level = generator.rest(subject, session, order) + generator.trial_sd * \
            rng.standard_normal((len(SOURCES), len(BANDS)))
        grown = generator.buildup(np.arange(seconds) + 0.5, planned.samples / generator.rate)
        levels = level + grown[:, None, None] * generator.shift(subject, felt)
        moving = course(generator.recipe, felt, seconds, lambda _: rng)
        if moving is not None:
            levels = levels + moving
        return np.concatenate([
            self._powers(rng, levels[first : first + _AT_ONCE])
            for first in range(0, seconds, _AT_ONCE)
        ])

    def _powers(self, rng: np.random.Generator, levels: Array) -> Array:
        """Log powers of windows whose sources have log powers (windows, sources, bands)."""
        out = []
        for b, rows in enumerate(self._rows):
            amplitude = np.sqrt(self._response[b]) * np.exp(levels[:, None, :, b] / 2)
            shape = (len(levels), rows)
            sources = amplitude.astype(np.float32) * \
                rng.standard_normal((*shape, levels.shape[1]), dtype=np.float32)
            ambient = rng.standard_normal((*shape, len(self._mixing)), dtype=np.float32)
            seen = sources @ self._mixing.T + ambient @ self._ambient[b].T
            out.append(np.log(np.square(seen).mean(axis=1)))
        return np.stack(out, axis=2).reshape(len(levels), -1).astype(np.float64)
