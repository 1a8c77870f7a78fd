"""Mistakes of plugins in a sweep: as many are refused by two workers as by one."""

from __future__ import annotations

from typing import Any

import leak_plugin
import pytest
from leak_plugin import EQUAL, REFUSED, TWINS

from bench.registry import include

from sweep_plugin import write_toy
from sweep_support import PLUGIN, records, swept

UNDER = ("few-shot", "within", "unsupervised")


@pytest.mark.slow
def test_one_worker_and_two_refuse_the_same(tmp_path):
    """All mistakes and twins: the same cells fail, the others give the same numbers."""
    data = write_toy(tmp_path / "toy")
    include(leak_plugin.__file__)
    tables: dict[int, Any] = {}
    for workers in (1, 2):
        runs = tmp_path / f"runs{workers}"
        swept(
            data, runs, methods=[m.name for m in leak_plugin.METHODS], protocols=list(UNDER),
            protocol={"unsupervised": {"form": "transductive"}}, workers=workers,
            include=[str(PLUGIN), leak_plugin.__file__],
        )
        tables[workers] = {
            (r.identity["method"], r.identity["protocol"]["name"]): (
                r.status, r.reason, None if r.status != "done" else r.predictions()
            )
            for r in records(runs).values()
        }
    assert tables[1].keys() == tables[2].keys()
    for mistake, twin, fate in TWINS:
        for protocol in UNDER:
            (status, reason, table), other = (tables[n][mistake.name, protocol] for n in (1, 2))
            right = tables[2][twin.name, protocol]
            said = mistake.name, protocol, reason
            assert status == other[0], said
            assert right[0] == "done", right
            if status == "failed":
                assert fate == REFUSED, said
                assert mistake.name in reason, said
                assert mistake.name in other[1], said
                continue
            assert table.equals(other[2]), said
            # Of what is refused for its predictions, these windows do not always show it: their
            # classes are far apart. It then predicts without a label, as its twin does.
            assert fate != EQUAL or table.equals(right[2]), said
            assert fate != REFUSED or mistake.name == "centres-the-batch", said
