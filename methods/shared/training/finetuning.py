"""What every network method shares: parameters, new head, fine-tuning, prediction.

A method pre-trains an encoder in its own way; what follows is the same for all. Where the protocol
grants calibration windows, a new head is put on the encoder and both are trained on them. Where it
grants none, a labelled source in the target's classes takes their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from bench.data.windows import Space
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
    Presets,
    Pretraining,
    hyper,
)
from bench.protocols.base import View
from bench.registry import ANY_FEATURES
from bench.training import groups_of_equal, stacked

from ..networks.backbones import (
    BACKBONES,
    DEFAULT,
    check_channels,
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
from .heads import Fit, HeadRecipe, HeadTraining, labelled, with_chosen_lengths
from .predicting import NetworkPredictor

Finetune = Literal["full", "partial", "lora", "probe"]
Epochs = Annotated[int, Field(ge=1, le=100_000)]
#: Fine-tuning as SCMM's released code has it: so many epochs at one rate, the last weights predict.
PUBLISHED = {"fit_epochs": 50, "fit_schedule": "constant", "fit_average": 0.0, "fit_settle": False}


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
        "full", "full: train all of the network on the calibration trials; partial: its last "
        "layers; lora: low-rank changes of its linear maps; probe: a linear probe on the frozen "
        "encoder", stage="fit",
    )
    fit_layers: int = hyper(
        1, "layers of the encoder that are trained beside the head if partial, the last ones",
        stage="fit", ge=0, le=100,
    )
    fit_rank: int = hyper(
        4, "rank of what is added to a linear map, if lora", stage="fit", ge=1, le=256
    )
    fit_decay: float = hyper(
        1.0, "factor of the learning rate of fine-tuning from the head to the encoder's last "
        "layer, and from each layer to the one before it", stage="fit", gt=0, le=1,
    )
    fit_epochs: Epochs | Literal["steps", "auto"] = hyper(
        "steps", "epochs of fine-tuning; steps: as many as fit_steps; auto: of four lengths the "
        "one that predicts held-out calibration trials best (steps at one trial a class)",
        stage="fit",
    )
    fit_steps: int = hyper(
        100, "optimiser steps of fine-tuning, however few windows there are", stage="fit", ge=1,
        le=1_000_000,
    )
    fit_batch: int = hyper(128, "windows per batch in fine-tuning", stage="fit", ge=2, le=8192)
    fit_lr: float = hyper(
        5e-4, "learning rate of fine-tuning", stage="fit", gt=0, le=1, tune=(1e-4, 5e-3),
        scale="log", per_model=0,
    )
    fit_weight_decay: float = hyper(
        3e-4, "L2 weight decay of fine-tuning", stage="fit", ge=0, le=1, per_model=0,
    )
    fit_schedule: Literal["cosine", "constant"] = hyper(
        "cosine", "learning rate of fine-tuning: falling to zero, or not", stage="fit",
    )
    fit_average: float = hyper(
        0.4, "share of the steps so far over which weights are averaged, about; 0: the last ones "
        "predict", stage="fit", ge=0, le=1,
    )
    fit_settle: bool = hyper(
        True, "leave batch normalisation with the statistics of the windows that were trained on",
        stage="fit",
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
    presets: ClassVar[Presets] = {"published": {"*": PUBLISHED}}
    #: A class that changes any of these trains a network of its own, from scratch too.
    decides_scratch: ClassVar[tuple[str, ...]] = (
        "encoder", "resolved", "finetune", "recipe", "fit_many")
    #: Folds are one stack, ...
    together = True
    #: ... and so are several seeds.
    stacks = True

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
        """Also refuse a backbone that does not work on such windows, or not on their channels."""
        super().check_space(space)
        check_kind(self.params.backbone, space.kind)
        check_channels(self.params.backbone, space)

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
        given = [chosen[i] for i in ordered]
        fit = self._probe if self.params.finetune == "probe" else self._finetune
        if self.params.fit_epochs == "auto" and fit == self._finetune:
            given = with_chosen_lengths(
                given, self.params, lambda jobs: _by_shape(jobs, self._finetune))
        out |= dict(zip(ordered, _by_shape(given, fit), strict=True))
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

    def recipe(self) -> HeadRecipe:
        """How heads are trained; made anew for each training."""
        return HeadRecipe(self.params)

    def _finetune(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Train heads of jobs that can be one stack."""
        encoder = self.encoder(labelled(jobs[0].view).space)
        starts = [self._encoder_state(job, encoder) for job in jobs]
        training = HeadTraining(
            stacked(self, [job.ctx for job in jobs]).recipe(), encoder, jobs, starts,
            lambda job, network: self.alone(job.ctx).predicting(network),
        )
        return list(training.run())

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

    name = SHARED
    needs = Needs(source="none", calibration=True, features=ANY_FEATURES)


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


def _by_shape(jobs: Sequence[Job], fit: Fit) -> list[Predictor]:
    """Predictors of jobs, those that can be one stack trained as one."""
    out: dict[int, Predictor] = {}
    for group in groups_of_equal(jobs, _alike):
        out |= dict(zip(group, fit([jobs[i] for i in group]), strict=True))
    return [out[i] for i in range(len(jobs))]


def _alike(job: Job) -> tuple[object, ...]:
    """Jobs equal in this can be one stack."""
    return (labelled(job.view).x.shape, job.view.classes, job.view.calibration is None,
            getattr(job.ctx.params, "fit_steps", None))
