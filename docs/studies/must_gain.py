"""Do methods that learn without labels gain where there is something to gain, and only there.

    python docs/studies/must_gain.py [RUNS] [--worlds N] [--minutes M]

The corpora are those of ``bench.datasets.shared.must_gain``, frozen before any default was chosen
on them: one labelled trial a class calibrates, the other trials are tested. Defaults are chosen on
worlds 0 to 4; what they are worth is shown on worlds 100 to 109 and on another montage. The unit is
a world: gains of its six subjects are averaged first. What is in RUNS already is not run again; a
cell takes some seconds. After M minutes the study stops, and goes on when it is called again.
Writes docs/studies/must_gain.md, which names what has not been run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

import bench
from bench.datasets.shared.must_gain import CHOSEN, SETTINGS, SHOWN, Name, pair
from bench.scoring.inference import mean_interval
from bench.store.files import write_text

HERE = Path(__file__).resolve().parent

#: Of every method: 300 steps on batches of half the usual size, at four times the usual rate.
BUDGET = {"epochs": 20, "batch": 128, "lr": 2e-3}
CONTROL = "target-only"
#: Scores that are read or run already.
_KNOWN: dict[Any, NDArray[np.float64]] = {}


@dataclass(frozen=True)
class Arm:
    """One way to train: a method, and in what it differs from its defaults."""

    method: str
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """As it is named in a table."""
        said = ", ".join(f"{k}={v}" for k, v in self.changes)
        return self.method + (f" [{said}]" if said else "")

    def gain(self, runs: Path, setting: Name, shown: bool, world: int) -> float:
        """Points of balanced accuracy over target-only, mean over the subjects of a world."""
        own, control = (one.scores(runs, setting, shown, world) for one in (self, Arm(CONTROL)))
        return 100 * float(np.mean(own - control))

    def scores(
        self, runs: Path, setting: Name, shown: bool, world: int
    ) -> NDArray[np.float64]:
        """Balanced accuracy per window of each subject of a world."""
        key = (self, str(runs), setting, shown, world)
        if key not in _KNOWN:
            source, target = pair(world, SETTINGS[setting], SHOWN if shown else CHOSEN)
            params = dict(self.changes) if self.method == CONTROL else BUDGET | dict(self.changes)
            record = bench.run(
                self.method, source, target, params=params, scaling="z-score", scale="published",
                protocol_params={"calibration_trials": 1}, seed=world, controls=False, runs=runs,
            )
            folds = [f["scores"]["window"]["balanced_accuracy"] for f in record.folds]
            _KNOWN[key] = np.array(folds)
        return _KNOWN[key]


@dataclass(frozen=True)
class Question:
    """A comparison that is answered by gains over target-only.

    Attributes
    ----------
    title, text : str
    settings : tuple of str
    arms : tuple of Arm
    shown : bool
        On worlds 100 to 109 and the other montage; else where defaults are chosen.
    """

    title: str
    text: str
    settings: tuple[Name, ...]
    arms: tuple[Arm, ...]
    shown: bool

    def worlds(self, most: int) -> range:
        """Worlds it is asked of, at most so many."""
        return range(100, 100 + min(most, 10)) if self.shown else range(min(most, 5))

    def cells(self, most: int) -> Iterator[tuple[Name, Arm, int]]:
        """All that must be run."""
        for world in self.worlds(most):
            for setting in self.settings:
                for arm in self.arms:
                    yield setting, arm, world


def arm(method: str, **changes: Any) -> Arm:
    """An arm by keywords."""
    return Arm(method, tuple(changes.items()))


#: Methods that all claims are made of.
CLAIMED = (arm("mae"), arm("simclr"), arm("scmm"), arm("scmm", similarity="cosine"),
           arm("tnc", neighbourhood_s=2.0))
FAMILY = ("byol", "vicreg", "ts-tcc", "tf-c", "softclt", "simmtm", "clisa")


def probed(one: Arm) -> Arm:
    """The same with a linear probe on the frozen encoder."""
    return Arm(one.method, (*one.changes, ("finetune", "probe")))


CLAIMS = (
    Question(
        "Where structure must help", "States are shared, last for seconds, and no mean shows them.",
        ("structure",), tuple(a for one in CLAIMED for a in (one, probed(one))), True,
    ),
    Question(
        "Without continuity", "Each window draws its state anew: what is near in time is no more "
        "alike than the rest of the trial.", ("moments",), (CLAIMED[-1], probed(CLAIMED[-1])), True,
    ),
    Question(
        "Where nothing can be won", "Classes differ in nothing. That no gain matters is shown "
        "where the interval lies within 3 points of 0.", ("null",),
        tuple(a for one in CLAIMED for a in (one, probed(one))), True,
    ),
    Question(
        "The rest of the family", "Where structure must help.", ("structure",),
        tuple(a for m in FAMILY for a in (arm(m), probed(arm(m)))), True,
    ),
)

CHOICES = (
    Question(
        "Neighbourhood of TNC", "Windows count as near within so many seconds.", ("structure",),
        (arm("tnc", neighbourhood_s=10.0), arm("tnc", neighbourhood_s=2.0)), False,
    ),
    Question(
        "Similarity in SCMM", "The released code's plain product, or the cosine.", ("structure",),
        (arm("scmm", similarity="dot"), arm("scmm", similarity="cosine")), False,
    ),
    Question(
        "Gain of augmented views", "An own gain for each channel, one for the window, or none.",
        ("structure",),
        (arm("simclr", gain_of="channel"), arm("simclr", gain_of="window"),
         arm("simclr", gain=0.0)), False,
    ),
    Question(
        "Subjects in a batch", "Any, equally many of each, or one.", ("structure",),
        (arm("simclr", batches="mixed"), arm("simclr", batches="balanced"),
         arm("simclr", batches="subject")), False,
    ),
    Question(
        "Memory of BYOL's target", "Share of all steps that it looks back over at most.",
        ("structure",), (arm("byol", horizon=1.0), arm("byol", horizon=0.1)), False,
    ),
    Question(
        "Runs in a batch", "As many as make up 128 windows (21), or 64.", ("structure",),
        (arm("ts-tcc", anchors=0), arm("ts-tcc", anchors=64),
         arm("softclt", anchors=0), arm("softclt", anchors=64)), False,
    ),
    Question(
        "What is fine-tuned", "All, the last layer, all at rates that fall by half a layer, or a "
        "linear probe on the frozen encoder.", ("structure",),
        tuple(arm(m, **how) for m in ("mae", "simclr") for how in (
            {"finetune": "full"}, {"finetune": "partial"}, {"fit_decay": 0.5},
            {"finetune": "probe"})), False,
    ),
    Question(
        "The end of a training", "The shared default (100 steps, a rate that falls to zero, "
        "averaged weights, settled statistics), and it with one part changed, of the control too.",
        ("structure",),
        tuple(arm(m, **how) for m in ("mae", "simclr", CONTROL) for how in (
            {}, {"fit_steps": 50}, {"fit_steps": 200}, {"fit_schedule": "constant"},
            {"fit_average": 0.0}, {"fit_settle": False})), False,
    ),
)
#: In points: a mean gain whose interval lies within, of which nothing matters.
MARGIN = 3.0


#: What is run first if there is little time.
ORDER = (*CLAIMS[:3], *CHOICES[:4], CLAIMS[3], *CHOICES[4:])


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-must-gain"))
    parser.add_argument("--worlds", type=int, default=10, metavar="N", help="of either kind")
    parser.add_argument("--minutes", type=float, default=np.inf, metavar="M")
    args = parser.parse_args()
    end, complete = time.monotonic() + 60 * args.minutes, []
    for question in ORDER:
        cells = list(question.cells(args.worlds))
        for setting, one, world in track(cells, description=question.title):
            if time.monotonic() > end:
                break
            one.gain(args.folder, setting, question.shown, world)
        else:
            complete.append(question)
            print("\n".join(table(question, args.folder, args.worlds)), flush=True)
    write_text(HERE / "must_gain.md", page(args.folder, args.worlds, complete))


def table(question: Question, runs: Path, most: int) -> list[str]:
    """Markdown: the gain of each arm in each setting, over worlds."""
    null = question.settings == ("null",)
    lines = [f"| method | gain | 95 % interval | worlds above |{' none that matters |' * null}",
             f"|---|---:|---|---:|{'---|' * null}"]
    for setting in question.settings:
        for one in question.arms:
            gains = [one.gain(runs, setting, question.shown, w) for w in question.worlds(most)]
            low, high = mean_interval(gains) or (np.nan, np.nan)
            above = sum(g > 0 for g in gains)
            none = "shown" if low > -MARGIN and high < MARGIN else "not shown"
            lines.append(f"| {one.label} | {np.mean(gains):+.1f} | {low:+.1f} to {high:+.1f} | "
                         f"{above} of {len(gains)} |{f' {none} |' * null}")
    return lines


def page(runs: Path, most: int, complete: Sequence[Question]) -> str:
    """The whole page, of the questions all of whose cells are there."""
    control = [arm(CONTROL).scores(runs, "structure", True, w).mean()
               for w in CLAIMS[0].worlds(most)]
    return "\n".join([
        "# Where pre-training must gain", "",
        "One labelled trial a class, twelve windows each, of 12 or 14 channels and five bands. Two "
        "classes, each with two states that are each other's opposite, so that no linear "
        "classifier of windows tells them apart; source and target share the states (the "
        "generator is `datasets/shared/must_gain.py`, frozen before any default was chosen on "
        "it). *Made-up windows: they say what methods can do, and nothing of EEG.*", "",
        f"Every method has {BUDGET['epochs']} epochs of 15 steps of {BUDGET['batch']} windows at a "
        f"rate of {BUDGET['lr']:g}, and fine-tunes by the shared default; what else differs from "
        "its defaults stands in brackets. A gain is in points of balanced accuracy per window over "
        "*target-only*, the same network from scratch and fine-tuned as a whole "
        f"({100 * np.mean(control):.1f} % in the first table); its interval is over worlds, of six "
        "subjects each. Written by `python docs/studies/must_gain.py`"
        f"{f' --worlds {most}' * (most < 10)}.", "",
        f"## Shown, on worlds 100 to {99 + min(most, 10)} and another montage", "",
        *_parts([q for q in CLAIMS if q in complete], runs, most),
        f"## Choices, on worlds 0 to {min(most, 5) - 1}", "",
        *_parts([q for q in CHOICES if q in complete], runs, most),
        *_missing([q for q in ORDER if q not in complete]),
    ])


def _parts(questions: Sequence[Question], runs: Path, most: int) -> list[str]:
    return [line for q in questions
            for line in (f"### {q.title}", "", q.text, "", *table(q, runs, most), "")]


def _missing(questions: Sequence[Question]) -> list[str]:
    if not questions:
        return []
    return ["## Not run yet", "", *(f"- {q.title}" for q in questions), ""]


if __name__ == "__main__":
    main()
