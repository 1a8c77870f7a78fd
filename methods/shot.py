"""SHOT: adapt the encoder to the target under the source's head (Liang et al., ICML 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from bench.method import hyper
from bench.training import Losses

from .shared.losses.transfer import cross_entropy, information, nearest_centroids
from .shared.networks.layers import State
from .shared.training.deep import Batch, FromSource, LossOf, Network
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

    Published weight normalisation and label smoothing of the head are left out: all methods here
    share one head and one source training.
    """

    name: ClassVar[str] = "shot"
    Params = SHOTParams
    params: SHOTParams

    def phases(self, net: Network) -> list[tuple[Callable[[str], bool] | None, LossOf]]:
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
