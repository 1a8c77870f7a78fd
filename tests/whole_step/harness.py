"""Run a method for a few steps and its reference beside it; break the method on purpose."""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.data.windows import Windows
from bench.errors import BenchError
from bench.method import Context, Job
from bench.methods.shared.training import deep, heads, selfsupervised
from bench.methods.shared.training.deep import Adaptation, Batch
from bench.methods.shared.training.selfsupervised import SelfSupervised
from bench.protocols.base import View
from bench.registry import load

State = dict[str, Tensor]
STEPS = 3
#: Largest deviation of a parameter after all steps, relative to its tensor's largest entry.
LIMIT = 1e-8
#: A short training of one step an epoch. Without a strong decay Adam hides a loss's scale.
VALUES = {"backbone": "mlp", "epochs": STEPS, "fit_epochs": STEPS, "batch": 24,
          "windows_per_epoch": 24, "fit_batch": 128, "lr": 0.01, "fit_lr": 0.01,
          "weight_decay": 0.1, "fit_weight_decay": 0.1}
CHANNELS = ("FP1", "FP2", "C3", "C4")
LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Case:
    """What is special about the windows.

    Attributes
    ----------
    subjects : int
    classes : tuple of int
        Classes of the trials of a subject, one after the other.
    short : int or None
        Trial (of the first subject) that has one window alone.
    absent : bool
        Whether the head gives one class to no window at first.
    """

    subjects: int = 3
    classes: tuple[int, ...] = (0, 1, 2, 1)
    short: int | None = None
    absent: bool = False


CASES = {
    "plain": Case(),
    "a class absent from the source": Case(classes=(0, 2, 0, 2)),
    "a class absent from the target": Case(absent=True),
    "one subject": Case(subjects=1, classes=(0, 1, 2, 1, 0, 2, 1, 0)),
    "one window of a class": Case(classes=(0, 1, 0, 1), short=2),
}


def windows(case: Case, seed: int, length: int = 6, shift: float = 0.0) -> Windows:
    """Windows of a corpus of a case; classes and subjects move some features."""
    rng = np.random.default_rng(seed)
    rows = []
    for subject in range(case.subjects):
        for trial, label in enumerate(case.classes):
            alone = subject == 0 and trial == case.short
            rows += [(subject + 1, trial + 1, 2 if alone else label)] * (1 if alone else length)
    subject, trial, y = np.array(rows).T
    x = rng.normal(size=(len(y), len(CHANNELS), 5)) + shift
    x[:, :, 0] += y[:, None]
    x[:, :, 2] += 0.5 * subject[:, None]
    return Windows.from_arrays(
        x, y, subject=subject, trial=trial, channels=list(CHANNELS), labels=LABELS, corpus="A",
    )


@dataclass
class Training:
    """What one training of a single model was handed, and what became of it."""

    start: State
    optimiser: Any
    phases: int
    given: list[Any] = field(default_factory=list)
    end: State = field(default_factory=dict)


@dataclass
class Run:
    """The trainings of a method on the windows of a case."""

    method: Any
    case: Case
    source: Windows
    target: Windows
    trainings: list[Training]
    proba: Tensor | None = None


def one(given: Any) -> Any:
    """What a stack of one is handed, without the axis of models."""
    if isinstance(given, Tensor):
        return given.detach().clone()[0] if given.dim() else given.detach().clone()
    if is_dataclass(given) and not isinstance(given, type):
        return replace(given, **{f.name: one(getattr(given, f.name)) for f in fields(given)})
    if isinstance(given, tuple):
        return tuple(one(part) for part in given)
    return given


def _alone(state: State) -> State:
    return {name: t.detach().clone()[0] for name, t in state.items()}


def _spread(stacked: State, absent: bool) -> None:
    """Let a fresh head tell windows apart: as it is drawn, it gives all of them to one class."""
    with torch.no_grad():
        for pre in ("", "other."):
            if f"{pre}head2.weight" in stacked:
                last = stacked[f"{pre}head2.weight"]
                stacked[f"{pre}head1.weight"].mul_(4)
                last.mul_(4)
                stacked[f"{pre}head2.bias"].copy_(-last.sum(dim=2) / 2)  # a sigmoid is a half
                stacked[f"{pre}head2.bias"][:, 1].sub_(3.0 * absent)


