"""Scaling as fitted state with a declared scope.

Which windows the statistics come from is as much part of a result as the method: min-max fitted
on the test split, as in much published code, is transductive use of test data. The scope is
written into each record.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from ..data.windows import Space, UnlabelledWindows, Windows
from ..errors import IncompatibleError, SettingError, UnknownNameError, check_known
from .base import Fold, Protocol

Kind = Literal["auto", "min-max", "z-score", "robust", "euclidean", "window", "none"]
Scope = Literal["corpus", "subject", "source-subject", "source", "tested", "subject-tested"]
W = TypeVar("W", Windows, UnlabelledWindows)
KINDS: tuple[str, ...] = get_args(Kind)
#: What "auto" stands for on each kind of windows.
DEFAULT = {"de": "min-max", "raw": "z-score"}
#: What the source and the tested subject are scaled by; see docs/protocols.md.
SCOPES: tuple[str, ...] = get_args(Scope)


class AnyScaler(abc.ABC):
    """Scales windows by statistics that it holds."""

    @abc.abstractmethod
    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale (windows, channels, features)."""

    def apply(self, windows: W) -> W:
        """Scale windows, labelled or not."""
        return windows.with_x(self(windows.x))


@dataclass(frozen=True, eq=False)
class Scaler(AnyScaler):
    """Affine map per feature, (x - shift) / scale.

    Attributes
    ----------
    shift, scale : (channels, features) or (channels, 1) float64
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(
        cls, x: NDArray[np.float32], kind: str = "min-max", over_time: bool = False
    ) -> Scaler:
        """Statistics of (windows, channels, features), one pair per (channel, feature).

        With ``over_time`` features are samples, and there is one pair per channel. A feature that
        does not vary keeps scale 1.
        """
        if over_time:
            each = [cls.fit(x[:, c].reshape(-1, 1, 1), kind) for c in range(x.shape[1])]
            return cls(*(
                np.array([[getattr(s, part).item()] for s in each]) for part in ("shift", "scale")
            ))
        data = x.astype(np.float64)
        if kind == "min-max":
            shift, scale = data.min(axis=0), np.ptp(data, axis=0)
        elif kind == "z-score":
            shift, scale = data.mean(axis=0), data.std(axis=0)
        elif kind == "robust":
            low, shift, high = np.percentile(data, [25, 50, 75], axis=0)
            scale = high - low
        elif kind == "none":
            shift, scale = np.zeros(x.shape[1:]), np.ones(x.shape[1:])
        else:
            raise UnknownNameError("scaling", kind, KINDS)
        return cls(shift, np.where(scale > 0, scale, 1.0))

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale (windows, channels, features)."""
        return ((x - self.shift) / self.scale).astype(np.float32)


#: Eigenvalues below this share of the largest count as this share: channels of an average
#: reference are linearly dependent.
EIGENVALUE_FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class Whitener(AnyScaler):
    """Euclidean alignment: windows whitened by a mean covariance (He and Wu, TBME 2020).

    X' = R^(-1/2) X with R the mean of X X^T / T over windows: the mean covariance of every subject
    is then the identity, whatever cap, reference and amplifier. Whose windows R comes from is
    decided by the scope of the scaling, as for every other scaler.

    Attributes
    ----------
    matrix : (channels, channels) float64
    """

    matrix: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float32]) -> Whitener:
        """Inverse square root of the mean covariance of windows (n, channels, samples)."""
        samples = np.ascontiguousarray(x.transpose(1, 0, 2)).reshape(x.shape[1], -1)
        covariance = (samples @ samples.T).astype(np.float64) / samples.shape[1]
        values, vectors = np.linalg.eigh(covariance)
        values = np.maximum(values, EIGENVALUE_FLOOR * max(values[-1], np.finfo(np.float64).tiny))
        return cls((vectors / np.sqrt(values)) @ vectors.T)

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Whiten windows (n, channels, samples), each on its own."""
        return np.matmul(self.matrix.astype(np.float32), x)


class Alone(AnyScaler):
    """Each window by its own statistics: it needs nothing of anybody else.

    Differential entropy is a log power: less its mean over channels in a band, it is a power
    relative to the head's, and what a gain of the amplifier adds is gone. A raw window is brought
    to its average reference and divided by its standard deviation over channels and time.
    """

    def __call__(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale windows (n, channels, features)."""
        data = x.astype(np.float64)
        data -= data.mean(axis=1, keepdims=True)
        scale = data.std(axis=(1, 2), keepdims=True)
        return (data / np.where(scale > 0, scale, 1.0)).astype(np.float32)


