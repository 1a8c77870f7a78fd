"""Channels: one spelling of their names, those two corpora share, and where they sit.

Channels are matched by name and never by position: SEED and DEAP share 32 names, of which only
two stand at the same place in both lists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import BenchError, UnknownNameError

#: Names of the older 10-20 system and of amplifiers, and what they are called now.
ALIASES = {
    "T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8",
    "FPZ'": "FPZ", "I1": "O9", "I2": "O10",
}
_DECORATION = ("EEG ", "EEG-")
_REFERENCES = ("-REF", "-LE", "-A1", "-A2", "-M1", "-M2", "-CZ", "-AVG")


def canonical(name: str) -> str:
    """One spelling of an electrode name: upper case, current 10-10 name, no decoration.

    Examples
    --------
    >>> [canonical(n) for n in ("Fp1", "T3", "EEG Cz-REF", " oz ")]
    ['FP1', 'T7', 'CZ', 'OZ']
    """
    name = name.strip().upper()
    for prefix in _DECORATION:
        name = name.removeprefix(prefix)
    for suffix in _REFERENCES:
        name = name.removesuffix(suffix)
    name = name.rstrip(".")
    return ALIASES.get(name, name)


def common_channels(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    """Channels that both lists have, in the order of the first.

    Raises
    ------
    BenchError
        If a list names an electrode twice, or nothing is shared.
    """
    a, b = [canonical(c) for c in first], [canonical(c) for c in second]
    for names in (a, b):
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise BenchError(f"channel list names {', '.join(twice)} more than once")
    shared = tuple(c for c in a if c in set(b))
    if not shared:
        raise BenchError(
            f"the corpora share no channel: {', '.join(a[:5])}... and {', '.join(b[:5])}..."
        )
    return shared


def positions_of(wanted: Sequence[str], available: Sequence[str]) -> NDArray[np.int64]:
    """Index in ``available`` of each wanted channel, matched by canonical name.

    Raises
    ------
    BenchError
        Names the channels that are not there.
    """
    where = {canonical(c): i for i, c in enumerate(available)}
    missing = [c for c in wanted if canonical(c) not in where]
    if missing:
        raise BenchError(
            f"channels {', '.join(missing)} are not among the {len(available)} available"
        )
    return np.array([where[canonical(c)] for c in wanted], dtype=np.int64)


#: Canonical name to (x, y, z) on the unit sphere: x to the right ear, y to the nose, z up; the 62
#: electrodes of SEED, among which are the 32 of DEAP. Taken once from the montage
#: ``standard_1005`` of MNE-Python, projected and rounded, so that nothing here needs MNE. CB1 and
#: CB2 are in no 10-05 system: they stand at its POO9 and POO10, below PO7 and O1 (PO8 and O2),
#: where the owners' drawings of the cap show them.
POSITIONS: dict[str, tuple[float, float, float]] = {
    "FP1": (-0.330, 0.941, -0.078),
    "FPZ": (0.001, 1.000, -0.019),
    "FP2": (0.331, 0.940, -0.078),
    "AF3": (-0.389, 0.888, 0.245),
    "AF4": (0.404, 0.880, 0.249),
    "F7": (-0.848, 0.512, -0.138),
    "F5": (-0.785, 0.585, 0.206),
    "F3": (-0.595, 0.629, 0.500),
    "F1": (-0.315, 0.651, 0.690),
    "FZ": (0.004, 0.661, 0.751),
    "F2": (0.336, 0.655, 0.677),
    "F4": (0.607, 0.636, 0.478),
    "F6": (0.791, 0.581, 0.191),
    "F8": (0.846, 0.515, -0.139),
    "FT7": (-0.976, 0.171, -0.135),
    "FC5": (-0.929, 0.224, 0.294),
    "FC3": (-0.708, 0.267, 0.654),
    "FC1": (-0.375, 0.287, 0.881),
    "FCZ": (0.004, 0.295, 0.955),
    "FC2": (0.386, 0.293, 0.875),
    "FC4": (0.717, 0.273, 0.641),
    "FC6": (0.930, 0.233, 0.286),
    "FT8": (0.974, 0.183, -0.135),
    "T7": (-0.977, -0.186, -0.108),
    "C5": (-0.928, -0.159, 0.337),
    "C3": (-0.707, -0.126, 0.696),
    "C1": (-0.372, -0.103, 0.923),
    "CZ": (0.004, -0.091, 0.996),
    "C2": (0.390, -0.100, 0.915),
    "C4": (0.721, -0.117, 0.683),
    "C6": (0.934, -0.143, 0.327),
    "T8": (0.979, -0.173, -0.109),
    "TP7": (-0.877, -0.476, -0.073),
    "CP5": (-0.818, -0.479, 0.318),
    "CP3": (-0.619, -0.458, 0.639),
    "CP1": (-0.326, -0.435, 0.839),
    "CPZ": (0.004, -0.430, 0.903),
    "CP2": (0.352, -0.431, 0.831),
    "CP4": (0.638, -0.446, 0.628),
    "CP6": (0.831, -0.460, 0.311),
    "TP8": (0.880, -0.469, -0.073),
    "P7": (-0.702, -0.712, -0.024),
    "P5": (-0.637, -0.722, 0.269),
    "P3": (-0.481, -0.715, 0.508),
    "P1": (-0.251, -0.706, 0.662),
    "PZ": (0.003, -0.701, 0.714),
    "P2": (0.276, -0.696, 0.663),
    "P4": (0.499, -0.704, 0.507),
    "P6": (0.643, -0.719, 0.266),
    "P8": (0.707, -0.707, -0.025),
    "PO7": (-0.490, -0.871, 0.025),
    "PO5": (-0.430, -0.882, 0.192),
    "PO3": (-0.322, -0.888, 0.327),
    "POZ": (0.002, -0.896, 0.444),
    "PO4": (0.324, -0.890, 0.321),
    "PO6": (0.440, -0.877, 0.192),
    "PO8": (0.495, -0.868, 0.024),
    "CB1": (-0.359, -0.894, -0.269),
    "O1": (-0.252, -0.965, 0.076),
    "OZ": (0.001, -0.992, 0.127),
    "O2": (0.256, -0.964, 0.076),
    "CB2": (0.359, -0.893, -0.270),
}


def position(name: str) -> NDArray[np.float64]:
    """Direction of one electrode from the centre of the head.

    Parameters
    ----------
    name : str
        Any spelling that :func:`bench.data.channels.canonical` understands.

    Returns
    -------
    (3,) float64
        Right, front, up; of length 1.

    Raises
    ------
    UnknownNameError
        The electrode is not in the table.

    Examples
    --------
    >>> bool(position("Fp1")[1] > 0.9), bool(position("Cz")[2] > 0.9)
    (True, True)
    """
    key = canonical(name)
    if key not in POSITIONS:
        raise UnknownNameError("electrode", name, POSITIONS)
    xyz = np.array(POSITIONS[key])
    # Rounding to three decimals moved the points off the sphere by up to 5e-4.
    return xyz / np.linalg.norm(xyz)


def positions(names: Sequence[str]) -> NDArray[np.float64]:
    """Directions of several electrodes.

    Returns
    -------
    (n, 3) float64
        One row per name, in the order given; see :func:`position`.

    Raises
    ------
    UnknownNameError
    """
    return np.array([position(n) for n in names]).reshape(len(names), 3)
