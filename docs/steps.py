"""Table of whole steps in ``docs/methods.md``: ``python docs/steps.py``.

Runs every network method for three steps in float64 beside its slow reference
(``tests/whole_step``) and writes how far parameters and predictions end apart, and what each method
adapts. A test makes sure that the table says what the code says.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "methods.md"
BEGIN, END = "<!-- steps -->", "<!-- /steps -->"


def measured() -> dict[str, float]:
    """Largest relative deviation of each network method from its reference, over all cases."""
    sys.path.insert(0, str(ROOT / "tests"))
    from whole_step.harness import CASES, deviation, run
    from whole_step.references import REFERENCES, VALUES, skipped

    return {
        name: max(deviation(run(name, case, **VALUES.get(name, {})), references)
                  for title, case in CASES.items() if not skipped(name, title))
        for name, references in REFERENCES.items()
    }


def table(deviations: Mapping[str, float]) -> str:
    """The table, in the order of the catalogue; a deviation is rounded up to a power of ten."""
    from bench.cards.docstrings import adapted, docstring
    from bench.registry import entries

    lines = ["| method | paper | deviation | adapted, and why |", "|---|---|---|---|"]
    for name, item in entries("methods").items():
        if name in deviations:
            said = "; ".join(f"{each['what']} ({each['why'].removesuffix('.')})"
                             for each in adapted(docstring(item)))
            cells = (f"`{name}`", item.paper, _bound(deviations[name]), said)
            cells = tuple(cell.replace("|", "\\|") or "–" for cell in cells)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _bound(value: float) -> str:
    exponent = next(e for e in range(-16, 10) if value <= 10.0**e)
    return f"1e{exponent}"


def written(page: str) -> str:
    """The table that a page holds."""
    return page.partition(BEGIN)[2].partition(END)[0].strip()


def main() -> None:
    """Measure, and write the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(measured())}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
