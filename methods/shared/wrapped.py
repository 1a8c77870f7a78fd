"""What controls share that stand in for another method: its parameters beside their own."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, ValidationError

from bench.data.windows import Space
from bench.errors import refused_value
from bench.method import Context, Job, Method, Params, Predictor, Pretraining, hyper
from bench.protocols.base import View
from bench.registry import load

#: Name of the network that methods share which change nothing of how one is trained from scratch.
SHARED = "network"


class WrappedParams(Params):
    """Which method it is, and that method's own parameters."""

    model_config = ConfigDict(frozen=True, extra="allow")

    network: str = hyper("scmm", "method that the control stands in for", stage="network")


class Wrapped(Method):
    """A control that runs another method in another way; a subclass gives the fit."""

    kind = "control"
    Params = WrappedParams
    params: WrappedParams

    @classmethod
    def _named(cls, values: Mapping[str, Any]) -> type[Method]:
        named = values.get("network", cls.Params.model_fields["network"].default)
        return load("methods", named)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Any:
        """Parameters, checked by the method that it stands in for.

        Raises
        ------
        SettingError
        """
        inner = cls._named(values)
        ours = {k: v for k, v in values.items() if k in cls.Params.model_fields}
        own = {k: v for k, v in values.items() if k not in ours}
        try:
            return cls.Params(**{**ours, "network": inner.name}, **inner.parse(own).model_dump())
        except ValidationError as error:
            raise refused_value(cls.name, error) from error

    @functools.cached_property
    def inner(self) -> Method:
        """The method that it stands in for."""
        cls = self._named({"network": self.params.network})
        return cls(cls.parse(self.params.model_extra or {}))

    @property
    def together(self) -> bool:
        """As the method."""
        return self.inner.together

    def resolved(self, space: Space) -> Method:
        """With the parameters its method settles on."""
        own = self.inner.resolved(space).params.model_dump()
        return type(self)(self.params.model_copy(update=own))

    @classmethod
    def unresolved(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """As the method it stands in for leaves them open."""
        return cls._named(values).unresolved(values)

    def check_space(self, space: Space) -> None:
        """Refuse what its method refuses."""
        self.inner.check_space(space)

    def check_scaling(self, scaling: str) -> None:
        """Refuse what its method refuses."""
        self.inner.check_scaling(scaling)

    def check_weights(self, space: Space, state: Mapping[str, Any]) -> None:
        """Refuse what its method refuses."""
        self.inner.check_weights(space, state)

    @property
    def pretraining(self) -> Pretraining | None:
        """That of its method's backbone."""
        return self.inner.pretraining

    @property
    def savable(self) -> bool:
        """As the method it stands in for."""
        return self.inner.savable

    def parts(self) -> list[type]:
        """The control itself, and the method it stands in for (imported by name)."""
        return [type(self), *self.inner.parts()]

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit one fold."""
        return self.fit_many([Job(view, state, ctx)])[0]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload: the method knows how."""
        return self.inner.restore(payload)
