"""One step of every network method, batch in, parameters out, against a slow reference."""

from __future__ import annotations

import pytest
import torch
from whole_step.harness import (
    CASES,
    LIMIT,
    SWAPPED,
    Reference,
    deviation,
    run,
    survivors,
    swapped_sides,
    terms,
    watched,
    windows,
)
from whole_step.references import REFERENCES, VALUES, skipped, unseen
from whole_step.supervised import MLDG, FineTuning, SourceOnly

from bench.method import Context, Job
from bench.methods.shared.training.deep import Adaptation
from bench.methods.shared.training.finetuning import FineTuned
from bench.protocols.base import View
from bench.registry import entries, load

NETWORKS = [n for n in entries("methods") if issubclass(load("methods", n), FineTuned)]
ADAPTING = [n for n in NETWORKS if issubclass(load("methods", n), Adaptation)]


def test_every_network_method_has_a_reference():
    assert set(REFERENCES) == set(NETWORKS)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_its_reference(name, case):
    if skipped(name, case):
        pytest.skip(skipped(name, case))
    ran = run(name, CASES[case], **VALUES.get(name, {}))
    assert deviation(ran, REFERENCES[name]) < LIMIT


@pytest.mark.parametrize("name", NETWORKS)
def test_a_changed_term_is_seen(name):
    """Each is dropped, negated, rescaled, its sides swapped; what changes nothing is named."""
    values = VALUES.get(name, {})
    _, sides, _ = terms(name, CASES["plain"], **values)
    found, tried = survivors(name, REFERENCES[name], **values)
    assert tried >= 3
    assert found == unseen(name, [f"{term} {SWAPPED}" for term in sides])


@pytest.mark.parametrize("name", ADAPTING)
def test_swapped_batches_are_seen(name):
    ran = run(name, CASES["plain"], swapped_sides, **VALUES.get(name, {}))
    assert deviation(ran, REFERENCES[name]) > LIMIT


@pytest.mark.parametrize("case", CASES)
def test_fine_tuning_is_that_of_its_reference(case):
    """The head that all methods train on calibration windows, with the encoder."""
    source = windows(CASES[case], 0)
    ran = run("scmm", CASES["plain"])
    with watched() as found:
        job = Job(View(None, source, None, source.labels), None,
                  Context({"seed": 0}, dtype="float64", fold="one"))
        predictor = ran.method.fit_many([job])[0]
    proba = torch.from_numpy(predictor.predict_proba(source.x))
    ran.trainings, ran.target, ran.proba = found, source, proba
    assert deviation(ran, [FineTuning]) < LIMIT


def test_the_cases_are_what_they_say():
    """The head gives windows to all classes, or to all but one, which has a share all the same."""
    for case, wanted in (("plain", {0, 1, 2}), ("a class absent from the target", {0, 2})):
        first = run("shot", CASES[case]).trainings[0].given[0]
        assert set(first.pseudo.tolist()) == wanted
    assert set(windows(CASES["a class absent from the source"], 0).y) == {0, 2}
    assert (windows(CASES["one window of a class"], 0).y == 2).sum() == 1


def gradient(kind: type[Reference], ran) -> torch.Tensor:
    """Of a reference's loss at the start of a training."""
    training = ran.trainings[0]
    p = {n: t.clone() if ".running_" in n else t.clone().requires_grad_()
         for n, t in training.start.items()}
    leaves = [t for n, t in p.items() if ".running_" not in n]
    slopes = torch.autograd.grad(kind(ran).loss(p, training.given[0]), leaves)
    return torch.cat([slope.flatten() for slope in slopes])


def test_mldg_is_not_erm():
    """With its defaults, against the same risks without the inner step."""
    class WithoutStep(MLDG):
        def __init__(self, ran):
            super().__init__(ran)
            self.q = self.q.model_copy(update={"inner": 0.0})

    ran = run("mldg", CASES["plain"], lr=5e-4, weight_decay=3e-4)
    with_step, without = gradient(MLDG, ran), gradient(WithoutStep, ran)
    assert (with_step - without).norm() / without.norm() > 0.05
    assert (with_step - gradient(SourceOnly, ran)).norm() / gradient(SourceOnly, ran).norm() > 0.05
