"""References of adaptation methods, from papers and the authors' code."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .harness import Reference
from .plain import State, by_subject, encode, head, perceptron, ramp


class OnSource(Reference):
    """Cross-entropy of the source and a term; both sides share one batch normalisation."""

    def loss(self, p: State, given) -> Tensor:
        source, target = self.sides(p, given)
        risk = F.cross_entropy(head(p, source), given.y)
        weight = self.q.weight * ramp(given.progress)
        return risk + weight * self.term(p, given, source, target)

    @staticmethod
    def sides(p: State, given) -> tuple[Tensor, Tensor]:
        h = encode(p, torch.cat([given.x, given.target]))
        return h[: len(given.x)], h[len(given.x) :]

    def term(self, p: State, given, source: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        return torch.softmax(head(p, encode(p, x, training=False)), dim=1)


def reversed_gradient(h: Tensor, scale: Tensor) -> Tensor:
    """Its value is h, its derivative -scale."""
    return (1 + scale) * h.detach() - scale * h


class DANN(OnSource):
    """Ganin et al. 2016, eqs. 9 and 10: binary cross-entropy behind a reversed gradient."""

    def loss(self, p: State, given) -> Tensor:
        source, target = self.sides(p, given)
        strength = self.q.weight * ramp(given.progress)
        return F.cross_entropy(head(p, source), given.y) + self.domain(p, source, target, strength)

    def domain(self, p: State, source: Tensor, target: Tensor, strength: Tensor) -> Tensor:
        losses = []
        for h, is_source in ((source, 1.0), (target, 0.0)):
            z = perceptron(p, "domain", reversed_gradient(h, strength))[:, 0]
            wanted = torch.full_like(z, is_source)
            losses.append(F.binary_cross_entropy_with_logits(z, wanted))
        return 0.5 * (losses[0] + losses[1])


class CDAN(DANN):
    """Long et al. 2018, eqs. 6 to 8; weights by side as in tim-learn/SHOT@f7d555a loss.py:32-43.

    Probabilities are constants there, too (:22); weights are constants here.
    """

    def domain(self, p: State, source: Tensor, target: Tensor, strength: Tensor) -> Tensor:
        total = 0.0
        for h, is_source in ((source, 1.0), (target, 0.0)):
            proba = torch.softmax(head(p, h), dim=1).detach()
            joint = torch.einsum("bw,bc->bwc", reversed_gradient(h, strength), proba).reshape(
                len(h), -1)
            z = perceptron(p, "domain", joint)[:, 0]
            bce = F.binary_cross_entropy_with_logits(
                z, torch.full_like(z, is_source), reduction="none")
            weight = 1 + torch.exp((proba * proba.log()).sum(dim=1))
            total = total + (weight / weight.sum() * bce).sum()
        return total / 2


def kernels(rows: Tensor) -> Tensor:
    """easezyc/deep-transfer-learning@2969ed6 UDA/pytorch1.0/DSAN/lmmd.py:14-31."""
    d = ((rows[None] - rows[:, None]) ** 2).sum(dim=2)
    n = len(rows)
    width = d.detach().sum() / (n**2 - n) / 2.0 ** (5 // 2)
    return sum(torch.exp(-d / (width * 2.0**i)) for i in range(5))


def mmd_of(kernel: Tensor, sources: int) -> Tensor:
    """Long et al. 2015, eq. 1, by its four blocks."""
    ss, tt = kernel[:sources, :sources], kernel[sources:, sources:]
    return ss.mean() + tt.mean() - 2 * kernel[:sources, sources:].mean()


class DAN(OnSource):
    """Long et al. 2015, eq. 4 with the kernels of :func:`kernels`."""

    def term(self, p, given, source, target) -> Tensor:
        return mmd_of(kernels(torch.cat([source, target])), len(source))


class JAN(OnSource):
    """Long et al. 2017, eq. 9: kernels of two layers multiplied; 1.68 as in the authors' code."""

    def term(self, p, given, source, target) -> Tensor:
        h = torch.cat([source, target])
        proba = torch.softmax(head(p, h), dim=1)
        d = ((proba[None] - proba[:, None]) ** 2).sum(dim=2)
        return mmd_of(kernels(h) * torch.exp(-d / 1.68), len(source))


class DeepCORAL(OnSource):
    """Sun and Saenko 2016, eqs. 1 to 3."""

    def term(self, p, given, source, target) -> Tensor:
        d = source.shape[1]
        return ((torch.cov(source.T) - torch.cov(target.T)) ** 2).sum() / (4 * d * d)


class MCC(OnSource):
    """Jin et al. 2020, eqs. 3 to 7."""

    def term(self, p, given, source, target) -> Tensor:
        proba = torch.softmax(head(p, target) / self.q.temperature, dim=1)
        batch, classes = proba.shape
        certain = 1 + torch.exp((proba * proba.log()).sum(dim=1)).detach()
        weight = batch * certain / certain.sum()
        confusion = torch.zeros(classes, classes, dtype=proba.dtype)
        rows = []
        for j in range(classes):
            rows.append(torch.stack([
                (proba[:, j] * weight * proba[:, k]).sum() for k in range(classes)]))
        confusion = torch.stack([row / row.sum() for row in rows])
        return (confusion.sum() - confusion.diagonal().sum()) / classes


