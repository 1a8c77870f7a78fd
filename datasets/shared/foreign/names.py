"""Patterns of file names: ``S{subject}_{class}_trial{trial}.mat``, matched and proposed."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bench.errors import SettingError

from ..bids import natural

#: What may stand in braces. A class and ``*`` may hold anything but "/", runs and trials digits,
#: the others letters and digits.
FIELDS = ("subject", "session", "run", "trial", "class")
_DIGITS = ("run", "trial")
_MOST_TOKENS, _LONGEST = 40, 400
#: So many numbers may be classes.
_FEW = 6
_SEPARATORS = "_-. "
#: Words that say what the number (or word) after them is.
_WORDS = {
    "subject": r"subject|subj|sub|participant|part|pp|vp|s|p",
    "session": r"session|sess|ses|visit|day",
    "run": r"run|block|r",
    "trial": r"trial|tri|tr|rep|t",
}


@dataclass(frozen=True)
class NamePattern:
    """A pattern of paths below a folder; without a "/" it matches names in any folder below.

    Attributes
    ----------
    text : str
    tokens : tuple of (kind, text)
        Literals, and fields by name ("*" for anything).
    """

    text: str
    tokens: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Pattern from its text.

        Raises
        ------
        SettingError
            A field that is unknown or there twice, or two fields with nothing in between.
        """
        tokens: list[tuple[str, str]] = []
        for part in re.findall(r"\{[^{}]*\}|\*|[^{}*]+|[{}]", text):
            if part == "*":
                tokens.append(("*", ""))
            elif part.startswith("{") and part.endswith("}"):
                tokens.append((part[1:-1].strip(), ""))
            else:
                tokens.append(("", part))
        fields = [kind for kind, _ in tokens if kind not in ("", "*")]
        wrong = [f for f in fields if f not in FIELDS or fields.count(f) > 1]
        hint = f"Fields are {', '.join(f'{{{f}}}' for f in FIELDS)}, each once; * is anything. " \
            "For example: S{subject}_{class}_trial{trial}.mat"
        if wrong or set("{}") & set("".join(t for k, t in tokens if not k)):
            raise SettingError(f"{text!r} is no pattern of file names: "
                               f"{{{wrong[0] if wrong else ''}}} is no field", hint)
        if not text.strip() or len(tokens) > _MOST_TOKENS or len(text) > _LONGEST:
            raise SettingError(f"{text[:60]!r} is no pattern of file names", hint)
        for (a, _), (b, _) in itertools.pairwise(tokens):
            if a and b and not (a == "class" and b in _DIGITS):
                raise SettingError(f"{text!r}: two fields follow each other with nothing in "
                                   "between, so nobody can tell where one ends", hint)
        return cls(text, tuple(tokens))

    def match(self, path: str) -> dict[str, str] | None:
        """Fields of a path, or None. Takes time by the square of its length at most."""
        text = path if "/" in self.text else path.rpartition("/")[2]
        if len(text) > _LONGEST:
            return None
        failed: set[tuple[int, int]] = set()

        def go(i: int, at: int) -> list[tuple[str, str]] | None:
            if i == len(self.tokens):
                return [] if at == len(text) else None
            if (i, at) in failed:
                return None
            kind, literal = self.tokens[i]
            for end in _ends(text, at, kind, literal):
                rest = go(i + 1, end)
                if rest is not None:
                    return [(kind, text[at:end]), *rest]
            failed.add((i, at))
            return None

        found = go(0, 0)
        return None if found is None else {k: v for k, v in found if k in FIELDS}


def _ends(text: str, at: int, kind: str, literal: str) -> Sequence[int]:
    """Where a literal or a field that begins at ``at`` may end, the likeliest first."""
    if not kind:
        return [at + len(literal)] if text.startswith(literal, at) else []
    if kind in ("class", "*"):
        stop = text.find("/", at)
        stop = len(text) if stop < 0 else stop
        return range(at + (kind == "class"), stop + 1)
    stop = at
    fits = str.isdigit if kind in _DIGITS else str.isalnum
    while stop < len(text) and fits(text[stop]):
        stop += 1
    return range(stop, at, -1)


@dataclass(frozen=True)
class ProposedPattern:
    """A pattern that was found in names.

    Attributes
    ----------
    pattern : NamePattern
    why : tuple of str
        What was taken for what, in words.
    unsure : tuple of str
        What a person should look at.
    """

    pattern: NamePattern
    why: tuple[str, ...]
    unsure: tuple[str, ...]


def propose(paths: Sequence[str]) -> ProposedPattern | None:
    """Pattern that most of the paths have in common; None if no subject can be told.

    Numbers after a word (``sub``, ``S``, ``ses``, ``run``, ``trial``) are what the word says. Of
    what is left, words that vary are the class; a number that varies is the subject if there is
    none yet, else the trial, or the class where there is no other and it has few values.
    """
    shapes: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for path in paths:
        split, texts = _split(path)
        shapes[tuple(split)].append(texts)
    if not shapes:
        return None
    kinds, members = max(shapes.items(), key=lambda item: len(item[1]))
    return _named(list(kinds), members)


