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


def place_in_domain(domain: Tensor, domains: int) -> Tensor:
    """How many windows of its domain stand before each window of a batch; (K, B) to (K, B)."""
    before = one_hot(domain, domains).to(torch.int64).cumsum(dim=1) - 1
    return before.gather(2, domain.unsqueeze(2)).squeeze(2)


def mean_of_domains(means: Tensor, counted: Tensor) -> Tensor:
    """Mean (K,) over the domains that count, of (K, D) both; 0 where none does."""
    return (means * counted).sum(dim=1) / counted.sum(dim=1).clamp(min=1)


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
    (every other one, in the order of the batch), and averaged over domains that have both.

    Parameters
    ----------
    logits : (K, B, c)
    y, domain : (K, B)
    """
    p = torch.softmax(logits, dim=2)
    slope = ((p - one_hot(y, logits.shape[2]).to(p.dtype)) * logits).sum(dim=2)
    half = place_in_domain(domain, domains) % 2
    means, present = domain_means(slope, 2 * domain + half, 2 * domains)
    even, odd = means.view(-1, domains, 2).unbind(dim=2)  # the backward of prod() reads values
    product = even * odd
    both = present.view(-1, domains, 2).all(dim=2)
    return (product * both).sum(dim=1) / both.sum(dim=1).clamp(min=1)


def partners(domain: Tensor, order: Tensor) -> Tensor:
    """A window of another domain for each window, as DomainBed pairs its minibatches.

    The domains of a batch stand in a circle; the n-th window of one is paired with the n-th window
    of the next (counted from the start again where that has fewer). A domain alone is paired with
    itself.

    Parameters
    ----------
    domain : (K, B) int
    order : (K, D) int
        The domains, in the order in which they stand in the circle.

    Returns
    -------
    (K, B) int
        Places in the batch.
    """
    domains, batch = order.shape[1], domain.shape[1]
    counts = one_hot(domain, domains).sum(dim=1).gather(1, order)
    standing = counts > 0
    ranks = torch.where(standing, standing.cumsum(dim=1) - 1, -1)
    place = ranks.gather(1, order.argsort(dim=1)).gather(1, domain)
    following = (place + 1) % standing.sum(dim=1, keepdim=True)
    size = ((ranks.unsqueeze(1) == following.unsqueeze(2)) * counts.unsqueeze(1)).sum(dim=2)
    own = place_in_domain(domain, domains)
    wanted, keys = following * batch + own % size, place * batch + own
    return (wanted.unsqueeze(2) == keys.unsqueeze(1)).to(torch.uint8).argmax(dim=2)


def mixed(values: Tensor, share: Tensor, partner: Tensor) -> Tensor:
    """Mixup: share_i * v_i + (1 - share_i) * v_partner(i).

    Parameters
    ----------
    values : (K, B, ...)
    share : (K, B)
    partner : (K, B) int
    """
    models = torch.arange(len(values), device=values.device)[:, None]
    share = share.view(*share.shape, *[1] * (values.dim() - 2))
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
    return _Reverse.apply(x, scale)


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

    Averaged over the classes that occur on both sides: among the source's labels, and among the
    most probable classes of the target windows. 0 where there is none.

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
    guessed = one_hot(theirs.argmax(dim=2), theirs.shape[2])
    both = own.bool().any(dim=1) & guessed.any(dim=1)
    return (each * both).sum(dim=1) / both.sum(dim=1).clamp(min=1)


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


def branch_disagreement(features: Tensor, occurs: Tensor) -> Tensor:
    """How far the target's windows in one branch are from those in the others (MS-MDA).

    For a branch, the sum over all other branches of the mean absolute difference of the softmax of
    their features; of these the mean over the branches that occur. 0 where there is but one.

    Parameters
    ----------
    features : (K, T, D, H)
        Target windows in the spaces of all D branches.
    occurs : (K, D) bool
        Branches whose subjects have windows in the batch.
    """
    branches = features.shape[2]
    if branches < 2:
        return features.new_zeros(len(features))
    p = torch.softmax(features, dim=3)
    i, j = torch.triu_indices(branches, branches, 1, device=features.device)
    apart = (p[:, :, i] - p[:, :, j]).abs().mean(dim=(1, 3))
    counted = occurs.to(apart.dtype)
    return (apart * (counted[:, i] + counted[:, j])).sum(dim=1) / counted.sum(dim=1)


#: Added by the released code of SHOT to each probability before its logarithm is taken.
SHOT_EPS = 1e-5


def information(logits: Tensor) -> Tensor:
    """Mean entropy minus entropy of the mean (SHOT): sure of each, diverse over all; (K, T, c)."""
    def uncertainty(p: Tensor) -> Tensor:
        return -(p * torch.log(p + SHOT_EPS)).sum(dim=-1)

    p = torch.softmax(logits, dim=2)
    return uncertainty(p).mean(dim=1) - uncertainty(p.mean(dim=1))


def deception(logits: Tensor) -> Tensor:
    """Mean cross-entropy of a domain classifier's logits with the label "source" (ADDA); (K, T)."""
    return functional.softplus(-logits).mean(dim=1)


def nearest_centroids(h: Tensor, p: Tensor, rounds: int = 2) -> Tensor:
    """Pseudo-labels of SHOT: the nearest class centroid by cosine, twice.

    Only classes that some window was given before, the most probable ones at first, attract any.

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
        given = one_hot(y, p.shape[2]).any(dim=1)
        near = near.masked_fill(~given.unsqueeze(1), -torch.inf)
        y = near.argmax(dim=2)
        weight = one_hot(y, p.shape[2]).to(p.dtype)
    return y
