"""European Data Format (``.edf``, ``.bdf``): what the header says, held against the file's size.

MNE reads the signals. It also reads a file that is torn, or whose header is wrong, as far as it
goes: a recording that ends early, or in other units, would not be noticed. So the header is checked
first. :func:`write` is what simulators need of the format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

from .torn import TORN

#: Fields of a signal's header: name and width.
_FIELDS = (("label", 16), ("transducer", 80), ("unit", 8), ("low", 8), ("high", 8), ("least", 8),
           ("most", 8), ("filters", 80), ("samples", 8), ("reserved", 32))
_MOST_SIGNALS, _MOST_SAMPLES = 1024, 1 << 24
#: Labels of signals that hold texts.
_TEXTS = ("EDF Annotations", "BDF Annotations")


def units(path: Path) -> dict[str, str]:
    """Physical dimension of each signal as written, ``"uV"``, those of annotations left out.

    The whole header is checked: numbers that are some, and as many bytes as it says.

    Raises
    ------
    DataError
    """
    wide = 3 if path.suffix.lower() == ".bdf" else 2
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            first = file.read(256)
            count = _whole(path, first[252:256], "number of signals", 1, _MOST_SIGNALS)
            rest = file.read(256 * count)
    except OSError as error:
        raise DataError(path, "a file that can be read", error.strerror or str(error)) from error
    start = b"\xffBIOSEMI" if wide == 3 else b"0       "
    if not first.startswith(start) or len(rest) < 256 * count:
        raise DataError(path, f"a recording in the format {path.suffix.lower()}",
                        "another file, or the start of one", TORN)
    fields = _fields(rest, count)
    records = _whole(path, first[236:244], "number of records", -1, 1 << 40)
    duration = _real(path, first[244:252], "length of a record")
    samples = [_whole(path, s, "samples of a record", 1, _MOST_SAMPLES) for s in fields["samples"]]
    each = wide * sum(samples)
    begin = _whole(path, first[184:192], "bytes of the header", 256, 1 << 30)
    found = (size - begin) // each
    if begin != 256 * (count + 1) or records not in (-1, found) or (
        records != -1 and size != begin + records * each
    ):
        raise DataError(path, f"{begin + max(records, 0) * each:,} bytes, as its header says",
                        f"{size:,}", TORN)
    labels = [_text(label) for label in fields["label"]]
    plain = [i for i, label in enumerate(labels) if label not in _TEXTS]
    if plain and not duration > 0:
        raise DataError(path, "records that last", f"{duration:g} s")
    for i in plain:
        low, high = (_real(path, fields[n][i], n) for n in ("low", "high"))
        least, most = (_real(path, fields[n][i], n) for n in ("least", "most"))
        if low == high or least >= most:
            raise DataError(f"{path} signal {labels[i]}", "a range of values",
                            f"{low:g} to {high:g} for {least:g} to {most:g}")
    return {labels[i]: _text(fields["unit"][i]) for i in plain}


def _fields(rest: bytes, count: int) -> dict[str, list[bytes]]:
    place, fields = 0, {}
    for name, width in _FIELDS:
        part = rest[place : place + width * count]
        fields[name] = [part[i * width : (i + 1) * width] for i in range(count)]
        place += width * count
    return fields


def _text(field: bytes) -> str:
    return field.decode("latin-1").strip().strip("\0").strip()


def _real(path: Path, field: bytes, what: str) -> float:
    try:
        value = float(_text(field).replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(path, f"a number as {what}", repr(_text(field)[:16]), TORN)
    return value


def _whole(path: Path, field: bytes, what: str, least: int, most: int) -> int:
    value = _real(path, field, what)
    if value != int(value) or not least <= value <= most:
        raise DataError(path, f"a whole number from {least} to {most} as {what}", f"{value:g}",
                        TORN)
    return int(value)


def write(
    path: Path, names: Sequence[str], rate: int, data: NDArray[np.floating],
    marks: Sequence[tuple[float, float, str]] = (), *, unit: str = "uV",
) -> None:
    """Write an EDF+ file in records of a second, with annotations if there are some.

    Parameters
    ----------
    names : sequence of str
    rate : int
        Samples per second.
    data : (channels, samples)
        In ``unit``; what is left of a second at the end is not written.
    marks : sequence of (onset, duration, text)
        Onset and duration in seconds.
    unit : str
        Physical dimension.
    """
    seconds = data.shape[1] // rate
    # Two digits, since a number has eight letters at most in a header.
    bound = float(f"{1.1 * max(1e-12, float(np.abs(data).max(initial=0))):.1e}")
    texts = [f"+{s}\x14\x14\0" for s in range(seconds)]
    for onset, duration, text in sorted(marks):
        at = min(int(onset), seconds - 1)
        texts[at] += f"+{onset:g}\x15{duration:g}\x14{text}\x14\0"
    width = -(-max((len(t.encode()) for t in texts), default=0) // 2)
    labels = [*names, *(["EDF Annotations"] if marks else [])]
    signals = [[n, "", unit, f"{-bound:.2g}", f"{bound:.2g}", "-32768", "32767", "", str(rate), ""]
               for n in names]
    if marks:
        signals.append(["EDF Annotations", "", "", "-1", "1", "-32768", "32767", "", str(width),
                        ""])
    head = b"".join((
        b"0       ", b"X X X X".ljust(80), b"Startdate 01-JAN-2020 X X X".ljust(80),
        b"01.01.2000.00.00", str(256 * (len(labels) + 1)).encode().ljust(8),
        (b"EDF+C" if marks else b"").ljust(44), str(seconds).encode().ljust(8), b"1".ljust(8),
        str(len(labels)).encode().ljust(4),
        *(signal[i].encode().ljust(w) for i, (_, w) in enumerate(_FIELDS) for signal in signals),
    ))
    whole = data[:, : seconds * rate] * (32767 / bound)
    stored = np.clip(np.round(whole), -32768, 32767).astype("<i2")
    blocks = stored.reshape(len(names), seconds, rate).transpose(1, 0, 2)
    with path.open("wb") as file:
        file.write(head)
        for s in range(seconds):
            file.write(blocks[s].tobytes())
            if marks:
                file.write(texts[s].encode().ljust(2 * width, b"\0"))
