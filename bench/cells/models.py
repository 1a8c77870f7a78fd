"""Saving and loading trained models: weights and plain settings, never code.

A file holds the method's name, its parameters and a ``payload`` of tensors, numbers and strings,
written by the predictor's ``payload()`` and turned back by the method's ``restore``. It is read
with ``weights_only=True``, so a file from a stranger cannot run anything, and ends in its sha256: a
damaged one is refused.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import BenchError, DataError
from ..method import Method, Predictor
from ..registry import load
from ..store.seal import DamagedError, load_tensors, packed_tensors, sealed, unsealed

_FORMAT = "bench-model-2"
_OURS = "a model saved by bench"


def pack(method: Method, predictor: Predictor) -> bytes:
    """Bytes of a model file.

    Raises
    ------
    BenchError
        The predictor cannot be saved.
    """
    payload = getattr(predictor, "payload", None)
    if payload is None:
        raise BenchError(f"models of {method.name} cannot be saved: no payload()")
    return sealed(packed_tensors({
        "format": _FORMAT, "method": method.name, "params": method.params.model_dump(mode="json"),
        "payload": payload(),
    }))


def load_model(path: Path | str) -> Predictor:
    """Predictor from a model file.

    Raises
    ------
    DataError
        Not one of our model files, or a damaged one.
    BenchError
        It is not there, or its method is not.
    """
    path = Path(path)
    if not path.is_file():
        raise BenchError(f"{path} is not there", "Models are written by --save-models.")
    try:
        content = load_tensors(unsealed(path.read_bytes()))
    except (OSError, DamagedError) as error:
        raise DataError(
            path, _OURS, str(error),
            "Write it again: give the command that made it, with --save-models.",
        ) from error
    kinds = {"method": str, "params": dict, "payload": object}
    if not isinstance(content, dict) or content.get("format") != _FORMAT \
            or not all(isinstance(content.get(name), kind) for name, kind in kinds.items()):
        raise DataError(path, _OURS, "something else")
    method: type[Method] = load("methods", content["method"])
    try:
        return method(method.parse(content["params"])).restore(content["payload"])
    except Exception as error:  # whatever a method raises of what it did not write
        raise DataError(
            path, f"a model of {method.name}", f"{type(error).__name__}: {str(error)[:200]}"
        ) from error
