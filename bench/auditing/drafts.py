"""Where the parameter draws of an audit are kept."""

from __future__ import annotations

from pathlib import Path

from ..store import Store


class Drafts(Store):
    """Records of parameter draws, kept out of the leaderboard: ``RUNS/audit/cells``.

    Pre-trained states are shared with the run folder.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.cells = root / "audit" / "cells"