@dataclass(frozen=True)
class Scaling:
    """Which scaler, and which windows its statistics come from.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    scope : str
        One of :data:`SCOPES`. "corpus": each source corpus by its own statistics, the tested
        subject by what is granted of it (calibration, else unlabelled windows), else by the
        source's. "subject": each source subject by its own; the tested one by what is granted of
        it. "source-subject": the same, and where nothing is granted the tested one by the
        statistics of all of the source. "source": all by the source's. "tested" and
        "subject-tested": the tested subject by all its windows of the session, the tested ones
        among them; transductive, and flagged.
        Under "corpus", Euclidean alignment also goes by each source subject.
    over_time : bool
        Statistics per channel, over windows and time, instead of per feature: for raw windows.
    """

    kind: str = "min-max"
    scope: str = "corpus"
    over_time: bool = False

    def __post_init__(self) -> None:
        check_known("scaling", KINDS, self.kind)
        check_known("scaling scope", SCOPES, self.scope)
        if self.kind in ("none", "window") and self.scope != "corpus":
            raise SettingError(
                f"scaling {self.kind} has no statistics for the scope {self.scope!r}",
                "Leave the scope out, or choose min-max, z-score or robust.",
            )

    @property
    def transductive(self) -> bool:
        """Whether statistics come from tested windows, granted or not."""
        return self.scope.endswith("tested")

    @property
    def _by_subject(self) -> bool:
        alone = self.kind == "euclidean" and self.scope == "corpus"
        return alone or self.scope in ("subject", "source-subject", "subject-tested")

    def resolved(self, space: Space) -> Scaling:
        """The scaling of windows of a space: what "auto" stands for, statistics over time.

        Raises
        ------
        IncompatibleError
            Euclidean alignment of windows that are no signals.
        """
        kind = DEFAULT[space.kind] if self.kind == "auto" else self.kind
        if kind == "euclidean" and space.kind != "raw":
            raise IncompatibleError(
                f"scaling euclidean aligns covariances of signals, not {space.kind} windows",
                "Add --features raw, or use --scaling min-max.",
            )
        return replace(self, kind=kind, over_time=space.kind == "raw")

    def fit(self, x: NDArray[np.float32]) -> AnyScaler:
        """Scaler by the statistics of windows (n, channels, features)."""
        if self.kind == "window":
            return Alone()
        if self.kind == "euclidean":
            return Whitener.fit(x)
        return Scaler.fit(x, self.kind, self.over_time)

    def check(self, protocol: Protocol) -> None:
        """Refuse a scope for which the protocol grants nothing.

        Raises
        ------
        IncompatibleError
        """
        if self.scope == "subject" and protocol.scales_by == "source":
            raise IncompatibleError(
                f"{protocol.name} grants no window of the tested subject to scale it by",
                "Use --scaling-scope source-subject, which takes the source's statistics for it, "
                "or subject-tested, which looks at the tested windows and says so.",
            )

    def folds(self, folds: Sequence[Fold]) -> list[Fold]:
        """Folds with every part scaled; folds that share a source go on sharing it."""
        sources: dict[int, _Source] = {}
        return [self._fold(fold, sources) for fold in folds]

    def aside(self, source: Windows, others: Windows) -> Windows:
        """Further subjects of a source, scaled as it is: by its statistics or each by its own."""
        return _Source(source, self.fit, self._by_subject).aside(others)

    def _fold(self, fold: Fold, sources: dict[int, _Source]) -> Fold:
        view, test, source = fold.view, fold.tested, None
        if view.source is not None:
            if id(view.source) not in sources:
                sources[id(view.source)] = _Source(view.source, self.fit, self._by_subject)
            source = sources[id(view.source)]
        scaler = self._target_scaler(fold, source)
        changed = replace(
            view, source=None if source is None else source.scaled,
            calibration=None if view.calibration is None else scaler.apply(view.calibration),
            unlabelled=None if view.unlabelled is None else scaler.apply(view.unlabelled),
        )
        return fold.changed(changed, test.with_x(scaler(test.x)))

    def _target_scaler(self, fold: Fold, source: _Source | None) -> AnyScaler:
        view = fold.view
        granted = view.unlabelled if view.calibration is None else view.calibration
        if self.transductive:
            test = fold.tested.x
            if granted is not None and not np.array_equal(granted.x, test):
                test = np.concatenate([granted.x, test])
            return self.fit(test)
        # Not the tested windows: where the protocol grants them, they stand in ``unlabelled``.
        if granted is not None and self.scope != "source":
            return self.fit(granted.x)
        if source is None:
            raise IncompatibleError("the protocol grants no window to scale the target by")
        return source.of(fold) if self.scope.startswith("subject") else source.pooled

    def describe(self, protocol: Protocol) -> dict[str, str]:
        """Scope of the statistics under a protocol, for the record."""
        if self.kind == "window":
            return {"name": "window", "source": "each window", "target": "each window"}
        target = "source"
        if self.transductive:
            target = "all windows of the tested subject and session (tested windows)"
        elif self.scope != "source" and protocol.scales_by != "source":
            target = protocol.scales_by
        described = {
            "name": self.kind, "source": "each subject" if self._by_subject else "source",
            "target": target,
        }
        if self.over_time:
            described["statistics"] = "mean covariance of channels" if self.kind == "euclidean" \
                else "per channel, over time"
        return described if self.scope == "corpus" else {**described, "scope": self.scope}


