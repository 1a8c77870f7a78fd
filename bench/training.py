"""Training of many small networks at once: stacks, batches, optimiser, schedule, checks.

A *stack* is K models of equal shape whose parameters share a leading axis. One Adam over stacked
leaves is exactly K Adams, as long as the loss is the sum of the models' own losses; every model
draws by a key of its own (:mod:`bench.draws`), so its result does not depend on who shares its
stack.

A step is handed no number that changes from step to step, but a :class:`Moment` of tensors: so it
can be recorded once and replayed (:mod:`bench.graphs`), and no method need know of it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from . import graphs
from .devices import keep_memory
from .draws import Draws, meeting
from .errors import ContractError, DivergedError
from .method import Context, Method
from .store.unfinished import current

#: Whether steps are recorded and replayed where that can be done; off to compare with.
RECORD = True

State = dict[str, Tensor]
Losses = dict[str, Tensor]
T = TypeVar("T")


@dataclass(frozen=True)
class Optimiser:
    """Settings of Adam with L2 weight decay, and of its schedule.

    Attributes
    ----------
    lr, weight_decay : float or (K,) Tensor
        Of all models, or of each.
    beta1, beta2 : float
    schedule : {"constant", "cosine"}
        Cosine falls from ``lr`` to zero over all epochs, stepped once per epoch.
    share : callable or None
        Factor of the learning rate of a leaf of a given name; None: all are trained at one rate.
    """

    lr: float | Tensor
    beta1: float = 0.9
    beta2: float = 0.999
    weight_decay: float | Tensor = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    share: Callable[[str], float] | None = None

    def build(self, leaves: Sequence[Tensor]) -> torch.optim.Adam:
        """One Adam over stacked leaves; its learning rate is a tensor, to be changed in place."""
        wide = leaves[0].device.type == "cuda" and leaves[0].dtype == torch.float64
        if wide or isinstance(self.lr, Tensor) or isinstance(self.weight_decay, Tensor):
            return StackedAdam(leaves, self)
        return torch.optim.Adam(list(leaves), **self.settings(leaves[0]))

    def settings(self, leaf: Tensor) -> dict[str, Any]:
        """Keywords of torch's Adam for leaves like one."""
        on_cuda = leaf.device.type == "cuda"
        # The fused kernel for CUDA reads a learning rate of 32 bits, and MPS has no others.
        dtype = torch.float64 if leaf.device.type in ("cpu", "meta") else torch.float32
        decay = self.weight_decay
        return {
            "lr": torch.as_tensor(self.lr, dtype=dtype, device=leaf.device).clone(),
            "betas": (self.beta1, self.beta2), "fused": True, "capturable": on_cuda,
            "weight_decay": 0.0 if isinstance(decay, Tensor) else decay,
        }

    def rate(self, epoch: int, epochs: int, loss: float | None = None) -> float | Tensor:
        """Learning rate of an epoch, counted from 0; one for each model if they differ.

        ``loss`` is the mean total loss of the epoch before, None in the first.
        """
        if self.schedule == "constant":
            return self.lr
        return self.lr * 0.5 * (1 + math.cos(math.pi * epoch / epochs))


class StackedAdam(torch.optim.Adam):
    """Adam whose models have learning rates and weight decays of their own.

    How far a step goes is proportional to the learning rate, and nothing else of Adam depends on
    it. So the fused step of all models is taken at a rate of 1, and each goes its own share of
    the way. On a CUDA device this is also how a rate of 64 bits is kept.

    Parameters
    ----------
    leaves : sequence of (K, ...) tensors
    settings : Optimiser
        Its ``lr`` and ``weight_decay`` may be (K,) tensors.
    """

    def __init__(self, leaves: Sequence[Tensor], settings: Optimiser) -> None:
        decay = settings.weight_decay
        self.decay = decay.to(leaves[0]) if isinstance(decay, Tensor) else None
        rate = torch.as_tensor(settings.lr, dtype=torch.float64).to(leaves[0], copy=True)
        super().__init__(list(leaves), **settings.settings(leaves[0]) | {"lr": 1.0})
        for group in self.param_groups:
            group["lr"] = rate

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every leaf that has a gradient, as torch's Adam takes it."""
        rates = [group["lr"] for group in self.param_groups]
        moved = [(leaf, leaf.clone(), rate)
                 for group, rate in zip(self.param_groups, rates, strict=True)
                 for leaf in group["params"] if leaf.grad is not None]
        if self.decay is not None:
            for leaf, _, _ in moved:
                leaf.grad.addcmul_(torch.as_tensor(meeting(self.decay, leaf)), leaf)
        for group in self.param_groups:
            group["lr"] = 1.0
        super().step()
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate
        for leaf, start, rate in moved:
            torch.lerp(start, leaf, torch.as_tensor(meeting(rate, leaf)), out=leaf)


