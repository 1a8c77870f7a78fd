"""Predictions of many networks in few passes, on the device they were trained on.

Windows go there once and stay; only probabilities come back, and whoever holds the labels scores
them. A predictor that knows nothing of such passes, or a CPU, predicts one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..devices import products
from ..method import Context, Part, Predictor
from ..store.provenance import is_ours
from .observer import Observer
from .tested import Proba

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[Any]


@runtime_checkable
class ManyAtOnce(Protocol):
    """What a predictor may offer beside ``predict_proba``."""

    def predict_many(self, pairs: Sequence[tuple[Any, Tensor]]) -> list[Proba]:
        """Probabilities of pairs of a predictor of this class and windows on a device.

        As ``predict_proba`` of each pair on its own would give them.
        """
        ...


class Passes:
    """Passes on a device.

    Parameters
    ----------
    device, dtype : str
        Of the training.
    everywhere : bool
        Take them on a CPU too, where they gain nothing.
    """

    def __init__(self, device: str, dtype: str, everywhere: bool = False) -> None:
        self.device, self.dtype = device, dtype
        self.taken = everywhere or device != "cpu"
        #: Windows on the device, by the identities of arrays that are kept with them.
        self._there: dict[tuple[int, ...], tuple[tuple[Floats, ...], Tensor]] = {}

    def can(self, predictor: Predictor | None) -> bool:
        """Whether a predictor's windows are predicted in a pass."""
        # It looks at the live network, which only of ours is known to change nothing.
        return self.taken and isinstance(predictor, ManyAtOnce) and is_ours([type(predictor)])

    def predict(self, pairs: Sequence[tuple[Predictor, Floats]]) -> list[Proba]:
        """Probabilities (n, classes) of pairs of a predictor and windows (n, channels, features).

        Windows are not kept on the device: most come but once.
        """
        here: Any = [(p, (x,)) for p, x in pairs if self.can(p)]
        found = iter(self._pass(here, keep=False))
        return [
            next(found)[0] if self.can(p) else np.asarray(p.predict_proba(x), dtype=np.float64)
            for p, x in pairs
        ]

    def foreseen(
        self, predictors: Sequence[Predictor], windows: Sequence[Sequence[Floats]]
    ) -> list[Predictor]:
        """Predictors that know what they predict for arrays of windows; those are kept."""
        which = [i for i, p in enumerate(predictors) if windows[i] and self.can(p)]
        found = self._pass([(predictors[i], tuple(windows[i])) for i in which], keep=True)
        out = list(predictors)
        for i, proba in zip(which, found, strict=True):
            out[i] = Foreseen(predictors[i], windows[i], proba)
        return out

    def _pass(
        self, pairs: Sequence[tuple[Any, tuple[Floats, ...]]], keep: bool
    ) -> list[list[Proba]]:
        """Probabilities of several arrays for each predictor."""
        out: dict[int, list[Proba]] = {}
        for kind in dict.fromkeys(type(p) for p, _ in pairs):
            mine = [i for i, (p, _) in enumerate(pairs) if type(p) is kind]
            with products("highest"):  # a window is to be predicted as it would be alone
                found = pairs[mine[0]][0].predict_many(
                    [(pairs[i][0], self._on_device(pairs[i][1], keep)) for i in mine]
                )
            for i, proba in zip(mine, found, strict=True):
                ends = np.cumsum([len(x) for x in pairs[i][1]])[:-1]
                out[i] = np.split(proba, ends)
        return [out[i] for i in range(len(pairs))]

    def _on_device(self, arrays: tuple[Floats, ...], keep: bool) -> Tensor:
        import torch

        key = tuple(map(id, arrays))
        if key in self._there:
            return self._there[key][1]
        whole = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        there = torch.from_numpy(np.ascontiguousarray(whole)).to(
            self.device, getattr(torch, self.dtype)
        )
        if keep:
            self._there[key] = arrays, there
        return there


class Foreseen:
    """A predictor, and what it predicts for some arrays."""

    def __init__(
        self, predictor: Predictor, windows: Sequence[Floats], proba: Sequence[Proba]
    ) -> None:
        self.predictor = predictor
        self.known = {id(x): p for x, p in zip(windows, proba, strict=True)}

    def predict_proba(self, x: NDArray[np.float32]) -> Proba:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        known = self.known.get(id(x))
        return self.predictor.predict_proba(x) if known is None else known

    def __deepcopy__(self, memo: dict[int, Any]) -> Foreseen:
        """Itself: what was to be seen of it has been seen."""
        return self

    def __getattr__(self, name: str) -> Any:
        """What else the predictor offers."""
        return getattr(self.predictor, name)


class Looks:
    """Watches trainings of several cells: hands each epoch to the observer of its cell.

    Parameters
    ----------
    observers : mapping
        By place of the cell.
    passes : Passes
    """

    def __init__(self, observers: Mapping[int, Observer], passes: Passes) -> None:
        self.observers, self.passes = observers, passes

    def __call__(self, ctx: Context, *seen: Any) -> None:
        """An epoch of a model is over."""
        self.observers[ctx.cell](ctx, *seen)

    def spent(
        self, ctx: Context, part: Part, steps: int, windows: int, wanted: int = 0
    ) -> None:
        """What a training cost: to the observer of its cell."""
        self.observers[ctx.cell].spent(ctx, part, steps, windows, wanted)

    def warned(self, ctx: Context, text: str) -> None:
        """What a library said while a cell was trained: to its observer."""
        self.observers[ctx.cell].warned(ctx, text)

    def foresee(
        self, contexts: Sequence[Context], number: int, of: int, predictors: Sequence[Predictor]
    ) -> list[Predictor]:
        """Predictors of an epoch that know what the observers will ask for."""
        if not self.passes.taken:
            return list(predictors)
        wanted = [self.observers[ctx.cell].wanted(ctx, number, of) for ctx in contexts]
        return self.passes.foreseen(predictors, wanted)
