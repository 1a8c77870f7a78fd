"""Source-only: train on the labelled source, nothing else (empirical risk minimisation)."""

from __future__ import annotations

from typing import ClassVar

from bench.training import Losses

from .deep import Batch, Network, Supervised
from .losses import cross_entropy
from .networks import State


class SourceOnly(Supervised):
    """Minimise mean_i CE(f(x_i), y_i) over all source windows, subjects pooled."""

    name: ClassVar[str] = "source-only"

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of the source."""
        logits = net.head(p, net.encoder(p, batch.x, training=True))
        return {"total": cross_entropy(logits, batch.y).mean(dim=1)}
