"""Losses of self-supervised learning agree with slow references written as explicit loops."""

from __future__ import annotations

import math

import pytest
import torch

from bench.methods.shared.losses import selfsupervised as losses

K, B, P, T = 2, 5, 7, 4


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=g, dtype=torch.float64)


def close(ours: torch.Tensor, theirs: list[float]) -> None:
    expected = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    dot = sum(float(u) * float(v) for u, v in zip(a, b, strict=True))
    return dot / math.sqrt(sum(float(u) ** 2 for u in a) * sum(float(v) ** 2 for v in b))


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum())


def slow_soft(z, weight, temperature, similarity=cosine) -> float:
    """mean_i sum_{j != i} -w(i, j) log p_ij."""
    n, total = len(z), 0.0
    for i in range(n):
        partition = sum(
            math.exp(similarity(z[i], z[j]) / temperature) for j in range(n) if j != i
        )
        for j in range(n):
            if j != i:
                p = math.exp(similarity(z[i], z[j]) / temperature) / partition
                total -= weight(i, j) * math.log(p)
    return total / n


class TestSoftContrastive:
    @pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
    def test_nt_xent(self, temperature):
        a, b = draw(K, B, P), draw(K, B, P, seed=1)
        theirs = [
            slow_soft(torch.cat([u, v]), lambda i, j: float(i % B == j % B), temperature)
            for u, v in zip(a, b, strict=True)
        ]
        close(losses.nt_xent(a, b, temperature), theirs)

    def test_nt_xent_is_symmetric_and_ignores_length(self):
        a, b = draw(K, B, P), draw(K, B, P, seed=1)
        one = losses.nt_xent(a, b, 0.3)
        torch.testing.assert_close(one, losses.nt_xent(b, a, 0.3))
        torch.testing.assert_close(one, losses.nt_xent(3 * a, b, 0.3))

    @pytest.mark.parametrize("similarity", ["cosine", "dot"])
    def test_soft_weights(self, similarity):
        z, w = draw(K, 2 * B, P), draw(K, 2 * B, 2 * B, seed=1).sigmoid()
        slow = cosine if similarity == "cosine" else lambda a, b: float((a * b).sum())
        theirs = [
            slow_soft(
                z[k], lambda i, j, k=k: 1.0 if i % B == j % B else float(w[k, i, j]), 0.7, slow
            )
            for k in range(K)
        ]
        close(losses.soft_contrastive(z, w, B, 0.7, similarity), theirs)

    def test_gradient(self):
        a, b = draw(1, 3, 4).requires_grad_(), draw(1, 3, 4, seed=1).requires_grad_()
        assert torch.autograd.gradcheck(lambda u, v: losses.nt_xent(u, v, 0.5), (a, b))


class TestNoNegatives:
    def test_byol(self):
        a, b = draw(K, B, P), draw(K, B, P, seed=1)
        theirs = [
            sum(2 - 2 * cosine(u, v) for u, v in zip(x, y, strict=True)) / B
            for x, y in zip(a, b, strict=True)
        ]
        close(losses.byol(a, b), theirs)
        torch.testing.assert_close(losses.byol(a, b), losses.byol(b, a))
        close(losses.byol(a, 2 * a), [0.0] * K)

    def test_vicreg(self):
        a, b = 0.5 * draw(K, B, P), 0.5 * draw(K, B, P, seed=1)
        ours = losses.vicreg(a, b)
        close(ours["invariance"], [
            sum(float(a[k, i, d] - b[k, i, d]) ** 2 for i in range(B) for d in range(P)) / (B * P)
            for k in range(K)
        ])
        variance, covariance = [0.0] * K, [0.0] * K
        for k in range(K):
            for view in (a[k], b[k]):
                mean = [sum(float(v) for v in view[:, d]) / B for d in range(P)]
                for d in range(P):
                    for e in range(P):
                        c = sum(
                            (float(view[i, d]) - mean[d]) * (float(view[i, e]) - mean[e])
                            for i in range(B)
                        ) / (B - 1)
                        if d == e:
                            variance[k] += max(0.0, 1 - math.sqrt(c + 1e-4)) / P / 2
                        else:
                            covariance[k] += c**2 / P
        close(ours["variance"], variance)
        close(ours["covariance"], covariance)
        for name, value in losses.vicreg(b, a).items():
            torch.testing.assert_close(ours[name], value)


class TestMasking:
    def test_only_hidden_entries_count(self):
        x, rebuilt = draw(K, B, 3, 4), draw(K, B, 3, 4, seed=1)
        keep = draw(K, B, 3, 4, seed=2) > 0
        theirs = []
        for k in range(K):
            errors = [
                float(rebuilt[k, i, c, f] - x[k, i, c, f]) ** 2
                for i in range(B) for c in range(3) for f in range(4) if not keep[k, i, c, f]
            ]
            theirs.append(sum(errors) / len(errors))
        close(losses.masked_error(rebuilt, x, keep), theirs)
        close(losses.masked_error(torch.where(keep, 1e6, rebuilt), x, keep), theirs)

    def test_nothing_hidden_is_no_error(self):
        x = draw(K, B, 3, 4)
        close(losses.masked_error(x + 1, x, torch.ones_like(x, dtype=torch.bool)), [0.0] * K)

    @pytest.mark.parametrize("copies", [1, 2, 3])
    def test_aggregation(self, copies):
        n = B * (copies + 1)
        z = draw(K, n, P)
        weights, constraint = losses.aggregation(z, B, 0.2)
        for k in range(K):
            pairs = []
            for i in range(n):
                partition = sum(
                    math.exp(cosine(z[k, i], z[k, j]) / 0.2) for j in range(n) if j != i
                )
                for j in range(n):
                    share = 0.0 if i == j else math.exp(cosine(z[k, i], z[k, j]) / 0.2) / partition
                    assert float(weights[k, i, j]) == pytest.approx(share, abs=1e-9)
                    if i != j and i % B == j % B:
                        pairs.append(-math.log(share))
            assert float(constraint[k]) == pytest.approx(sum(pairs) / n, abs=1e-9)


