"""Build the documentation site into site/; `tox -e docs` runs this.

    python docs/build.py              # with the pictures that are there
    python docs/build.py --gallery    # make the gallery's pictures anew first (minutes)

The gallery is run when it is asked for, by ``--gallery`` or ``BENCH_GALLERY=1``, and when a page
shows a picture that is not there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: Records of the gallery; what is in there is not run again.
RUNS = ROOT / ".tox" / "gallery"
_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?:)([^)\s#]+)\)")


def main() -> int:
    """Make pictures where needed, then the site."""
    rest = [a for a in sys.argv[1:] if a != "--gallery"]
    asked = len(rest) < len(sys.argv) - 1 or os.environ.get("BENCH_GALLERY", "0") not in ("", "0")
    missing = missing_pictures()
    if asked or missing:
        print(f"running the gallery{': ' + ', '.join(missing) if missing else ''}", flush=True)
        if code := _call(HERE / "gallery.py", RUNS):
            return code
    return _call("-m", "mkdocs", "build", "--strict", *rest)


def missing_pictures() -> list[str]:
    """Pictures that a page shows and that are not there."""
    return sorted(
        str(path.relative_to(HERE)) for page in HERE.rglob("*.md")
        for name in _PICTURE.findall(page.read_text(encoding="utf-8"))
        if not (path := (page.parent / name).resolve()).is_file()
    )


def _call(*command: object) -> int:
    return subprocess.call(  # noqa: S603
        [sys.executable, *map(str, command)], cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "true"},
    )


if __name__ == "__main__":
    sys.exit(main())
