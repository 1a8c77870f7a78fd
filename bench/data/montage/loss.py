"""In words: what bringing corpora to the same electrodes has cost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..features import listed
from .spline import GUESSED_DEG, Interpolation


def interpolated(name: str, montage: str, cut: Interpolation) -> str:
    """What a corpus has of a montage, and what was made of what; empty if nothing was lost."""
    wanted, measured = cut.matrix.shape
    parts = []
    if cut.made:
        place, near, angle = cut.far
        parts.append(
            f"{len(cut.made)} of {wanted} electrodes interpolated from {measured} "
            f"({listed(cut.made, 4)}); {place} is {angle:.0f} degrees from {near}, the nearest "
            "measured"
        )
        if cut.guessed:
            parts.append(
                f"{len(cut.guessed)} are guesses, more than {GUESSED_DEG:g} degrees from any "
                "measured one, where splines err by more than the signal "
                f"({listed(cut.guessed, 4)}): common electrodes are safer"
            )
        if wanted > measured:
            parts.append(f"{wanted} channels hold no more than {measured} independent signals")
    if cut.unused:
        what = "used for that only" if cut.made else "left out"
        parts.append(f"{len(cut.unused)} measured ones are {what} ({listed(cut.unused, 4)})")
    return f"{name} on montage {montage}: {'; '.join(parts)}" if parts else ""


def left_out(name: str, channels: Sequence[str], kept: Sequence[str]) -> str:
    """What of a side is not among the common electrodes; empty if half of it or more is."""
    lost = [c for c in channels if c not in set(kept)]
    if 2 * len(lost) <= len(channels):
        return ""
    empty = [row for row in dict.fromkeys(map(_row, channels)) if row not in set(map(_row, kept))]
    bare = f"; none is left in row{'s' * (len(empty) > 1)} {', '.join(empty)}" if empty else ""
    middle = any(c.endswith("Z") for c in lost) and not any(c.endswith("Z") for c in kept)
    bare += (" nor on the midline" if empty else "; none is left on the midline") if middle else ""
    return (f"{name}: {len(lost)} of {len(channels)} electrodes are left out, since the other side "
            f"does not have them{bare}. --montage NAME interpolates instead")


def _row(name: str) -> str:
    """Row of the cap that an electrode is in, by the letters of its name."""
    letters = re.match(r"[A-Z]+?(?=Z?\d*H?$)", name)
    return letters[0] if letters else name
