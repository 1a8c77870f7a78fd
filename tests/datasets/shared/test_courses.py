"""What changes within a simulated trial: states, clusters, a moving level, and their bound."""

import numpy as np
import pytest

from bench.data.recipe import EFFECTS, Recipe, recipe_for
from bench.datasets.shared.attainable import attainable
from bench.datasets.shared.brain import EMOTIONS, PlannedTrial
from bench.datasets.shared.courses import components, course
from bench.datasets.shared.facts import SEED_CHANNELS
from bench.datasets.shared.simulator import Generator
from bench.errors import UnknownNameError

HAPPY, SAD = EMOTIONS["positive"], EMOTIONS["negative"]
LONG = 4000


def drawn(emotion=HAPPY, seconds=LONG, seed=0, **recipe):
    return course(Recipe(**recipe), emotion, seconds,
                  lambda purpose: np.random.default_rng([seed, *purpose.encode()]))


def lag(x, seconds):
    """Correlation of what lies so many seconds apart, over all that moves."""
    moving = x[:, x.std(0) > 0]
    z = (moving - moving.mean(0)) / moving.std(0)
    return float((z[seconds:] * z[:-seconds]).mean())


def test_without_the_effects_there_is_no_course_and_signals_are_as_they_were():
    assert drawn() is None
    plain, long = (Generator("SEED", Recipe(persistence=p), SEED_CHANNELS, 200, 15)
                   .signal(1, 1, 1, 0, HAPPY, 801) for p in (3.0, 9.0))
    assert np.array_equal(plain, long)


def test_a_state_turns_its_sign_and_no_mean_shows_it():
    x = drawn(states=1.0)
    assert np.unique(np.abs(x), axis=0).shape[0] == 1  # one pattern, up to its sign
    assert np.abs(x.mean(0)).max() < 0.15 * np.abs(x).max()
    own, other = (np.abs(drawn(e, states=1.0))[0].ravel() for e in (HAPPY, SAD))
    assert np.corrcoef(own, other)[0, 1] < 0.7
    assert np.abs(drawn(states=2.0)).max() == pytest.approx(2 * np.abs(x).max())


@pytest.mark.parametrize("effect", ["states", "clusters", "continuity"])
def test_what_lasts_is_forgotten_at_the_rate_of_the_recipe(effect):
    for persistence in (1.0, 3.0):
        x = drawn(persistence=persistence, **{effect: 1.0})
        for seconds in (1, 3):
            assert lag(x, seconds) == pytest.approx(np.exp(-seconds / persistence), abs=0.1)


def test_clusters_are_those_of_all_corpora_and_emotion_decides_how_often_they_occur():
    happy, sad = (drawn(e, seed=s, clusters=1.0) for s, e in enumerate((HAPPY, SAD)))
    kinds, which = np.unique(np.concatenate([happy, sad]), axis=0, return_inverse=True)
    assert len(kinds) == 6
    often = [np.bincount(part.ravel(), minlength=6) / LONG for part in (which[:LONG], which[LONG:])]
    assert np.abs(often[0] - often[1]).sum() > 0.8
    weight, shift = components(Recipe(clusters=1.0), HAPPY)
    order = [next(i for i, k in enumerate(kinds) if np.array_equal(k, s)) for s in shift]
    assert often[0][order] == pytest.approx(weight, abs=0.06)


def test_a_moving_level_is_as_large_as_its_number_says_and_knows_no_emotion():
    x = drawn(continuity=2.0)
    assert x.std() == pytest.approx(0.6, abs=0.03)
    assert np.array_equal(x, drawn(SAD, continuity=2.0))


def test_a_size_leaves_the_draws_of_the_other_effects_as_they_are():
    all_, without = drawn(states=1.0, continuity=1.0), drawn(continuity=1.0)
    assert np.allclose(all_ - without, drawn(states=1.0))


def test_without_a_class_effect_no_course_knows_the_emotion():
    null = {"states": 1.0, "clusters": 1.0, "continuity": 1.0, "class_effect": 0.0}
    assert np.array_equal(drawn(HAPPY, **null), drawn(SAD, **null))


def test_the_signal_follows_its_course():
    quiet = {"trial_effect": 0.0, "subject_effect": 0.0, "session_drift": 0.0, "label_noise": 0.0}
    signals = [Generator("SEED", Recipe(states=s, **quiet), SEED_CHANNELS, 200, 15)
               .signal(1, 1, 1, 0, HAPPY, 200 * 60) for s in (0.0, 4.0)]
    power = [np.log(s.reshape(62, 60, 200).var(axis=2)) for s in signals]
    change = power[1] - power[0]
    # As the sign of a state is one of two, so is the change of each channel's power.
    first, *rest = np.linalg.svd(change - change.mean(1, keepdims=True), compute_uv=False)
    assert first > 2 * rest[0]


def test_best_attainable_knows_states_clusters_and_levels():
    """Its probabilities are honest, states lift it, a moving level lowers it, the null is one."""
    labels = [0, 1, 2] * 5
    names = ("negative", "neutral", "positive")
    plan = [PlannedTrial(t + 1, t, EMOTIONS[names[c]], 8 * 200) for t, c in enumerate(labels)]

    def best(**recipe):
        sim = Generator("SEED", Recipe(**recipe), SEED_CHANNELS, 200, 15)
        y, proba, _ = attainable(sim, 1, 1, plan, labels, 3, repeats=20)
        score = np.mean(proba.argmax(1) == y)
        assert proba.max(1).mean() == pytest.approx(score, abs=0.03)
        return score

    effects = EFFECTS["structured"]
    plain, weak = best(), best(class_effect=0.5)
    assert best(continuity=2.0) < plain - 0.05
    assert best(class_effect=0.5, states=1.0) > weak + 0.1
    assert best(class_effect=0.5, clusters=1.0) > weak + 0.05
    assert best(**effects | {"class_effect": 0.0}) == pytest.approx(1 / 3, abs=0.01)


def test_a_set_of_effects_has_a_name():
    recipe = recipe_for("demo", effects="structured", clusters=0.5)
    assert (recipe.states, recipe.clusters, recipe.class_effect) == (1.0, 0.5, 0.5)
    assert recipe_for("null", effects="structured").class_effect == 0
    assert recipe_for("demo") == recipe_for("demo", effects="plain")
    with pytest.raises(UnknownNameError, match="structured"):
        recipe_for("demo", effects="structure")