def is_buffer(name: str) -> bool:
    """Whether a named tensor of a state is a running statistic or average, not a parameter."""
    return ".running_" in name


def stack(states: Sequence[Mapping[str, Tensor]], device: str, dtype: torch.dtype) -> State:
    """Join states of equal shapes along a new first axis; parameters become leaves."""
    out: State = {}
    for name in states[0]:
        joined = torch.stack([s[name].detach().to(device, dtype) for s in states])
        out[name] = joined if is_buffer(name) else joined.requires_grad_()
    return out


def unstack(stacked: Mapping[str, Tensor], k: int) -> State:
    """Copy of model ``k`` of a stack, on the CPU, without the stack's axis."""
    return {name: t.detach()[k].to("cpu", copy=True) for name, t in stacked.items()}


def batches(windows: int, size: int, draws: Draws, draw: int | None = None) -> list[Tensor]:
    """One epoch's batches of K models as index tensors (K, B): a fresh permutation each, cut.

    A rest of one window is dropped (batch normalisation has no variance of one sample).

    Parameters
    ----------
    windows : int
        How many there are.
    size : int
        Windows per batch.
    draws : Draws
        Of this epoch.
    draw : int, optional
        Use only this many, drawn afresh each epoch from all.
    """
    parts = list(draws.permutation(windows, take=draw).split(size, dim=-1))
    if len(parts) > 1 and parts[-1].shape[-1] < 2:
        parts.pop()
    return parts


def steps_per_epoch(windows: int, size: int, draw: int | None = None) -> int:
    """Number of batches :func:`batches` yields."""
    used = min(windows, draw or windows)
    return max(1, math.ceil(used / size) - (used > size and used % size == 1))


@dataclass(frozen=True, eq=False)
class Moment:
    """Where a training is. A recorded step reads the tensors anew; a Python number it would freeze.

    Attributes
    ----------
    batch, step : () int Tensor
        Number of the batch in its epoch, and of the step in the training, from 0.
    progress : () float Tensor
        Share of the training that is over, in [0, 1).
    short : bool
        Whether the batch is the smaller one that ends an epoch.
    """

    batch: Tensor
    step: Tensor
    progress: Tensor
    short: bool = False

    @classmethod
    def start(cls, device: torch.device) -> Moment:
        """The first step of a training."""
        dtype = torch.float32 if device.type == "mps" else torch.float64
        batch, step = torch.zeros(2, dtype=torch.int64, device=device).unbind()
        return cls(batch, step, torch.zeros((), dtype=dtype, device=device))

    def advance(self, of: int) -> None:
        """Go on to the next of so many steps, in place."""
        self.batch.add_(1)
        self.step.add_(1)
        self.progress.copy_(self.step).div_(of)


@dataclass(frozen=True)
class Phase:
    """One of several optimiser steps taken on each batch.

    Attributes
    ----------
    losses : callable
        Gives the losses of each model, (K,) tensors, of what the step is fed.
    trains : callable or None
        Whether a leaf of a given name is changed by this step; None: all are.
    """

    losses: Callable[[Any], Losses]
    trains: Callable[[str], bool] | None = None