@contextlib.contextmanager
def watched(
    change: Callable[[Any], Any] = lambda given: given, absent: bool = False
) -> Iterator[list[Training]]:
    """Trainings inside the block; ``change`` is applied to what a method's steps are handed."""
    found: list[Training] = []
    real = deep.train

    def train(stacked: State, step: Any, **more: Any) -> Any:
        feed = more.pop("feed", None) or (lambda at: at)
        _spread(stacked, absent)
        training = Training(_alone(stacked), more["optimiser"], 1 if callable(step) else len(step))
        found.append(training)

        def fed(at: Any) -> Any:
            given = feed(at)
            training.given.append(one(given))
            return change(given)

        out = real(stacked, step, feed=fed, **more)
        training.end = _alone(stacked)
        return out

    with pytest.MonkeyPatch.context() as patch:
        for module in (deep, heads, selfsupervised):
            patch.setattr(module, "train", train)
        yield found


def made(name: str, **values: Any) -> Any:
    """A method with the parameters of a short training."""
    cls = load("methods", name)
    return cls(cls.parse({**VALUES, **values}))


def run(
    name: str, case: Case, change: Callable[[Any], Any] = lambda given: given, **values: Any
) -> Run:
    """Train a method for three steps."""
    method, source = made(name, **values), windows(case, 0)
    target = windows(case, 1, shift=0.5)
    ctx = Context({"seed": 0}, dtype="float64", fold="one")
    with watched(change, case.absent) as found:
        if isinstance(method, SelfSupervised):
            labelled = method.needs.source == "labelled"
            method.pretrain_many(source if labelled else source.without_labels(), [ctx])
            return Run(method, case, source, target, found)
        state, unlabelled = None, None
        if isinstance(method, Adaptation):
            unlabelled = target.without_labels()
        else:
            state = method.pretrain_many(source, [ctx])[0]
        learns = method.needs.calibration or method.maps_labels
        view = View(source, target if learns else None, unlabelled, source.labels)
        predictor = method.fit_many([Job(view, state, ctx)])[0]
    return Run(method, case, source, target, found,
               torch.from_numpy(predictor.predict_proba(target.x)))


class PlainAdam:
    """Adam with L2 decay as its paper has it (Kingma and Ba 2015, algorithm 1)."""

    def __init__(self, beta1: float, beta2: float, decay: float) -> None:
        self.beta1, self.beta2, self.decay = beta1, beta2, decay
        self.taken: Counter[str] = Counter()
        self.mean: State = {}
        self.square: State = {}

    def step(self, p: State, gradients: dict[str, Tensor | None], lr: float) -> None:
        """One step of the leaves that have a gradient; the others rest."""
        for name, slope in gradients.items():
            if slope is None:
                continue
            g = slope + self.decay * p[name].detach()
            self.taken[name] += 1
            t, zero = self.taken[name], torch.zeros_like(g)
            self.mean[name] = self.beta1 * self.mean.get(name, zero) + (1 - self.beta1) * g
            self.square[name] = self.beta2 * self.square.get(name, zero) + (1 - self.beta2) * g * g
            m, v = self.mean[name] / (1 - self.beta1**t), self.square[name] / (1 - self.beta2**t)
            p[name] = (p[name].detach() - lr * m / (v.sqrt() + 1e-8)).requires_grad_()


