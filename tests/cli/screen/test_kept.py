"""What an interrupted run says that it keeps."""

from __future__ import annotations

import os
import time

from bench.cli.screen.live import kept


def test_what_was_written_since_is_named(tmp_path):
    assert kept(tmp_path, time.time()).startswith("Nothing was finished yet")
    for name in ("cells/a/record.json", "cells/b/record.json", "pretrained/key.pt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    state = tmp_path / "pretrained" / "key.pt"
    assert kept(tmp_path, time.time()) == (
        f"Kept: 2 records and 1 pre-training ({state}). The same command goes on from there.")
    begun = tmp_path / "pretrained" / "z.unfinished.pt"
    begun.write_text("x")
    assert kept(tmp_path, time.time()) == (
        f"Kept: 2 records and 1 pre-training and 1 unfinished pre-training ({begun}). "
        "The same command goes on from there.")
    for path in tmp_path.rglob("*"):
        os.utime(path, (1, 1))
    assert kept(tmp_path, time.time()).startswith("Nothing was finished yet")
