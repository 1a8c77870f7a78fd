"""References of supervised and test-time methods.

Code cited: facebookresearch/DomainBed@b93c22a (algorithms.py, lib/misc.py), DequanWang/tent and
matsuolab/T3A by their papers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .harness import PlainAdam, Reference
from .plain import State, by_subject, encode, head, linear, ramp


class SourceOnly(Reference):
    """Empirical risk: DomainBed algorithms.py:92-124, all windows in one minibatch."""

    def loss(self, p: State, given) -> Tensor:
        return F.cross_entropy(head(p, encode(p, given.x)), given.y)

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        return torch.softmax(head(p, encode(p, x, training=False)), dim=1)


class Mixup(SourceOnly):
    """DomainBed algorithms.py:801-820 on the batch cut by subject; pairs: lib/misc.py:180-194."""

    def loss(self, p: State, given) -> Tensor:
        shares, order = given.drawn
        places = {d: (given.domain == d).nonzero().flatten() for d in given.domain.tolist()}
        circle = [d for d in order.tolist() if d in places]
        mixed = torch.empty_like(given.x)
        pairs = []
        for n, d in enumerate(circle):
            j = circle[n + 1] if n < len(circle) - 1 else circle[0]
            lam = shares[d].double()
            # misc.py:190 cuts to the shorter of the two; here the shorter is gone through again.
            partner = places[j][torch.arange(len(places[d])) % len(places[j])]
            mixed[places[d]] = lam * given.x[places[d]] + (1 - lam) * given.x[partner]
            pairs.append((lam, places[d], partner))
        logits = head(p, encode(p, mixed))
        objective = 0.0
        for lam, mine, partner in pairs:
            objective = objective + lam * F.cross_entropy(logits[mine], given.y[mine])
            objective = objective + (1 - lam) * F.cross_entropy(logits[mine], given.y[partner])
        return objective / len(pairs)


class GroupDRO(SourceOnly):
    """DomainBed algorithms.py:833-853: q of the subjects in the batch grows with their losses."""

    def loss(self, p: State, given) -> Tensor:
        logits = head(p, encode(p, given.x))
        q, losses = p["group.running_weights"].clone(), {}
        for d, rows in by_subject(torch.arange(len(given.y)), given.domain).items():
            losses[d] = F.cross_entropy(logits[rows], given.y[rows])
            q[d] = q[d] * torch.exp(self.q.step * losses[d].detach())
        q = q / q.sum()
        p["group.running_weights"].copy_(q)
        return sum(q[d] * losses[d] for d in losses)


class Penalised(SourceOnly):
    """Risk and penalty of subjects: DomainBed algorithms.py:600-618 and :755-776.

    A weight above 1 divides the whole loss: InvariantRiskMinimization@fc185d0
    code/colored_mnist/main.py:145-150.
    """

    def penalty(self, losses: list[Tensor], logits: list[Tensor], ys: list[Tensor]) -> Tensor:
        raise NotImplementedError

    def loss(self, p: State, given) -> Tensor:
        logits = head(p, encode(p, given.x))
        rows = list(by_subject(torch.arange(len(given.y)), given.domain).values())
        each, ys = [logits[r] for r in rows], [given.y[r] for r in rows]
        losses = [F.cross_entropy(z, y) for z, y in zip(each, ys)]
        weight = self.q.weight if float(given.progress) >= self.q.anneal else 1.0
        loss = torch.stack(losses).mean() + weight * self.penalty(losses, each, ys)
        return loss / weight if weight > 1 else loss


class VREx(Penalised):
    """DomainBed algorithms.py:773: the mean squared distance from the mean of the losses."""

    def penalty(self, losses, logits, ys) -> Tensor:
        every = torch.stack(losses)
        return ((every - every.mean()) ** 2).mean()


class IRM(Penalised):
    """DomainBed algorithms.py:589-598: the product of the gradients of two halves by a scale."""

    def penalty(self, losses, logits, ys) -> Tensor:
        found = []
        for z, y in zip(logits, ys):
            if len(y) < 2:
                continue  # DomainBed would divide by zero
            scale = torch.ones((), dtype=z.dtype, requires_grad=True)
            first = F.cross_entropy(z[::2] * scale, y[::2])
            second = F.cross_entropy(z[1::2] * scale, y[1::2])
            slopes = [torch.autograd.grad(part, scale, create_graph=True)[0]
                      for part in (first, second)]
            found.append(slopes[0] * slopes[1])
        return torch.stack(found).mean()


class MLDG(SourceOnly):
    """Li et al. 2018, algorithm 1, with the inner step of DomainBed algorithms.py:895-930."""

    def loss(self, p: State, given) -> Tensor:
        held_out = given.drawn

        def risk(state: State, subjects: Tensor) -> Tensor:
            logits = head(state, encode(state, given.x))
            losses = [F.cross_entropy(logits[rows], given.y[rows])
                      for d, rows in by_subject(torch.arange(len(given.y)), given.domain).items()
                      if subjects[d]]
            return sum(losses) / len(losses) if losses else 0 * logits.sum()

        inner = risk(p, ~held_out)
        leaves = {n: t for n, t in p.items() if ".running_" not in n}
        slopes = torch.autograd.grad(inner, list(leaves.values()), retain_graph=True)
        clone = {n: t.detach().clone().requires_grad_() for n, t in leaves.items()}
        adam = torch.optim.Adam(clone.values(), lr=self.q.inner * self.q.lr,
                                weight_decay=self.q.weight_decay)
        for t, slope in zip(clone.values(), slopes):
            t.grad = slope
        adam.step()
        moved = {n: t + (clone[n] - t).detach() for n, t in leaves.items()}
        return inner + self.q.weight * risk({**p, **moved}, held_out)


class AdaBN(SourceOnly):
    """Li et al. 2018, algorithm 1: statistics of the tested windows in every normalisation."""

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        return torch.softmax(head(p, encode(p, x)), dim=1)


class TENT(SourceOnly):
    """Wang et al. 2021, section 3: Adam on scale and shift, batch statistics, mean entropy."""

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        p = {n: t.clone() for n, t in p.items()}
        names = [f"layer{i}_bn.{part}" for i in (1, 2) for part in ("weight", "bias")]
        for n in names:
            p[n].requires_grad_()
        adam = PlainAdam(0.9, 0.999, 0.0)
        for _ in range(self.q.steps):
            proba = torch.softmax(head(p, encode(p, x)), dim=1)
            entropy = -(proba * proba.log()).sum(dim=1).mean()
            slopes = torch.autograd.grad(entropy, [p[n] for n in names])
            adam.step(p, dict(zip(names, slopes)), self.q.tent_lr)
        return torch.softmax(head(p, encode(p, x)), dim=1)


class T3A(SourceOnly):
    """Iwasawa and Matsuo 2021, eqs. 1 to 5; all windows at once."""

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        z = torch.sigmoid(linear(p, "head1", encode(p, x, training=False)))
        own = p["head2.weight"]
        logits = linear(p, "head2", torch.cat([own, z]))
        proba = torch.softmax(logits, dim=1)
        doubt = -(proba * proba.log()).sum(dim=1)
        guess = [*range(len(own)), *logits[len(own):].argmax(dim=1).tolist()]
        prototypes = []
        for c in range(len(own)):
            mine = sorted((i for i, g in enumerate(guess) if g == c), key=lambda i: float(doubt[i]))
            rows = torch.cat([own, z])[mine[: self.q.kept]]
            prototypes.append((rows / rows.norm(dim=1, keepdim=True)).sum(dim=0))
        return torch.softmax(z @ torch.stack([v / v.norm() for v in prototypes]).T, dim=1)


class FineTuning(Reference):
    """Cross-entropy of a new head on all calibration windows."""

    def __init__(self, run) -> None:
        super().__init__(run)
        self.ends: list[State] = []
        self.learnt = self.windows()

    def windows(self):
        """What is learnt."""
        return self.run.target

    def loss(self, p: State, given) -> Tensor:
        x = torch.from_numpy(self.learnt.x).double()
        return F.cross_entropy(head(p, encode(p, x)), torch.from_numpy(self.learnt.y))

    def after(self, p: State, progress: float) -> None:
        self.ends.append({name: t.detach().clone() for name, t in p.items()})

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        """Of the windows it was trained on: weights averaged, their own statistics."""
        counts = [s * (s + 1) * (s + 2) for s in range(1, len(self.ends) + 1)]  # fit_average 0.4
        p = {name: sum(n * end[name] for n, end in zip(counts, self.ends, strict=True))
             / sum(counts) for name in p}
        passed, tested = torch.from_numpy(self.learnt.x).double().flatten(1), x.flatten(1)
        for layer in ("layer1", "layer2"):
            a, b = linear(p, layer, passed), linear(p, layer, tested)
            norm = p[f"{layer}_bn.weight"], p[f"{layer}_bn.bias"]
            passed = F.relu(F.batch_norm(a, None, None, *norm, training=True))
            tested = F.relu(F.batch_norm(b, a.mean(dim=0), a.var(dim=0), *norm))
        return torch.softmax(head(p, tested), dim=1)


class FineTuningOfSource(FineTuning):
    """The same on the labelled source, where there are no calibration windows."""

    def windows(self):
        return self.run.source


class SourceFirst(SourceOnly):
    """Of which another training makes what predicts."""

    def probabilities(self, p: State, x: Tensor) -> None:
        return None


class Mixture(SourceOnly):
    """Both sides of a batch, each by its weight; they share one batch normalisation."""

    def loss(self, p: State, given) -> Tensor:
        logits = head(p, encode(p, torch.cat([given.x, given.target])))
        n, share = len(given.x), self.q.share
        return ((1 - share) * F.cross_entropy(logits[:n], given.y)
                + share * F.cross_entropy(logits[n:], given.pseudo))


class DMMR(SourceFirst):
    """CodeBreathing/DMMR@5fd5e6e model.py:151-185 of one step of time, train.py:75-85."""

    def decoded(self, p: State, h: Tensor) -> list[Tensor]:
        """A subject's decoder of one step is its last layer (model.py:44-46)."""
        size = self.run.source.x[0].size
        return [F.linear(h, p["decoder.weight"][d * size : (d + 1) * size],
                         p["decoder.bias"][d * size : (d + 1) * size])
                for d in range(len(p["decoder.bias"]) // size)]

    def loss(self, p: State, given) -> Tensor:
        kept, chance = given.drawn
        h = encode(p, given.x * kept.double()[None, :, None])
        strength = ramp(given.progress)
        turned = (1 + strength) * h.detach() - strength * h
        subject = F.cross_entropy(linear(p, "subject", turned), given.domain)
        mixture = sum(self.decoded(p, h)).view(given.x.shape)
        total = self.q.beta * subject
        for d, rebuilt in enumerate(self.decoded(p, encode(p, mixture))):
            errors = []
            for i, label in enumerate(given.y.tolist()):
                fit = [j for j in range(len(given.y))
                       if given.domain[j] == d and given.y[j] == label]
                if fit:
                    j = max(fit, key=lambda j: float(chance[i, j]))
                    errors.append(((rebuilt[i] - given.x[j].flatten()) ** 2).mean())
            if errors:
                total = total + sum(errors) / len(errors)
        return total
