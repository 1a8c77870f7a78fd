"""Mistakes that a plugin's author may make in good faith, each with its correct twin.

Given to runs and sweeps by --include. ``TWINS`` says which is whose, and what becomes of the
mistake: it is refused, has no effect (it predicts as its twin, to the bit), or is worth no more
than chance.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

from bench.method import Method, Needs
from bench.registry import Entry

#: Class of each trial, by its number: in SEED such a list is public.
PUBLIC = {number: (number + 1) % 2 for number in range(1, 100)}


def rows(view: Any) -> tuple[np.ndarray, np.ndarray]:
    parts = [p for p in (view.source, view.calibration) if p is not None]
    return np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])


class Neighbour:
    """The class of the nearest window: 100 % on windows that it was trained on."""

    def __init__(self, x: np.ndarray, y: np.ndarray, classes: int) -> None:
        self.x, self.y, self.classes = x.reshape(len(x), -1).astype(float), y, classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        flat = x.reshape(len(x), -1).astype(float)
        far = ((flat[:, None] - self.x) ** 2).sum(axis=2)
        p = np.full((len(x), self.classes), 0.01)
        p[np.arange(len(x)), self.y[far.argmin(axis=1)]] = 1.0
        return p / p.sum(axis=1, keepdims=True)


class Right(Method):
    """The twin of most: trained on what its view holds, and on nothing else."""

    name: ClassVar[str] = "right"
    maps_labels: ClassVar[bool] = True

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return Neighbour(*rows(view), len(view.classes))


class KeepsModel(Right):
    """Trains once, if it has no model yet."""

    name: ClassVar[str] = "keeps-model"
    model: Any = None

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        if self.model is None:
            self.model = super().fit(view, state, ctx)
        return self.model


class Grows(Right):
    """Adds each fold's windows to those it has."""

    name: ClassVar[str] = "grows"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        x, y = rows(view)
        before = getattr(self, "pool", (x[:0], y[:0]))
        self.pool = tuple(np.concatenate(pair) for pair in zip(before, (x, y), strict=True))
        return Neighbour(*self.pool, len(view.classes))


class IsItsPredictor(Right):
    """Returns itself: of several folds all are then predicted by the last."""

    name: ClassVar[str] = "is-its-predictor"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        self.inner = super().fit(view, state, ctx)
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return self.inner.predict_proba(x)


class Pools(Right):
    """Trains one model on the windows of all folds it is handed."""

    name: ClassVar[str] = "pools"

    def fit_many(self, jobs: Any) -> list[Any]:
        parts = [rows(job.view) for job in jobs]
        x, y = (np.concatenate(p) for p in zip(*parts, strict=True))
        return [Neighbour(x, y, len(jobs[0].view.classes))] * len(jobs)


class PoolsDeclared(Pools):
    """The same, and says that it may be handed several folds at once."""

    name: ClassVar[str] = "pools-declared"

    @property
    def together(self) -> bool:
        return True


class LastForAll(PoolsDeclared):
    """Trains a model for each fold, and gives the last to all."""

    name: ClassVar[str] = "last-for-all"

    def fit_many(self, jobs: Any) -> list[Any]:
        models = [Right.fit(self, job.view, job.state, job.ctx) for job in jobs]
        return [models[-1] for _ in jobs]


class RightMany(Right):
    """Takes several folds at once, and keeps them apart."""

    name: ClassVar[str] = "right-many"

    @property
    def together(self) -> bool:
        return True

    def fit_many(self, jobs: Any) -> list[Any]:
        return [self.fit(job.view, job.state, job.ctx) for job in jobs]


class KeptByTheClass(Right):
    """Adds each fold's windows to those that its class has."""

    name: ClassVar[str] = "kept-by-the-class"
    pool: ClassVar[list[Any]] = []

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        self.pool.append(rows(view))
        x, y = (np.concatenate(p) for p in zip(*self.pool, strict=True))
        return Neighbour(x, y, len(view.classes))


_MODELS: dict[str, Any] = {}


class KeptByTheModule(Right):
    """Looks for its model in a dictionary that goes by nothing of the data."""

    name: ClassVar[str] = "kept-by-the-module"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        if "model" not in _MODELS:
            _MODELS["model"] = super().fit(view, state, ctx)
        return _MODELS["model"]


