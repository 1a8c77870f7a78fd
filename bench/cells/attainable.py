"""Best attainable: what whoever knows a simulated corpus's true parameters would score."""

from __future__ import annotations

import time
from typing import Any

from ..data.corpus import CorpusAdapter
from ..data.recipe import GENERATOR
from ..protocols.base import trial_table
from ..registry import load
from ..scoring.metrics import FoldOutcome
from ..store.records import Record, Store
from ..version import __version__
from .cell import Cell


def attainable_record(cell: Cell, store: Store) -> Record | None:
    """Record of the best attainable scores on the test trials of a cell's folds.

    A control of kind "control", method "attainable". Windows are drawn anew from the generator
    (the recording itself is one draw) and classified by the exact posterior.

    Returns
    -------
    Record or None
        None where the target is not simulated, its adapter does not know, windows are not 1 s,
        or a label map dropped classes of the target.
    """
    recipe = cell.pair.recipes[1]
    target = cell.mapped[0].target
    if recipe is None or not is_known(cell):
        return None
    corpus = cell.pair.target_name.partition(":")[0]
    adapter: CorpusAdapter = load("corpora", corpus)()
    record = Record(
        identity=attainable_identity(cell), kind="control", simulated=recipe.model_dump()
    )
    known = store.get(record.id)
    if known is not None and known.status == "done":
        return known
    began = time.perf_counter()
    record.classes = list(target.labels)
    for fold in cell.folds().folds:
        test = fold.open_test()
        labels = {int(t): int(c) for t, c, _ in trial_table(test)}
        drawn = adapter.attainable(
            recipe, fold.subject, fold.session, labels, len(record.classes)
        )
        if drawn is None:
            return None
        outcome = FoldOutcome.of((fold.subject, fold.session), *drawn, test_trials=list(labels))
        record.folds.append(outcome.as_dict())
    record.info = {
        "versions": {"bench": __version__}, "wall_s": round(time.perf_counter() - began, 3),
    }
    store.put(record)
    return record


def is_known(cell: Cell) -> bool:
    """Whether the target is simulated, in windows of 1 s, and has kept all its classes."""
    target = cell.mapped[0].target
    return (
        cell.pair.recipes[1] is not None and target.space.window_s == 1.0
        # The generator knows no dropped class.
        and len(target.labels) == len(cell.pair.target.labels) and not cell.class_map
    )


def attainable_identity(cell: Cell) -> dict[str, Any]:
    """Identity of the record of the best attainable scores: the cell's, but for the method."""
    own = {k: v for k, v in cell.identity().items() if k != "tuning"}
    return own | {
        "method": "attainable", "params": {}, "params_origin": "default",
        "code": f"generator-{GENERATOR}",
    }
