"""Shuffled labels: another method, taught classes that have nothing to do with the trials.

Of all that is learnt: what it scores above chance comes from somewhere else than the classes, a
leak. Of the source alone (``--shuffled-source``): what the method scores more is what the source's
labels were worth.

Equation
--------
that of the method, where trial r has the class of trial pi(r), pi a random permutation of the
trials of each subject and session
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from bench.data.windows import UnlabelledWindows, Windows
from bench.errors import SettingError
from bench.method import Context, Job, Method, Needs, Params, Predictor, hyper
from bench.registry import load

from .shared.wrapped import Wrapped, WrappedParams


class ShuffledParams(WrappedParams):
    """Whose labels are shuffled, and that method's own parameters."""

    network: str = hyper("scmm", "method whose labels are shuffled", stage="network")
    shuffle: Literal["all", "source"] = hyper(
        "all", "whose labels; source: those of calibration stay as they are, and what the method "
        "loses is what the source's labels were worth", stage="network",
    )

    def only(self, *stages: str) -> dict[str, Any]:
        """Parameters of the given stages, by name; the method knows the stages of its own."""
        own: type[Params] = load("methods", self.network).Params
        return {
            name: value for name, value in self.model_dump().items()
            if ("network" if name in ShuffledParams.model_fields else own.stage_of(name)) in stages
        }


class Shuffled(Wrapped):
    """Run a method on labels that are permuted among the trials of each subject and session."""

    name = "shuffled"
    Params = ShuffledParams
    params: ShuffledParams

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        # What the class declares is that of the method it stands in for.
        vars(self).update(
            needs=self.inner.needs, maps_labels=self.inner.maps_labels,
            transductive=self.inner.transductive,
        )

    @classmethod
    def _named(cls, values: Mapping[str, Any]) -> type[Method]:
        if str(values.get("network", "")).lower() == cls.name:
            raise SettingError("shuffled cannot shuffle the labels of itself")
        return super()._named(values)

    @property
    def pretrains(self) -> bool:
        """As the method."""
        return self.inner.pretrains

    def pretrains_predictor(self, grants: frozenset[str]) -> bool:
        """As the method."""
        return self.inner.pretrains_predictor(grants)

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """As the method."""
        return self.inner.needs_under(grants)

    def pretrain(self, source: Windows | UnlabelledWindows, ctx: Context) -> Any:
        """As the method, the source's labels shuffled if it has any."""
        return self.inner.pretrain(_source(source, ctx), ctx)

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """As the method; folds that share a source go on sharing it."""
        sources: dict[int, Any] = {}
        changed = []
        for job in jobs:
            view, key = job.view, id(job.view.source)
            if key not in sources:
                sources[key] = _source(view.source, job.ctx)
            calibration = view.calibration
            if calibration is not None and self.params.shuffle == "all":
                calibration = shuffled(calibration, job.ctx.rng("shuffled calibration"))
            view = replace(view, source=sources[key], calibration=calibration)
            changed.append(replace(job, view=view))
        return self.inner.fit_many(changed)


def _source(source: Any, ctx: Context) -> Any:
    """Source with shuffled labels, the same in pre-training and in every fold."""
    if not isinstance(source, Windows):
        return source
    return shuffled(source, ctx.shared("shuffled").rng("shuffled source"))


def shuffled(windows: Windows, rng: np.random.Generator) -> Windows:
    """Windows whose classes are permuted among the trials of each subject and session."""
    y = windows.y.copy()
    sessions = np.stack([windows.subject, windows.session], axis=1)
    for session in np.unique(sessions, axis=0):
        mine = np.flatnonzero((sessions == session).all(axis=1))
        _, first, which = np.unique(
            windows.trial[mine], return_index=True, return_inverse=True
        )
        y[mine] = rng.permutation(windows.y[mine][first])[which]
    return replace(windows, y=y)
