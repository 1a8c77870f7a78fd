"""Contract of a method: what it declares, what it is handed, what it gives back.

A method turns a :class:`~bench.protocols.base.View` into a :class:`Predictor`. It never touches
files, test windows, other subjects' targets, or global random state: everything it may use is in
its arguments.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .data.windows import Space, UnlabelledWindows, Windows
from .errors import BenchError, IncompatibleError, SettingError, refused_value
from .protocols.base import View
from .registry import ANY_FEATURES, Needs, Pretraining  # noqa: F401  methods import these from here

if TYPE_CHECKING:
    import torch

    from .draws import Draws

Scale = Literal["linear", "log", "choice"]
Stage = Literal["network", "pretrain", "fit"]
#: Parameters by name of the set, then by pair ("SEED>DEAP"); "*" is any other pair.
Presets = Mapping[str, Mapping[str, Mapping[str, Any]]]
#: What is trained for: before a head for the target is put on, after, or to choose how long.
Part = Literal["before", "after", "choosing"]


def hyper(
    default: Any,
    doc: str,
    *,
    stage: Stage,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    tune: tuple[float, float] | Sequence[str] | None = None,
    scale: Scale = "linear",
    unit: str = "",
    per_model: int | None = None,
    start: float | None = None,
) -> Any:
    """Declare one hyper-parameter: default, bounds, and the range worth searching.

    Parameters
    ----------
    stage : {"network", "pretrain", "fit"}
        What it changes. A network trained from scratch shares "network" and "fit" parameters
        with the pre-trained one and ignores "pretrain".
    tune : (low, high) or sequence of choices, optional
        Search range; None means it is not tuned.
    per_model : int, optional
        Models of one stack may have values of their own: losses then find a tensor (K, 1, ...)
        in its place, with so many axes after that of the models. None: they must share it.
    start : float, optional
        Where a tuning starts, if the default is no number of the range ("auto").
    """
    extra: Any = {"stage": stage, "tune": None if tune is None else list(tune), "scale": scale,
             "unit": unit, "per_model": per_model, "start": start}
    return Field(default, description=doc, ge=ge, gt=gt, le=le, lt=lt, json_schema_extra=extra)


@dataclass(frozen=True)
class Tunable:
    """A parameter with the range worth searching.

    Attributes
    ----------
    default : Any
    doc : str
    stage : {"network", "pretrain", "fit"}
    values : tuple
        Lowest and highest value, or the choices where ``scale`` is "choice".
    scale : {"linear", "log", "choice"}
    whole : bool
        Whether only whole numbers will do.
    unit : str
    start : Any
        First value that is tried; None for the default.
    """

    default: Any
    doc: str
    stage: Stage
    values: tuple[Any, ...]
    scale: Scale
    whole: bool = False
    unit: str = ""
    start: Any = None

    @property
    def first(self) -> Any:
        """Value of the first trial."""
        return self.default if self.start is None else self.start


class Params(BaseModel):
    """Parameters of a method; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def _declared(cls) -> dict[str, dict[str, Any]]:
        """What :func:`hyper` declared of each parameter; nothing of a plain field."""
        extras = {name: info.json_schema_extra for name, info in cls.model_fields.items()}
        return {name: extra if isinstance(extra, dict) else {} for name, extra in extras.items()}

    @classmethod
    def stage_of(cls, name: str) -> str:
        """Stage that a parameter belongs to."""
        return str(cls._declared().get(name, {}).get("stage", "fit"))

    def only(self, *stages: str) -> dict[str, Any]:
        """Parameters of the given stages, by name."""
        return {k: v for k, v in self.model_dump().items() if self.stage_of(k) in stages}

    @classmethod
    def tunable(cls) -> dict[str, Tunable]:
        """Parameters that are declared with a search range, by name."""
        ranges = {}
        for name, extra in cls._declared().items():
            if extra.get("tune"):
                info = cls.model_fields[name]
                ranges[name] = Tunable(
                    default=info.default, doc=info.description or "", stage=extra["stage"],
                    values=tuple(extra["tune"]), scale=extra["scale"],
                    whole=info.annotation is int, unit=extra["unit"], start=extra.get("start"),
                )
        return ranges

    @classmethod
    def per_model(cls) -> dict[str, int]:
        """Parameters in which models of one stack may differ, and the axes that follow theirs."""
        axes = {name: extra.get("per_model") for name, extra in cls._declared().items()}
        return {name: int(n) for name, n in axes.items() if n is not None}


