"""Best attainable accuracy: an exact Bayes classifier that knows the generator's parameters.

It sees what no method can: the power of every source in every band, free of mixing, background
and noise; the subject's own emotion pattern, power at rest and drift; and the window's place in
its trial. What it does not know is what nobody can know: the random level of the trial and of the
moment, which state the moment is in, and whether the trial is mislabelled. All are integrated out,
per window. Hence it bounds, in expectation,
the accuracy of every method that classifies a window by itself and has not seen other windows of
the same trial together with their label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .brain import BANDS, Array, Emotion, PlannedTrial, stream
from .courses import components, course

if TYPE_CHECKING:
    from .simulator import Generator


def attainable(  # noqa: PLR0917
    generator: Generator,
    subject: int,
    session: int,
    trials: Sequence[PlannedTrial],
    y: Sequence[int],
    n_classes: int,
    seed: int = 0,
    repeats: int = 20,
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Draw windows of one recording and classify them knowing the truth.

    Parameters
    ----------
    generator : Generator
    subject, session : int
    trials : sequence of PlannedTrial
        Trials to be classified.
    y : sequence of int
        Class of each trial; trials with -1 are left out.
    n_classes : int
        Number of classes, whether or not all occur.
    seed : int
        Of the Monte Carlo draws (the recording's own draws are not used).
    repeats : int
        How often each trial is drawn anew.

    Returns
    -------
    y : (n,) int64
        Class of each 1-s window.
    proba : (n, n_classes) float64
        Posterior probabilities; the prior is the classes' share of windows.
    trial : (n,) int64
        ``repeat * 1000 + number``: a fresh draw of a trial counts as a trial of its own.

    Raises
    ------
    ValueError
        Numbers of trials and classes differ, or no trial is left.
    """
    kept = [(t, int(c)) for t, c in zip(trials, y, strict=True) if c >= 0]
    if not kept:
        raise ValueError("no trial has a class")
    model = _Observer(generator, subject, kept, n_classes)
    rng = stream(generator.recipe.seed, generator.corpus, subject, session, "attainable", seed)
    truth, proba, ids = [], [], []
    for planned, label in kept:
        windows = model.windows(planned)
        if windows == 0:
            continue
        powers = [model.draw(rng, planned) for _ in range(repeats)]
        proba.append(model.posterior(np.concatenate(powers), planned))
        truth.append(np.full(repeats * windows, label))
        ids.append(np.repeat(np.arange(repeats) * 1000 + planned.number, windows))
    return np.concatenate(truth), np.concatenate(proba), np.concatenate(ids)


