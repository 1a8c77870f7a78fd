"""Every built-in conforms; what breaks the contract is found."""

from __future__ import annotations

import doctest
import functools
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

import bench.data.corpus
import bench.method
import bench.protocols.base
import bench.reporting
from bench.cells.proof import channels_of, pair_for
from bench.conformance import Check, check_method, failures, named_by, table
from bench.errors import BenchError, IncompatibleError, UnknownNameError
from bench.method import Context, Method, Needs
from bench.registry import entries, load

from support import Means, NearestMean

BUILT_IN = [*entries("methods"), "sklearn:sklearn.svm.SVC"]
#: Cheaper, where the default has many of something, or chooses what ``lr`` chooses, too.
QUICK = {"rf": {"trees": 5}, **dict.fromkeys(("tca", "otda", "coral", "sa"), {"C": 1.0})}
#: Of networks the batches, whose default is more than all windows made up.
BATCHES = {"batch": 16, "fit_batch": 8}


@functools.cache
def checked(name: str) -> list[Check]:
    """All checks of a method of ours."""
    fields = load("methods", name).parse({}).model_dump()
    return check_method(name, {**QUICK.get(name, {}),
                               **{k: v for k, v in BATCHES.items() if k in fields}})


@pytest.mark.parametrize("name", [
    n for n in BUILT_IN if n != "foundation"])
def test_built_in_methods_conform(name):
    assert [c for c in checked(name) if c.passed is False] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in BUILT_IN if n != "foundation"])
def test_built_in_methods_conform_with_their_defaults(name):
    assert failures(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["labram", "biot", "cbramod", "signaljepa", "luna"])
def test_foundation_models_conform_on_channels_that_they_know(backbone):
    checks = {c.name: c for c in check_method("foundation", {"backbone": backbone})}
    assert [c for c in checks.values() if c.passed is False] == []
    said = checks["protocols, shapes, probabilities"].detail
    assert ("with other channels" in said) == (backbone in ("biot", "signaljepa"))


@pytest.mark.parametrize(("refused", "known"), [
    ({"FPZ"}, "FP1, AF3, F3"), ({"AF3"}, "FP1, FP2, F7"), (set(), ""),
])
def test_channels_are_those_that_a_method_takes(refused, known):
    """The first, or those of a named set: as many of them as asked for."""
    class Choosy(Good):
        needs = Needs(source="none", calibration=True, features=frozenset({"de", "raw"}))

        def check_space(self, space):
            super().check_space(space)
            if strange := refused & set(space.channels):
                raise IncompatibleError(f"knows no channel {strange}")

    pair = pair_for(Choosy(), channels=6)
    assert len(pair.source.space.channels) == 6
    assert known in channels_of(pair)


@pytest.mark.parametrize("module", [
    bench.method, bench.data.corpus, bench.protocols.base, bench.reporting])
def test_examples_of_the_contracts_run(module):
    assert doctest.testmod(module).failed == 0


class Good(Means):
    """Nearest class mean, without the counting."""

    name: ClassVar[str] = "good"

    def restore(self, payload: dict[str, Any]) -> NearestMean:
        """From a payload."""
        return NearestMean(np.asarray(payload["means"]))