class Reference:
    """A method of one model: what a subclass gives in plain torch.

    Attributes
    ----------
    q : params of the method
    run : Run
        For what a step needs beside its batch.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.q = run, run.method.params

    def begin(self, p: State, epoch: int) -> None:
        """Called before each step: epochs have one."""

    def rate(self, lr: float, epoch: int, loss: float | None) -> float:
        """Learning rate of an epoch; ``loss`` is that of the epoch before."""
        return lr * 0.5 * (1 + math.cos(math.pi * epoch / STEPS))

    def phases(self) -> list[tuple[Callable[[str], bool], Callable[[State, Any], Tensor]]]:
        """Which leaves a step trains, and its loss; one step for each on a batch."""
        return [(lambda name: True, self.loss)]

    def loss(self, p: State, given: Any) -> Tensor:
        """The loss of a batch."""
        raise NotImplementedError

    def after(self, p: State, progress: float) -> None:
        """Called after each step."""

    def probabilities(self, p: State, x: Tensor) -> Tensor | None:
        """What a predictor gives for windows, where the method trains one."""
        return None


def followed(reference: Reference, training: Training) -> State:
    """State after the steps of a training, by the reference."""
    q, p = training.optimiser, {}
    for name, t in training.start.items():
        p[name] = t.clone() if ".running_" in name else t.clone().requires_grad_()
    adam, before = PlainAdam(q.beta1, q.beta2, q.weight_decay), None
    for n, given in enumerate(training.given):
        reference.begin(p, n)
        lr = q.lr if q.schedule == "constant" else reference.rate(q.lr, n, before)
        before = 0.0
        for trains, loss_of in reference.phases():
            names = [name for name in p if ".running_" not in name and trains(name)]
            loss = loss_of(p, given)
            before += float(loss.detach())
            slopes = torch.autograd.grad(loss, [p[name] for name in names], allow_unused=True)
            adam.step(p, dict(zip(names, slopes, strict=True)), lr)
        reference.after(p, (n + 1) / STEPS)
    return {name: t.detach() for name, t in p.items()}


def _same(one: Any, two: Any) -> bool:
    """Whether two trainings began alike, or were handed the same."""
    if isinstance(one, Tensor):
        return isinstance(two, Tensor) and torch.equal(one, two)
    if is_dataclass(one):
        return type(one) is type(two) and _same(vars(one), vars(two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_same(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(_same, one, two))
    return bool(one == two)


def deviation(
    ran: Run, references: list[type[Reference]], enough: float = math.inf,
    followed_before: list[tuple[Training, Reference, State]] | None = None,
) -> float:
    """Largest deviation of a parameter, a running statistic or a prediction from the references'.

    Relative to the largest entry of its tensor, or to the learning rate where that is larger.
    Later trainings are not followed once one has deviated ``enough``, and none anew that began
    and was handed as one of those that were ``followed_before`` by the same references.
    """
    worst = 0.0
    assert len(ran.trainings) == len(references)
    before = followed_before or []
    for number, (training, kind) in enumerate(zip(ran.trainings, references, strict=True)):
        reference = kind(ran)
        assert len(training.given) == STEPS
        assert len(reference.phases()) == training.phases
        known, its, end = before[number] if before else (None, reference, {})
        if known and _same((known.start, known.given), (training.start, training.given)):
            reference = its
        else:
            end = followed(reference, training)
        assert set(end) == set(training.end)
        pairs = [(training.end[name], t) for name, t in end.items()]
        x = torch.from_numpy(ran.target.x).double()
        expected = reference.probabilities({n: t.clone() for n, t in end.items()}, x)
        if expected is not None:
            pairs.append((ran.proba, expected.detach()))
        for found, wanted in pairs:
            scale = max(float(wanted.abs().max()), VALUES["lr"])
            off = float((found - wanted).abs().max()) / scale
            worst = max(worst, off if math.isfinite(off) else math.inf)
        if worst >= enough:
            break
    return worst


# --- breaking a method on purpose ------------------------------------------------------------

#: What is done to a term of a loss.
KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "dropped": lambda t: 0 * t, "negated": lambda t: -t, "rescaled": lambda t: 1.5 * t,
}
SWAPPED = "sides swapped"


@dataclass(frozen=True)
class Term:
    """One part of what one call of a function of losses gives.

    Attributes
    ----------
    function : str
    call : int
        Which of its calls in a step.
    part : str or int or None
        Which part of a dictionary or a tuple; None of a tensor.
    """

    function: str
    call: int
    part: str | int | None

    def __str__(self) -> str:
        part = "" if self.part is None else f"[{self.part}]"
        return f"{self.function}#{self.call}{part}"


def _is_loss(value: Any) -> bool:
    return (inspect.isfunction(value)
            and value.__module__.startswith("bench.methods.shared.losses."))


@contextlib.contextmanager
def wrapped(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Functions of losses, wherever methods have them by name; not where they call each other."""
    with pytest.MonkeyPatch.context() as patch:
        for module_name, module in list(sys.modules.items()):
            if (module_name.startswith("bench.methods.")
                    and not module_name.startswith("bench.methods.shared.losses")):
                for name, value in list(vars(module).items()):
                    if _is_loss(value):
                        patch.setattr(module, name, wrap(value))
        yield


