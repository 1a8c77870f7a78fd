"""References of self-supervised methods, from papers and the authors' code."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .harness import STEPS, Reference
from .plain import State, encode, linear, project


def augmented(x: Tensor, drawn: Tensor) -> Tensor:
    """Shifted by what was drawn, in spreads of the batch; hidden entries take its mean."""
    shift, keep = drawn.double()
    return torch.where(keep > 0, x + x.std(dim=0) * shift, x.mean(dim=0).expand_as(x))


def two_views(p: State, given) -> tuple[Tensor, Tensor]:
    x, noise = given
    z = project(p, encode(p, augmented(torch.cat([x, x]), noise)))
    return z[: len(x)], z[len(x) :]


def log_softmax_of_others(s: Tensor) -> Tensor:
    """Row by row over all columns but the own one, which is 0."""
    rows = []
    for i in range(len(s)):
        others = torch.cat([s[i, :i], s[i, i + 1 :]])
        lp = torch.log_softmax(others, dim=0)
        rows.append(torch.cat([lp[:i], s.new_zeros(1), lp[i:]]))
    return torch.stack(rows)


def cosines(z: Tensor) -> Tensor:
    return F.cosine_similarity(z[:, None], z[None], dim=2)


def nt_xent(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Chen et al. 2020, eq. 1; mean over 2B rows."""
    z, n = torch.cat([a, b]), len(a)
    lp = log_softmax_of_others(cosines(z) / t)
    return -sum(lp[i, (i + n) % (2 * n)] for i in range(2 * n)) / (2 * n)


class SimCLR(Reference):
    """Chen et al. 2020, algorithm 1."""

    def loss(self, p: State, given) -> Tensor:
        return nt_xent(*two_views(p, given), self.q.temperature)


class BYOL(Reference):
    """Grill et al. 2020, eqs. 1, 2 and appendix J: symmetric loss, target by moving average.

    The share that the target takes over is at least one over the steps of its horizon.
    """

    def loss(self, p: State, given) -> Tensor:
        x, noise = given
        views = augmented(torch.cat([x, x]), noise)
        z = project(p, encode(p, views))
        q = project(p, z, "predictor.")
        with torch.no_grad():
            pre = "target.running_"
            target = project(p, encode(p, views, pre), pre)
        q, target = F.normalize(q, dim=1), F.normalize(target, dim=1)
        n = len(x)
        first = ((q[:n] - target[n:]) ** 2).sum(dim=1).mean()
        return first + ((q[n:] - target[:n]) ** 2).sum(dim=1).mean()

    def after(self, p: State, progress: float) -> None:
        base = min(self.q.momentum, max(0.0, 1 - 1 / (self.q.horizon * STEPS)))
        tau = 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2
        for name, t in p.items():
            if name.startswith("target.running_") and ".running_" not in name[len("target"):][9:]:
                own = name.removeprefix("target.running_")
                p[name] = tau * t + (1 - tau) * p[own].detach()


class VICReg(Reference):
    """facebookresearch/vicreg@4e12602 main_vicreg.py:194-220."""

    def loss(self, p: State, given) -> Tensor:
        x, y = two_views(p, given)
        n, width = x.shape
        repr_loss = F.mse_loss(x, y)
        std_loss = sum(F.relu(1 - torch.sqrt(v.var(dim=0) + 0.0001)).mean() / 2 for v in (x, y))
        cov_loss = 0.0
        for v in (x, y):
            centred = v - v.mean(dim=0)
            cov = centred.T @ centred / (n - 1)
            cov_loss = cov_loss + ((cov**2).sum() - (cov.diagonal() ** 2).sum()) / width
        return (self.q.invariance * repr_loss + self.q.variance * std_loss
                + self.q.covariance * cov_loss)


class MAE(Reference):
    """He et al. 2022, section 3: mean squared error over what was hidden, here behind a token."""

    def loss(self, p: State, given) -> Tensor:
        x, keep = given
        seen = torch.where(keep, x, p["token"].expand_as(x))
        rebuilt = linear(p, "decoder2", F.relu(linear(p, "decoder1", encode(p, seen))))
        return ((rebuilt.view_as(x) - x)[~keep] ** 2).mean()


class TNC(Reference):
    """Tonekaboni et al. 2021, eq. 2."""

    def loss(self, p: State, given) -> Tensor:
        x, _ = given
        anchor, near, far = encode(p, x.flatten(0, 1)).chunk(3)

        def probability(a: Tensor, b: Tensor) -> Tensor:
            hidden = F.relu(linear(p, "pair1", torch.cat([a, b], dim=1)))
            return torch.sigmoid(linear(p, "pair2", hidden))[:, 0]

        w, same, other = self.q.unlabelled_positive, probability(anchor, near), \
            probability(anchor, far)
        distant = (1 - w) * torch.log(1 - other) + w * torch.log(other)
        return -(torch.log(same) + distant).mean()


