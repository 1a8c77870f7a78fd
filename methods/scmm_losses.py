"""The parts of SCMM as pure functions of tensors, usable without the harness.

Liu et al., "EEG-SCMM: Soft Contrastive Masked Modeling for Cross-Corpus EEG-Based Emotion
Recognition", ACM MM 2025, arXiv 2408.09186. Soft weights follow SoftCLT (Lee et al., ICLR 2024),
aggregation and the balanced sum SimMTM (Dong et al., NeurIPS 2023).

Legend of shapes: K models, B original windows, m masked copies of each, N = (m + 1)B stacked
windows (originals first, then copy after copy), C channels, F features, D = C*F.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Metric = Literal["cosine", "euclidean", "manhattan"]


def hybrid_mask(
    shape: tuple[int, ...], ratio: float, channel_share: float, g: torch.Generator
) -> Tensor:
    """Which entries to keep: (..., C, F) booleans.

    Every (window, channel) takes the random mask, each feature on its own, or with probability
    ``channel_share`` the channel mask, all its features together; both hide ``ratio``.
    """
    random = torch.rand(shape, generator=g) >= ratio
    whole = torch.rand((*shape[:-1], 2), generator=g)
    channel = (whole[..., :1] >= ratio).expand(shape)
    return torch.where(whole[..., 1:] < channel_share, channel, random)


def masked_copies(x: Tensor, keep: Tensor) -> Tensor:
    """Stack windows and masked copies of them; ``x`` itself is left as it is.

    Parameters
    ----------
    x : (K, B, C, F)
    keep : (K, m, B, C, F) bool

    Returns
    -------
    (K, (m + 1)B, C, F)
    """
    copies = x.unsqueeze(1) * keep
    return torch.cat([x.unsqueeze(1), copies], dim=1).flatten(1, 2)


def distances(x: Tensor, metric: Metric) -> Tensor:
    """Pairwise distances (K, N, N) of windows (K, N, D); cosine ones are minus the similarity."""
    if metric == "cosine":
        unit = functional.normalize(x, dim=-1)
        return -(unit @ unit.mT)
    return torch.cdist(
        x, x, p=2.0 if metric == "euclidean" else 1.0,
        compute_mode="donot_use_mm_for_euclid_dist",
    )


def soft_weights(
    x: Tensor, upper_bound: float, sharpness: float, metric: Metric = "cosine"
) -> Tensor:
    """How much each pair counts as positive, from distances between the inputs.

    w_ij = 2*alpha / (1 + exp(d_ij / sigma)), where d is scaled to [0, 1] by the range of each
    column; the diagonal takes the smallest distance between different windows.

    Parameters
    ----------
    x : (K, N, D)
        Stacked windows, flattened.
    upper_bound : float
        alpha; twice the weight of the nearest pair... of distance zero.
    sharpness : float
        sigma: the smaller, the harder the weights.

    Returns
    -------
    (K, N, N), no gradient
    """
    with torch.no_grad():
        d = distances(x, metric)
        diagonal = torch.eye(d.shape[-1], dtype=torch.bool, device=d.device)
        low = d.masked_fill(diagonal, torch.inf).amin(dim=(1, 2), keepdim=True)
        d = torch.where(diagonal, low, d)
        # The diagonal holds the global minimum, so it is the minimum of every column.
        span = d.amax(dim=1, keepdim=True) - low
        scaled = (d - low) / torch.where(span > 0, span, 1.0)
        return 2 * upper_bound * torch.sigmoid(-scaled / sharpness)


def with_positives(weights: Tensor, originals: int) -> Tensor:
    """Soft weights with 1 for copies of the same window and 0 on the diagonal: (K, N, N)."""
    n = weights.shape[-1]
    index = torch.arange(n, device=weights.device)
    same = (index[:, None] - index) % originals == 0
    weights = torch.where(same, 1.0, weights)
    return weights * (index[:, None] != index)


def relations(z: Tensor, temperature: float, similarity: str = "dot") -> tuple[Tensor, ...]:
    """Similarities of projections and what follows from them.

    Parameters
    ----------
    z : (K, N, P)
    similarity : {"dot", "cosine"}
        Raw dot product, as the released code has it, or of unit vectors, as in SimMTM.

    Returns
    -------
    similarity : (K, N, N)
    log_partition : (K, N, 1)
        log sum over j != i of exp(s_ij / temperature).
    aggregation : (K, N, N)
        Softmax of s / temperature over all other windows; zero on the diagonal.
    """
    if similarity == "cosine":
        z = functional.normalize(z, dim=-1)
    s = z @ z.mT
    diagonal = torch.eye(s.shape[-1], dtype=torch.bool, device=s.device)
    logits = (s / temperature).masked_fill(diagonal, -torch.inf)
    log_partition = torch.logsumexp(logits, dim=-1, keepdim=True)
    return s, log_partition, torch.exp(logits - log_partition)


def soft_contrastive(
    s: Tensor, log_partition: Tensor, weights: Tensor, temperature: float
) -> Tensor:
    """Soft contrastive loss of each model: (K,).

    Minus the weighted log-softmax of s / temperature, over N(N - 1). Since the weights are zero
    on the diagonal, sum_ij w_ij (s_ij / t - l_i) needs no log-softmax matrix.
    """
    n = s.shape[-1]
    pulled = (weights * s).sum(dim=(1, 2)) / temperature
    normaliser = (weights.sum(dim=2) * log_partition.squeeze(2)).sum(dim=1)
    return (normaliser - pulled) / (n * (n - 1))


def balanced_sum(losses: Tensor, balance: Tensor) -> Tensor:
    """Automatically weighted sum, sum_i L_i / (2 p_i^2) + log(1 + p_i^2): (K, 2) to (K,)."""
    square = balance.square()
    return (0.5 * losses / square + torch.log1p(square)).sum(dim=1)