def train(
    stacked: State,
    step: Callable[[Any], Losses] | Sequence[Phase],
    *,
    epochs: int,
    steps: int,
    optimiser: Optimiser,
    on_epoch: Callable[[int, list[dict[str, float]]], None],
    names: Sequence[str],
    short: bool = False,
    feed: Callable[[Moment], Any] | None = None,
    before_epoch: Callable[[int], None] | None = None,
    after_step: Callable[[Moment], None] | None = None,
    limit: int | None = None,
) -> list[DivergedError | None]:
    """Train a stack in place.

    A model whose loss is not finite is lost, and the others go on as if nothing had happened.

    ``feed``, ``step`` and ``after_step`` may be recorded and replayed: all that changes from step
    to step they read of tensors that stay where they are. ``before_epoch`` runs as it is written,
    and writes to such tensors.

    Parameters
    ----------
    stacked : dict of (K, ...) tensors
        From :func:`stack`.
    step : callable or sequence of Phase
        Gives the losses of each model as (K,) tensors, of what ``feed`` gives; "total" is
        minimised. It must not mix models. Or a sequence of phases for alternating optimisation,
        taken one after the other on each batch; Adam's moments of a leaf rest while it does.
    epochs, steps : int
        Epochs, and batches in each.
    on_epoch : callable
        Called after each epoch with its number and each model's mean losses; the total of one
        that is lost is NaN from then on.
    names : sequence of str
        What to call each model when it diverges.
    short : bool
        Whether the last batch of an epoch is smaller than the others.
    feed : callable, optional
        ``feed(moment)``: what all phases of a step are handed; by default the moment itself.
    before_epoch : callable, optional
        Called with the number of the epoch that begins.
    after_step : callable, optional
        Called after each step of the optimiser, the moment being the next; may change buffers,
        such as a moving average of parameters.
    limit : int, optional
        Most batches in all: the last epoch is cut short where it would go beyond.

    Returns
    -------
    list of DivergedError or None
        What went wrong with each model: names it, epoch and batch.

    Raises
    ------
    DivergedError
        The only model diverged, or all of them; the first of these errors.
    """
    keep_memory()
    device = next(iter(stacked.values())).device
    phases = [Phase(step)] if callable(step) else list(step)
    total = min(epochs * steps, limit or epochs * steps)
    epochs = math.ceil(total / steps)
    body = _Step(stacked, phases, optimiser, (total, steps), feed or (lambda at: at), after_step)
    lost: list[DivergedError | None] = [None] * len(names)
    with graphs.at(device):
        take = graphs.recorder(body, device, total, body.compile) if RECORD else body
        loss: float | None = None
        kept = _Kept(stacked, body, len(names))
        begun, loss = kept.restored(on_epoch)
        for epoch in range(begun, epochs):
            body.begin(optimiser.rate(epoch, epochs, loss))
            if before_epoch is not None:
                before_epoch(epoch)
            taken = min(steps, total - epoch * steps)
            for batch in range(taken):
                take(short and batch == steps - 1)
            table = body.read(taken)
            _note_lost(lost, table["total"], epoch, names)
            if all(lost):
                raise next(error for error in lost if error is not None)
            loss = table["total"].mean().item()
            means = {k: v.mean(dim=0).tolist() for k, v in table.items()}
            told = [
                {k: math.nan if lost[i] and k == "total" else v[i] for k, v in means.items()}
                for i in range(len(names))
            ]
            on_epoch(epoch, told)
            kept.note(epoch + 1, loss, told, whole=not any(lost))
    return lost


class _Kept:
    """What a training has come to at the end of an epoch, where somebody keeps it.

    A training that goes on from there takes the same steps as one that was never interrupted:
    all that is drawn follows from the number of the step.
    """

    def __init__(self, stacked: State, body: _Step, models: int) -> None:
        self.keeper = current()
        self.stacked, self.body = stacked, body
        shapes = [[n, list(t.shape)] for n, t in sorted(stacked.items())]
        self.shape = [body.total, body.steps, models, shapes]
        self.number = 0
        self.known: Any = None
        if self.keeper is not None:
            self.number, self.known = self.keeper.begin()
        self.told: list[Any] = []

    def restored(
        self, on_epoch: Callable[[int, list[dict[str, float]]], None]
    ) -> tuple[int, float | None]:
        """Epochs that are over, and the loss of the last; the stack is then as it was."""
        known = self.known
        if not isinstance(known, dict) or known.get("shape") != self.shape:
            return 0, None
        with torch.no_grad():
            for name, tensor in self.stacked.items():
                tensor.copy_(known["stacked"][name])
        self.body.adam.load_state_dict(known["adam"])
        for group in self.body.adam.param_groups:  # a rate stays where a recorded step reads it
            group["lr"] = group["lr"].to(known["adam"]["param_groups"][0]["lr"].dtype)
        self.body.now.step.fill_(known["epoch"] * self.body.steps)
        self.body.now.progress.copy_(self.body.now.step).div_(self.body.total)
        self.told = known["told"]
        for epoch, losses in enumerate(self.told):
            on_epoch(epoch, losses)
        self.note(known["epoch"], known["loss"], None, whole=True)
        return known["epoch"], known["loss"]

    def note(
        self, epoch: int, loss: float | None, told: list[dict[str, float]] | None, whole: bool
    ) -> None:
        """Keep what stands now; a stack that has lost a model is begun anew."""
        if self.keeper is None:
            return
        self.told += [] if told is None else [told]
        self.keeper.note(self.number, None if not whole else {
            "shape": self.shape, "epoch": epoch, "loss": loss, "told": list(self.told),
            "stacked": {n: t.detach().clone() for n, t in self.stacked.items()},
            "adam": copy.deepcopy(self.body.adam.state_dict()),
        })


