"""Stacks whose models differ in numbers: learning rates, temperatures, weights of losses.

A loss is written for one value, ``s / temperature``. Where models of a stack have values of their
own it is handed a tensor with an axis for the models instead, shaped to meet what it is combined
with, and stays as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from .method import Context, Method

M = TypeVar("M", bound=Method)


def stacked(method: M, contexts: Sequence[Context]) -> M:
    """The method whose losses and optimiser serve all models of a stack.

    Parameters
    ----------
    method : Method
    contexts : sequence of Context
        One for each of K models, with its parameters.

    Returns
    -------
    Method
        Parameters in which the models differ are tensors (K, 1, ...), see
        :func:`bench.method.hyper`; where they do not differ, the method itself as it is.

    Raises
    ------
    ValueError
        Models differ in what those of one stack must share.
    """
    every = [method.params if c.params is None else c.params for c in contexts]
    if all(params == method.params for params in every):
        return method
    import torch

    axes, update = method.per_model(), {}
    for name in type(method.params).model_fields:
        values = [getattr(params, name) for params in every]
        if all(value == values[0] for value in values):
            update[name] = values[0]
        elif name not in axes:
            raise ValueError(f"models of one {method.name} stack differ in {name}: {values}")
        else:
            update[name] = torch.tensor(
                values, dtype=getattr(torch, contexts[0].dtype), device=contexts[0].device
            ).view(-1, *[1] * axes[name])
    return type(method)(method.params.model_copy(update=update))
