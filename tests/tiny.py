"""Tiny corpora, and cells of network methods that train on them in a moment."""

from __future__ import annotations

import numpy as np

from bench.cells.cell import Cell
from bench.data.windows import Windows
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.within import Within
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load

PROTOCOLS = {
    "few-shot": FewShot(), "zero-shot": ZeroShot(), "inductive": Unsupervised(),
    "transductive": Unsupervised(form="transductive"), "within": Within(),
}
TINY = {"epochs": 2, "batch": 32, "windows_per_epoch": 32, "fit_epochs": 1, "fit_batch": 64}


def corpus(name, labels, shift, rng, subjects=3, trials=8, windows=6, effect=2.0):
    """Classes move the first features of all channels; subjects and the corpus move others."""
    n = subjects * trials * windows
    subject = np.repeat(np.arange(subjects), trials * windows)
    trial = np.tile(np.repeat(np.arange(trials), windows), subjects)
    y = (trial + subject) % len(labels)
    x = rng.normal(size=(n, 4, 5))
    x[:, :, 0] += effect * (y[:, None] == len(labels) - 1)
    x[:, :, 1] += effect * (y[:, None] == 0)
    x[:, :, 3] += shift + 0.3 * subject[:, None]
    return Windows.from_arrays(
        x, y, subject=subject + 1, trial=trial + 1, channels=["FP1", "FP2", "C3", "C4"],
        labels=labels, corpus=name,
    )


def cell_of(name, protocol, pair, seed=0, **params):
    cls = load("methods", name)
    return Cell(cls(cls.parse({**TINY, **params})), "set", pair, PROTOCOLS[protocol],
                Scaling("z-score"), seed=seed)


def proba_of(record):
    import pandas as pd

    table = pd.read_parquet(record.path / "predictions.parquet")
    return table[[c for c in table if c.startswith("p") and c[1:].isdigit()]].to_numpy()
