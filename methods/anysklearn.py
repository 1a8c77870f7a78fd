"""Any scikit-learn classifier by its dotted name: ``sklearn:sklearn.svm.SVC``.

Equation
--------
that of the class, fitted on windows (x_i, y_i) with the weights s_i of lr, or each as often as it
weighs; p(x) = predict_proba(x), else softmax(decision_function(x)), else 1 for predict(x)
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict

from bench.errors import SettingError
from bench.method import Context, Predictor, hyper
from bench.protocols.base import View
from bench.registry import load

from .shared.shallow import Shallow, ShallowParams

_PREFIX = "sklearn:"


class AnyParams(ShallowParams):
    """Which classifier; its own parameters stand beside that."""

    model_config = ConfigDict(frozen=True, extra="allow")

    estimator: str = hyper(
        "sklearn.neighbors.KNeighborsClassifier", "dotted name of the class", stage="fit"
    )


class AnySklearn(Shallow):
    """A classifier with scikit-learn's interface, with its own defaults."""

    name = "sklearn"
    Params = AnyParams
    params: AnyParams

    @classmethod
    def named(cls, path: str) -> type[AnySklearn]:
        """The method of one class, by its dotted name.

        Raises
        ------
        SettingError
            Not the name of a classifier.
        """
        return _method_of(path)

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> AnyParams:
        """Parameters of the classifier, written as Python literals.

        Raises
        ------
        SettingError
            Also for a name that the classifier does not know.
        """
        path = values.get("estimator", cls.Params.model_fields["estimator"].default)
        if cls.name != AnySklearn.name and path != cls.name.removeprefix(_PREFIX):
            raise SettingError(f"{cls.name} is one class; estimator = {path!r} is another")
        ours = {k: v for k, v in values.items() if k in ShallowParams.model_fields}
        own = {k: literal(v) for k, v in values.items() if k not in AnyParams.model_fields}
        known = sorted(made(path, {}).get_params(deep=False))
        for name in own:
            if name not in known:
                raise SettingError(
                    f"{path} has no parameter {name!r}", f"Parameters: {', '.join(known)}"
                )
        return cls.Params(**{**super().parse({"estimator": path, **ours}).model_dump(), **own})

    def __reduce__(self) -> tuple[Any, ...]:
        """By name, so that a class made for a name reaches other processes."""
        return _rebuild, (self.name, self.params.model_dump())

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit source and, where granted, calibration windows.

        Raises
        ------
        SettingError
            The classifier refuses one of its parameters.
        """
        from sklearn.utils._param_validation import InvalidParameterError

        try:
            return super().fit(view, state, ctx)
        except InvalidParameterError as error:  # not known before it is fitted
            raise SettingError(str(error)) from error

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier; its randomness is ours unless it is set."""
        own = dict(self.params.model_extra or {})
        unfitted = made(self.params.estimator, own)
        if "random_state" in unfitted.get_params(deep=False) and "random_state" not in own:
            unfitted.set_params(random_state=seed)
        return unfitted


@functools.cache  # one class a name, so that parameters of equal methods are equal
def _method_of(path: str) -> type[AnySklearn]:
    classifier(path)
    fixed = type("EstimatorParams", (AnyParams,), {
        "__module__": __name__, "__annotations__": {"estimator": str},
        "estimator": hyper(path, "dotted name of the class", stage="fit"),
    })
    return type("AnySklearn", (AnySklearn,), {
        "name": _PREFIX + path, "Params": fixed, "__module__": __name__,
        "__doc__": AnySklearn.__doc__,
    })


def _rebuild(name: str, values: Mapping[str, Any]) -> AnySklearn:
    cls: type[AnySklearn] = load("methods", name)
    return cls(cls.parse(values))


def classifier(path: str) -> type:
    """Class of a dotted name.

    Raises
    ------
    SettingError
        Not importable, or not a subclass of ``sklearn.base.ClassifierMixin``.
    """
    from sklearn.base import ClassifierMixin

    module, _, name = path.rpartition(".")
    try:
        named = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(
            f"{path!r} cannot be imported: {error}", "For example sklearn:sklearn.svm.SVC"
        ) from error
    if not (isinstance(named, type) and issubclass(named, ClassifierMixin)):
        raise SettingError(
            f"{path} is not a scikit-learn classifier",
            "It must be a class derived from sklearn.base.ClassifierMixin, e.g. sklearn.svm.SVC.",
        )
    return named


def made(path: str, values: Mapping[str, Any]) -> Any:
    """Classifier with parameters.

    Raises
    ------
    SettingError
        It needs arguments that cannot be given here.
    """
    try:
        return classifier(path)(**values)
    except TypeError as error:  # meta-estimators want another estimator
        raise SettingError(f"{path} cannot be made from names and numbers: {error}") from error


def literal(value: Any) -> Any:
    """A string as the Python literal it spells, else as it stands."""
    try:
        return ast.literal_eval(value) if isinstance(value, str) else value
    except (ValueError, SyntaxError):
        return value
