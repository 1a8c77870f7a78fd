"""Spherical splines: what electrodes would have measured that were not there.

Perrin et al. 1989 (10.1016/0013-4694(89)90180-6), as MNE-Python computes it, from the positions of
:mod:`bench.data.channels` alone. It is linear in the potentials, so it is done on signals: the
differential entropy of an interpolated signal is not the interpolated differential entropy, which
is a logarithm.
"""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import IncompatibleError
from ..channels import POSITIONS, canonical, positions

#: Raised whenever the numbers change; part of cache keys and of each record.
VERSION = "spherical-spline-1"
#: Fewer electrodes than this say nothing of the rest of the scalp.
FEWEST = 4
#: Degrees to the nearest measured electrode beyond which a spline errs by more than what it is to
#: give is large. Measured on potentials of radial dipoles below the upper half of the scalp:
#: 0.3 of the potential at 15 to 20 degrees, 0.5 at 20 to 30, 1.1 to 1.6 beyond.
GUESSED_DEG = 30.0
#: Radius of a head in metres; the result does not depend on it.
_RADIUS = 0.095


@dataclass(frozen=True, eq=False)
class Interpolation:
    """How electrodes that are wanted follow from those that were measured.

    Attributes
    ----------
    matrix : (wanted, measured) float64
        Rows of electrodes that were measured pick them, unchanged.
    made : tuple of str
        Wanted electrodes that were not measured.
    unused : tuple of str
        Measured electrodes that are not wanted. They help where something is made.
    far : (str, str, float)
        The made electrode that is farthest from any measured one, the nearest to it, and the angle
        between them in degrees; empty names and 0 if none was made.
    guessed : tuple of str
        Made electrodes that are farther than :data:`GUESSED_DEG` from any measured one.
    """

    matrix: NDArray[np.float64]
    made: tuple[str, ...]
    unused: tuple[str, ...]
    far: tuple[str, str, float]
    guessed: tuple[str, ...] = ()


@functools.lru_cache(maxsize=64)
def interpolation(measured: tuple[str, ...], wanted: tuple[str, ...]) -> Interpolation:
    """Interpolation from some electrodes to others, by name.

    Parameters
    ----------
    measured, wanted : tuple of str
        Names in any spelling, each once. A measured electrode without a known position is used
        where it is wanted itself, and nowhere else.

    Raises
    ------
    IncompatibleError
        Something is to be made of fewer than four electrodes.
    UnknownNameError
        A wanted electrode was not measured and has no known position.

    Examples
    --------
    >>> cut = interpolation(("Fz", "Cz", "Pz", "C3", "C4"), ("CPz", "Cz"))
    >>> cut.made, cut.matrix.shape, cut.matrix[1].tolist()
    (('CPZ',), (2, 5), [0.0, 1.0, 0.0, 0.0, 0.0])
    """
    have, want = tuple(map(canonical, measured)), tuple(map(canonical, wanted))
    made = tuple(c for c in want if c not in have)
    matrix = np.zeros((len(want), len(have)))
    for row, name in enumerate(want):
        if name in have:
            matrix[row, have.index(name)] = 1.0
    far: tuple[str, str, float] = ("", "", 0.0)
    guessed: tuple[str, ...] = ()
    if made:
        places = positions(made)
        placed = [i for i, name in enumerate(have) if name in POSITIONS]
        if len(placed) < FEWEST:
            raise IncompatibleError(
                f"{', '.join(made[:5])} cannot be interpolated from {len(placed)} electrodes; "
                f"{FEWEST} are needed", "Use --montage common.",
            )
        known = positions([have[i] for i in placed])
        rows = [want.index(name) for name in made]
        matrix[np.ix_(rows, placed)] = _splines(known, places)
        angles = np.degrees(np.arccos(np.clip(places @ known.T, -1, 1)))
        nearest = angles.min(axis=1)
        worst = int(nearest.argmax())
        far = (made[worst], have[placed[int(angles[worst].argmin())]], float(nearest[worst]))
        guessed = tuple(n for n, a in zip(made, nearest, strict=True) if a > GUESSED_DEG)
    matrix.setflags(write=False)
    return Interpolation(matrix, made, tuple(c for c in have if c not in want), far,
                         guessed)


def _splines(known: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(places, known) weights: what MNE makes of one electrode at 1 and the others at 0, each."""
    import mne

    n, m = len(known), len(places)
    names = [f"E{i}" for i in range(n + m)]
    points = _RADIUS * np.concatenate([known, places])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        montage = mne.channels.make_dig_montage(
            dict(zip(names, points, strict=True)), coord_frame="head"
        )
        unit = np.concatenate([np.eye(n), np.zeros((m, n))])
        evoked = mne.EvokedArray(unit, mne.create_info(names, 1.0, "eeg"), verbose="ERROR")
        evoked.set_montage(montage, verbose="ERROR")
        evoked.info["bads"] = names[n:]
        evoked.interpolate_bads(origin=(0.0, 0.0, 0.0), verbose="ERROR")
    weights: NDArray[np.float64] = evoked.data[n:]
    return weights
