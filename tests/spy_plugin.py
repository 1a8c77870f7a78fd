"""A method that looks through the whole process for labels of tested windows; given by --include.

It writes what it finds into the file that the variable SPY_FOUND names. The target is TOYB of
``sweep_plugin``: trials 1 to 6 of three windows, odd ones of class 1; the last of each are tested.
"""

from __future__ import annotations

import gc
import os
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench.data.windows import Windows
from bench.method import Method, Needs
from bench.registry import Entry

from sweep_plugin import Means


def labels_of(trials: Any) -> list[int]:
    """Class of each window of some trials."""
    return [t % 2 for t in trials for _ in range(3)]


#: What would tell: classes and trials of all windows of the target, or of what is tested of them.
TOLD = {
    "classes of the target": labels_of([*range(1, 7)] * 3),
    "trials of the target": [t for t in [*range(1, 7)] * 3 for _ in range(3)],
    "trials that are tested": [t for t in (5, 6) for _ in range(3)],
}


def look_around(calibration: Windows) -> list[str]:
    """Everything that the collector knows, and the arrays these things hold."""
    found: set[str] = set()
    seen: set[int] = set()
    todo: list[Any] = gc.get_objects()
    warnings.simplefilter("ignore")  # some of what is looked at warns of that
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            if thing.dtype.kind in "iuf" and thing.ndim == 1:
                found |= {name for name, told in TOLD.items()
                          if len(thing) == len(told) and (thing == told).all()}
            todo += [] if thing.base is None else [thing.base]
        elif isinstance(thing, Windows) and thing is not calibration and len(thing) \
                and set(thing.corpus) == {"TOYB"} and (thing.y >= 0).all() \
                and not set(thing.trial) <= set(calibration.trial):
            found.add("labelled windows")
        todo += [t for t in gc.get_referents(thing) if isinstance(t, (np.ndarray, Windows, dict))]
    return sorted(found)


class Spy(Method):
    name: ClassVar[str] = "spy"
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    def fit(self, view: Any, state: Any, ctx: Any) -> Means:
        found = look_around(view.calibration)
        with Path(os.environ["SPY_FOUND"]).open("a") as file:
            file.write(f"{os.getpid()} {', '.join(found)}\n")
        c = view.calibration
        means = Means(np.stack([c.x[c.y == k].astype(float).mean(axis=0) for k in range(2)]))
        ctx.epoch(1, 2, {"total": 1.0}, Means(means.means[::-1]))
        ctx.epoch(2, 2, {"total": 0.5}, means)
        return means


CATALOGUE = [Entry("spy", ":Spy")]
