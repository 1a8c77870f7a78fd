"""Draw the floors of the code, as its imports have them: docs/pictures/floors.svg.

    python docs/floors.py            # draw; after a change of rooms, imports or first lines
    python docs/floors.py --check    # fail if the picture is not that of today's code

What the picture shows is kept beside it in floors.json, whose hash is in the picture. An arrow
that follows from others is left out: if A imports B and C, and B imports C, none goes from A to C.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "tests"))

from imports import floors, graph  # noqa: E402
from merged import merged  # noqa: E402

PICTURE = HERE / "pictures" / "floors.svg"
DATA = PICTURE.with_suffix(".json")
CONTENT = ("reports", "methods", "datasets")

# --- what there is ---------------------------------------------------------------------------


def look() -> dict[str, Any]:
    """Floors with their rooms, and which room imports which, by today's code."""
    with tempfile.TemporaryDirectory(prefix="bench-floors-") as folder:
        tree = merged(ROOT, Path(folder))
        imports = graph(tree)
        listed = [[_room(tree, name) for name in floor] for floor in floors()]
    edges: dict[str, set[str]] = {}
    for module, imported in imports.items():
        for other in imported:
            if module != "bench" != other and _top(module) != _top(other):
                edges.setdefault(_top(module), set()).add(_top(other))
    return {
        "floors": listed[:-1], "content": listed[-1],
        "edges": {room: sorted(edges[room]) for room in sorted(edges)},
    }


def _top(module: str) -> str:
    return module.split(".")[1]


def _room(tree: Path, name: str) -> dict[str, Any]:
    """A room: its name, the first line of its docstring, and the modules of a folder."""
    path = tree / "bench" / name
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    says = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    inside = [] if name in CONTENT else sorted(
        p.stem for p in path.glob("*") if not p.name.startswith("_")
        and (p.suffix == ".py" or (p / "__init__.py").is_file())
    )
    return {"name": name, "says": says.rstrip("."), "modules": inside}


