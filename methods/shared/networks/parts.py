"""Which parts of an encoder are trained: all, its last layers, or low-rank changes of linear maps.

Low-rank adaptation (Hu et al., ICLR 2022): a linear map W stays as it is, and B A is added to it,
of which B begins at zero. What was trained is W + B A, a network like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bench.draws import Draws
from bench.errors import IncompatibleError

from .backbones import LORA, linear_weights, merged
from .layers import Encoder, State, layers_of, within


def last_layers(encoder: Encoder, count: int) -> Callable[[str], bool]:
    """Whether a tensor is not of the encoder, or of its last layers."""
    layers = layers_of(encoder)
    frozen = {n for layer in layers[: max(0, len(layers) - count)] for n in layer}
    return lambda name: name not in frozen


def low_rank(encoder: Encoder, rank: int, g: Draws) -> State:
    """Fresh factors of one model for every linear map of its encoder.

    Raises
    ------
    IncompatibleError
        It has none.
    """
    state: State = {}
    for name, (out, inputs) in linear_weights(encoder).items():
        state[f"{LORA}{name}.a"] = within(1 / math.sqrt(inputs), g, rank, inputs)
        state[f"{LORA}{name}.b"] = within(0.0, g, out, rank)
    if not state:
        raise IncompatibleError(
            "low-rank adaptation changes linear maps, of which this backbone has none",
            "Use finetune=full, partial or probe, or another backbone.",
        )
    return state


def plain(state: State) -> State:
    """A state, of one model or a stack, with its factors multiplied in."""
    return {n: t for n, t in merged(state).items() if not n.startswith(LORA)}