def _split(path: str) -> tuple[list[str], list[str]]:
    """Parts of a path: what each is ("" for separators, a field, "word", "number"), and its text.

    The kind of a literal is its text, so that paths of one shape have the same ones.
    """
    stem, dot, suffix = path.rpartition(".")
    kinds: list[str] = []
    texts: list[str] = []
    seen: set[str] = set()

    def add(kind: str, text: str) -> None:
        kinds.append(kind or f"={text}")
        texts.append(text)

    for part in re.split(r"([/_\-. ]+)", stem):
        if not part:
            continue
        if part[0] in "/" + _SEPARATORS:
            add("", part)
            continue
        pieces = re.findall(r"\d+|[^\W\d]+|\W+", part)
        for piece in pieces:
            field = _keyed(texts, kinds) if piece.isdigit() else None
            if field and field not in seen:
                seen.add(field)
                # The word before is part of the pattern.
                at = len(kinds) - (2 if kinds and kinds[-1].startswith("=") and
                                   texts[-1][0] in _SEPARATORS else 1)
                kinds[at] = f"={texts[at]}"
                add(field, piece)
            elif piece.isdigit():
                add("number", piece)
            elif piece.isalpha():
                add("word", piece)
            else:
                add("", piece)
    add("", dot + suffix)
    return _joined(kinds, texts)


def _joined(kinds: Sequence[str], texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words that follow each other as one: ``Mirror_image`` is as good a word as ``Relax``."""
    out_kinds: list[str] = []
    out_texts: list[str] = []
    for i, (kind, text) in enumerate(zip(kinds, texts, strict=True)):
        joins = kind.startswith("=") and text and all(c in _SEPARATORS for c in text)
        if out_kinds and out_kinds[-1] == "word" and (
            kind == "word" or (joins and i + 1 < len(kinds) and kinds[i + 1] == "word")
        ):
            out_texts[-1] += text
        else:
            out_kinds.append(kind)
            out_texts.append(text)
    return out_kinds, out_texts


def _keyed(texts: Sequence[str], kinds: Sequence[str]) -> str | None:
    """Field that a number is, by the word right before it or before one separator."""
    back = 1
    if kinds and kinds[-1].startswith("=") and texts[-1] and texts[-1][0] in _SEPARATORS:
        back = 2
    if len(kinds) < back or kinds[-back] != "word":
        return None
    word = texts[-back].lower()
    return next((f for f, w in _WORDS.items() if re.fullmatch(w, word)), None)


def _named(kinds: list[str], members: Sequence[Sequence[str]]) -> ProposedPattern | None:
    """Fields for what varies, literals for what does not."""
    unsure: list[str] = []
    fields = list(kinds)
    values = [sorted({m[i] for m in members}, key=natural) for i in range(len(kinds))]
    for i, kind in enumerate(kinds):
        if kind in ("word", "number") and len(values[i]) == 1:
            fields[i] = f"={values[i][0]}"
    if not _subject(fields, values, unsure):
        return None
    spot = fields.index("subject")
    for i, kind in enumerate(fields):  # a folder that repeats the subject, say
        if kind in ("word", "number") and all(m[i] == m[spot] for m in members):
            fields[i] = "*"
    _words(fields, values)
    _numbers(fields, values, unsure)
    text = "".join(
        "" if f == "gone" else f[1:] if f.startswith("=") else "*" if f == "*" else f"{{{f}}}"
        for f in fields
    )
    try:
        pattern = NamePattern.parse(text)
    except SettingError:
        return None
    why = []
    for i, field in enumerate(fields):
        if field in FIELDS and field != "class":
            why.append(f"{field}: {', '.join(values[i][:4])}" + " ..." * (len(values[i]) > 4))
    return ProposedPattern(pattern, tuple(why), tuple(unsure))


def _subject(fields: list[str], values: Sequence[Sequence[str]], unsure: list[str]) -> bool:
    """Take a folder, a number or a word for the subject where no word says what is; or fail."""
    if "subject" in fields:
        return True
    varying = [i for i, kind in enumerate(fields) if kind in ("word", "number")]
    words = [i for i in varying if fields[i] == "word"]
    numbers = [i for i in varying if fields[i] == "number"]
    folders = [i for i in (*words, *numbers) if any(
        k.startswith("=") and "/" in k for k in fields[i:])]
    spot = next(iter(folders or numbers or (words if len(words) > 1 else [])), None)
    if spot is None:
        return False
    fields[spot] = "subject"
    unsure.append(f"no word says what the subject is; {', '.join(values[spot][:4])} ... was "
                  "taken for it")
    return True


def _words(fields: list[str], values: Sequence[Sequence[str]]) -> None:
    """Words that vary are the class: all of them where they follow each other, else one."""
    words = [i for i, kind in enumerate(fields) if kind == "word"]
    if not words:
        return
    first, last = words[0], words[-1]
    between = fields[first : last + 1]
    if all(k == "word" or (k.startswith("=") and "/" not in k) for k in between):
        fields[first : last + 1] = ["class", *["gone"] * (last - first)]
    else:
        best = min(words, key=lambda i: len(values[i]))
        for i in words:
            fields[i] = "class" if i == best else "*"


def _numbers(fields: list[str], values: Sequence[Sequence[str]], unsure: list[str]) -> None:
    """Numbers that vary: the class where no word is, else trial, then run."""
    for i, kind in enumerate(fields):
        if kind != "number":
            continue
        if "class" not in fields and len(values[i]) <= _FEW:
            fields[i] = "class"
            unsure.append(f"no word in the names varies, so the number {', '.join(values[i])} was "
                          "taken for the class")
        else:
            fields[i] = next((f for f in ("trial", "run") if f not in fields), "*")
