"""What every network method shares: parameters, new head, fine-tuning, prediction.

A method pre-trains an encoder in its own way; what follows is the same for all. Where the protocol
grants calibration windows, a new head is put on the encoder and both are trained on them. Where it
grants none, a labelled source in the target's classes takes their place.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator
from torch import Tensor
from torch.nn import functional

from bench.data.windows import Space, Windows
from bench.draws import Draws
from bench.errors import BenchError
from bench.method import (
    Context,
    Job,
    LostPredictor,
    Method,
    Needs,
    Params,
    Predictor,
    Pretraining,
    hyper,
    tell_epoch,
)
from bench.protocols.base import View
from bench.registry import ANY_FEATURES
from bench.training import (
    Moment,
    Optimiser,
    groups_of_equal,
    is_buffer,
    stack,
    stacked,
    train,
    unstack,
)

from ..networks.backbones import (
    BACKBONES,
    DEFAULT,
    check_kind,
    check_unit,
    encoder_for,
    encoder_from,
    known_backbone,
    loaded,
    started,
)
from ..networks.layers import Encoder, Head, State, names_of
from ..wrapped import SHARED
from .sampling import Order, ShuffledBatches

Finetune = Literal["full", "probe"]
#: Most numbers in the windows of one pass of predictions: 256 MB of float32.
PASS = 2**26


class NetworkParams(Params):
    """Parameters of every network: how it is pre-trained, and how it is fine-tuned."""

    backbone: str = hyper(
        "auto", "encoder, see docs/methods.md; auto: cnn on differential entropy, eegnet on raw "
        "windows", stage="network",
    )

    epochs: int = hyper(200, "epochs of pre-training", stage="pretrain", ge=1, le=100_000)
    batch: int = hyper(
        256, "windows per batch in pre-training", stage="pretrain", ge=2, le=8192
    )
    windows_per_epoch: int = hyper(
        2560, "windows an epoch draws afresh from the whole source", stage="pretrain", ge=2
    )
    lr: float = hyper(
        5e-4, "learning rate of pre-training, falling on a cosine", stage="pretrain", gt=0, le=1,
        tune=(1e-4, 5e-3), scale="log", per_model=0,
    )
    weight_decay: float = hyper(
        3e-4, "L2 weight decay of pre-training", stage="pretrain", ge=0, le=1, per_model=0,
    )
    weights: str = hyper(
        "none", "published weights that a pre-trained backbone starts from, by the sum of their "
        "file, as --weights fills it in; none: at random", stage="network",
    )
    beta2: float = hyper(0.99, "second beta of Adam, in both stages", stage="network", ge=0, lt=1)
    finetune: Finetune = hyper(
        "full", "train all of the network on the calibration trials, or a linear probe on the "
        "frozen encoder", stage="fit",
    )
    fit_epochs: int = hyper(50, "epochs of fine-tuning", stage="fit", ge=1, le=100_000)
    fit_batch: int = hyper(128, "windows per batch in fine-tuning", stage="fit", ge=2, le=8192)
    fit_lr: float = hyper(
        5e-4, "learning rate of fine-tuning", stage="fit", gt=0, le=1, tune=(1e-4, 5e-3),
        scale="log", per_model=0,
    )
    fit_weight_decay: float = hyper(
        3e-4, "L2 weight decay of fine-tuning", stage="fit", ge=0, le=1, per_model=0,
    )

    @field_validator("backbone")
    @classmethod
    def _known(cls, value: str) -> str:
        return known_backbone(value)

    @field_validator("weights")
    @classmethod
    def _named(cls, value: str) -> str:
        if re.fullmatch("none|sha256:[0-9a-f]{64}", value) is None:
            raise ValueError("weights are given by --weights DIR, and parameters name their sum")
        return value


class FineTuned(Method):
    """Put a new head on a pre-trained encoder, or a fresh one, and train it on labelled windows."""

    Params = NetworkParams
    params: NetworkParams
    #: A class that changes any of these trains a network of its own, from scratch too.
    decides_scratch: ClassVar[tuple[str, ...]] = ("encoder", "resolved", "finetune", "fit_many")

    @property
    def together(self) -> bool:
        """Folds are one stack."""
        return True

    @property
    def stacks(self) -> bool:
        """Several seeds are one stack."""
        return True

    def encoder(self, space: Space) -> Encoder:
        """Encoder of windows of a space."""
        return encoder_for(self.params.backbone, space)

    def resolved(self, space: Space) -> FineTuned:
        """The method with the backbone that ``auto`` stands for."""
        if self.params.backbone != "auto":
            return self
        chosen = {"backbone": DEFAULT[space.kind]}
        return type(self)(self.params.model_copy(update=chosen))

    @classmethod
    def unresolved(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters with ``auto`` for a backbone it stands for; none of these fits two kinds."""
        usual = values.get("backbone") in DEFAULT.values()
        return {**values, "backbone": "auto"} if usual else dict(values)

    def check_space(self, space: Space) -> None:
        """Also refuse a backbone that does not work on such windows."""
        super().check_space(space)
        check_kind(self.params.backbone, space.kind)

    def check_scaling(self, scaling: str) -> None:
        """Refuse a scaling in which a pre-trained backbone does not know its unit."""
        check_unit(self.params.backbone, scaling)

    @property
    def pretraining(self) -> Pretraining | None:
        """What published weights of the backbone were trained on."""
        known = BACKBONES.get(self.params.backbone)
        return None if known is None else known.trained_on

    def check_weights(self, space: Space, state: Mapping[str, Any]) -> None:
        """Refuse weights of another network than the backbone."""
        encoder = self.encoder(space)
        loaded(encoder, encoder.init(Draws.of(0)), state)

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Of a backbone with weights also the same architecture from random initialisation."""
        usual = super().controls()
        again = [(n, {**v, "weights": "none"}) for n, v in usual
                 if v.get("weights", "none") != "none"]
        return [*usual, *again]

    def scratch(self) -> tuple[str, dict[str, Any]]:
        """The network that all share, with this one's backbone and fine-tuning; or its own."""
        own = any(getattr(type(self), name) is not getattr(FineTuned, name)
                  for name in self.decides_scratch)
        values = self.params.only("network", "fit")
        if own:
            return self.name, values
        return SHARED, {k: v for k, v in values.items() if k in NetworkParams.model_fields}

    def fit(self, view: View, state: State | None, ctx: Context) -> Predictor:
        """Fit one fold; from scratch if ``state`` is None."""
        return self.fit_many([Job(view, state, ctx)])[0]

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit folds: new head, fine-tuning."""
        return self.finetune(jobs)

    def finetune(self, jobs: Sequence[Job]) -> list[Predictor]:
        """New heads, as few stacks as the numbers of labelled windows allow.

        Without calibration windows the head is trained on the labelled source. That depends on
        nothing of the fold, so folds that share source and state share one network.
        """
        first: dict[object, int] = {}
        which = [first.setdefault(_decides(job), i) for i, job in enumerate(jobs)]
        chosen = {i: _at_source(jobs[i]) for i in first.values()}
        out: dict[int, Predictor] = {
            i: LostPredictor(job.state) for i, job in chosen.items()
            if isinstance(job.state, BenchError)
        }
        ordered = [i for i in chosen if i not in out]
        fit = self._probe if self.params.finetune == "probe" else self._finetune
        for group in groups_of_equal(ordered, lambda i: _alike(chosen[i])):
            members = [ordered[g] for g in group]
            out |= dict(zip(members, fit([chosen[i] for i in members]), strict=True))
        return [out[i] for i in which]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from a saved payload."""
        from .probe import ProbePredictor

        if "head" in payload:
            return NetworkPredictor(
                encoder_from(payload["encoder"]), self.head_from(payload["head"]),
                payload["state"],
            )
        return ProbePredictor.restore(payload)

    def head_from(self, shape: Mapping[str, Any]) -> Any:
        """Head of the shape that a saved model names."""
        return Head(**shape)

    def predicting(self, network: NetworkPredictor) -> Predictor:
        """What predicts with a trained network: by default, the network."""
        return network

    def _finetune(self, jobs: Sequence[Job]) -> list[Predictor]:
        q, ctx = stacked(self, [j.ctx for j in jobs]).params, jobs[0].ctx
        first = labelled(jobs[0].view)
        n, encoder = len(first), self.encoder(first.space)
        head = Head(encoder.width, len(jobs[0].view.classes))
        dtype = getattr(torch, ctx.dtype)
        model = stack([
            head.init(j.ctx.draws("init head")) | self._encoder_state(j, encoder)
            for j in jobs
        ], ctx.device, dtype)
        x = torch.from_numpy(np.stack([labelled(j.view).x for j in jobs])).to(ctx.device, dtype)
        y = torch.from_numpy(np.stack([labelled(j.view).y for j in jobs])).to(ctx.device)
        draw = min(n, q.windows_per_epoch) if jobs[0].view.calibration is None else n
        order = Order(ShuffledBatches(n, q.fit_batch, draw),
                      Draws.stack([j.ctx.draws("fit order") for j in jobs], ctx.device))
        epochs = ctx.budget.epochs(q.fit_epochs, order.steps, "fit")
        windows, classes = x.flatten(0, 1), y.flatten()
        start = n * torch.arange(len(jobs), device=ctx.device)[:, None]

        def step(at: Moment) -> dict[str, Tensor]:
            index = (start + order(at)).flatten()
            drawn = windows.index_select(0, index).view(len(jobs), -1, *x.shape[2:])
            logits = head(model, encoder(model, drawn, training=True))
            loss = functional.cross_entropy(
                logits.flatten(0, 1), classes.index_select(0, index), reduction="none"
            )
            return {"total": loss.view(len(jobs), -1).mean(dim=1)}

        def on_epoch(epoch: int, losses: list[dict[str, float]]) -> None:
            tell_epoch([j.ctx for j in jobs], epoch + 1, epochs, losses, [
                self.alone(job.ctx).predicting(NetworkPredictor(encoder, head, model, k))
                for k, job in enumerate(jobs)
            ])

        lost = train(
            model, step, epochs=epochs, steps=order.steps, short=order.short,
            names=[j.ctx.fold for j in jobs], before_epoch=order.begin, on_epoch=on_epoch,
            optimiser=Optimiser(q.fit_lr, 0.9, q.beta2, q.fit_weight_decay),
        )
        return [
            LostPredictor(error) if error else NetworkPredictor(encoder, head, unstack(model, k))
            for k, error in enumerate(lost)
        ]

    def _probe(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Logistic regression on the standardised output of the frozen encoder."""
        from .probe import ProbePredictor

        out: list[Predictor] = []
        for job in jobs:
            windows = labelled(job.view)
            encoder = self.encoder(windows.space)
            state = self._encoder_state(job, encoder)
            out.append(ProbePredictor.fit(encoder, state, windows, job.view.classes))
        return out

    def _encoder_state(self, job: Job, encoder: Encoder) -> State:
        """Pre-trained encoder, or a fresh one."""
        if job.state is None:
            return started(encoder, job.ctx)
        return {name: job.state[name] for name in names_of(encoder)}


class SharedNetwork(FineTuned):
    """Backbone and head, trained on labelled windows and on nothing before."""

    name: ClassVar[str] = SHARED
    needs: ClassVar[Needs] = Needs(source="none", calibration=True, features=ANY_FEATURES)


def labelled(view: View) -> Windows:
    """Windows whose labels a head is trained on: calibration, or the source where there is none."""
    windows = view.source if view.calibration is None else view.calibration
    if not isinstance(windows, Windows) or windows.labels != view.classes:
        raise ValueError("the engine handed no labelled windows in the classes to predict")
    return windows


def _decides(job: Job) -> object:
    """What a fine-tuning depends on beside the method's parameters."""
    if job.view.calibration is None:
        return job.ctx.cell, id(job.view.source), id(job.state)
    return id(job)


def _at_source(job: Job) -> Job:
    """The job itself, or one whose randomness does not depend on the fold."""
    if job.view.calibration is None:
        return replace(job, ctx=job.ctx.shared("source-head"))
    return job


def _alike(job: Job) -> tuple[object, ...]:
    """Jobs equal in this can be one stack."""
    return labelled(job.view).x.shape, job.view.classes, job.view.calibration is None


class NetworkPredictor:
    """Encoder and head with running statistics: each window on its own.

    Parameters
    ----------
    encoder, head : Encoder and head
    state : dict of Tensor
        Of one model; or of a stack (K, ...), of which it is model ``k``.
    k : int, optional
    """

    def __init__(self, encoder: Encoder, head: Any, state: State, k: int | None = None) -> None:
        self.encoder, self.head, self.k, self._given = encoder, head, k, state

    @functools.cached_property
    def state(self) -> State:
        """Tensors of the model, without an axis of models."""
        if self.k is None:
            return self._given
        return {name: t[self.k] for name, t in self._given.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> NetworkPredictor:
        """The network as it is now: of a model in training, its own part of the stack."""
        now = {name: t.detach().clone() for name, t in self.state.items()}
        return NetworkPredictor(self.encoder, self.head, now)

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features)."""
        p, h = self._encoded(x)
        with torch.no_grad():
            return torch.softmax(self.head(p, h)[0].double(), dim=1).cpu().numpy()

    @staticmethod
    @torch.no_grad()
    def predict_many(
        pairs: Sequence[tuple[NetworkPredictor, Tensor]]
    ) -> list[NDArray[np.float64]]:
        """Probabilities (n, classes) of pairs of a predictor and windows, in few passes.

        Windows (n, channels, features) may be differently many, and stand on any device: the
        passes are taken there.
        """
        out: dict[int, NDArray[np.float64]] = {}
        for group in groups_of_equal(pairs, lambda pair: (pair[0].encoder, pair[0].head)):
            first = pairs[group[0]]
            size = max(len(pairs[i][1]) for i in group) * first[1][0].numel()
            most = max(1, PASS // size)
            for some in (group[i : i + most] for i in range(0, len(group), most)):
                p = _side_by_side([pairs[i][0] for i in some], first[1])
                # Rows are predicted on their own, so that shorter ones may be filled up.
                x = torch.nn.utils.rnn.pad_sequence([pairs[i][1] for i in some], batch_first=True)
                logits = first[0].head(p, first[0].encoder(p, x, training=False))
                proba = torch.softmax(logits.double(), dim=2).cpu().numpy()
                out |= {i: proba[k, : len(pairs[i][1])] for k, i in enumerate(some)}
        return [out[i] for i in range(len(pairs))]

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Output of the encoder (n, width) for windows (n, channels, features)."""
        return self._encoded(x)[1][0].double().cpu().numpy()

    @torch.no_grad()
    def _encoded(self, x: NDArray[np.float32]) -> tuple[State, Tensor]:
        """State as a stack of one, and encodings (1, n, width) under its running statistics."""
        p = {name: t.detach().unsqueeze(0) for name, t in self.state.items()}
        some = next(iter(p.values()))
        data = torch.from_numpy(np.ascontiguousarray(x)).to(some.device, some.dtype)
        return p, self.encoder(p, data.unsqueeze(0), training=False)

    def payload(self) -> dict[str, Any]:
        """Shapes and weights, for saving."""
        return {
            "encoder": asdict(self.encoder), "head": asdict(self.head),
            "state": {name: t.detach().cpu() for name, t in self.state.items()},
        }

    def parameters(self) -> int:
        """Number of trained parameters."""
        return sum(t.numel() for name, t in self.state.items() if not is_buffer(name))


def _side_by_side(predictors: Sequence[NetworkPredictor], like: Tensor) -> State:
    """States of networks of equal shape as a stack, of the type and on the device of a tensor."""
    given = predictors[0]._given
    if [p.k for p in predictors] == list(range(len(next(iter(given.values()))))) and all(
        p._given is given for p in predictors
    ):  # they are a whole stack already
        return {name: t.detach().to(like) for name, t in given.items()}
    states = [p.state for p in predictors]
    return {name: torch.stack([s[name].detach() for s in states]).to(like) for name in states[0]}
