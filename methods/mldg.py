"""MLDG: steps on some subjects that also help on others (Li et al., AAAI 2018).

The split and the losses are those of the paper's algorithm 1: all subjects but those held out take
one inner step together. That step is DomainBed's (facebookresearch/DomainBed@b93c22a): a fresh Adam
at the rate of the outer one, with its weight decay, and no gradient through it.

Equation
--------
F(p) + weight * G(p'), F and G the means of the subjects' risks over those that train and those held
out; p' = p - inner * lr * g / (|g| + 1e-8), g = grad F(p) + weight_decay * p, a constant

Adapted
-------
the inner step is Adam's and a constant
    the authors' code (HAHA-DL/MLDG@1913486) takes a plain step of 0.5, through which gradients
    pass, before plain steps of 0.0005; Adam, which trains all networks here, moves every weight by
    its rate, so that the ratio of the two steps would not be theirs.
a share of the subjects is held out, at least one
    the authors hold out one domain of three, DomainBed two of three; a corpus has 15 to 32
    subjects.
all windows of a batch pass together, twice
    statistics of batch normalisation would else be those of a few windows.
a batch holds as many windows of each subject as chance gives
    batches of one size for each subject would cost far more than those of other methods.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses, is_buffer, meeting

from .shared.losses.transfer import cross_entropy, domain_means, mean_of_domains
from .shared.networks.layers import State
from .shared.training.deep import Batch, Network, Supervised
from .shared.training.finetuning import NetworkParams

#: Added by Adam to the root of the squared gradient.
ADAM_EPS = 1e-8


class MLDGParams(NetworkParams):
    """Parameters of MLDG."""

    inner: float = hyper(
        1.0, "size of the inner step on the meta-training subjects, in learning rates (alpha)",
        stage="pretrain", gt=0, le=100, tune=(0.1, 10.0), scale="log", per_model=0,
    )
    weight: float = hyper(
        1.0, "weight of the loss after the inner step (beta)", stage="pretrain", ge=0,
        tune=(0.1, 10.0), scale="log", per_model=0,
    )
    held_out: float = hyper(
        0.3, "share of the subjects that are held out of the inner step", stage="pretrain", gt=0,
        lt=1,
    )


class MLDG(Supervised):
    """Minimise L_a(p) + beta L_b(p'), p' after a step of Adam on L_a; subjects split anew."""

    name = "mldg"
    Params = MLDGParams
    params: MLDGParams

    def optimiser_steps(self, net: Network) -> int:
        """The inner step and the outer one."""
        return 2

    def draw(self, net: Network, batch: int, g: Draws) -> Tensor:
        """Which subjects (K, D) are held out: at least one, and not all where there are two."""
        count = round(self.params.held_out * net.domains)
        count = max(1, min(count, net.domains - 1))
        return g.permutation(net.domains) < count

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Losses of both parts."""
        inner = self._risk(net, p, batch, ~batch.drawn)
        outer = self._risk(net, p | self._moved(p, inner), batch, batch.drawn)
        return {"total": inner + self.params.weight * outer, "inner": inner, "outer": outer}

    def _moved(self, p: State, risk: Tensor) -> State:
        """Parameters after the first step of an Adam on a risk (K,); the step is a constant."""
        q = self.params
        leaves = {name: t for name, t in p.items() if not is_buffer(name)}
        slopes = torch.autograd.grad(risk.sum(), list(leaves.values()), retain_graph=True)
        moved = {}
        for (name, t), slope in zip(leaves.items(), slopes, strict=True):
            g = slope + meeting(q.weight_decay, t) * t.detach()
            step = meeting(q.inner, t) * meeting(q.lr, t) * g / (g.abs() + ADAM_EPS)
            moved[name] = t - step
        return moved

    def _risk(self, net: Network, p: State, batch: Batch, subjects: Tensor) -> Tensor:
        """Mean (K,) of the risks of those of the subjects (K, D) that occur."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        means, present = domain_means(cross_entropy(logits, batch.y), batch.domain, net.domains)
        return mean_of_domains(means, present & subjects)
