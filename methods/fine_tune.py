"""Fine-tune: train on the source, then go on with the same head on the calibration windows.

In classes that source and target share, the head that was trained on the source is not thrown away:
it and the encoder are trained further on the labelled windows of the tested subject.

Equation
--------
mean_i CE(f(x_i), y_i) over source windows; then the same over calibration windows, from there
"""

from __future__ import annotations

from bench.method import Job

from .shared.networks.layers import Encoder, State
from .shared.training.deep import Supervised


class FineTune(Supervised):
    """Source-only, whose head is kept and trained further on the calibration windows."""

    name = "fine-tune"
    maps_labels = True

    def _encoder_state(self, job: Job, encoder: Encoder) -> State:
        """Encoder and head of the source; without a source, a fresh encoder."""
        return super()._encoder_state(job, encoder) if job.state is None else dict(job.state)
