"""When a step is recorded, replayed, compiled or left as it is written; without a GPU."""

from __future__ import annotations

import pytest
import torch

from bench import graphs
from bench.devices import FIRST, Room, counted, counting
from bench.graphs import COMPILING, TIMED, Replays
from bench.training import Moment, Optimiser, stack, train

CPU = torch.device("cpu")


class Fake(Replays):
    """Its recordings run the step; a replay takes so many seconds."""

    seconds = 0.001
    fails: tuple[str, ...] = ()

    def _recorded(self, short):
        if self.fails:
            raise RuntimeError(self.fails[0])
        step = self.body

        class Graph:
            def replay(self):
                step(short)

        return Graph()

    def _seconds(self, replay):
        replay()
        return self.seconds


def steps_of(body, pattern, kind=Fake, compile=False, compiling=lambda failed: None):
    """How steps were run: full ones are dots, short ones dashes."""
    with counting(compile) as steps:
        take = kind(body, CPU, len(pattern), compiling)
        for mark in pattern:
            take(mark == "-")
    return steps


def test_the_first_of_a_shape_is_taken_as_written_and_all_others_replayed():
    seen = []
    steps = steps_of(seen.append, "..-" * 5)
    assert seen == [False, False, True] * 5  # each once: nothing is run for warming up
    assert (steps.eager, steps.replayed, steps.compiled) == (2, 13, 0)
    assert steps.info() == {"steps": {"eager": 2, "replayed": 13, "compiled": 0}}
    assert counted() is not steps
    with counting() as untouched:
        pass
    assert untouched.info() == {}


def test_a_step_that_reads_a_value_is_never_recorded():
    x = torch.ones(2)
    steps = steps_of(lambda short: float(x.sum()), "....")
    assert (steps.eager, steps.replayed) == (4, 0)
    (reason,) = steps.info()["steps"]["reasons"]
    assert reason == "not recorded: _local_scalar_dense reads values on the host"


def test_a_failed_recording_leaves_the_steps_as_they_are():
    class Broken(Fake):
        fails = ("operation not permitted when stream is capturing\nand more",)

    seen = []
    steps = steps_of(seen.append, "..-..-", Broken)
    assert seen == [False, False, True] * 2
    assert (steps.eager, steps.replayed) == (6, 0)
    assert steps.reasons == ["not recorded: operation not permitted when stream is capturing"]


@pytest.mark.parametrize(("seconds", "count", "compiles"), [
    (0.001, 100, False), (2.1 * COMPILING / 500, 100 + TIMED, False), (COMPILING, 100, True),
])
def test_steps_are_compiled_where_those_to_come_repay_it(seconds, count, compiles):
    class Slow(Fake):
        pass

    Slow.seconds = seconds
    asked = []
    for wanted in (False, True):
        steps = steps_of(lambda short: None, "." * count, Slow, wanted, asked.append)
        assert (steps.compiled > 0) is (compiles and wanted)
    assert len(asked) == compiles
    if compiles:  # once as written, recorded and timed; once more compiled, and recorded again
        assert (steps.eager, steps.compiled) == (2, count - TIMED - 2)


def test_what_cannot_be_compiled_is_recorded_as_it_is():
    failed = []

    class Slow(Fake):
        seconds = COMPILING

    def body(short):
        if failed:  # as a compiled function does that cannot be: it tells, and runs as written
            failed.pop()(ValueError("no compiler"))

    steps = steps_of(body, "." * 40, Slow, True, failed.append)
    assert (steps.eager, steps.replayed, steps.compiled) == (2, 38, 0)
    assert steps.reasons == ["not compiled: no compiler"]


def test_losses_that_cannot_be_compiled_are_taken_as_written(monkeypatch):
    def refuses(function, dynamic):
        def compiled(given):
            raise ValueError("cannot")
        return compiled

    def compiling(body, device, steps, compile_now):
        compile_now(failed.append)
        return body

    failed, found = [], []
    for kind in (None, compiling):
        model = stack([{"w": torch.ones(2)}], "cpu", torch.float64)
        with monkeypatch.context() as patch:
            if kind is not None:
                patch.setattr(torch, "compile", refuses)
                patch.setattr(graphs, "recorder", kind)
            train(model, lambda at, w=model["w"]: {"total": w.square().sum(dim=1) * (1 + at.batch)},
                  epochs=2, steps=3, names=["a"], optimiser=Optimiser(0.1),
                  on_epoch=lambda epoch, losses: None)
        found.append(model["w"].detach())
    assert torch.equal(*found)
    assert [str(error) for error in failed] == ["cannot"] * 2  # what feeds the step, and its losses


def test_a_moment_goes_from_step_to_step():
    now = Moment.start(CPU)
    assert (int(now.batch), int(now.step), float(now.progress)) == (0, 0, 0.0)
    for step in range(1, 4):
        now.advance(8)
        assert (int(now.batch), int(now.step), float(now.progress)) == (step, step, step / 8)


def test_a_stack_is_as_large_as_what_was_measured_allows(monkeypatch):
    monkeypatch.setattr(Room, "taken", {})
    monkeypatch.setattr(Room, "_free", lambda self: 100e9)
    monkeypatch.setattr(Room, "_peak", lambda self: 16e9)
    assert Room("cpu", "scmm").most() > 10**6
    room = Room("cuda:0", "scmm")
    assert room.most() == FIRST
    room.measure(8)
    assert room.most() == Room("cuda:0", "scmm").most() == 40  # 80 % of 100 GB, 2 GB each
    assert Room("cuda:0", "dann").most() == Room("cuda:1", "scmm").most() == FIRST
    room.measure(16)  # less a cell: the most that was seen counts
    assert room.most() == 40
    monkeypatch.setattr(Room, "_free", lambda self: 1e9)
    assert room.most() == 1
