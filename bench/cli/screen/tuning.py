"""What a person sees of a tuning: one live line on a terminal, plain lines elsewhere, tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from ...cells.cell import Cell, Event
from ...method import Tunable
from ...scoring.inference import Paired
from ...store.shown import counted, spoken
from ...tuning.search import TrialResult
from ...tuning.tune import TuningOutcome
from .console import plain_table
from .live import LiveDisplay

_MARKS = {"done": "", "pruned": "given up early", "failed": "failed"}
_STYLES = {"done": "", "pruned": "dim", "failed": "red"}


class TuneDisplay(LiveDisplay):
    """Shows a tuning: its trials line by line, and what the present one is doing."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        super().__init__(console, quiet)
        self._title = self._stage = ""
        self._done, self._of = 0, 0
        self._best: float | None = None
        self._first: float | None = None
        self._seconds: list[float] = []

    def begin(self, cell: Cell, space: Mapping[str, Tunable]) -> None:
        """Show what is tuned next."""
        self._title = method_name(cell.method.name, cell.method.params.model_dump())
        self._done = self._of = 0
        self._best = self._first = None
        self._seconds = []
        self.say(Text.assemble(
            "tuning ", (self._title, "bold"), f": {', '.join(space)}",
        ))

    def on_trial_end(self, attempt: TrialResult) -> None:
        """Show a trial that has ended."""
        better = attempt.state == "done" and (self._best is None or attempt.best != self._best)
        self._done, self._of, self._best = attempt.index + 1, attempt.of, attempt.best
        if attempt.index == 0:
            self._first = attempt.score
        self._seconds.append(attempt.seconds)
        score = "–" if attempt.score is None else f"{attempt.score:.4f}"
        line = Text(f"[{attempt.index + 1:>{len(str(attempt.of))}}/{attempt.of}] ", style="dim")
        line.append(f"{score:<6}", style="bold green" if better else "")
        line.append(f"  {spoken(attempt.seconds):>6}  ", style="dim")
        what = attempt.reason.splitlines()[0] if attempt.reason else _MARKS[attempt.state]
        what = f"{what}  " if what else ""
        values = "defaults" if attempt.index == 0 else ", ".join(
            f"{k}={shown(v)}" for k, v in attempt.values.items()
        )
        line.append(what + values, style=_STYLES[attempt.state])
        self.say(line)
        self._draw(now=True)

    def __call__(self, event: Event) -> None:
        """Show what a trial is doing."""
        if not event.total:
            self.say(Text.assemble(("· ", "dim"), event.stage))
            return
        self._stage = f"{event.stage} {event.done}/{event.total}"
        self._draw()

    def _draw(self, now: bool = False) -> None:
        if not now and not self.is_due():
            return
        row = Table.grid(padding=(0, 2))
        best = "" if self._best is None else f"best {self._best:.4f}"
        first = "" if self._first is None else f"defaults {self._first:.4f}"
        left = self._of - self._done
        usual = sum(self._seconds) / len(self._seconds) if self._seconds else None
        row.add_row(
            escape(self._title), ProgressBar(total=self._of or 1, completed=self._done, width=24),
            f"{self._done}/{self._of or '?'}", f"[bold]{best}[/]", f"[dim]{first}[/]",
            f"[dim]time left {spoken(usual * left if usual else None)}[/]" if left else "",
            f"[dim]{escape(self._stage)}[/]",
        )
        self.draw(row)


def method_name(method: str, params: Mapping[str, Any]) -> str:
    """``scmm``, or ``target-only (scmm)``."""
    network = params.get("network")
    return f"{method} ({network})" if network else method


