"""What a report shows: options that the command line builds without importing a report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .errors import SettingError, UnknownNameError
from .scoring import METRICS, UNITS

ARROW = "→"
#: Kinds of files that reports write.
FORMATS = ("html", "csv", "md", "latex", "json", "png", "pdf", "svg")


@dataclass(frozen=True)
class ReportOptions:
    """What of a run folder a report shows. Empty filters keep everything.

    Attributes
    ----------
    metric : str
        "balanced_accuracy" (default), "accuracy", "macro_f1" or "auroc".
    unit : str
        "window" (default) or "trial".
    pairs : tuple of str
        Pairs such as "SEED→DEAP", "SEED->DEAP:valence" or "*->DEAP"; a corpus without a task
        stands for all its tasks. Case does not matter.
    methods : tuple of str
        Names of methods. Controls stay, since a score means little without them.
    protocols : tuple of str
        Names of protocols.
    formats : tuple of str
        Kinds of files to write, of :data:`FORMATS`; empty for all.
    published : tuple of Path
        CSV files of published figures besides our own (see docs/reports.md).

    Raises
    ------
    UnknownNameError
        The metric, unit or format does not exist.
    SettingError
        A pair has no arrow.
    """

    metric: str = "balanced_accuracy"
    unit: str = "window"
    pairs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    published: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UnknownNameError("metric", self.metric, METRICS)
        if self.unit not in UNITS:
            raise UnknownNameError("unit", self.unit, UNITS)
        for name in self.formats:
            if name not in FORMATS:
                raise UnknownNameError("format", name, FORMATS)
        for pair in self.pairs:
            split_pair(pair)

    def wants_format(self, name: str) -> bool:
        """Whether files of this kind are to be written."""
        return not self.formats or name in self.formats

    def wants_pair(self, source: str, target: str) -> bool:
        """Whether a pair passes the filter; names as in ``SEED-IV:3``."""
        return not self.pairs or any(
            _names(s, source) and _names(t, target) for s, t in map(split_pair, self.pairs)
        )

    def wants_method(self, name: str) -> bool:
        """Whether a method passes the filter."""
        return not self.methods or name.lower() in {m.lower() for m in self.methods}

    def wants_protocol(self, name: str) -> bool:
        """Whether a protocol passes the filter."""
        return not self.protocols or name.lower() in {p.lower() for p in self.protocols}


def split_pair(pair: str) -> tuple[str, str]:
    """Source and target of a pair as users write it.

    Examples
    --------
    >>> split_pair("SEED -> DEAP:valence")
    ('SEED', 'DEAP:valence')
    """
    source, arrow, target = pair.replace("->", ARROW).partition(ARROW)
    if not (arrow and source.strip() and target.strip()):
        raise SettingError(
            f"{pair!r} is no pair", "Write SOURCE->TARGET, e.g. 'SEED->DEAP' or '*->DEAP:valence'."
        )
    return source.strip(), target.strip()


def _names(wanted: str, name: str) -> bool:
    """Whether ``wanted`` ("*", a corpus, or a corpus with its task) stands for ``name``.

    Several sources are joined by "+", in any order.
    """
    if wanted == "*":
        return True
    ours, theirs = (
        sorted((part.strip() for part in text.lower().split("+")), key=lambda p: p.split(":")[0])
        for text in (wanted, name)
    )
    return len(ours) == len(theirs) and all(
        w in (n, n.partition(":")[0]) for w, n in zip(ours, theirs, strict=True)
    )
