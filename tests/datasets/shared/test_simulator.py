"""The simulator: each effect acts as its number says, and the null is a null."""

import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from bench.data.channels import POSITIONS
from bench.data.recipe import Recipe
from bench.data.windows import FIVE_BANDS
from bench.datasets.shared.attainable import LevelDensity, attainable
from bench.datasets.shared.facts import DEAP_CHANNELS, SEED_CHANNELS
from bench.datasets.shared.simulator import EMOTIONS, PATTERN, Emotion, Generator
from bench.errors import UnknownNameError

CLASSES = ("negative", "neutral", "positive")
SEED_LABELS = np.array([1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1]) + 1
QUIET = {"subject_effect": 0.0, "session_drift": 0.0, "trial_effect": 0.0, "label_noise": 0.0,
         "corpus_effect": 0.0}
HAPPY, SAD = EMOTIONS["positive"], EMOTIONS["negative"]


@dataclass(frozen=True)
class Planned:
    number: int
    order: int
    emotion: Emotion
    samples: int


@dataclass(frozen=True)
class Data:
    """DE windows (n, channels * bands) of one subject."""

    x: np.ndarray
    y: np.ndarray
    trial: np.ndarray


def generator(corpus="SEED", **recipe):
    channels, rate, n = {
        "SEED": (SEED_CHANNELS, 200, 15),
        "SEED-IV": (SEED_CHANNELS, 200, 15),  # SEED's design, so that only the site differs
        "DEAP": (DEAP_CHANNELS, 128, 40),
    }[corpus]
    return Generator(corpus, Recipe(**recipe), channels, rate, n)


def entropy(signal, rate):
    """(windows, channels, bands) differential entropy of 1-s windows."""
    rate = int(rate)
    n = signal.shape[1] // rate
    cut = signal[:, : n * rate].reshape(len(signal), n, rate)
    taper = np.hanning(rate)
    power = np.abs(np.fft.rfft(cut * taper)) ** 2 * 2 / (rate * (taper**2).sum())
    hertz = np.fft.rfftfreq(rate, 1 / rate)
    bands = [power[:, :, (hertz >= a) & (hertz < b)].sum(2) for a, b in FIVE_BANDS]
    return 0.5 * np.log(2 * np.pi * np.e * np.stack(bands, 2)).transpose(1, 0, 2)


def spectrum(signal, rate):
    """Mean power over channels at whole Hz, from 2-s segments."""
    cut = signal[:, : signal.shape[1] // (2 * rate) * 2 * rate].reshape(len(signal), -1, 2 * rate)
    power = np.abs(np.fft.rfft(cut * np.hanning(2 * rate))) ** 2
    return power.mean((0, 1))[::2]


@lru_cache
def subjects(corpus="SEED", count=4, seconds=12, **recipe):
    """Subjects of SEED's design."""
    sim = generator(corpus, **recipe)
    people = []
    for s in range(1, count + 1):
        des = [entropy(sim.signal(s, 1, t + 1, t, EMOTIONS[CLASSES[k]], seconds * 200), 200)
               for t, k in enumerate(SEED_LABELS)]
        x = np.concatenate(des).reshape(len(SEED_LABELS) * seconds, -1)
        span = np.ptp(x, axis=0)
        people.append(Data((x - x.min(0)) / span, np.repeat(SEED_LABELS, seconds),
                           np.repeat(np.arange(15), seconds)))
    return people


def accuracy(train, test):
    model = LogisticRegression(C=0.3, max_iter=1000)
    model.fit(np.concatenate([d.x for d in train]), np.concatenate([d.y for d in train]))
    return np.array([np.mean(model.predict(d.x) == d.y) for d in test])


def leave_one_out(people):
    return np.concatenate([accuracy([o for o in people if o is not p], [p]) for p in people])


def select(data, mask):
    return Data(data.x[mask], data.y[mask], data.trial[mask])


def first_trials(people):
    """Accuracy on the last six trials after training on the first nine."""
    return np.concatenate(
        [accuracy([select(p, p.trial < 9)], [select(p, p.trial >= 9)]) for p in people]
    )


# --- streams ---------------------------------------------------------------------------------


def test_signal_does_not_depend_on_what_was_drawn_before():
    first, second = generator(), generator()
    a = first.signal(2, 1, 3, 2, HAPPY, 1300)
    second.signal(1, 1, 1, 0, SAD, 900)
    second.presentation_order(2, 1, 15)
    assert a.dtype == np.float64
    assert a.shape == (62, 1300)
    assert np.array_equal(a, second.signal(2, 1, 3, 2, HAPPY, 1300))
    assert np.array_equal(a, first.signal(2, 1, 3, 2, HAPPY, 1300))


def test_signal_is_the_same_in_another_process():
    code = (
        "from bench.datasets.shared.simulator import *; from bench.data.corpus import Recipe;"
        "g = Generator('DEAP', Recipe(), ['FZ', 'CZ', 'PZ'], 128, 40);"
        "print(repr(g.signal(1, 1, 1, 0, EMOTIONS['fear'], 256).sum(1).round(6).tolist()))"
    )
    sim = Generator("DEAP", Recipe(), ["FZ", "CZ", "PZ"], 128, 40)
    here = repr(sim.signal(1, 1, 1, 0, EMOTIONS["fear"], 256).sum(1).round(6).tolist())
    env = {"PYTHONHASHSEED": "7"}
    there = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True,
                           check=True)
    assert there.stdout.strip() == here


