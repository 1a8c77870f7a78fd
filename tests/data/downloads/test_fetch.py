"""Downloads against a server of this machine: resumed, checked, refused, and said in words."""

from __future__ import annotations

import io
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.data.downloads import fetch as fetching
from bench.data.downloads.fetch import Checksums, fetch, planned
from bench.data.downloads.source import Download, listing, safe_name
from bench.data.downloads.web import OfflineError
from bench.data.locations import corpus_folder
from bench.data.recipe import Recipe
from bench.datasets.eegmat import Eegmat
from bench.errors import BenchError, DataError

from webserver import FileServer, serving

LARGE = np.random.default_rng(0).bytes(1_500_000)


@pytest.fixture
def server():
    with serving() as made:
        made.files = {"x/a.edf": LARGE, "x/b/c.csv": b"1,2\n"}
        made.sums("x")
        yield made


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config" / "corpora.json"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def source(server: FileServer, kind="sums", path="x", **more) -> Download:
    return Download(f"{server.url}/{path}", kind, "https://example.org/page", "CC0", "Somebody",
                    **more)


def get(server, tmp_path, kind="sums", path="x", **more) -> Path:
    folder = tmp_path / "there"
    only = more.pop("only", ())
    fetch(planned("X", source(server, kind, path, **more), folder, only=only))
    return folder


def test_every_file_comes_and_is_remembered(server, tmp_path):
    folder = get(server, tmp_path)
    assert (folder / "a.edf").read_bytes() == LARGE
    assert (folder / "b" / "c.csv").read_bytes() == b"1,2\n"
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["a.edf", "c.csv"]
    asked = len(server.asked)
    plan = planned("X", source(server), folder)
    assert plan.wanted == ()
    fetch(plan)
    assert len(server.asked) == asked + 1  # the list alone


def test_a_cut_is_gone_on_with_at_once(server, tmp_path):
    server.cut, server.cuts = {"x/a.edf": 700_000}, 1
    folder = get(server, tmp_path)
    assert (folder / "a.edf").read_bytes() == LARGE
    ranges = [r for path, r in server.asked if path == "x/a.edf"]
    assert ranges[0] == ""
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) > 500_000


def test_a_download_that_broke_off_is_gone_on_with_by_the_next_command(server, tmp_path):
    server.cut, server.cuts = {"x/a.edf": 400_000}, 3
    with pytest.raises(OfflineError) as caught:
        get(server, tmp_path)
    assert "The same command goes on where it stopped" in caught.value.hint
    assert "put them into" in caught.value.hint
    assert "bench data set X=" in caught.value.hint
    part = tmp_path / "there" / "a.edf.part"
    assert part.stat().st_size > 1_000_000
    server.asked.clear()
    assert (get(server, tmp_path) / "a.edf").read_bytes() == LARGE
    assert [r for path, r in server.asked if path == "x/a.edf"][0].startswith("bytes=1")
    assert not part.exists()


@pytest.mark.parametrize("tags", [True, False])
def test_another_file_is_not_glued_to_the_start_of_the_first(server, tmp_path, tags):
    server.tags, server.cut, server.cuts = tags, {"x/a.edf": 400_000}, 3
    with pytest.raises(OfflineError):
        get(server, tmp_path)
    server.files["x/a.edf"] = other = LARGE[::-1]
    server.sums("x")
    assert (get(server, tmp_path) / "a.edf").read_bytes() == other


def test_a_part_that_is_whole_already_is_taken(server, tmp_path):
    server.cut, server.cuts = {"x/a.edf": 400_000}, 3
    with pytest.raises(OfflineError):
        get(server, tmp_path)
    (tmp_path / "there" / "a.edf.part").write_bytes(LARGE)
    assert (get(server, tmp_path) / "a.edf").read_bytes() == LARGE


def test_a_changed_byte_is_refused(server, tmp_path):
    server.files["x/a.edf"] = LARGE[:-1] + b"\0"  # the owners' list says otherwise
    with pytest.raises(DataError, match="expected what the owners list, found bytes with another"):
        get(server, tmp_path)
    assert not (tmp_path / "there" / "a.edf").exists()
    assert not (tmp_path / "there" / "a.edf.part").exists()


def test_what_comes_again_must_be_what_came_first(server, tmp_path):
    folder = get(server, tmp_path, "bucket", "x")  # a listing without checksums
    assert len(Checksums()._known) == 3
    shutil.rmtree(folder)
    server.files["x/a.edf"] = LARGE[:-1] + b"\0"
    with pytest.raises(DataError, match="expected what came the first time"):
        get(server, tmp_path, "bucket", "x")
    assert not (folder / "a.edf").exists()
    server.files["x/a.edf"] = LARGE
    assert (get(server, tmp_path, "bucket", "x") / "a.edf").read_bytes() == LARGE


