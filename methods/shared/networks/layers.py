"""Networks as pure functions of stacked parameters.

Every tensor of a network has a leading axis K: K models of equal shape are trained as one batched
computation, and a single model is a stack of one. A network is described by its shapes, holds no
tensors, and works on a flat ``dict`` of named tensors; names with ``running_`` are buffers.

Legend of shapes: K models, B windows, C channels, F features (bands), T positions, O filters.
"""

from __future__ import annotations

import abc
import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.draws import Draws

State = dict[str, Tensor]
EPS = 1e-5
MOMENTUM = 0.1


def linear(p: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Linear map of every model: ``x`` (K, B, in) to (K, B, out); weight (K, out, in)."""
    return torch.baddbmm(p[f"{name}.bias"].unsqueeze(1), x, p[f"{name}.weight"].mT)


def within(bound: float, g: Draws, *shape: int) -> Tensor:
    """Uniform between minus and plus a bound, as torch's layers begin."""
    return (2 * g.uniform(*shape) - 1) * bound


def init_linear(name: str, out: int, inputs: int, g: Draws) -> State:
    """Weights as torch.nn.Linear draws them, without the axis K."""
    bound = 1 / math.sqrt(inputs)
    return {f"{name}.weight": within(bound, g, out, inputs), f"{name}.bias": within(bound, g, out)}


def init_norm(name: str, width: int) -> State:
    """Parameters and running statistics of a batch normalisation, without the axis K."""
    return {
        f"{name}.weight": torch.ones(width), f"{name}.bias": torch.zeros(width),
        f"{name}.running_mean": torch.zeros(width), f"{name}.running_var": torch.ones(width),
    }


def batch_norm(p: State, name: str, x: Tensor, training: bool) -> Tensor:
    """Batch normalisation of each model over its own rows.

    Parameters
    ----------
    x : (K, R, O)
    training : bool
        Use the statistics of the batch and update the running ones in place, or use the latter.
    """
    weight, bias = p[f"{name}.weight"], p[f"{name}.bias"]
    mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    if len(x) == 1 or x.device.type == "cpu":
        # torch's own kernel takes one model only; on a CPU a loop over it beats batched parts.
        models = zip(*(t.unbind() for t in (x, mean, var, weight, bias)), strict=True)
        return torch.stack([
            functional.batch_norm(h, m, v, w, b, training, MOMENTUM, EPS)
            for h, m, v, w, b in models
        ])
    return _batched_norm(x, mean, var, weight, bias, training)


def _batched_norm(  # noqa: PLR0917 - the arguments of torch's batch_norm, in its order
    x: Tensor, mean: Tensor, var: Tensor, weight: Tensor, bias: Tensor, training: bool
) -> Tensor:
    """All models at once, for devices on which many small calls cost more than passes."""
    if training:
        batch_var, batch_mean = torch.var_mean(x, dim=1, correction=0)
        rows = x.shape[1]
        with torch.no_grad():
            mean.lerp_(batch_mean, MOMENTUM)
            var.lerp_(batch_var * (rows / (rows - 1)), MOMENTUM)
        mean, var = batch_mean, batch_var
    scale = weight * torch.rsqrt(var + EPS)
    return torch.addcmul((bias - mean * scale).unsqueeze(1), x, scale.unsqueeze(1))


@dataclass(frozen=True)
class WindowShape:
    """What a network is told of the windows it will be handed.

    Attributes
    ----------
    names : tuple of str
        Channels, in canonical spelling; empty for a model that was saved without.
    channels, features : int
    rate : float
        Samples per second; 0 for differential entropy.
    seconds : float
        Length of a window.
    """

    names: tuple[str, ...]
    channels: int
    features: int
    rate: float
    seconds: float


@dataclass(frozen=True)
class Encoder(abc.ABC):
    """From windows to encodings: the base of every backbone.

    Attributes
    ----------
    channels, features : int
        Shape of a window.
    """

    channels: int
    features: int

    @property
    def raw(self) -> bool:
        """Whether features are samples in time, not bands."""
        return False

    @property
    @abc.abstractmethod
    def width(self) -> int:
        """Length of an encoding."""

    @abc.abstractmethod
    def init(self, g: Draws) -> State:
        """Fresh parameters and running statistics of one model, by a key without an axis K."""

    @abc.abstractmethod
    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows.

        Parameters
        ----------
        x : (K, B, C, F)
        training : bool
            Batch statistics (and running ones updated), or running statistics.
        dropout : bool
            False leaves out, in training, what is drawn at random.

        Returns
        -------
        (K, B, width)
        """


@functools.lru_cache(maxsize=256)
def names_of(part: Any) -> tuple[str, ...]:
    """Names of the tensors of an encoder or a head."""
    return tuple(part.init(Draws.of(0)))


@functools.lru_cache(maxsize=256)
def layers_of(part: Any) -> tuple[tuple[str, ...], ...]:
    """Names of the trained tensors of an encoder by layer, the first layer first.

    A layer is what shares a name up to its first number, ``blocks.11`` of a transformer; else the
    name of what holds the tensor, as ``conv3``. Scales and shifts belong to the layer before them.
    """
    layers: dict[str, list[str]] = {}
    mapping: set[str] = set()
    for name, tensor in part.init(Draws.of(0)).items():
        if ".running_" not in name:
            layers.setdefault(_layer(name), []).append(name)
            mapping |= {_layer(name)} if tensor.dim() > 1 else set()
    joined: list[tuple[str, ...]] = []
    for layer, names in layers.items():
        if layer in mapping or not joined:
            joined.append(tuple(names))
        else:
            joined[-1] += tuple(names)
    return tuple(joined)


def _layer(name: str) -> str:
    found = re.match(r"(.*?\.[0-9]+)\.", name)
    return found[1] if found else name.rpartition(".")[0] or name


def norm_names(p: Mapping[str, Tensor]) -> list[str]:
    """Names of scale and shift of every batch normalisation in a state."""
    norms = [n.removesuffix("running_mean") for n in p if n.endswith(".running_mean")]
    return [n + part for n in norms for part in ("weight", "bias") if n + part in p]


@dataclass(frozen=True)
class ConvEncoder(Encoder):
    """Three convolutions over the band axis, each with batch norm, ReLU and max pooling.

    The encoder of SCMM (and of TF-C and SimMTM before it): kernel 8, padding 4, no bias; pooling
    of 2 with stride 2 and padding 1. The kernel is longer than the input (5 bands), so most taps
    multiply padding; each layer is therefore computed as one dense map, built from the
    convolution's weights by an index: the same function with less than half the arithmetic.

    Attributes
    ----------
    filters : tuple of int
        Output channels of the three layers.
    kernel, padding : int
    """

    filters: tuple[int, ...] = (32, 64, 128)
    kernel: int = 8
    padding: int = 4

    def lengths(self) -> list[tuple[int, int, int]]:
        """(input, convolved, pooled) length of each layer."""
        out, length = [], self.features
        for _ in self.filters:
            convolved = length + 2 * self.padding - self.kernel + 1
            pooled = (convolved + 2 - 2) // 2 + 1
            out.append((length, convolved, pooled))
            length = pooled
        return out

    @property
    def width(self) -> int:
        """Length of the flattened output (384 for five bands)."""
        return self.filters[-1] * self.lengths()[-1][2]

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model, as torch.nn.Conv1d and BatchNorm1d draw them."""
        state: State = {}
        inputs = self.channels
        for i, filters in enumerate(self.filters, 1):
            bound = 1 / math.sqrt(inputs * self.kernel)
            state[f"conv{i}.weight"] = within(bound, g, filters, inputs, self.kernel)
            state |= init_norm(f"bn{i}", filters)
            inputs = filters
        return state

    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows (K, B, C, F); nothing is dropped.

        Returns
        -------
        (K, B, width)
            Filter-major, as ``Conv1d(...).flatten(1)`` gives it.
        """
        models, batch = x.shape[:2]
        h = x.reshape(models, batch, -1)
        for i, (length, convolved, pooled) in enumerate(self.lengths(), 1):
            dense = self._dense(p[f"conv{i}.weight"], length, convolved, i == 1)
            filters = self.filters[i - 1]
            h = torch.bmm(h, dense).view(models, batch * convolved, filters)
            h = batch_norm(p, f"bn{i}", h, training)
            h = _ReluPool.apply(h.view(models, batch, convolved, filters))
            h = h.reshape(models, batch, pooled * filters)
        pooled = self.lengths()[-1][2]
        return h.view(models, batch, pooled, -1).transpose(2, 3).reshape(models, batch, -1)

    def _dense(self, weight: Tensor, length: int, convolved: int, windows: bool) -> Tensor:
        """Matrix (K, length*in, convolved*out) that does what the padded convolution does.

        Its rows are ordered by position, then channel, as layers give it; for ``windows`` by
        channel, then feature, as windows are stored. Rows of filters are copied as they are: an
        index over single taps, permuted afterwards, takes three times as long.
        """
        models, filters, inputs, kernel = weight.shape
        taps = functional.pad(weight.permute(0, 3, 2, 1), (0, 0, 0, 0, 0, 1))
        rows = _rows(inputs, kernel, self.padding, length, convolved, windows, weight.device)
        dense = taps.reshape(models, -1, filters).index_select(1, rows)
        return dense.view(models, length * inputs, convolved * filters)


@functools.lru_cache(maxsize=64)
def _rows(  # noqa: PLR0917 - shapes
    inputs: int, kernel: int, padding: int, length: int, convolved: int, windows: bool,
    device: torch.device,
) -> Tensor:
    """Which (tap, input channel) stands at each input and output position; zeros are the last."""
    place = torch.arange(max(length, convolved), device=device)
    tap = place[:length, None] - place[:convolved] + padding
    tap = tap.masked_fill((tap < 0) | (tap >= kernel), kernel)
    channel = torch.arange(inputs, device=device)
    if windows:
        return (tap * inputs + channel[:, None, None]).flatten()
    return (tap[:, None] * inputs + channel[:, None]).flatten()


class _ReluPool(torch.autograd.Function):
    """ReLU, then the maximum of neighbouring positions: pooling of 2, stride 2, padding 1.

    (K, B, T, O) to (K, B, T // 2 + 1, O): window w covers positions 2w - 1 and 2w. Written by
    hand because it runs on small tensors at every step: a third of the passes of the parts.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        pairs = (h.shape[2] - 1) // 2
        out = torch.cat(
            [
                h[:, :, :1],
                torch.maximum(h[:, :, 1 : 2 * pairs : 2], h[:, :, 2 : 2 * pairs + 1 : 2]),
                h[:, :, 2 * pairs + 1 :],
            ],
            dim=2,
        ).relu_()
        ctx.save_for_backward(h, out)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        h, out = ctx.saved_tensors
        g = gradients[0] * (out > 0)
        pairs = (h.shape[2] - 1) // 2
        left, right = h[:, :, 1 : 2 * pairs : 2], h[:, :, 2 : 2 * pairs + 1 : 2]
        d = torch.empty_like(h)
        d[:, :, :1] = g[:, :, :1]
        taken = g[:, :, 1 : pairs + 1] * (left >= right)
        d[:, :, 1 : 2 * pairs : 2] = taken
        d[:, :, 2 : 2 * pairs + 1 : 2] = g[:, :, 1 : pairs + 1] - taken
        d[:, :, 2 * pairs + 1 :] = g[:, :, pairs + 1 :]
        return d


@dataclass(frozen=True)
class MlpEncoder(Encoder):
    """Perceptron on flattened windows: two layers, each with batch norm and ReLU."""

    hidden: int = 256
    out: int = 128
    backbone: str = "mlp"

    @property
    def width(self) -> int:
        """Length of an encoding."""
        return self.out

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model."""
        inputs = self.channels * self.features
        return (
            init_linear("layer1", self.hidden, inputs, g) | init_norm("layer1_bn", self.hidden)
            | init_linear("layer2", self.width, self.hidden, g)
            | init_norm("layer2_bn", self.width)
        )

    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows (K, B, C, F) to (K, B, width); nothing is dropped."""
        h = x.flatten(2)
        for name in ("layer1", "layer2"):
            h = torch.relu(batch_norm(p, f"{name}_bn", linear(p, name, h), training))
        return h


@dataclass(frozen=True)
class Projector:
    """Linear, batch norm, ReLU, linear: ``width`` to ``hidden`` to ``out``."""

    width: int
    hidden: int = 256
    out: int = 128

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model."""
        return (
            init_linear("proj1", self.hidden, self.width, g)
            | init_norm("proj_bn", self.hidden)
            | init_linear("proj2", self.out, self.hidden, g)
        )

    def __call__(self, p: State, h: Tensor, training: bool) -> Tensor:
        """(K, B, width) to (K, B, out)."""
        hidden = batch_norm(p, "proj_bn", linear(p, "proj1", h), training)
        return linear(p, "proj2", torch.relu(hidden))


@dataclass(frozen=True)
class Head:
    """Classifier of SCMM: linear to 128, sigmoid, linear to the classes."""

    width: int
    classes: int
    hidden: int = 128

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model."""
        return init_linear("head1", self.hidden, self.width, g) | init_linear(
            "head2", self.classes, self.hidden, g
        )

    def __call__(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """(K, B, width) to logits (K, B, classes)."""
        return linear(p, "head2", torch.sigmoid(linear(p, "head1", h)))


@dataclass(frozen=True)
class Mlp:
    """Two linear maps with a ReLU between them, e.g. a domain classifier."""

    name: str
    width: int
    out: int = 1
    hidden: int = 128

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model."""
        return init_linear(f"{self.name}1", self.hidden, self.width, g) | init_linear(
            f"{self.name}2", self.out, self.hidden, g
        )

    def __call__(self, p: Mapping[str, Tensor], h: Tensor) -> Tensor:
        """(K, B, width) to (K, B, out)."""
        return linear(p, f"{self.name}2", torch.relu(linear(p, f"{self.name}1", h)))


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    """State under longer names, so that a second network of a kind can stand beside the first."""
    return {prefix + name: t for name, t in state.items()}


def scoped(prefix: str, p: Mapping[str, Tensor]) -> State:
    """The part of a state whose names begin with ``prefix``, without it."""
    return {name[len(prefix):]: t for name, t in p.items() if name.startswith(prefix)}
