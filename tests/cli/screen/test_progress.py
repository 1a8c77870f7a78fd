"""What a run says while it goes on."""

import io

import pytest

from bench.cells.cell import Event
from bench.cli.screen.console import Screen
from bench.cli.screen.progress import Display


def shown(events, **console):
    file = io.StringIO()
    with Display(Screen(file=file, width=60, **console)) as display:
        for event in events:
            display(event)
    return file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_method_and_its_controls_have_in_common_is_told_once(terminal):
    notices = [Event("3 trials are left out", 0, 0), Event("drawn", 0, 0)]
    text = shown([*notices, Event("calibrating", 1, 1), *notices], force_terminal=terminal)
    assert [text.count(n.stage) for n in notices] == [1, 1]
    assert text.count("calibrating") >= 1


def test_a_stage_leaves_one_line_however_often_it_is_heard_of():
    text = shown([Event("calibrating", n, 9, "loss 0.5") for n in range(1, 10)])
    assert text.count("calibrating") == 1
    assert "loss 0.5" in text


def test_epochs_and_the_time_left_over_all_stages_are_shown(monkeypatch):
    monkeypatch.setattr("bench.cli.screen.progress.PLAIN_EVERY", -1.0)
    event = Event("calibrating scmm", 3, 9, "loss 0.5", "epoch", 200.0)
    file = io.StringIO()
    with Display(Screen(file=file, width=100)) as display:
        display(event)
    assert "calibrating scmm epoch 3/9  all stages: about 3 min left  loss 0.5" in file.getvalue()
    file = io.StringIO()
    with Display(Screen(file=file, width=120, force_terminal=True)) as display:
        display(event)
        display._progress.refresh()
    assert "epoch 3/9" in file.getvalue()
    assert "all stages: about 3 min left" in file.getvalue()
