"""SimCLR: two augmented views of a window find each other (Chen et al., ICML 2020).

Equation
--------
-(1 / 2B) sum_i log softmax_j (cos(z_i, z_j) / t) at the other view of i, over j != i

Adapted
-------
augmentations are those of log power per band
    images have crops and colours, windows of differential entropy have neither.
encoder and projector are those of all methods here
    methods of the family differ in what they learn from alone.
"""

from __future__ import annotations

from torch import Tensor

from .shared.losses.selfsupervised import nt_xent
from .shared.networks.layers import State
from .shared.training.selfsupervised import SelfSupervised, temperature
from .shared.training.views import AugmentedParams, TwoViews, halves


class SimCLRParams(AugmentedParams):
    """Parameters of SimCLR."""

    temperature: float = temperature(0.5)


class SimCLRTask(TwoViews):
    """Contrast of two views over the batch."""

    params: SimCLRParams

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """NT-Xent of windows (K, B, C, F), (K,)."""
        z = self.project(p, self.views(x, noise))
        return {"total": nt_xent(*halves(z), self.params.temperature)}


class SimCLR(SelfSupervised):
    """Contrastive learning of augmented views."""

    name = "simclr"
    Params = SimCLRParams
    task = SimCLRTask