class CLISA(Reference):
    """Shen et al. 2022, eq. 3: NT-Xent of the stimuli within each pair of subjects."""

    def loss(self, p: State, given) -> Tensor:
        x, _ = given
        _, pairs, stimuli = x.shape[:3]
        z = project(p, encode(p, x.flatten(0, 2))).view(2, pairs, stimuli, -1)
        return sum(nt_xent(z[0, n], z[1, n], self.q.temperature) for n in range(pairs)) / pairs


class TSTCC(Reference):
    """emadeldeen24/TS-TCC@15bdfd6 trainer/trainer.py:62-86, models/TC.py:26-54."""

    def loss(self, p: State, given) -> Tensor:
        x, noise = given
        steps, runs = x.shape[:2]
        flat = x.flatten(0, 1)
        h = F.normalize(encode(p, augmented(torch.cat([flat, flat]), noise)), dim=1)  # :66-67
        views = h.view(2, steps, runs, -1)
        context = [self.summary(p, view[: self.q.past]) for view in views]
        width, temporal = h.shape[1], 0.0
        for c, other in ((context[0], views[1]), (context[1], views[0])):  # :69-70
            ahead = linear(p, "predict", c).view(runs, self.q.future, width)
            nce = 0.0
            for k in range(self.q.future):
                total = other[self.q.past + k] @ ahead[:, k].T  # TC.py:51
                nce = nce + torch.log_softmax(total, dim=1).diagonal().sum()
            temporal = temporal - nce / (runs * self.q.future)
        z = project(p, torch.cat(context))
        contextual = nt_xent(z[:runs], z[runs:], self.q.temperature)
        return self.q.temporal * temporal + self.q.contextual * contextual

    def summary(self, p: State, x: Tensor) -> Tensor:
        """A gated recurrent unit, by torch's own cell."""
        cell = torch.zeros(x.shape[1], self.q.context, dtype=x.dtype)
        for step in x:
            cell = torch.gru_cell(step, cell, p["gru_in.weight"], p["gru_past.weight"],
                                  p["gru_in.bias"], p["gru_past.bias"])
        return cell


class TFC(Reference):
    """mims-harvard/TFC-pretraining@9667582 code/TFC/trainer.py:119-136, loss.py:109-137."""

    def loss(self, p: State, given) -> Tensor:
        x, noise = given
        now = x[0]
        for_time, for_frequency = noise.chunk(2, dim=1)
        shape = now - now.mean(dim=2, keepdim=True)
        pairs = {
            "": (now, augmented((x[0] + x[1]) / 2, for_time)),
            "frequency.": (shape, augmented(shape, for_frequency)),
        }
        n, within, plain = len(now), 0.0, []
        for pre, views in pairs.items():
            h = encode(p, torch.cat(views), pre)
            within = within + self.poly(h[:n], h[n:])
            plain.append(project(p, h, pre)[:n])
        return self.q.within * within + self.poly(*plain)

    def poly(self, a: Tensor, b: Tensor) -> Tensor:
        z, n = torch.cat([a, b]), len(a)
        lp = log_softmax_of_others(cosines(z) / self.q.temperature)
        own = torch.stack([lp[i, (i + n) % (2 * n)] for i in range(2 * n)])
        pt = own.exp().sum() / (2 * n * (2 * n - 1))
        return -own.sum() / (2 * n) + n * (1 / n - pt)


def soft_assignments(x: Tensor, alpha: float, sharpness: float) -> Tensor:
    """seunghan96/softclt@14c6389 softclt_ts2vec/utils_distance_matrix.py:101-103, :125-137, :151.

    Minus the cosine; the diagonal takes the smallest of the others; scaled column by column.
    """
    d = -cosines(x)
    n = len(d)
    off = ~torch.eye(n, dtype=torch.bool)
    d = torch.where(off, d, d[off].min())
    low, high = d.min(dim=0).values, d.max(dim=0).values
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return 2 * alpha / (1 + torch.exp(sharpness * (d - low) / span))


