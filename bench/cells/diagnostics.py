"""What a model sees and leans on: embeddings of windows, importance of channels and bands.

Asked for by ``--diagnostics``; decides no number, so it is no part of a record's identity. All
randomness follows from the cell's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.windows import Windows
from ..method import Context, Embedder, Predictor
from ..protocols.base import Fold

if TYPE_CHECKING:
    from .cell import Cell

#: Windows in an embedding, at most half of each side; principal components kept of them.
WINDOWS, COMPONENTS = 2000, 50
#: Test windows of a subject that importance is measured on.
TESTED = 240

Arrays = dict[str, NDArray[Any]]


def diagnose(cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor]) -> Arrays:
    """Arrays that are stored beside the record, none of them of objects.

    Parameters
    ----------
    cell : Cell
    folds : sequence of Fold
        As handed to the method, with their test parts.
    predictors : sequence of Predictor
        One a fold.

    Returns
    -------
    dict
        ``embedding`` (n, d) with ``target``, ``subject``, ``trial``, ``y`` (each n),
        ``source_classes``, ``target_classes``, ``fold`` (subject of the encoder; empty if all
        folds share it); or ``embedding_missing``, why not. ``importance`` (subjects, channels,
        bands) with ``importance_subject``, ``channels``, ``bands`` (bands, 2) in Hz; or
        ``importance_missing``.
    """
    ctx = cell.context("diagnostics", target=cell.pair.target_name)
    return {
        **_embedding(cell, folds, predictors, ctx.rng("embedding")),
        **_importance(cell, folds, predictors),
    }


def _embedding(
    cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor], rng: np.random.Generator
) -> Arrays:
    one = predictors[0]
    if not isinstance(one, Embedder):
        return {"embedding_missing": np.array(f"{cell.method.name} offers no look at an encoder")}
    shared = [f for f, p in zip(folds, predictors, strict=True) if p is one]
    whole = len(shared) == len(folds) > 1
    tested = [f.open_test() for f in shared]
    # The source as the protocol grants it and scaled as the method saw it, but with its labels.
    source = cell.scaling.folds(cell.folds().folds[:1])[0].view.source
    some = [w.take(_pick(len(w), WINDOWS // 2 // len(tested), rng)) for w in tested]
    parts: list[tuple[Any, bool]] = [(w, True) for w in some]
    if source is not None:
        # Not many times the target's, or the map would show the source alone.
        most = min(WINDOWS // 2, max(200, 2 * sum(map(len, some))))
        parts.insert(0, (source.take(_pick(len(source), most, rng)), False))
    found = np.concatenate([np.asarray(one.embed(w.x), dtype=np.float64) for w, _ in parts])
    return {
        "embedding": _components(found),
        "target": np.concatenate([np.full(len(w), is_target) for w, is_target in parts]),
        "trial": np.concatenate([w.trial for w, _ in parts]),
        "subject": np.concatenate([w.subject for w, _ in parts]),
        "y": np.concatenate([
            w.y if isinstance(w, Windows) else np.full(len(w), -1) for w, _ in parts
        ]),
        "source_classes": np.array(list(source.labels) if isinstance(source, Windows) else [""]),
        "target_classes": np.array(list(tested[0].labels)),
        "fold": np.array("" if whole else f"subject {shared[0].subject}"),
    }


def _pick(n: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of at most ``most`` of ``n`` windows, evenly at random, in order."""
    return np.sort(rng.choice(n, min(n, most), replace=False))


def _components(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """First principal components: what a map of two dimensions can use, at a tenth of the size."""
    centred = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    kept = (u * s)[:, :COMPONENTS]
    return kept.astype(np.float32)


def _importance(cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor]) -> Arrays:
    space = cell.pair.source.space
    if space.kind != "de":
        return {"importance_missing": np.array("windows are raw signals: there are no bands")}
    drops = [
        importance(
            predictor, fold.open_test(),
            cell.context("diagnostics", target=cell.pair.target_name, subject=fold.subject,
                         session=fold.session),
            together=not cell.method.transductive,
        )
        for fold, predictor in zip(folds, predictors, strict=True)
    ]
    return {
        "importance": np.stack(drops).astype(np.float32),
        "importance_subject": np.array([f.subject for f in folds]),
        "channels": np.array(list(space.channels)),
        "bands": np.array([list(b) for b in space.bands], dtype=float),
    }


def importance(
    predictor: Predictor, test: Windows, ctx: Context, together: bool = True
) -> NDArray[np.float64]:
    """Drop in balanced accuracy when one feature is permuted among a subject's test windows.

    Parameters
    ----------
    predictor : Predictor
    test : Windows
        Of one subject; at most :data:`TESTED` of them, at random, are used.
    ctx : Context
        Its axes decide the permutations.
    together : bool
        Predict many permutations in one call; not for predictors that use windows together.

    Returns
    -------
    (channels, features) float64
        Balanced accuracy unpermuted less permuted: 0 for what the model does not need.
    """
    rng = ctx.rng("importance")
    some = test.take(_pick(len(test), TESTED, rng))
    n, channels, features = some.x.shape
    hits = (np.asarray(predictor.predict_proba(some.x)).argmax(axis=1) == some.y)
    plain = _balanced(hits[None], some.y)[0]
    drops = np.empty((channels, features))
    for c in range(channels):
        changed = np.repeat(some.x[None], features, axis=0)
        for f in range(features):
            changed[f, :, c, f] = some.x[rng.permutation(n), c, f]
        if together:
            proba = predictor.predict_proba(changed.reshape(-1, channels, features))
        else:
            proba = np.concatenate([predictor.predict_proba(x) for x in changed])
        called = np.asarray(proba).argmax(axis=1).reshape(features, n)
        drops[c] = plain - _balanced(called == some.y, some.y)
    return drops


def _balanced(hits: NDArray[np.bool_], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall over the classes present, for each row of (rows, n) hits."""
    return np.mean([hits[:, y == k].mean(axis=1) for k in np.unique(y)], axis=0)