class Changed:
    """A good predictor, its probabilities changed afterwards."""

    def __init__(self, inner: Any, change: Any) -> None:
        self.inner, self.change = inner, change

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Changed probabilities."""
        return self.change(self.inner.predict_proba(x), x)


def broken(change):
    class Broken(Good):
        name = "broken"

        def fit(self, view, state, ctx):
            return Changed(super().fit(view, state, ctx), change)

    return Broken


def found(cls):
    """What fails, but for pickling: the classes of these tests are local to them."""
    return {c.name: c.detail for c in failures(cls) if "Can't pickle local" not in c.detail}


def test_a_good_method_passes_and_says_what_does_not_apply():
    checks = {c.name: c for c in check_method(Good)}
    assert [c for c in checks.values() if c.passed is False] == []
    assert checks["protocols, shapes, probabilities"].detail == "few-shot"
    assert checks["save and load"].passed
    other = {c.name: c for c in checked("random")}
    assert other["columns in the order of the classes"].passed is None
    tent = {c.name: c for c in checked("tent")}
    assert tent["windows predicted on their own"].passed is None
    assert {c.name: c for c in checked("rf")}["save and load"].passed is None


def test_wrong_shapes_are_found():
    bad = found(broken(lambda p, x: p[:, :-1]))
    assert "shape" in bad["protocols, shapes, probabilities"]
    assert "2 classes, 62 channels" in bad


def test_what_is_no_probability_is_found():
    said = found(broken(lambda p, x: 2 * p))["9 classes, 32 channels"]
    assert "expected rows of probabilities" in said


def test_a_window_that_depends_on_others_is_found():
    bad = found(broken(lambda p, x: (p + p.mean(axis=0)) / 2))
    assert list(bad) == ["windows predicted on their own"]
    assert "differently alone and among others" in bad["windows predicted on their own"]


def test_columns_in_another_order_are_found():
    bad = found(broken(lambda p, x: p[:, ::-1]))
    assert list(bad) == ["columns in the order of the classes"]
    assert "balanced accuracy 0.00" in bad["columns in the order of the classes"]


def test_global_randomness_is_found():
    class Careless(Good):
        def fit(self, view, state, ctx):
            predictor = super().fit(view, state, ctx)
            predictor.means = predictor.means + np.random.normal(size=predictor.means.shape)
            return predictor

    assert "a second training changes predictions" in found(Careless)[
        "equal seeds, equal predictions"]


def test_writing_to_what_was_handed_is_found():
    class Rude(Good):
        def fit(self, view, state, ctx):
            view.calibration.x[:] += 1
            return super().fit(view, state, ctx)

    assert set(found(Rude).values()) == {
        "good writes into windows that it was handed, which other folds share"
    }

    class AroundTheLock(Good):
        def fit(self, view, state, ctx):
            torch.from_numpy(view.calibration.x).add_(1)
            return super().fit(view, state, ctx)

    assert found(AroundTheLock)["leaves what it is handed alone"] == (
        "it changed the calibration windows it was handed"
    )


def test_looking_for_test_windows_is_found():
    class Spy(Good):
        def fit(self, view, state, ctx):
            import gc

            from bench.protocols.base import Fold

            predictor = super().fit(view, state, ctx)
            mine = [f for f in gc.get_objects() if isinstance(f, Fold) and f.view is view]
            predictor.means = predictor.means + np.nan_to_num(mine[0].open_test().x.mean())
            predictor.means[0] += mine[0].open_test().y[0]
            return predictor

    assert "training beside other test windows changes" in found(Spy)["no test data touched"]


def test_what_cannot_be_saved_or_sent_is_found():
    class Torn(Good):
        def __init__(self, params=None):
            super().__init__(params)
            self.hook = lambda: None

        def restore(self, payload):
            return NearestMean(np.asarray(payload["means"]) + 1)

    bad = found(Torn)
    assert list(bad) == ["save and load"]
    assert "pickles to workers" in {c.name for c in failures(Torn)}


def test_a_method_that_raises_or_declares_nonsense_is_found():
    class Silly(Method):
        name = "silly"
        kind = "best"
        needs = Needs(calibration=True)

        def fit(self, view: Any, state: Any, ctx: Context) -> Any:
            raise IndexError("list index out of range")

    bad = found(Silly)
    assert "kind = 'best'" in bad["declaration"]
    assert bad["protocols, shapes, probabilities"].startswith("IndexError: list index out of range")
    assert f"{__file__}, line" in bad["protocols, shapes, probabilities"]

    class Greedy(Good):
        needs = Needs(features=frozenset({"images"}))

    assert found(Greedy)["9 classes, 32 channels"] == "no protocol suits its needs"


def test_what_a_name_stands_for(clean_registry, tmp_path):
    assert named_by("SCMM") == [("methods", "scmm")]
    assert named_by("sklearn:sklearn.svm.SVC") == [("methods", "sklearn:sklearn.svm.SVC")]
    assert named_by("support") == [("corpora", "TOY"), ("methods", "means")]
    with pytest.raises(UnknownNameError, match="no method named 'scm'"):
        named_by("scm")
    path = tmp_path / "none.py"
    path.write_text("CATALOGUE = []")
    with pytest.raises(BenchError, match="names no method"):
        named_by(str(path))
    with pytest.raises(BenchError, match="is not there"):
        named_by("nowhere.py")


def test_the_table_counts():
    shown = table("good", check_method(Good))
    assert shown.title == "good: conforms"
    assert shown.row_count == 16
    bad = [Check("a", True), Check("b", False, "why"), Check("c", None, "not")]
    assert table("b", bad).title == "b: 1 of 3 checks failed"


FILE = '''
import numpy as np
from bench.method import Method, Needs
from bench.registry import Entry

CATALOGUE = [Entry("flip", ":Flip", "wrong way round")]

class Flip(Method):
    name = "flip"
    needs = Needs(source="none", calibration=True)

    def fit(self, view, state, ctx):
        c = view.calibration
        return Nearest(np.stack([c.x[c.y == k].mean(0) for k in range(len(view.classes))]))

class Nearest:
    def __init__(self, means):
        self.means = means

    def predict_proba(self, x):
        far = ((x[:, None] - self.means) ** 2).sum(axis=(2, 3))
        return np.eye(len(self.means))[far.argMIN(axis=1)]
'''


def test_the_command(bench, process, tmp_path):
    for wrong, status, call in (("argmin", 0, process), ("argmax", 1, bench)):
        (tmp_path / "flip.py").write_text(FILE.replace("argMIN", wrong))
        done = call("check", "flip.py")
        assert done.returncode == status, done.stdout + done.stderr
    assert "flip: 1 of 16 checks failed" in done.stdout
    assert "columns must follow view.classes" in done.stdout
    none = bench("check")
    assert none.returncode == 2
    assert "give a method or corpus to check, or --reference FILE" in none.stderr
