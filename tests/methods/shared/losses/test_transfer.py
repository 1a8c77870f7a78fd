"""Each loss against a slow reference: explicit loops, autograd, or skada."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bench.methods.shared.losses import transfer as L

K, B, T, W, C, D = 3, 11, 9, 6, 4, 3


@pytest.fixture
def data():
    g = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    return {
        "hs": normal(K, B, W), "ht": normal(K, T, W) + 0.5, "zs": normal(K, B, C),
        "zt": 2 * normal(K, T, C), "other": normal(K, T, C),
        "y": torch.randint(0, C, (K, B), generator=g),
        "domain": torch.randint(0, D, (K, B), generator=g),
    }


def softmax(z):
    e = [math.exp(float(v) - float(max(z))) for v in z]
    return [v / sum(e) for v in e]


def close(found, expected):
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-11
    )


def test_cross_entropy_and_entropy(data):
    close(L.cross_entropy(data["zs"], data["y"]), [
        [-math.log(softmax(z)[int(c)]) for z, c in zip(data["zs"][k], data["y"][k])]
        for k in range(K)
    ])
    close(L.entropy(data["zt"]), [
        [-sum(p * math.log(p) for p in softmax(z)) for z in data["zt"][k]] for k in range(K)
    ])


def by_domain(values, domain, k):
    found = {}
    for v, d in zip(values[k].tolist(), domain[k].tolist()):
        found.setdefault(d, []).append(v)
    return {d: sum(v) / len(v) for d, v in found.items()}


def test_domain_means_and_vrex(data):
    each = L.cross_entropy(data["zs"], data["y"])
    data["domain"][1] = 0  # a batch without two of the domains
    means, present = L.domain_means(each, data["domain"], D)
    slow = [by_domain(each, data["domain"], k) for k in range(K)]
    close(means, [[s.get(d, 0.0) for d in range(D)] for s in slow])
    assert present.tolist() == [[d in s for d in range(D)] for s in slow]
    close(L.vrex(means, present), [float(np.var(list(s.values()))) for s in slow])


def test_group_dro_moves_weight_to_the_worst_domain():
    means = torch.tensor([[1.0, 2.0, 0.0]], dtype=torch.float64)
    present = torch.tensor([[True, True, False]])
    weights = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    loss, after = L.group_dro(means, present, weights, 0.3)
    raw = [0.5 * math.exp(0.3), 0.25 * math.exp(0.6), 0.25]
    q = [v / sum(raw) for v in raw]
    close(after, [q])
    close(loss, [q[0] * 1 + q[1] * 2])


def test_irm_is_the_product_of_the_halves_gradients(data):
    found = L.irm(data["zs"], data["y"], data["domain"], D)
    for k in range(K):
        products = []
        for d in range(D):
            gradients = []
            for half in (0, 1):
                rows = [i for i in range(B) if data["domain"][k, i] == d][half::2]
                if not rows:
                    break
                w = torch.ones((), dtype=torch.float64, requires_grad=True)
                risk = torch.nn.functional.cross_entropy(
                    w * data["zs"][k, rows], data["y"][k, rows]
                )
                gradients.append(torch.autograd.grad(risk, w)[0])
            if len(gradients) == 2:
                products.append(gradients[0] * gradients[1])
        torch.testing.assert_close(found[k], torch.stack(products).mean())


def test_partners_are_the_next_domains_windows():
    """A circle of the domains that occur, in any order; the shorter one is gone through again."""
    domain = torch.tensor([[2, 0, 2, 2, 0, 3], [1, 1, 1, 1, 1, 1]])
    order = torch.tensor([[3, 1, 0, 2], [2, 1, 0, 3]])  # 3, 0, 2 and 3 again; 1 alone
    found = L.partners(domain, order)
    assert found[0].tolist() == [5, 0, 5, 5, 2, 1]
    assert found[1].tolist() == list(range(6))


def test_mixed(data):
    share = torch.rand(K, B, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    share[1] = torch.arange(B) % 2
    partner = torch.stack([torch.roll(torch.arange(B), k) for k in range(K)])
    found = L.mixed(data["hs"], share, partner)
    for k in range(K):
        for i in range(B):
            s = share[k, i]
            expected = s * data["hs"][k, i] + (1 - s) * data["hs"][k, partner[k, i]]
            torch.testing.assert_close(found[k, i], expected)


def test_gradient_reversal():
    x = torch.tensor([2.0, -1.0], requires_grad=True)
    y = L.reverse_gradient(x, 0.25)
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    assert x.grad.tolist() == [-0.75, -1.25]


@pytest.mark.parametrize("weighted", [False, True])
def test_domain_confusion(data, weighted):
    s, t = data["zs"][..., 0], data["zt"][..., 0]
    ws, wt = data["zs"][..., 1].exp(), data["zt"][..., 1].exp()
    found = L.domain_confusion(s, t, *((ws, wt) if weighted else ()))
    expected = []
    for k in range(K):
        sides = []
        for z, w, is_source in ((s[k], ws[k], 1), (t[k], wt[k], 0)):
            bce = torch.nn.functional.binary_cross_entropy_with_logits(
                z, torch.full_like(z, is_source), reduction="none"
            )
            sides.append(float((bce * w).sum() / w.sum()) if weighted else float(bce.mean()))
        expected.append(sum(sides) / 2)
    close(found, expected)


def test_outer(data):
    p = data["zs"]
    found = L.outer(data["hs"], p)
    for i in range(W):
        for j in range(C):
            torch.testing.assert_close(found[..., i * C + j], data["hs"][..., i] * p[..., j])


def test_coral_against_skada(data):
    reference = pytest.importorskip("skada.deep.losses").deepcoral_loss
    close(L.coral(data["hs"], data["ht"]), [
        float(reference(data["hs"][k], data["ht"][k])) for k in range(K)
    ])


def kernel_of(rows, kernels=5):
    """Kernel matrix by loops: bandwidths are multiples of the mean squared distance."""
    n = len(rows)
    d = [[sum((a - b) ** 2 for a, b in zip(x, y)) for y in rows] for x in rows]
    mean = sum(map(sum, d)) / (n * (n - 1))
    return [[sum(math.exp(-v / (mean * 2.0 ** (i - kernels // 2))) for i in range(kernels))
             for v in row] for row in d]


def slow_mmd(kernel, weights):
    n = len(kernel)
    return sum(weights[i] * weights[j] * kernel[i][j] for i in range(n) for j in range(n))


def rows_of(source, target):
    return source.tolist() + target.tolist()


PLAIN = [1 / B] * B + [-1 / T] * T


def test_mmd(data):
    close(L.mmd(data["hs"], data["ht"]), [
        slow_mmd(kernel_of(rows_of(data["hs"][k], data["ht"][k])), PLAIN) for k in range(K)
    ])


def test_mmd_against_skada(data):
    """The same estimate from the same single kernel; skada's kernel is exp(-d / s), unsquared."""
    reference = pytest.importorskip("skada.deep.losses")
    s, t = data["hs"], data["ht"]
    d = L.squared_distances(torch.cat([s, t], dim=1)).sqrt()
    found = L.mean_discrepancy(torch.exp(-d / 2.0), L.sides(s, t))
    # (torch.cdist is used by the reference, whose rounding is that of a root near zero)
    expected = torch.stack([
        reference._maximum_mean_discrepancy(
            s[k], t[k],
            lambda a, b: reference._gaussian_kernel(a, b, torch.tensor([2.0], dtype=a.dtype)),
        ) for k in range(K)
    ])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


