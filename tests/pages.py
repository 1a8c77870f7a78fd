"""Reading Markdown pages as tests do: fenced blocks with the mark before them, and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
#: Pages that the site makes while it is built.
MADE = {"changelog.md", "commands.md"}

_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n+)?^(?P<ticks>```+)(?P<language>\w*)[^\n]*\n"
    r"(?P<text>.*?)^(?P=ticks)[ \t]*$", re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")
_BARE = re.compile(r"<(https?:[^>\s]*)>|(?:src|href)=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes
    ----------
    page : Path
    line : int
        Of its fence.
    language, text : str
    mark : str
        What the HTML comment right before it says: "run", "run: slow", "file: NAME", "".
    """

    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def runs(self) -> bool:
        """Whether its text is really run."""
        return self.mark in ("run", "run: slow") or self.mark.startswith("file: ")

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """All pages, and the README."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """Fenced blocks of a page, of one language or all."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text.count("\n", 0, m.start("ticks")) + 1, m["language"], m["text"],
              m["mark"] or "")
        for m in _FENCE.finditer(text)
    ]
    return [b for b in found if language in (None, b.language)]


def links(page: Path) -> list[str]:
    """Targets of links and pictures, outside of code."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]+`", "", text)
    return _LINK.findall(text) + [a or b for a, b in _BARE.findall(text)]


def shell_lines(text: str) -> list[str]:
    """Logical lines of a shell block."""
    return [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def commands(block: Block) -> Iterator[list[str]]:
    """Arguments of each `bench` command in a shell block."""
    for line in shell_lines(block.text):
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\w+=\S*", words[0]):
            words.pop(0)  # an environment variable
        if words and words[0] == "bench":
            end = next((i for i, w in enumerate(words) if w in ("|", ">", "&&", ";", "&")), None)
            yield words[1:end]


def inline_commands(page: Path) -> list[str]:
    """What stands in the text as `bench ...`."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    return [" ".join(found.split()) for found in re.findall(r"`(bench [a-z][^`]*)`", text)]
