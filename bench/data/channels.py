"""Channels: one spelling of their names, those two corpora share, and where they sit.

Channels are matched by name and never by position: SEED and DEAP share 32 names, of which only
two stand at the same place in both lists.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from importlib import resources

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


#: Canonical name to (x, y, z) on the unit sphere: x to the right ear, y to the nose, z up; first
#: the 62 electrodes of SEED, then all others of the 10-05 system. Taken once from the montage
#: ``colin27_1005`` (once ``standard_1005``) of MNE-Python, projected and rounded, so that nothing
#: here needs MNE. CB1 and CB2 are in no 10-05 system: they stand at its POO9 and POO10, below PO7
#: and O1 (PO8 and O2), where the owners' drawings of the cap show them.
POSITIONS: dict[str, tuple[float, float, float]] = {
    row["name"]: (float(row["right"]), float(row["front"]), float(row["up"]))
    for row in csv.DictReader(
        resources.files(__package__).joinpath("electrodes.csv").read_text("utf-8").splitlines()
    )
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
