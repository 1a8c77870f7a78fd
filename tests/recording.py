"""Steps recorded with make_fx and replayed on the CPU: what a CUDA graph does on a GPU.

A recording repeats operations on the tensors it was made with. A number that Python read, or an
``if`` on it, is frozen; a tensor that moved is no longer seen. So a training that is replayed and
comes out equal to the bit could be recorded as a graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench import graphs


class Inputs(TorchDispatchMode):
    """Collects the tensors that operations read and that none of them made."""

    def __init__(self):
        super().__init__()
        self.tensors, self.made, self.alive = {}, set(), []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for t in tree_leaves((args, kwargs or {})):
            if isinstance(t, torch.Tensor) and id(t) not in self.made:
                self.tensors[id(t)] = t
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            if isinstance(t, torch.Tensor) and id(t) not in self.tensors:
                self.made.add(id(t))
                self.alive.append(t)  # so that no other takes its place
        return out


class Traced:
    """Takes the first step of a shape as written, records the second, replays all others."""

    made: list[Traced] = []

    def __init__(self, body, device, steps, compiling):
        self.body, self.inputs, self.graphs, self.replayed = body, {}, {}, {False: 0, True: 0}
        Traced.made.append(self)

    def __call__(self, short):
        if short in self.graphs:
            self.graphs[short](*self.inputs[short])
            self.replayed[short] += 1
        elif short in self.inputs:
            self._record(short)
        else:
            with Inputs() as seen:
                self.body(short)
            self.inputs[short] = list(seen.tensors.values())

    def _record(self, short):
        def step(*tensors):
            self.body(short)
            return tensors[0]

        self.graphs[short] = make_fx(step)(*self.inputs[short])


@contextlib.contextmanager
def replayed(patch: pytest.MonkeyPatch) -> Iterator[list[Traced]]:
    """Replay the steps of trainings inside the block; gives the recordings."""
    Traced.made = []
    with patch.context() as inside:
        inside.setattr(graphs, "recorder", Traced)
        yield Traced.made
