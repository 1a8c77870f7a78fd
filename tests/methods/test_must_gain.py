"""Methods without labels gain where there is something to gain, and only there (slow).

Held are four of the eleven; of the others the study (``docs/studies/must_gain.md``) says what they
gained when it was made.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = Path(__file__).resolve().parents[2] / "docs" / "studies" / "must_gain.py"
#: None of them was looked at when a default was chosen; another montage.
WORLDS = range(100, 103)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("study_must_gain", STUDY)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gain(study, tmp_path_factory):
    """Gains over target-only, one a world, in points."""
    runs = tmp_path_factory.mktemp("runs")

    def of(setting, method, **changes):
        one = study.arm(method, **changes)
        return np.array([one.gain(runs, setting, True, world) for world in WORLDS])

    return of


#: Released SCMM compares by the plain product of projections, and gains little here.
GAINING = [("mae", {}), ("simclr", {}), ("scmm", {"similarity": "cosine"}),
           ("tnc", {"neighbourhood_s": 2.0})]


@pytest.mark.parametrize(("method", "changes"), GAINING)
def test_a_method_gains_where_structure_must_help(gain, method, changes):
    gains = gain("structure", method, **changes)
    assert gains.mean() > 6, gains
    assert (gains > 0).all(), gains
    assert gain("structure", method, **changes, finetune="probe").mean() > 4


def test_released_scmm_does_not_lose(gain):
    assert gain("structure", "scmm").mean() > -1


@pytest.mark.parametrize(("method", "changes"), GAINING)
def test_nobody_gains_where_classes_differ_in_nothing(gain, method, changes):
    assert abs(gain("null", method, **changes).mean()) < 3


def test_what_lives_of_continuity_gains_more_with_it(gain):
    """Each against target-only of its own setting, whose labelled trials are others."""
    near = {"neighbourhood_s": 2.0}
    assert gain("structure", "tnc", **near).mean() > gain("moments", "tnc", **near).mean() + 2
