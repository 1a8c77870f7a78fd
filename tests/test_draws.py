"""Random numbers: the words of a slow reference, good ones, the same however they are asked for."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.draws import Draws

M32, M64 = 2**32 - 1, 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15
#: One of everything that can be drawn, of a stack or alone.
KINDS = {
    "words": lambda g: g.words(3, 5),
    "uniform": lambda g: g.uniform(7),
    "uniform in float64": lambda g: g.uniform(2, 3, dtype=torch.float64),
    "normal": lambda g: g.normal(3, 7),
    "normal in float64": lambda g: g.normal(5, dtype=torch.float64),
    "mask": lambda g: g.mask(0.3, 4, 4),
    "integers": lambda g: g.integers(9, 6),
    "permutation": lambda g: g.permutation(50),
    "first of permutations": lambda g: g.permutation(50, 2, take=7),
    "beta": lambda g: g.beta(0.2, 0.3, 4),
    "one beta": lambda g: g.beta(0.2, 2.0),
}


def mixed(z):
    """Finaliser of SplitMix64, in whole numbers of any size."""
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & M64
    return z ^ z >> 31


def slow_words(seed, numbers, calls, count):
    """Words without a sign, one at a time."""
    key = seed & M64
    for number in numbers:
        key = mixed(key) + number * GOLDEN & M64
    key = mixed(key + calls * 0xD1342543DE82EF95 & M64)
    out = []
    for i in range(count):
        x = ((key & M32) ^ i) * 0x9E3779B9 & M32
        x = (x ^ x >> 16) * 0x7FEB352D & M32
        x = x + (key >> 32) & M32
        x = (x ^ x >> 15) * 0x846CA68B & M32
        out.append(x ^ x >> 16)
    return out


def unsigned(words):
    return words.numpy().view(np.uint32).astype(np.int64)


def test_the_reference_mixes_as_splitmix64_does():
    """The first numbers of the published generator for the seed 1234567."""
    state = [mixed(1234567 + i * GOLDEN & M64) for i in (1, 2, 3)]
    assert state == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@settings(max_examples=60, deadline=None)
@given(st.integers(-2**70, 2**70), st.lists(st.integers(-2**40, 2**40), max_size=3),
       st.integers(0, 5), st.integers(1, 40))
def test_words_are_those_of_plain_integers(seed, numbers, calls, count):
    expected = slow_words(seed, numbers, calls, count)
    for given_as in (numbers, [torch.tensor(n) for n in numbers]):
        g = Draws.of(seed).at(*given_as)
        for _ in range(calls):
            g.words(2)
        assert unsigned(g.words(count)).tolist() == expected


def test_numbers_are_made_of_the_words():
    count, words = 60, slow_words(5, [3], 0, 120)

    def g():
        return Draws.of(5).at(3)

    top = [w ^ 2**31 for w in words[:count]]
    assert g().uniform(count).tolist() == [(t >> 8) / 2**24 for t in top]
    double = [((a >> 5) * 2**26 + (b >> 6)) / 2**53
              for a, b in zip(words[:count], words[count:], strict=True)]
    assert g().uniform(count, dtype=torch.float64).tolist() == double
    assert g().mask(0.3, count).tolist() == [
        (t >> 1) >= math.ceil(float(np.float32(0.3)) * 2**31) for t in top]
    assert g().integers(11, count).tolist() == [w * 11 >> 32 for w in words[:count]]
    signed = [w - 2**32 if w >> 31 else w for w in words[:count]]
    order = sorted(range(count), key=lambda i: (signed[i], i))
    assert g().permutation(count).tolist() == order
    assert g().permutation(count, take=9).tolist() == order[:9]
    radius = [math.sqrt(-2 * math.log(((w & 2**31 - 1) + 0.5) / 2**31)) for w in words[:count]]
    angle = [math.pi * (w - 2**32 if w >> 31 else w) / 2**31 for w in words[count:]]
    pairs = list(zip(radius, angle, strict=True))
    expected = [r * math.cos(a) for r, a in pairs] + [r * math.sin(a) for r, a in pairs]
    assert g().normal(2 * count, dtype=torch.float64).tolist() == pytest.approx(expected, rel=1e-12)
    assert g().normal(2 * count).tolist() == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
class TestTheSame:
    def test_alone_in_a_stack_and_in_any_order(self, kind):
        draw, each = KINDS[kind], [Draws.of(k) for k in range(4)]
        alone = [draw(one.at(7)) for one in each]
        for chosen in ([0, 1, 2, 3], [3, 1], [2]):
            stacked = draw(Draws.stack([each[k] for k in chosen]).at(7))
            assert stacked.shape == (len(chosen), *alone[0].shape)
            for place, k in enumerate(chosen):
                assert torch.equal(stacked[place], alone[k])

    def test_all_models_at_once(self, kind):
        """As a device draws that is no CPU: words to the bit, logarithms nearly."""
        stacked = Draws.stack([Draws.of(k) for k in range(4)])
        expected = KINDS[kind](stacked.at(7))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Draws, "device", torch.device("cuda"))
            patch.setattr(torch, "arange", on_the_cpu(torch.arange))
            found = KINDS[kind](stacked.at(7))
        if "normal" in kind or "beta" in kind:
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(found, expected)

    def test_whatever_was_drawn_before(self, kind):
        g = Draws.stack([Draws.of(1), Draws.of(2)])
        expected = KINDS[kind](g.at(1))
        for before in KINDS.values():
            before(g)
        torch.rand(3)
        assert torch.equal(KINDS[kind](g.at(1)), expected)

    def test_in_a_recording_that_is_replayed_at_other_steps(self, kind):
        def draw(keys, step):
            g = Draws(keys).at(step)
            return KINDS[kind](g), KINDS[kind](g)

        keys = Draws.stack([Draws.of(3), Draws.of(4)]).keys
        recorded = make_fx(draw)(keys, torch.tensor(0))
        seen = set()
        for step in range(2):
            found, expected = recorded(keys, torch.tensor(step)), draw(keys, torch.tensor(step))
            assert all(map(torch.equal, found, expected))
            assert not torch.equal(*found)
            seen.add(str(found))
        assert len(seen) == 2

    @pytest.mark.slow
    def test_compiled_as_a_whole(self, kind):
        """Nothing in it makes torch.compile leave the graph, and what is traced is the same."""
        def draw(keys, step):
            return KINDS[kind](Draws(keys).at(step))

        torch._dynamo.reset()
        keys, step = Draws.stack([Draws.of(3), Draws.of(4)]).keys, torch.tensor(5)
        traced = torch.compile(draw, backend="eager", fullgraph=True, dynamic=False)
        assert torch.equal(traced(keys, step), draw(keys, step))

    def test_nothing_comes_from_the_host(self, kind):
        keys = Draws.stack([Draws.of(3), Draws.of(4)], "meta")
        step = torch.zeros((), dtype=torch.int64, device="meta")
        with NoHost():
            found = KINDS[kind](keys.at(step))
        expected = KINDS[kind](Draws.stack([Draws.of(3), Draws.of(4)]).at(0))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)

    def test_global_random_state_is_neither_used_nor_changed(self, kind):
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            found.append(KINDS[kind](Draws.of(0)))
            assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(*found)


def on_the_cpu(make):
    """A function that makes tensors, deaf to a device."""
    def made(*args, device=None, **kwargs):
        return make(*args, **kwargs)

    return made


class NoHost(TorchDispatchMode):
    """Refuses tensors that are not on the meta device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor)]
        assert all(t.device.type == "meta" for t in tensors), func
        return out


