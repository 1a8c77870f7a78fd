"""SCMM against reference numbers: one pre-training step and ten optimiser steps.

Runs the very network, losses, optimiser and training loop that ``bench run`` trains with, on the
windows, masked copies and parameters of a reference file, in float64 and in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.draws import Draws
from bench.errors import BenchError, DataError
from bench.method import FIRST_STEP, TRAJECTORY, Deviation
from bench.training import Moment, Optimiser, State, stack, train

from .networks.layers import ConvEncoder

#: SCMM's networks (an object with ``init`` and ``parts``), from parameters and an encoder.
NetworkOf = Callable[[Mapping[str, Any], ConvEncoder], Any]
_SCALARS = ("upper_bound", "sharpness", "temperature", "metric", "mask_num", "lr", "beta1",
            "beta2", "weight_decay")
_QUANTITIES = ("h", "z", "similarity", "soft_weights", "aggregation_weights", "reconstruction")
_TRACE = "trajectory_total_contrastive_reconstruction"
_NAMES = {
    "conv1_weight": "conv1.weight", "conv2_weight": "conv2.weight",
    "conv3_weight": "conv3.weight", "loss_balance": "loss_balance",
    **{f"{n}_{w}": f"{n}.{w}" for n in ("bn1", "bn2", "bn3", "proj1", "proj_bn", "proj2",
                                        "decoder") for w in ("weight", "bias")},
}


def check(network_of: NetworkOf, path: Path) -> list[Deviation]:
    """Largest deviation of each quantity of a reference file, relative to its largest entry.

    Parameters
    ----------
    network_of : callable
        The networks of SCMM, from its parameters by name and an encoder.
    path : Path
        The .npz file.

    Raises
    ------
    DataError
        The file is no reference file: names what is missing or has another shape.
    """
    reference = _load(path)
    double = _compute(network_of, reference, "float64", path)
    single = _compute(network_of, reference, "float32", path)
    out = []
    for name, ours in double.items():
        limit = TRAJECTORY if name == _TRACE else FIRST_STEP
        theirs = np.asarray(reference[name], dtype=np.float64)
        if ours.shape != theirs.shape:
            raise DataError(f"{path} {name}", f"shape {ours.shape}", f"{theirs.shape}")
        out.append(
            Deviation(name, _relative(ours, theirs), _relative(single[name], theirs), limit)
        )
    return out


def _relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest deviation, relative to the largest entry; of the columns of a table, the worst."""
    if theirs.ndim == 2 and theirs.shape[1] == 3:  # losses of very different size side by side
        scale = np.abs(theirs).max(axis=0)
        worst = (np.abs(ours - theirs).max(axis=0) / np.where(scale > 0, scale, 1)).max()
    else:
        largest = float(np.abs(theirs).max())
        worst = np.abs(ours - theirs).max() / (largest or 1.0)
    return float(worst) if np.isfinite(worst) else float("inf")


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise BenchError(f"{path} is not there", "Give the .npz file of reference numbers.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            reference = {name: stored[name] for name in stored.files}
    except Exception as error:  # NumPy and zipfile raise many types; all mean the same here
        raise DataError(path, "an .npz file of plain arrays", str(error)) from error
    wanted = {"x", "x_masked", _TRACE, *_QUANTITIES, *_SCALARS, *(f"param_{n}" for n in _NAMES)}
    missing = sorted(wanted - set(reference))
    if missing:
        raise DataError(path, "the keys of an SCMM reference", f"no {', '.join(missing)}")
    return reference


def _compute(
    network_of: NetworkOf, reference: Mapping[str, Any], precision: str, path: Path
) -> dict[str, np.ndarray]:
    """Every quantity of the reference, in the given precision."""
    dtype = getattr(torch, precision)
    network, model = _model(network_of, reference, dtype, path)
    original = torch.from_numpy(np.asarray(reference["x"], dtype=np.float32))
    masked = torch.from_numpy(np.asarray(reference["x_masked"], dtype=np.float32))
    stacked = torch.cat([original, masked]).to(dtype).unsqueeze(0)
    originals = len(original)
    if len(masked) != int(reference["mask_num"]) * originals:
        raise DataError(
            f"{path} x_masked", f"{int(reference['mask_num'])} x {originals} windows",
            f"{len(masked)}",
        )
    first: dict[str, np.ndarray] = {}
    trace: list[list[float]] = []
    norms = [n for n in reference if n.startswith("grad_norm_")]

    def step(at: Moment) -> dict[str, torch.Tensor]:
        losses, quantities = network.parts(model, stacked, originals)
        if not first:
            first.update({n: q.detach()[0].numpy().copy() for n, q in quantities.items()})
            losses["total"].sum().backward(retain_graph=True)
            for name in norms:
                gradient = model[f"{name.removeprefix('grad_norm_')}.weight"].grad
                first[name] = np.array(0.0 if gradient is None else float(gradient.norm()))
        trace.append([losses[n].item() for n in ("total", "contrastive", "reconstruction")])
        for tensor in model.values():
            tensor.grad = None
        return losses

    train(
        model, step, epochs=1, steps=len(reference[_TRACE]), names=["reference"],
        optimiser=Optimiser(
            float(reference["lr"]), float(reference["beta1"]), float(reference["beta2"]),
            float(reference["weight_decay"]),
        ),
        on_epoch=lambda epoch, losses: None,
    )
    return {**{n: first[n] for n in (*_QUANTITIES, *norms)}, _TRACE: np.array(trace)}


def _model(
    network_of: NetworkOf, reference: Mapping[str, Any], dtype: torch.dtype, path: Path
) -> tuple[Any, State]:
    """Network of the reference's settings, holding its parameters."""
    channels, features = reference["x"].shape[1:]
    encoder = ConvEncoder(channels, features)
    names = {"upper_bound": float, "sharpness": float, "temperature": float, "metric": str}
    settings = {name: kind(reference[name].item()) for name, kind in names.items()}
    network = network_of(settings | {"masked_copies": int(reference["mask_num"])}, encoder)
    g = Draws.of(0)
    state = encoder.init(g) | network.init(g)
    for theirs, ours in _NAMES.items():
        value = torch.from_numpy(np.asarray(reference[f"param_{theirs}"], dtype=np.float64))
        if value.shape != state[ours].shape:
            raise DataError(
                f"{path} param_{theirs}", f"shape {tuple(state[ours].shape)}",
                f"{tuple(value.shape)}",
            )
        state[ours] = value
    return network, stack([state], "cpu", dtype)
