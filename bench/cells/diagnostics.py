"""What a model sees and leans on: embeddings of windows, importance of channels and bands.

Asked for by ``--diagnostics``; decides no number, so it is no part of a record's identity. All
randomness follows from the cell's axes. Predictors are asked where they were trained, by
:func:`diagnose`; what needs the labels of test windows is added where these are, by
:func:`labelled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.windows import UnlabelledWindows, Windows
from ..method import Context, Embedder, Predictor
from ..protocols.base import Fold

if TYPE_CHECKING:
    from .cell import Cell

#: Windows in an embedding, at most half of each side; principal components kept of them.
WINDOWS, COMPONENTS = 2000, 50
#: Test windows of a subject that importance is measured on.
TESTED = 240

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Called:
    """Classes called by a predictor for some test windows of a fold, as they are and permuted.

    Attributes
    ----------
    rows : (n,) int
        Which test windows.
    plain : (n,) int
    permuted : (channels, features, n) int
        With that feature permuted among the windows.
    """

    rows: NDArray[np.int64]
    plain: NDArray[np.int16]
    permuted: NDArray[np.int16]

    def drops(self, y: NDArray[np.int64]) -> NDArray[np.float64]:
        """Balanced accuracy unpermuted less permuted, (channels, features): 0 for what is unused.

        Parameters
        ----------
        y : (windows of the fold,) int
        """
        mine = y[self.rows]
        plain = _balanced((self.plain == mine)[None], mine)[0]
        return np.stack([plain - _balanced(hits, mine) for hits in self.permuted == mine])


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Diagnostics without what only the labels of test windows can say.

    Attributes
    ----------
    arrays : dict
    embedded : list of (int, (n,) int)
        Which test windows the last rows of the embedding are: place of the fold, and rows.
    called : list of Called
        One a fold, or none.
    """

    arrays: Arrays
    embedded: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)
    called: list[Called] = field(default_factory=list)


def diagnose(cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor]) -> Unlabelled:
    """What predictors say, to be completed by :func:`labelled`.

    Parameters
    ----------
    cell : Cell
    folds : sequence of Fold
        As handed to the method, with their test parts.
    predictors : sequence of Predictor
        One a fold.
    """
    ctx = cell.context("diagnostics", target=cell.pair.target_name)
    found = _embedding(cell, folds, predictors, ctx.rng("embedding"))
    arrays, called = _importance(cell, folds, predictors)
    return Unlabelled(found.arrays | arrays, found.embedded, called)


def labelled(
    found: Unlabelled, y: Sequence[NDArray[np.int64]], trial: Sequence[NDArray[np.int64]],
    classes: Sequence[str],
) -> Arrays:
    """Arrays that are stored beside the record, none of them of objects.

    Parameters
    ----------
    found : Unlabelled
    y, trial : sequence of (n,) int
        Of the test windows of each fold.
    classes : sequence of str
        Of the target.

    Returns
    -------
    dict
        ``embedding`` (n, d) with ``target``, ``subject``, ``trial``, ``y`` (each n),
        ``source_classes``, ``target_classes``, ``fold`` (subject of the encoder; empty if all
        folds share it); or ``embedding_missing``, why not. ``importance`` (subjects, channels,
        bands) with ``importance_subject``, ``channels``, ``bands`` (bands, 2) in Hz; or
        ``importance_missing``.
    """
    arrays = dict(found.arrays)
    if found.embedded:
        for name, known in (("y", y), ("trial", trial)):
            arrays[name] = np.concatenate(
                [arrays[name], *(known[fold][rows] for fold, rows in found.embedded)]
            )
        arrays["target_classes"] = np.array(list(classes))
    if found.called:
        drops = [c.drops(mine) for c, mine in zip(found.called, y, strict=True)]
        arrays["importance"] = np.stack(drops).astype(np.float32)
    return arrays


