"""Corpora on which pre-training must gain, or cannot: what methods' defaults are chosen on.

Feature windows from a few lines of NumPy, not recordings: a corpus takes milliseconds, and what
can be won is there by construction. A *world* is a set of states of the brain, each a pattern over
places of the scalp and bands; source and target of a world share them, whatever their electrodes.
A window is one state, plus the levels of its subject and of its trial, plus noise. A class has two
states which are each other's opposite, so that its mean is zero: no linear classifier of windows
tells classes apart, and two labelled trials leave a network little to learn from. But unlabelled
windows form four clusters, and successive windows are often in one state: that is to be found.

This file is frozen: defaults of methods are chosen on worlds 0 to 4 and shown on worlds 100 to 109,
and a generator that moved with them would say what one wants to hear. A test knows the sha256 of
this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import positions
from bench.data.windows import Windows

Array = NDArray[np.float64]
Name = Literal["structure", "moments", "foreign", "null"]

#: Electrodes on which defaults are chosen, and another montage to show them on.
CHOSEN = ("FP1", "FP2", "F3", "F4", "T7", "C3", "C4", "T8", "P3", "P4", "O1", "O2")
SHOWN = ("AF3", "AF4", "F1", "F2", "FC5", "FC6", "CZ", "CP5", "CP6", "TP7", "TP8", "POZ", "PO7",
         "PO8")
LABELS = ("first", "second")

_BANDS = 5
_WIDTH = 0.25  # of a pattern's spots, in 1 - cosine
_SPOTS = 3


@dataclass(frozen=True)
class WorldSetting:
    """Sizes of what a corpus is made of, in standard deviations of the noise of an entry.

    Attributes
    ----------
    state : float
        Of the pattern of a state.
    stay : float
        Probability that a state lasts into the next window; 0: each window draws its own.
    purity : float
        Share of a trial's windows whose state is one of its class; the others take one of the
        other class. One half: classes differ in nothing.
    shared : bool
        Whether source and target have the same states.
    synchrony : float
        Share of trials in which a subject goes through the states as the film has them, in the same
        windows as others who do.
    trial, subject : float
        Of the level of a trial, which each entry has on its own, and of a subject, a pattern.
    """

    state: float = 1.0
    stay: float = 0.6
    purity: float = 0.95
    shared: bool = True
    synchrony: float = 0.5
    trial: float = 0.5
    subject: float = 0.3


#: *structure*: pre-training must gain. *moments*: without continuity. *foreign*: the source
#: has other states than the target. *null*: classes differ in nothing.
SETTINGS: dict[Name, WorldSetting] = {
    "structure": WorldSetting(),
    "moments": WorldSetting(stay=0.0),
    "foreign": WorldSetting(shared=False),
    "null": WorldSetting(purity=0.5),
}


def corpus(  # noqa: PLR0917
    name: str, world: int, setting: WorldSetting, channels: Sequence[str], subjects: int = 8,
    trials: int = 12, windows: int = 12,
) -> Windows:
    """Feature windows of one corpus of a world.

    Parameters
    ----------
    name : str
        "source" or "target"; any other name is another corpus of the same world.
    world : int
        Decides the states, and with the name everything random.
    setting : WorldSetting
    channels : sequence of str
        Electrodes.
    subjects, trials, windows : int
        Subjects, trials of each (half of them of each class, in turn), windows of each trial.

    Returns
    -------
    Windows
        Two classes, windows of one second, x (subjects * trials * windows, channels, 5).
    """
    rng = _stream(world, name)
    places = positions(channels)
    own = world if setting.shared or name == "target" else world + 2**20
    base = _patterns(_stream(own, "states"), 2, places)
    states = setting.state * np.stack([base[0], -base[0], base[1], -base[1]])
    x = np.empty((subjects, trials, windows, len(channels), _BANDS))
    y, film = np.empty((2, subjects, trials), np.int64)
    for s in range(subjects):
        subject = setting.subject * _patterns(rng, 1, places)[0]
        for t in range(trials):
            y[s, t] = (t + s) % 2
            film[s, t] = t // 2 * 2 + y[s, t]  # of one class for all subjects
            trial = setting.trial * rng.standard_normal(x.shape[3:])
            follows = rng.random() < setting.synchrony
            course = _stream(world, f"{name} film {film[s, t]}") if follows else rng
            which = _states(course, y[s, t], windows, setting)
            x[s, t] = states[which] + subject + trial
    x += rng.standard_normal(x.shape)
    return Windows.from_arrays(
        x.reshape(-1, len(channels), _BANDS).astype(np.float32), np.repeat(y.ravel(), windows),
        subject=np.repeat(np.arange(1, subjects + 1), trials * windows),
        trial=np.tile(np.repeat(np.arange(1, trials + 1), windows), subjects),
        stimulus=np.repeat(film.ravel(), windows),
        channels=channels, labels=LABELS, corpus=name,
    )


def pair(
    world: int, setting: WorldSetting, channels: Sequence[str] = CHOSEN
) -> tuple[Windows, Windows]:
    """Source and target of a world."""
    return (corpus("source", world, setting, channels, trials=20),
            corpus("target", world, setting, channels, subjects=6, trials=12))


def _states(rng: np.random.Generator, label: int, windows: int, setting: WorldSetting) -> NDArray:
    """Which of four states each window of a trial of a class is in, (windows,)."""
    out = np.empty(windows, np.int64)
    for w in range(windows):
        if w and rng.random() < setting.stay:
            out[w] = out[w - 1]
            continue
        group = label if rng.random() < setting.purity else 1 - label
        out[w] = 2 * group + rng.integers(2)
    return out


def _patterns(rng: np.random.Generator, count: int, places: Array) -> Array:
    """Smooth patterns (count, channels, bands) of spots on the scalp, of length about 1 an entry.

    Where the spots are does not depend on the electrodes.
    """
    centres = rng.standard_normal((count, _SPOTS, 3))
    centres[..., 2] = np.abs(centres[..., 2])
    centres /= np.linalg.norm(centres, axis=-1, keepdims=True)
    bands = rng.standard_normal((count, _SPOTS, _BANDS))
    near = np.exp((centres @ places.T - 1) / _WIDTH)
    return 1.8 * np.einsum("psc,psb->pcb", near, bands)


def _stream(world: int, name: str) -> np.random.Generator:
    return np.random.default_rng([world, *name.encode()])
