"""What a person reads of windows."""

import numpy as np

from bench.data.windows import Space, UnlabelledWindows


def windows(n=6000, corpus="SEED"):
    return UnlabelledWindows(
        x=np.zeros((n, 2, 5), np.float32), corpus=np.full(n, corpus),
        subject=np.arange(n) % 3, session=np.ones(n, np.int64), trial=np.arange(n) % 2,
        order=np.zeros(n, np.int64), onset=np.zeros(n, np.float32), space=Space(("FZ", "CZ")))


def test_a_repr_is_one_line_with_what_is_there():
    assert repr(windows()) == ("<UnlabelledWindows SEED  6,000 windows of 1 s, 3 subjects, "
                               "6 trials, 2 channels x 5 de>")


def test_no_windows_have_a_repr():
    assert "0 windows" in repr(windows(0))


def test_html_is_escaped():
    text = windows(corpus="<b>")._repr_html_()
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
