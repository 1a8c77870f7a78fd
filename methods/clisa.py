"""CLISA: two subjects at the same moment of the same film find each other.

Shen et al., IEEE Transactions on Affective Computing 2022. Pairs of subjects are drawn; each gives
one window of every stimulus, both at the same moment. The two windows of a stimulus are positives,
all others of the pair negatives.

It needs to know which stimulus was shown, and that goes with the class, so it declares to need a
labelled source; of the labels only ``stimulus`` is used, never a class. A source in which no two
subjects share two stimuli is refused. Targets need not share any: only the source is contrasted.

Equation
--------
mean over pairs of subjects of NT-Xent(z_a, z_b) over the stimuli both were shown

Adapted
-------
the shared encoder works on differential entropy
    the original's spatial and temporal convolutions work on raw signals.
no statistics of the tested subject are used to normalise
    protocols do not grant them.
"""

from __future__ import annotations

from torch import Tensor

from bench.data.windows import Windows
from bench.method import Needs
from bench.registry import ANY_FEATURES

from .shared.losses.selfsupervised import nt_xent
from .shared.networks.layers import State
from .shared.training.finetuning import NetworkParams
from .shared.training.sampling import SameStimulus, Source
from .shared.training.selfsupervised import Projected, SelfSupervised, temperature


class CLISAParams(NetworkParams):
    """Parameters of CLISA."""

    temperature: float = temperature(0.07, per_model=None)


class CLISATask(Projected):
    """Contrast of stimuli between two subjects."""

    params: CLISAParams

    def sampler(self, source: Source, size: int, draw: int) -> SameStimulus:
        """Pairs of subjects at the same stimuli: batches (2, P, S)."""
        if not isinstance(source, Windows):
            raise TypeError("CLISA was handed windows without stimulus")
        return SameStimulus.of(source, size, draw)

    def losses(self, p: State, x: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Contrast of windows (K, 2, P, S, C, F) within each of P pairs of subjects, (K,)."""
        models, _, pairs, stimuli = x.shape[:4]
        h = self.encoder(p, x.flatten(1, 3), training=True)
        z = self.projector(p, h, training=True).view(models, 2, pairs, stimuli, -1)
        one, other = z.unbind(dim=1)
        loss = nt_xent(one.flatten(0, 1), other.flatten(0, 1), self.params.temperature)
        return {"total": loss.view(models, pairs).mean(dim=1)}


class CLISA(SelfSupervised):
    """Contrastive learning for inter-subject alignment."""

    name = "clisa"
    Params = CLISAParams
    needs = Needs(source="labelled", calibration=True, features=ANY_FEATURES)
    task = CLISATask
