"""Losses of PR-PL on pairs of windows, as pure functions of tensors.

Legend of shapes: K models, B windows, W width of an encoding, c classes (and clusters, as many).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .transfer import one_hot

#: Added under logarithms by the released code.
ETA = 1e-5


def class_centres(h: Tensor, y: Tensor, classes: int) -> Tensor:
    """Sum of the encodings of each class over one more than their number.

    (K, B, W), (K, B) to (K, c, W); the one keeps a class without windows at 0.
    """
    member = one_hot(y, classes).to(h.dtype)
    return member.mT @ h / (member.sum(dim=1) + 1).unsqueeze(2)


def likeness(logits: Tensor) -> Tensor:
    """Cosine of the probabilities of all pairs of windows: (K, B, c) to (K, B, B)."""
    unit = functional.normalize(torch.softmax(logits, dim=2), dim=2)
    return unit @ unit.mT


def _unlikeness(alike: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy of each pair's likeness; (K, B, B) both."""
    same = same.to(alike.dtype)
    return -same * torch.log(alike + ETA) - (1 - same) * torch.log(1 - alike + ETA)


def pairwise(alike: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of pairs with whether both are of one class.

    (K, B, B), (K, B) to (K,).
    """
    same = y.unsqueeze(2) == y.unsqueeze(1)
    return _unlikeness(alike, same).mean(dim=(1, 2))


def confident_pairs(alike: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The same of unlabelled windows, over pairs whose likeness leaves no doubt.

    Pairs above ``upper`` count as one class, those below ``lower`` as two; (K, B, B) to (K,).
    """
    sure = (alike > upper) | (alike < lower)
    each = _unlikeness(alike, alike > upper)
    return (each * sure).sum(dim=(1, 2)) / sure.sum(dim=(1, 2)).clamp(min=1)


def not_orthogonal(centres: Tensor) -> Tensor:
    """Frobenius norm of P^T P - 1 of prototypes (K, c, W): (K,)."""
    gram = centres.mT @ centres
    gram = gram - torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    return gram.square().sum(dim=(1, 2)).sqrt()
