"""What commands share: the options of ``bench run``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence


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
