"""The reader of pickles: what numpy arrays need, and nothing else."""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from bench.datasets.shared.pickles import dump_python2, load_arrays
from bench.errors import DataError

NAMES = ("data", "labels")
BIG = np.arange(60_000, dtype=float).reshape(3, 100, 200)  # long enough to be left in the file


class Call:
    """Unpickles as a call."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.fixture
def pickled(tmp_path: Path):
    def write(value) -> Path:
        path = tmp_path / "s01.dat"
        path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol=2))
        return path

    return write


def refused(path: Path, text: str) -> None:
    with pytest.raises(DataError, match=text) as caught:
        load_arrays(path, NAMES)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<i2", "|u1"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_arrays_of_every_protocol(pickled, dtype, protocol):
    arrays = {"data": BIG.astype(dtype), "labels": np.array([[1.5, 2]]), "more": "text"}
    found = load_arrays(pickled(pickle.dumps(arrays, protocol=protocol)), NAMES)
    for name in NAMES:
        np.testing.assert_array_equal(found[name], arrays[name])
        assert found[name].dtype == arrays[name].dtype


def test_python2_pickles(pickled):
    found = load_arrays(pickled(dump_python2({"labels": BIG[0], "data": BIG})), NAMES)
    np.testing.assert_array_equal(found["data"], BIG)
    np.testing.assert_array_equal(found["labels"], BIG[0])
    text = b"cnumpy\ndtype\n"  # protocol 0 of Python 2, as plain text
    old = b"(dp0\nS'labels'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    old += b"(I1\n(I1\nt" + text + b"(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\n"
    old += b"S'" + b"\\x00" * 7 + b"@'\ntbs."
    assert load_arrays(pickled(old), NAMES)["labels"] == np.frombuffer(bytes(7) + b"@")


def test_only_what_is_asked_for_is_read(pickled):
    assert list(load_arrays(pickled(dump_python2({"data": BIG, "labels": BIG})), ["labels"])) == [
        "labels"]


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(("call", "name"), [
    (Call(os.system, "touch OWNED"), "system"),
    (Call(eval, "open('OWNED', 'w')"), "eval"),
    (Call(subprocess.Popen, ["touch", "OWNED"]), "Popen"),
    (Call(getattr, "text", "title"), "getattr"),
    (Call(np.load, "OWNED", None, True), "numpy.*load"),
    (collections.OrderedDict(), "collections.OrderedDict"),
])
def test_globals_are_refused_by_name_and_never_run(
    pickled, call, name, protocol, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = pickled(pickle.dumps({"data": call, "labels": BIG}, protocol=protocol))
    refused(path, f"the global .*{name}.*which was refused")
    assert not (tmp_path / "OWNED").exists()


@pytest.mark.parametrize(("value", "text"), [
    ({"data": np.array([None, {}], dtype=object)}, "dtype 'O8'"),
    ({"data": np.zeros(2, [("a", "f8")])}, "dtype 'V8'"),
    ({"data": np.array(["x"])}, "dtype 'U1'"),
    ({"data": np.zeros(2, complex)}, "dtype 'c16'"),
    ({"data": [1.0, 2.0]}, "EMPTY_LIST"),
    ({"data": 1.0}, "1.0 as 'data'"),
    (BIG, "array"),
    ((BIG, BIG), "tuple"),
    ({(1, 2): BIG}, "a key that is neither text nor a whole number"),
    (b"(inumpy\nload\n.", "INST of numpy.load"),
    (b"\x80\x02Pos.system\n.", "PERSID"),
    (b"Pos.system\n.", "PERSID"),
    (b"\x82\x01.", "EXT1"),
    (b"}" + b"0}" * 100_000 + b".", "more than 100000 instructions"),
    (b"cnumpy\nndarray\n(J\xff\xff\xff\x7ftR.", "a call of ndarray"),
    (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "another encoding"),
    (b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I0\ntS'b'\ntR.", "no array"),
])
def test_absurd_pickles_are_refused(pickled, value, text):
    refused(pickled(value), text)


@pytest.mark.parametrize("content", [
    b"", b".", b"0.", b"t.", b"}}.", b"not a pickle", b"\x80\x63.", b"h\x05.", b"u.", b"Rb.",
    b"r\xff\xff\xff\xff.", b"\x8a\xff\x01.", b"T\xff\xff\xff\x7fabc.", b"}(]]u.", b"PK\x03\x04zip",
])
def test_broken_pickles_are_refused(pickled, content):
    refused(pickled(content), "a pickled dict of numeric arrays")


def test_torn_pickles_are_refused(pickled):
    for content in (dump_python2({"labels": BIG[0], "data": BIG}),
                    pickle.dumps({"labels": BIG[0], "data": BIG}, protocol=2)):
        for share in (0.0001, 0.01, 0.3, 0.999):
            refused(pickled(content[: int(len(content) * share)]), "a pickled dict")
        refused(pickled(content[:-1]), "a pickled dict")


def test_size_that_does_not_fit_the_shape(pickled):
    content = dump_python2({"data": np.zeros((2, 3))})
    huge = content.replace(b"J\x02\x00\x00\x00", b"J\x99\x99\x99\x00")
    refused(pickled(huge), "48 bytes for an array of")


def test_flipped_bytes_never_escape_as_another_error(pickled):
    content = dump_python2({"labels": np.ones((4, 4)), "data": np.ones((2, 2))})
    rng = np.random.default_rng(0)
    for _ in range(500):
        broken = bytearray(content)
        for i in rng.integers(0, len(content), 3):
            broken[i] = rng.integers(256)
        with contextlib.suppress(DataError):
            load_arrays(pickled(bytes(broken)), NAMES)


#: A tuple of two of the one before, forty times over: 2^40 numbers, if anyone counts them.
DOUBLED = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(40))
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"


@pytest.mark.parametrize("content", [
    b"\x80\x02}(" + DOUBLED + b"K\x01u.",  # as a key
    b"\x80\x02}(U\x04data" + DOUBLED + b"u.",
    DOUBLED + b".",
    b"cnumpy\ndtype\n" + DOUBLED + b"R.",
    b"cnumpy\ndtype\n" + DOUBLED + b"\x85R.",
    ARRAY + b"(K\x01" + DOUBLED + b"cnumpy\ndtype\nU\x02f8\x85R\x89U\x00tb.",  # as a shape
    ARRAY + b"(K\x01)cnumpy\ndtype\nU\x02f8\x85R(K\x03" + DOUBLED + b"NNNtb\x89U\x00tb.",
    b"(U\x05numpy" + DOUBLED + b"\x93.",  # as the name of a global
    b"c_codecs\nencode\n(U\x01x" + DOUBLED + b"tR.",
    b"(" + b"K\x01" * 1000 + b"t.",
    b"(}" + DOUBLED + b"st.",
])
def test_bombs_are_refused_in_a_moment(pickled, content):
    """Nested so that to show, hash or compare them would take all time and memory."""
    began = time.process_time()
    refused(pickled(content), "a pickled dict of numeric arrays")
    assert time.process_time() - began < 1


def test_a_number_too_long_to_be_read_is_refused(pickled):
    refused(pickled(b"L" + b"9" * 60_000 + b"L\n."), "a pickled dict")


def test_a_message_is_short_and_holds_no_code_of_a_terminal(pickled):
    name = b"\x1b]0;owned\x07\x1b[2J" + b"x" * 60_000
    for content in (b"c%s\nload\n." % name, b"(i%s\nload\n." % name,
                    b"cnumpy\ndtype\n(S'%s'\ntR." % name):
        with pytest.raises(DataError) as caught:
            load_arrays(pickled(content), NAMES)
        assert len(str(caught.value).replace(str(pickled(content)), "")) < 400
        assert "\x1b" not in str(caught.value)


def test_an_array_over_half_a_gibibyte_is_not_read(pickled):
    content = dump_python2({"data": np.zeros((2, 3))})
    content = content.replace(b"J\x02\x00\x00\x00", b"J\xff\xff\xff\x0f")
    refused(pickled(content), "more than 512 MiB")