class DefaultArgument(Right):
    """A list as a default argument, which is one for all calls."""

    name: ClassVar[str] = "default-argument"

    def fit(self, view: Any, state: Any, ctx: Any, pool: Any = []) -> Any:  # noqa: B006
        pool.append(rows(view))
        x, y = (np.concatenate(p) for p in zip(*pool, strict=True))
        return Neighbour(x, y, len(view.classes))


class _Data:
    """Windows that are equal if they are equally many: a cache takes one for another."""

    def __init__(self, view: Any) -> None:
        self.view, self.x = view, rows(view)[0]

    def __hash__(self) -> int:
        return len(self.x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Data) and len(other.x) == len(self.x)


@functools.lru_cache
def _cached(data: _Data) -> Any:
    return Neighbour(*rows(data.view), len(data.view.classes))


class Cached(Right):
    """A cache that goes by too little."""

    name: ClassVar[str] = "cached"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return _cached(_Data(view))


@functools.lru_cache
def _weights(features: int) -> np.ndarray:
    return np.ones(features)


class RightCached(Right):
    """A cache of what no fold decides."""

    name: ClassVar[str] = "right-cached"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        x, y = rows(view)
        return Neighbour(x * _weights(x.shape[2]), y, len(view.classes))


class Centres(Right):
    """Twin of those that centre: changes a copy."""

    name: ClassVar[str] = "centres"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        x = view.source.x - view.source.x.mean(axis=0)
        return Neighbour(x, view.source.y, len(view.classes))


class CentresInPlace(Centres):
    """Arithmetic in place, which changes the source of all later folds."""

    name: ClassVar[str] = "centres-in-place"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        x = view.source.x
        x -= x.mean(axis=0)
        return Neighbour(x, view.source.y, len(view.classes))


class CentresByTorch(Centres):
    """The same through torch, whose tensor is the array itself."""

    name: ClassVar[str] = "centres-by-torch"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        import torch

        x = torch.from_numpy(view.source.x)
        x.sub_(x.mean(dim=0))
        return Neighbour(x.numpy().copy(), view.source.y, len(view.classes))


class _Zeroes(Neighbour):
    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        proba = super().predict_proba(x)
        x[:] = 0
        return proba


class ZeroesTheTest(Right):
    """A predictor that uses the windows it predicts as its scratch space."""

    name: ClassVar[str] = "zeroes-the-test"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return _Zeroes(*rows(view), len(view.classes))


class _OfTheBatch(Neighbour):
    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return super().predict_proba(x - x.mean(axis=0))


class CentresTheBatch(Right):
    """A predictor that centres by the tested windows, and does not say so."""

    name: ClassVar[str] = "centres-the-batch"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return _OfTheBatch(*rows(view), len(view.classes))


class _GoesOn(Neighbour):
    seen = 0.0

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        self.seen = 0.5 * self.seen + 0.5 * x.mean(axis=0)
        return super().predict_proba(x - self.seen)


class _StartsAnew(Neighbour):
    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return super().predict_proba(x - 0.5 * x.mean(axis=0))


class AdaptsAnew(Right):
    """Test-time adaptation that starts anew in each call."""

    name: ClassVar[str] = "adapts-anew"
    transductive: ClassVar[bool] = True

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return _StartsAnew(*rows(view), len(view.classes))


class AdaptsOnAndOn(AdaptsAnew):
    """Test-time adaptation that goes on from call to call."""

    name: ClassVar[str] = "adapts-on-and-on"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return _GoesOn(*rows(view), len(view.classes))


class FromState(Right):
    """Twin of the next: adds its windows to a copy of the state."""

    name: ClassVar[str] = "from-state"

    def pretrain(self, source: Any, ctx: Any) -> Any:
        return {"rows": [source.x.tolist()], "y": [source.y.tolist()]}

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        x, y = rows(view)
        return self.joined({k: [*v] for k, v in state.items()}, x, y, len(view.classes))

    def joined(self, state: Any, x: np.ndarray, y: np.ndarray, classes: int) -> Any:
        state["rows"].append(x.tolist())
        state["y"].append(y.tolist())
        known = [np.concatenate([np.asarray(p, dtype=kind) for p in state[name]])
                 for name, kind in (("rows", np.float32), ("y", np.int64))]
        return Neighbour(known[0], known[1], classes)