def test_every_axis_names_another_stream():
    base = generator().signal(1, 1, 1, 0, HAPPY, 600)
    others = [
        generator().signal(2, 1, 1, 0, HAPPY, 600),
        generator().signal(1, 2, 1, 0, HAPPY, 600),
        generator().signal(1, 1, 2, 0, HAPPY, 600),
        generator(seed=1).signal(1, 1, 1, 0, HAPPY, 600),
        generator("SEED-IV").signal(1, 1, 1, 0, HAPPY, 600),
    ]
    for other in others:
        assert abs(np.corrcoef(base[5], other[5])[0, 1]) < 0.4


def test_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="order 15 of 15"):
        generator().signal(1, 1, 1, 15, HAPPY, 600)
    with pytest.raises(ValueError, match="0 samples"):
        generator().signal(1, 1, 1, 0, HAPPY, 0)
    with pytest.raises(UnknownNameError, match="electrode"):
        Generator("SEED", Recipe(), ["CZ", "NOSE"], 200, 15)


def test_another_corpus_gets_its_own_site():
    sim = Generator("SEED-V", Recipe(), SEED_CHANNELS, 200, 15)
    assert sim.site == Generator("SEED-V", Recipe(), ["CZ"], 200, 15).site
    assert sim.site != Generator("FACED", Recipe(), ["CZ"], 200, 15).site
    assert np.isfinite(sim.signal(1, 1, 1, 0, HAPPY, 600)).all()


# --- the signal is like EEG ------------------------------------------------------------------


@pytest.mark.parametrize(("corpus", "rate"), [("SEED", 200), ("SEED-IV", 200), ("DEAP", 128)])
def test_amplitudes_are_those_of_eeg(corpus, rate):
    sim = generator(corpus)
    spread = np.array([sim.signal(s, 1, 1, 0, HAPPY, 10 * rate).std(1) for s in range(1, 7)])
    assert 5 < np.median(spread) < 30
    assert spread.min() > 1
    assert spread.max() < 80


def test_power_falls_with_frequency_and_peaks_at_alpha():
    power = spectrum(generator().signal(1, 1, 1, 0, EMOTIONS["neutral"], 60 * 200), 200)
    assert power[2] > 1.5 * power[6] > 3 * power[20] > 6 * power[60]
    assert power[9:12].max() > 2 * power[15]
    assert power[95] < 0.2 * power[60]


def test_deap_is_limited_to_its_pass_band():
    power = spectrum(generator("DEAP").signal(1, 1, 1, 0, HAPPY, 60 * 128), 128)
    inside = power[5:44].min()
    assert power[1] < 0.01 * power[5]
    assert power[2] < 0.2 * power[5]
    assert power[55:].max() < 0.3 * inside


def test_mains_hum_belongs_to_the_corpus_effect():
    def peak(effect):
        x = generator(corpus_effect=effect).signal(1, 1, 1, 0, HAPPY, 40 * 200)
        power = (np.abs(np.fft.rfft(x)) ** 2).mean(0)  # 40 bins a Hz
        return power[50 * 40] / power[49 * 40 : 51 * 40].mean()

    assert peak(0.0) < 4
    assert peak(1.0) > 10
    assert peak(2.0) > peak(1.0)


def test_background_is_correlated_in_space():
    x = generator().signal(1, 1, 1, 0, HAPPY, 4000)
    corr = np.corrcoef(x)
    at = SEED_CHANNELS.index
    assert corr[at("PO5"), at("PO7")] > 0.7
    assert corr[at("PO5"), at("PO7")] > corr[at("PO5"), at("F8")] + 0.3


# --- each effect is exactly absent at 0 ------------------------------------------------------


