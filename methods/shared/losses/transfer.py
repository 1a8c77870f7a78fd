"""Losses of supervised, adaptation and test-time methods, as pure functions of tensors.

Legend of shapes: K models (never mixed), B windows, T target windows, W width of an encoding,
c classes, D domains (source subjects). A loss is (K,) unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bench.training import meeting


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of each window: logits (K, B, c), classes (K, B) to (K, B)."""
    flat = functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
    return flat.view(y.shape)


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of each window's probabilities: logits (K, B, c) to (K, B)."""
    log_p = torch.log_softmax(logits, dim=2)
    return -(log_p.exp() * log_p).sum(dim=2)


def one_hot(index: Tensor, count: int) -> Tensor:
    """Whether an index (...) is each of so many: (..., count) bool; torch's own reads values."""
    return index.unsqueeze(-1) == torch.arange(count, device=index.device)


def domain_means(values: Tensor, domain: Tensor, domains: int) -> tuple[Tensor, Tensor]:
    """Mean of (K, B) values over each domain, and which domains occur: (K, D), (K, D) bool.

    The mean of a domain that does not occur is 0.
    """
    member = one_hot(domain, domains).to(values.dtype)
    counts = member.sum(dim=1)
    return (values.unsqueeze(1) @ member).squeeze(1) / counts.clamp(min=1), counts > 0


def group_dro(
    means: Tensor, present: Tensor, weights: Tensor, step: float
) -> tuple[Tensor, Tensor]:
    """GroupDRO: losses weighted by q, where q_d grows with exp(step * loss_d).

    Parameters
    ----------
    means, present : (K, D)
        From :func:`domain_means`.
    weights : (K, D)
        q before this batch, summing to 1 over domains.

    Returns
    -------
    (K,), (K, D)
        Loss, and q after this batch. Domains that do not occur keep their share.
    """
    with torch.no_grad():
        grown = weights * torch.exp(step * means * present)
        grown = grown / grown.sum(dim=1, keepdim=True)
    return (grown * means).sum(dim=1), grown


def vrex(means: Tensor, present: Tensor) -> Tensor:
    """V-REx: variance (over n) of the losses of the domains that occur; (K, D) both."""
    count = present.sum(dim=1, keepdim=True)
    centre = (means * present).sum(dim=1, keepdim=True) / count
    return ((means - centre).square() * present).sum(dim=1) / count.squeeze(1)


def irm(logits: Tensor, y: Tensor, domain: Tensor, domains: int) -> Tensor:
    """IRMv1 penalty: squared gradient of each domain's risk by a scale w of the logits at 1.

    The gradient of one window's cross-entropy is sum_c (p_c - [y = c]) z_c. The square is
    estimated without bias as the product of the gradients of two halves of a domain's windows
    (even and odd places in the batch), and averaged over domains that have both.

    Parameters
    ----------
    logits : (K, B, c)
    y, domain : (K, B)
    """
    p = torch.softmax(logits, dim=2)
    slope = ((p - one_hot(y, logits.shape[2]).to(p.dtype)) * logits).sum(dim=2)
    half = torch.arange(y.shape[1], device=y.device) % 2
    means, present = domain_means(slope, 2 * domain + half, 2 * domains)
    even, odd = means.view(-1, domains, 2).unbind(dim=2)  # the backward of prod() reads values
    product = even * odd
    both = present.view(-1, domains, 2).all(dim=2)
    return (product * both).sum(dim=1) / both.sum(dim=1).clamp(min=1)


def mixed(values: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """Mixup: share * v_i + (1 - share) * v_partner(i).

    Parameters
    ----------
    values : (K, B, ...)
    share : (K,)
    partner : (K, B) int
    """
    models = torch.arange(len(values), device=values.device)[:, None]
    share = share.view(-1, *[1] * (values.dim() - 1))
    return share * values + (1 - share) * values[models, partner]


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float | Tensor) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return -meeting(ctx.scale, gradients[0]) * gradients[0], None


def reverse_gradient(x: Tensor, scale: float | Tensor) -> Tensor:
    """The identity, whose gradient is multiplied by ``-scale`` (Ganin and Lempitsky)."""
    out: Tensor = _Reverse.apply(x, scale)
    return out


