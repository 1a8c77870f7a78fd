"""Within the target corpus: train on what is not tested of it, without a source corpus.

What is possible without crossing corpora. The rest of the target stands in the view as its source,
so that every method that learns from a labelled source can be run unchanged; the source corpus of
the pair decides nothing but the common channels.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from ..data.pair import Pair
from ..data.windows import Windows
from ..errors import IncompatibleError
from .base import Fold, Folds, LeftOut, Protocol, View, subject_sessions
from .hold_out import SEEN_BEFORE

_ACCESS = {
    "subject": "target-supervised: labelled trials of other target subjects",
    "session": "target-supervised: labelled trials of the tested subject's other sessions",
}


class Within(Protocol):
    """Labelled trials of the target, no source: leave one subject out, or one of its sessions."""

    name: ClassVar[str] = "within"
    target_access: ClassVar[str] = _ACCESS["subject"]
    grants: ClassVar[frozenset[str]] = frozenset({"source"})

    leave: Literal["subject", "session"] = Field(
        "subject", description="subject: train on the other subjects; session: train on the "
        "tested subject's other sessions (with --sessions all)"
    )

    def access(self) -> str:
        """What of the target a method sees under these options."""
        return _ACCESS[self.leave]

    @property
    def scales_by(self) -> str:
        """The tested subject's other sessions, where these stand in the view as its source."""
        return "the subject's other sessions" if self.leave == "session" else "source"

    def check_pair(self, pair: Pair) -> None:
        """Refuse to leave a session out where no subject has two.

        Raises
        ------
        IncompatibleError
        """
        sessions = subject_sessions(pair.target)
        if self.leave == "session" and len(sessions) == len({subject for subject, _ in sessions}):
            raise IncompatibleError(
                f"within leave=session needs two sessions of a subject, and {pair.target_name} "
                "was read with one of each",
                "Add --sessions all, if the corpus has several (DEAP has one).",
            )

    def folds(self, pair: Pair, seed: int) -> Folds:
        """One fold for each target subject and session; nothing is drawn."""
        self.check_pair(pair)
        out, target = Folds(), pair.target
        others: dict[int, Windows] = {}
        repeated = False
        for subject, session in subject_sessions(target):
            mine = target.subject == subject
            if self.leave == "session":
                rest = target.take(mine & (target.session != session))
            elif (known := others.get(subject)) is not None:
                rest = known  # one object for all sessions: the engine trains on it once
            else:
                rest = others[subject] = target.take(~mine)
            if not len(rest):
                out.left_out.append(LeftOut(subject, session, f"no other {self.leave} to train on"))
                continue
            test = target.take(mine & (target.session == session))
            view = View(source=rest, calibration=None, unlabelled=None, classes=target.labels)
            out.folds.append(Fold(subject, session, view, test))
            repeated = repeated or bool(np.intersect1d(rest.stimulus, test.stimulus).size)
        if self.leave == "session" and repeated:
            out.notices.append(
                f"{pair.target_name}: tested stimuli were also shown in the sessions trained on, "
                f"{SEEN_BEFORE}"
            )
        return out