class DSAN(OnSource):
    """easezyc/deep-transfer-learning@2969ed6 UDA/pytorch1.0/DSAN/lmmd.py:33-89, class by class."""

    def term(self, p, given, source, target) -> Tensor:
        kernel = kernels(torch.cat([source, target]))
        proba = torch.softmax(head(p, target), dim=1).detach()
        index = set(given.y.tolist()) & set(proba.argmax(dim=1).tolist())  # :70
        total = 0 * kernel.sum()
        for c in index:
            left = (given.y == c).double()
            left, right = left / left.sum(), proba[:, c] / proba[:, c].sum()
            b = len(source)
            total = (total + left @ kernel[:b, :b] @ left + right @ kernel[b:, b:] @ right
                     - 2 * left @ kernel[:b, b:] @ right)
        return total / max(1, len(index))  # :80-88


class MCD(OnSource):
    """Saito et al. 2018, steps A, B and C (eqs. 4 to 8)."""

    def phases(self):
        def in_head(name: str) -> bool:
            return name.startswith(("head", "other.head"))

        def in_encoder(name: str) -> bool:
            return not in_head(name)

        def parts(p, given):
            source, target = self.sides(p, given)
            risk = sum(F.cross_entropy(head(p, source, pre), given.y) for pre in ("", "other."))
            first, second = (torch.softmax(head(p, target, pre), dim=1) for pre in ("", "other."))
            return risk, (first - second).abs().mean()

        def both(p, given):
            risk, apart = parts(p, given)
            return risk - apart

        return [(lambda name: True, lambda p, given: parts(p, given)[0]), (in_head, both),
                *[(in_encoder, lambda p, given: parts(p, given)[1])] * self.q.rounds]


class ADDA(OnSource):
    """Tzeng et al. 2017, eq. 9: the discriminator, then the target's encoder with turned labels."""

    def phases(self):
        def discriminate(p, given):
            with torch.no_grad():
                source = encode(p, given.x, "fixed.", training=False)
                target = encode(p, given.target)
            z = [perceptron(p, "domain", h)[:, 0] for h in (source, target)]
            return 0.5 * (F.binary_cross_entropy_with_logits(z[0], torch.ones_like(z[0]))
                          + F.binary_cross_entropy_with_logits(z[1], torch.zeros_like(z[1])))

        def deceive(p, given):
            z = perceptron(p, "domain", encode(p, given.target))[:, 0]
            return F.binary_cross_entropy_with_logits(z, torch.ones_like(z))

        return [(lambda name: name.startswith("domain"), discriminate),
                (lambda name: name.startswith("layer"), deceive)]


class MSMDA(OnSource):
    """VoiceBeer/MS-MDA@ea20888 models.py:185-214, msmdaer.py:89-92, utils.py:124-127."""

    @staticmethod
    def branch(p: State, h: Tensor, j: int) -> Tensor:
        hidden = p["branch_head.weight"].shape[2]
        part = slice(j * hidden, (j + 1) * hidden)
        return F.leaky_relu(F.linear(h, p["branch.weight"][part], p["branch.bias"][part]))

    def loss(self, p: State, given) -> Tensor:
        source, target = self.sides(p, given)
        count = len(p["branch_head.weight"])
        theirs = [self.branch(p, target, i) for i in range(count)]  # models.py:191-194
        gamma = ramp(given.progress)
        losses = []
        for mark, rows in by_subject(torch.arange(len(given.y)), given.domain).items():
            own = self.branch(p, source[rows], mark)
            mmd = ((own.mean(dim=0) - theirs[mark].mean(dim=0)) ** 2).sum()  # of equal sizes :200
            disc = sum(
                (torch.softmax(theirs[mark], dim=1) - torch.softmax(theirs[i], dim=1)).abs().mean()
                for i in range(count) if i != mark)  # :202-207
            logits = F.linear(own, p["branch_head.weight"][mark], p["branch_head.bias"][mark])
            losses.append(F.cross_entropy(logits, given.y[rows])
                          + gamma * (self.q.weight * mmd + self.q.agreement * disc))
        return sum(losses) / len(losses)

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        h = encode(p, x, training=False)
        each = [torch.softmax(F.linear(self.branch(p, h, j), w, b), dim=1) for j, (w, b) in
                enumerate(zip(p["branch_head.weight"], p["branch_head.bias"]))]
        return sum(each) / len(each)  # msmdaer.py:126-128


class SHOT(OnSource):
    """tim-learn/SHOT@f7d555a object/image_target.py:187-211 and :242-297, object/loss.py:9-14."""

    def phases(self):
        return [(lambda name: name.startswith("layer"), self.loss)]

    def begin(self, p: State, epoch: int) -> None:
        x = torch.from_numpy(self.run.target.x).double()
        with torch.no_grad():
            h = encode(p, x, training=False)
            aff = torch.softmax(head(p, h), dim=1)
        h = torch.cat([h, torch.ones(len(h), 1, dtype=h.dtype)], dim=1)
        h = h / h.norm(dim=1, keepdim=True)
        predict = aff.argmax(dim=1).tolist()
        for _ in range(2):
            centres = {c: (aff[:, c : c + 1] * h).sum(dim=0) / (1e-8 + aff[:, c].sum())
                       for c in sorted(set(predict))}  # :280-282
            predict = [max(centres, key=lambda c, row=row: float(
                row @ centres[c] / centres[c].norm())) for row in h]
            aff = F.one_hot(torch.tensor(predict), aff.shape[1]).double()
        self.labels = {tuple(row.flatten().tolist()): y for row, y in zip(x, predict)}

    def loss(self, p: State, given) -> Tensor:
        logits = head(p, encode(p, given.target))
        proba = torch.softmax(logits, dim=1)
        mean = proba.mean(dim=0)
        entropy = -(proba * torch.log(proba + 1e-5)).sum(dim=1).mean()
        diversity = -(mean * torch.log(mean + 1e-5)).sum()
        guess = torch.tensor([self.labels[tuple(row.flatten().tolist())] for row in given.target])
        return entropy - diversity + self.q.pseudo * F.cross_entropy(logits, guess)


