"""Losses of self-supervised learning as pure functions of tensors, usable without the harness.

Legend of shapes: K models, B windows, N stacked rows (the B windows, then their copies, copy after
copy), P width of a projection, T successive windows, C channels, F features. A loss is (K,), one
number for each model.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .scmm import relations, with_positives


def soft_contrastive(
    z: Tensor, weights: Tensor, originals: int, temperature: float, similarity: str = "cosine"
) -> Tensor:
    """Cross-entropy between soft positives and the softmax of similarities.

    mean_i sum_{j != i} -w_ij log p_ij, with p_i the softmax of s_i / t over all j != i.

    Parameters
    ----------
    z : (K, N, P)
        Projections: ``originals`` windows, then copies of them in the same order.
    weights : (K, N, N)
        How much two rows of different windows count as positive; copies of a window count 1.
    similarity : {"cosine", "dot"}
    """
    positives = with_positives(weights, originals)
    return relations(z, positives, temperature, similarity)[2] * (z.shape[1] - 1)


def nt_xent(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (SimCLR, eq. 1) of two views (K, B, P).

    Each of the 2B projections is to find its other view among 2B - 1; symmetric in the views.
    """
    z = torch.cat([a, b], dim=1)
    return soft_contrastive(z, z.new_zeros(len(z), z.shape[1], z.shape[1]), a.shape[1], temperature)