def test_joint_mmd(data):
    ps, pt = torch.softmax(data["zs"], 2), torch.softmax(data["zt"], 2)
    expected = []
    for k in range(K):
        first = kernel_of(rows_of(data["hs"][k], data["ht"][k]))
        rows = rows_of(ps[k], pt[k])
        second = [[math.exp(-sum((a - b) ** 2 for a, b in zip(x, y)) / 1.68) for y in rows]
                  for x in rows]
        both = [[a * b for a, b in zip(x, y)] for x, y in zip(first, second)]
        expected.append(slow_mmd(both, PLAIN))
    close(L.joint_mmd(data["hs"], data["ht"], ps, pt), expected)


def test_local_mmd(data):
    """Classes that do not occur among the source's labels, or among the target's guesses."""
    data["y"][0] = torch.arange(B) % (C - 1)
    data["zt"][1, :, 1] -= 20
    data["zt"][2, :, 1:] -= 20
    data["y"][2] = 1 + torch.arange(B) % (C - 1)  # no class on both sides
    pt = torch.softmax(data["zt"], 2)
    guesses = [set(pt[k].argmax(dim=1).tolist()) for k in range(K)]
    assert guesses[1] == {0, 2, 3}
    expected = []
    for k in range(K):
        kernel = kernel_of(rows_of(data["hs"][k], data["ht"][k]))
        each = []
        for c in range(C):
            own = [float(v == c) for v in data["y"][k]]
            if sum(own) and c in guesses[k]:
                theirs = pt[k, :, c].tolist()
                w = [v / sum(own) for v in own] + [-v / sum(theirs) for v in theirs]
                each.append(slow_mmd(kernel, w))
        expected.append(sum(each) / max(1, len(each)))
    assert expected[2] == 0
    close(L.local_mmd(data["hs"], data["ht"], data["y"], pt), expected)


