"""What all simulated corpora share: sources, bands, the emotion pattern, the recording sites.

Nothing here depends on a recipe: a recipe scales these constants (see :mod:`.simulator`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.channels import positions
from bench.data.windows import BAND_NAMES, FIVE_BANDS

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Emotion:
    """A point in the plane of valence and arousal, each about -1..1."""

    valence: float
    arousal: float


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a simulated recording.

    Attributes
    ----------
    number : int
        The owner's trial number, from 1.
    order : int
        Rank of presentation in the session, from 0.
    emotion : Emotion
        What the signal expresses.
    samples : int
        Length at the corpus's rate, without DEAP's baseline.
    values : mapping of str to float
        Stimulus class or ratings, as the reader will give them.
    """

    number: int
    order: int
    emotion: Emotion
    samples: int
    values: Mapping[str, float] = field(default_factory=dict)


#: What the clips of each stimulus class make one feel. The classes that the label maps join
#: (negative and sad, positive and happy) are near each other, not equal: the clips differ.
EMOTIONS: dict[str, Emotion] = {
    "negative": Emotion(-0.80, 0.10),
    "neutral": Emotion(0.00, -0.40),
    "positive": Emotion(0.80, 0.30),
    "sad": Emotion(-0.80, -0.10),
    "fear": Emotion(-0.60, 0.90),
    "happy": Emotion(0.80, 0.40),
    "disgust": Emotion(-0.75, 0.35),
    "anger": Emotion(-0.70, 0.70),
    "surprise": Emotion(0.25, 0.85),
    "sadness": Emotion(-0.80, -0.15),
    "amusement": Emotion(0.85, 0.60),
    "inspiration": Emotion(0.60, 0.10),
    "joy": Emotion(0.80, 0.35),
    "tenderness": Emotion(0.65, -0.35),
}

#: Emotions a mislabelled trial of a corpus may really have evoked. A corpus that is not listed
#: is rated by its subjects: there a mislabelled trial has evoked the opposite of the rating.
CONFUSABLE: dict[str, tuple[str, ...]] = {
    "SEED": ("negative", "neutral", "positive"),
    "SEED-IV": ("neutral", "sad", "fear", "happy"),
    "SEED-V": ("disgust", "fear", "sad", "neutral", "happy"),
    "SEED-VII": ("disgust", "fear", "sad", "neutral", "happy", "anger", "surprise"),
    "FACED": ("anger", "disgust", "fear", "sadness", "neutral", "amusement", "inspiration", "joy",
              "tenderness"),
}

#: Cortical sources, each below the electrode it is named after.
SOURCES = (
    "AF3", "AF4", "F7", "F8", "F3", "F4", "FZ", "FC5", "FC6", "T7", "T8", "C3", "C4", "CZ",
    "TP7", "TP8", "P7", "P8", "P3", "P4", "PZ", "PO7", "PO8", "OZ",
)
BANDS = FIVE_BANDS

#: (source, band) to weights of (valence, arousal, engagement = |valence|): by how much natural
#: log power shifts per unit of emotion when the class effect is 1. Everything else carries no
#: emotion. Engagement makes neutral more than the midpoint between negative and positive.
PATTERN: dict[tuple[str, str], tuple[float, float, float]] = {
    # Frontal alpha asymmetry: pleasure lowers alpha, that is, raises activity, on the left.
    ("AF3", "alpha"): (-0.45, 0.00, 0.00),
    ("F3", "alpha"): (-0.50, 0.00, 0.00),
    ("F7", "alpha"): (-0.35, 0.00, 0.00),
    ("AF4", "alpha"): (0.45, 0.00, 0.00),
    ("F4", "alpha"): (0.50, 0.00, 0.00),
    ("F8", "alpha"): (0.35, 0.00, 0.00),
    # Lateral temporal beta and gamma follow valence: SEED's best known finding.
    ("T7", "beta"): (0.35, 0.10, 0.00),
    ("T8", "beta"): (0.35, 0.10, 0.00),
    ("TP7", "beta"): (0.25, 0.00, 0.00),
    ("TP8", "beta"): (0.25, 0.00, 0.00),
    ("T7", "gamma"): (0.45, 0.10, 0.00),
    ("T8", "gamma"): (0.45, 0.10, 0.00),
    ("FC5", "gamma"): (0.30, 0.00, 0.00),
    ("FC6", "gamma"): (0.30, 0.00, 0.00),
    # Arousal blocks parietal alpha and raises frontal theta and beta.
    ("P3", "alpha"): (0.00, -0.40, 0.00),
    ("P4", "alpha"): (0.00, -0.40, 0.00),
    ("PZ", "alpha"): (0.00, -0.45, 0.00),
    ("FZ", "theta"): (0.00, 0.40, 0.20),
    ("FZ", "beta"): (0.00, 0.30, 0.00),
    ("AF3", "beta"): (0.00, 0.25, 0.00),
    ("AF4", "beta"): (0.00, 0.25, 0.00),
    # Engagement: watching something that moves one, whichever way.
    ("CZ", "theta"): (0.00, 0.00, 0.45),
    ("OZ", "alpha"): (0.00, 0.00, -0.40),
    ("P7", "gamma"): (0.00, 0.00, 0.30),
    ("P8", "gamma"): (0.00, 0.00, 0.30),
    ("C3", "beta"): (0.00, 0.00, -0.25),
    ("C4", "beta"): (0.00, 0.00, -0.25),
}