def test_each_model_may_have_parameters_of_its_own():
    each = [Draws.of(k) for k in range(3)]
    shares = torch.tensor([0.1, 0.5, 0.9])
    for dtype in (torch.float32, torch.float64):
        g = Draws.stack(each).at(1)
        mask, beta = g.mask(shares.to(dtype), 999), g.beta(shares.to(dtype), 2.0, 5)
        for k, share in enumerate((0.1, 0.5, 0.9)):
            alone = each[k].at(1)
            assert torch.equal(mask[k], alone.mask(share, 999))
            torch.testing.assert_close(beta[k], alone.beta(share, 2.0, 5), rtol=0, atol=1e-6)


def test_all_and_nothing_are_hidden():
    g = Draws.of(0)
    assert not g.mask(1.0, 1000).any()
    assert g.mask(0.0, 1000).all()
    assert not Draws.stack([g]).mask(torch.ones(1), 1000).any()


@pytest.fixture(scope="module")
def uniforms():
    """Streams (64, 50000) of seeds that follow each other."""
    return Draws.stack([Draws.of(k) for k in range(64)]).uniform(50_000).numpy().astype(float)


def standard(values, limit=5.0):
    """Whether values are like standard normal numbers; a chance of some 1e-4 that such are not."""
    values = np.asarray(values)
    assert abs(values.mean()) * math.sqrt(values.size) < limit
    assert stats.kstest(values, "norm").pvalue > 1e-4


