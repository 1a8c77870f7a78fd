"""Does anything transfer between two groups of real people? Rest against mental arithmetic.

    python docs/studies/real_eeg.py FILE [RUNS] [--workers 2] [--seeds 2] [--methods scmm,lr,...]

FILE is an .npz of differential entropy of one-second windows: de (n, 19, 5), subject, label (0
rest, 1 arithmetic) and second, of "EEG During Mental Arithmetic Tasks" (Zyma et al. 2019,
doi:10.3390/data4010014; PhysioNet, doi:10.13026/C2JQ1P), licence ODC-By 1.0. Its 36 people are
halved into two corpora, the odd and the even, and each half is the source of the other. A minute
of each state is cut into six trials: pieces of one recording, which the table says.

What is in RUNS already is not run again. Writes docs/studies/real_eeg.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from table import SIZES, page, read

import bench
from bench.store.files import write_text

HERE = Path(__file__).resolve().parent
METHODS = "scmm,simclr,mae,softclt,source-only,mixup,dann,deep-coral,lr,lda,svm,coral"
CHANNELS = ("FP1", "FP2", "F3", "F4", "F7", "F8", "T3", "T4", "C3", "C4", "T5", "T6", "P3", "P4",
            "O1", "O2", "FZ", "CZ", "PZ")
#: Seconds of a trial, and of each state that are used.
PIECE, USED = 10, 60


def main() -> None:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs-real-eeg"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--methods", default=METHODS)
    args = parser.parse_args()
    state = bench.sweep(
        methods=args.methods.split(","), pairs=["ODD->EVEN", "EVEN->ODD"], seeds=args.seeds,
        scale="table", calibration=list(SIZES), windows=halves(args.file),
        options=bench.SweepOptions(runs=args.folder, workers=args.workers),
        show=lambda state, line: print(line, flush=True) if line else None,
    )
    text = (
        "Rest against mental arithmetic, two groups of 18 people (Zyma et al. 2019, "
        "doi:10.3390/data4010014, PhysioNet doi:10.13026/C2JQ1P, ODC-By 1.0), differential entropy "
        "of 19 channels, `few-shot`; balanced accuracy per window in percent, mean over both "
        f"directions, {args.seeds} seeds averaged first. *Real EEG, not emotion. Trials are pieces "
        f"of {PIECE} s of one recording a class, so that a score also tells recordings apart. "
        "Scale `table`: a ranking at this budget is not to be quoted.*"
    )
    write_text(HERE / "real_eeg.md",
               page("Rest and arithmetic, real EEG", text, read(args.folder), state.exit_code))


def halves(file: Path) -> dict[str, bench.Windows]:
    """Windows of people with odd and with even numbers."""
    with np.load(file, allow_pickle=False) as stored:
        de, subject, label, second = (stored[n] for n in ("de", "subject", "label", "second"))
    keep, trial = np.zeros(len(de), bool), np.zeros(len(de), int)
    for person in np.unique(subject):
        for state in (0, 1):
            rows = np.flatnonzero((subject == person) & (label == state))
            rows = rows[np.argsort(second[rows])][:USED]
            keep[rows] = True
            # Pieces of both states take turns, as trials of an experiment would.
            trial[rows] = 2 * (np.arange(len(rows)) // PIECE) + state + 1
    found = {}
    for name, odd in (("ODD", 1), ("EVEN", 0)):
        chosen = keep & (subject % 2 == odd)
        found[name] = bench.Windows.from_arrays(
            de[chosen], label[chosen], subject=subject[chosen], trial=trial[chosen],
            onset=second[chosen], channels=CHANNELS, labels=("rest", "arithmetic"), corpus=name,
            bands=[(1, 4), (4, 8), (8, 14), (14, 31), (31, 45)], pieces_s=PIECE,
        )
    return found


if __name__ == "__main__":
    main()