def test_class_effect():
    null = generator(class_effect=0.0, label_noise=0.3)
    assert np.array_equal(
        null.signal(1, 1, 1, 0, HAPPY, 600), null.signal(1, 1, 1, 0, SAD, 600)
    )
    sim = generator()
    assert not np.array_equal(sim.signal(1, 1, 1, 0, HAPPY, 600), sim.signal(1, 1, 1, 0, SAD, 600))


def test_session_drift():
    still, drifting = generator(session_drift=0.0), generator()
    assert np.array_equal(
        still.signal(1, 1, 1, 0, HAPPY, 600), still.signal(1, 1, 1, 14, HAPPY, 600)
    )
    a, b = (drifting.signal(1, 1, 1, o, HAPPY, 600) for o in (0, 14))
    assert not np.array_equal(a, b)


def test_trial_effect():
    def spread(effect):
        sim = generator(**{**QUIET, "trial_effect": effect})
        means = [entropy(sim.signal(1, 1, t, 0, HAPPY, 4000), 200).mean(0) for t in range(8)]
        return np.std(means, axis=0).mean()

    assert spread(0.0) < 0.07
    assert spread(2.0) > 1.6 * spread(0.0)


def test_subject_effect():
    def distance(effect):
        sim = generator(**{**QUIET, "subject_effect": effect})
        a, b = (entropy(sim.signal(s, 1, 1, 0, HAPPY, 8000), 200).mean(0) for s in (1, 2))
        return np.abs(a - b).mean()

    assert distance(0.0) < 0.06
    assert distance(1.0) > 0.12
    assert distance(2.0) > distance(1.0)
    same = generator(subject_effect=0.0)
    assert np.array_equal(same.shift(1, HAPPY), same.shift(2, HAPPY))
    assert not np.array_equal(generator().shift(1, HAPPY), generator().shift(2, HAPPY))


def test_corpus_effect():
    common = [SEED_CHANNELS.index(c.upper()) for c in DEAP_CHANNELS]

    def mean(corpus, effect):
        sim = generator(corpus, **{**QUIET, "corpus_effect": effect})
        de = [entropy(sim.signal(s, 1, 1, 0, HAPPY, int(40 * sim.rate)), sim.rate).mean(0)
              for s in (1, 2)]
        # DEAP's pass band is how it is distributed, not an effect: compare what all corpora hold.
        bands = np.mean(de, 0)[:, 1:4]
        return bands if corpus == "DEAP" else bands[common]

    for other in ("SEED-IV", "DEAP"):
        assert np.abs(mean("SEED", 0.0) - mean(other, 0.0))[:, 1:].mean() < 0.06
        assert np.abs(mean("SEED", 1.0) - mean(other, 1.0))[:, 1:].mean() > 0.1


def test_buildup():
    times = np.arange(20.0)
    assert (generator(buildup=0.0).buildup(times, 20) == 1).all()
    grown = generator().buildup(times, 20)
    assert grown[0] == 0
    assert (np.diff(grown) > 0).all()
    assert grown[-1] > 0.99
    assert (generator(buildup=3.0).buildup(times, 20) <= grown).all()


def test_label_noise_draws_a_share_of_trials_from_another_emotion():
    clean, noisy = generator(label_noise=0.0), generator(label_noise=0.4)
    wrong = 0
    for subject in range(1, 9):
        for trial in range(1, 16):
            a = noisy.signal(subject, 1, trial, 0, HAPPY, 200)
            if not np.array_equal(a, clean.signal(subject, 1, trial, 0, HAPPY, 200)):
                wrong += 1
                others = [clean.signal(subject, 1, trial, 0, EMOTIONS[n], 200)
                          for n in ("negative", "neutral")]
                assert any(np.array_equal(a, o) for o in others)
    assert 0.25 < wrong / 120 < 0.55


def test_confusions():
    assert generator().confusions(HAPPY) == (SAD, EMOTIONS["neutral"])
    assert generator("DEAP").confusions(Emotion(0.5, -0.2)) == (Emotion(-0.5, 0.2),)


# --- emotion ---------------------------------------------------------------------------------


def test_joined_classes_are_near_and_others_are_not():
    def distance(a, b):
        a, b = EMOTIONS[a], EMOTIONS[b]
        return np.hypot(a.valence - b.valence, a.arousal - b.arousal)

    assert distance("negative", "sad") < 0.3
    assert distance("positive", "happy") < 0.3
    assert min(distance(a, b) for a, b in (("sad", "fear"), ("sad", "happy"),
                                           ("neutral", "sad"), ("fear", "happy"))) > 0.7