def needed(edges: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Edges that do not follow from others (the transitive reduction)."""
    def reached(room: str) -> set[str]:
        return {room}.union(*(reached(other) for other in edges.get(room, [])))

    return [
        (room, other) for room, others in edges.items() for other in others
        if not any(other in reached(between) for between in others if between != other)
    ]


def as_text(found: dict[str, Any]) -> str:
    """What is kept beside the picture."""
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def stale() -> str:
    """What is wrong with the picture that is there; "" for nothing."""
    text = as_text(look())
    if not DATA.is_file() or DATA.read_text(encoding="utf-8") != text:
        return f"{DATA.name} is not what the code says"
    if not PICTURE.is_file() or _mark(text) not in PICTURE.read_text(encoding="utf-8"):
        return f"{PICTURE.name} was not drawn from {DATA.name}"
    return ""


def _mark(text: str) -> str:
    return f"{DATA.name} sha256 {hashlib.sha256(text.encode()).hexdigest()}"


# --- the picture -----------------------------------------------------------------------------

#: Left and right edge of each room, in hundredths of the house; others share their floor evenly.
PLACES = {
    "cli": (0, 100), "exchange": (5, 37), "auditing": (5, 37), "sweeps": (40, 100),
    "tuning": (48, 95), "corpus_conformance": (5, 45),
    "conformance": (0, 30), "runs": (33, 95), "cells": (0, 95), "training": (0, 38),
    "selection": (41, 72), "method": (0, 65), "cards": (78.5, 96.9),
    "protocols": (0, 65), "data": (0, 42),
    "graphs": (44, 67), "reporting": (78.5, 100), "store": (0, 20), "registry": (22, 37.5),
    "draws": (39.5, 58.5), "scoring": (60.5, 73.5), "devices": (75.5, 100), "version": (0, 17),
    "errors": (20, 100),
}
#: Where an arrow runs that passes floors: free of rooms.
LANES = {("cli", "conformance"): 2.5, ("cli", "cards"): 95.6, ("sweeps", "reporting"): 97.5,
         ("cells", "devices"): 76, ("selection", "scoring"): 68.5}
WIDE, SIDE, HOUSE = 900, 196, 652   # the picture, a content folder, the house, in px
LEFT = WIDE - HOUSE - 30            # of the house
GAP, PAD, LINE, MOST = 24, 9, 13.5, 3
INK, SOFT, ARROW = "#1f2a37", "#5b6878", "#7b8794"
#: Fill of the ground floor, of the middle, of the top, and of the content folders.
FILLS, APART = ((217, 229, 243), (222, 240, 230), (253, 235, 208)), "#eae6f4"


class Box:
    """A room or a folder in the picture: where it is, and what is written in it."""

    def __init__(self, room: dict[str, Any], left: float, right: float) -> None:
        self.name, self.left, self.right = room["name"], left, right
        width = right - left - 2 * PAD
        self.says = next(lines for text in _shorter(room["says"])
                         if len(lines := wrap(text.split(), width, 8.2)) <= MOST or "," not in text)
        self.small = wrap(room["modules"], width, 7.4, " · ")
        self.bottom = self.top = 0.0

    @property
    def height(self) -> float:
        """What its text takes."""
        return 2 * PAD + 14 + LINE * (len(self.says) + len(self.small)) + 2 * bool(self.small)


def _shorter(says: str) -> list[str]:
    """A first line whole, up to its colon, and up to its first comma; without a lone first word."""
    word, _, rest = says.partition(": ")
    if rest and " " not in word:
        says = rest[0].upper() + rest[1:]
    says = says.replace(" x ", " × ")
    return [says, says.partition(":")[0], says.partition(",")[0]]


def wrap(words: list[str], width: float, size: float, between: str = " ") -> list[str]:
    """Lines of words that are no wider than that, in px; as few as can be, then of one length."""
    lines = _filled(words, width, size, between)
    for narrower in range(int(width) - 8, 40, -8):
        tried = _filled(words, narrower, size, between)
        if len(tried) > len(lines) or any(_width(line, size) > narrower for line in tried):
            break
        lines = tried
    return lines


def _filled(words: list[str], width: float, size: float, between: str) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and _width(f"{lines[-1]}{between}{word}", size) <= width:
            lines[-1] += f"{between}{word}"
        else:
            lines.append(word)
    return lines


@functools.cache
def _width(text: str, size: float) -> float:
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), text, size=size)  # its outlines turn at their corners
    x = path.vertices[path.codes != path.CLOSEPOLY, 0] if text else path.vertices[:0, 0]
    return float(x.max() - x.min()) * 100 / 72 if len(x) else 0.0


def draw(found: dict[str, Any], mark: str) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    rows, low = [], 16.0
    for floor in found["floors"]:
        step = 100 / len(floor)
        row = [
            Box(room, *(LEFT + x * HOUSE / 100 for x in
                        PLACES.get(room["name"], (i * step, (i + 1) * step - 3))))
            for i, room in enumerate(floor)
        ]
        high = low + max(box.height for box in row)
        for box in row:
            box.bottom, box.top = low, high
        rows.append(row)
        low = high + GAP
    high = low - GAP
    with mpl.rc_context({
        "svg.hashsalt": "bench", "svg.fonttype": "path", "font.family": "DejaVu Sans",
        "path.simplify": False,
    }):
        figure = plt.figure(figsize=(WIDE / 100, (high + 16) / 100), dpi=100, facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDE), ylim=(0, high + 16))
        axes.axis("off")
        rooms = {box.name: box for row in rows for box in row}
        _arrows(axes, found, rooms)
        for number, row in enumerate(rows):
            share = number / max(1, len(rows) - 1)
            lower, upper = FILLS[:2] if share < 0.5 else FILLS[1:]
            part = share * 2 % 1 if share < 1 else 1
            colour = [(a + (b - a) * part) / 255 for a, b in zip(lower, upper, strict=True)]
            for box in row:
                _box(axes, box, colour)
            axes.text(WIDE - 8, (row[0].bottom + row[0].top) / 2, str(number + 1), fontsize=11,
                      color="#9aa5b1", ha="right", va="center")
        _beside(axes, found, rooms)
        _key(axes, rooms)
        figure.savefig(PICTURE, metadata={
            "Date": None, "Creator": None, "Title": "Floors of bench", "Description": mark,
        })
        plt.close(figure)


def _box(axes: Any, box: Box, colour: Any) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import FancyBboxPatch

    fill = to_rgb(colour)
    axes.add_patch(FancyBboxPatch(
        (box.left, box.bottom), box.right - box.left, box.top - box.bottom,
        boxstyle="round,pad=0,rounding_size=4", facecolor=fill, linewidth=0.8,
        edgecolor=[0.7 * part for part in fill], zorder=3,
    ))
    x, y = box.left + PAD, box.top - PAD - 11
    axes.text(x, y, box.name, fontsize=9.2, fontweight="bold", color=INK, va="baseline", zorder=4)
    y -= 1.5
    for line in box.says:
        y -= LINE
        axes.text(x, y, line, fontsize=8.2, color=INK, va="baseline", zorder=4)
    y -= 2
    for line in box.small:
        y -= LINE
        axes.text(x, y, line, fontsize=7.4, color=SOFT, va="baseline", zorder=4)


def _line(axes: Any, points: Iterable[tuple[float, float]]) -> None:
    """A line with right angles and an arrowhead at its end; it passes over others."""
    x, y = map(list, zip(*points, strict=True))
    axes.plot(x, y, color="white", linewidth=4, zorder=2, solid_capstyle="butt")
    axes.annotate("", (x[-1], y[-1]), (x[-2], y[-2]), zorder=2, arrowprops={
        "arrowstyle": "-|>,head_length=0.42,head_width=0.19", "color": ARROW, "linewidth": 0,
        "shrinkA": 0, "shrinkB": 0, "mutation_scale": 12})
    x[-1] -= 4 * (x[-1] > x[-2])  # the line ends within the head, not at its tip
    y[-1] += 4 * (y[-1] < y[-2])
    axes.plot(x, y, color=ARROW, linewidth=1.1, zorder=2, solid_capstyle="butt")


def _arrows(axes: Any, found: dict[str, Any], rooms: dict[str, Box]) -> None:
    """Arrows between rooms: straight down where one stands on the other, else round a corner."""
    edges = [(a, b) for a, b in needed(found["edges"]) if a in rooms]
    straight = {e: span for e in edges if (span := _span(rooms[e[0]], rooms[e[1]])) is not None}
    bent = [e for e in edges if e not in straight and e not in LANES]
    # The lowest lines first, so that those that are drawn later pass over them.
    for (above, below), lane in LANES.items():
        if (above, below) in edges:
            x = LEFT + lane * HOUSE / 100
            _line(axes, [(x, rooms[above].bottom), (x, rooms[below].top)])
    for (above, below), (left, right) in straight.items():
        if (above, below) not in LANES:
            _line(axes, [((left + right) / 2, rooms[above].bottom),
                         ((left + right) / 2, rooms[below].top)])
    for above in dict.fromkeys(a for a, _ in bent):
        ends = sorted((b for a, b in bent if a == above), key=lambda b: rooms[b].left)
        start = rooms[above]
        for end in (rooms[b] for b in ends):
            x = start.left + 40 if end.left < start.left else start.right - 40
            to = end.left + (end.right - end.left) * (0.75 if end.left < start.left else 0.25)
            middle = end.top + GAP / 2
            _line(axes, [(x, start.bottom), (x, middle), (to, middle), (to, end.top)])


def _span(above: Box, below: Box) -> tuple[float, float] | None:
    """Where one room stands right on another; None where it does not."""
    left, right = max(above.left, below.left), min(above.right, below.right)
    near = abs(above.bottom - below.top - GAP) < 1
    return (left, right) if near and right - left > 16 else None


def _beside(axes: Any, found: dict[str, Any], rooms: dict[str, Box]) -> None:
    """The content folders, each beside the highest floor that it stands on."""
    for room in found["content"]:
        uses = found["edges"].get(room["name"], [])
        base = max((rooms[name] for name in uses), key=lambda box: box.bottom)
        box = Box({**room, "modules": []}, 10, 10 + SIDE)
        box.small = wrap([f"imports {uses[0]}", *uses[1:]], SIDE - 2 * PAD, 7.4, " · ")
        box.bottom = base.bottom
        box.top = box.bottom + box.height
        _box(axes, box, APART)
        y = (base.bottom + base.top) / 2
        _line(axes, [(box.right, y), (base.left, y)])


def _key(axes: Any, rooms: dict[str, Box]) -> None:
    """What an arrow is, in the free corner beside the contract."""
    left = LEFT + 0.79 * HOUSE
    top = rooms["selection"].top - 12
    lines = ["A → B: A imports B.", "Arrows that follow", "from others are", "left out.", "",
             "No import goes up,", "none in a circle."]
    for i, line in enumerate(lines):
        axes.text(left, top - LINE * i, line, fontsize=7.8, color=SOFT, va="baseline")


def main() -> int:
    """Draw, or check what is drawn."""
    if "--check" in sys.argv[1:]:
        wrong = stale()
        if wrong:
            print(f"{wrong}: run python docs/floors.py", file=sys.stderr)
        return bool(wrong)
    found = look()
    text = as_text(found)
    draw(found, _mark(text))
    DATA.write_text(text, encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)}, {DATA.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
