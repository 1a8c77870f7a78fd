"""One cell: method x parameters x pair x protocol x seed, and the identity of its record."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..data.features import version_of
from ..data.labels import LabelMap, LabelRule
from ..data.pair import (
    Pair,
    dropped_classes,
    in_shared_classes,
    same_classes,
    with_agreed_source,
)
from ..data.windows import Windows
from ..devices import dtype_of
from ..errors import IncompatibleError
from ..method import Budget, Context, Method
from ..protocols.base import Folds, Protocol
from ..protocols.hold_out import TESTED_STIMULI, without_tested_stimuli
from ..protocols.scaling import Scaling
from ..registry import PLUS
from ..store.hashing import code_hash, key_of
from ..store.weights import Weights
from .contract import check_compatible
from .training import Elsewhere

#: Optimiser steps of each named scale; None is what the parameters say. Whole batches of methods
#: that take two steps on each, or six, or half of the steps before they adapt.
BUDGETS: dict[str, Budget] = {
    "demo": Budget(pretrain=420, fit=100),
    "table": Budget(pretrain=120, fit=40),
    "null": Budget(pretrain=24, fit=20),
    "published": Budget(),
}

@dataclass(frozen=True)
class Event:
    """What a run tells whoever watches it.

    Attributes
    ----------
    stage : str
        "reading", "pre-training scmm", "calibrating scmm", ...
    done, total : int
        Progress of the stage; without a total it is a message.
    detail : str
        Loss, subject.
    unit : str
        What is counted: "epoch" of a training.
    left : float or None
        Seconds left over all stages of the run, about, where that is known.
    """

    stage: str
    done: int = 0
    total: int = 0
    detail: str = ""
    unit: str = ""
    left: float | None = None


OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Cell:
    """What is run: all of it is in the record's identity, but for ``device`` and what follows.

    ``shortcut`` names a shortcut that an audit takes (see :mod:`bench.cells.shortcuts`): the
    cell is then a leaky twin of the honest one, and its record an oracle.
    """

    method: Method
    params_origin: str
    pair: Pair
    protocol: Protocol
    scaling: Scaling = field(default_factory=Scaling)
    selection: str = "last"
    scale: str = "published"
    seed: int = 0
    precision: str = "float32"
    sessions: str = "first"
    rule: LabelRule = field(default_factory=LabelRule)
    device: str = "cpu"
    deterministic: bool = False
    compile: str = "auto"
    save_models: bool = False
    diagnostics: bool = False
    shortcut: str | None = None
    #: How tuned parameters were chosen, and on what data: ``bench.runs.tuned.Tuned.identity``.
    tuning: Mapping[str, Any] | None = None
    #: Where the protocol leaves the target its own classes: whether they are kept, or source and
    #: target brought to those they share; auto: as the method needs it.
    classes: Literal["auto", "own", "shared"] = "auto"
    #: Where the labels are, if not in this process.
    elsewhere: Elsewhere | None = None
    #: Of the pre-trained backbone that the method's parameters name by their sum.
    weights: Weights | None = None
    #: Names that the user gave classes; the pair has them already.
    class_map: tuple[str, ...] = ()
    #: "stimulus": tested stimuli are kept out of training, in groups; else "none".
    hold_out: Literal["none", "stimulus"] = "none"

    def __post_init__(self) -> None:
        # Recorded is what is run, not "auto".
        space = self.pair.source.space
        object.__setattr__(self, "method", self.method.resolved(space))
        object.__setattr__(self, "scaling", self.scaling.resolved(space))
        there = self.elsewhere
        protocol = self.protocol.resolved(self.pair.target) if there is None \
            else type(self.protocol).model_validate(there.grant.protocol)
        object.__setattr__(self, "protocol", protocol)

    @property
    def kind(self) -> str:
        """How reports place it: what saw the target before is never ranked."""
        return "oracle" if self.shortcut or self.saw_target else self.method.kind

    @property
    def saw_target(self) -> bool:
        """Whether the weights that the method starts from were trained on the target corpus."""
        known, corpus = self.method.pretraining, self.pair.target_name.partition(":")[0]
        return self.weights is not None and known is not None and known.saw(corpus)

    def pretrained_on(self) -> dict[str, Any] | None:
        """What is recorded of the weights: where they are from, on what trained, under what."""
        known = self.method.pretraining
        if self.weights is None or known is None:
            return None
        return {"sha256": self.weights.digest, "repository": known.repository,
                "licence": known.licence, "corpora": list(known.corpora),
                "saw_target": self.saw_target}

    @property
    def budget(self) -> Budget:
        """Step budget of the scale."""
        return BUDGETS[self.scale]

    @functools.cached_property
    def mapped(self) -> tuple[Pair, LabelMap | None]:
        """The pair in the classes the cell is run in, and the map if they are shared ones.

        Corpora of the same classes share their own: no map is then recorded, whoever asks.
        """
        if self.protocol.maps_labels:
            return in_shared_classes(self.pair)
        # Under ``within`` the view's source is of the target corpus: it has the same classes.
        if "calibration" in self.protocol.grants:
            if same_classes(self.pair):
                return in_shared_classes(self.pair)[0], None
            if self.joint:
                return in_shared_classes(self.pair)
        return self._agreed[0], None

    @property
    def target_classes(self) -> tuple[str, ...]:
        """Classes that the target is told apart in."""
        there = self.elsewhere
        return self.mapped[0].target.labels if there is None else there.grant.classes

    @property
    def joint(self) -> bool:
        """Whether source and target are to be in the same classes, whatever the protocol."""
        return self.classes == "shared" or (self.classes == "auto" and self.method.maps_labels)

    @functools.cached_property
    def _agreed(self) -> tuple[Pair, LabelMap | None]:
        """Several sources, in the classes they share if the method learns these."""
        learns = self.method.needs.source == "labelled" and "calibration" in self.protocol.grants
        if self.pair.parts and learns:
            return with_agreed_source(self.pair)
        return self.pair, None

    def folds(self) -> Folds:
        """Folds of the protocol, unscaled; the same for all methods with the same classes."""
        if self.elsewhere is not None:
            return self.elsewhere.grant.folds.cut(self.pair)
        mapped, label_map = self.mapped
        cut = self.protocol.folds(mapped, self.seed)
        if self.hold_out == "stimulus":
            cut = without_tested_stimuli(cut, mapped, others=self.shortcut == TESTED_STIMULI)
        dropped = [] if label_map is None else dropped_classes(self.pair, mapped, label_map)
        return replace(cut, notices=[*dropped, *cut.notices])

    def identity(self) -> dict[str, Any]:
        """Everything that decides the numbers."""
        if self.elsewhere is not None:
            return dict(self.elsewhere.grant.identity)
        space, (mapped, label_map) = self.pair.source.space, self.mapped
        tested = {"test": "its own statistics"} if "scaling" in self.test_access else {}
        return {
            "method": self.method.name,
            "params": self.method.params.model_dump(mode="json"),
            "params_origin": self.params_origin,
            "code": code_hash(*self.method.parts()),
            "source": self._side(self.pair.source, self.pair.source_name, 0),
            "target": self._side(self.pair.target, self.pair.target_name, 1),
            "features": {
                "kind": space.kind, "origin": space.source, "version": version_of(space.kind),
                "window_s": space.window_s, "smoothing": space.smoothing,
                "bands": [list(b) for b in space.bands], "rate": space.rate,
                "channels": list(space.channels), **self.pair.channel_policy,
            },
            "label_map": None if label_map is None else _named(label_map, mapped.target),
            **self._source_map(),
            "label_rule": {
                "threshold": self._threshold(),
                "drop_middle": self.rule.drop_middle and list(self.rule.drop_middle),
                **({"map": list(self.class_map)} if self.class_map else {}),
            },
            "scaling": self.scaling.describe(self.protocol) | tested,
            "protocol": self._protocol(),
            "selection": "oracle" if "epoch" in self.test_access else self.selection,
            "scale": self.scale,
            "seed": self.seed,
            "precision": self.precision,
            **({"hold_out": self.hold_out} if self.hold_out != "none" else {}),
            **({"tuning": _shortened(self.tuning)} if self.tuning else {}),
            **({"shortcut": self.shortcut} if self.shortcut else {}),
        }

    @property
    def test_access(self) -> frozenset[str]:
        """What of the test set is used; nothing unless the method is an oracle."""
        return self.method.test_access if self.method.kind == "oracle" else frozenset()

    def check(self) -> None:
        """Refuse a method, pair or scaling that does not fit; nothing has been run.

        Raises
        ------
        IncompatibleError
        """
        check_compatible(self.method, self.protocol, self.pair)
        if self.classes == "own" and self.method.maps_labels and not (
            self.protocol.maps_labels or same_classes(self.pair)
        ) and "calibration" in self.protocol.grants:
            raise IncompatibleError(
                f"{self.method.name} learns source and target in the same classes, and "
                f"{self.pair.source_name} and {self.pair.target_name} have others",
                "Use --classes shared, for all methods that are to stand beside it.",
            )
        self.protocol.check_pair(self.pair)
        self.scaling.check(self.protocol)
        self.method.check_scaling(self.scaling.kind)
        if self.weights is not None:
            self.method.check_weights(self.pair.source.space, self.weights.state)
        if self.hold_out != "none":
            self._check_hold_out()

    def _check_hold_out(self) -> None:
        """Refuse to hold stimuli out where the tested ones are granted, or none is trained on."""
        seen = "the protocol" if self.protocol.transductive else \
            f"scaling scope {self.scaling.scope}" if self.scaling.transductive else ""
        if seen:
            raise IncompatibleError(
                f"{seen} grants the tested windows themselves, so no stimulus of theirs can be "
                "held out", "Use --protocol-set form=inductive, and --scaling-scope corpus.",
            )
        self.folds()

    def _threshold(self) -> float | dict[str, float]:
        """What cuts ratings: a number, or one for each corpus where they differ."""
        cuts = dict(self.pair.thresholds)
        if len(set(cuts.values())) > 1:
            return cuts
        unused = 5.0 if self.rule.threshold is None else self.rule.threshold
        return next(iter(cuts.values()), unused)

    def _source_map(self) -> dict[str, Any]:
        """How the classes of several sources were brought together, where only they were."""
        pair, label_map = self._agreed
        if label_map is None or self.mapped[1] is not None:
            return {}
        return {"source_label_map": _named(label_map, pair.source)}

    def _protocol(self) -> dict[str, Any]:
        described = self.protocol.describe()
        if self.method.transductive and not self.protocol.transductive:
            described["target_access"] += "; at prediction, the tested windows, unlabelled"
        if self.scaling.transductive and not self.protocol.transductive:
            described["target_access"] += "; for scaling, the tested windows, unlabelled"
        if self.hold_out != "none":
            described["target_access"] += f"; no {self.hold_out} that is tested"
        return described

    def _side(self, windows: Windows, name: str, which: int) -> dict[str, Any]:
        names = [part.partition(":") for part in name.split(PLUS)]
        side = {
            "name": name, "corpus": PLUS.join(n[0] for n in names),
            "task": PLUS.join(n[2] for n in names), "sessions": self.sessions,
            "subjects": np.unique(windows.subject).tolist(), "digest": self.pair.digests[which],
        }
        if windows.pieces:
            side["pieces"] = dict(windows.pieces)
        if windows.stimulus_sets:
            side["stimulus_sets"] = dict(windows.stimulus_sets)
        if which == 0 and self.pair.parts:
            # Here and not under "scaling": tables set one source and several side by side.
            side["scaled"] = (
                "each corpus by its own statistics; where the target goes by the source's, by all "
                "of them together"
            )
            side["parts"] = [
                {"name": p.name, "subjects": list(p.subjects), "digest": p.digest}
                for p in self.pair.parts
            ]
        return side

    def context(self, stage: str, **axes: Any) -> Context:
        """Context whose randomness follows from the seed and the axes alone."""
        return Context(
            seed_axes={"seed": self.seed, "stage": stage, **axes}, device=self.device,
            budget=self.budget, stage=stage, dtype=dtype_of(self.precision),
            fold=f"subject {axes['subject']}" if "subject" in axes else "",
        )


def _shortened(tuning: Mapping[str, Any]) -> dict[str, Any]:
    """What an identity says of a tuning: of the trials that it saw, a hash."""
    seen = tuning.get("seen")
    return {**tuning, "seen": key_of("seen", dict(seen))[:16]} if isinstance(seen, Mapping) \
        else dict(tuning)


def _named(label_map: LabelMap, windows: Windows) -> dict[str, Any]:
    return {
        "name": label_map.name, "version": label_map.version, "classes": list(windows.labels),
    }
