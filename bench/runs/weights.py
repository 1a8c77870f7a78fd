"""Weights of pre-trained networks: found in a folder or on the hub, noted, and compared afterwards.

The engine opens the file, once, and hands its tensors over as a state; no method opens a file.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any

from ..data.locations import settings_path
from ..errors import BenchError, DataError, IncompatibleError, SettingError
from ..method import Method
from ..registry import Pretraining
from ..store.files import write_text
from ..store.weights import SUFFIXES, Weights, read_weights
from .options import CellOptions

#: Stands for the Hugging Face hub in place of a folder.
HUB = Path("hub")
#: What parameters say of a network without weights.
NONE = "none"
#: Files that the hub's libraries write, the better first.
_USUAL = ("model.safetensors", "pytorch_model.bin")


def with_weights(cls: type[Method], params: Any, options: CellOptions) -> Any:
    """Parameters that name the weights which the options ask for.

    A method that has no networks is as it was.

    Raises
    ------
    BenchError
        The backbone has no published weights, or they cannot be had.
    """
    if options.weights is None or getattr(params, "weights", None) != NONE:
        return params
    values: Any = params
    pretraining = cls(params).pretraining
    if pretraining is None:
        raise SettingError(
            f"--weights: backbone {values.backbone} of {cls.name} has no published weights",
            "Choose one that has, e.g. --set backbone=labram: docs/methods.md lists them.",
        )
    found = _opened(values.backbone, pretraining, Path(options.weights))
    return params.model_copy(update={"weights": found.name})


def weights_for(method: Method, options: CellOptions) -> Weights | None:
    """Weights that a method's parameters name: from where the options say, or where they were.

    Raises
    ------
    IncompatibleError
        They are other weights, or it is not known where they are.
    BenchError
        As of :func:`with_weights`.
    """
    name, pretraining = getattr(method.params, "weights", NONE), method.pretraining
    if name == NONE or pretraining is None:
        return None
    backbone = str(getattr(method.params, "backbone", ""))
    if options.weights is not None:
        found = _opened(backbone, pretraining, Path(options.weights))
    else:
        there = [Path(p) for p, digest in noted().items() if f"sha256:{digest}" == name]
        there = [p for p in there if p.is_file()]
        if not there:
            raise IncompatibleError(
                f"{method.name} needs weights of {backbone} with {name[:19]}..., and it is not "
                "known where they are", "Give their folder: --weights DIR",
            )
        found = _checked(there[0])
    if found.name != name:
        raise IncompatibleError(
            f"{found.path} holds other weights of {backbone} than are asked for: {found.name[:19]}"
            f"..., not {name[:19]}...", "Give the folder of the same weights: --weights DIR",
        )
    return found


def _opened(backbone: str, pretraining: Pretraining, place: Path) -> Weights:
    from_hub = place == HUB and not place.exists()
    return _checked(_from_hub(backbone, pretraining) if from_hub
                    else _file(place, backbone, pretraining))


def weights_folder(backbone: str) -> Path:
    """Where weights of the hub are put, and looked for first."""
    return settings_path().with_name("weights") / backbone


def _from_hub(backbone: str, pretraining: Pretraining) -> Path:
    """The file that is there already, or else of the hub.

    Raises
    ------
    BenchError
        There is none, and the hub cannot be reached.
    """
    folder = weights_folder(backbone)
    wanted = (pretraining.file,) if pretraining.file else _USUAL
    for name in wanted:
        if (folder / name).is_file():
            return folder / name
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError as error:
        is_there = "is not installed" if isinstance(error, ModuleNotFoundError) \
            and error.name == "huggingface_hub" else f"cannot be imported: {error}"[:200]
        raise BenchError(
            f"--weights hub needs the library huggingface_hub, which {is_there}",
            f"Install it: pip install huggingface_hub. Or put {' or '.join(wanted)} of "
            f"{pretraining.repository} into a folder and give it: --weights DIR",
        ) from error
    reason = ""
    for name in wanted:
        try:
            return Path(hub.hf_hub_download(pretraining.repository, name, local_dir=folder))
        except Exception as error:  # the hub's library raises many types, and so does the network
            reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    raise BenchError(
        f"weights of {backbone} could not be had from the Hugging Face hub "
        f"({pretraining.repository}): {reason}",
        f"Put {' or '.join(wanted)} of that repository into {folder}, or into a folder of your own "
        "and give it: --weights DIR",
    )


def _file(place: Path, backbone: str, pretraining: Pretraining) -> Path:
    """The file of weights in a folder, or in its own of a backbone.

    Raises
    ------
    SettingError
        There is none, or several.
    """
    if place.is_file():
        return place
    folder = place / backbone if (place / backbone).is_dir() else place
    if not folder.is_dir():
        raise SettingError(
            f"--weights {place} is no folder", f"It holds e.g. {_USUAL[0]} of "
            f"{pretraining.repository}. Or: --weights hub")
    there = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
    for name in (pretraining.file, *_USUAL):
        if folder / name in there:
            return folder / name
    if len(there) != 1:
        found = ", ".join(p.name for p in there) or "none"
        raise SettingError(
            f"{folder} must hold one file of weights of {backbone}, and holds: {found}",
            f"Name the file itself, or call it {pretraining.file or _USUAL[0]}.",
        )
    return there[0]


def _checked(path: Path) -> Weights:
    """Weights of a file, which must be what it held when it was first read.

    Raises
    ------
    BenchError
    """
    path = path.resolve()
    stat = path.stat()
    found = _read(path, stat.st_size, stat.st_mtime_ns)
    known = noted()
    if str(path) not in known:
        _note({**known, str(path): found.digest})
    elif known[str(path)] != found.digest:
        raise BenchError(
            f"{path} holds other weights than when it was first read: sha256 "
            f"{found.digest[:12]}..., then {known[str(path)][:12]}...",
            f"If they were replaced on purpose, take the file out of {_notes()}, or give it "
            "another name.",
        )
    return found


@functools.lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int) -> Weights:
    return read_weights(path)


def _notes() -> Path:
    return settings_path().with_name("weights.json")


def noted() -> dict[str, str]:
    """Sha256 of every file of weights as it was first read, by path.

    Raises
    ------
    DataError
    """
    path = _notes()
    if not path.is_file():
        return {}
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise DataError(path, "a JSON object of files and sums", str(error)) from error


def _note(known: dict[str, str]) -> None:
    try:
        write_text(_notes(), json.dumps(known, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise BenchError(
            f"what was read of the weights cannot be noted in {_notes()}: {error.strerror}",
            "Choose a file that can be written: BENCH_CONFIG=/some/folder/corpora.json",
        ) from error
