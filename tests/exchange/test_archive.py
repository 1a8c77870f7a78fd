"""An archive of results: what goes in, what may be in it, and what is refused unread."""

from __future__ import annotations

import stat
import struct
import warnings
import zipfile
import zlib

import pytest
from mutants import mutant

from bench.cells.engine import run_cell
from bench.errors import BenchError
from bench.exchange.archive import INDEX, Archive, ArchiveError
from bench.exchange.export import export
from bench.exchange.verify import verify
from bench.registry import load
from bench.store.records import Store

from support import cell_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two methods on one pair, two seeds of one of them. Do not change it: copy it."""
    root = tmp_path_factory.mktemp("exchange") / "runs"
    store = Store(root)
    for name, seed in (("lda", 0), ("lda", 1), ("lr", 0), ("majority", 0)):
        method = load("methods", name)
        run_cell(cell_of(method(method.parse({})), seed=seed), store)
    return root


@pytest.fixture(scope="module")
def archive(runs):
    """Its archive. Do not change it: copy it."""
    path = runs.parent / "results.zip"
    export(runs, path, lab="Our lab")
    return path


def test_an_archive_holds_plain_files_and_passes(runs, archive):
    with zipfile.ZipFile(archive) as file:
        names = file.namelist()
    stored = [p.relative_to(runs).as_posix() for p in runs.rglob("*") if p.is_file()]
    assert sorted(names) == sorted([INDEX, "README.txt", *stored])
    seen = verify(archive)
    assert seen.passed
    assert (seen.records, seen.lab) == (4, "Our lab")
    assert seen.outcomes["scores"].checked == 4
    assert seen.outcomes["code"].checked == 4
    assert not any(o.unchecked for o in seen.outcomes.values())


def test_equal_records_make_equal_archives(runs, archive, tmp_path):
    again = tmp_path / "again.zip"
    export(runs, again, lab="Our lab")
    assert again.read_bytes() == archive.read_bytes()
    export(runs, again, lab="Another")
    assert Archive(again).digest != Archive(archive).digest


def test_models_are_left_out_unless_asked_for(tmp_path):
    method = load("methods", "lda")
    record = run_cell(
        cell_of(method(method.parse({})), save_models=True), Store(tmp_path / "runs")
    )
    assert any(name.startswith("models/") for name in record.files)
    for models in (False, True):
        out = tmp_path / f"{models}.zip"
        export(tmp_path / "runs", out, models=models)
        with zipfile.ZipFile(out) as file:
            assert any("models/" in n for n in file.namelist()) == models
        seen = verify(out)
        assert seen.passed
        assert any("left out" in note for note in seen.notes) != models


def test_what_is_damaged_is_not_bundled_and_said(runs, tmp_path):
    import shutil

    copy = shutil.copytree(runs, tmp_path / "runs")
    victim = sorted((copy / "cells").iterdir())[0]
    (victim / "curves.json").write_text("{}")
    made = export(copy, tmp_path / "x.zip")
    assert made.records == 3
    assert [(path.name, why) for path, why in made.left_out] == [
        (victim.name, "curves.json does not match its checksum")
    ]
    shutil.rmtree(copy / "cells")
    with pytest.raises(BenchError, match="no whole records"):
        export(copy, tmp_path / "x.zip")


# --- archives of strangers -------------------------------------------------------------------

def with_member(archive, path, name, data=b"x", **changes):
    """The archive with one file more."""
    path.write_bytes(archive.read_bytes())
    info = zipfile.ZipInfo(name)
    for key, value in changes.items():
        setattr(info, key, value)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as file:
        warnings.simplefilter("ignore")  # of double names
        file.writestr(info, data)
    return path


CELL = f"cells/{'0' * 20}"


@pytest.mark.parametrize("name", [
    "../evil", "/etc/passwd", "cells/../../evil", "C:\\evil", "cells\\x\\record.json", "con",
    f"{CELL}/../record.json", f"{CELL}/models/..pt", f"{CELL}/models/a/b.pt", f"{CELL}/x.py",
    "audit/cells/x/record.json", "plan-../x.json", f"{CELL}/", "Archive.json", "report.html",
    f"{CELL}/record.json\u202e", "./README.txt",
])
def test_only_names_that_we_write_are_unpacked(archive, tmp_path, name):
    with pytest.raises(ArchiveError, match="which is no file of an archive"):
        Archive(with_member(archive, tmp_path / "x.zip", name))


def test_links_doubles_and_strangers_are_refused(archive, tmp_path):
    path, name = tmp_path / "x.zip", f"{CELL}/record.json"
    link = (stat.S_IFLNK | 0o777) << 16
    for made, why in (
        ({"external_attr": link, "data": b"/etc/passwd"}, "a link or no plain file"),
        ({"external_attr": (stat.S_IFDIR | 0o777) << 16}, "a link or no plain file"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "compressed in another way"),
        ({}, "not in its index"),
    ):
        with pytest.raises(ArchiveError, match=why):
            Archive(with_member(archive, path, name, **made))
    with pytest.raises(ArchiveError, match="twice"):
        Archive(with_member(archive, path, "README.txt"))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("README.txt", "x")
    with pytest.raises(ArchiveError, match=r"holds no archive\.json"):
        Archive(path)
    path.write_bytes(b"no zip at all")
    with pytest.raises(ArchiveError, match="not a zip"):
        Archive(path)


def test_bombs_are_not_unpacked(archive, tmp_path):
    path, name = tmp_path / "x.zip", f"{CELL}/predictions.parquet"
    bomb = bytes(200 << 20)
    with_member(archive, path, name, bomb, compress_type=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ArchiveError, match="would unpack to 200 MiB"):
        Archive(path)
    with_member(archive, path, f"{CELL}/record.json", bytes(65 << 20))
    with pytest.raises(ArchiveError, match="larger than 64 MiB"):
        Archive(path)


def test_a_file_that_is_longer_than_it_says_is_refused(archive, tmp_path):
    """The header says ten bytes; what is compressed is more."""
    path = tmp_path / "x.zip"
    data = b"a" * 100_000
    name = "README.txt"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            if info.filename != name:
                new.writestr(info, old.read(info))
        new.writestr(name, data, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    for place in range(len(content) - 4):  # size and sum, in both headers
        if content[place : place + 4] == struct.pack("<L", len(data)):
            content[place : place + 4] = struct.pack("<L", 10)
        if content[place : place + 4] == struct.pack("<L", zlib.crc32(data)):
            content[place : place + 4] = struct.pack("<L", zlib.crc32(data[:10]))
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        verify(path)


def test_overlapping_files_are_refused(archive, tmp_path):
    """A bomb in which many entries share one body."""
    path = tmp_path / "x.zip"
    path.write_bytes(archive.read_bytes())
    with zipfile.ZipFile(path, "a") as file:
        first = file.getinfo("README.txt")
        twin = zipfile.ZipInfo(f"{CELL}/curves.json")
        twin.header_offset, twin.CRC = first.header_offset, first.CRC
        twin.compress_size, twin.file_size = first.compress_size, first.file_size
        twin.compress_type = first.compress_type
        file.filelist.append(twin)
        file.NameToInfo[twin.filename] = twin
        file._didModify = True
    with pytest.raises(ArchiveError, match="overlaps"):
        Archive(path)


def test_no_mutant_is_believed(archive, tmp_path):
    """200 ways to be wrong: refused in words, or the very same content."""
    content, true = archive.read_bytes(), Archive(archive).digest
    path = tmp_path / "x.zip"
    refused = []
    for seed in range(200):
        path.write_bytes(mutant(content, seed))
        try:
            seen = verify(path)
        except BenchError as error:
            refused.append(error.message)
            continue
        assert seen.passed, seed
        assert seen.digest == true, seed
    assert len(refused) > 150
    assert all(20 < len(message) < 1500 for message in refused)
