"""The parts of SCMM as pure functions of tensors, usable without the harness.

Liu et al., "EEG-SCMM: Soft Contrastive Masked Modeling for Cross-Corpus EEG-Based Emotion
Recognition", ACM MM 2025, arXiv 2408.09186. Soft weights follow SoftCLT (Lee et al., ICLR 2024),
aggregation and the balanced sum SimMTM (Dong et al., NeurIPS 2023).

Legend of shapes: K models, B original windows, m masked copies of each, N = (m + 1)B stacked
windows (originals first, then copy after copy), C channels, F features, D = C*F.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from bench.draws import Draws

Metric = Literal["cosine", "euclidean", "manhattan"]
#: Samples that a mask of raw windows hides together: an eighth of a second at 128 Hz.
STRETCH = 16


def hybrid_mask(
    shape: tuple[int, ...], ratio: float, channel_share: float, g: Draws
) -> Tensor:
    """Which entries to keep: (K, ..., C, F) booleans for a shape (..., C, F).

    Every (window, channel) takes the random mask, each feature on its own, or with probability
    ``channel_share`` the channel mask, all its features together; both hide ``ratio``.
    """
    random, channel = g.mask(ratio, *shape), g.mask(ratio, *shape[:-1], 1)
    return torch.where(g.mask(channel_share, *shape[:-1], 1), random, channel)


def window_mask(
    shape: tuple[int, ...], ratio: float, channel_share: float, g: Draws, raw: bool
) -> Tensor:
    """:func:`hybrid_mask`, which on raw windows hides stretches of :data:`STRETCH` samples.

    A single missing sample would be known from its neighbours.
    """
    if not raw:
        return hybrid_mask(shape, ratio, channel_share, g)
    samples = shape[-1]
    coarse = hybrid_mask((*shape[:-1], -(-samples // STRETCH)), ratio, channel_share, g)
    return coarse.repeat_interleave(STRETCH, dim=-1)[..., :samples]


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
        alpha: the weight of a pair at the smallest distance.
    sharpness : float
        sigma: the smaller, the harder the weights.

    Returns
    -------
    (K, N, N), no gradient
    """
    with torch.no_grad():
        d = distances(x, metric)
        diagonal = d.diagonal(dim1=1, dim2=2)
        diagonal.fill_(torch.inf)
        low = d.amin(dim=(1, 2))
        diagonal.copy_(low.unsqueeze(1).expand_as(diagonal))
        # The diagonal holds the global minimum, so it is the minimum of every column.
        low = low[:, None, None]
        span = d.amax(dim=1, keepdim=True).sub_(low)
        span.masked_fill_(span <= 0, 1.0)
        scaled = d.sub_(low).mul_(-1 / (span * sharpness))
        return torch.sigmoid_(scaled).mul_(2 * upper_bound)


def with_positives(weights: Tensor, originals: int) -> Tensor:
    """Soft weights with 1 for copies of the same window and 0 on the diagonal: (K, N, N)."""
    weights = weights.clone()
    n = weights.shape[-1]
    for offset in range(0, n, originals):
        for diagonal in (offset, -offset):
            weights.diagonal(diagonal, 1, 2).fill_(1.0 if offset else 0.0)
    return weights


class _Relations(torch.autograd.Function):
    """Aggregation weights and soft contrastive loss of a similarity matrix, in few passes.

    Both need the same softmax; written as one function, N x N matrices are passed over about a
    third as often as automatic differentiation would.
    """

    @staticmethod
    def forward(ctx: Any, s: Tensor, weights: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        n = s.shape[-1]
        logits = s / temperature
        pulled = (weights * logits).sum(dim=(1, 2))
        logits.diagonal(dim1=1, dim2=2).fill_(-torch.inf)
        log_partition = torch.logsumexp(logits, dim=2, keepdim=True)
        aggregation = logits.sub_(log_partition).exp_()
        row = weights.sum(dim=2, keepdim=True)
        loss = ((row * log_partition).sum(dim=(1, 2)) - pulled) / (n * (n - 1))
        ctx.save_for_backward(aggregation, weights, row)
        ctx.temperature = temperature
        return aggregation, loss

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        d_aggregation, d_loss = gradients
        aggregation, weights, row = ctx.saved_tensors
        n = weights.shape[-1]
        share = d_loss[:, None, None] / (n * (n - 1))
        # softmax: A * (g - sum(g * A)); loss: (row * A - W) / N(N - 1)
        inner = torch.linalg.vecdot(d_aggregation, aggregation).unsqueeze(2)
        d_s = (d_aggregation - (inner - row * share)).mul_(aggregation)
        d_s.sub_(weights * share)
        return d_s.div_(ctx.temperature), None, None


def relations(
    z: Tensor, weights: Tensor, temperature: float, similarity: str = "dot"
) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities of projections and what follows from them.

    Parameters
    ----------
    z : (K, N, P)
        Projections.
    weights : (K, N, N)
        From :func:`with_positives`: zero on the diagonal, no gradient.
    temperature : float
        t
    similarity : {"dot", "cosine"}
        Raw dot product, as the released code has it, or of unit vectors, as in SimMTM.

    Returns
    -------
    similarity : (K, N, N)
    aggregation : (K, N, N)
        Softmax of s / t over all other windows; zero on the diagonal.
    contrastive : (K,)
        Soft contrastive loss: minus the weighted log-softmax of s / t over j != i, divided by
        N(N - 1).
    """
    if similarity == "cosine":
        z = functional.normalize(z, dim=-1)
    s = z @ z.mT
    aggregation, contrastive = _Relations.apply(s, weights, temperature)
    return s, aggregation, contrastive


def rebuilding(rebuilt: Tensor, x: Tensor) -> Tensor:
    """Mean squared error (K,) of windows rebuilt from others, both (K, N, D)."""
    return (rebuilt - x).square().mean(dim=(1, 2))


def balanced_sum(losses: Tensor, balance: Tensor) -> Tensor:
    """Automatically weighted sum, sum_i L_i / (2 p_i^2) + log(1 + p_i^2): (K, 2) to (K,)."""
    square = balance.square()
    return (0.5 * losses / square + torch.log1p(square)).sum(dim=1)