class SoftCLT(Reference):
    """seunghan96/softclt@14c6389 softclt_ts2vec/models/soft_losses.py:12-95, timelags.py:4-19."""

    def loss(self, p: State, given) -> Tensor:
        x, noise = given
        steps, runs = x.shape[:2]
        alike = soft_assignments(x.transpose(0, 1).flatten(1), self.q.upper_bound,
                                 self.q.instance_sharpness)
        flat = x.flatten(0, 1)
        z = encode(p, augmented(torch.cat([flat, flat]), noise)).view(2, steps, runs, -1)
        loss, d = 0.0, 0
        while z.shape[1] > 1:
            loss = loss + self.q.balance * self.instances(z, alike)
            lag = self.q.temporal_sharpness * 2**d
            loss = loss + (1 - self.q.balance) * self.moments(z, lag)
            d += 1
            half = z.shape[1] // 2
            z = torch.stack([torch.maximum(z[:, 2 * t], z[:, 2 * t + 1]) for t in range(half)], 1)
        return (loss + self.q.balance * self.instances(z, alike)) / (d + 1)

    @staticmethod
    def contrast(rows: Tensor, weights: Tensor) -> Tensor:
        """Rows of two views; weights between their originals, 1 for the same."""
        n = len(weights)
        lp = log_softmax_of_others(rows @ rows.T)
        w = weights.clone()
        w.fill_diagonal_(1.0)
        w = w.repeat(2, 2)
        w.fill_diagonal_(0.0)
        return -(w * lp).sum() / (2 * n)

    def instances(self, z: Tensor, alike: Tensor) -> Tensor:
        each = [self.contrast(torch.cat([z[0, t], z[1, t]]), alike) for t in range(z.shape[1])]
        return sum(each) / len(each)

    def moments(self, z: Tensor, sharpness: float) -> Tensor:
        t = torch.arange(z.shape[1], dtype=torch.float64)
        w = 2 / (1 + torch.exp((t[:, None] - t).abs() * sharpness))
        w = torch.where(w < 1e-6, 0.0, w)
        each = [self.contrast(torch.cat([z[0, :, b], z[1, :, b]]), w) for b in range(z.shape[2])]
        return sum(each) / len(each)


class Masked(Reference):
    """Masked copies, relations of all rows, and the automatically weighted sum."""

    @staticmethod
    def balanced(p: State, *losses: Tensor) -> Tensor:
        """thuml/SimMTM@169513b SimMTM_Classification/code/loss.py:22-26."""
        a = p["loss_balance"]
        return sum(0.5 / a[i] ** 2 * loss + torch.log(1 + a[i] ** 2)
                   for i, loss in enumerate(losses))

    @staticmethod
    def same_window(rows: int, windows: int) -> Tensor:
        i = torch.arange(rows)
        return ((i[:, None] - i) % windows == 0) & (i[:, None] != i)

    @staticmethod
    def shares(lp: Tensor) -> Tensor:
        return lp.exp() - torch.eye(len(lp), dtype=lp.dtype)  # the own column was set to 0


class SimMTM(Masked):
    """thuml/SimMTM@169513b SimMTM_Classification/code/model.py:51-65, loss.py:63-116."""

    def loss(self, p: State, given) -> Tensor:
        x, keep = given
        rows = torch.cat([x, *(x * mask for mask in keep)])
        h = encode(p, rows)
        lp = log_softmax_of_others(cosines(project(p, h)) / self.q.temperature)
        positive = self.same_window(len(rows), len(x))
        contrast = -lp[positive].sum() / len(rows)  # loss.py:83-84
        rebuilt = linear(p, "decoder", self.shares(lp) @ h)
        return self.balanced(p, contrast, F.mse_loss(rebuilt, rows.flatten(1)))


class SCMM(Masked):
    """Liu et al. 2025, eqs. 3 to 11; what the released code does is said in docs/scmm.md."""

    def rows(self, x: Tensor, keep: Tensor) -> Tensor:
        return torch.cat([x, *(x * mask for mask in keep)])

    def loss(self, p: State, given) -> Tensor:
        x, keep = given
        rows = self.rows(x, keep)
        n, flat = len(rows), rows.flatten(1)
        h = encode(p, rows)
        z = project(p, h)
        lp = log_softmax_of_others(z @ z.T / self.q.temperature)
        w = soft_assignments(flat, self.q.upper_bound, 1 / self.q.sharpness)
        w = torch.where(self.same_window(n, len(x)), 1.0, w).fill_diagonal_(0.0)
        contrast = -(w * lp).sum() / (n * (n - 1))
        rebuilt = linear(p, "decoder", self.shares(lp) @ h)
        return self.balanced(p, contrast, F.mse_loss(rebuilt, flat))


class SCMMReleased(SCMM):
    """The mask is laid over the window itself, too; the schedule is given a loss (docs/scmm.md)."""

    def rate(self, lr: float, epoch: int, loss: float | None) -> float:
        return lr if loss is None else lr * 0.5 * (1 + math.cos(math.pi * loss / STEPS))

    def rows(self, x: Tensor, keep: Tensor) -> Tensor:
        return torch.cat([x * keep[0], x * keep[0]])
