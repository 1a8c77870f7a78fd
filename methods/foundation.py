"""Foundation: a pre-trained network as it is, and what is trained on it.

No training on the source: where the protocol grants calibration windows these alone are learnt, so
that the row says what a pre-training elsewhere is worth; where it grants none, a head is trained on
the labelled source. ``backbone`` names the network, ``--weights`` the folder of its weights;
without weights it starts at random, which is what they are compared with.

Equation
--------
by ``finetune``: logistic regression on standardised encodings of the frozen network, or
mean_i CE(f(x_i), y_i) with the network trained too

Adapted
-------
the head is that of all methods here
    networks differ in their encoder alone.
"""

from __future__ import annotations

from typing import Any

from bench.method import Needs, hyper

from .shared.training.finetuning import Finetune, FineTuned, NetworkParams

RAW = frozenset({"raw"})


class FoundationParams(NetworkParams):
    """Parameters of a last step; there is no other."""

    backbone: str = hyper("labram", "pre-trained network, see docs/methods.md", stage="network")
    finetune: Finetune = hyper(
        "probe", "full: train all of the network; partial: its last layers; lora: low-rank changes "
        "of its linear maps; probe: a linear probe on the frozen encoder", stage="fit",
    )


class PretrainedNetwork(FineTuned):
    """The backbone with its weights, and a head."""

    name = "foundation"
    Params = FoundationParams
    needs = Needs(source="none", calibration=True, features=RAW)

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Without its own training from the same start, which under few-shot it is itself."""
        return [(n, v) for n, v in super().controls() if v.get("weights") != self.params.weights]

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """Labelled source windows for the head, where no calibration is granted."""
        if "calibration" in grants:
            return self.needs
        return Needs(source="labelled", features=self.needs.features)
