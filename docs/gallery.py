"""Make every picture of the docs but those of studies: small runs on simulated corpora.

    python docs/gallery.py [RUNS]

These are docs/gallery.md's, docs/audit.md's, and README's with the sentence over it. Takes about
ten minutes on two quiet cores the first time; what is in RUNS already is not run again.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import finding

import bench
from bench.errors import BenchError
from bench.registry import entries, load
from bench.reporting import ReportOptions
from bench.store.records import Store

HERE = Path(__file__).resolve().parent
CORPORA = ("SEED", "SEED-IV", "DEAP")
#: Methods of the gallery.
METHODS = ("scmm", "simclr", "mae", "dann", "lda")
#: Variants of SCMM beside it.
VARIANTS = ({"finetune": "probe"},)
#: The pair whose models are looked into, and audited.
LOOKED_INTO = ("SEED", "SEED-IV")


def main() -> None:
    """Run what is missing and draw."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("runs", nargs="?", type=Path, default=Path("runs-gallery"), metavar="RUNS")
    runs = asked.parse_args().runs
    pairs = [(s, t) for s in CORPORA for t in CORPORA if s != t]
    plan = [(m, s, t, {}, {}) for s, t in pairs for m in METHODS if m in entries("methods")]
    plan += [("scmm", s, t, v, {}) for v in VARIANTS for s, t in pairs]
    # Without target labels there are more rules to choose an epoch by.
    plan += [
        (m, "SEED", t, {}, {"protocol": "unsupervised"})
        for m in ("dann", "deep-coral") for t in ("SEED-IV", "DEAP")
    ]
    for number, (method, source, target, params, how) in enumerate(plan, 1):
        print(f"{number}/{len(plan)} {method} {source}->{target} {params} {how}", flush=True)
        try:
            bench.run(method, source, target, simulated=True, scale="table", runs=runs,
                      params=params, **how,
                      diagnostics=(source, target) == LOOKED_INTO and not params and not how)
        except BenchError as error:
            print(f"  {error.message}", flush=True)
    draw(runs)
    shortcuts(runs / "shortcuts")
    curve(runs / "finding")


def shortcuts(runs: Path) -> None:
    """Picture of docs/audit.md; the command that makes the same run stands there."""
    bench.audit(
        "scmm", "DEAP", "SEED", simulated=True, scale="table", recipe={"subjects": 12}, runs=runs,
        what=bench.AuditOptions(draws=4),
    )
    with tempfile.TemporaryDirectory() as folder:
        written = load("reports", "audit")(Store(runs), Path(folder), ReportOptions(
            formats=("png",)))
        shrink(written[0], HERE / "pictures" / "audit.png")


def curve(runs: Path) -> None:
    """README's picture and sentence, and the calibration picture of the same run."""
    print(finding.main(runs), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        written = load("reports", "calibration")(Store(runs), Path(folder), ReportOptions(
            formats=("png",)))
        shrink(written[0], HERE / "pictures" / "calibration.png")
    shrink(HERE / "pictures" / "finding.png", HERE / "pictures" / "finding.png")


def draw(runs: Path) -> None:
    """Write every report of RUNS; keep a small PNG of each plot, and of the page."""
    store, options = Store(runs), ReportOptions(formats=("png", "html"))
    pictures = HERE / "pictures"
    drawn = {}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        for name, entry in entries("reports").items():
            if not {"png", "html"} & set(entry.formats):
                continue
            try:
                paths = load("reports", name)(store, out, options)
            except BenchError as error:
                print(f"no {name}: {error.message}", flush=True)
                continue
            if not paths:  # a sweep holds no audit
                continue
            if name == "html":
                photograph(paths[0], pictures / "page.png")
            else:
                shown = [p for p in paths if p.suffix == ".png"]
                # Settings stand largest first; of rules, the fullest picture says most.
                one = max(shown, key=lambda p: p.stat().st_size) if name == "selection" \
                    else shown[0]
                shrink(one, pictures / f"{name}.png")
            drawn[name] = len(paths)
    print("drawn: " + ", ".join(drawn), flush=True)


def shrink(path: Path, to: Path) -> None:
    """A picture for a page, under 190 KB: smaller rather than in false colours."""
    from PIL import Image

    whole = Image.open(path).convert("RGB")
    to.parent.mkdir(exist_ok=True)
    for most, colours in ((1300, 256), (1300, 128), (1100, 128), (900, 128), (800, 128)):
        wide = min(whole.width, most)
        image = whole.resize((wide, whole.height * wide // whole.width), Image.Resampling.LANCZOS)
        # By coverage: the usual cut by medians paints rare colours in those of their neighbours.
        small = image.quantize(
            colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
        )
        small.save(to, optimize=True)
        if to.stat().st_size < 190_000:
            break
    print(f"{to.name}: {to.stat().st_size // 1000} KB", flush=True)


def photograph(page: Path, to: Path) -> None:
    """The page in Chromium, where there is one; the picture there is stays otherwise."""
    found = [p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))]
    if not found:
        print("no Chromium: page.png is left as it is", flush=True)
        return
    shot = page.with_name("page.png")
    subprocess.run(  # noqa: S603
        [found[0], "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--user-data-dir={page.parent / 'profile'}", "--window-size=1320,1300",
         f"--screenshot={shot}", page.resolve().as_uri()],
        check=True, capture_output=True,
    )
    shrink(shot, to)


if __name__ == "__main__":
    main()