def nt_xent_poly(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """NT-Xent with the polynomial term of TF-C's released code, of two views (K, B, P).

    Added is 1 - B * mean of the 2B x (2B - 1) probabilities of which only the positives are not
    set to zero.
    """
    z, windows = torch.cat([a, b], dim=1), a.shape[1]
    rows = z.shape[1]
    positives = with_positives(z.new_zeros(len(z), rows, rows), windows)
    _, found, loss = relations(z, positives, temperature, "cosine")
    own = (found * positives).sum(dim=(1, 2))
    return loss * (rows - 1) + 1 - windows * own / (rows * (rows - 1))


def byol(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of 2 - 2 cos between predictions and targets (K, B, P) (BYOL, eq. 2)."""
    return 2 - 2 * functional.cosine_similarity(prediction, target, dim=-1).mean(dim=1)


def vicreg(a: Tensor, b: Tensor, eps: float = 1e-4) -> dict[str, Tensor]:
    """Terms of VICReg (eqs. 1 to 5) for two views (K, B, P), each (K,); symmetric in the views.

    "invariance" is the mean squared difference; "variance" the mean shortfall of the standard
    deviations from 1, the mean of both views as in the released code (the paper's eq. 6 has their
    sum); "covariance" the sum of squared covariances between different dimensions over P, summed
    over the views.
    """
    views = torch.stack([a, b], dim=1)
    _, _, batch, width = views.shape
    spread = torch.sqrt(views.var(dim=2) + eps)
    centred = views - views.mean(dim=2, keepdim=True)
    covariance = centred.mT @ centred / (batch - 1)
    covariance.diagonal(dim1=-2, dim2=-1).zero_()
    return {
        "invariance": (a - b).square().mean(dim=(1, 2)),
        "variance": torch.relu(1 - spread).mean(dim=2).mean(dim=1),
        "covariance": covariance.square().sum(dim=(1, 2, 3)) / width,
    }


def masked_error(reconstruction: Tensor, x: Tensor, keep: Tensor) -> Tensor:
    """Mean squared error over the hidden entries only (MAE).

    Parameters
    ----------
    reconstruction, x : (K, B, C, F)
    keep : (K, B, C, F) bool
        False where an entry was hidden.
    """
    hidden = (~keep).to(x.dtype)
    error = (reconstruction - x).square() * hidden
    return error.sum(dim=(1, 2, 3)) / hidden.sum(dim=(1, 2, 3)).clamp(min=1)


def aggregation(z: Tensor, originals: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Series-wise similarity of SimMTM (eqs. 2 to 6): weights to aggregate by, and its constraint.

    Parameters
    ----------
    z : (K, N, P)
        Projections of windows and their masked copies.

    Returns
    -------
    weights : (K, N, N)
        Softmax of cosine / t over all other rows; zero on the diagonal.
    constraint : (K,)
        Minus the log-softmax of a row's positives (the other copies of its window), summed over
        them, and the mean over rows.
    """
    n = z.shape[1]
    positives = with_positives(z.new_zeros(len(z), n, n), originals)
    _, weights, loss = relations(z, positives, temperature, "cosine")
    return weights, loss * (n - 1)


def temporal_weights(steps: int, sharpness: float, device: torch.device | None = None) -> Tensor:
    """How much two moments count as the same (SoftCLT, eq. 4): (T, T).

    w_st = 2 / (1 + exp(sharpness * |s - t|)): 1 for equal moments, falling with distance; 0 below
    1e-6, as in the released code.
    """
    t = torch.arange(steps, dtype=torch.float64, device=device)
    w = 2 * torch.sigmoid(-sharpness * (t[:, None] - t).abs())
    return torch.where(w < 1e-6, 0.0, w)


def soft_contrastive_in_time(
    z: Tensor, instance: Tensor, sharpness: float
) -> tuple[Tensor, Tensor]:
    """Instance-wise and temporal soft contrast of SoftCLT (eqs. 3 and 5) at one time scale.

    Similarity is the plain product of encodings.

    Parameters
    ----------
    z : (K, 2, T, B, P)
        Encodings of two views of B runs of T moments.
    instance : (K, B, B)
        How much two runs count as positive.
    sharpness : float
        Of :func:`temporal_weights`.

    Returns
    -------
    instance_loss, temporal_loss : (K,)
        The first contrasts runs at the same moment, the second moments of the same run.
    """
    models, _, steps, runs, _ = z.shape
    across = z.permute(0, 2, 1, 3, 4).reshape(models * steps, 2 * runs, -1)
    along = z.permute(0, 3, 1, 2, 4).reshape(models * runs, 2 * steps, -1)
    between_runs = instance.repeat(1, 2, 2).repeat_interleave(steps, dim=0)
    moments = temporal_weights(steps, sharpness, z.device).to(z).repeat(2, 2)
    between_moments = moments.expand(models * runs, -1, -1)
    per_moment = soft_contrastive(across, between_runs, runs, 1.0, "dot")
    per_run = soft_contrastive(along, between_moments, steps, 1.0, "dot")
    return per_moment.view(models, -1).mean(dim=1), per_run.view(models, -1).mean(dim=1)


def coarser(z: Tensor) -> Tensor:
    """Half the time scale, by the maximum of neighbouring moments: (..., T, B, P) to T // 2."""
    half = z.shape[-3] // 2
    return z[..., : 2 * half, :, :].unflatten(-3, (half, 2)).amax(dim=-3)


def neighbourhood(near: Tensor, far: Tensor, unlabelled_positive: float) -> Tensor:
    """Discriminator loss of temporal neighbourhood coding (TNC, eq. 2).

    Distant windows are unlabelled rather than negative: a share of them counts as positive.

    Parameters
    ----------
    near, far : (K, B)
        Discriminator's logits that two windows are neighbours, for pairs that are, and for pairs
        of distant windows.
    unlabelled_positive : float
        w: probability that a distant window is of the same kind all the same.
    """
    w = unlabelled_positive
    distant = (1 - w) * functional.softplus(far) + w * functional.softplus(-far)
    return (functional.softplus(-near) + distant).mean(dim=1)


def info_nce(prediction: Tensor, target: Tensor) -> Tensor:
    """Each target finds the prediction of it among those of the batch (TS-TCC, eqs. 1 and 2).

    Mean over rows of minus log-softmax_j (target_i . prediction_j) at j = i, as in the released
    code; the paper's sum runs over targets. Not symmetric.

    Parameters
    ----------
    prediction, target : (K, B, P)
    """
    scores = target @ prediction.mT
    own = scores.diagonal(dim1=1, dim2=2)
    return (torch.logsumexp(scores, dim=2) - own).mean(dim=1)
