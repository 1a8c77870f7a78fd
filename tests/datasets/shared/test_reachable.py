"""The best linear classifier of simulated features: it sees what sensors see, and no more."""

import numpy as np
import pytest

from bench.data.recipe import EFFECTS, Recipe
from bench.data.windows import FIVE_BANDS
from bench.datasets.faced import Faced
from bench.datasets.seed import Seed
from bench.datasets.shared import attainable as attainable_module
from bench.datasets.shared import reachable as module
from bench.datasets.shared.attainable import attainable
from bench.datasets.shared.brain import EMOTIONS, PlannedTrial
from bench.datasets.shared.facts import SEED_CHANNELS
from bench.datasets.shared.reachable import reachable
from bench.datasets.shared.simulator import Generator

LABELS = [0, 1, 2] * 5
NAMES = ("negative", "neutral", "positive")


def generator(**recipe):
    return Generator("SEED", Recipe(**recipe), SEED_CHANNELS, 200, 15)


def plan(seconds=12):
    return [PlannedTrial(t + 1, t, EMOTIONS[NAMES[c]], seconds * 200)
            for t, c in enumerate(LABELS)]


@pytest.fixture
def few(monkeypatch):
    """Fewer windows than usual, for speed."""
    monkeypatch.setattr(module, "_LEARNT", 1000)
    monkeypatch.setattr(module, "_TESTED", 600)


def accuracy(**recipe):
    y, proba, _ = reachable(generator(**recipe), 1, 1, plan(), LABELS, 3)
    return np.mean(proba.argmax(1) == y)


def test_powers_are_those_of_signals():
    sim = generator(trial_effect=0.0, label_noise=0.0, session_drift=0.0)
    signal = sim.signal(1, 1, 1, 0, EMOTIONS["positive"], 200 * 120).reshape(62, 120, 200)
    power = np.abs(np.fft.rfft(signal)) ** 2 * 2 / 200**2
    hertz = np.fft.rfftfreq(200, 1 / 200)
    seen = np.log(np.stack([power[:, :, (hertz >= a) & (hertz < b)].sum(2)
                            for a, b in FIVE_BANDS], 2)).mean(1)
    trial = PlannedTrial(1, 0, EMOTIONS["positive"], 200 * 120)
    drawn = module._Sensors(sim, 1, 1).draw(np.random.default_rng(0), trial)
    drawn = drawn.reshape(120, 62, 5).mean(0)
    for band in range(5):
        assert np.corrcoef(seen[:, band], drawn[:, band])[0, 1] > 0.95
        # Of a window cut without a taper the lowest band also holds what leaks from others.
        assert np.abs(seen[:, band] - drawn[:, band]).mean() < (0.6 if band == 0 else 0.3)


def test_it_has_a_row_a_window_and_is_reproducible(few):
    labels = [c if c else -1 for c in LABELS]
    y, proba, trial = reachable(generator(), 1, 1, plan(6), labels, 3)
    assert proba.shape == (len(y), 3)
    assert len(y) == len(trial)
    assert set(y) == {1, 2}
    assert proba.sum(1) == pytest.approx(1)
    assert (proba[:, 0] == 0).all()
    assert set(trial % 1000) == {t + 1 for t, c in enumerate(LABELS) if c}
    assert np.array_equal(proba, reachable(generator(), 1, 1, plan(6), labels, 3)[1])
    with pytest.raises(ValueError, match="no trial"):
        reachable(generator(), 1, 1, plan(), [-1] * 15, 3)
    only = reachable(generator(), 1, 1, plan(6), [1 if c == 1 else -1 for c in LABELS], 3)
    assert (only[1][:, 1] == 1).all()


def test_it_lies_below_the_best_attainable_and_far_below_where_structure_is_not_linear(few):
    y, proba, _ = attainable(generator(), 1, 1, plan(), LABELS, 3)
    best = np.mean(proba.argmax(1) == y)
    assert 0.6 < accuracy() < best
    y, proba, _ = attainable(generator(**EFFECTS["structured"]), 1, 1, plan(), LABELS, 3)
    assert accuracy(**EFFECTS["structured"]) < np.mean(proba.argmax(1) == y) - 0.1


def test_under_the_null_it_is_at_chance_for_all_that_trials_stand_in_an_order(few):
    assert accuracy(class_effect=0.0) == pytest.approx(1 / 3, abs=0.05)
    assert accuracy(class_effect=0.0, session_drift=4.0) == pytest.approx(1 / 3, abs=0.06)


def test_a_corpus_with_a_generator_of_its_own_is_drawn_anew_when_its_code_changes(
    few, tmp_path, monkeypatch
):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    drawn, code = [], {"SEED": 1, "FACED": 1}
    real = module.reachable
    monkeypatch.setattr(module, "reachable", lambda *a, **k: drawn.append(1) or real(*a, **k))
    monkeypatch.setattr("bench.data.cache.code_hash", lambda of: str(code[of.name]))
    recipe, labels = Recipe(subjects=2, length=0.05), {1: 0, 3: 1, 4: 0}
    for changed, draws in (("", 2), ("", 2), ("FACED", 3)):
        code |= {changed: 2} if changed else {}
        for adapter in (Seed(), Faced()):
            adapter.reachable(recipe, 1, 1, labels, 2)
        assert len(drawn) == draws


@pytest.mark.parametrize("what", ["reachable", "attainable"])
def test_a_corpus_draws_once_what_its_cells_share(what, few, tmp_path, monkeypatch):
    """The same to the bit from the cache; another recipe, recording or label is drawn anew."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    place, drawn = {"reachable": module, "attainable": attainable_module}[what], []
    real = getattr(place, what)
    monkeypatch.setattr(place, what, lambda *a, **k: drawn.append(real(*a, **k)) or drawn[-1])
    recipe, labels = Recipe(subjects=2, length=0.05), {1: 2, 3: 0, 4: 0, 10: 2}
    adapter = Seed()

    def asked(*of):
        return getattr(adapter, what)(*of)

    first = asked(recipe, 1, 1, labels, 3)
    for again in (asked(recipe, 1, 1, dict(reversed(labels.items())), 3),
                  getattr(Seed(), what)(recipe, 1, 1, labels, 3)):
        assert len(drawn) == 1
        for fresh, mine, other in zip(drawn[0], first, again, strict=True):
            assert fresh.dtype == mine.dtype == other.dtype
            assert np.array_equal(fresh, mine)
            assert np.array_equal(fresh, other)
    for n, of in enumerate([(Recipe(subjects=2, length=0.1), 1, 1, labels, 3),
                            (recipe, 2, 1, labels, 3), (recipe, 1, 2, labels, 3),
                            (recipe, 1, 1, labels | {1: 0}, 3), (recipe, 1, 1, labels, 4)]):
        assert not all(map(np.array_equal, asked(*of), first))
        assert len(drawn) == n + 2
