"""What is worth knowing of a run but does not decide its numbers: software, machine, cost."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ..errors import SettingError, is_there
from ..version import __version__

#: Packages whose versions are kept in every record, as far as they are installed.
PACKAGES = ("numpy", "scipy", "pandas", "torch", "scikit-learn", "pyarrow", "pydantic", "torcheeg",
            "braindecode", "skada", "pyriemann", "optuna", "distributed")

#: Entry points of methods; our own modules are named alike.
GROUP = "bench.methods"


def provenance(device: str, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, code, machine and size, for a record's ``info``.

    Parameters
    ----------
    device : str
        Torch device of the cell.
    axes : mapping
        Named axes its randomness is derived from.
    """
    torch = sys.modules.get("torch")
    out = {
        "versions": versions(), "git": git_state(), "device": device,
        "device_name": device_name(device), "host": platform.node(),
        "threads": int(torch.get_num_threads()) if torch is not None else 0,
        "seed_axes": {
            "axes": {k: str(v) for k, v in axes.items()},
            "sha256": hashlib.sha256(
                repr(sorted((str(k), str(v)) for k, v in axes.items())).encode()
            ).hexdigest(),
        },
        "peak_memory_mb": round(_peak_bytes() / 2**20, 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if torch is not None and device.startswith("cuda"):
        out["peak_device_memory_mb"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return out


def _peak_bytes() -> int:
    """Largest memory of this process so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of those it builds on."""
    out = {"bench": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            out[name] = metadata.version(name)
    return out


def is_ours(classes: Iterable[type]) -> bool:
    """Whether all classes are of the methods that come with this package."""
    return all(_is_ours(cls.__module__) for cls in classes)


@functools.cache
def _is_ours(module: str) -> bool:
    file = _file_of(module)
    return module.startswith(f"{GROUP}.") and file is not None and file.is_relative_to(_methods())


def _methods() -> Path:
    """Folder of our methods, wherever the package was installed from."""
    spec = importlib.util.find_spec(GROUP)
    if spec is None or not spec.submodule_search_locations:
        return Path(__file__).parent
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def _file_of(module: str) -> Path | None:
    """Source file of a module that is loaded."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file).resolve() if file else None


@functools.cache
def origin_of(cls: type) -> dict[str, Any]:
    """Whose code a class is.

    Returns
    -------
    dict
        ``class`` (dotted name), ``ours``, ``package`` and ``version`` (None of a file that belongs
        to none), ``file`` (its name) and ``sha256`` of the file (None of a class without one).
    """
    file, ours = _file_of(cls.__module__), is_ours([cls])
    package, version = ("bench", __version__) if ours else _package_of(cls.__module__)
    return {
        "class": f"{cls.__module__}.{cls.__qualname__}", "ours": ours,
        "package": package, "version": version, "file": None if file is None else file.name,
        "sha256": None if file is None else hashlib.sha256(file.read_bytes()).hexdigest(),
    }


def _package_of(module: str) -> tuple[str | None, str | None]:
    """Name and version of the installed package whose entry point leads to a module."""
    top = module.partition(".")[0]
    for point in metadata.entry_points(group=GROUP):
        if point.dist is not None and point.module.partition(".")[0] == top:
            return point.dist.name, point.dist.version
    return None, None


@functools.cache
def git_state() -> dict[str, Any] | None:
    """Commit of the checkout this code stands in, and whether files differ; None without one."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit, changed = (
            subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "-C", str(root), *command], capture_output=True, text=True,  # noqa: S607
                timeout=10, check=True, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"],
                            ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "dirty": bool(changed)}


@functools.cache
def device_name(device: str) -> str:
    """Name of a device as its maker gives it."""
    if device.startswith("cuda"):
        import torch

        return str(torch.cuda.get_device_name(device))
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class Meter:
    """Measures what cells that are trained together cost, each its share.

    Parameters
    ----------
    device : str
    cells : int
    energy : bool
        Also measure the energy, by CodeCarbon.
    """

    def __init__(self, device: str, cells: int, energy: bool = False) -> None:
        self.device, self.cells = device, cells
        self.energy: float | None = None
        self.tracker: Any = _tracker() if energy else None

    def __enter__(self) -> Meter:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        if self.tracker is not None:
            self.tracker.start()
        self.mark, self.shared = self._now(), (0.0, 0.0)
        return self

    def __exit__(self, *error: object) -> None:
        if self.tracker is not None:
            with contextlib.suppress(Exception):
                self.tracker.stop()

    def trained(self) -> None:
        """What was done up to here, all cells share."""
        self.shared, self.mark = self._since(), self._now()
        if self.tracker is not None:
            self.tracker.stop()
            self.energy = float(self.tracker.final_emissions_data.energy_consumed) / self.cells
            self.tracker = None

    def read(self) -> dict[str, Any]:
        """Cost of a cell: its share, and what it took since the last was read."""
        own, self.mark = self._since(), self._now()
        wall, cpu = (a / self.cells + b for a, b in zip(self.shared, own, strict=True))
        device = wall if self.device.startswith("cuda") else cpu
        out = {"wall_s": round(wall, 3), "cpu_s": round(cpu, 3), "device_s": round(device, 3)}
        if self.energy is not None:  # of the training; scoring is not measured
            out["energy_wh"] = round(1000 * self.energy, 6)
        return out

    def _now(self) -> tuple[float, float]:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.device)
        return time.perf_counter(), time.process_time()

    def _since(self) -> tuple[float, float]:
        wall, cpu = self._now()
        return wall - self.mark[0], cpu - self.mark[1]


def check_energy() -> None:
    """Refuse to measure energy without CodeCarbon.

    Raises
    ------
    SettingError
    """
    if not is_there("codecarbon"):
        raise SettingError(
            "energy cannot be measured: CodeCarbon is not installed", "pip install codecarbon"
        )


def _tracker() -> Any:
    """A tracker that asks no one over the network; only its energy is used, no emissions."""
    check_energy()
    import logging

    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    from codecarbon import OfflineEmissionsTracker

    return OfflineEmissionsTracker(
        country_iso_code="USA", output_methods=[], log_level="critical", tracking_mode="process",
        allow_multiple_runs=True,
    )
