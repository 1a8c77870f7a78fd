"""Networks of one model in plain torch: perceptron encoder, head, projector."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]


def linear(p: State, name: str, x: Tensor) -> Tensor:
    return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])


def norm(p: State, name: str, x: Tensor, training: bool) -> Tensor:
    return F.batch_norm(x, p[f"{name}.running_mean"], p[f"{name}.running_var"],
                        p[f"{name}.weight"], p[f"{name}.bias"], training, 0.1, 1e-5)


def encode(p: State, x: Tensor, pre: str = "", training: bool = True) -> Tensor:
    """Windows (B, C, F) to encodings: twice linear, batch norm, ReLU."""
    h = x.reshape(len(x), -1)
    for layer in ("layer1", "layer2"):
        h = F.relu(norm(p, f"{pre}{layer}_bn", linear(p, pre + layer, h), training))
    return h


def head(p: State, h: Tensor, pre: str = "") -> Tensor:
    return linear(p, f"{pre}head2", torch.sigmoid(linear(p, f"{pre}head1", h)))


def project(p: State, h: Tensor, pre: str = "") -> Tensor:
    hidden = norm(p, f"{pre}proj_bn", linear(p, f"{pre}proj1", h), True)
    return linear(p, f"{pre}proj2", F.relu(hidden))


def perceptron(p: State, name: str, h: Tensor) -> Tensor:
    return linear(p, f"{name}2", F.relu(linear(p, f"{name}1", h)))


def by_subject(values: Tensor, domain: Tensor) -> dict[int, Tensor]:
    """Values of each subject in the batch, in its order."""
    return {int(d): values[domain == d] for d in domain.unique()}


def ramp(progress: Tensor) -> Tensor:
    """Ganin et al., JMLR 2016, section 5.2.2."""
    return 2 / (1 + torch.exp(-10 * progress)) - 1
