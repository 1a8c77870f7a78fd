"""Devices and arithmetic: which there are, which cell runs on which, in what precision.

Everything but :func:`found` works on names and numbers, so that machines with any number of GPUs
can be thought of on one that has none.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import re
import sys
from collections.abc import Hashable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .errors import SettingError

#: Precision of the arithmetic: of tensors, and of how float32 matrices are multiplied.
PRECISIONS = {
    "float32": ("float32", "highest"),
    "float64": ("float64", "highest"),
    "tf32": ("float32", "high"),
    "bf16": ("float32", "medium"),
}
#: Memory of a process on a GPU beside its data: context, kernels, libraries.
PROCESS = 600e6
#: A cell's windows, their batches, activations and gradients, as a multiple of its windows.
COPIES = 8
#: Cells that are trained together before it is known what such cells take.
FIRST = 8
#: Share of a GPU's free memory that cells may be planned to take.
USABLE = 0.8


@dataclass(frozen=True)
class Found:
    """What a machine has.

    Attributes
    ----------
    cuda : tuple of float
        Free bytes of each CUDA device.
    mps : bool
    """

    cuda: tuple[float, ...] = ()
    mps: bool = False


#: A machine that has everything: by it the form of a setting is checked.
FORM = Found((0.0,) * 1024, True)


def found() -> Found:
    """What this machine has; imports torch."""
    import torch

    free = tuple(
        float(torch.cuda.mem_get_info(i)[0]) for i in range(torch.cuda.device_count())
    ) if torch.cuda.is_available() else ()
    return Found(free, torch.backends.mps.is_available())


def devices(text: str, machine: Found | None = None) -> list[str]:
    """Devices a setting stands for, each as torch names it.

    Parameters
    ----------
    text : str
        ``cpu``; ``cuda`` (all there are) or ``cuda:0,1``; ``mps``; ``auto``: CUDA, else MPS, else
        the CPU.
    machine : Found, optional
        This one if None.

    Raises
    ------
    SettingError
        Not of this form, or not there.
    """
    wanted = text.strip().lower()
    if wanted == "cpu":
        return ["cpu"]
    shape = re.fullmatch(r"auto|mps|cuda(:\d+(,\d+)*)?", wanted)
    if shape is None:
        raise SettingError(
            f"device {text!r} cannot be used: it is none that is known",
            "One of: auto, cpu, cuda, cuda:0,1, mps"
        )
    machine = machine or found()
    if wanted == "auto":
        if machine.cuda:
            wanted = "cuda"
        else:
            return ["mps"] if machine.mps else ["cpu"]
    if wanted == "mps":
        if not machine.mps:
            raise _absent(text, "this build of torch has no MPS device")
        return ["mps"]
    if not machine.cuda:
        raise _absent(text, "torch sees no CUDA device")
    numbers = wanted.partition(":")[2]
    chosen = [int(n) for n in numbers.split(",")] if numbers else range(len(machine.cuda))
    beyond = [n for n in chosen if n >= len(machine.cuda)]
    if beyond:
        raise _absent(text, f"there are {len(machine.cuda)} CUDA devices, counted from 0")
    return [f"cuda:{n}" for n in dict.fromkeys(chosen)]


def _absent(text: str, why: str) -> SettingError:
    return SettingError(
        f"device {text!r} cannot be used: {why}",
        "Use --device cpu, or install a build of torch for your accelerator.",
    )


def footprint(windows_bytes: float) -> float:
    """Estimated bytes on a GPU of one worker whose cells have so many bytes of windows."""
    return PROCESS + COPIES * windows_bytes


def places(
    chosen: Sequence[str], workers: int, need: float, machine: Found | None = None
) -> list[str]:
    """Device of each worker: one a GPU at least, more as far as was asked for and memory allows.

    Parameters
    ----------
    chosen : sequence of str
        From :func:`devices`.
    workers : int
        Asked for.
    need : float
        Bytes a worker takes, from :func:`footprint`.
    machine : Found, optional

    Returns
    -------
    list of str
        As long as there are to be workers.
    """
    if not chosen[0].startswith("cuda"):
        return [chosen[0]] * workers
    machine = machine or found()
    room = {
        d: max(1, int(USABLE * machine.cuda[int(d.partition(":")[2])] // need)) for d in chosen
    }
    out: list[str] = []
    while len(out) < max(workers, len(chosen)):
        free = [d for d in chosen if out.count(d) < room[d]]
        if not free:
            break
        out.append(min(free, key=out.count))
    return out


class Room:
    """How many cells of a kind a device has room for, by what such cells took before.

    Nothing is known of the first: :data:`FIRST` are trained together, and what they take at most
    is measured. Elsewhere than on a GPU there is always room.

    Parameters
    ----------
    device : str
    kind : hashable
        Cells equal in this take as much.
    """

    #: Bytes a cell took at most, by device and kind.
    taken: ClassVar[dict[Hashable, float]] = {}

    def __init__(self, device: str, kind: Hashable) -> None:
        self.device, self.key = device, (device, kind)

    def most(self) -> int:
        """Cells that may be trained together."""
        if not self.device.startswith("cuda"):
            return sys.maxsize
        if self.key not in self.taken:
            return FIRST
        return max(1, int(USABLE * self._free() / self.taken[self.key]))

    def measure(self, cells: int) -> None:
        """Note what so many cells took, since the peak was last reset."""
        if self.device.startswith("cuda"):
            self.taken[self.key] = max(self.taken.get(self.key, 1.0), self._peak() / cells)

    def _free(self) -> float:
        """Bytes that are free, or that torch holds and does not use."""
        import torch

        held = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return float(torch.cuda.mem_get_info(self.device)[0] + held)

    def _peak(self) -> float:
        import torch

        return float(torch.cuda.max_memory_allocated(self.device))


def dtype_of(precision: str) -> str:
    """Type of the tensors: tf32 and bf16 only concern how float32 matrices are multiplied."""
    return PRECISIONS[precision][0]


@contextlib.contextmanager
def arithmetic(precision: str, deterministic: bool) -> Iterator[None]:
    """Set torch's ways with float32 products and with reproducible kernels, and set them back.

    Costs nothing, and imports no torch, where the defaults are wanted.
    """
    product = PRECISIONS[precision][1]
    if product == "highest" and not deterministic:
        yield
        return
    import torch

    strict = torch.are_deterministic_algorithms_enabled()
    if deterministic:  # cuBLAS reads its variable when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with products(product):
            yield
    finally:
        torch.use_deterministic_algorithms(strict)


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Multiply matrices of float32 in a precision of torch's: "highest" is in full."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@functools.cache
def keep_memory() -> bool:
    """Let the C library keep the memory that a training step frees, for the next step.

    A step makes and frees tensors of some megabytes. By default glibc hands them back to the
    system, which clears each page when it gives it out again: a seventh of the processor time of
    a stack of fine-tunings. At most 128 MB are kept so. Nothing is done with another C library,
    or where the user has set ``MALLOC_*`` or ``GLIBC_TUNABLES``.

    Returns
    -------
    bool
        Whether it was done.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return False
    map_from, trim_from = -3, -1  # M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of malloc.h
    return bool(mallopt(map_from, 32 << 20) and mallopt(trim_from, 128 << 20))