def test_emotion_acts_where_the_pattern_says():
    sim = generator(**QUIET, buildup=0.0, class_effect=1.5)
    positive, negative = (
        np.mean([entropy(sim.signal(1, 1, t, 0, e, 6000), 200).mean(0) for t in (1, 2)], 0)
        for e in (HAPPY, SAD)
    )
    change = positive - negative
    bands = ("delta", "theta", "alpha", "beta", "gamma")
    for source, band in (("F3", "alpha"), ("F4", "alpha"), ("T7", "gamma"), ("T8", "gamma")):
        weight = PATTERN[source, band][0]
        assert change[SEED_CHANNELS.index(source), bands.index(band)] * np.sign(weight) > 0.1
    assert np.abs(change[:, 0]).max() < 0.1  # nothing in delta
    assert set(bands) >= {band for _, band in PATTERN}
    assert set(POSITIONS) >= {source for source, _ in PATTERN}


def test_neutral_is_not_only_the_midpoint():
    sim = generator(**QUIET)
    low, mid, high = (sim.shift(1, Emotion(v, 0.0)) for v in (-0.8, 0.0, 0.8))
    assert np.abs(mid - (low + high) / 2).max() > 0.2


def test_accuracy_grows_with_the_class_effect():
    scores = [leave_one_out(subjects(class_effect=c)).mean() for c in (0.0, 1.0, 2.5)]
    assert scores[0] < 0.42
    assert scores[0] + 0.08 < scores[1] < scores[2] - 0.08


def test_null_is_at_chance():
    people = subjects(count=12, seconds=6, class_effect=0.0)
    for scores in (leave_one_out(people), first_trials(people)):
        error = scores.std(ddof=1) / np.sqrt(len(scores))
        assert abs(scores.mean() - 1 / 3) < 3.5 * error


def test_drift_does_not_follow_the_order_under_the_null():
    def roughness(class_effect):
        """Von Neumann's ratio of DE over the order: about 2 without a trend, near 0 with one."""
        sim = generator(**{**QUIET, "session_drift": 3.0}, class_effect=class_effect)
        ratio = []
        for s in (1, 2, 3):
            x = np.stack([entropy(sim.signal(s, 1, 1, o, HAPPY, 1200), 200).mean(0)
                          for o in range(15)]).reshape(15, -1)
            ratio.append((np.diff(x, axis=0) ** 2).sum(0) / ((x - x.mean(0)) ** 2).sum(0))
        return np.mean(ratio)

    assert roughness(0.01) < 0.8
    assert 1.5 < roughness(0.0) < 2.6


def test_windows_of_a_trial_are_alike():
    """Windows of the test's trials in the training must pay, even where nothing is to learn."""
    people = subjects(count=12, seconds=6, class_effect=0.0)
    rng = np.random.default_rng(0)
    leaky = []
    for p in people:
        mask = rng.random(len(p.y)) < 0.6
        leaky.append(accuracy([select(p, mask)], [select(p, ~mask)])[0])
    assert np.mean(leaky) > 1 / 3 + 0.06


def test_corpus_effect_harms_transfer_first():
    within, transfer = {}, {}
    for effect in (0.0, 1.0, 3.0):
        source = subjects(count=5, corpus_effect=effect)
        target = subjects("SEED-IV", count=5, corpus_effect=effect)
        within[effect] = leave_one_out(target).mean()
        transfer[effect] = accuracy(source, target).mean()
    assert transfer[0.0] > transfer[1.0] > transfer[3.0]
    for effect in (1.0, 3.0):
        assert transfer[0.0] - transfer[effect] > within[0.0] - within[effect]
    assert transfer[3.0] < within[3.0] - 0.1


# --- DEAP's ratings and orders ---------------------------------------------------------------


def test_ratings_look_like_ratings():
    sim = generator("DEAP")
    valence = np.array([
        [sim.ratings(s, v, Emotion(np.sin(v), np.cos(v)))["valence"] for v in range(40)]
        for s in range(1, 9)
    ])
    assert valence.min() >= 1
    assert valence.max() <= 9
    assert np.array_equal(valence, valence.round(2))
    assert (valence == 5.0).any()
    assert (valence == 4.5).any()
    assert 1.5 < valence.std() < 2.5
    assert 0.4 < np.corrcoef(valence)[0, 1:].mean() < 0.9  # taste differs, the videos are shared
    ratings = sim.ratings(1, 1, HAPPY)
    assert set(ratings) == {"valence", "arousal", "dominance", "liking"}
    assert ratings == generator("DEAP").ratings(1, 1, HAPPY)