class TestTime:
    def test_temporal_weights(self):
        ours = losses.temporal_weights(T, 0.8)
        for s in range(T):
            for t in range(T):
                theirs = 2 / (1 + math.exp(0.8 * abs(s - t)))
                assert float(ours[s, t]) == pytest.approx(theirs, abs=1e-12)
        assert losses.temporal_weights(2, 14.0)[0, 1] > 0
        assert losses.temporal_weights(2, 15.0)[0, 1] == 0  # below 1e-6
        torch.testing.assert_close(ours, ours.T)

    def test_soft_contrast_in_time(self):
        z = draw(K, 2, T, B, P)
        alike = draw(K, B, B, seed=1).sigmoid()
        instance, temporal = losses.soft_contrastive_in_time(z, alike, 0.8)
        moments = losses.temporal_weights(T, 0.8)
        for k in range(K):
            per_moment = [
                slow_soft(
                    torch.cat([z[k, 0, t], z[k, 1, t]]),
                    lambda i, j, k=k: 1.0 if i % B == j % B else float(alike[k, i % B, j % B]), 1.0,
                    dot,
                )
                for t in range(T)
            ]
            per_run = [
                slow_soft(
                    torch.cat([z[k, 0, :, b], z[k, 1, :, b]]),
                    lambda i, j: float(moments[i % T, j % T]), 1.0, dot,
                )
                for b in range(B)
            ]
            assert float(instance[k]) == pytest.approx(sum(per_moment) / T, abs=1e-9)
            assert float(temporal[k]) == pytest.approx(sum(per_run) / B, abs=1e-9)

    def test_views_may_be_swapped(self):
        z, alike = draw(K, 2, T, B, P), draw(K, B, B, seed=1).sigmoid()
        for one, other in zip(
            losses.soft_contrastive_in_time(z, alike, 0.8),
            losses.soft_contrastive_in_time(z.flip(1), alike, 0.8), strict=True,
        ):
            torch.testing.assert_close(one, other)

    @pytest.mark.parametrize("steps", [2, 3, 8])
    def test_coarser(self, steps):
        z = draw(K, 2, steps, B, P)
        ours = losses.coarser(z)
        assert ours.shape == (K, 2, steps // 2, B, P)
        for t in range(steps // 2):
            wanted = torch.maximum(z[:, :, 2 * t], z[:, :, 2 * t + 1])
            torch.testing.assert_close(ours[:, :, t], wanted)

    @pytest.mark.parametrize("w", [0.0, 0.05, 0.4])
    def test_neighbourhood(self, w):
        near, far = 3 * draw(K, B), 3 * draw(K, B, seed=1)
        theirs = []
        for k in range(K):
            total = 0.0
            for a, b in zip(near[k].tolist(), far[k].tolist(), strict=True):
                d_near, d_far = 1 / (1 + math.exp(-a)), 1 / (1 + math.exp(-b))
                total -= math.log(d_near) + (1 - w) * math.log(1 - d_far) + w * math.log(d_far)
            theirs.append(total / B)
        close(losses.neighbourhood(near, far, w), theirs)

    def test_info_nce(self):
        a, b = draw(K, B, P), draw(K, B, P, seed=1)
        theirs = []
        for k in range(K):
            total = 0.0
            for i in range(B):
                scores = [float((b[k, i] * a[k, j]).sum()) for j in range(B)]
                total -= math.log(math.exp(scores[i]) / sum(math.exp(s) for s in scores))
            theirs.append(total / B)
        close(losses.info_nce(a, b), theirs)
        assert not torch.allclose(losses.info_nce(a, b), losses.info_nce(b, a))

    def test_nt_xent_with_a_polynomial_term(self):
        a, b = draw(K, B, P), draw(K, B, P, seed=1)
        theirs = []
        for k in range(K):
            z, total, own = torch.cat([a[k], b[k]]), 0.0, 0.0
            for i in range(2 * B):
                partition = sum(math.exp(cosine(z[i], z[j]) / 0.2) for j in range(2 * B) if j != i)
                p = math.exp(cosine(z[i], z[(i + B) % (2 * B)]) / 0.2) / partition
                total, own = total - math.log(p), own + p
            mean = own / (2 * B * (2 * B - 1))
            theirs.append(total / (2 * B) + B * (1 / B - mean))
        close(losses.nt_xent_poly(a, b, 0.2), theirs)


def test_models_do_not_mix():
    """A model's loss is the same alone and in a stack."""
    a, b = draw(K, B, P), draw(K, B, P, seed=1)
    keep = draw(K, B, 1, P, seed=2) > 0
    cases = [
        lambda u, v, m: losses.nt_xent(u, v, 0.5), lambda u, v, m: losses.byol(u, v),
        lambda u, v, m: sum(losses.vicreg(u, v).values()), lambda u, v, m: losses.info_nce(u, v),
        lambda u, v, m: losses.aggregation(torch.cat([u, v], 1), B, 0.2)[1],
        lambda u, v, m: losses.masked_error(u.unsqueeze(2), v.unsqueeze(2), m),
    ]
    for case in cases:
        whole = case(a, b, keep)
        for k in range(K):
            alone = case(*(t[k : k + 1] for t in (a, b, keep)))
            torch.testing.assert_close(whole[k : k + 1], alone)
