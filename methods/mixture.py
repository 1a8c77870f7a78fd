"""Mixture: source windows and calibration windows in one training, each side with its weight.

The weight of the calibration windows is a parameter: at 1 the source is not heard, at 0 the
calibration is not. Batches hold as many windows of either side, few ones again and again.

Equation
--------
(1 - share) * mean CE(f(x_s), y_s) + share * mean CE(f(x_c), y_c)
"""

from __future__ import annotations

from bench.method import Job, Needs, hyper
from bench.registry import ANY_FEATURES
from bench.training import Losses

from .shared.losses.transfer import cross_entropy
from .shared.networks.layers import State
from .shared.training.deep import Batch, FoldByFold, Network, TrainingSet, labelled_source
from .shared.training.finetuning import NetworkParams


class MixtureParams(NetworkParams):
    """Parameters of the mixture."""

    share: float = hyper(
        0.5, "weight of the calibration windows, that of the source being the rest",
        stage="pretrain", ge=0, le=1, tune=(0.1, 0.9), per_model=0,
    )


class Mixture(FoldByFold):
    """Weighted cross-entropy of the source and of the calibration windows, in shared classes."""

    name = "mixture"
    Params = MixtureParams
    params: MixtureParams
    needs = Needs(source="labelled", calibration=True, features=ANY_FEATURES)
    maps_labels = True

    def keeps_head(self, job: Job) -> bool:
        """Yes: the calibration windows have trained it, too."""
        return True

    def training_set(self, job: Job) -> TrainingSet:
        """Source and calibration windows, both with their labels."""
        calibration = job.view.calibration
        if calibration is None:
            raise ValueError("the engine handed no calibration windows to a method that needs them")
        return TrainingSet(labelled_source(job), calibration, job.state, job.ctx)

    def losses(self, net: Network, p: State, batch: Batch) -> Losses:
        """Mean cross-entropy of both sides, weighted."""
        assert batch.pseudo is not None
        source, target = net.encode(p, batch)
        risk = cross_entropy(net.head(p, source), batch.y).mean(dim=1)
        calibrated = cross_entropy(net.head(p, target), batch.pseudo).mean(dim=1)
        share = self.params.share
        total = (1 - share) * risk + share * calibrated
        return {"total": total, "risk": risk, "calibration": calibrated}
