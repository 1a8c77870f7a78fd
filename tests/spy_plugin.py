"""A method that looks through the whole process for labels of tested windows; given by --include.

It writes what it finds into the file that the variable SPY_FOUND names. The target is TOYB of
``sweep_plugin``: trials 1 to 6 of three windows, odd ones of class 1; the last of each are tested.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
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


def everything() -> Iterator[Any]:
    """What the collector knows, and the arrays, windows and dictionaries that these things hold."""
    layer: list[Any] = gc.get_objects()
    seen = set(map(id, layer))
    while layer:
        yield from (t for t in layer if isinstance(t, (np.ndarray, Windows)))
        held = [t for t in gc.get_referents(*layer) if isinstance(t, (np.ndarray, Windows, dict))]
        held += [t.base for t in layer if isinstance(t, np.ndarray) and t.base is not None]
        layer = [t for t in {id(t): t for t in held}.values() if id(t) not in seen]
        seen.update(map(id, layer))


def look_around(calibration: Windows) -> list[str]:
    """What of :data:`TOLD` is anywhere in the process."""
    found: set[str] = set()
    warnings.simplefilter("ignore")  # some of what is looked at warns of that
    for thing in everything():
        if isinstance(thing, np.ndarray):
            if thing.dtype.kind in "iuf" and thing.ndim == 1:
                found |= {name for name, told in TOLD.items()
                          if len(thing) == len(told) and (thing == told).all()}
        elif thing is not calibration and len(thing) \
                and set(thing.corpus) == {"TOYB"} and (thing.y >= 0).all() \
                and not set(thing.trial) <= set(calibration.trial):
            found.add("labelled windows")
    return sorted(found)


class Spy(Method):
    name: ClassVar[str] = "spy"
    needs: ClassVar[Needs] = Needs(source="unlabelled", calibration=True)

    def fit(self, view: Any, state: Any, ctx: Any) -> Means:
        # Where the plugin is checked beforehand there is nothing of the target yet.
        real = set(view.calibration.corpus) == {"TOYB"}
        found = look_around(view.calibration) if real else []
        with Path(os.environ["SPY_FOUND"]).open("a") as file:
            file.write(f"{os.getpid()} {', '.join(found)}\n")
        c = view.calibration
        means = Means(np.stack([c.x[c.y == k].astype(float).mean(axis=0) for k in range(2)]))
        ctx.epoch(1, 2, {"total": 1.0}, Means(means.means[::-1]))
        ctx.epoch(2, 2, {"total": 0.5}, means)
        return means


CATALOGUE = [Entry("spy", ":Spy")]
