"""Target-only: trained on the calibration trials alone, without a source.

The control that says what a source was worth: the same network from scratch, or the same shallow
classifier. It is one thing whoever it stands beside, so it has no name of another method in it:
all methods that share a network share one control, trained once. Shallow ones are methods in their
own right, and ranked: plain learning is what every transfer has to beat.

Equation
--------
mean_i CE(f(x_i), y_i) over calibration windows, f from scratch; of a shallow method its own
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.errors import SettingError
from bench.method import Job, Method, Needs, Predictor, Tunable, hyper
from bench.registry import ANY_FEATURES

from .shared.shallow import Shallow
from .shared.wrapped import SHARED, Wrapped, WrappedParams


class TargetOnlyParams(WrappedParams):
    """What is trained, and its own parameters except those of a pre-training."""

    network: str = hyper(
        SHARED, "what is trained: network (backbone and head that methods share), a shallow method "
        "(lr, lda, svm, rf, ...), or a method with a network of its own", stage="network",
    )


class TargetOnly(Wrapped):
    """A method's training on labelled windows, from nothing."""

    name = "target-only"
    Params = TargetOnlyParams
    needs = Needs(source="none", calibration=True, features=ANY_FEATURES)

    def __init__(self, params: Any = None) -> None:
        super().__init__(params)
        if not _is_network(self.inner):
            vars(self)["kind"] = "method"

    @classmethod
    def _named(cls, values: Mapping[str, Any]) -> type[Method]:
        if str(values.get("network", SHARED)).lower() != SHARED:
            return super()._named(values)
        from .shared.training.finetuning import SharedNetwork

        return SharedNetwork

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Any:
        """Parameters, checked by the method that is named; of the network that it shares.

        Raises
        ------
        SettingError
            Also for a parameter of the pre-training, which does not take place, and for a method
            that learns nothing from calibration windows alone.
        """
        named = cls._named(values)
        own = {k: v for k, v in values.items() if k != "network"}
        method = named(named.parse(own))
        scratch = method.scratch()
        if scratch is None:
            raise SettingError(
                f"{named.name} has no training without a source, so there is no target-only of it",
                "For example network=lr, or none: the network that methods share.",
            )
        for name in own:
            if name not in scratch[1]:
                raise SettingError(
                    f"target-only has no source to learn from, so {name!r} has no meaning for it",
                    f"Parameters: {', '.join(['network', *scratch[1]])}",
                )
        return cls.Params(network=scratch[0], **scratch[1])

    def resolved(self, space: Any) -> Method:
        """With the parameters its method settles on."""
        scratch = self.inner.resolved(space).scratch()
        assert scratch is not None  # refused when parsed
        return type(self)(self.Params(network=self.params.network, **scratch[1]))

    def tunable(self) -> dict[str, Tunable]:
        """What is tuned of the training itself; there is no pre-training.

        What is chosen within the calibration trials of each subject ("auto") needs no tuning.
        """
        own = self.params.model_extra or {}
        return {name: t for name, t in self.inner.tunable().items()
                if name in own and own[name] != "auto"}

    def per_model(self) -> Mapping[str, int]:
        """Those of the training itself."""
        own = self.params.model_extra or {}
        return {name: axes for name, axes in self.inner.per_model().items() if name in own}

    @property
    def stacks(self) -> bool:
        """As the method whose training it is."""
        return self.inner.stacks

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds from scratch, as one stack where the method can."""
        return self.inner.fit_many([
            Job(j.view, None, replace(j.ctx, params=self.alone(j.ctx).inner.params))
            for j in jobs
        ])


def _is_network(method: Method) -> bool:
    """Whether a method trains a network; a shallow one is asked without importing torch."""
    if isinstance(method, Shallow):
        return False
    from .shared.training.finetuning import FineTuned

    return isinstance(method, FineTuned)