def domain_confusion(
    source: Tensor, target: Tensor, source_weight: Tensor | None = None,
    target_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of a domain classifier, half for each side.

    Parameters
    ----------
    source, target : (K, B), (K, T)
        Logits of "is source".
    source_weight, target_weight : (K, B), (K, T), optional
        Weights of windows; they are scaled to a mean of 1.
    """
    sides = []
    for loss, weight in (
        (functional.softplus(-source), source_weight), (functional.softplus(target), target_weight)
    ):
        scaled = loss if weight is None else loss * weight / weight.mean(dim=1, keepdim=True)
        sides.append(scaled.mean(dim=1))
    return 0.5 * (sides[0] + sides[1])


def outer(h: Tensor, p: Tensor) -> Tensor:
    """Multilinear map of CDAN: every product h_i p_j; (K, B, W), (K, B, c) to (K, B, W * c)."""
    return (h.unsqueeze(3) * p.unsqueeze(2)).flatten(2)


def coral(source: Tensor, target: Tensor) -> Tensor:
    """Squared Frobenius distance of the covariances over 4 W^2; (K, B, W), (K, T, W)."""
    def covariance(h: Tensor) -> Tensor:
        centred = h - h.mean(dim=1, keepdim=True)
        return centred.mT @ centred / (h.shape[1] - 1)

    difference = covariance(source) - covariance(target)
    return difference.square().sum(dim=(1, 2)) / (4 * source.shape[2] ** 2)


def squared_distances(z: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs of rows: (K, N, W) to (K, N, N)."""
    norms = z.square().sum(dim=2)
    return (norms.unsqueeze(2) + norms.unsqueeze(1) - 2 * z @ z.mT).clamp(min=0)


def gaussian_kernels(z: Tensor, kernels: int = 5) -> Tensor:
    """Sum of Gaussian kernels exp(-d^2 / s) of all pairs of rows: (K, N, W) to (K, N, N).

    The bandwidths s are the mean squared distance of different rows, held constant, times
    2^(-kernels // 2), ..., 1, 2, ...
    """
    d = squared_distances(z)
    rows = z.shape[1]
    width = d.detach().sum(dim=(1, 2), keepdim=True) / (rows * (rows - 1))
    width = width.clamp(min=torch.finfo(d.dtype).tiny)
    out = torch.zeros_like(d)
    for i in range(kernels):
        out = out + torch.exp(-d / (width * 2.0 ** (i - kernels // 2)))
    return out


def mean_discrepancy(kernel: Tensor, weights: Tensor) -> Tensor:
    """Squared MMD w^T G w of a kernel matrix.

    Parameters
    ----------
    kernel : (K, N, N)
        Between the rows of source and target, one after the other.
    weights : (K, N) or (N,)
        1/B for source rows and -1/T for target rows give the plain (biased) estimate.
    """
    w = weights.expand(kernel.shape[:2])
    return ((kernel @ w.unsqueeze(2)).squeeze(2) * w).sum(dim=1)


def sides(source: Tensor, target: Tensor) -> Tensor:
    """Weights of :func:`mean_discrepancy`: 1/B for each source row, -1/T for each target row."""
    rows = ((source.shape[1], 1), (target.shape[1], -1))
    return torch.cat([source.new_full((count,), sign / count) for count, sign in rows])


def mmd(source: Tensor, target: Tensor, kernels: int = 5) -> Tensor:
    """Multi-kernel squared MMD of DAN; (K, B, W), (K, T, W)."""
    kernel = gaussian_kernels(torch.cat([source, target], dim=1), kernels)
    return mean_discrepancy(kernel, sides(source, target))


def joint_mmd(
    source: Tensor, target: Tensor, source_p: Tensor, target_p: Tensor, *, kernels: int = 5,
    width: float = 1.68,
) -> Tensor:
    """Joint MMD of JAN: the kernels of encodings and of class probabilities are multiplied.

    Parameters
    ----------
    source, target : (K, B, W), (K, T, W)
    source_p, target_p : (K, B, c), (K, T, c)
    width : float
        Fixed squared bandwidth of the probabilities' kernel.
    """
    kernel = gaussian_kernels(torch.cat([source, target], dim=1), kernels)
    beside = torch.exp(-squared_distances(torch.cat([source_p, target_p], dim=1)) / width)
    return mean_discrepancy(kernel * beside, sides(source, target))


def local_mmd(
    source: Tensor, target: Tensor, y: Tensor, target_p: Tensor, kernels: int = 5
) -> Tensor:
    """Local MMD of DSAN: one MMD for each class, target windows weighted by their probability.

    Averaged over the classes that occur among the source windows.

    Parameters
    ----------
    source, target : (K, B, W), (K, T, W)
    y : (K, B)
    target_p : (K, T, c)
        Class probabilities, used as constants.
    """
    kernel = gaussian_kernels(torch.cat([source, target], dim=1), kernels)
    own = one_hot(y, target_p.shape[2]).to(kernel.dtype)
    theirs = target_p.detach()
    tiny = torch.finfo(kernel.dtype).tiny
    left = own / own.sum(dim=1, keepdim=True).clamp(min=1)
    right = theirs / theirs.sum(dim=1, keepdim=True).clamp(min=tiny)
    w = torch.cat([left, -right], dim=1)
    each = ((kernel @ w) * w).sum(dim=1)
    occurs = own.sum(dim=1) > 0
    return (each * occurs).sum(dim=1) / occurs.sum(dim=1)


def class_confusion(logits: Tensor, temperature: float) -> Tensor:
    """Minimum class confusion: the share of confusion between different classes; (K, T, c).

    Windows weigh 1 + exp(-entropy), scaled to a mean of 1; C = P^T diag(w) P is normalised by
    row, and what lies off its diagonal is summed and divided by c.
    """
    z = logits / temperature
    p = torch.softmax(z, dim=2)
    weight = 1 + torch.exp(-entropy(z).detach())
    weight = weight / weight.mean(dim=1, keepdim=True)
    confusion = (p * weight.unsqueeze(2)).mT @ p
    confusion = confusion / confusion.sum(dim=2, keepdim=True)
    on = confusion.diagonal(dim1=1, dim2=2).sum(dim=1)
    return (confusion.sum(dim=(1, 2)) - on) / logits.shape[2]


def classifier_discrepancy(one: Tensor, other: Tensor) -> Tensor:
    """Mean absolute difference of two heads' probabilities; logits (K, T, c) both."""
    return (torch.softmax(one, dim=2) - torch.softmax(other, dim=2)).abs().mean(dim=(1, 2))


def domain_shift(source: Tensor, domain: Tensor, target: Tensor) -> Tensor:
    """Squared distance of each domain's mean from the target's in that domain's space (MS-MDA).

    The MMD with a linear kernel, averaged over the domains that occur.

    Parameters
    ----------
    source, target : (K, B, D, W), (K, T, D, W)
        Windows in the spaces of all D domains.
    domain : (K, B) int
    """
    member = one_hot(domain, source.shape[2]).to(source.dtype)
    counts = member.sum(dim=1)
    means = (member.unsqueeze(3) * source).sum(dim=1) / counts.clamp(min=1).unsqueeze(2)
    distance = (means - target.mean(dim=1)).square().sum(dim=2)
    occurs = counts > 0
    return (distance * occurs).sum(dim=1) / occurs.sum(dim=1)


def branch_disagreement(logits: Tensor) -> Tensor:
    """Mean absolute difference of the probabilities of each pair of D branches; (K, T, D, c).

    0 where there is but one branch.
    """
    branches = logits.shape[2]
    if branches < 2:
        return logits.new_zeros(len(logits))
    p = torch.softmax(logits, dim=3)
    i, j = torch.triu_indices(branches, branches, 1, device=logits.device)
    return (p[:, :, i] - p[:, :, j]).abs().mean(dim=(1, 2, 3))


def information(logits: Tensor) -> Tensor:
    """Mean entropy minus entropy of the mean (SHOT): sure of each, diverse over all; (K, T, c)."""
    p = torch.softmax(logits, dim=2).mean(dim=1)
    diversity = -(p * torch.log(p.clamp(min=torch.finfo(p.dtype).tiny))).sum(dim=1)
    return entropy(logits).mean(dim=1) - diversity


def nearest_centroids(h: Tensor, p: Tensor, rounds: int = 2) -> Tensor:
    """Pseudo-labels of SHOT: the nearest class centroid by cosine, twice.

    Parameters
    ----------
    h : (K, T, W)
        Encodings; a constant 1 is appended, as published.
    p : (K, T, c)
        Probabilities that weigh the first centroids; later ones go by the labels found.

    Returns
    -------
    (K, T) int
    """
    h = functional.normalize(torch.cat([h, torch.ones_like(h[..., :1])], dim=2), dim=2)
    weight, y = p, p.argmax(dim=2)
    for _ in range(rounds):
        centroids = weight.mT @ h / weight.sum(dim=1).clamp(min=1e-8).unsqueeze(2)
        near = h @ functional.normalize(centroids, dim=2).mT
        # A class that no window was given has no centroid and attracts none.
        near = near.masked_fill((weight.sum(dim=1) == 0).unsqueeze(1), -torch.inf)
        y = near.argmax(dim=2)
        weight = one_hot(y, p.shape[2]).to(p.dtype)
    return y
