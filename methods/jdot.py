"""Joint distribution optimal transport (Courty et al., NeurIPS 2017).

Its classifier is fitted on target windows with transported labels. Calibration windows, where there
are any, join the source: the side whose labels are known.

Equation
--------
min over f, T of sum_ij T_ij ((1 - alpha) |x_i - x_j|^2 / m + alpha CE(f(x_j), y_i)) for source
windows i and target windows j, all of a side of one weight, m the mean of |x_i - x_j|^2; T and f
(an lr, with its penalty) in turns
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bench.method import Context, Predictor, hyper
from bench.protocols.base import View

from .shared.adapted import Adapted, CappedParams
from .shared.shallow import (
    SOURCE,
    TARGET,
    ShallowPredictor,
    flat,
    logistic,
    repeated,
    weights_of,
)


class JDOTParams(CappedParams):
    """Parameters of JDOT."""

    alpha: float = hyper(0.5, "weight of labels against features in the cost", stage="fit", ge=0,
                         le=1, tune=(0.1, 0.9))
    rounds: int = hyper(20, "most alternations of plan and classifier", stage="fit", ge=1)


class JDOT(Adapted):
    """Alternate between a transport plan of windows with labels, and a classifier (skada)."""

    name = "jdot"
    Params = JDOTParams
    params: JDOTParams

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit plan and classifier in turns."""
        from sklearn import config_context

        with config_context():  # the import changes a setting of this thread, for good
            from skada import JDOTClassifier
        q = self.params
        source, y, target = self.drawn(view, ctx)
        if view.calibration is not None:  # a plan knows no weights: windows are repeated
            own = view.calibration
            rows = repeated(weights_of(len(source), len(own), q.source_share),
                            ctx.rng("source windows"))
            source = np.concatenate([source, flat(own.x)])[rows]
            y = np.concatenate([y, own.y])[rows]
        model = JDOTClassifier(logistic(q), alpha=q.alpha, n_iter_max=q.rounds)
        with warnings.catch_warnings():
            # That the last round was reached is no on_trial_end: rounds are a parameter.
            warnings.filterwarnings("ignore", message="Maximum number of iterations reached")
            model.fit(
                np.concatenate([source, target]), np.concatenate([y, np.full(len(target), -1)]),
                sample_domain=np.repeat([SOURCE, TARGET], [len(source), len(target)]),
            )
        return ShallowPredictor(model.estimator_, len(view.classes))
