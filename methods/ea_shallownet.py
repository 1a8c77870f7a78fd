"""ShallowNet on aligned signals: each subject's windows whitened by their mean covariance.

He and Wu, IEEE TBME 2020 (Euclidean alignment); Schirrmeister et al. 2017 (ShallowFBCSPNet). The
alignment is the harness's own, ``--scaling euclidean``, so that controls go by it too; without it
the method is refused.

Equation
--------
mean_i CE(f(R^-1/2 x_i), y_i) over source windows; R the mean of X X^T / T over a subject's windows

Adapted
-------
the target's R is that of the windows that the protocol grants
    the original takes all trials of the new subject. zero-shot, which grants none, goes by the
    source's.
"""

from __future__ import annotations

from bench.errors import IncompatibleError
from bench.method import Needs, hyper

from .shared.training.deep import Supervised
from .shared.training.finetuning import NetworkParams


class EAShallowNetParams(NetworkParams):
    """Parameters: those of all networks, with another backbone."""

    backbone: str = hyper("shallow", "encoder, see docs/methods.md", stage="network")


class EAShallowNet(Supervised):
    """Source-only with ShallowFBCSPNet on Euclidean-aligned raw windows."""

    name = "ea-shallownet"
    Params = EAShallowNetParams
    needs = Needs(source="labelled", features=frozenset({"raw"}))

    def check_scaling(self, scaling: str) -> None:
        """Refuse windows that are not aligned."""
        super().check_scaling(scaling)
        if scaling != "euclidean":
            raise IncompatibleError(
                f"{self.name} works on aligned windows, not on {scaling} ones",
                "Add --scaling euclidean.",
            )
