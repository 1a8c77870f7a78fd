"""Random draws from the search space that a method's parameters declare."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..method import Method
from ..space import search_space, suggested


def random_draws(
    method: Method, count: int, given: Iterable[str] = (), seed: int = 0
) -> list[dict[str, Any]]:
    """All parameters of a method ``count`` times, those worth searching drawn anew each time.

    Parameters
    ----------
    given : iterable of str
        Parameters that were set by hand and stay as they are.

    Raises
    ------
    UnsuitedError
        The method has no parameter to search.
    """
    space = search_space(method, given=given)
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    draws = []
    for _ in range(count):
        trial = study.ask()
        drawn = {name: suggested(trial, name, t) for name, t in space.items()}
        draws.append({**method.params.model_dump(), **drawn})
    return draws