def _embedding(
    cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor], rng: np.random.Generator
) -> Unlabelled:
    one = predictors[0]
    if not isinstance(one, Embedder):
        return Unlabelled(
            {"embedding_missing": np.array(f"{cell.method.name} offers no look at an encoder")}
        )
    places = [n for n, p in enumerate(predictors) if p is one]
    whole = len(places) == len(folds) > 1
    tested = [folds[n].tested for n in places]
    # The source as the protocol grants it and scaled as the method saw it, but with its labels.
    source = cell.scaling.folds(cell.folds().folds[:1])[0].view.source
    rows = [_pick(len(w), WINDOWS // 2 // len(tested), rng) for w in tested]
    parts: list[Any] = [w.take(r) for w, r in zip(tested, rows, strict=True)]
    some = [] if source is None else [source.take(_pick(
        # Not many times the target's, or the map would show the source alone.
        len(source), min(WINDOWS // 2, max(200, 2 * sum(map(len, parts)))), rng
    ))]
    parts = [*some, *parts]
    found = np.concatenate([np.asarray(one.embed(w.x), dtype=np.float64) for w in parts])
    nothing = np.array([], dtype=np.int64)
    return Unlabelled({
        "embedding": _components(found),
        "target": np.arange(len(found)) >= sum(map(len, some)),
        "subject": np.concatenate([w.subject for w in parts]),
        "trial": np.concatenate([nothing, *(w.trial for w in some)]),
        "y": np.concatenate([nothing, *(
            w.y if isinstance(w, Windows) else np.full(len(w), -1) for w in some
        )]),
        "source_classes": np.array(list(source.labels) if isinstance(source, Windows) else [""]),
        "fold": np.array("" if whole else f"subject {folds[0].subject}"),
    }, list(zip(places, rows, strict=True)))


def _pick(n: int, most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of at most ``most`` of ``n`` windows, evenly at random, in order."""
    return np.sort(rng.choice(n, min(n, most), replace=False))


def _components(x: NDArray[np.float64]) -> NDArray[np.float32]:
    """First principal components: what a map of two dimensions can use, at a tenth of the size."""
    centred = x - x.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    kept = (u * s)[:, :COMPONENTS]
    return kept.astype(np.float32)


def _importance(
    cell: Cell, folds: Sequence[Fold], predictors: Sequence[Predictor]
) -> tuple[Arrays, list[Called]]:
    space = cell.pair.source.space
    if space.kind != "de":
        missing = np.array("windows are raw signals: there are no bands")
        return {"importance_missing": missing}, []
    called = [
        importance(
            predictor, fold.tested,
            cell.context("diagnostics", target=cell.pair.target_name, subject=fold.subject,
                         session=fold.session),
            together=not cell.method.transductive,
        )
        for fold, predictor in zip(folds, predictors, strict=True)
    ]
    return {
        "importance_subject": np.array([f.subject for f in folds]),
        "channels": np.array(list(space.channels)),
        "bands": np.array([list(b) for b in space.bands], dtype=float),
    }, called


def importance(
    predictor: Predictor, test: Windows | UnlabelledWindows, ctx: Context, together: bool = True
) -> Called:
    """Classes called when one feature is permuted among a subject's test windows.

    Parameters
    ----------
    predictor : Predictor
    test : Windows or UnlabelledWindows
        Of one subject; at most :data:`TESTED` of them, at random, are used.
    ctx : Context
        Its axes decide the permutations.
    together : bool
        Predict many permutations in one call; not for predictors that use windows together.
    """
    rng = ctx.rng("importance")
    rows = _pick(len(test), TESTED, rng)
    some = test.x[rows]
    n, channels, features = some.shape
    plain = np.asarray(predictor.predict_proba(some)).argmax(axis=1)
    permuted = np.empty((channels, features, n), np.int16)
    for c in range(channels):
        changed = np.repeat(some[None], features, axis=0)
        for f in range(features):
            changed[f, :, c, f] = some[rng.permutation(n), c, f]
        if together:
            proba = predictor.predict_proba(changed.reshape(-1, channels, features))
        else:
            proba = np.concatenate([predictor.predict_proba(x) for x in changed])
        permuted[c] = np.asarray(proba).argmax(axis=1).reshape(features, n)
    return Called(rows, plain.astype(np.int16), permuted)


def _balanced(hits: NDArray[np.bool_], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean recall over the classes present, for each row of (rows, n) hits."""
    return np.mean([hits[:, y == k].mean(axis=1) for k in np.unique(y)], axis=0)