class _Observer:
    """The Bayes classifier of one subject.

    Parameters
    ----------
    generator : Generator
    subject : int
    trials : list of (PlannedTrial, int)
        Trials and their classes; a class's candidates are the emotions of its trials, weighted
        by their number of windows.
    n_classes : int
    """

    def __init__(
        self,
        generator: Generator,
        subject: int,
        trials: Sequence[tuple[PlannedTrial, int]],
        n_classes: int,
    ) -> None:
        self._generator = generator
        self._subject = subject
        weights = self._candidates(trials, n_classes)
        self._emotions = list(weights)
        self._weights = np.stack([weights[e] for e in self._emotions])
        shifts = np.stack([generator.shift(subject, e) for e in self._emotions])
        states = [components(generator.recipe, e) for e in self._emotions]
        acts = (shifts != 0).any(0) | np.any([(s != 0).any(0) for _, s in states], 0)
        # (source, band) pairs in which emotion acts, as two index arrays.
        self._source, self._band = np.nonzero(acts)
        self._shifts = shifts[:, self._source, self._band]
        self._states = [(w, s[:, self._source, self._band]) for w, s in states]
        # A band of width W observed for a second has 2 W degrees of freedom at most.
        self._half_dof = np.array([high - low for low, high in BANDS], float)
        self._tables = [LevelDensity(k, generator.level_sd) for k in self._half_dof]

    def windows(self, planned: PlannedTrial) -> int:
        """Whole seconds of a trial."""
        return int(planned.samples // self._generator.rate)

    def draw(self, rng: np.random.Generator, planned: PlannedTrial) -> Array:
        """(windows, features) log power of a fresh draw, relative to level without emotion."""
        generator, band = self._generator, self._band
        felt = planned.emotion
        if rng.random() < generator.recipe.label_noise:
            others = generator.confusions(felt)
            felt = others[rng.integers(len(others))]
        shift = generator.shift(self._subject, felt)[self._source, band]
        level = generator.trial_sd * rng.standard_normal(len(band))
        windows = self.windows(planned)
        moving = course(generator.recipe, felt, windows, lambda _: rng)
        if moving is not None:
            level = level + moving[:, self._source, band]
        half = np.broadcast_to(self._half_dof[band], (windows, len(band)))
        return level + self._grown(planned)[:, None] * shift + np.log(rng.gamma(half) / half)

    def posterior(self, powers: Array, planned: PlannedTrial) -> Array:
        """(n, classes) probabilities of windows (n, features), whole trials one after another."""
        grown = np.tile(self._grown(planned), len(powers) // self.windows(planned))
        score = np.empty((len(powers), len(self._emotions)))
        for e, shift in enumerate(self._shifts):
            residual = powers - grown[:, None] * shift
            weight, states = self._states[e]
            score[:, e] = np.logaddexp.reduce(
                [np.log(w) + self._density(residual - s)
                 for w, s in zip(weight, states, strict=True)]
            )
        likelihood = np.exp(score - score.max(1, keepdims=True))
        joint = likelihood @ self._weights
        proba: Array = joint / joint.sum(1, keepdims=True)
        return proba

    def _density(self, residual: Array) -> Array:
        """Log density (n,) of windows' log powers (n, features) around the mean of a class."""
        by_band = [table.log_density(residual[:, self._band == b]).sum(1)
                   for b, table in enumerate(self._tables)]
        return np.sum(by_band, axis=0)

    def _grown(self, planned: PlannedTrial) -> Array:
        """(windows,) share of the emotion that is there in the middle of each window."""
        rate = self._generator.rate
        times = np.arange(self.windows(planned)) + 0.5
        return self._generator.buildup(times, planned.samples / rate)

    def _candidates(
        self, trials: Sequence[tuple[PlannedTrial, int]], n_classes: int
    ) -> dict[Emotion, Array]:
        """Joint weight of each emotion that may be felt with each class, (classes,)."""
        weights: dict[Emotion, Array] = {}
        noise = self._generator.recipe.label_noise

        def add(emotion: Emotion, label: int, weight: float) -> None:
            if weight > 0:
                weights.setdefault(emotion, np.zeros(n_classes))[label] += weight

        for planned, label in trials:
            windows = self.windows(planned)
            add(planned.emotion, label, (1 - noise) * windows)
            others = self._generator.confusions(planned.emotion)
            for other in others:
                add(other, label, noise * windows / len(others))
        return weights


class LevelDensity:
    """Log density of a window's log power around the mean log power of its class.

    The window's power is Gamma distributed around the trial's level, and the level is normal:
    the latter is integrated out by Gauss-Hermite quadrature, once, on a grid of residuals.

    Parameters
    ----------
    half_dof : float
        Shape of the Gamma distribution: half the degrees of freedom.
    sd : float
        Standard deviation of the trial's level.
    """

    _NODES = 40
    _POINTS = 20_000

    def __init__(self, half_dof: float, sd: float) -> None:
        spread = np.sqrt(1 / half_dof + sd**2)
        self._low, self._step = -40 * spread, 55 * spread / self._POINTS
        grid = self._low + self._step * np.arange(self._POINTS + 1)
        nodes, weights = np.polynomial.hermite_e.hermegauss(self._NODES)
        centred = grid[:, None] - sd * nodes
        # Log power x of a Gamma variable of mean 1; terms without x cancel in the posterior.
        terms = half_dof * (centred - np.exp(centred)) + np.log(weights)
        peak = terms.max(1, keepdims=True)
        self._values = (peak + np.log(np.exp(terms - peak).sum(1, keepdims=True)))[:, 0]

    def log_density(self, residual: Array) -> Array:
        """Up to a constant; elementwise, constant outside of 40 spreads below to 15 above."""
        place = np.clip((residual - self._low) / self._step, 0, self._POINTS - 1e-6)
        index = place.astype(np.int64)
        left = self._values[index]
        # By hand: the grid is even, and a search as in np.interp takes three times as long.
        value: Array = left + (place - index) * (self._values[index + 1] - left)
        return value
