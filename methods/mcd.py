"""MCD: two heads that disagree where the encoder must not go (Saito et al., CVPR 2018).

Equation
--------
A: CE(f1) + CE(f2) by all; B: A - mean |p1 - p2| on the target by the heads; C: mean |p1 - p2| by
the encoder, rounds times

Adapted
-------
both sides of a batch share one batch normalisation
    windows are predicted by running statistics, which must be those the network was trained under.
both sides pass in every step, though C uses the target alone
    statistics of batch normalisation would differ from step to step.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.draws import Draws
from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import classifier_discrepancy, cross_entropy
from .shared.networks.layers import State, prefixed, scoped
from .shared.training.deep import Adaptation, Batch, Network, Phases
from .shared.training.finetuning import NetworkParams

OTHER = "other."


class MCDParams(NetworkParams):
    """Parameters of MCD."""

    rounds: int = hyper(
        4, "steps of the encoder on each batch", stage="pretrain", ge=1, le=8
    )


def _in_head(name: str) -> bool:
    return name.removeprefix(OTHER).startswith("head")


def _in_encoder(name: str) -> bool:
    return not _in_head(name)


class MCD(Adaptation):
    """Heads f1, f2 minimise CE - |p1 - p2|, the encoder minimises |p1 - p2| on the target.

    Three kinds of step: A, all minimise the CE of both heads; B, the heads alone, with the
    discrepancy subtracted; C, the encoder alone, the discrepancy, several times. Windows are
    predicted by the first head. A batch costs 2 + ``rounds`` optimiser steps.
    """

    name = "mcd"
    Params = MCDParams
    params: MCDParams

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Second head."""
        return prefixed(OTHER, net.head.init(g))

    def phases(self, net: Network) -> Phases:
        """Steps A, B, and C several times."""
        return [(None, self.classify), (_in_head, self.disagree),
                *[(_in_encoder, self.agree)] * self.params.rounds]

    def _parts(self, net: Network, p: State, batch: Batch) -> tuple[Tensor, Tensor]:
        source, target = net.encode(p, batch)
        other = scoped(OTHER, p)
        risk = sum(
            cross_entropy(net.head(q, source), batch.y).mean(dim=1) for q in (p, other)
        )
        apart = classifier_discrepancy(net.head(p, target), net.head(other, target))
        return torch.as_tensor(risk), apart

    def classify(self, net: Network, p: State, batch: Batch) -> Losses:
        """Step A."""
        risk, _ = self._parts(net, p, batch)
        return {"total": risk, "risk": risk}

    def disagree(self, net: Network, p: State, batch: Batch) -> Losses:
        """Step B."""
        risk, apart = self._parts(net, p, batch)
        return {"total": risk - apart, "discrepancy": apart}

    def agree(self, net: Network, p: State, batch: Batch) -> Losses:
        """Step C."""
        return {"total": self._parts(net, p, batch)[1]}
