"""Named sets of electrodes: what ``--montage`` takes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ...errors import SettingError, UnknownNameError
from ...registry import entries, load
from ..channels import POSITIONS, canonical

#: Each pair on the electrodes that both sides have: nothing is interpolated.
COMMON = "common"
#: The 19 electrodes of the 10-20 system (Jasper 1958), which most clinical recordings have.
TEN_TWENTY = ("FP1", "FP2", "F7", "F3", "FZ", "F4", "F8", "T7", "C3", "CZ", "C4", "T8", "P7",
              "P3", "PZ", "P4", "P8", "O1", "O2")
_OWN = {"10-20": TEN_TWENTY}


def electrodes(name: str) -> tuple[str, ...]:
    """Electrodes of a montage, in canonical spelling and in its order, each once.

    Parameters
    ----------
    name : str
        "10-20", a corpus (its electrodes), or a montage of MNE-Python with 10-05 names, such as
        "biosemi64".

    Raises
    ------
    UnknownNameError
        There is none of that name.
    SettingError
        One of its electrodes is not in the 10-05 system, so its place is not known.
    """
    own = {known.lower(): channels for known, channels in _OWN.items()}
    corpora = {corpus.lower(): corpus for corpus in entries("corpora")}
    key = name.lower()
    if key in own:
        found: Sequence[str] = own[key]
    elif key in corpora:
        found = load("corpora", corpora[key])().channels
    else:
        found = _of_mne(name)
    channels = tuple(dict.fromkeys(canonical(c) for c in found))
    unknown = [c for c in channels if c not in POSITIONS]
    if unknown:
        raise SettingError(
            f"montage {name} names electrodes that are not of the 10-05 system: "
            f"{', '.join(unknown[:5])}", "Use 10-20, biosemi64, or the name of a corpus.",
        )
    return channels


def _of_mne(name: str) -> list[str]:
    import mne

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = {m.lower(): m for m in mne.channels.get_builtin_montages()}
        if name.lower() in known:
            return list(mne.channels.make_standard_montage(known[name.lower()]).ch_names)
    raise UnknownNameError("montage", name, [COMMON, *_OWN, *entries("corpora"), *known.values()])
