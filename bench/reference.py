"""Comparison of a method's own code with reference numbers from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

#: Largest relative deviation allowed in float64: quantities of the first step, ...
FIRST_STEP = 1e-6
#: ... and losses over ten optimiser steps.
TRAJECTORY = 1e-5


@dataclass(frozen=True)
class Deviation:
    """How far a quantity is from its reference.

    Attributes
    ----------
    name : str
    double, single : float
        Largest deviation in float64 and float32, relative to the quantity's largest entry.
    limit : float
        What is allowed in float64.
    """

    name: str
    double: float
    single: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the float64 deviation is within the limit."""
        return self.double <= self.limit
