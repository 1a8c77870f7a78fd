"""What shallow domain adaptation shares: an adapter of skada, then logistic regression.

The adapter is fitted on source windows and on the unlabelled target windows a protocol grants
(under ``few-shot`` the calibration windows, without their labels). The classifier is then fitted on
the adapted source and, where there is calibration, on those windows with their labels. A window is
predicted by the fitted adapter alone: none of its neighbours matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.method import Context, Needs, Predictor, hyper
from bench.protocols.base import View

from .shallow import (
    SOURCE,
    TARGET,
    LogisticParams,
    Matrix,
    Shallow,
    ShallowPredictor,
    fit_estimator,
    flat,
    labelled_source,
    logistic,
    target_of,
    weights_of,
)


class AdaptedParams(LogisticParams):
    """Parameters of a method that adapts features, then classifies."""

    windows: int = hyper(
        0, "most windows of each side, drawn at random; 0 for all", stage="pretrain", ge=0
    )


class CappedParams(AdaptedParams):
    """Parameters of a method whose cost grows with the cube of the number of windows."""

    windows: int = hyper(
        1000, "most windows of each side, drawn at random; 0 for all", stage="pretrain", ge=0
    )


class Adapted(Shallow):
    """Adapt source to target, then fit; a subclass gives :meth:`adapter`."""

    Params = AdaptedParams
    params: AdaptedParams
    needs = Needs(source="labelled", unlabelled=True)

    def scratch(self) -> tuple[str, dict[str, Any]]:
        """Its classifier, on features that nothing adapts."""
        return "lr", {name: getattr(self.params, name) for name in ("C", "max_iter")}

    def adapter(self, source: Matrix, target: Matrix) -> Any:
        """Unfitted adapter for rows of these shapes."""
        raise NotImplementedError

    def depends_on(self, view: View) -> object:
        """The target is each fold's own."""
        return id(view)

    def drawn(self, view: View, ctx: Context) -> tuple[Matrix, np.ndarray, Matrix]:
        """Rows and classes of the source, and rows of the target, no more than allowed of each."""
        source, target = labelled_source(view), target_of(view)
        some, others = (
            _some(len(side), self.params.windows, ctx.rng(f"windows of the {name}"))
            for name, side in (("source", source), ("target", target))
        )
        return flat(source.x[some]), source.y[some], flat(target.x[others])

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit adapter and classifier."""
        from sklearn import config_context

        source, y, target = self.drawn(view, ctx)
        with config_context():  # the import of skada changes a setting of this thread, for good
            adapter = self.adapter(source, target)
        rows = np.concatenate([source, target])
        domain = np.repeat([SOURCE, TARGET], [len(source), len(target)])
        # A target class of -1 is skada's way to say that it is not known.
        masked = np.concatenate([y, np.full(len(target), -1)])
        x = adapter.fit_transform(rows, masked, sample_domain=domain)[: len(source)]
        estimator, own, weights = logistic(self.params), view.calibration, None
        if own is not None:
            mapped = adapter.transform(flat(own.x), sample_domain=np.full(len(own), TARGET))
            estimator = self.settled(estimator, own, mapped)
            weights = weights_of(len(x), len(own), self.params.source_share)
            x, y = np.concatenate([x, mapped]), np.concatenate([y, own.y])
        return ShallowPredictor(
            fit_estimator(estimator, x, y, weights), len(view.classes), adapter
        )


def _some(windows: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of at most ``most`` windows, in order."""
    if not most or windows <= most:
        return np.arange(windows)
    return np.sort(rng.choice(windows, most, replace=False))
