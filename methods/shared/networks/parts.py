"""Which parts of an encoder are trained: all, its last layers, or low-rank changes of linear maps.

Low-rank adaptation (Hu et al., ICLR 2022): a linear map W stays as it is, and B A is added to it,
of which B begins at zero. What was trained is W + B A, a network like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from torch import Tensor

from bench.draws import Draws
from bench.errors import IncompatibleError

from .backbones import LORA, linear_weights, merged
from .layers import Encoder, State, names_of, within


def last_layers(encoder: Encoder, count: int) -> Callable[[str], bool]:
    """Whether a tensor is not of the encoder, or of its last layers.

    A layer is what shares a name up to its first number, ``blocks.11`` of a transformer; else the
    name of what holds the tensor, as ``conv3``.
    """
    names = [n for n in names_of(encoder) if ".running_" not in n]
    layers = list(dict.fromkeys(_layer(n) for n in names))
    kept = set(layers[-count:])
    frozen = {n for n in names if _layer(n) not in kept}
    return lambda name: name not in frozen


def _layer(name: str) -> str:
    found = re.match(r"(.*?\.[0-9]+)\.", name)
    return found[1] if found else name.rpartition(".")[0] or name


def shares(encoder: Encoder, decay: float) -> Callable[[str], float]:
    """Share of the learning rate that a tensor of a name is trained at.

    That of the head is 1, of the encoder's last layer ``decay``, and ``decay`` times less of each
    layer before it. What only scales and shifts goes with the map before it.
    """
    layers: list[list[str]] = []
    mapped: set[str] = set()
    for name, tensor in encoder.init(Draws.of(0)).items():
        if ".running_" in name:
            continue
        if not layers or (tensor.dim() > 1 and _layer(name) not in mapped):
            mapped.add(_layer(name))
            layers.append([])
        layers[-1].append(name)
    share = {name: decay**depth for depth, layer in enumerate(reversed(layers), 1)
             for name in layer}
    return lambda name: share.get(name, 1.0)


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


def not_frozen(encoder: Encoder) -> Callable[[str], bool]:
    """Whether a tensor is a factor or of the head."""
    frozen = set(names_of(encoder))
    return lambda name: name not in frozen


def plain(state: Mapping[str, Tensor]) -> State:
    """A state, of one model or a stack, with its factors multiplied in."""
    return {n: t for n, t in merged(state).items() if not n.startswith(LORA)}