@dataclass
class Steps:
    """How steps of trainings are to be run, and how they were.

    Attributes
    ----------
    compile : bool
        Compile where the steps to come repay it.
    eager, replayed, compiled : int
        Steps run as they are written, replayed, and those of the latter that were compiled.
    reasons : list of str
        Why something was not recorded, or not compiled.
    """

    compile: bool = False
    eager: int = 0
    replayed: int = 0
    compiled: int = 0
    reasons: list[str] = field(default_factory=list)

    def because(self, reason: str) -> None:
        """Note a reason, once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    def info(self) -> dict[str, Any]:
        """For a record; empty where no step could have been recorded, as on a CPU."""
        if not self.eager + self.replayed:
            return {}
        said = {"eager": self.eager, "replayed": self.replayed, "compiled": self.compiled}
        return {"steps": said | ({"reasons": self.reasons} if self.reasons else {})}


_steps: ContextVar[Steps | None] = ContextVar("bench_steps", default=None)


@contextlib.contextmanager
def counting(compile: bool = False) -> Iterator[Steps]:
    """Let trainings inside the block be run, and counted, in a way."""
    steps = Steps(compile)
    token = _steps.set(steps)
    try:
        yield steps
    finally:
        _steps.reset(token)


def counted() -> Steps:
    """The counter of the block that this is called in, or one that nobody reads."""
    return _steps.get() or Steps()