def _split(adam: torch.optim.Adam, shares: Sequence[tuple[Tensor, float]]) -> None:
    """Give each leaf a share of the learning rate."""
    usual = adam.param_groups.pop()
    for share in dict.fromkeys(share for _, share in shares):
        adam.add_param_group({
            **usual, "lr": usual["lr"].clone(), "share": share,
            "params": [leaf for leaf, own in shares if own == share],
        })


class _Step:
    """A step of a training, from its batch to the optimiser: reads and writes tensors alone."""

    def __init__(  # noqa: PLR0917 - what train() is given
        self, stacked: State, phases: Sequence[Phase], optimiser: Optimiser,
        length: tuple[int, int], feed: Callable[[Moment], Any],
        after_step: Callable[[Moment], None] | None,
    ) -> None:
        leaves = {name: t for name, t in stacked.items() if not is_buffer(name)}
        self.leaf = next(iter(leaves.values()))
        self.adam = optimiser.build(list(leaves.values()))
        if optimiser.share is not None:
            _split(self.adam, [(leaf, optimiser.share(name)) for name, leaf in leaves.items()])
        self.phases: list[tuple[Callable[[Any], Losses], list[Tensor] | None]] = [
            (p.losses, [t for n, t in leaves.items() if p.trains(n)] if p.trains else None)
            for p in phases
        ]
        self.total, self.steps = length
        self.feed, self.after_step = feed, after_step
        self.now = Moment.start(next(iter(leaves.values())).device)
        self.next = {False: self.now, True: replace(self.now, short=True)}
        self.names: list[str] = []
        self.table: Tensor | None = None

    def begin(self, rate: float | Tensor) -> None:
        """Begin an epoch, at a learning rate."""
        self.now.batch.zero_()
        for group in self.adam.param_groups:
            own = rate * group.get("share", 1.0)
            group["lr"].copy_(own) if isinstance(own, Tensor) else group["lr"].fill_(own)

    def __call__(self, short: bool) -> None:
        """Take the step."""
        now, seen = self.next[short], Losses()
        given = self.feed(now)
        for losses_of, trained in self.phases:
            self.adam.zero_grad(set_to_none=True)
            losses = losses_of(given)
            if self.table is None:  # of the first step; the others are alike
                _check_losses(losses, self.leaf)
            losses["total"].sum().backward(inputs=trained)
            self.adam.step()  # leaves without a gradient rest
            total = losses["total"].detach() + seen.get("total", 0.0)
            seen |= {k: v.detach() for k, v in losses.items()} | {"total": total}
        self._keep(seen)
        now.advance(self.total)
        if self.after_step is not None:
            self.after_step(now)

    def _keep(self, seen: Losses) -> None:
        row = torch.stack(list(seen.values())).unsqueeze(0)
        if self.table is None:
            self.names = list(seen)
            self.table = row.new_zeros(self.steps, *row.shape[1:])
        self.table.index_copy_(0, self.now.batch.view(1), row)

    def read(self, taken: int) -> Losses:
        """Losses of an epoch's steps, each (taken, K); the only look at numbers of the device."""
        if self.table is None:
            raise ValueError("no step was taken")
        return dict(zip(self.names, self.table[:taken].cpu().unbind(dim=1), strict=True))

    def compile(self, failed: Callable[[Exception], None]) -> None:
        """Compile what feeds the step, and its losses; ``failed`` is told of an error."""
        torch._dynamo.reset()  # it keeps so many versions of a function, those of others too
        self.feed = _compiled(self.feed, failed)
        self.phases = [(_compiled(of, failed), trained) for of, trained in self.phases]


