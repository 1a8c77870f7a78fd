"""Few-shot: calibrate on the first trials of each class, test on the later ones.

The setting of SCMM (Liu et al., ACM MM 2025) and of the field's within-session experiments: nine
of SEED's fifteen trials calibrate, six test. A trial is never split.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from pydantic import Field

from bench.align import Pair
from bench.protocol import Fold, Folds, LeftOut, Protocol, View, subject_sessions, trial_table
from bench.windows import Windows


class FewShot(Protocol):
    """k labelled trials of the tested subject, the rest is test."""

    name: ClassVar[str] = "few-shot"
    target_access: ClassVar[str] = "target-supervised: labelled trials of the tested subject"
    grants: ClassVar[frozenset[str]] = frozenset({"source", "calibration"})

    calibration_trials: int | None = Field(
        None, ge=1, description="trials of each class to calibrate on; 60 % of each class if unset"
    )
    share: float = Field(
        0.6, gt=0, lt=1, description="share of each class's trials, rounded up, one left to test"
    )

    def folds(self, pair: Pair, seed: int) -> Folds:
        """Cut each target subject and session."""
        out = Folds()
        drawn = 0
        for subject, session in subject_sessions(pair.target):
            mine = (pair.target.subject == subject) & (pair.target.session == session)
            windows = pair.target.take(mine)
            drawn += bool((windows.order < 0).any())
            chosen = self._calibration(windows, seed, subject, session)
            if isinstance(chosen, str):
                out.left_out.append(LeftOut(subject, session, chosen))
                continue
            calibrates = np.isin(windows.trial, chosen)
            view = View(
                source=pair.source, calibration=windows.take(calibrates), unlabelled=None,
                classes=pair.target.labels,
            )
            out.folds.append(Fold(subject, session, view, windows.take(~calibrates)))
        if drawn:
            out.notices.append(
                "order of presentation unknown: calibration trials are drawn, stratified by "
                f"class, with seed {seed}"
            )
        return out

    def _calibration(
        self, windows: Windows, seed: int, subject: int, session: int
    ) -> list[int] | str:
        """Trial numbers to calibrate on, or why there can be none."""
        table = trial_table(windows)
        rng = np.random.default_rng([seed, subject, session])
        chosen: list[int] = []
        for label, name in enumerate(windows.labels):
            trials = table[table[:, 1] == label]
            if len(trials) < 2:
                return f"{len(trials)} trial{'s' * (len(trials) != 1)} of class {name!r}, 2 needed"
            if (trials[:, 2] < 0).any():
                trials = trials[rng.permutation(len(trials))]
            else:
                trials = trials[np.argsort(trials[:, 2], kind="stable")]
            wanted = self.calibration_trials or math.ceil(round(self.share * len(trials), 9))
            if self.calibration_trials and wanted >= len(trials):
                return (
                    f"{len(trials)} trials of class {name!r}, more than {wanted} needed to "
                    f"calibrate on {wanted} and test on the rest"
                )
            chosen += trials[: min(wanted, len(trials) - 1), 0].tolist()
        return chosen
