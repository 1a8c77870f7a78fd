"""T3A: class prototypes from the surest tested windows (Iwasawa and Matsuo, NeurIPS 2021).

Equation
--------
argmax_c z . mean of the supports of c; supports are the head's weights and the surest windows

Adapted
-------
all tested windows are one batch
    batches of neighbouring windows, as in a stream, would each hold one trial and one class.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench.method import hyper

from .shared.losses.transfer import entropy
from .shared.networks.layers import State, linear
from .shared.training.predicting import NetworkPredictor
from .shared.training.testtime import TestTime, TestTimeParams


class T3AParams(TestTimeParams):
    """Parameters of T3A."""

    kept: int = hyper(
        100, "surest windows that support each class", stage="fit", ge=1, tune=(5, 200),
        scale="log", per_model=0,
    )


class T3A(TestTime):
    """Predict by argmax_c z . mean of the supports of class c, z the input of the last layer.

    A class is supported by its weights in that layer and by the windows predicted as it, at most
    ``kept`` of least entropy. Supports have unit length.
    """

    name = "t3a"
    Params = T3AParams
    params: T3AParams

    def adapted(self, base: NetworkPredictor, p: State, x: Tensor) -> Tensor:
        """Logits by the prototypes of all windows passed."""
        with torch.no_grad():
            hidden = torch.sigmoid(linear(p, "head1", base.encoder(p, x, training=False)))
            logits = linear(p, "head2", hidden)
            first = p["head2.weight"]
            # A prototype has an entropy too: the head's own, of its weights as a window.
            start = linear(p, "head2", first)
            supports = torch.cat([first, hidden], dim=1)[0]
            scores = torch.cat([start, logits], dim=1)
            prototypes = self._prototypes(supports, scores)
            return hidden @ prototypes.T

    def _prototypes(self, supports: Tensor, scores: Tensor) -> Tensor:
        """(c, W) from supports (n, W) with logits (1, n, c)."""
        doubt, label = entropy(scores)[0], scores[0].argmax(dim=1)
        classes = scores.shape[2]
        label[:classes] = torch.arange(classes)  # the head's own weights stand for their class
        rows = []
        for c in range(classes):
            mine = (label == c).nonzero().squeeze(1)
            surest = mine[doubt[mine].argsort(stable=True)[: self.params.kept]]
            rows.append(functional.normalize(supports[surest], dim=1).mean(dim=0))
        return functional.normalize(torch.stack(rows), dim=1)