def test_class_confusion(data):
    expected = []
    for k in range(K):
        p = [softmax((z / 2.5).tolist()) for z in data["zt"][k]]
        w = [1 + math.exp(sum(q * math.log(q) for q in row)) for row in p]
        w = [v * T / sum(w) for v in w]
        total = 0.0
        for i in range(C):
            row = [sum(w[n] * p[n][i] * p[n][j] for n in range(T)) for j in range(C)]
            total += sum(v / sum(row) for j, v in enumerate(row) if j != i)
        expected.append(total / C)
    close(L.class_confusion(data["zt"], 2.5), expected)


def test_class_confusion_against_skada(data):
    reference = pytest.importorskip("skada.deep.losses").mcc_loss
    expected = torch.stack([reference(data["zt"][k], T=2.5) for k in range(K)])
    torch.testing.assert_close(L.class_confusion(data["zt"], 2.5), expected, rtol=1e-5, atol=1e-6)


def test_classifier_discrepancy(data):
    close(L.classifier_discrepancy(data["zt"], data["other"]), [
        sum(abs(a - b) for u, v in zip(data["zt"][k], data["other"][k])
            for a, b in zip(softmax(u), softmax(v))) / (T * C)
        for k in range(K)
    ])


def test_information(data):
    expected = []
    for k in range(K):
        p = [softmax(z) for z in data["zt"][k]]
        mean = [sum(row[c] for row in p) / T for c in range(C)]
        sure = sum(-sum(q * math.log(q + 1e-5) for q in row) for row in p) / T
        expected.append(sure + sum(q * math.log(q + 1e-5) for q in mean))
    close(L.information(data["zt"]), expected)


def test_nearest_centroids(data):
    """A class that no window is predicted as takes none, though all have a part in it."""
    p = torch.softmax(data["zt"] - torch.tensor([1.5, 0.0, 0.0, 0.0]), 2)
    p[0, :, 1], p[1] = 0.3 * p[0].amax(dim=1), torch.softmax(data["zt"][1], 1)
    found = L.nearest_centroids(data["ht"], p)
    assert any(len(set(row.argmax(dim=1).tolist())) < C for row in p)
    for k in range(K):
        h = np.c_[data["ht"][k].numpy(), np.ones(T)]
        h /= np.linalg.norm(h, axis=1, keepdims=True)
        weight = p[k].numpy()
        given = set(weight.argmax(axis=1))
        for _ in range(2):
            best = []
            for i in range(T):
                cosines = []
                for c in range(C):
                    if c not in given:
                        cosines.append(-np.inf)
                        continue
                    centre = (weight[:, c : c + 1] * h).sum(axis=0)
                    cosines.append(h[i] @ centre / np.linalg.norm(centre))
                best.append(int(np.argmax(cosines)))
            weight, given = np.eye(C)[best], set(best)
        assert found[k].tolist() == best


@pytest.mark.parametrize("name", ["mmd", "coral"])
def test_models_do_not_mix(data, name):
    loss = getattr(L, name)
    together = loss(data["hs"], data["ht"])
    alone = [loss(data["hs"][k : k + 1], data["ht"][k : k + 1])[0] for k in range(K)]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("loss", [
    L.coral, lambda s, t: L.information(t),
    lambda s, t: L.mean_discrepancy(
        torch.exp(-L.squared_distances(torch.cat([s, t], dim=1))), L.sides(s, t)
    ),
])
def test_gradients_agree_with_differences(loss):
    g = torch.Generator().manual_seed(1)
    s = torch.randn(2, 5, 3, generator=g, dtype=torch.float64)
    t = torch.randn(2, 4, 3, generator=g, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: loss(s, t), t)
