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




class PRPL(OnSource):
    """KAZABANA/PR-PL@0c45557 model_PR_PL.py:81-99, :207-261, implementation_PR_PL.py:170-218."""

    def loss(self, p: State, given) -> Tensor:
        source, target = self.sides(p, given)
        classes, eta = p["cluster.running_centres"].shape[0], 0.00001
        labels = F.one_hot(given.y, classes).double()
        counts = torch.diag(labels.sum(dim=0)) + torch.eye(classes)  # model :88
        centres = torch.inverse(counts.double()) @ (labels.T @ source)
        stored = p["bilinear.v"] @ centres.T  # :90-92
        logits = [(p["bilinear.u"] @ h.T).T @ stored for h in (source, target)]
        alike = [cosine_matrix(torch.softmax(z, dim=1)) for z in logits]  # :94-98
        truth = cosine_matrix(labels)

        def bce(s: Tensor, same: Tensor) -> Tensor:  # implementation :198-200
            return -torch.log(s + eta) * same - (1 - same) * torch.log(1 - s + eta)

        spread = (self.q.upper - self.q.lower) * torch.exp(-2 * given.progress)
        middle = (self.q.upper + self.q.lower) / 2
        low, high = middle - spread / 2, middle + spread / 2
        chosen = ((alike[1] < low) | (alike[1] > high)).double()  # model :233-242
        pairs = (chosen * bce(alike[1], (alike[1] > middle).double())).sum() / chosen.sum()
        apart = torch.linalg.matrix_norm(centres.T @ centres - torch.eye(centres.shape[1]))
        noisy = [h + 0.005 * noise[: len(h)].double()
                 for h, noise in zip((source, target), given.drawn)]
        domain = DANN.domain(self, p, *noisy, ramp(given.progress))
        with torch.no_grad():
            p["cluster.running_centres"].copy_(centres)
            seen = torch.zeros(classes, classes, dtype=torch.float64)
            for cluster, label in zip(logits[0].argmax(dim=1).tolist(), given.y.tolist()):
                seen[cluster, label] += 1
            p["cluster.running_meaning"].mul_(0.9).add_(0.1 * seen)
        return (bce(alike[0], truth).mean() + domain + self.q.orthogonal * apart
                + self.q.balance * given.progress * pairs)  # implementation :211

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        h = encode(p, x, training=False)
        stored = p["bilinear.v"] @ p["cluster.running_centres"].T
        clusters = torch.softmax((p["bilinear.u"] @ h.T).T @ stored, dim=1)
        out = torch.zeros_like(clusters)
        for cluster, counts in enumerate(p["cluster.running_meaning"]):
            out[:, int(counts.argmax())] += clusters[:, cluster]
        return out


def cosine_matrix(rows: Tensor) -> Tensor:
    """model_PR_PL.py:207-218."""
    unit = rows / rows.norm(dim=1, keepdim=True)
    return unit @ unit.T


class BiDANN(DANN):
    """XJTU-EEG/LibEER@dddff97 models/BiDANN.py:36-62, Trainer/BiDANNTraining.py:57-62."""

    @staticmethod
    def hemispheres(p: State, x: Tensor, training: bool = True) -> tuple[Tensor, Tensor]:
        """FP1, C3 and FP2, C4, each by an encoder of its own."""
        return (encode(p, x[:, [0, 2]], "left.", training),
                encode(p, x[:, [1, 3]], "right.", training))

    def loss(self, p: State, given) -> Tensor:
        left, right = self.hemispheres(p, torch.cat([given.x, given.target]))
        n, strength = len(given.x), self.q.weight * ramp(given.progress)
        both = torch.cat([left, right], dim=1)
        total = F.cross_entropy(head(p, both[:n]), given.y)
        for name, h in (("domain_left", left), ("domain_right", right), ("domain", both)):
            z = perceptron(p, name, reversed_gradient(h, strength))[:, 0]
            wanted = (torch.arange(len(z)) < n).double()
            bce = F.binary_cross_entropy_with_logits(z, wanted, reduction="none")
            total = total + 0.5 * (bce[:n].mean() + bce[n:].mean())
        return total

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        return torch.softmax(head(p, torch.cat(self.hemispheres(p, x, False), dim=1)), dim=1)


class RGNN(OnSource):
    """zhongpeixiang/RGNN@685b1a2 model_simple.py:47-73, :118-137; EmotionDL and the sparse links:
    arXiv 1907.07835, section 3, as in LibEER@dddff97 models/RGNN.py:110-131, RGNN_train.py:146.
    """

    @staticmethod
    def links(p: State) -> Tensor:
        """model_simple.py:120-122, from the lower triangle."""
        values, at = torch.zeros(4, 4, dtype=torch.float64), 0
        rows = []
        for i in range(4):
            rows.append(torch.cat([p["graph.links"][at : at + i + 1],
                                   values.new_zeros(3 - i)]))
            at += i + 1
        lower = torch.stack(rows)
        return lower + lower.T - torch.diag(lower.diagonal())

    def nodes(self, p: State, x: Tensor) -> Tensor:
        a = self.links(p)
        degree = a.abs().sum(dim=1)
        norm = torch.stack([torch.stack([
            a[i, j] / (degree[i] * degree[j]) ** 0.5 for j in range(4)]) for i in range(4)])
        for _ in range(2):
            x = torch.stack([sum(norm[i, j] * x[:, j] for j in range(4)) for i in range(4)], dim=1)
        return F.relu(F.linear(x, p["graph.weight"], p["graph.bias"]))

    def loss(self, p: State, given) -> Tensor:
        source, target = (self.nodes(p, x) for x in (given.x, given.target))
        e = self.q.blur
        table = torch.tensor([[1 - 2 / 3 * e, 2 / 3 * e, 0], [1 / 3 * e, 1 - 2 / 3 * e, 1 / 3 * e],
                              [0, 2 / 3 * e, 1 - 2 / 3 * e]], dtype=torch.float64)
        kept = source.sum(dim=1) * given.drawn.double() / (1 - self.q.dropped)
        log_p = torch.log_softmax(head(p, kept), dim=1)
        risk = F.kl_div(log_p, table[given.y], reduction="batchmean")
        both = torch.cat([source, target])
        z = F.linear(reversed_gradient(both, ramp(given.progress)), p["domain.weight"],
                     p["domain.bias"])
        corpus = torch.cat([torch.zeros(len(source), 4), torch.ones(len(target), 4)]).long()
        domain = F.cross_entropy(z.flatten(0, 1), corpus.flatten())
        return risk + self.q.sparsity * self.links(p).abs().sum() + domain

    def probabilities(self, p: State, x: Tensor) -> Tensor:
        return torch.softmax(head(p, self.nodes(p, x).sum(dim=1)), dim=1)
