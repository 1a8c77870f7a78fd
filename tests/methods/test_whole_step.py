"""One step of every network method, batch in, parameters out, against a slow reference."""

from __future__ import annotations

import pytest
from whole_step.harness import CASES, LIMIT, deviation, run
from whole_step.references import REFERENCES, VALUES

from bench.methods.shared.training.finetuning import FineTuned
from bench.registry import entries, load

NETWORKS = [n for n in entries("methods") if issubclass(load("methods", n), FineTuned)]


def test_every_network_method_has_a_reference():
    assert set(REFERENCES) == set(NETWORKS)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_step_is_that_of_its_reference(name, case):
    if name == "clisa" and case == "one subject":
        pytest.skip("pairs of subjects are contrasted")
    ran = run(name, CASES[case], **VALUES.get(name, {}))
    assert deviation(ran, REFERENCES[name]) < LIMIT
