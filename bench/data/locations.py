"""Where the user's corpora are: a small JSON file in the user's configuration folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import DataError
from ..store.files import write_text


def settings_path() -> Path:
    """The file: ``$BENCH_CONFIG``, else in the user's configuration folder."""
    chosen = os.environ.get("BENCH_CONFIG")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_config_path

    return user_config_path("eeg-cross-corpus-bench") / "corpora.json"


def corpus_folders() -> dict[str, Path]:
    """Folders that were set, by corpus name."""
    path = settings_path()
    if not path.is_file():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {str(k): Path(v) for k, v in stored.items()}
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise DataError(path, "a JSON object of corpus names and folders", str(error)) from error


def described_corpora() -> dict[str, Path]:
    """Corpora that a TOML describes, by name: what ``bench data add`` has remembered."""
    return {name: path for name, path in corpus_folders().items() if path.suffix == ".toml"}


def locations_stamp() -> object:
    """Another value whenever other corpora may be remembered."""
    path = settings_path()
    try:
        stat = path.stat()
    except OSError:
        return str(path)
    return str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino


def corpus_folder(name: str) -> Path | None:
    """Folder that was set for a corpus, or None."""
    return corpus_folders().get(name)


def forget_corpus(name: str) -> None:
    """Remember nothing of a corpus any more."""
    known = {k: str(v) for k, v in corpus_folders().items() if k.lower() != name.lower()}
    write_text(settings_path(), json.dumps(known, indent=1, sort_keys=True) + "\n")


def set_corpus_folder(name: str, folder: Path) -> Path:
    """Remember a corpus's folder, or the TOML that describes it; returns the settings file."""
    known = {k: str(v) for k, v in corpus_folders().items()}
    known[name] = str(folder.resolve())
    write_text(settings_path(), json.dumps(known, indent=1, sort_keys=True) + "\n")
    return settings_path()