def test_presentation_order():
    sim = generator("DEAP")
    first = sim.presentation_order(1, 1, 40)
    assert sorted(first) == list(range(40))
    assert np.array_equal(first, generator("DEAP").presentation_order(1, 1, 40))
    assert not np.array_equal(first, sim.presentation_order(2, 1, 40))
    assert not np.array_equal(first, sim.presentation_order(1, 2, 40))


# --- best attainable accuracy ----------------------------------------------------------------


def plan(seconds=12):
    return [Planned(t + 1, t, EMOTIONS[CLASSES[k]], seconds * 200 + 1)
            for t, k in enumerate(SEED_LABELS)]


def best(subject=1, labels=SEED_LABELS, classes=3, repeats=20, **recipe):
    y, proba, trial = attainable(generator(**recipe), subject, 1, plan(), labels, classes,
                                 repeats=repeats)
    return y, proba, trial, np.mean(proba.argmax(1) == y)


def test_attainable_has_one_row_a_window():
    y, proba, trial, _ = best(repeats=3)
    assert y.shape == trial.shape == (3 * 15 * 12,)
    assert proba.shape == (len(y), 3)
    assert proba.sum(1) == pytest.approx(1)
    assert len(np.unique(trial)) == 3 * 15
    assert set(trial % 1000) == set(range(1, 16))


def test_attainable_is_reproducible_and_drops_trials_without_a_class():
    labels = np.where(SEED_LABELS == 1, -1, SEED_LABELS // 2)
    first, again = best(labels=labels, classes=2), best(labels=labels, classes=2)
    assert np.array_equal(first[1], again[1])
    assert len(first[0]) == 20 * 10 * 12
    with pytest.raises(ValueError, match="no trial"):
        best(labels=[-1] * 15)
    with pytest.raises(ValueError, match="shorter|longer"):
        best(labels=[0, 1])


def test_attainable_is_the_prior_under_the_null():
    *_, score = best(class_effect=0.0)
    assert score == pytest.approx(1 / 3, abs=0.01)


def test_attainable_is_almost_one_for_a_large_effect():
    *_, score = best(class_effect=6.0, label_noise=0.0, buildup=0.0)
    assert score > 0.99


def test_label_noise_limits_the_attainable():
    *_, score = best(class_effect=6.0, label_noise=0.2, buildup=0.0, repeats=60)
    assert score == pytest.approx(0.8, abs=0.05)


def test_attainable_at_the_defaults_is_high_and_its_probabilities_are_honest():
    y, proba, _, score = best(repeats=60)
    assert 0.75 < score < 0.95
    assert proba.max(1).mean() == pytest.approx(score, abs=0.02)
    assert proba.mean(0) == pytest.approx(np.bincount(y) / len(y), abs=0.03)


def test_attainable_for_ratings_of_deap():
    sim = generator("DEAP")
    rng = np.random.default_rng(0)
    trials = [Planned(t + 1, t, Emotion(*rng.uniform(-1, 1, 2)), 6 * 128) for t in range(40)]
    labels = [int(t.emotion.valence > 0) for t in trials]
    y, proba, _ = attainable(sim, 1, 1, trials, labels, 2)
    assert 0.7 < np.mean(proba.argmax(1) == y) < 0.95


@pytest.mark.parametrize("recipe", [
    {}, {"class_effect": 2.5}, {"class_effect": 0.0}, {"corpus_effect": 3.0},
])
def test_no_method_on_the_sensors_beats_the_attainable(recipe):
    people = subjects(**recipe)
    bound = np.mean([best(subject=s, **recipe)[3] for s in range(1, 5)])
    for scores in (leave_one_out(people), first_trials(people)):
        error = scores.std(ddof=1) / np.sqrt(len(scores))
        assert scores.mean() < bound + 2.5 * error


@pytest.mark.parametrize(("half_dof", "sd"), [(3.0, 0.2), (19.0, 0.6), (6.0, 0.0)])
def test_trial_level_is_integrated_out(half_dof, sd):
    table = LevelDensity(half_dof, sd)
    at = np.array([-1.5, -0.4, 0.0, 0.7])
    levels = np.linspace(-8, 8, 20001) * sd if sd else np.zeros(1)
    weight = np.exp(-0.5 * np.linspace(-8, 8, 20001) ** 2) if sd else np.ones(1)
    centred = at[:, None] - levels
    truth = np.log(np.exp(half_dof * (centred - np.exp(centred))) @ weight)
    found = table.log_density(at)
    assert found - found[2] == pytest.approx(truth - truth[2], abs=2e-3)
