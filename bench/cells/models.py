"""Saving and loading trained models: weights and plain settings, never code.

A file holds the method's name, its parameters and a ``payload`` of tensors, numbers and
strings, written by the
predictor's ``payload()`` and turned back by the method's ``restore``. It is read with
``weights_only=True``, so a file from a stranger cannot run anything.
"""

from __future__ import annotations

import io
from pathlib import Path

from ..errors import BenchError, DataError
from ..method import Method, Predictor
from ..registry import load

_FORMAT = "bench-model-1"


def pack(method: Method, predictor: Predictor) -> bytes:
    """Bytes of a model file.

    Raises
    ------
    BenchError
        The predictor cannot be saved.
    """
    import torch

    payload = getattr(predictor, "payload", None)
    if payload is None:
        raise BenchError(f"models of {method.name} cannot be saved: no payload()")
    buffer = io.BytesIO()
    content = {
        "format": _FORMAT, "method": method.name, "params": method.params.model_dump(mode="json"),
        "payload": payload(),
    }
    torch.save(content, buffer)
    return buffer.getvalue()


def load_model(path: Path | str) -> Predictor:
    """Predictor from a model file.

    Raises
    ------
    DataError
        Not one of our model files.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise BenchError(f"{path} is not there", "Models are written by --save-models.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types; all mean the same to the user
        found = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(path, "a model saved by bench", found) from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise DataError(path, "a model saved by bench", "something else")
    method: type[Method] = load("methods", content["method"])
    return method(method.parse(content["params"])).restore(content["payload"])
