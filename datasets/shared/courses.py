"""What changes from second to second of a simulated trial: states, clusters, and a moving level.

The linear shift of band power is the same all through a trial; real EEG is not. Three effects, each
absent at 0:

* *states*: each emotion has a pattern of its own, whose sign turns at random every few seconds. The
  mean of a class shows nothing of it, so that no linear classifier of windows finds it; what lasts
  for seconds gives it away.
* *clusters*: a few states that all people and corpora share, with patterns so large that
  unlabelled windows fall into groups. Emotion decides how often each occurs.
* *continuity*: a level that moves within the trial and forgets itself over seconds (autoregressive
  of order 1). It says nothing of the emotion.

A course is constant within a second, as windows are cut.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.data.recipe import Recipe

from .brain import BANDS, SOURCES, Array, Emotion, stream

#: Natural log power at an effect of 1.
_STATE = 0.7
_CLUSTER = 0.8
_LEVEL = 0.3
_CLUSTERS = 6
#: Share of (source, band) pairs that a pattern moves.
_SHARE = 0.25
#: How much more often a cluster occurs in emotions that are near it.
_PULL = 2.5

_SHAPE = (len(SOURCES), len(BANDS))


def course(
    recipe: Recipe, emotion: Emotion, seconds: int, rng: Callable[[str], np.random.Generator]
) -> Array | None:
    """Log power that comes on top in each second of a trial.

    Parameters
    ----------
    recipe : Recipe
    emotion : Emotion
        What is felt.
    seconds : int
        Length of the trial, rounded up.
    rng : callable
        Random stream of a purpose.

    Returns
    -------
    (seconds, sources, bands) float64, or None
        None where the recipe has none of the effects.
    """
    if not (recipe.states or recipe.clusters or recipe.continuity):
        return None
    total = np.zeros((seconds, *_SHAPE))
    lasts = float(np.exp(-1 / recipe.persistence))
    if recipe.states:
        sign = 2 * _chain(rng("states"), np.full(2, 0.5), seconds, lasts) - 1
        total += sign[:, None, None] * recipe.states * _state_of(recipe, emotion)
    if recipe.clusters:
        which = _chain(rng("clusters"), _shares(recipe, emotion), seconds, lasts)
        total += recipe.clusters * _CLUSTER * _patterns("clusters", _CLUSTERS)[which]
    if recipe.continuity:
        white = level_sd(recipe) * rng("continuity").standard_normal(total.shape)
        level = white[0]
        total[0] += level
        for second in range(1, seconds):
            level = lasts * level + np.sqrt(1 - lasts**2) * white[second]
            total[second] += level
    return total


def level_sd(recipe: Recipe) -> float:
    """Standard deviation of the moving level, per (source, band)."""
    return _LEVEL * recipe.continuity


def components(recipe: Recipe, emotion: Emotion) -> tuple[Array, Array]:
    """What states and clusters add in one second, taken by itself.

    Returns
    -------
    weight : (m,) float64
        Probabilities of the possibilities.
    shift : (m, sources, bands) float64
        Log power that each adds.
    """
    weight, shift = np.ones(1), np.zeros((1, *_SHAPE))
    if recipe.states:
        own = recipe.states * _state_of(recipe, emotion)
        weight, shift = np.full(2, 0.5), np.stack([own, -own])
    if recipe.clusters:
        patterns = recipe.clusters * _CLUSTER * _patterns("clusters", _CLUSTERS)
        weight = (weight[:, None] * _shares(recipe, emotion)).ravel()
        shift = (shift[:, None] + patterns).reshape(-1, *_SHAPE)
    return weight, shift


@functools.lru_cache(maxsize=8)
def _patterns(purpose: str, count: int) -> Array:
    """Patterns (count, sources, bands) of -1, 0 and 1, the same for all corpora and seeds."""
    rng = stream("pattern", purpose)
    sign = rng.choice([-1.0, 1.0], (count, *_SHAPE))
    return sign * (rng.random((count, *_SHAPE)) < _SHARE)


def _state_of(recipe: Recipe, emotion: Emotion) -> Array:
    """Pattern (sources, bands) of an emotion's state: between those of the poles it lies between.

    Without a class effect, and of an emotion that is none, it is 0: the null has no states.
    """
    poles = np.maximum([emotion.valence, -emotion.valence, emotion.arousal, -emotion.arousal], 0)
    length = np.linalg.norm(poles)
    if recipe.class_effect == 0 or length == 0:
        return np.zeros(_SHAPE)
    mixed: Array = _STATE * np.tensordot(poles / length, _patterns("states", 4), 1)
    return mixed


def _shares(recipe: Recipe, emotion: Emotion) -> Array:
    """How often each cluster occurs in an emotion, (clusters,); equally without a class effect."""
    angle = 2 * np.pi * (np.arange(_CLUSTERS) + 0.5) / _CLUSTERS
    near = np.cos(angle) * emotion.valence + np.sin(angle) * emotion.arousal
    share: Array = np.exp(_PULL * near * (recipe.class_effect > 0))
    return share / share.sum()


def _chain(
    rng: np.random.Generator, share: Array, seconds: int, lasts: float
) -> NDArray[np.int64]:
    """Which of several states each second is in, (seconds,): one lasts, or a new one is drawn."""
    drawn = rng.choice(len(share), seconds, p=share)
    new = rng.random(seconds) >= lasts
    new[0] = True
    begun = np.maximum.accumulate(np.where(new, np.arange(seconds), 0))
    chain: NDArray[np.int64] = drawn[begun]
    return chain
