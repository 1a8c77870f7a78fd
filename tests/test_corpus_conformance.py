"""``bench check`` of a corpus: what is in order passes, and each defect is found by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from single import (
    Bare,
    Disordered,
    Hidden,
    Mixed,
    Odd,
    Random,
    Scaled,
    Single,
    Turned,
    Twice,
    Unknown,
    Unsorted,
)

from bench import registry
from bench.corpus_conformance import check_corpus, failures
from bench.data.reading import ReadOptions, read_corpus
from bench.errors import DataError, SettingError
from bench.registry import Entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for subject in (1, 2, 10, 40):
        for task in ("rest", "sums"):
            for trial in (1, 2, 3):
                np.save(tmp_path / f"s{subject}_{task}_{trial}.npy", rng.normal(0, 9, (3, 400)))
    (tmp_path / "scale.json").write_text("2.0")
    return tmp_path


@pytest.fixture
def registered(clean_registry, monkeypatch, tmp_path_factory):
    """Puts an adapter into the registry."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))

    def register(cls: type[Single]) -> type[Single]:
        registry._included.append(("corpora", Entry(cls.name, f"single:{cls.__name__}")))
        registry._tables.clear()
        return cls

    return register


def failed(cls, root) -> dict[str, str]:
    return {c.name: c.detail for c in failures(cls, root)}


def test_one_file_a_trial_is_in_order_and_nothing_is_lost(root, registered):
    assert failed(registered(Single), root) == {}
    reading = read_corpus("SINGLE", root, ReadOptions())  # of the first session, which has 6 files
    assert len(np.unique(reading.windows.trial_key())) == 4 * 6
    assert np.unique(reading.windows.subject).tolist() == [1, 2, 10, 40]
    assert reading.windows.y.mean() == 0.5


def test_whichever_file_changes_the_digest_does(root, registered):
    registered(Scaled)
    digests = {read_corpus("SINGLE", root).digest}
    for path in sorted(root.iterdir()):
        content = path.read_bytes()
        path.write_bytes(b"3.0" if path.suffix == ".json" else content[:-1] + b"\x01")
        digests.add(read_corpus("SINGLE", root).digest)
        path.write_bytes(content)
    assert len(digests) == 1 + 24 + 1


def test_a_corpus_without_simulator_needs_files():
    with pytest.raises(SettingError, match="SINGLE has no simulator, so it needs files"):
        check_corpus(Single)


@pytest.mark.parametrize(("cls", "name", "said"), [
    (Random, "reads twice alike", "reads otherwise the second time"),
    (Turned, "trials whole, each once", r"has shape (400, 3), expected (3, samples)"),
    (Unknown, "trials whole, each once", "is read, but trials() does not know it"),
    (Disordered, "order of presentation", "numbers from 0, each once"),
    (Mixed, "units", "volts and microvolts side by side"),
    (Hidden, "names every file that it reads", "read() opens scale.json"),
    (Bare, "torn files are refused in words", ""),
    (Unsorted, "recordings", "not ordered by subject"),
    (Odd, "labels", "mood"),
])
def test_defects_are_found(root, cls, name, said):
    found = failed(cls, root)
    assert name in found
    assert said in found[name]


def test_a_trial_that_two_files_have_is_refused(root, registered):
    registered(Twice)
    with pytest.raises(DataError, match=r"trial \d of subject 1, session 1 in one file, found it"):
        read_corpus("SINGLE", root)
