"""Writes the reports of a run folder, and only those that something has changed for.

``REPORT/.drawn.json`` remembers which files a report wrote from which records, options and code. A
report whose files still lie there as it wrote them is not run again; a file that was deleted or
edited is written anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .errors import BenchError, SettingError, UnknownNameError, check_known
from .registry import entries, load
from .scoring.metrics import METRICS, UNITS
from .store.records import Store
from .store.seal import read_json, write_json
from .store.shown import counted, html_table

if TYPE_CHECKING:
    import pandas as pd

MEMORY = ".drawn.json"
#: The report that is shown and not written.
TERMINAL = "terminal"
#: From so many records on, reports are drawn by several processes.
MANY = 500
#: Endings of the kinds of files whose ending is not their name.
_ENDINGS = {"latex": "tex"}

ARROW = "→"
#: Kinds of files that reports write.
FORMATS = ("html", "csv", "md", "latex", "json", "png", "pdf", "svg")


@dataclass(frozen=True)
class ReportOptions:
    """Parts of a run folder that a report shows. Empty filters keep everything.

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
    oracles : bool
        Whether LaTeX tables have the rows of oracles, which saw the test set.
    columns : int
        Columns of a paper that pictures are as wide as, 1 or 2, where they can be drawn for both;
        0 for what suits each.

    Raises
    ------
    UnknownNameError
        The metric, unit or format does not exist.
    SettingError
        A pair has no arrow, or a paper no such columns.
    """

    metric: str = "balanced_accuracy"
    unit: str = "window"
    pairs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    published: tuple[Path, ...] = ()
    oracles: bool = True
    columns: int = 0

    def __post_init__(self) -> None:
        if self.columns not in (0, 1, 2):
            raise SettingError(f"pictures of {self.columns} columns", "A paper has 1 or 2.")
        check_known("metric", METRICS, self.metric)
        check_known("unit", UNITS, self.unit)
        check_known("format", FORMATS, *self.formats)
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


@dataclass(frozen=True)
class ReportOutcome:
    """Outcome of a report: its files, or why there are none.

    Attributes
    ----------
    report : str
    files : list of Path
        Files it wrote, now or before.
    fresh : bool
        Whether it was run now.
    refusal : str
        Why there is nothing to draw; empty where there are files.
    """

    report: str
    files: list[Path]
    fresh: bool
    refusal: str = ""


class ReportWriter(Protocol):
    """Contract of a report: what an entry of the group ``bench.reports`` leads to.

    It is a function, usually called ``write``. ``formats`` of its entry says which kinds of files
    it writes (:data:`FORMATS`); one without any is not run by ``bench report``.

    **What it gets.** ``store`` has the records: of a run folder, or of several places read as one,
    where ``store.root`` is a name and no folder. ``out`` is the folder for its files; it may not be
    there yet. ``options`` say what is to be shown.

    **What may be read.** ``store.records()``, and of each record what is in it or beside it:
    ``predictions()``, ``read_curves()``, ``read_diagnostics()``. Nothing else: a report is written
    anew when records, options, its own code or its files change, and only then. The store is not
    written to. ``bench.reports.shared.cells.collect`` gives records as plain cells, filtered and
    read once for all reports of a command; ``bench.reports.shared.table.tables`` gives the tables
    that are ranked. Filters and formats are the report's to heed (``options.wants_pair``,
    ``wants_method``, ``wants_protocol``, ``wants_format``). Texts of a record are a stranger's:
    what shows them passes them through ``clean`` of ``bench.reports.shared.text``, and in a CSV
    through ``spreadsheet``.

    **What it returns.** The paths that it wrote, each directly in ``out`` and called after the
    report: ``NAME.png``, or ``NAME-1.png``, ``NAME-2.png`` where tables may not be mixed. A picture
    has what it draws beside it as ``NAME.csv``, unrounded, whichever of its formats are asked for.
    Equal records give equal bytes. Where it returns fewer files than before, those that it wrote
    and that still lie there untouched are removed.

    **What a refusal is.** Where there is nothing to draw it raises
    :class:`bench.errors.BenchError`: one sentence that says what is missing, and a hint. The
    command names it and goes on with the other reports. Any other error is a defect, and ends the
    command.

    Reports of one command may run at the same time, in processes of their own: they print nothing
    and share nothing.

    Examples
    --------
    How many folds each finished record has:

    >>> from bench.errors import BenchError
    >>> from bench.reports.shared.files import csv_text
    >>> from bench.store.files import write_text
    >>> def write(store, out, options):
    ...     rows = []
    ...     for record in store.records():
    ...         method, source, target = (
    ...             record.identity["method"], record.identity["source"]["name"],
    ...             record.identity["target"]["name"])
    ...         if (record.status == "done" and options.wants_method(method)
    ...                 and options.wants_pair(source, target)):
    ...             rows.append({"method": method, "pair": record.pair,
    ...                          "folds": len(record.folds)})
    ...     if not rows:
    ...         raise BenchError(f"no record in {store.root} is done", "Run one: bench run")
    ...     path = out / "folds.csv"
    ...     write_text(path, csv_text(rows))
    ...     return [path]

    Its entry, in the catalogue of a package: ``Entry("folds", "my_package:write", "folds of each
    record", formats=("csv",))``. Called as the command calls it:

    >>> import tempfile
    >>> from bench.store.records import Record, Store
    >>> folder = Path(tempfile.mkdtemp())
    >>> store = Store(folder / "runs")
    >>> try:
    ...     write(store, folder, ReportOptions())
    ... except BenchError as refusal:
    ...     print(refusal.hint)
    Run one: bench run
    >>> _ = store.put(Record(folds=[{}, {}], identity={
    ...     "method": "lda", "source": {"name": "SEED:3"}, "target": {"name": "DEAP:valence"}}))
    >>> (path,) = write(store, folder, ReportOptions(methods=("lda",)))
    >>> print(path.read_text(encoding="utf-8").strip())
    method,pair,folds
    lda,SEED:3→DEAP:valence,2
    """

    def __call__(self, store: Store, out: Path, options: ReportOptions) -> list[Path]:
        """Write the files and return their paths.

        Raises
        ------
        BenchError
            There is nothing to draw.
        """


def chosen_reports(options: ReportOptions, only: Sequence[str] = ()) -> list[str]:
    """Reports to write: those named, or all that write files of a kind that is asked for.

    Raises
    ------
    UnknownNameError
        No report has that name.
    SettingError
        A report writes no files, or none of the kinds asked for.
    """
    written = {name: e.formats for name, e in entries("reports").items() if e.formats}
    if not only:
        return [n for n, formats in written.items() if any(map(options.wants_format, formats))]
    chosen = [name for name in dict.fromkeys(only) if name != TERMINAL]
    for name in chosen:
        _check_writes(name, written, options)
    return chosen


def _check_writes(
    name: str, written: Mapping[str, Sequence[str]], options: ReportOptions
) -> None:
    if name not in written:
        if name in entries("reports"):
            raise SettingError(f"--only {name}: this report writes no files")
        raise UnknownNameError("report", name, (TERMINAL, *written))
    if not any(map(options.wants_format, written[name])):
        raise SettingError(
            f"--only {name} with --format {','.join(options.formats)}: nothing would be written",
            f"The formats of {name}: {', '.join(written[name])}.",
        )


def write_reports(
    store: Store, out: Path, options: ReportOptions, names: Iterable[str], processes: int = 1
) -> Iterator[ReportOutcome]:
    """Run reports, but for those whose files are up to date.

    Parameters
    ----------
    store : Store
    out : Path
        Folder for the files.
    options : ReportOptions
    names : iterable of str
        Reports, by name.
    processes : int
        Share the work among so many processes, where the system can fork and there are records
        enough for that to pay.
    """
    memory, state = _Memory(out), store.state()
    common = [state, _described(options)]
    keys = {name: _digest([name, common, _code(name)]) for name in names}
    recalled = {name: memory.recall(name, key) for name, key in keys.items()}
    todo = [name for name, outcome in recalled.items() if outcome is None]
    shared = processes if len(state) >= MANY and sys.platform == "linux" else 1
    with _drawing(_Task(store, out, options), todo, min(shared, len(todo))) as draw:
        for name, key in keys.items():
            outcome = recalled[name]
            if outcome is None:
                outcome = draw(name)
                memory.keep(key, outcome, options)
            yield outcome
    memory.save()


@dataclass(frozen=True)
class _Task:
    """Store, folder and options that all reports of one command are made from."""

    store: Store
    out: Path
    options: ReportOptions

    def draw(self, name: str) -> ReportOutcome:
        """Run one report."""
        try:
            write: ReportWriter = load("reports", name)
            files = write(self.store, self.out, self.options)
            return ReportOutcome(name, files, True)
        except BenchError as error:  # a plot of nothing; the tables still say what there is
            return ReportOutcome(name, [], True, error.message)


#: What forked processes draw from; inherited, so that no record is read or sent again.
_task: _Task | None = None


def _draw_inherited(name: str) -> ReportOutcome:
    assert _task is not None
    return _task.draw(name)


@contextlib.contextmanager
def _drawing(
    task: _Task, names: Sequence[str], processes: int
) -> Iterator[Callable[[str], ReportOutcome]]:
    """Gives the outcome of each report: drawn when asked for, or by processes meanwhile."""
    global _task  # noqa: PLW0603 - the only way into a forked process that copies nothing
    if processes < 2:
        yield task.draw
        return
    _task = task
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = {name: pool.submit(_draw_inherited, name) for name in names}
        yield lambda name: waiting[name].result()
    _task = None


@dataclass
class _Memory:
    """Memory of what lies in the folder and where it came from."""

    out: Path
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            stored = read_json(self.out / MEMORY)
            self.known = {k: v for k, v in stored.items() if self._intact(v["files"])}
        except (OSError, ValueError, AttributeError, TypeError, KeyError):
            self.known = {}  # nothing is remembered: everything is drawn

    def _intact(self, files: dict[str, list[int]]) -> bool:
        return all(_state(self.out / name) == state for name, state in files.items())

    def recall(self, name: str, key: str) -> ReportOutcome | None:
        """Files that the report wrote before from the same things, if it all still lies there."""
        entry = self.known.get(key)
        if entry is None or not self._intact(entry["files"]):
            return None
        return ReportOutcome(name, [self.out / n for n in entry["files"]], False, entry["refusal"])

    def keep(self, key: str, outcome: ReportOutcome, options: ReportOptions) -> None:
        """Remember; remove what the same report drew before and would not draw now."""
        names = [p.name for p in outcome.files if p.parent == self.out]
        if len(names) < len(outcome.files):
            return  # files elsewhere are not ours to look after
        for known in self.known.values():
            if known["report"] == outcome.report and self._intact(known["files"]):
                for stale in set(known["files"]) - set(names):
                    if _asked_for(stale, options):
                        (self.out / stale).unlink(missing_ok=True)
        self.known[key] = {
            "report": outcome.report, "refusal": outcome.refusal,
            "files": {name: _state(self.out / name) for name in names},
        }

    def save(self) -> None:
        """Write what still holds."""
        holds = {k: v for k, v in self.known.items() if self._intact(v["files"])}
        if holds and self.out.is_dir():
            write_json(self.out / MEMORY, holds)


def _asked_for(name: str, options: ReportOptions) -> bool:
    ending = name.rpartition(".")[2]
    return not options.formats or ending in {_ENDINGS.get(f, f) for f in options.formats}


def _state(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return [0, -1]
    return [stat.st_mtime_ns, stat.st_size]


def _described(options: ReportOptions) -> dict[str, Any]:
    """Options, with the content of the files they name."""
    described = dataclasses.asdict(options)
    described["published"] = [
        [str(p), p.read_text(encoding="utf-8", errors="replace") if p.is_file() else None]
        for p in options.published
    ]
    return described


def _code(name: str) -> list[Any]:
    """Changes when the report, or anything in its package, is edited."""
    module = entries("reports")[name].target.partition(":")[0]
    package = module.rpartition(".")[0]
    try:
        spec = importlib.util.find_spec(package or module)
    except (ImportError, ValueError):
        return []
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    files = [p for p in origin.parent.rglob("*") if "__pycache__" not in p.parts] if package \
        else [origin]
    return sorted([str(p), *_state(p)] for p in files if p.is_file())


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


class Scoreboard:
    """Scores of a run folder, as :func:`leaderboard` gives them; a notebook shows its tables.

    Scores that may not be compared (another protocol, scale, selection, ...) stand in tables of
    their own, numbered from 1.

    Parameters
    ----------
    frame : DataFrame
        Its long form.
    options : ReportOptions
        Metric and unit of what is shown.
    runs : str
        Where it is from.
    """

    def __init__(self, frame: pd.DataFrame, options: ReportOptions, runs: str) -> None:
        self._frame, self._options, self._runs = frame, options, runs

    def long(self) -> pd.DataFrame:
        """One row for each method, pair, metric and unit: score, spread, n, chance, setting."""
        return self._frame.copy()

    def wide(
        self, metric: str | None = None, unit: str | None = None, value: str = "mean"
    ) -> pd.DataFrame:
        """One row for each method, one column for each pair.

        Parameters
        ----------
        metric, unit : str, optional
            Those that the leaderboard was asked for, if not given.
        value : str
            Column of the long form: "mean", "sd", "se", "n_subjects", "chance", "records", ...

        Returns
        -------
        DataFrame
            Indexed by table, block ("method", "control", "oracle") and method, in the order of the
            leaderboard; a pair that was not run is missing.

        Raises
        ------
        UnknownNameError
        """
        check_known("column of the long form", self._frame.columns, value)
        options = dataclasses.replace(
            self._options, metric=metric or self._options.metric, unit=unit or self._options.unit)
        kept = self._frame[(self._frame["metric"] == options.metric)
                           & (self._frame["unit"] == options.unit)]
        rows = kept.assign(method=[_label(row) for row in kept.to_dict("records")])
        index = ["table", "block", "method"]
        wide = rows.set_index([*index, "pair"])[value].unstack("pair")
        ordered = rows.drop_duplicates(index).set_index(index).index
        return wide.loc[ordered, list(dict.fromkeys(rows["pair"]))]

    def __repr__(self) -> str:
        frame = self._frame
        counts = frame.assign(name=[_label(row) for row in frame.to_dict("records")])
        named = counts.drop_duplicates(["block", "name"])["block"].value_counts()
        words = [counted(len(set(frame["table"])), "table")]
        words += [counted(int(named.get(block, 0)), block)
                  for block in ("method", "control", "oracle") if block in named]
        words.append(counted(frame["pair"].nunique(), "pair"))
        words.append(f"{self._options.metric} per {self._options.unit}")
        if (frame["simulated"] != "no").any():
            words.append("SIMULATED")
        return f"<Leaderboard of {self._runs}: {', '.join(words)}>"

    def _repr_html_(self) -> str:
        shown = self._frame[(self._frame["metric"] == self._options.metric)
                            & (self._frame["unit"] == self._options.unit)]
        rows: list[dict[Any, Any]] = shown.to_dict("records")
        return "".join(
            _html_of([row for row in rows if row["table"] == number])
            for number in dict.fromkeys(row["table"] for row in rows)
        )


def _html_of(rows: Sequence[Mapping[Any, Any]]) -> str:
    """Table of HTML of one setting, from rows of the long form."""
    first = rows[0]
    caption = [f"{first['metric']} per {first['unit']} in percent",
               "± standard error over n target subjects", str(first["protocol"]),
               f"scale {first['scale']}", *(["SIMULATED"] if first["simulated"] != "no" else [])]
    chance = {row["pair"]: f"{100 * row['chance']:.1f}" for row in rows}
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        block = "" if row["block"] == "method" else f" ({row['block']})"
        cells.setdefault(f"{_label(row)}{block}", {})[row["pair"]] = (
            f"{100 * row['mean']:.1f}{_spread(row['se'])} (n {row['n_subjects']})"
        )
    table = [[name, *(found.get(pair, "–") for pair in chance)] for name, found in cells.items()]
    return html_table("; ".join(caption), ["method", *chance],
                      [*table, ["chance", *chance.values()]])


def _spread(error: float | None) -> str:
    """Of fewer than three subjects there is none."""
    return "" if error is None or math.isnan(error) else f" ± {100 * error:.1f}"


def _label(row: Mapping[Any, Any]) -> str:
    """``target-only (cnn) [finetune=probe]``: no two rows of a block have the same."""
    name = str(row["method"]) + (f" ({row['network']})" if row["network"] else "")
    name += f" + {row['shortcut']}" if row["shortcut"] else ""
    return name + (f" [{row['variant']}]" if row["variant"] else "")


def leaderboard(
    runs: Path | str = "runs",
    *,
    metric: str = "balanced_accuracy",
    unit: str = "window",
    pairs: Sequence[str] = (),
    methods: Sequence[str] = (),
    protocols: Sequence[str] = (),
) -> Scoreboard:
    """Leaderboard of a run folder.

    Parameters
    ----------
    runs : Path or str
        Run folder.
    metric, unit : str
        Of what is shown; :meth:`Scoreboard.long` has all.
    pairs, methods, protocols : sequence of str
        Only these, as in :class:`bench.reporting.ReportOptions`.

    Returns
    -------
    Scoreboard
        A line, or tables in a notebook; ``long()`` and ``wide()`` are tables of pandas.

    Raises
    ------
    BenchError
        No record, or none that passes the filters.
    """
    options = ReportOptions(metric=metric, unit=unit, pairs=tuple(pairs), methods=tuple(methods),
                            protocols=tuple(protocols))
    return Scoreboard(load("reports", "frame")(Store(runs), options), options, str(runs))
