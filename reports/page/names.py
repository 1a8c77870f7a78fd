"""Names by which a link finds a setting or a pair again after records were added."""

from __future__ import annotations

import re

from ..shared.cells import Column, TableSetting
from ..shared.text import digest


def setting_key(setting: TableSetting) -> str:
    """``few-shot-simulated-1f0c9a2b``: protocol in words, and a digest of the whole setting."""
    words = [setting.protocol, "simulated" if setting.simulated else ""]
    name = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:40]
    return f"{name or 'setting'}-{digest(vars(setting), 8)}"


def column_key(column: Column) -> str:
    """``SEED:3→DEAP:valence@1f0c9a``: the pair, and a digest of the data it stands for."""
    return f"{column.pair}@{digest([column.data, column.classes, column.sessions], 6)}"
