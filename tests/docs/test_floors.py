"""The picture of the floors is that of today's imports."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from pages import DOCS


@pytest.fixture(scope="module")
def drawing():
    """docs/floors.py, as a module."""
    spec = importlib.util.spec_from_file_location("docs_floors", DOCS / "floors.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_picture_is_of_today(drawing):
    assert drawing.stale() == "", "run python docs/floors.py"


def test_an_old_picture_is_found(drawing, monkeypatch, tmp_path, capsys):
    found = drawing.look()
    monkeypatch.setattr(drawing, "look", lambda: found)
    monkeypatch.setattr(drawing, "ROOT", tmp_path)
    monkeypatch.setattr(drawing, "PICTURE", tmp_path / "floors.svg")
    monkeypatch.setattr(drawing, "DATA", tmp_path / "floors.json")
    monkeypatch.setattr(sys, "argv", ["floors.py"])
    assert drawing.main() == 0
    first = drawing.PICTURE.read_bytes()
    assert drawing.main() == 0
    assert drawing.PICTURE.read_bytes() == first
    monkeypatch.setattr(sys, "argv", ["floors.py", "--check"])
    assert drawing.main() == 0

    found["edges"]["cli"].remove("sweeps")
    assert drawing.main() == 1
    assert "floors.json is not what the code says" in capsys.readouterr().err
    drawing.DATA.write_text(drawing.as_text(found))
    assert drawing.main() == 1
    assert "floors.svg was not drawn from floors.json" in capsys.readouterr().err


def test_arrows_that_follow_are_left_out(drawing):
    assert drawing.needed({"a": ["b", "c"], "b": ["c"], "d": ["c"]}) == [
        ("a", "b"), ("b", "c"), ("d", "c")]


def test_text_stays_in_its_box(drawing):
    found = drawing.look()
    for room in [room for floor in found["floors"] for room in floor]:
        left, right = drawing.PLACES[room["name"]]
        width = (right - left) * drawing.HOUSE / 100
        box = drawing.Box(room, 0, width)
        assert len(box.says) <= drawing.MOST
        for size, lines in ((8.2, box.says), (7.4, box.small)):
            assert all(drawing._width(line, size) <= width - drawing.PAD for line in lines)


def test_a_room_without_a_place_is_drawn_too(drawing, monkeypatch, tmp_path):
    found = drawing.look()
    monkeypatch.setattr(drawing, "PICTURE", tmp_path / "floors.svg")
    monkeypatch.setattr(drawing, "PLACES", {})
    drawing.draw(found, "mark")
    assert "mark" in drawing.PICTURE.read_text()
