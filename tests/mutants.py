"""Files that a disk, a network or a stranger has changed: what a reader must answer in words."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.data.channels import canonical
from bench.data.corpus import CorpusAdapter, Features
from bench.data.reading import check_signal
from bench.errors import BenchError

_ODD = (0, 1, 2, 4, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)


def mutant(content: bytes, seed: int) -> bytes:
    """One of many ways in which a file may be wrong; the same for the same seed."""
    rng = np.random.default_rng(seed)
    data, size = bytearray(content), len(content)
    # Half of all changes hit the first kilobytes, where headers are.
    near = int(rng.integers(min(size, 8192) if rng.random() < 0.5 else size))
    kind = seed % 7
    if kind == 0:
        return bytes(data[:near])
    if kind == 1:
        for place in rng.integers(size, size=int(rng.integers(1, 9))):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        data[near : near + 4] = int(rng.choice(_ODD)).to_bytes(4, rng.choice(["little", "big"]))
    elif kind == 3:
        data[near : near + int(rng.integers(1, 4096))] = b""
    elif kind == 4:
        data[near:near] = rng.bytes(int(rng.integers(1, 64)))
    elif kind == 5:
        other = int(rng.integers(size))
        data[near : near + 64] = data[other : other + 64]
    else:
        length = int(rng.integers(1, 512))
        data[near : near + length] = bytes([int(rng.integers(256))]) * length
    return bytes(data)


def inner_mutant(content: bytes, seed: int) -> bytes:
    """The same inside of a compressed MATLAB file: each variable inflated, changed, deflated."""
    place, parts = 128, [content[:128]]
    while place + 8 <= len(content):
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        plain = zlib.decompress(content[place + 8 : place + 8 + length])
        packed = zlib.compress(mutant(plain, seed))
        parts += [content[place : place + 4], len(packed).to_bytes(4, "little"), packed]
        place += 8 + length
    return b"".join(parts)


def everything(adapter: CorpusAdapter, root: Path, features: Features = "bench") -> int:
    """Read all of a corpus as the engine does; returns the number of trials."""
    inventory, notices, count = adapter.inventory(root, features), [], 0
    if features != "bench":
        adapter.official(inventory, "")
    for recording in inventory.recordings:
        infos = adapter.trials(inventory, recording, notices)
        for trial in adapter.read(recording, features):
            assert trial.number in infos
            assert trial.data.shape[0] == len(adapter.channels)
            if features == "bench":
                names = tuple(canonical(c) for c in adapter.channels)
                check_signal(trial.data, f"trial {trial.number}", names)
            for task in adapter.tasks:
                assert task.key in {**trial.values, **infos[trial.number].values} or task.rated
            count += 1
    return count


def survive(
    adapter: CorpusAdapter, root: Path, path: Path, seeds: Iterator[int] | range,
    features: Features = "bench", change=mutant,
) -> int:
    """Read a corpus with each mutant of one of its files; returns how many were refused.

    Whatever is raised is an error of ours that says something; any other fails the test.
    """
    content, refused = path.read_bytes(), 0
    try:
        for seed in seeds:
            path.write_bytes(change(content, seed))
            try:
                everything(adapter, root, features)
            except BenchError as error:
                said, refused = error.message, refused + 1
            except Exception as error:
                raise AssertionError(f"mutant {seed} of {path.name}: {error!r}") from error
            else:
                continue
            assert 20 < len(said) < 1500, said
    finally:
        path.write_bytes(content)
    return refused
