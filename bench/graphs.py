"""Steps of a training, recorded once and replayed: one launch a step on a GPU, for any method.

A CUDA graph repeats kernels on the memory they were recorded on. So a step may read nothing but
tensors that stay where they are, and do nothing on the host that decides a number: :class:`Watch`
sees whether it does. What cannot be recorded runs as it is written, and the record says why.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .devices import counted

#: Operations that read values on the host, or whose shape depends on values.
READS = frozenset({
    "_local_scalar_dense", "equal", "is_nonzero", "masked_select", "nonzero", "unique_dim",
    "_unique2", "unique_consecutive",
})
#: Seconds that compiling a shape of a step takes, and the share of a step it saves (measured on an
#: H200: 12 to 16 s; of SCMM's pre-training 60 to 70 %, less where matrix products weigh more).
COMPILING, SAVED = 15.0, 0.5
#: Replays by which a step is timed, before it is decided whether to compile.
TIMED = 8


class Watch(TorchDispatchMode):
    """Sees what a recording could not repeat: values read, and tensors of another device.

    Parameters
    ----------
    device : torch.device
        Where the step's tensors are.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        #: What was seen, in words.
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and look at it."""
        name = func.overloadpacket.__name__
        if name in READS or (name.startswith("index") and _by_truth(args)):
            self.found.append(f"{name} reads values on the host")
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, out)):
            if isinstance(value, torch.Tensor) and value.device != self.device:
                self.found.append(f"{name} has a tensor on {value.device}")
        return out


def _by_truth(args: Sequence[Any]) -> bool:
    """Whether an operation indexes by booleans: its shape is then known to the device alone."""
    return any(isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8)
               for i in tree_leaves(args[1:2]))


@contextlib.contextmanager
def at(device: torch.device) -> Iterator[None]:
    """Run on a stream of its own, as recording asks for; nothing on other devices than CUDA."""
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        stream, before = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(before)
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            before.wait_stream(stream)


def recorder(
    body: Callable[[bool], None], device: torch.device, steps: int,
    compiling: Callable[[Callable[[Exception], None]], None],
) -> Callable[[bool], None]:
    """What runs a step: recorded and replayed on a CUDA device, elsewhere the step itself.

    Parameters
    ----------
    body : callable
        ``body(short)`` takes a step; short: of the smaller batch that ends an epoch.
    device : torch.device
    steps : int
        How many are to come.
    compiling : callable
        Makes the body a compiled one; is handed what to do if that fails.
    """
    if device.type != "cuda":
        return body
    return Replays(body, device, steps, compiling)


class Replays:
    """A step as CUDA graphs, one for each of its shapes; parameters as of :func:`recorder`.

    The first step of a shape is taken as it is written, and watched; the second is recorded, and
    from then on it is replayed. All are steps of the training: nothing is run for warming up.
    """

    def __init__(
        self, body: Callable[[bool], None], device: torch.device, steps: int,
        compiling: Callable[[Callable[[Exception], None]], None],
    ) -> None:
        self.body, self.device, self.left, self.compiling = body, device, steps, compiling
        self.steps = counted()
        self.graphs: dict[bool, Any] = {}
        self.seen: set[bool] = set()
        self.refused = self.compiled = False
        #: Why what was compiled could not be run.
        self.broken: list[Exception] = []
        #: Seconds of the first replays, until it is decided whether to compile.
        self.timed: list[float] | None = [] if self.steps.compile else None

    def __call__(self, short: bool) -> None:
        """Take a step."""
        self.left -= 1
        if short in self.seen and short not in self.graphs and not self.refused:
            self._record(short)
        if short not in self.graphs:
            self._eager(short)
            return
        self.steps.replayed += 1
        self.steps.compiled += self.compiled
        if self.timed is None:
            self.graphs[short].replay()
        else:
            self._time(self.graphs[short].replay, self.timed)

    def _eager(self, short: bool) -> None:
        self.steps.eager += 1
        if self.refused or short in self.seen:
            self.body(short)
            return
        self.seen.add(short)
        if self.compiled:  # watched before it was compiled
            self.body(short)
            if self.broken:
                self.compiled = False
                self.steps.because(f"not compiled: {_first_line(self.broken[0])}")
            return
        with Watch(self.device) as watch:
            self.body(short)
        if watch.found:
            self._refuse(watch.found[0])

    def _record(self, short: bool) -> None:
        try:
            self.graphs[short] = self._recorded(short)
        except Exception as error:
            with contextlib.suppress(Exception):  # what it broke, it would say again
                torch.cuda.synchronize(self.device)
            self._refuse(_first_line(error))

    def _recorded(self, short: bool) -> Any:
        """Graph of a step; nothing is run."""
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self.graphs.values())).pool() if self.graphs else None
        torch.cuda.synchronize(self.device)
        with torch.cuda.graph(
            graph, pool=pool, stream=torch.cuda.current_stream(),
            capture_error_mode="thread_local",
        ):
            self.body(short)
        return graph

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.steps.because(f"not recorded: {reason}")

    def _time(self, replay: Callable[[], None], timed: list[float]) -> None:
        """Replay, and compile after some replays if the steps to come repay it."""
        timed.append(self._seconds(replay))
        if len(timed) < TIMED:
            return
        self.timed = None
        if statistics.median(timed) * SAVED * self.left > COMPILING * len(self.seen):
            self.compiling(self.broken.append)
            self.compiled, self.graphs, self.seen = True, {}, set()

    def _seconds(self, replay: Callable[[], None]) -> float:
        torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        replay()
        torch.cuda.synchronize(self.device)
        return time.perf_counter() - began


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
