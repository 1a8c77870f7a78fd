"""Network libraries whose import has side effects or fails: imported here, and only when asked for.

Neither is imported before a backbone of it is built: each takes seconds.
"""

from __future__ import annotations

import importlib
import logging
import sys
import types
import warnings
from typing import Any


def braindecode_models() -> Any:
    """Module ``braindecode.models``.

    It imports torchaudio, whose binary library does not load beside every build of torch. Where it
    does not, its own switch for an absent library is put in place: filters and resampling, all
    that braindecode takes from it, are pure Python.
    """
    try:
        return _quietly("braindecode.models")
    except OSError:
        for name in [n for n in sys.modules if n.split(".")[0] in ("torchaudio", "braindecode")]:
            del sys.modules[name]
        absent: Any = types.ModuleType("torchaudio._extension")
        absent._IS_TORCHAUDIO_EXT_AVAILABLE = False
        absent._load_lib = lambda library: False
        absent.fail_if_no_align = lambda function: function
        sys.modules["torchaudio._extension"] = absent
        return _quietly("braindecode.models")


def torcheeg_models() -> Any:
    """Module ``torcheeg.models``.

    torcheeg's import sets the log level of MNE and adds a handler to its logger: both are undone.
    ``scipy.signal.hann``, which parts of it want, is gone from SciPy.
    """
    import scipy.signal

    if not hasattr(scipy.signal, "hann"):
        scipy.signal.hann = scipy.signal.windows.hann
    logger = logging.getLogger("mne")
    level, handlers = logger.level, list(logger.handlers)
    try:
        return _quietly("torcheeg.models")
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def _quietly(name: str) -> Any:
    """Module by name, without warnings of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(name)
