"""Losses of methods of this field, as pure functions of tensors.

Legend of shapes: K models (never mixed), B windows, D source subjects, C channels, F features, c
classes. A loss is (K,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .transfer import one_hot


def divergence(logits: Tensor, wanted: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of predictions (K, B, c) from distributions (K, B, c).

    sum_c q_c (log q_c - log p_c), where 0 log 0 is 0.
    """
    log_p = torch.log_softmax(logits, dim=2)
    return (torch.xlogy(wanted, wanted) - wanted * log_p).sum(dim=2).mean(dim=1)


def sparse(links: Tensor) -> Tensor:
    """Sum of the sizes of links (K, C, C)."""
    return links.abs().sum(dim=(1, 2))


def same_class_of(
    y: Tensor, domain: Tensor, domains: int, chance: Tensor
) -> tuple[Tensor, Tensor]:
    """For each window one of each subject in the batch that is of its class, and if there is one.

    Parameters
    ----------
    y, domain : (K, B) int
    chance : (K, B, B)
        Of what of several fit that of the greatest number is taken.

    Returns
    -------
    (K, B, D) int, (K, B, D) bool
    """
    alike = (y.unsqueeze(2) == y.unsqueeze(1)).unsqueeze(2)
    member = one_hot(domain, domains).mT.unsqueeze(1)
    fits = alike & member  # (K, B, D, B)
    chosen = torch.where(fits, chance.unsqueeze(2), -1.0).argmax(dim=3)
    return chosen, fits.any(dim=3)


def reconstruction(rebuilt: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean squared error of each decoder over the windows that are known to it, summed over them.

    Parameters
    ----------
    rebuilt, wanted : (K, B, D, N)
        Flattened windows.
    known : (K, B, D) bool
    """
    error = (rebuilt - wanted).square().mean(dim=3) * known
    return (error.sum(dim=1) / known.sum(dim=1).clamp(min=1)).sum(dim=1)
