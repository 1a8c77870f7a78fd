"""What commands share."""

from __future__ import annotations

from pathlib import Path

from bench.cli.shared import named_briefly


def test_files_with_numbers_and_formats_are_named_once():
    names = ["table.md", "scores.csv", *(f"map-{n}.{kind}" for n in (1, 2, 10)
                                         for kind in ("png", "pdf")), "table.csv", "one-1.png"]
    assert named_briefly([Path("out") / n for n in names]) == (
        "table.md (also csv), scores.csv, map-1.png to map-10.png (also pdf), one-1.png")
    assert named_briefly([]) == ""