class ChangesState(FromState):
    """Changes the pre-trained state that all folds start from."""

    name: ClassVar[str] = "changes-state"

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return self.joined(state, *rows(view), len(view.classes))


class StashesPretraining(FromState):
    """Keeps what it pre-trained in its class, and returns nothing that says so."""

    name: ClassVar[str] = "stashes-pretraining"
    stash: ClassVar[Any] = None

    def pretrain(self, source: Any, ctx: Any) -> Any:
        type(self).stash = super().pretrain(source, ctx)
        return {"rows": [], "y": []}

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        return super().fit(view, self.stash, ctx)


class _Shown:
    """A network of torch, in the mode it happens to be in."""

    def __init__(self, net: Any) -> None:
        self.net = net

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        import torch

        with torch.no_grad():
            logits = self.net(torch.tensor(x).flatten(1))
        return torch.softmax(logits.double(), dim=1).numpy()


class ShowsEval(Right):
    """A network that is shown after each epoch in evaluation mode."""

    name: ClassVar[str] = "shows-eval"
    shows_training: ClassVar[bool] = False

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        import torch
        from torch import nn

        torch.manual_seed(ctx.seed("network") % 2**32)
        x, y = (torch.tensor(part) for part in rows(view))
        width = x[0].numel()
        net = nn.Sequential(nn.BatchNorm1d(width), nn.Linear(width, 8), nn.Dropout(0.5),
                            nn.Linear(8, len(view.classes)))
        optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
        for epoch in range(3):
            net.train()
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(net(x.flatten(1)), y)
            loss.backward()
            optimiser.step()
            net.train(self.shows_training)
            ctx.epoch(epoch + 1, 3, {"total": loss.item()}, _Shown(net))
        return _Shown(net.eval())


class ShowsTraining(ShowsEval):
    """The same, left in training mode: what is predicted moves its statistics, dropout draws."""

    name: ClassVar[str] = "shows-training"
    shows_training: ClassVar[bool] = True


class FilmsByNumber(Right):
    """Labels for unlabelled windows, from a public list by the number of the trial."""

    name: ClassVar[str] = "films-by-number"

    def needs_under(self, grants: frozenset[str]) -> Needs:
        return Needs(source="labelled", unlabelled="unlabelled" in grants)

    def labels(self, unlabelled: Any) -> np.ndarray:
        return np.array([PUBLIC[int(t)] for t in unlabelled.trial])

    def fit(self, view: Any, state: Any, ctx: Any) -> Any:
        if view.unlabelled is None:
            return super().fit(view, state, ctx)
        return Neighbour(view.unlabelled.x, self.labels(view.unlabelled), len(view.classes))


class FilmsByOrder(FilmsByNumber):
    """The same, by the place in the order of presentation."""

    name: ClassVar[str] = "films-by-order"

    def labels(self, unlabelled: Any) -> np.ndarray:
        return np.array([PUBLIC.get(int(t) + 1, 0) for t in unlabelled.order])


REFUSED, EQUAL, CHANCE = "refused", "equal", "chance"
#: Mistake, its twin, and what becomes of it in a run.
TWINS: list[tuple[type[Method], type[Method], str]] = [
    (KeepsModel, Right, EQUAL),
    (Grows, Right, EQUAL),
    (IsItsPredictor, Right, EQUAL),
    (Pools, Right, EQUAL),
    (PoolsDeclared, RightMany, REFUSED),
    (LastForAll, RightMany, REFUSED),
    (KeptByTheClass, Right, REFUSED),
    (KeptByTheModule, Right, REFUSED),
    (DefaultArgument, Right, REFUSED),
    (Cached, RightCached, REFUSED),
    (CentresInPlace, Centres, REFUSED),
    (CentresByTorch, Centres, REFUSED),
    (ZeroesTheTest, Right, REFUSED),
    (CentresTheBatch, Right, REFUSED),
    (AdaptsOnAndOn, AdaptsAnew, EQUAL),
    (ChangesState, FromState, EQUAL),
    (StashesPretraining, FromState, REFUSED),
    (ShowsTraining, ShowsEval, EQUAL),
    (FilmsByNumber, Right, CHANCE),
    (FilmsByOrder, Right, CHANCE),
]
METHODS = list(dict.fromkeys(cls for pair in TWINS for cls in pair[1::-1]))

CATALOGUE = [Entry(cls.name, f":{cls.__name__}") for cls in METHODS]
