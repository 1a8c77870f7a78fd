"""What passes between engine and method: what it is handed, and what it must give back.

A method is handed what it needs of what the protocol grants, and no more.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar

import numpy as np

from ..data.pair import Pair
from ..data.windows import UnlabelledWindows, Windows
from ..errors import BenchError, ContractError, IncompatibleError
from ..method import Context, Job, Method, Needs, Predictor, tell_warning
from ..protocols.base import Fold, Protocol, View
from ..selection.looking import probabilities
from ..store.shown import counted

AnyWindows = Windows | UnlabelledWindows
W = TypeVar("W", Windows, UnlabelledWindows)

#: A prediction may change by this much when a window is predicted alone: rounding of float32.
INDEPENDENCE = 1e-4
#: Warnings for whoever writes code, not for whoever reads a table.
_OF_AUTHORS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning)
#: Letters that are kept of a warning.
MOST_SAID = 200


def check_compatible(method: Method, protocol: Protocol, pair: Pair) -> None:
    """Refuse a method that needs what protocol or features do not give.

    Raises
    ------
    IncompatibleError
        Says what is needed, what is granted, and what to do.
    """
    needs = method.needs_under(protocol.grants)
    lacking = needs.lacking(protocol.grants)
    if lacking:
        raise IncompatibleError(
            f"{method.name} needs {' and '.join(lacking)}, which {protocol.name} does not grant",
            f"{protocol.name} grants: {', '.join(sorted(protocol.grants))}",
        )
    method.check_space(pair.source.space)


def restrict_source(
    source: AnyWindows | None, need: Literal["none", "unlabelled", "labelled"]
) -> AnyWindows | None:
    """Source with its labels, without them (and without numbers of films), or not at all."""
    if need == "none":
        return None
    if need == "unlabelled" and isinstance(source, Windows):
        return locked(recoded(source.without_labels()))
    return source


def recoded(windows: UnlabelledWindows) -> UnlabelledWindows:
    """Windows whose trials have codes in place of numbers, and whose order is not said (-1).

    In SEED and SEED-IV a trial's number is its film, and so its class; its place in the order is
    that number too. Codes are a permutation, drawn afresh for each set of windows by what is in
    it and by where trials begin, so that it does not matter what numbers they had; windows have the
    same code if they are of the same trial.
    """
    columns = [np.unique(getattr(windows, name), return_inverse=True)[1].ravel()
               for name in ("corpus", "subject", "session", "trial")]
    _, first, group = np.unique(
        np.stack(columns), axis=1, return_index=True, return_inverse=True)
    which = np.argsort(np.argsort(first))[group.ravel()]
    some = windows.x[:: max(1, len(windows) // 64)]
    content = hashlib.sha256(np.ascontiguousarray(some).tobytes() + which.tobytes())
    rng = np.random.default_rng(list(content.digest()))
    codes = rng.permutation(len(np.unique(which))) + 1
    return replace(windows, trial=codes[which], order=np.full(len(windows), -1))


def locked(windows: W) -> W:
    """The same windows in arrays that cannot be written to: folds share them."""
    arrays = {}
    for name in ("x", *windows.columns()):
        array = getattr(windows, name)
        # Smaller columns may be those of the windows that a user passed in.
        array = array if name == "x" and array.base is None else array.copy()
        array.setflags(write=False)
        arrays[name] = array
    return replace(windows, **arrays)


@contextlib.contextmanager
def explained(method: Method, contexts: Sequence[Context] = ()) -> Iterator[None]:
    """Say what to do where a method writes into windows that it was handed.

    What a library warns of while ``contexts`` are trained (a solver that did not converge) goes
    into their records, which tables read, and not to a terminal that nobody keeps. Where there
    will be no record, since the training failed, it is warned of as ever.

    Raises
    ------
    IncompatibleError
    """
    caught: list[warnings.WarningMessage] = []
    heard: Sequence[Context] = ()
    try:
        with warnings.catch_warnings(record=True) as caught:
            # Of torch, once a process: it does not keep tensors of such arrays from being written.
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            yield
        heard = contexts
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise IncompatibleError(
            f"{method.name} writes into windows that it was handed, which other folds share",
            "Change a copy: x = view.source.x.copy(), or x = x - mean in place of x -= mean.",
        ) from error
    finally:
        for one in caught:
            if issubclass(one.category, _OF_AUTHORS) or not tell_warning(heard, _said(one)):
                warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def _said(warning: warnings.WarningMessage) -> str:
    """A warning in one line: the first of it."""
    line = str(warning.message).strip().partition("\n")[0].rstrip(" :.")
    return f"{warning.category.__name__}: {line}"[:MOST_SAID]


def fit_folds(method: Method, jobs: Sequence[Job]) -> list[Predictor]:
    """Predictors of jobs, each by a fresh instance of the method that sees no other job.

    All are handed over at once only where the method is ``together``, which :mod:`.proof` proves
    of every method that is not ours.

    Raises
    ------
    BenchError
        A training failed, or the method returned another number of predictors.
    """
    if method.together:
        with explained(method, [job.ctx for job in jobs]):
            return _as_many(method, fresh(method).fit_many(jobs), len(jobs))
    out: list[Predictor] = []
    for job in jobs:
        alone = fresh(method.alone(job.ctx))
        with explained(method, [job.ctx]):
            found = alone.fit_many([replace(job, state=copy.deepcopy(job.state))])
        out += _as_many(method, found, 1)
    return out


def fresh(method: Method) -> Method:
    """An instance that no fold has changed; the given one is never trained."""
    return copy.deepcopy(method)


def _as_many(method: Method, predictors: Sequence[Predictor], folds: int) -> list[Predictor]:
    if len(predictors) != folds:
        raise BenchError(
            f"{method.name} returned {len(predictors)} predictors for {counted(folds, 'fold')}"
        )
    for predictor in predictors:
        if not callable(getattr(predictor, "predict_proba", None)):
            raise ContractError(
                "fit", "an object with predict_proba(x)",
                "nothing" if predictor is None else f"a {type(predictor).__name__}", method,
            )
    return list(predictors)


def predicted(method: Method, predictor: Predictor, x: np.ndarray) -> np.ndarray:
    """Probabilities (n, classes) of windows, of which the predictor is handed a copy."""
    with explained(method):
        return probabilities(predictor, x)


def restrict_views(folds: Sequence[Fold], needs: Needs) -> list[Fold]:
    """Folds whose views are narrowed to a method's needs.

    A method that needs unlabelled target windows gets, where the protocol grants labelled ones
    instead, those without their labels. Folds that share a source go on sharing it. No array of a
    view can be written to, and trials of unlabelled windows have codes: see :func:`recoded`.
    """
    sources: dict[int, AnyWindows | None] = {}
    out = []
    for fold in folds:
        view = fold.view
        if id(view.source) not in sources:
            sources[id(view.source)] = _handed(restrict_source(view.source, needs.source))
        unlabelled = view.unlabelled if needs.unlabelled else None
        if needs.unlabelled and unlabelled is None and view.calibration is not None:
            unlabelled = view.calibration.without_labels()
        narrowed = View(
            source=sources[id(view.source)], calibration=_handed(view.calibration),
            unlabelled=_handed(unlabelled), classes=view.classes,
        )
        out.append(fold.changed(narrowed))
    return out


def _handed(windows: Any) -> Any:
    """Windows as a method gets them."""
    if windows is None or not windows.x.flags.writeable:
        return windows
    return locked(recoded(windows) if isinstance(windows, UnlabelledWindows) else windows)


def alone_too(method: Method, test: AnyWindows) -> list[int]:
    """Windows that are to be predicted a second time, alone."""
    if method.transductive or len(test) < 3:
        return []
    return np.unique(np.linspace(0, len(test) - 1, 5).astype(int))[::-1].tolist()


def check_probabilities(  # noqa: PLR0917 - what was predicted, and by whom
    method: Method, test: AnyWindows, proba: np.ndarray, alone: Sequence[np.ndarray], classes: int,
    predictor: Predictor | None = None,
) -> None:
    """Refuse predictions that break the contract.

    Parameters
    ----------
    alone : sequence of (1, classes)
        Of the windows of :func:`alone_too`.
    predictor : Predictor, optional
        Whose they are, to say where it is written.

    Raises
    ------
    BenchError
        Wrong shape, not probabilities, or a window's row depends on its neighbours.
    """
    if proba.shape != (len(test), classes):
        raise ContractError(
            "predict_proba", f"({len(test)}, {classes}), a row for each window and a column for "
            "each class", f"an array of shape {proba.shape}", predictor,
        )
    if not np.isfinite(proba).all() or (proba < -1e-9).any() or (
        abs(proba.sum(axis=1) - 1) > 1e-3
    ).any():
        raise ContractError(
            "predict_proba", "rows of probabilities: finite, none below 0, each with the sum 1",
            _oddest(proba), predictor,
        )
    if not alone:
        return
    worst = float(np.abs(np.concatenate(alone) - proba[alone_too(method, test)]).max())
    if worst > INDEPENDENCE:
        raise IncompatibleError(
            f"{method.name} predicts a window differently alone and among others (by {worst:.2g})",
            "A method that uses test windows together must declare transductive = True.",
        )


def _oddest(proba: np.ndarray) -> str:
    """The first row that is no probabilities, in words."""
    odd = ~np.isfinite(proba).all(axis=1) | (proba < -1e-9).any(axis=1)
    odd |= ~(abs(proba.sum(axis=1) - 1) <= 1e-3)
    row = int(np.flatnonzero(odd)[0])
    shown = ", ".join(f"{p:.4g}" for p in proba[row][:6])
    return f"row {row} with ({shown}{', ...' * (proba.shape[1] > 6)})"
