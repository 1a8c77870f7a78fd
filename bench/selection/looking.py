"""How the engine looks at a predictor without changing it, or what it is still being trained on.

A network that a method shows in the middle of training is the live one. In training mode it would
learn from what it predicts: batch normalisation takes the windows into its running statistics,
dropout draws from torch's global generator. So what is looked at is a copy, it is handed a copy of
the windows, and the global generators are put back.
"""

from __future__ import annotations

import contextlib
import copy
import random
import sys
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import ContractError, IncompatibleError
from ..method import Predictor
from .tested import Proba


class StillPredictor:
    """A predictor that is handed copies of windows, which cannot be written to."""

    def __init__(self, inner: Predictor) -> None:
        self.inner = inner

    def predict_proba(self, x: NDArray[np.float32]) -> Proba:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        known = getattr(self.inner, "known", {}).get(id(x))  # see bench.selection.looks.Foreseen
        if known is not None:
            return np.asarray(known, dtype=np.float64)
        return probabilities(self.inner, x)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not there yet, while it is being copied
            raise AttributeError(name)
        return getattr(self.inner, name)


def probabilities(predictor: Predictor, x: NDArray[np.float32]) -> Proba:
    """What a predictor says of windows, of which it is handed a copy.

    Raises
    ------
    ContractError
        It is no table of numbers with a row for each window.
    """
    given: Any = predictor.predict_proba(lent(x))
    wanted = f"an array ({len(x)}, classes), a row for each window"
    try:
        out = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:  # torch raises these
        raise ContractError(
            "predict_proba", wanted,
            f"a {type(given).__name__} that is no array ({str(error)[:80]})", predictor,
        ) from error
    if out.ndim != 2 or len(out) != len(x):
        raise ContractError("predict_proba", wanted, f"an array of shape {out.shape}", predictor)
    return out


def lent(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy of windows that cannot be written to."""
    copied = x.copy()
    copied.setflags(write=False)
    return copied


@contextlib.contextmanager
def look(
    predictor: Predictor, copied: Literal["always", "if possible", "no"] = "always"
) -> Iterator[StillPredictor]:
    """Lend a copy of a predictor, or itself; all is afterwards as it was.

    Raises
    ------
    IncompatibleError
        It cannot be copied, and must be.
    """
    shown = predictor
    try:
        shown = copy.deepcopy(predictor) if copied != "no" else predictor
    except Exception as error:  # whatever stands in a third party's predictor
        if copied == "always":
            raise IncompatibleError(
                f"the predictor shown to the engine cannot be copied: {error}",
                "Show one of plain values: modules, arrays and detached tensors "
                "(tensor.detach()), no generators, locks or open files.",
            ) from error
    with generators_kept():
        yield StillPredictor(shown)


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put the global generators back to where they were, those of torch if it is loaded."""
    torch = sys.modules.get("torch")
    plain, numpy = random.getstate(), np.random.get_state()
    cpu = torch.get_rng_state() if torch is not None else None
    cuda = torch is not None and torch.cuda.is_initialized()
    devices = torch.cuda.get_rng_state_all() if torch is not None and cuda else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy)
        if torch is not None and cpu is not None:
            torch.set_rng_state(cpu)
            if devices is not None:
                torch.cuda.set_rng_state_all(devices)
