"""A batch system that runs its jobs on this machine, at once."""

from __future__ import annotations

import sys
from pathlib import Path

FAKES = {
    "sbatch": """#!{python}
import os, pathlib, subprocess, sys
here = pathlib.Path(__file__).parent
if sys.argv[1] == "--test-only":
    (here / "tried").write_text(pathlib.Path(sys.argv[-1]).read_text())
    if " -p nowhere" in (here / "tried").read_text():
        sys.exit("allocation failure: Invalid partition name specified")
    if " -p down" in (here / "tried").read_text():
        sys.exit("allocation failure: Requested partition configuration not available now")
    sys.exit(0)
number = len(list(here.glob("*.job"))) + 1
script = pathlib.Path(sys.argv[-1]).read_text()
(here / f"{number}.job").write_text(script)
with open(here / f"{number}.out", "w") as out:
    job = subprocess.Popen(["bash", str(here / f"{number}.job")], stdin=subprocess.DEVNULL,
                           stdout=out, stderr=out, start_new_session=True)
(here / f"{number}.pid").write_text(str(job.pid))
print(f"Submitted batch job {number}")
""",
    "scancel": """#!{python}
import os, pathlib, signal, sys
here = pathlib.Path(__file__).parent
(here / "cancelled").open("a").write(" ".join(sys.argv[1:]) + "\\n")
for number in sys.argv[1:]:
    try:
        os.killpg(int((here / f"{number}.pid").read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        pass
""",
}


def fake_slurm(folder: Path, python: str = sys.executable) -> None:
    """Put its commands into a folder, which then has to be on PATH."""
    folder.mkdir(exist_ok=True)
    for name, text in FAKES.items():
        (folder / name).write_text(text.replace("{python}", python))
        (folder / name).chmod(0o755)
