"""Encoders that know where electrodes are: a graph of them, and one encoder a hemisphere."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.data.channels import positions
from bench.draws import Draws
from bench.errors import IncompatibleError

from .layers import Encoder, State, init_linear, linear, prefixed, scoped

#: Radius of the head in cm, for distances between electrodes.
RADIUS = 9.5
#: Constant of RGNN's links, in square cm.
DECAY = 5.0
#: Electrodes that RGNN links across the hemispheres.
ACROSS = tuple((f"{region}{odd}", f"{region}{odd + 1}") for region, odd in (
    ("FP", 1), ("AF", 3), ("F", 5), ("FC", 5), ("C", 5), ("CP", 5), ("P", 5), ("PO", 5), ("O", 1)))


def prior_links(names: Sequence[str]) -> Tensor:
    """RGNN's links before any training: min(1, 5 / d^2), less 1 between some across the head.

    Zhong et al., arXiv 1907.07835, section 3.1. Distances are in cm on a sphere of 9.5 cm.
    """
    place = torch.from_numpy(RADIUS * positions(names))
    squared = (place[:, None] - place[None]).square().sum(dim=2)
    links = (DECAY / squared.clamp(min=DECAY)).float()
    for pair in ACROSS:
        if set(pair) <= set(names):
            i, j = (list(names).index(name) for name in pair)
            links[i, j] -= 1
            links[j, i] -= 1
    return links


@dataclass(frozen=True)
class GraphEncoder(Encoder):
    """Simple graph convolution over learnt, symmetric links of electrodes, summed over them.

    Attributes
    ----------
    names : tuple of str
        Channels.
    hidden, hops : int
    """

    names: tuple[str, ...]
    hidden: int = 128
    hops: int = 2
    backbone: str = "graph"

    @property
    def width(self) -> int:
        """Length of an encoding."""
        return self.hidden

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model; links are those of the paper, the lower triangle."""
        rows, columns = torch.tril_indices(self.channels, self.channels)
        return {"graph.links": prior_links(self.names)[rows, columns],
                **init_linear("graph", self.hidden, self.features, g)}

    def links(self, p: Mapping[str, Tensor]) -> Tensor:
        """Symmetric links (K, C, C)."""
        place = torch.arange(self.channels, device=p["graph.links"].device)
        row, column = torch.maximum(place[:, None], place), torch.minimum(place[:, None], place)
        return p["graph.links"][:, row * (row + 1) // 2 + column]

    def nodes(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Features (K, B, C, hidden) of every electrode, for windows (K, B, C, F)."""
        links = self.links(p)
        degree = links.abs().sum(dim=2)
        scale = torch.where(degree > 0, degree.clamp(min=1e-12).rsqrt(), 0.0)
        spread = torch.linalg.matrix_power(
            scale.unsqueeze(2) * links * scale.unsqueeze(1), self.hops)
        h = torch.einsum("kij,kbjf->kbif", spread, x)
        return torch.relu(linear(p, "graph", h.flatten(1, 2))).unflatten(1, h.shape[1:3])

    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows (K, B, C, F) to (K, B, hidden); nothing is dropped."""
        return self.nodes(p, x).sum(dim=2)


@dataclass(frozen=True)
class Hemispheres(Encoder):
    """An encoder for the electrodes of each side; their encodings, left first, side by side.

    Attributes
    ----------
    left, right : Encoder
    rows : (left, right), tuples of int
        Channels of each side, mirror images of each other in the same order.
    """

    left: Encoder
    right: Encoder
    rows: tuple[tuple[int, ...], tuple[int, ...]]

    @property
    def raw(self) -> bool:
        """Whether features are samples in time."""
        return self.left.raw

    @property
    def width(self) -> int:
        """Length of both encodings."""
        return self.left.width + self.right.width

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model."""
        return prefixed("left.", self.left.init(g)) | prefixed("right.", self.right.init(g))

    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows (K, B, C, F) to (K, B, width)."""
        sides = []
        for name, encoder, rows in zip(
            ("left.", "right."), (self.left, self.right), self.rows, strict=True
        ):
            own = x.index_select(2, _places(rows, x.device))
            sides.append(encoder(scoped(name, p), own, training, dropout))
        return torch.cat(sides, dim=2)


@functools.lru_cache(maxsize=64)
def _places(rows: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device)


def mirrored(names: Sequence[str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Places of electrodes of the left side, and of their mirror images; the midline is of neither.

    Raises
    ------
    IncompatibleError
        No electrode has its image among them.
    """
    place = {name: i for i, name in enumerate(names)}
    pairs = []
    for name in names:
        found = re.fullmatch("([A-Z]+)([0-9]*[13579])", name)
        image = f"{found[1]}{int(found[2]) + 1}" if found else ""
        if image in place:
            pairs.append((place[name], place[image]))
    if not pairs:
        raise IncompatibleError(
            "no two electrodes are mirror images of each other: " + ", ".join(
                itertools.islice(names, 8)), "Use --montage 10-20.")
    left, right = zip(*pairs, strict=True)
    return left, right