def pattern_weights() -> Array:
    """:data:`PATTERN` as an array (3, sources, bands): valence, arousal, engagement."""
    weights = np.zeros((3, len(SOURCES), len(BANDS)))
    for (source, band), values in PATTERN.items():
        weights[:, SOURCES.index(source), BAND_NAMES.index(band)] = values
    return weights


def emotion_axes(emotion: Emotion) -> Array:
    """(3,) coordinates of an emotion: valence, arousal, engagement."""
    return np.array([emotion.valence, emotion.arousal, abs(emotion.valence)])


@dataclass(frozen=True)
class Site:
    """Where a corpus was recorded: what makes its sensors unlike another corpus's.

    Attributes
    ----------
    average : bool
        Referenced to the average of all channels, not to a place between CZ and CPZ.
    passband : (low, high)
        Hz; part of how the corpus is distributed, hence present whatever the corpus effect.
    gain, tilt : float
        Log power of the amplifier, and its slope per natural log of frequency around 10 Hz.
    cap : (3,) tuple of float
        Rotation vector of the cap against the 10-05 positions, in radians.
    line : float
        Amplitude of 50 Hz mains at the average electrode, in microvolt.
    """

    average: bool
    passband: tuple[float, float]
    gain: float
    tilt: float
    cap: tuple[float, float, float]
    line: float


SITES: dict[str, Site] = {
    "SEED": Site(False, (0.5, 75.0), 0.0, 0.0, (0.07, 0.00, 0.04), 1.0),
    "SEED-IV": Site(False, (1.0, 75.0), 0.2, -0.3, (-0.16, 0.05, -0.14), 0.6),
    "DEAP": Site(True, (4.0, 45.0), -0.2, 0.4, (-0.16, -0.16, 0.18), 1.5),
    "SEED-V": Site(False, (0.3, 90.0), 0.1, 0.1, (0.10, -0.12, 0.05), 1.8),
    "SEED-VII": Site(False, (0.1, 70.0), -0.1, -0.2, (-0.08, 0.14, 0.10), 0.3),
    "FACED": Site(True, (0.05, 47.0), 0.3, 0.2, (0.14, 0.10, -0.12), 0.4),
    "DREAMER": Site(False, (0.2, 43.0), -0.3, 0.3, (-0.18, 0.08, 0.16), 0.8),
}


def site_of(corpus: str) -> Site:
    """Site of a corpus; one that is not listed gets its own, drawn from its name."""
    if corpus in SITES:
        return SITES[corpus]
    rng = stream("site", corpus)
    x, y, z = 0.1 * rng.standard_normal(3)
    return Site(True, (0.5, 75.0), 0.3 * rng.standard_normal(), 0.3 * rng.standard_normal(),
                (x, y, z), rng.uniform(0.5, 1.5))


def stream(*axes: object) -> np.random.Generator:
    """Random stream named by its axes: the same in every process and on every machine."""
    digest = hashlib.sha256("/".join(map(str, axes)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def resting_power() -> Array:
    """(sources, bands) mean log power (microvolt squared) of the sources at rest.

    Delta and theta are strongest in front, alpha at the back, beta over the middle and gamma at
    the sides, as in resting EEG. Sources that emotion modulates are prominent in their band:
    otherwise mixing would hide them from every method, unlike the observer of `attainable`.
    """
    right, front, up = positions(SOURCES).T
    rms = np.stack(
        [
            7.0 + 1.4 * front,
            4.5 + 1.1 * front + 0.7 * up,
            5.9 - 2.5 * front,
            3.6 + 0.6 * up,
            2.4 + 0.7 * np.abs(right),
        ],
        axis=1,
    )
    modulated = (pattern_weights() != 0).any(0)
    return 2 * np.log(rms) + np.where(modulated, 0.8, -0.3)


def topography(electrodes: Array, sources: Array) -> Array:
    """Potential at each electrode of a radial dipole below each source direction.

    At 0.6 of the radius in a homogeneous sphere it spreads about as far as a cortical one does
    through skull and scalp: 23 % of the peak are left at 30 degrees, and the far side is weakly
    negative.

    Parameters
    ----------
    electrodes : (n, 3)
        Unit vectors.
    sources : (m, 3)
        Unit vectors.

    Returns
    -------
    (n, m) float64
        1 right above the source.
    """
    depth = 0.6
    cosine = electrodes @ sources.T
    distance = np.sqrt(1 + depth**2 - 2 * depth * cosine)
    return (1 - depth) ** 2 * (cosine - depth) / distance**3


def background_mixing(electrodes: Array) -> Array:
    """(n, n) lower triangular factor of the spatial correlation of background activity."""
    cosine = np.clip(electrodes @ electrodes.T, -1, 1)
    covariance = np.exp((cosine - 1) / 0.25)
    return np.linalg.cholesky(covariance + 1e-6 * np.eye(len(electrodes)))


def rotated(points: Array, vector: Sequence[float] | Array) -> Array:
    """Points (n, 3) turned about an axis by a rotation vector, in radians (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return points
    axis = np.asarray(vector) / angle
    along = np.outer(points @ axis, axis)
    return along + np.cos(angle) * (points - along) + np.sin(angle) * np.cross(axis, points)


def moved(points: Array, tangent: Array) -> Array:
    """Points (n, 3) on the sphere, displaced by (n, 3) and put back on the sphere."""
    shifted = points + tangent
    return shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
