"""ADDA: move the target's encoder to where the source's was (Tzeng et al., CVPR 2017).

Equation
--------
d: BCE(d(h_s), 1) + BCE(d(h_t), 0), halved; encoder: BCE(d(h_t), 1), the head at rest

Adapted
-------
steps alternate, and the target's encoder starts as the source's
    as in the paper, at one learning rate for both.
"""

from __future__ import annotations

import torch

from bench.draws import Draws
from bench.training import Losses

from .shared.losses.transfer import deception, domain_confusion
from .shared.networks.layers import Mlp, State, names_of, prefixed, scoped
from .shared.training.deep import Batch, FromSource, Network, Phases

FIXED = "fixed."


class ADDA(FromSource):
    """Train on the source; then let the encoder minimise -log d("source" | h_t), the head at rest.

    Steps alternate with those of the domain classifier d, which tells encodings of the source, by
    an encoder that no longer changes, from those of the target.
    """

    name = "adda"

    def _classifier(self, net: Network) -> Mlp:
        return Mlp("domain", net.encoder.width)

    def beside(self, net: Network, start: State, g: Draws) -> State:
        """Domain classifier, and the encoder of the source, which rests."""
        kept = {name: start[name].clone() for name in names_of(net.encoder)}
        return self._classifier(net).init(g) | prefixed(FIXED, kept)

    def phases(self, net: Network) -> Phases:
        """Domain classifier, then the target's encoder."""
        return [
            (lambda name: name.startswith("domain"), self.discriminate),
            (net.encodes, self.deceive),
        ]

    def discriminate(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of the domain classifier."""
        with torch.no_grad():
            source = net.encoder(scoped(FIXED, p), batch.x, training=False)
            target = net.encoder(p, batch.target, training=True)
        logits = [self._classifier(net)(p, h).squeeze(2) for h in (source, target)]
        loss = domain_confusion(logits[0], logits[1])
        return {"total": loss, "domain": loss}

    def deceive(self, net: Network, p: State, batch: Batch) -> Losses:
        """Cross-entropy of the target's encodings with the label "source"."""
        target = net.encoder(p, batch.target, training=True)
        logits = self._classifier(net)(p, target).squeeze(2)
        loss = deception(logits)
        return {"total": loss, "deception": loss}
