"""What commands share: the options of ``bench run``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import SettingError, UnknownNameError
from ..registry import include


def with_options_of(
    command: Callable[..., None], other: Callable[..., None], without: Sequence[str] = ()
) -> None:
    """Give a command that takes ``**values`` the options of another one, after its own.

    Parameters
    ----------
    without : sequence of str
        Options of the other that mean nothing here.
    """
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values()
           if p.kind is not inspect.Parameter.VAR_KEYWORD]
    shared = [p for p in inspect.signature(other, eval_str=True).parameters.values()
              if p.name not in without]
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    )


def _include(files: list[str] | None) -> None:
    for item in files or ():
        include(item)


def _pairs(items: list[str] | None, option: str) -> dict[str, Any]:
    """NAME=VALUE options as a dict; values are converted by who knows the type."""
    out: dict[str, Any] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise SettingError(f"{option} {item!r} is not of the form NAME=VALUE")
        out[name.strip()] = value.strip()
    return out


def _listed(option: str, items: list[str] | None) -> tuple[str, ...]:
    """Values of an option that may be repeated and may hold commas."""
    values = tuple(v.strip() for item in items or () for v in item.split(",") if v.strip())
    if items and not values:
        raise SettingError(f"{option} names nothing")
    return values


def _choice(option: str, value: str, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise UnknownNameError(f"value of {option}", value, known)
    return value


def _band(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise SettingError(
            f"--drop-middle {text!r} is not of the form LOW:HIGH", "For example 4.5:5.5"
        ) from None


def _subjects(items: list[str] | None) -> dict[str, frozenset[int]]:
    out: dict[str, frozenset[int]] = {}
    for item in items or ():
        corpus, _, numbers = item.partition(":")
        try:
            out[corpus] = out.get(corpus, frozenset()) | {int(n) for n in numbers.split(",")}
        except ValueError:
            raise SettingError(
                f"--exclude {item!r} is not of the form CORPUS:N,N", "For example SEED:3,7"
            ) from None
    return out
