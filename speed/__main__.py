"""``python -m speed [NAME ...]``: run benchmarks by name, all if none is named."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "step": "a step of SCMM's pre-training, 256 + 256 windows, against a plain baseline",
    "finetune": "15 fine-tunings as one stack, against one after another",
    "draws": "random numbers by keys, against torch's own generator",
    "ways": "gradients of 15 networks: a loop, vmap, dense maps of stacked parameters",
    "trials": "8 trials of a tuning as one stack, against one after another",
    "scmm": "a whole published-size cell of SCMM, against a plain baseline",
    "features": "differential entropy of whole recordings, against torcheeg",
    "engine": "the engine's overhead a cell, and a sweep in which nothing is left to do",
    "scaling": "time and memory with subjects, windows, channels and cells: a picture",
    "report": "bench report on 2,000 records with predictions: time, memory, incremental",
    "gpu": "equality, a table of times against a plain baseline, a profile: five minutes on a GPU",
}


def main() -> int:
    """Run what is named."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [n for n in names if n not in BENCHMARKS]
    if unknown or "--help" in names:
        print("python -m speed [NAME ...]")
        for name, what in BENCHMARKS.items():
            print(f"  {name:12s} {what}")
        return 2 if unknown and "--help" not in names else 0
    for name in names:
        importlib.import_module(f"speed.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