def shown(value: Any) -> str:
    """A parameter's value, short."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def space_table(name: str, space: Mapping[str, Tunable]) -> Table:
    """What is searched of a method."""
    table = _table("parameter", "default", "searched", "scale", "stage", "what it is",
                   title=f"search space of {escape(name)}")
    for key, t in space.items():
        table.add_row(
            f"[cyan]{key}[/]", shown(t.default), _range(t), t.scale, t.stage,
            escape(t.doc + (f" ({t.unit})" if t.unit else "")),
        )
    return table


def _range(t: Tunable) -> str:
    if t.scale == "choice":
        return ", ".join(map(str, t.values))
    return f"{shown(float(t.values[0]))} to {shown(float(t.values[1]))}"


def _table(*names: str, title: str | None = None) -> Table:
    return plain_table(*(Column(name, justify="right" if name in _NUMBERS else "left")
                         for name in names), title=title)


_NUMBERS = ("default", "tuned", "importance", "window", "trial")


def show_outcome(outcome: TuningOutcome, console: Console) -> None:
    """Print the best parameters, what they score on tested trials, and what may be said of it."""
    tuned = outcome.tuned
    name = method_name(tuned.setting.method, tuned.params)
    console.print()
    title = Text.assemble(
        (name, "bold"), f"  {tuned.setting.source}→{tuned.setting.target}  "
        f"{tuned.setting.protocol}  scale {tuned.setting.scale}",
    )
    if any(outcome.record.identity[side].get("pieces") for side in ("source", "target")):
        title.append("  PIECES OF RECORDINGS", style="bold yellow")
    if outcome.record.simulated:
        title.append("  SIMULATED", style="bold yellow")
    console.print(title)
    console.print(_parameters(outcome))
    for line in (_trials(outcome), *_verdict(outcome)):
        console.print(line, soft_wrap=True)
    console.print(Text.assemble(
        "Parameters ", (str(outcome.path), "dim"), "\nUse them with ",
        ("--params tuned", "cyan"), " (bench run, bench sweep)",
    ), soft_wrap=True)


def _parameters(outcome: TuningOutcome) -> Table:
    tuned = outcome.tuned
    table = _table("parameter", "default", "tuned", "searched",
                   *(["importance"] if tuned.importance else []))
    for key, t in outcome.space.items():
        value = tuned.params[key]
        style = "" if value == t.default else "bold"
        share = [f"{100 * tuned.importance.get(key, 0):.0f} %"] if tuned.importance else []
        table.add_row(f"[cyan]{key}[/]", shown(t.default), Text(shown(value), style=style),
                      f"[dim]{_range(t)}[/]", *share)
    return table


def _trials(outcome: TuningOutcome) -> Text:
    tuned = outcome.tuned
    ends = [f"{n} {what}" for n, what in ((tuned.pruned, "given up early"),
                                          (tuned.failed, "failed")) if n]
    first = "" if tuned.default_score is None else f", the defaults {tuned.default_score:.4f}"
    return Text(
        f"{counted(tuned.trials, 'trial')}{' (' + ', '.join(ends) + ')' if ends else ''} "
        f"by {tuned.rule} on {tuned.data}. "
        f"Best validation score {tuned.score:.4f}{first}.", style="dim",
    )


def _verdict(outcome: TuningOutcome) -> list[Text]:
    if all(outcome.tuned.params[k] == t.default for k, t in outcome.space.items()):
        return [Text("No trial was better than the defaults: the tuned parameters are the "
                     "defaults.", style="bold")]
    lines = []
    for unit in ("window", "trial"):
        gain = outcome.gain(unit)
        low, high = gain.interval or (0.0, 0.0)
        sure = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}, Wilcoxon p {gain.p:.2g}, " \
            if gain.interval else ""
        lines.append(Text.assemble(
            f"On the tested trials, balanced accuracy per {unit}: tuned − default ",
            (f"{100 * gain.mean:+.1f} points", "bold"),
            f" ({sure}{counted(gain.n, 'subject')}: {gain.wins} better, "
            f"{gain.losses} worse).",
        ))
    return [*lines, Text(meaning(outcome.gain()), style="bold")]


def meaning(gain: Paired) -> str:
    """What a difference on the tested trials says of a tuning."""
    if gain.interval is None:
        return "So few subjects tell nothing of whether tuning helped: three are needed."
    low, high = gain.interval
    if low > 0 and gain.p < 0.05:
        return "Tuning helped."
    if high < 0 and gain.p < 0.05:
        return "Tuning made it worse: the validation score misled."
    few = " (with fewer than six subjects p cannot fall below 0.05)" if gain.n < 6 else ""
    return f"Tuning made no difference that these subjects could show{few}."
