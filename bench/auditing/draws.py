"""Random draws from the search space that a method's parameters declare."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import UnsuitedError
from ..method import Params


def random_draws(params: Params, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """All parameters ``count`` times, those worth searching drawn anew each time.

    Each is drawn from its declared range, evenly or evenly in its logarithm, to four significant
    digits so that it can be written down.

    Raises
    ------
    UnsuitedError
        The method declares no parameter to search.
    """
    fields = {
        name: extra for name, field in type(params).model_fields.items()
        if isinstance(extra := field.json_schema_extra, dict) and extra.get("tune")
    }
    if not fields:
        raise UnsuitedError("the method has no parameter with a search range")
    rng = np.random.default_rng(seed)
    return [
        {**params.model_dump(),
         **{name: _draw(extra, getattr(params, name), rng) for name, extra in fields.items()}}
        for _ in range(count)
    ]


def _draw(extra: dict[str, Any], now: Any, rng: np.random.Generator) -> Any:
    choices = extra["tune"]
    if extra.get("scale") == "choice" or isinstance(choices[0], str):
        return choices[int(rng.integers(len(choices)))]
    low, high = (float(v) for v in choices)
    if extra.get("scale") == "log":
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    else:
        value = float(rng.uniform(low, high))
    return round(value) if isinstance(now, int) else float(f"{value:.4g}")
