"""Target-only: the same network from scratch on the same calibration trials, without a source.

The control that says what a source was worth. It is run beside every pre-trained method.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from bench.errors import SettingError
from bench.method import Context, Job, Needs, Predictor, Tunable, hyper
from bench.protocols.base import View
from bench.registry import ANY_FEATURES

from .shared.wrapped import Wrapped, WrappedParams


class TargetOnlyParams(WrappedParams):
    """Whose network, and that method's own parameters except those of its pre-training."""

    network: str = hyper("scmm", "method whose network and fine-tuning are used", stage="network")


class TargetOnly(Wrapped):
    """A method's fine-tuning, started from a fresh network instead of a pre-trained one."""

    name: ClassVar[str] = "target-only"
    Params = TargetOnlyParams
    needs: ClassVar[Needs] = Needs(source="none", calibration=True, features=ANY_FEATURES)

    @classmethod
    def kept(cls, parsed: Any, given: Collection[str] = ()) -> dict[str, Any]:
        """Parameters of network and fine-tuning.

        Raises
        ------
        SettingError
            A parameter of the pre-training was given, which does not take place.
        """
        counting = parsed.only("network", "fit")
        for name in given:
            if parsed.stage_of(name) == "pretrain":
                raise SettingError(
                    f"target-only does not pre-train, so {name!r} has no meaning for it",
                    f"Parameters: {', '.join(['network', *counting])}",
                )
        return counting

    def tunable(self) -> dict[str, Tunable]:
        """What is tuned of the fine-tuning; there is no pre-training."""
        ranges = self.inner.tunable()
        return {name: t for name, t in ranges.items() if t.stage != "pretrain"}

    def per_model(self) -> Mapping[str, int]:
        """Those of the fine-tuning."""
        return {name: axes for name, axes in self.inner.per_model().items()
                if self.inner.params.stage_of(name) != "pretrain"}

    @property
    def stacks(self) -> bool:
        """As the method whose network it is."""
        return self.inner.stacks

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit one fold from scratch."""
        return self.fit_many([Job(view, None, ctx)])[0]

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds from scratch, as one stack where the method can."""
        return self.inner.fit_many([
            Job(j.view, None, replace(j.ctx, params=self.alone(j.ctx).inner.params))
            for j in jobs
        ])

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Majority."""
        return [("majority", {})]
