"""A method that looks for tested labels by gc, from all it is handed; given by --include.

It writes into the file that the variable GC_FOUND names: how many objects it came to, and what it
found there.
"""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.data.windows import Windows
from bench.method import Method, Needs
from bench.registry import Entry

#: Labels of the target's windows in its files: three windows of six trials, of three subjects.
LABELS = np.tile(np.repeat([1, 0] * 3, 3), 3)


def search(when: str, *roots: Any, granted: tuple[Any, ...] = ()) -> None:
    """Go through everything that ``roots`` refer to, modules and their contents included."""
    seen: dict[int, Any] = {}
    todo, found = list(roots), []
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen[id(thing)] = thing
        if isinstance(thing, Windows) and "TOYB" in thing.corpus and \
                not any(thing is part for part in granted):
            found.append(f"windows of {len(thing)} with labels")
        if isinstance(thing, np.ndarray):
            if thing is not LABELS and thing.dtype == np.int64 and thing.shape == LABELS.shape \
                    and (thing == LABELS).all():
                found.append("all labels of the target")
            todo += [] if thing.base is None else [thing.base]
        todo += gc.get_referents(thing)
    with Path(os.environ["GC_FOUND"]).open("a") as file:
        file.write(f"{when} {len(seen)} {found}\n")


class Even:
    def __init__(self, classes: int) -> None:
        self.classes = classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        if len(x) > 1:
            search("predict", self, x)
        return np.full((len(x), self.classes), 1 / self.classes)


class Searches(Method):
    name: ClassVar[str] = "searches"
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    def fit(self, view: Any, state: Any, ctx: Any) -> Even:
        search("fit", self, view, state, ctx, granted=(view.calibration,))
        ctx.epoch(1, 1, {"total": 1.0}, Even(len(view.classes)))
        return Even(len(view.classes))


CATALOGUE = [Entry("searches", ":Searches")]