def test_a_list_that_was_changed_is_refused(server, tmp_path):
    folder = get(server, tmp_path)
    shutil.rmtree(folder)
    server.files["x/a.edf"] = LARGE[::-1]
    server.sums("x")
    with pytest.raises(DataError, match="another checksum in their list now"):
        get(server, tmp_path)


def test_a_file_here_that_is_not_what_came_is_refused(server, tmp_path):
    folder = get(server, tmp_path)
    (folder / "b" / "c.csv").write_bytes(b"1,3\n")
    with pytest.raises(DataError, match=r"c\.csv: expected the file that the owners") as caught:
        planned("X", source(server), folder)
    assert "Remove it" in caught.value.hint


def test_checksums_that_are_damaged_are_not_believed(server, tmp_path):
    get(server, tmp_path)
    path = Checksums().path
    path.write_bytes(path.read_bytes().replace(b"a.edf", b"z.edf"))
    with pytest.raises(DataError, match=r"checksums\.json: expected the checksums of what was"):
        planned("X", source(server), tmp_path / "there")


def test_a_bucket_is_listed_page_by_page(server, tmp_path):
    server.files = {f"open/ds1/sub-{i:02d}/eeg/a b.edf": bytes([i]) * 9 for i in range(7)}
    server.files |= {"open/ds1/derivatives/z.npy": b"z", "open/ds12/other": b"o",
                     "open/ds1/README": b"r"}
    server.page = 3
    wanted = source(server, "bucket", "open/ds1", leave_out=("derivatives/*",))
    found = listing(wanted, "X")
    assert [f.name for f in found] == ["README", *(f"sub-{i:02d}/eeg/a b.edf" for i in range(7))]
    assert {f.size for f in found} == {1, 9}
    assert [f.name for f in listing(wanted, "X", ("sub-03/*",))] == ["README", "sub-03/eeg/a b.edf"]
    folder = tmp_path / "there"
    plan = planned("X", wanted, folder, only=("sub-0[12]/*",))
    assert plan.size == 19
    fetch(plan)
    assert (folder / "sub-02/eeg/a b.edf").read_bytes() == b"\2" * 9


@pytest.mark.parametrize("name", ["../a", "/etc/passwd", "a/../../b", "a\\b", "C:/x", "~/x", "a\nb",
                                  "", "a/" * 300 + "b"])
def test_names_that_leave_the_folder_are_refused(name, server, tmp_path):
    with pytest.raises(BenchError, match="would not stay in its folder"):
        safe_name(name, "here")


def test_a_list_with_such_a_name_writes_nothing(server, tmp_path):
    server.files["x/SHA256SUMS.txt"] += b"\n" + b"0" * 64 + b" ../../evil"
    with pytest.raises(BenchError, match="would not stay in its folder"):
        get(server, tmp_path)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("body", "said"), [
    (b"<html>no list</html>", "holds a line that is no checksum"), (b"", "lists no file of X"),
])
def test_lists_that_are_none_are_refused(server, tmp_path, body, said):
    server.files["x/SHA256SUMS.txt"] = body
    with pytest.raises(BenchError, match=said):
        get(server, tmp_path)


@pytest.mark.parametrize("body", [b"no xml", b"<!DOCTYPE x><x/>", b"<x><Contents><Key>y/z</Key>"
                                  b"<Size>3</Size></Contents></x>"])
def test_listings_of_a_bucket_that_are_none_are_refused(server, tmp_path, body, monkeypatch):
    monkeypatch.setattr(FileServer, "listing", lambda *args: body)
    with pytest.raises(BenchError, match=r"gives no listing|a document type|not below x/"):
        get(server, tmp_path, "bucket", "open/x")


def test_more_bytes_than_were_listed_are_refused(server, tmp_path, monkeypatch):
    plan = planned("X", source(server, "bucket", "x"), tmp_path / "there")
    server.files["x/a.edf"] += b"more"
    with pytest.raises(BenchError, match="its listing says 1,500,000"):
        fetch(plan)


def test_a_server_that_is_not_there_is_said_with_the_way_by_hand(server, tmp_path):
    away = replace(source(server), url="http://127.0.0.1:9/x")
    with pytest.raises(OfflineError, match=r"127\.0\.0\.1 cannot be reached") as caught:
        planned("X", away, tmp_path / "there")
    assert "https://example.org/page" in caught.value.hint
    assert str(tmp_path / "there") in caught.value.hint
    with pytest.raises(OfflineError, match="no address that begins with https"):
        planned("X", source(server), tmp_path, url="file:///etc")
    server.status = 403
    with pytest.raises(OfflineError, match="the server answers 403, it forbids that"):
        get(server, tmp_path)