Fit = Callable[[NDArray[np.float32]], AnyScaler]


class _Source:
    """A source scaled part by part, and the statistics that a target may be scaled by.

    Parameters
    ----------
    windows : Windows or UnlabelledWindows
    fit : callable
        Gives a scaler for (n, channels, features).
    by_subject : bool
        Parts are subjects; else corpora.
    """

    def __init__(
        self, windows: Windows | UnlabelledWindows, fit: Fit, by_subject: bool
    ) -> None:
        self._windows, self._fit, self._by_subject = windows, fit, by_subject
        self._scalers: dict[Hashable, AnyScaler] = {}
        x = np.empty_like(windows.x)
        for key, rows in _parts(windows, by_subject):
            self._scalers[key] = fit(windows.x[rows])
            x[rows] = self._scalers[key](windows.x[rows])
        self.scaled = windows.with_x(x)

    @functools.cached_property
    def pooled(self) -> AnyScaler:
        """Statistics of all windows of the source."""
        if len(self._scalers) == 1:
            return next(iter(self._scalers.values()))
        return self._fit(self._windows.x)

    def aside(self, others: Windows) -> Windows:
        """Windows scaled by the statistics of their part, or by their own if it is none of ours."""
        x = np.empty_like(others.x)
        for key, rows in _parts(others, self._by_subject):
            x[rows] = (self._scalers.get(key) or self._fit(others.x[rows]))(others.x[rows])
        return others.with_x(x)

    def of(self, fold: Fold) -> AnyScaler:
        """Statistics of the tested subject's own windows in the source.

        Raises
        ------
        IncompatibleError
            There are none.
        """
        key = (str(fold.tested.corpus[0]), fold.subject)
        if key not in self._scalers:
            raise IncompatibleError("no window of the tested subject is granted to scale it by")
        return self._scalers[key]


def _parts(
    windows: Windows | UnlabelledWindows, by_subject: bool
) -> list[tuple[Hashable, NDArray[np.bool_]]]:
    """Corpora of the windows, or their subjects: key and mask of rows."""
    corpora = [(str(c), windows.corpus == c) for c in np.unique(windows.corpus)]
    if not by_subject:
        return list(corpora)
    return [
        ((corpus, subject), mine & (windows.subject == subject))
        for corpus, mine in corpora for subject in np.unique(windows.subject[mine]).tolist()
    ]
