"""Alignment: channels by name, and only like with like."""

import dataclasses

import numpy as np
import pytest

from bench.data.pair import align, dropped_classes, in_shared_classes, on_channels
from bench.data.reading import ReadOptions, read_corpus
from bench.data.windows import Windows
from bench.errors import BenchError, IncompatibleError

from support import CHANNELS, in_order, paired, read, synthetic


def shuffled(windows: Windows, order, names=None) -> Windows:
    """The same recordings in a file that lists its channels in another order."""
    names = names or [windows.space.channels[i] for i in order]
    return Windows.from_arrays(
        windows.x[:, order], windows.y, subject=windows.subject, trial=windows.trial,
        order=windows.order, onset=windows.onset, channels=names, labels=windows.labels,
        corpus=str(windows.corpus[0]),
    )


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_channels_in_a_file_does_not_matter(side, seed):
    source, target = synthetic(corpus="A"), synthetic(corpus="B", seed=1)
    plain = align(read(source), read(target))
    order = np.random.default_rng(seed).permutation(5)
    if side == "target":
        other = align(read(source), read(shuffled(target, order)))
        assert other.target.space.channels == plain.target.space.channels
        assert (other.target.x == plain.target.x).all()
        assert (other.source.x == plain.source.x).all()
    else:  # both sides then follow the source's order, together
        other = align(read(shuffled(source, order)), read(target))
        assert other.source.space.channels == tuple(CHANNELS[i] for i in order)
        assert (other.source.x == plain.source.x[:, order]).all()
        assert (other.target.x == plain.target.x[:, order]).all()


def test_old_names_meet_new_ones():
    source = synthetic(corpus="A", channels=("T7", "CZ", "P8"))
    target = synthetic(corpus="B", channels=("T6", "Fz", "T3"), seed=1)
    pair = align(read(source), read(target))
    assert pair.source.space.channels == pair.target.space.channels == ("T7", "P8")
    assert (pair.source.x == source.x[:, [0, 2]]).all()
    assert (pair.target.x == target.x[:, [2, 0]]).all()


def test_only_common_channels_are_left():
    pair = paired(synthetic(corpus="A"), synthetic(corpus="B", channels=("OZ", "AF3", "CZ")))
    assert pair.source.space.channels == pair.target.space.channels == ("CZ", "OZ")
    assert pair.source.x.shape[1] == pair.target.x.shape[1] == 2


def test_an_electrode_listed_twice_is_refused():
    with pytest.raises(BenchError, match="names T7 more than once"):
        paired(synthetic(corpus="A", channels=("T3", "T7", "CZ")))


def test_no_common_channel_is_refused():
    with pytest.raises(BenchError, match="share no channel"):
        paired(
            synthetic(corpus="A", channels=("FP1", "FP2")),
            synthetic(corpus="B", channels=("OZ",)),
        )


@pytest.mark.parametrize(("change", "what"), [
    ({"window_s": 4.0}, "window length: 1 s against 4 s"),
    ({"smoothing": "LDS"}, "smoothing: none against LDS"),
    ({"source": "owner:de_LDS"}, "origin of features: own against owner:de_LDS"),
    ({"bands": ((1.0, 4.0), (4.0, 8.0), (8.0, 14.0), (14.0, 31.0), (31.0, 45.0))},
     "frequency bands"),
])
def test_sides_that_mean_different_things_are_refused(change, what):
    target = synthetic(corpus="B")
    target = target.with_x(target.x, dataclasses.replace(target.space, **change))
    with pytest.raises(IncompatibleError, match="A:own and B:own differ in") as caught:
        align(read(synthetic(corpus="A")), read(target))
    assert what in caught.value.message
    assert "--features bench" in caught.value.hint


def test_raw_and_entropy_are_refused():
    raw = synthetic(corpus="B")
    raw = raw.with_x(raw.x, dataclasses.replace(raw.space, kind="raw", bands=(), rate=5.0))
    with pytest.raises(IncompatibleError, match="kind of features: de against raw"):
        align(read(synthetic(corpus="A")), read(raw))


def test_owners_features_meet_only_their_like(tiny_root):
    lds = ReadOptions(features="official", official_kind="de_LDS")
    average = ReadOptions(features="official", official_kind="de_movingAve")
    seed = read_corpus("SEED", tiny_root, lds)
    other = read_corpus("SEED-IV:3", tiny_root, average)
    with pytest.raises(IncompatibleError, match="differ in"):
        align(seed, other)
    assert seed.windows.space.smoothing == "LDS"
    assert seed.windows.x.shape[1:] == (62, 5)


def test_seed_and_deap_meet_on_32_channels(tiny_root):
    seed, deap = (read_corpus(name, tiny_root) for name in ("SEED", "DEAP"))
    pair = align(seed, deap)
    assert pair.source.x.shape[1:] == pair.target.x.shape[1:] == (32, 5)
    for side, reading in ((pair.source, seed), (pair.target, deap)):
        for i, name in enumerate(side.space.channels):
            place = reading.windows.space.channels.index(name)
            assert (side.x[:, i] == reading.windows.x[:, place]).all()
    assert (pair.source_name, pair.target_name) == ("SEED:3", "DEAP:valence")
    assert pair.digests == (seed.digest, deap.digest)
    assert all(r is not None for r in pair.recipes)


def test_aligned_windows_share_no_memory_with_what_was_read():
    windows = synthetic()
    assert not np.shares_memory(on_channels(windows, windows.space.channels).x, windows.x)


def test_what_a_map_leaves_out_of_each_side_is_said():
    seven = synthetic(corpus="A", labels=("sad", "fear", "neutral", "happy"),
                      trials=in_order([0, 1, 2, 3]), subjects=2)
    pair = paired(seven, synthetic(corpus="B", labels=("low valence", "high valence")))
    mapped, label_map = in_shared_classes(pair)
    assert dropped_classes(pair, mapped, label_map) == [
        "A:own: fear, neutral left out (16 of 32 windows) by map polarity-2, which has the classes "
        "negative, positive"
    ]
    same = paired()
    assert dropped_classes(same, *in_shared_classes(same)) == []
