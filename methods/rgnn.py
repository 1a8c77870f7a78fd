"""RGNN: a graph of electrodes, nodes that hide the corpus, soft labels (Zhong et al., TAFFC 2020).

arXiv 1907.07835. Written from the authors' code (zhongpeixiang/RGNN@685b1a2 model_simple.py), which
has neither EmotionDL nor the sparse links; their numbers are those of the paper, as
XJTU-EEG/LibEER@dddff97 (models/RGNN.py, RGNN_train.py) has them. Written without torch_geometric:
all electrodes are linked with all, so that the graph is a matrix.

Links begin with min(1, 5 / d^2) between electrodes d cm apart, less 1 between nine pairs across the
hemispheres. A domain classifier looks at every electrode's features behind a reversed gradient.

Equation
--------
KL(q(y), softmax f(h_s)) + sparsity * |A|_1 + mean over nodes of CE(d(R(node))); h = sum over nodes
of relu(S^2 x W), S = D^-1/2 A D^-1/2 with degrees of |A|

Adapted
-------
distances are on a sphere of 9.5 cm
    the authors' positions of their cap are given for one montage only.
soft labels of other classes than SEED's are uniform
    neighbourhoods of emotions are published for SEED and SEED-IV only; of SEED-IV the neutral
    one's is uniform.
Adam and the cosine of all methods here
    methods of the family differ in what they learn from alone.
under few-shot the head gives way to a new one
    the target's classes are others than the source's there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bench.data.windows import Space
from bench.draws import Draws
from bench.errors import BenchError, IncompatibleError
from bench.method import Needs, hyper
from bench.training import Losses

from .shared.losses.field import divergence, sparse
from .shared.losses.transfer import cross_entropy, reverse_gradient
from .shared.networks.electrodes import GraphEncoder, prior_links
from .shared.networks.layers import State, init_linear, linear
from .shared.training.alignment import ramp
from .shared.training.deep import Adaptation, Batch, Network
from .shared.training.finetuning import NetworkParams

#: Classes of SEED from the lowest valence to the highest, between which labels blur.
ORDERED = ("negative", "neutral", "positive")


class RGNNParams(NetworkParams):
    """Parameters of RGNN."""

    hidden: int = hyper(128, "width of an electrode's features", stage="network", ge=1, le=4096)
    blur: float = hyper(
        0.1, "share of a label that goes to neighbouring emotions", stage="pretrain", ge=0, le=1,
        tune=(0.01, 0.5),
    )
    sparsity: float = hyper(
        0.01, "weight of the sum of the links' sizes", stage="pretrain", ge=0,
        tune=(0.001, 0.1), scale="log", per_model=0,
    )
    dropped: float = hyper(
        0.7, "share of an encoding that is dropped before the head, on the source",
        stage="pretrain", ge=0, lt=1,
    )


class RGNN(Adaptation):
    """Blurred labels of the source, sparse links, nodes by which no classifier knows the corpus."""

    name = "rgnn"
    Params = RGNNParams
    params: RGNNParams
    needs = Needs(source="labelled", unlabelled=True)

    def encoder(self, space: Space) -> GraphEncoder:
        """Graph of the electrodes, whatever the backbone of other methods."""
        return GraphEncoder(
            len(space.channels), space.width, space.channels, hidden=self.params.hidden)

    def check_space(self, space: Space) -> None:
        """Also refuse channels whose place is not known."""
        super().check_space(space)
        try:
            prior_links(space.channels)
        except BenchError as error:
            raise IncompatibleError(f"rgnn links electrodes by their distance: {error.message}",
                                    error.hint) from error

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Domain classifier of a node."""
        return init_linear("domain", 2, net.encoder.width, g)

    def draw(self, net: Network, batch: int, g: Draws) -> Tensor:
        """What is kept of encodings (K, B, W)."""
        return g.mask(self.params.dropped, batch, net.encoder.width)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Divergence from blurred labels, links, and domains of the nodes."""
        q, encoder = self.params, net.encoder
        assert isinstance(encoder, GraphEncoder)
        nodes = [encoder.nodes(p, side) for side in (batch.x, batch.target)]
        h = nodes[0].sum(dim=2) * batch.drawn / (1 - q.dropped)
        risk = divergence(net.head(p, h), blurred(net.labels, q.blur, h)[batch.y])
        links = sparse(encoder.links(p))
        domain = self._domain(p, nodes, ramp(batch.progress))
        total = risk + q.sparsity * links + domain
        return {"total": total, "risk": risk, "links": links, "domain": domain}

    @staticmethod
    def _domain(p: State, nodes: list[Tensor], strength: Tensor) -> Tensor:
        """Cross-entropy of the corpus of every electrode of every window."""
        both = torch.cat([side.flatten(1, 2) for side in nodes], dim=1)
        logits = linear(p, "domain", reverse_gradient(both, strength))
        corpus = torch.ones(both.shape[:2], dtype=torch.int64, device=both.device)
        corpus[:, : nodes[0].shape[1] * nodes[0].shape[2]] = 0
        return cross_entropy(logits, corpus).mean(dim=1)


def blurred(labels: Sequence[str], share: float, like: Tensor) -> Tensor:
    """Distributions (c, c) that stand for classes: some of each goes to its neighbours."""
    place = torch.arange(len(labels), device=like.device)
    own = (place[:, None] == place).to(like.dtype)
    if tuple(labels) != ORDERED:
        return (1 - share) * own + share / len(labels)
    beside = ((place[:, None] - place).abs() == 1).to(like.dtype)
    moved = 2 * share / 3
    return (1 - moved) * own + moved * beside / beside.sum(dim=1, keepdim=True)
