"""Contract of a protocol, and the fold it cuts.

A method is handed a :class:`View`, which has no field for test windows. The test part of a
:class:`Fold` is opened by the engine alone, after the method has returned its predictor.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from .align import Pair
from .windows import UnlabelledWindows, Windows


@dataclass(frozen=True, eq=False)
class View:
    """All that a method may see of a fold.

    Attributes
    ----------
    source : Windows or UnlabelledWindows or None
        As the protocol grants and the method declares to need.
    calibration : Windows or None
        Labelled windows of the tested subject.
    unlabelled : UnlabelledWindows or None
        Unlabelled target windows, where the protocol grants them.
    classes : tuple of str
        Classes to tell apart, in the order of the predictor's columns.
    """

    source: Windows | UnlabelledWindows | None
    calibration: Windows | None
    unlabelled: UnlabelledWindows | None
    classes: tuple[str, ...]


class Fold:
    """One target subject and session under one protocol.

    Parameters
    ----------
    subject, session : int
    view : View
    test : Windows
        Kept behind :meth:`open_test`; nothing in ``view`` refers to it.
    """

    __slots__ = ("__test", "session", "subject", "view")

    def __init__(self, subject: int, session: int, view: View, test: Windows) -> None:
        self.subject = subject
        self.session = session
        self.view = view
        self.__test = test

    def open_test(self) -> Windows:
        """Test windows, for scoring."""
        return self.__test


@dataclass(frozen=True)
class LeftOut:
    """A subject and session that could not be cut, and why."""

    subject: int
    session: int
    reason: str


@dataclass(frozen=True, eq=False)
class Folds:
    """All folds of a pair under a protocol.

    Attributes
    ----------
    folds : list of Fold
    left_out : list of LeftOut
    notices : list of str
    """

    folds: list[Fold] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class Protocol(BaseModel, abc.ABC):
    """How a target is cut; its fields are the protocol's options."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Name on the command line.
    name: ClassVar[str]
    #: What of the target a method sees, for records and captions.
    target_access: ClassVar[str]
    #: What the protocol grants: any of "source", "calibration", "unlabelled".
    grants: ClassVar[frozenset[str]]

    @abc.abstractmethod
    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut the target; equal for all methods.

        ``seed`` matters only where trials are drawn.
        """

    def describe(self) -> dict[str, Any]:
        """Name, options and target access, for the record."""
        return {
            "name": self.name, "params": self.model_dump(), "target_access": self.target_access,
        }


def subject_sessions(windows: Windows) -> Sequence[tuple[int, int]]:
    """(subject, session) pairs that occur, ordered as integers."""
    return sorted(set(zip(windows.subject.tolist(), windows.session.tolist(), strict=True)))


def trial_table(windows: Windows) -> np.ndarray:
    """One row (trial, class, order) per trial of one subject and session, by trial number."""
    _, first = np.unique(windows.trial, return_index=True)
    return np.stack([windows.trial[first], windows.y[first], windows.order[first]], axis=1)
