"""Target windows fill batches of any size."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.draws import Draws
from bench.methods.shared.training.deep import filled


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 6), st.integers(2, 30))
def test_permutations_end_to_end(windows, steps, size):
    each = [Draws.of(k) for k in range(len(windows))]
    picks = filled(windows, steps, size, Draws.stack(each))
    assert picks.shape == (len(windows), steps, size)
    for k, n in enumerate(windows):
        counts = torch.bincount(picks[k].flatten(), minlength=n)
        assert len(counts) == n
        assert counts.max() - counts.min() <= 1
        rounds = picks[k].flatten().split(n)
        assert all(len(set(r.tolist())) == len(r) for r in rounds)
        assert torch.equal(picks[k], filled([n], steps, size, Draws.stack(each[k : k + 1]))[0])
