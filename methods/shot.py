"""SHOT: adapt the encoder to the target under the source's head (Liang et al., ICML 2020).

As the released code (tim-learn/SHOT@f7d555a) has it: a class that no window is predicted as has no
centroid, and 1e-5 is added to probabilities under a logarithm.

Equation
--------
mean_i H(p_i) - H(mean_i p_i) + pseudo * CE(p_i, y'_i) over target windows, the head at rest;
y' the nearest class centroid of encodings by cosine, taken twice

Adapted
-------
the source's network has no weight normalisation, bottleneck or smoothed labels
    all methods here share one encoder, one head and one training on the source.
pseudo-labels are found anew at every epoch
    as in the released code, whose 15 intervals are its 15 epochs; at small budgets there are fewer.
one learning rate for the whole encoder, and Adam
    the optimiser is that of all methods here; the original trains its backbone at a tenth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, information, nearest_centroids
from .shared.networks.layers import State
from .shared.training.deep import Batch, FromSource, Network, Phases
from .shared.training.finetuning import NetworkParams


class SHOTParams(NetworkParams):
    """Parameters of SHOT."""

    pseudo: float = hyper(
        0.3, "weight of the cross-entropy with pseudo-labels (beta)", stage="pretrain", ge=0,
        tune=(0.0, 1.0), per_model=0,
    )


class SHOT(FromSource):
    """Train on the source, then minimise mean_i H(p_i) - H(mean_i p_i) + beta CE(p_i, y'_i).

    On target windows only, the head at rest; y' is the nearest class centroid of encodings.
    """

    name = "shot"
    Params = SHOTParams
    params: SHOTParams

    def phases(self, net: Network) -> Phases:
        """One step, of the encoder alone."""
        return [(net.encodes, self.losses)]

    def pseudo_labels(self, net: Network, p: State, windows: Tensor) -> Tensor:
        """Nearest class centroids of all target windows, at the beginning of each epoch."""
        h = net.encoder(p, windows, training=False)
        return nearest_centroids(h, torch.softmax(net.head(p, h), dim=2))

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Information maximisation and pseudo-labels."""
        logits = net.head(p, net.encoder(p, batch.target, training=True))
        gained = information(logits)
        if batch.pseudo is None:
            raise ValueError("SHOT needs target windows")
        guess = cross_entropy(logits, batch.pseudo).mean(dim=1)
        return {"total": gained + self.params.pseudo * guess, "information": gained,
                "pseudo": guess}
