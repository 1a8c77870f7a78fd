"""Target-only: the same network from scratch on the same calibration trials, without a source.

The control that says what a source was worth. It is run beside every pre-trained method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import ConfigDict

from bench.data.windows import Space
from bench.errors import SettingError
from bench.method import Context, Job, Method, Needs, Params, Predictor, Tunable, hyper
from bench.protocols.base import View
from bench.registry import ANY_FEATURES, load


class TargetOnlyParams(Params):
    """Whose network, and that method's own parameters except those of its pre-training."""

    model_config = ConfigDict(frozen=True, extra="allow")

    network: str = hyper("scmm", "method whose network and fine-tuning are used", stage="network")


class TargetOnly(Method):
    """A method's fine-tuning, started from a fresh network instead of a pre-trained one."""

    name: ClassVar[str] = "target-only"
    kind: ClassVar[str] = "control"
    Params = TargetOnlyParams
    params: TargetOnlyParams
    needs: ClassVar[Needs] = Needs(source="none", calibration=True, features=ANY_FEATURES)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> TargetOnlyParams:
        """Parameters, checked by the method whose network it is.

        Raises
        ------
        SettingError
            Also for a parameter of the pre-training, which does not take place.
        """
        network = values.get("network", cls.Params.model_fields["network"].default)
        inner: type[Method] = load("methods", network)
        given = {k: v for k, v in values.items() if k != "network"}
        parsed = inner.parse(given)
        for name in given:
            if parsed.stage_of(name) == "pretrain":
                raise SettingError(
                    f"target-only does not pre-train, so {name!r} has no meaning for it",
                    f"Parameters: {', '.join(['network', *parsed.only('network', 'fit')])}",
                )
        return cls.Params(network=inner.name, **parsed.only("network", "fit"))

    def inner(self) -> Method:
        """The method whose network it is."""
        cls: type[Method] = load("methods", self.params.network)
        return cls(cls.parse(self.params.model_extra or {}))

    def resolved(self, space: Space) -> TargetOnly:
        """With the parameters its network settles on."""
        own = self.inner().resolved(space).params.only("network", "fit")
        return type(self)(self.Params(network=self.params.network, **own))

    @classmethod
    def unresolved(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As the method it stands for leaves them open."""
        named = values.get("network", cls.Params.model_fields["network"].default)
        inner: type[Method] = load("methods", named)
        return inner.unresolved(values)

    def check_space(self, space: Space) -> None:
        """Refuse what its network refuses."""
        self.inner().check_space(space)

    def tunable(self) -> dict[str, Tunable]:
        """What is tuned of the fine-tuning; there is no pre-training."""
        inner = self.inner().tunable()
        return {name: t for name, t in inner.items() if t.stage != "pretrain"}

    def parts(self) -> list[type]:
        """The control itself, and the method whose network it is (imported by name)."""
        return [type(self), *self.inner().parts()]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload: the network's method knows how."""
        return self.inner().restore(payload)

    def per_model(self) -> Mapping[str, int]:
        """Those of the fine-tuning."""
        inner = self.inner()
        return {name: axes for name, axes in inner.per_model().items()
                if inner.params.stage_of(name) != "pretrain"}

    @property
    def stacks(self) -> bool:
        """As the method whose network it is."""
        return self.inner().stacks

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit one fold from scratch."""
        return self.fit_many([Job(view, None, ctx)])[0]

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds from scratch, as one stack where the method can."""
        return self.inner().fit_many([
            Job(j.view, None, replace(j.ctx, params=self.alone(j.ctx).inner().params))
            for j in jobs
        ])

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Majority."""
        return [("majority", {})]