def _check_losses(losses: Any, leaf: Tensor) -> None:
    """Refuse losses that cannot be minimised, model by model.

    Raises
    ------
    ContractError
    """
    wanted = f"a tensor ({len(leaf)},), one number for each model of the stack"
    if not isinstance(losses, Mapping):
        raise ContractError("losses", "a dict of losses by name", type(losses).__name__)
    if "total" not in losses:
        raise ContractError("losses", '"total" among them: what is minimised',
                            f"only {', '.join(map(repr, losses)) or 'nothing'}")
    for name, value in losses.items():
        if not isinstance(value, Tensor):
            raise ContractError("losses", wanted, f"{name!r} of type {type(value).__name__}")
        if value.shape != (len(leaf),):
            raise ContractError("losses", wanted, f"{name!r} of shape {tuple(value.shape)}")
        if value.device != leaf.device:
            raise ContractError("losses", f"tensors on {leaf.device}, where the network is",
                                f"{name!r} on {value.device}")
        if not value.is_floating_point():
            raise ContractError("losses", "tensors of floats", f"{name!r} of {value.dtype}")
    if not losses["total"].requires_grad:
        raise ContractError("losses", "a total that depends on the parameters",
                            "one without a gradient: was it detached, or worked out by NumPy?")


def _compiled(
    function: Callable[[Any], T], failed: Callable[[Exception], None]
) -> Callable[[Any], T]:
    """A compiled function; the function itself from the first error on."""
    going: list[Callable[[Any], T]] = [torch.compile(function, dynamic=False)]

    def call(given: Any) -> T:
        try:
            return going[0](given)
        except Exception as error:
            if going[0] is function:
                raise
            going[0] = function
            failed(error)
            return function(given)

    return call


def _note_lost(
    lost: list[DivergedError | None], total: Tensor, epoch: int, names: Sequence[str]
) -> None:
    """Note models that diverged in an epoch, by their totals (batches, K); one look at them."""
    finite = torch.isfinite(total)
    if bool(finite.all()):
        return
    for k, name in enumerate(names):
        gone = (~finite[:, k]).nonzero().flatten().tolist()
        if gone and lost[k] is None:
            lost[k] = DivergedError(
                f"{name}: the loss is {total[gone[0], k].item()} at epoch {epoch + 1}, "
                f"batch {gone[0] + 1}",
                "Lower the learning rate, or check the data for extreme values.",
            )


def groups_of_equal(items: Sequence[T], key: Callable[[T], object]) -> Iterator[list[int]]:
    """Indices of items with equal keys, group by group, in order of first appearance."""
    groups: dict[object, list[int]] = {}
    for i, item in enumerate(items):
        groups.setdefault(key(item), []).append(i)
    yield from groups.values()


M = TypeVar("M", bound=Method)


def stacked(method: M, contexts: Sequence[Context]) -> M:
    """The method whose losses and optimiser serve all models of a stack.

    Parameters
    ----------
    method : Method
    contexts : sequence of Context
        One for each of K models, with its parameters.

    Returns
    -------
    Method
        Parameters in which the models differ are tensors (K, 1, ...), see
        :func:`bench.method.hyper`; where they do not differ, the method itself as it is.

    Raises
    ------
    ValueError
        Models differ in what those of one stack must share.
    """
    every = [method.params if c.params is None else c.params for c in contexts]
    if all(params == method.params for params in every):
        return method
    axes, update = method.per_model(), {}
    for name in type(method.params).model_fields:
        values = [getattr(params, name) for params in every]
        if all(value == values[0] for value in values):
            update[name] = values[0]
        elif name not in axes:
            raise ValueError(f"models of one {method.name} stack differ in {name}: {values}")
        else:
            update[name] = torch.tensor(
                values, dtype=getattr(torch, contexts[0].dtype), device=contexts[0].device
            ).view(-1, *[1] * axes[name])
    return type(method)(method.params.model_copy(update=update))