def test_a_full_disk_is_said_and_what_has_come_is_kept(server, tmp_path, monkeypatch):
    plan = planned("X", source(server, "bucket", "x"), tmp_path / "there")
    monkeypatch.setattr(fetching.shutil, "disk_usage", lambda p: shutil._ntuple_diskusage(9, 9, 10))
    with pytest.raises(BenchError, match=r"GB free, and 0\.0 GB are to come"):
        fetch(plan)
    monkeypatch.undo()
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config" / "corpora.json"))
    opened = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "a.edf.part":
            raise OSError(28, "No space left on device")
        return opened(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(BenchError, match="there is full") as caught:
        fetch(plan)
    assert "--to" in caught.value.hint
    assert not isinstance(caught.value, OfflineError)


def archive(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "/"), content)
    return made.getvalue()


def test_an_archive_is_unpacked(server, tmp_path):
    server.files["data"] = archive(**{"Data__filtered_data__x.mat": b"123",
                                      "Data__scales.xls": b"4"})
    plan = planned("X", source(server, "archive", "data"), tmp_path / "there")
    assert fetch(plan) == []
    assert (tmp_path / "there/Data/filtered_data/x.mat").read_bytes() == b"123"
    assert fetch(planned("X", source(server, "archive", "data"), tmp_path / "there")) == []


@pytest.mark.parametrize("name", ["..__evil", "__evil"])
def test_an_archive_that_leads_out_is_refused(server, tmp_path, name):
    server.files["data"] = archive(**{name: b"1"})
    with pytest.raises(BenchError, match="would not stay in its folder"):
        fetch(planned("X", source(server, "archive", "data"), tmp_path / "there"))


def test_archives_of_another_make_or_torn_ones_are_left_or_refused(server, tmp_path, monkeypatch):
    server.files["data"] = b"Rar!" + b"x" * 99
    plan = planned("X", source(server, "archive", "data"), tmp_path / "there")
    assert fetch(plan) == [tmp_path / "there" / "X.download"]
    server.files["two"] = archive(a=b"1" * 1000)[:60]
    torn = planned("Y", source(server, "archive", "two"), tmp_path / "there")
    with pytest.raises(DataError, match="a whole archive"):
        fetch(torn)
    monkeypatch.setattr(fetching, "LARGEST_ARCHIVE", 10)
    server.files["three"] = archive(a=b"1" * 1000)
    with pytest.raises(DataError, match="an archive of 0 GiB at most"):
        fetch(planned("Z", source(server, "archive", "three"), tmp_path / "there"))


def test_the_command_shows_licence_and_citation_and_remembers_the_place(bench, server, tmp_path):
    (tmp_path / "made").mkdir()
    Eegmat().simulate(tmp_path / "made", Recipe(subjects=2, length=0.02))
    for path in (tmp_path / "made" / "eegmat").iterdir():
        server.files[f"y/{path.name}"] = path.read_bytes()
    server.sums("y")
    there, url = tmp_path / "corpora", f"{server.url}/y"
    dry = bench("data", "get", "eegmat", "--to", there, "--url", url, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Licence: Open Data Commons Attribution License 1.0 (ODC-By)" in dry.stdout
    assert "Please cite: Zyma et al. 2019" in dry.stdout
    assert "by hand: https://physionet.org/content/eegmat/1.0.0/" in dry.stdout
    assert "7 files at http" in dry.stdout
    assert not there.exists()
    done = bench("data", "get", "EEGMAT", "--to", there, "--url", url)
    assert done.returncode == 0, done.stderr
    assert "EEGMAT: 4 recordings in" in done.stdout
    assert corpus_folder("EEGMAT") == there
    again = bench("data", "get", "EEGMAT", "--to", there, "--url", url)
    assert "All 7 files are in" in again.stdout
    server.files["y/Subject00_1.edf"] += b"x"
    (there / "Subject00_1.edf").unlink()
    changed = bench("data", "get", "EEGMAT", "--to", there, "--url", url)
    assert changed.returncode == 2
    assert "bytes with another checksum; they were not kept" in changed.stderr
    other = bench("data", "get", "SEED")
    assert other.returncode == 2
    assert "SEED cannot be fetched: apply at" in other.stderr
    assert "Traceback" not in done.stderr + changed.stderr + other.stderr