class TestGood:
    def test_moments(self):
        n = 1_000_000
        u, z = Draws.of(1).uniform(n).double(), Draws.of(2).normal(n).double()
        for power in range(1, 7):
            spread = math.sqrt(1 / (2 * power + 1) - 1 / (power + 1) ** 2)
            assert u.pow(power).mean().item() == pytest.approx(1 / (power + 1),
                                                               abs=5 * spread / math.sqrt(n))
        for power in range(1, 7):
            moments = [stats.norm.moment(p) for p in (power, 2 * power)]
            spread = math.sqrt(moments[1] - moments[0] ** 2)
            assert z.pow(power).mean().item() == pytest.approx(moments[0],
                                                               abs=5 * spread / math.sqrt(n))

    def test_distributions(self):
        n = 200_000
        assert stats.kstest(Draws.of(3).uniform(n).numpy(), "uniform").pvalue > 1e-4
        assert stats.kstest(Draws.of(4).normal(n).numpy(), "norm").pvalue > 1e-4
        for a, b in ((0.2, 0.2), (1.0, 1.0), (5.0, 5.0), (2.0, 0.5), (10.0, 0.3)):
            found = Draws.of(5).beta(a, b, 20_000).numpy()
            assert stats.kstest(found, stats.beta(a, b).cdf).pvalue > 1e-4

    @pytest.mark.parametrize("alpha", [0.001, 0.05])
    def test_beta_of_small_parameters_is_near_either_end(self, alpha):
        found = Draws.of(6).beta(alpha, alpha, 20_000)
        assert found.isfinite().all()
        assert found.mean().item() == pytest.approx(0.5, abs=0.02)
        assert found.var().item() == pytest.approx(0.25 / (2 * alpha + 1), rel=0.02)

    def test_bytes(self):
        """The chi-squared statistics of bytes, anywhere in a word, are as they should be."""
        words = unsigned(Draws.stack([Draws.of(k) for k in range(64)]).words(50_000))
        expected = words.shape[1] / 256
        for shift in range(0, 25, 4):
            counts = np.stack([np.bincount(w >> shift & 255, minlength=256) for w in words])
            chi = ((counts - expected) ** 2 / expected).sum(axis=1)
            assert stats.kstest(chi, stats.chi2(255).cdf).pvalue > 1e-4

    @pytest.mark.parametrize("lag", [1, 2, 3, 5, 62, 310, 1024, 4096, 15872])
    def test_serial_correlation(self, uniforms, lag):
        centred = (uniforms - 0.5) * math.sqrt(12)
        n = uniforms.shape[1] - lag
        standard(np.einsum("ki,ki->k", centred[:, :n], centred[:, lag:]) / math.sqrt(n))

    def test_pairs_of_neighbours_fill_the_square(self, uniforms):
        u = (uniforms * 16).astype(int)
        counts = np.stack([np.bincount(r[:-1:2] * 16 + r[1::2], minlength=256) for r in u])
        expected = u.shape[1] / 512
        chi = ((counts - expected) ** 2 / expected).sum(axis=1)
        assert stats.kstest(chi, stats.chi2(255).cdf).pvalue > 1e-4

    @pytest.mark.parametrize("neighbours", ["seeds", "steps", "calls", "epochs and batches"])
    def test_keys_are_independent(self, neighbours):
        n, g = 20_000, Draws.of(9)
        streams = {
            "seeds": lambda: (Draws.of(k) for k in range(60)),
            "steps": lambda: (g.at(k) for k in range(60)),
            "calls": lambda: itertools.repeat(g, 60),
            "epochs and batches": lambda: (g.at(*k) for k in itertools.product(range(8), repeat=2)),
        }[neighbours]()
        u = np.stack([one.uniform(n).numpy() for one in streams]).astype(float)
        correlation = np.corrcoef(u)[np.triu_indices(len(u), 1)]
        standard(correlation * math.sqrt(n))

    def test_a_number_over_the_steps(self):
        """What one entry of a mask is from step to step: as good as one stream."""
        count = 4000
        u = Draws.of(8).at(torch.arange(count)).uniform(3).numpy().T
        for series in u.astype(float):
            assert stats.kstest(series, "uniform").pvalue > 1e-4
            for lag in (1, 2, 10):
                assert abs(np.corrcoef(series[:-lag], series[lag:])[0, 1]) < 5 / math.sqrt(count)

    def test_every_bit_of_a_seed_changes_half_of_all_bits(self):
        base = unsigned(Draws.of(2**62 + 1).words(500))
        for bit in range(63):
            changed = unsigned(Draws.of((2**62 + 1) ^ (1 << bit)).words(500)) ^ base
            share = np.unpackbits(changed.astype(">u4").view(np.uint8)).mean()
            assert share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(500 * 32))

    def test_masks_permutations_and_integers(self):
        n = 200_000
        for share in (0.05, 0.5, 0.8):
            kept = Draws.of(1).mask(share, n).double().mean().item()
            assert kept == pytest.approx(1 - share, abs=5 * math.sqrt(share * (1 - share) / n))
        order = Draws.of(2).permutation(4, 48_000)
        assert (order.sort(dim=1).values == torch.arange(4)).all()
        assert stats.chisquare(np.bincount(order @ torch.tensor([64, 16, 4, 1]))[
            [int("".join(map(str, p)), 4) for p in itertools.permutations(range(4))]
        ]).pvalue > 1e-4
        found = Draws.of(3).integers(7, n)
        assert stats.chisquare(np.bincount(found.numpy(), minlength=7)).pvalue > 1e-4
        high = torch.tensor([1, 2, 50]).repeat(n)
        found = Draws.of(4).integers(high, 3 * n).view(n, 3)
        assert (found.amax(0).tolist(), found.amin(0).tolist()) == ([0, 1, 49], [0, 0, 0])


def test_seeds_for_other_libraries_are_spread():
    seeds = {Draws.of(k).seed() for k in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= s < 2**63 for s in seeds)
    assert sum(s >> 62 for s in seeds) == pytest.approx(500, abs=80)
