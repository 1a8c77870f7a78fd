"""Within the target corpus: train on its other subjects, leave the tested one out.

What is possible without crossing corpora. The other subjects stand in the view as its source, so
that every method that learns from a labelled source can be run unchanged; the source corpus of
the pair decides nothing but the common channels.
"""

from __future__ import annotations

from typing import ClassVar

from bench.align import Pair
from bench.protocol import Fold, Folds, LeftOut, Protocol, View, subject_sessions


class Within(Protocol):
    """Labelled trials of the other target subjects, no source: leave one subject out."""

    name: ClassVar[str] = "within"
    target_access: ClassVar[str] = "target-supervised: labelled trials of other target subjects"
    grants: ClassVar[frozenset[str]] = frozenset({"source"})

    def folds(self, pair: Pair, seed: int) -> Folds:
        """One fold for each target subject and session; nothing is drawn."""
        out, target = Folds(), pair.target
        left = {s: target.take(target.subject != s) for s in set(target.subject.tolist())}
        for subject, session in subject_sessions(target):
            if not len(left[subject]):
                out.left_out.append(LeftOut(subject, session, "no other subject to train on"))
                continue
            view = View(
                source=left[subject], calibration=None, unlabelled=None, classes=target.labels
            )
            test = target.take((target.subject == subject) & (target.session == session))
            out.folds.append(Fold(subject, session, view, test))
        return out