def _parts(out: Any) -> dict[str | int | None, Tensor]:
    every = (dict(out) if isinstance(out, dict) else dict(enumerate(out))
             if isinstance(out, tuple) else {None: out})
    return {k: t for k, t in every.items() if isinstance(t, Tensor) and t.is_floating_point()}


def _with(out: Any, part: str | int | None, value: Tensor) -> Any:
    if isinstance(out, dict):
        return {**out, part: value}
    if isinstance(out, tuple):
        return tuple(value if i == part else t for i, t in enumerate(out))
    return value


def terms(
    name: str, case: Case, **values: Any
) -> tuple[list[Term], list[Term], Counter[str]]:
    """Terms of a method's steps; calls whose first two arguments are tensors; calls in a step.

    A function that is called less often than there are steps is called when windows are predicted.
    """
    calls: Counter[str] = Counter()
    seen: dict[Term, None] = {}
    sides: dict[Term, None] = {}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            out = function(*args, **kwargs)
            n = calls[function.__name__]
            calls[function.__name__] += 1
            for part in _parts(out):
                seen[Term(function.__name__, n, part)] = None
            if sum(isinstance(a, Tensor) for a in args[:2]) == 2:
                sides[Term(function.__name__, n, None)] = None
            return out
        return called

    load("methods", name)  # so that its modules are there to be wrapped
    with wrapped(wrap):
        run(name, case, **values)
    each = Counter({f: n // STEPS if n >= STEPS else n for f, n in calls.items()})
    return ([t for t in seen if t.call < each[t.function]],
            [t for t in sides if t.call < each[t.function]], each)


def broken(
    name: str, case: Case, term: Term, kind: str, each: Counter[str], **values: Any
) -> Run:
    """A run of a method of which one term is changed in a way of :data:`KINDS`, or its sides."""
    calls: Counter[str] = Counter()

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            n = calls[function.__name__]
            calls[function.__name__] += 1
            hit = function.__name__ == term.function and n % each[term.function] == term.call
            if hit and kind == SWAPPED:
                args = (args[1], args[0], *args[2:])
            out = function(*args, **kwargs)
            if hit and kind != SWAPPED:
                out = _with(out, term.part, KINDS[kind](_parts(out)[term.part]))
            return out
        return called

    with wrapped(wrap):
        return run(name, case, **values)


def survivors(name: str, references: list[type[Reference]], **values: Any) -> tuple[set[str], int]:
    """Ways to break a method that its reference does not see; how many were tried.

    One that ends in an error was seen.
    """
    case = CASES["plain"]
    every, sides, each = terms(name, case, **values)
    tried = [(t, kind) for t in every for kind in KINDS] + [(t, SWAPPED) for t in sides]
    unseen, whole = set(), run(name, case, **values)
    ends = [(t, reference, followed(reference, t)) for t, reference in zip(
        whole.trainings, [kind(whole) for kind in references], strict=True)]
    for term, kind in tried:
        try:
            ran = broken(name, case, term, kind, each, **values)
            off = deviation(ran, references, LIMIT, ends)
        except (ValueError, IndexError, RuntimeError, BenchError):
            continue
        if off < LIMIT:
            unseen.add(f"{term} {kind}")
    return unseen, len(tried)


def swapped_sides(given: Any) -> Any:
    """A batch whose source and target windows are exchanged."""
    if isinstance(given, Batch) and given.target.shape == given.x.shape:
        return replace(given, x=given.target, target=given.x)
    return given