class NoParams(Params):
    """A method without parameters."""


@dataclass(frozen=True)
class Budget:
    """Most optimiser steps a network may take; None means what the parameters say."""

    pretrain: int | None = None
    fit: int | None = None

    def epochs(self, wanted: int, steps_per_epoch: int, stage: Literal["pretrain", "fit"]) -> int:
        """Whole epochs within the budget, at least one."""
        return self.batches(wanted, stage, max(1, steps_per_epoch))

    def batches(self, wanted: int, stage: Literal["pretrain", "fit"], each: int = 1) -> int:
        """Batches within the budget, at least one; each costs so many optimiser steps."""
        limit = getattr(self, stage)
        return wanted if limit is None else max(1, min(wanted, limit // each))

    def windows(self, draw: int, size: int) -> int:
        """Windows of an epoch on the source: under a budget whole batches, of which there is one.

        Every step is then handed as many, whatever a method makes of its source.
        """
        return draw if self.pretrain is None or draw < size else draw // size * size


class Predictor(Protocol):
    """What a fold's training yields."""

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities (n, classes) of windows (n, channels, features).

        Unless the method declares ``transductive``, a window's row does not depend on which
        others are passed.
        """
        ...


@runtime_checkable
class Embedder(Protocol):
    """What a predictor may offer besides: a look at its encoder, for diagnostics."""

    def embed(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Encoded windows (n, width) of windows (n, channels, features)."""
        ...


# The engine's observer of a training in progress. It lives in a context variable and not in the
# Context a method receives, so that no path leads from what a method holds to test windows.
_observer: ContextVar[Callable[..., None] | None] = ContextVar("bench_observer", default=None)


@contextlib.contextmanager
def observing(observer: Callable[..., None] | None) -> Iterator[None]:
    """Let ``observer(context, epoch, losses, predictor)`` watch trainings inside the block."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


@dataclass(frozen=True)
class Context:
    """What a method gets beside data: randomness, device, budget, and a line to the engine.

    Attributes
    ----------
    seed_axes : mapping
        Named axes every random stream is derived from; nothing else decides them.
    device : str
        Torch device.
    budget : Budget
    fold : str
        Name of the fold ("subject 3 session 1"), or "" while pre-training.
    stage : str
        For progress: "pretrain" or "fit".
    dtype : str
        "float32" or "float64".
    cell : int
        Place of its cell among those that are trained together: the engine tells by it whose
        epoch is over, and a method whose folds may share a model. It decides nothing random.
    fold_key : tuple of int or None
        Subject and session of the fold it is of; of a network that several folds share, those of
        the first. It decides nothing random.
    weights : mapping or None
        Published weights that the backbone starts from, tensors by name, as the engine read them.
    """

    seed_axes: Mapping[str, Any]
    device: str = "cpu"
    budget: Budget = field(default_factory=Budget)
    fold: str = ""
    stage: str = "fit"
    dtype: str = "float32"
    cell: int = 0
    fold_key: tuple[int, ...] | None = None
    params: Any = None
    weights: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def seed(self, purpose: str) -> int:
        """63-bit seed of a purpose ("init", "order", "masks"), from sha256 of the named axes."""
        axes = sorted((str(k), str(v)) for k, v in {**self.seed_axes, "purpose": purpose}.items())
        return int.from_bytes(hashlib.sha256(repr(axes).encode()).digest()[:8], "big") >> 1

    def draws(self, purpose: str) -> Draws:
        """Random numbers of a purpose, drawn where the tensors are: see :mod:`bench.draws`."""
        from .draws import Draws

        return Draws.of(self.seed(purpose))

    def generator(self, purpose: str) -> torch.Generator:
        """Torch generator of a purpose, on the CPU: what it draws depends on what it drew before.

        For networks use :meth:`draws`, whose numbers depend on nothing but their keys.
        """
        import torch

        return torch.Generator().manual_seed(self.seed(purpose))

    def rng(self, purpose: str) -> np.random.Generator:
        """NumPy generator of a purpose."""
        return np.random.default_rng(self.seed(purpose))

    def shared(self, stage: str) -> Context:
        """Context of a network that all folds share: its randomness depends on no fold."""
        axes = {k: v for k, v in self.seed_axes.items()
                if k not in ("subject", "session", "target")}
        return replace(self, seed_axes={**axes, "stage": stage}, stage=stage, fold="all folds")

    def epoch(
        self, number: int, of: int, losses: Mapping[str, float], predictor: Predictor | None = None
    ) -> None:
        """Tell the engine that an epoch is over; returns nothing and changes no random state.

        ``predictor`` predicts with the network as it is now; the engine may score it. Of a
        network that is lost, its total loss NaN, there is nothing to tell.
        """
        observer = _observer.get()
        if observer is not None and not math.isnan(losses.get("total", 0.0)):
            observer(self, number, of, losses, predictor)

    def spent(self, part: Part, steps: int, windows: int, wanted: int = 0) -> None:
        """Tell the engine what a training cost, for records and tables; returns nothing.

        Parameters
        ----------
        part : {"before", "after", "choosing"}
            Before a head for the target's classes is put on, or after it; or in trainings within
            the calibration trials by which something of the latter is chosen.
        steps : int
            Steps of an optimiser; alternating ones on one batch count each.
        windows : int
            Windows handed to these steps; one that comes again counts again.
        wanted : int
            Steps that the parameters say: where the budget allowed fewer, tables name both.
        """
        count = getattr(_observer.get(), "spent", None)
        if count is not None:
            count(self, part, steps, windows, wanted)


def tell_warning(contexts: Sequence[Context], text: str) -> bool:
    """Tell the engine that a library warned while these were trained; whether it listened."""
    heard = getattr(_observer.get(), "warned", None)
    if heard is None or not contexts:
        return False
    for ctx in contexts:
        heard(ctx, text)
    return True


def tell_epoch(
    contexts: Sequence[Context], number: int, of: int, losses: Sequence[Mapping[str, float]],
    predictors: Sequence[Predictor] | None = None,
) -> None:
    """Tell the engine that an epoch of several models is over: :meth:`Context.epoch` of each.

    The engine may then let the predictors of all predict in one pass.
    """
    foresee = getattr(_observer.get(), "foresee", None)
    if predictors is not None and foresee is not None:
        predictors = foresee(contexts, number, of, predictors)
    for k, ctx in enumerate(contexts):
        ctx.epoch(number, of, losses[k], None if predictors is None else predictors[k])


@dataclass(frozen=True, eq=False)
class Job:
    """One fold to fit: what the method sees, where it starts, how it draws."""

    view: View
    state: Any
    ctx: Context


class LostPredictor:
    """Stands for a fold that failed while the others of its stack went on.

    Parameters
    ----------
    error : BenchError
        What happened; raised when the fold is to be predicted.
    """

    def __init__(self, error: BenchError) -> None:
        self.error = error

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Raise the error."""
        raise self.error


#: Largest relative deviation allowed in float64: quantities of the first step, ...
FIRST_STEP = 1e-6
#: ... and losses over ten optimiser steps.
TRAJECTORY = 1e-5


@dataclass(frozen=True)
class Deviation:
    """How far a quantity is from its reference.

    Attributes
    ----------
    name : str
    double, single : float
        Largest deviation in float64 and float32, relative to the quantity's largest entry.
    limit : float
        What is allowed in float64.
    """

    name: str
    double: float
    single: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the float64 deviation is within the limit."""
        return self.double <= self.limit


class Method(abc.ABC):
    """Base of all methods, and their contract: all that an author must know stands here.

    A method learns from what a fold grants, a :class:`~bench.protocols.base.View`, and gives a
    :class:`Predictor`. It is one file: a subclass, and a ``CATALOGUE`` that names it (see
    :class:`~bench.registry.Entry`). The engine reads, cuts, scales, scores and stores.

    **What must be there.** ``name`` and :meth:`fit`. Beside them, where they apply: ``Params``,
    each parameter declared by :func:`hyper`; ``needs``, if that is not a labelled source of
    differential entropy; :meth:`pretrain`, if the source alone has something to teach. All other
    methods are hooks with a default.

    **What is called, and when.** For each cell (a method with its parameters, on a pair of corpora,
    under a protocol, with a seed):

    1. :meth:`parse` makes the parameters and ``cls(params)`` the method, in every process that
       deals with the cell. Every training is done by a fresh copy of that object: nothing that is
       kept in it reaches the next fold.
    2. :meth:`resolved` settles what depends on the kind of windows; then :meth:`needs_under` and
       :meth:`check_space` say whether the method fits. A method that does not is refused before
       anything is trained.
    3. :meth:`pretrain`, once a source and seed, if the class defines it. The state is stored and
       read back for every fold, cell and process that sees the same source with the same code and
       the same parameters of the stages "network" and "pretrain".
    4. :meth:`fit_many` for each fold of the cell, with its :class:`Job` alone, which calls
       :meth:`fit`; or once with all jobs, if the method is :attr:`together`.
    5. ``predict_proba`` of each predictor on the tested windows, after all folds are trained. Some
       windows are asked for a second time, alone. It is handed a copy of the windows.
    6. Where models are saved, ``payload`` of each predictor; later :meth:`restore`.

    Where a selection rule holds data out, 3 and 4 are gone through twice: first without that data.

    **What is handed.** Windows are ``x`` of shape (n, channels, features), float32, scaled:
    differential entropy of each band (in nats before it was scaled), or with ``--features raw``
    samples in time; ``view.source.space`` says which. ``y`` holds indices into ``labels``. The view
    has the parts that the protocol grants and ``needs`` asks for, the others are None:

    ============  =====================================  ========================================
    protocol      ``source``                             of the tested subject
    ============  =====================================  ========================================
    few-shot      the source corpora, in their classes   ``calibration``: labelled trials
    unsupervised  in the classes both sides share        ``unlabelled``: windows without labels
    zero-shot     in the classes both sides share        nothing
    within        other subjects (or sessions) of the    nothing
                  target corpus
    ============  =====================================  ========================================

    ``needs.source`` "unlabelled" hands the source without classes and stimuli, "none" hands None.
    ``needs.unlabelled`` under ``few-shot`` hands the calibration windows without their labels.
    ``maps_labels = True`` asks for source and calibration in the shared classes, always. A protocol
    that does not grant what is needed refuses the method; :meth:`needs_under` may ask for other
    things where no calibration is granted. Arrays cannot be written to: change copies. Windows
    without labels have codes in ``trial`` instead of numbers, another permutation in every set,
    and -1 in ``order``: in SEED the number of a trial is its film, and so its class. Test windows
    are in no view, and no file is to be opened.

    **What is given back.** Probabilities (n, classes), float64, rows that sum to 1, columns in the
    order of ``view.classes``; each window predicted on its own, whichever others are passed, unless
    ``transductive = True`` is declared. A training that fails raises a
    :class:`~bench.errors.BenchError`.

    **Randomness.** From ``ctx.rng("purpose")`` (NumPy), ``ctx.draws("purpose")`` (torch, on any
    device: :class:`~bench.draws.Draws`) or ``ctx.generator("purpose")`` (a torch generator on the
    CPU), one purpose for each use, and from nowhere else: equal seeds then give equal numbers,
    whatever ran before. The seed of a purpose follows from the cell's seed and the fold;
    ``ctx.shared("stage")`` is for what several folds have in common.

    **Epochs.** ``ctx.epoch(number, of, losses, predictor)`` after each epoch, counted from 1, gives
    curves, the progress line and the choice of an epoch. ``losses`` are floats by name, "total" the
    one minimised; ``predictor`` predicts with the network as it is now, and the engine looks at a
    copy of it (:func:`copy.deepcopy`). It returns nothing. Without it the last epoch is scored.
    :func:`tell_epoch` does so for all models of a stack at once; predictors of ours, which offer
    ``predict_many``, then predict in one pass (:mod:`bench.selection.looks`).
    ``ctx.budget.epochs(...)`` says how many epochs a budget leaves; ``ctx.spent(...)`` tells what a
    training cost, for the columns of tables.

    **Stacks.** A method that can train several folds in one computation overrides :meth:`fit_many`
    (and :meth:`pretrain_many`) and says so by :attr:`together`; the outcome of a job must not
    depend on its neighbours. If :attr:`stacks` is True as well, jobs of several cells come in one
    call. They differ in their seed and in parameters declared ``per_model``: :meth:`alone` is the
    method with the parameters of one job, :func:`bench.training.stacked` that with the parameters
    of all, as tensors (K, 1, ...). A job that fails alone is answered by a :class:`LostPredictor`,
    a state by the error.

    **Saved models.** ``predictor.payload()`` returns tensors, numbers, strings and containers of
    these; :meth:`restore` makes a predictor of it. Without ``payload`` models cannot be saved.
    ``predictor.embed(x)``, (n, width), opens the encoder to diagnostics; ``parameters()`` counts.

    **Tuning and controls.** Parameters whose :func:`hyper` has ``tune`` are searched
    (:meth:`tunable`). :meth:`controls` are run beside the method, :meth:`shortcuts` by an audit.

    ``bench check FILE`` tries all of this in seconds; in tests, assert that
    :func:`bench.conformance.failures` finds none.

    Examples
    --------
    The nearest class mean, of source and calibration windows together:

    >>> import numpy as np
    >>> from bench.method import Method, Params, hyper
    >>> class MeansParams(Params):
    ...     sharpness: float = hyper(1.0, "how fast a class's share falls with its distance",
    ...                              stage="fit", gt=0, tune=(0.1, 10.0), scale="log")
    >>> class Means:
    ...     def __init__(self, means, sharpness):
    ...         self.means, self.sharpness = means, sharpness
    ...     def predict_proba(self, x):
    ...         far = ((x[:, None] - self.means) ** 2).mean(axis=(2, 3)).astype(float)
    ...         p = np.exp(-self.sharpness * (far - far.min(axis=1, keepdims=True)))
    ...         return p / p.sum(axis=1, keepdims=True)
    >>> class NearestMean(Method):
    ...     name = "nearest-mean"
    ...     Params = MeansParams
    ...     maps_labels = True
    ...     def fit(self, view, state, ctx):
    ...         parts = [p for p in (view.source, view.calibration) if p is not None]
    ...         x, y = (np.concatenate([getattr(p, name) for p in parts]) for name in "xy")
    ...         means = np.stack([x[y == k].mean(axis=0) for k in range(len(view.classes))])
    ...         return Means(means, self.params.sharpness)
    >>> from bench.conformance import synthetic_pair
    >>> from bench.method import Context
    >>> from bench.protocols.few_shot import FewShot
    >>> view = FewShot().folds(synthetic_pair(), seed=0).folds[0].view
    >>> predictor = NearestMean().fit(view, None, Context({"seed": 0}))
    >>> predictor.predict_proba(view.calibration.x[:2]).shape
    (2, 3)
    """

    #: Name on the command line; equals the catalogue's.
    name: ClassVar[str]
    #: Parameter model.
    Params: ClassVar[type[Params]] = NoParams
    #: What it cannot do without; it is handed that and no more.
    needs: ClassVar[Needs] = Needs()
    #: True if source and calibration windows must be in the classes they share, even where the
    #: protocol leaves the target its own.
    maps_labels: ClassVar[bool] = False
    #: True if predictions of a window may depend on the others passed (test-time adaptation).
    transductive: ClassVar[bool] = False
    #: False if the seed decides nothing, so that a sweep runs it once as a control.
    seeded: ClassVar[bool] = True
    #: How reports place it: "method", "control", "oracle".
    kind: ClassVar[str] = "method"
    #: Named parameter sets other than the default, by name then by pair ("SEED>DEAP") or "*".
    presets: ClassVar[Presets] = {}

    def __init__(self, params: Any = None) -> None:
        self.params = params or self.Params()

    def pretrain(self, source: Windows | UnlabelledWindows, ctx: Context) -> Any:
        """Learn from the source alone; the result is stored and shared between folds."""
        return None

    @property
    def together(self) -> bool:
        """Whether several jobs may be handed to one :meth:`fit_many`.

        If not, each goes alone to an instance of its own. A method that says so gives a fold the
        same predictions alone, among others, and in any order; ``bench check`` tries it, and so
        does a run before it hands over the folds of a method that is not one of ours.
        """
        return False

    @property
    def stacks(self) -> bool:
        """Whether jobs of several cells may be handed to one ``fit_many`` or ``pretrain_many``.

        For methods that are :attr:`together`. The jobs differ in their seed, and in parameters
        that are declared ``per_model``. A method that says so takes nothing of one job (its seed,
        its parameters, its folds' common source) for another's: see :meth:`alone` and
        :func:`bench.training.stacked`.
        """
        return False

    def per_model(self) -> Mapping[str, int]:
        """Parameters in which jobs that are handed over together may differ: see :func:`hyper`."""
        return self.params.per_model()

    def alone(self, ctx: Context) -> Self:
        """The method with the parameters of one model of a stack."""
        if ctx.params is None or ctx.params == self.params:
            return self
        return type(self)(ctx.params)

    def pretrain_many(
        self, source: Windows | UnlabelledWindows, contexts: Sequence[Context]
    ) -> list[Any]:
        """Pre-train on one source once for each context; networks do so as one stack.

        A BenchError in place of a state says that this training alone failed.
        """
        return [self.alone(ctx).pretrain(source, ctx) for ctx in contexts]

    @property
    def savable(self) -> bool:
        """Whether its models can be saved, and loaded by :meth:`restore`."""
        return type(self).restore is not Method.restore

    @property
    def pretrains(self) -> bool:
        """Whether the method has a pre-training stage of its own."""
        return type(self).pretrain is not Method.pretrain

    def resolved(self, space: Space) -> Method:
        """The method for windows of a space: what its parameters leave open is decided here."""
        return self

    @classmethod
    def unresolved(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters with what :meth:`resolved` decides left open again."""
        return dict(values)

    def check_space(self, space: Space) -> None:
        """Refuse windows the method cannot work on.

        Raises
        ------
        IncompatibleError
            Says which it works on, and what to do.
        """
        if space.kind not in self.needs.features:
            raise IncompatibleError(
                f"{self.name} works on {' or '.join(sorted(self.needs.features))} windows, not on "
                f"{space.kind}",
                "Leave out --features raw, or choose a network: bench list methods."
                if space.kind == "raw" else "Add --features raw.",
            )

    @property
    def pretraining(self) -> Pretraining | None:
        """What published weights of its backbone were trained on, if it has a backbone with any."""
        return None

    def check_weights(self, space: Space, state: Mapping[str, Any]) -> None:
        """Refuse published weights (tensors by name) that are not those of its backbone.

        Raises
        ------
        IncompatibleError
        """
        raise IncompatibleError(f"{self.name} starts from no published weights")

    def check_scaling(self, scaling: str) -> None:
        """Refuse windows that are scaled in a way the method cannot do with; by default, any do.

        Raises
        ------
        IncompatibleError
        """
        return

    def pretrains_predictor(self, grants: frozenset[str]) -> bool:
        """Whether the pre-trained network is what predicts under a protocol that grants ``grants``.

        Its ``pretrain`` then shows a predictor in the target's classes after each epoch, and the
        engine does not take a stored state in its place: there are no epochs in it to choose from.
        """
        return False

    def needs_under(self, grants: frozenset[str]) -> Needs:
        """What the method needs under a protocol that grants ``grants``: ``needs`` by default.

        Pre-training sees of the source what ``needs`` says, whatever the protocol.
        """
        return self.needs

    @property
    def test_access(self) -> frozenset[str]:
        """What an *oracle* is given of the test set, to measure a shortcut of published code.

        Any of "scaling" (the tested windows are scaled by their own statistics) and "epoch" (the
        epoch of highest test accuracy is scored). The engine heeds it for ``kind = "oracle"``
        alone, and does both itself: no method receives test windows.
        """
        return frozenset()

    @abc.abstractmethod
    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Train on what the view holds, starting from the pre-trained ``state`` (or None)."""

    def fit_many(self, jobs: Sequence[Job]) -> list[Predictor]:
        """Fit several folds; methods that can train them as one stack override this.

        A :class:`LostPredictor` stands for a fold that failed alone.
        """
        return [self.alone(job.ctx).fit(job.view, job.state, job.ctx) for job in jobs]

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """Predictor from what its ``payload()`` gave; for methods whose models can be saved."""
        raise IncompatibleError(f"models of {self.name} cannot be loaded")

    def parts(self) -> list[type]:
        """Classes whose code decides the result, beside those that this module imports."""
        return [type(self)]

    def scratch(self) -> tuple[str, dict[str, Any]] | None:
        """What ``target-only`` trains in the method's place: network or method, and parameters.

        Methods that train the same thing from nothing answer the same, so that they share one
        control. None for a method that cannot learn from calibration windows alone.
        """
        return None

    def controls(self) -> list[tuple[str, dict[str, Any]]]:
        """Controls to run beside this method: (name, parameters); none beside a control.

        Plain logistic regression on the calibration windows, the same training as the method's
        without a source, and the majority class. Those that do not fit a protocol are left out.
        """
        if self.kind == "control":
            return []
        own = self.scratch()
        twin = [] if own is None else [("target-only", {"network": own[0], **own[1]})]
        return [("target-only", {"network": "lr"}), *twin, ("majority", {})]

    def shortcuts(self) -> list[tuple[str, str, str, dict[str, Any]]]:
        """Departures of published code to measure in an audit of this method.

        Each is (name, what it does, method that does it, its parameters); with them off that
        method must be this one. They are run as oracles.
        """
        return []

    def tunable(self) -> dict[str, Tunable]:
        """Parameters that tuning searches, by name: those that ``Params`` gives a range."""
        return self.Params.tunable()

    @classmethod
    def control_origin(cls, params: Any, origin: str) -> str:
        """Where parameters of a control come from.

        "default" where they are its own (for the ``network`` it stands beside, if it has one);
        else ``origin``, that of the method it was run beside. One control then serves all
        variants of a method that differ only in what does not concern it.
        """
        given = {k: v for k, v in params.model_dump().items() if k == "network"}
        return "default" if params == cls.parse(given) else origin

    @classmethod
    def check_reference(cls, path: Path) -> list[Deviation]:
        """Deviations of this method's code from a file of reference numbers.

        Raises
        ------
        IncompatibleError
            The method has no such check.
        """
        raise IncompatibleError(f"{cls.name} has no check against reference numbers")

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Any:
        """Parameters from names and values (strings are converted).

        Raises
        ------
        SettingError
            Unknown name (suggests the nearest), wrong type, out of range.
        """
        import difflib

        known = list(cls.Params.model_fields)
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise SettingError(
                    f"{cls.name} has no parameter {name!r}",
                    hint + (f"Parameters: {', '.join(known)}" if known else "It has none."),
                )
        try:
            return cls.Params(**values)
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            doc = cls.Params.model_fields[name].description if name in known else ""
            raise refused_value(cls.name, error, f"{name}: {doc}" if doc else "") from error
