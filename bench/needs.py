"""What a method needs, what a protocol grants, and whether the two fit: light enough to list by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

#: Kinds of windows, for methods that work on any.
ANY_FEATURES = frozenset({"de", "raw"})


@dataclass(frozen=True)
class Needs:
    """What a method cannot do without.

    Attributes
    ----------
    source : {"none", "unlabelled", "labelled"}
        What of the source it uses; it is handed no more than that.
    calibration : bool
        Labelled target windows.
    unlabelled : bool
        Unlabelled target windows.
    features : frozenset of str
        Kinds of windows it can work on: "de", "raw".
    """

    source: Literal["none", "unlabelled", "labelled"] = "labelled"
    calibration: bool = False
    unlabelled: bool = False
    features: frozenset[str] = frozenset({"de"})

    def lacking(self, grants: Iterable[str]) -> list[str]:
        """What of it a protocol does not grant: "source", "calibration", "unlabelled".

        Calibration windows may also be used without their labels.
        """
        granted = set(grants)
        if "calibration" in granted:
            granted.add("unlabelled")
        wanted = {"source"} if self.source != "none" else set()
        wanted |= {"calibration"} if self.calibration else set()
        wanted |= {"unlabelled"} if self.unlabelled else set()
        return sorted(wanted - granted)


@dataclass(frozen=True)
class Profile:
    """What a method declares, as a catalogue states it; a test holds it to the method's class.

    Attributes
    ----------
    needs : Needs
    bare : Needs or None
        What it needs instead where the protocol grants no calibration windows.
    transductive : bool
        Whether it predicts all tested windows at once.
    """

    needs: Needs
    bare: Needs | None = None
    transductive: bool = False

    def under(self, grants: Iterable[str]) -> Needs:
        """What it needs under a protocol that grants ``grants``."""
        return self.needs if self.bare is None or "calibration" in grants else self.bare
