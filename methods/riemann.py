"""Covariances of raw windows in a tangent space, with and without re-centring of each subject.

A window becomes its spatial covariance, a point of a curved space; at the tangent of that space it
is a plain row of numbers, and a linear classifier follows (Barachant et al., IEEE TBME 2012;
pyriemann's ``TangentSpace``). Re-centred, the covariances of each subject and session are first
whitened by their own Riemannian mean, so that those of all people lie around the identity
(Zanini et al., IEEE TBME 2018; pyriemann's ``TLCenter``).

Equation
--------
row(C) = upper(log(M^-1/2 C M^-1/2)), with entries beside the diagonal times the root of 2, and
M = argmin_M sum_i w_i d(M, C_i)^2 for the affine-invariant distance d; re-centred, first
C <- M_s^-1/2 C M_s^-1/2 with the mean M_s of subject s, and M is the identity

Adapted
-------
covariances are shrunk (oracle approximation)
    a window of a second has few samples for up to 62 channels.
logistic regression instead of discriminant analysis or the distance to the mean of each class
    it is the last step of all shallow methods here.
the target's mean is that of the windows granted without labels (few-shot: the calibration windows)
    no other windows of the target may be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.data.windows import Windows
from bench.errors import IncompatibleError, check_library
from bench.method import Context, Job, Needs, Predictor
from bench.protocols.base import View

from .shared.shallow import (
    LogisticParams,
    Matrix,
    Shallow,
    ShallowPredictor,
    fit_estimator,
    labelled_source,
    logistic,
    target_of,
    training_rows,
)


def covariances(x: NDArray[np.float32]) -> Matrix:
    """Covariances (n, channels, channels) of raw windows (n, channels, samples), shrunk.

    Shrinkage is that of oracle approximation (Chen et al., 2010; pyriemann's ``oas``): a window has
    few samples for its channels, and re-referenced channels are linearly dependent.

    Raises
    ------
    IncompatibleError
        A window is flat in all channels, which has no place among covariances.
    """
    from pyriemann.geometry.covariance import covariances as estimated

    rows = np.asarray(x, dtype=np.float64)
    flat = np.flatnonzero((rows == rows[:, :, :1]).all(axis=(1, 2)))
    if len(flat):
        raise IncompatibleError(
            f"{len(flat)} of {len(rows)} windows are flat in all channels (the first: number "
            f"{flat[0]}), so they have no covariance",
            "Leave such trials out, or choose a method that needs no covariances.",
        )
    return np.asarray(estimated(rows, estimator="oas"))


class Riemann(Shallow):
    """Logistic regression on covariances in the tangent space at their mean (pyriemann)."""

    name = "riemann"
    Params = LogisticParams
    params: LogisticParams
    needs = Needs(source="labelled", features=frozenset({"raw"}))

    def __init__(self, params: Any = None) -> None:
        check_library("pyriemann", self.name)
        super().__init__(params)

    def estimator(self, seed: int) -> Any:
        """Unfitted classifier of rows in the tangent space; it draws nothing."""
        return logistic(self.params)

    def source_points(self, view: View) -> Matrix:
        """Covariances of the source's windows; the same for all folds."""
        return covariances(labelled_source(view).x)

    def target_centre(self, view: View) -> Any:
        """What whitens the covariances of the target; None for nothing."""
        return None

    def tangent(self, points: Matrix, weights: NDArray[np.float64] | None) -> Any:
        """Tangent space at the mean of what is learnt from."""
        from pyriemann.tangentspace import TangentSpace

        return TangentSpace(metric="riemann").fit(points, sample_weight=weights)

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Fit source and, where granted, calibration windows."""
        return self._fit(view, None if view.source is None else self.source_points(view))

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds; covariances of a source are computed once."""
        points: dict[int, Matrix] = {}
        fits: dict[object, Predictor] = {}
        for view in (job.view for job in jobs):
            key = self.depends_on(view)
            if key in fits:
                continue
            if view.source is not None and id(view.source) not in points:
                points[id(view.source)] = self.source_points(view)
            fits[key] = self._fit(view, points.get(id(view.source)))
        return [fits[self.depends_on(job.view)] for job in jobs]

    def _fit(self, view: View, source: Matrix | None) -> Predictor:
        own, centre = view.calibration, self.target_centre(view)
        mapped = None if own is None else centred(covariances(own.x), centre)
        points, y, weights = training_rows(view, self.params.source_share, source, mapped)
        space = self.tangent(points, weights)
        rows = None if mapped is None else space.transform(mapped)
        estimator = self.settled(self.estimator(0), own, rows)
        fitted = fit_estimator(estimator, space.transform(points), y, weights)
        return RiemannPredictor(fitted, len(view.classes), space, centre)


class RiemannCentred(Riemann):
    """The same, each subject's covariances first whitened by their own mean (pyriemann)."""

    name = "riemann-centred"
    needs = Needs(
        source="labelled", unlabelled=True, features=frozenset({"raw"})
    )

    def scratch(self) -> tuple[str, dict[str, Any]]:
        """The classifier on covariances that nothing whitens: a tangent space has its own mean."""
        return "riemann", {name: getattr(self.params, name) for name in ("C", "max_iter")}

    def depends_on(self, view: View) -> object:
        """The target is each fold's own."""
        return id(view)

    def source_points(self, view: View) -> Matrix:
        """Covariances of the source's windows, whitened for each corpus, subject and session."""
        source = labelled_source(view)
        points, people = covariances(source.x), person_of(source)
        for person in np.unique(people):
            mine = people == person
            points[mine] = centred(points[mine], centre_of(points[mine]))
        return points

    def target_centre(self, view: View) -> Any:
        """Whitening by the mean of the target's unlabelled windows."""
        return centre_of(covariances(target_of(view).x))

    def tangent(self, points: Matrix, weights: NDArray[np.float64] | None) -> Any:
        """Tangent space at the identity, around which all subjects lie now."""
        from pyriemann.tangentspace import TangentSpace

        space = TangentSpace(metric="riemann")
        space.reference_ = np.eye(points.shape[1])
        return space


def person_of(windows: Windows) -> NDArray[np.int64]:
    """Number (n,) of the corpus, subject and session that a window is of."""
    keys = np.stack([np.unique(column, return_inverse=True)[1]
                     for column in (windows.corpus, windows.subject, windows.session)])
    return np.asarray(np.unique(keys, axis=1, return_inverse=True)[1]).reshape(-1)


def centre_of(points: Matrix) -> Any:
    """Whitening by the Riemannian mean of covariances (n, channels, channels)."""
    from pyriemann.preprocessing import Whitening

    return Whitening(metric="riemann").fit(points)


def centred(points: Matrix, centre: Any) -> Matrix:
    """Covariances, whitened; as they are without a centre."""
    return points if centre is None else np.asarray(centre.transform(points))


class RiemannPredictor(ShallowPredictor):
    """A classifier behind covariances, a whitening if there is one, and a tangent space.

    Parameters
    ----------
    estimator : scikit-learn classifier
        Fitted on rows in the tangent space.
    classes : int
    space : pyriemann TangentSpace
    centre : pyriemann Whitening or None
    """

    def __init__(self, estimator: Any, classes: int, space: Any, centre: Any) -> None:
        super().__init__(estimator, classes)
        self.space, self.centre = space, centre

    def predict_proba(self, x: NDArray[np.float32]) -> Matrix:
        """Probabilities (n, classes) of raw windows (n, channels, samples)."""
        if not len(x):
            return np.zeros((0, self.classes))
        rows = self.space.transform(centred(covariances(x), self.centre))
        out = np.zeros((len(rows), self.classes))
        out[:, self.estimator.classes_] = self.estimator.predict_proba(rows)
        return out
