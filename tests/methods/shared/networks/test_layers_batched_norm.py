"""The batch normalisation of accelerators, checked on the CPU against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from bench.methods.shared.networks.layers import EPS, MOMENTUM, _batched_norm


@pytest.mark.parametrize("training", [True, False])
def test_batched_norm_is_torchs_for_every_model(training: bool) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 20, 7, generator=g, dtype=torch.float64, requires_grad=True)
    mean, var, weight, bias = (torch.rand(3, 7, generator=g, dtype=torch.float64)
                               for _ in range(4))
    own_mean, own_var = mean.clone(), var.clone()
    ours = _batched_norm(x, own_mean, own_var, weight, bias, training)
    (gradient,) = torch.autograd.grad(ours.square().sum(), x)
    for k in range(3):
        xk = x[k].detach().requires_grad_()
        theirs = functional.batch_norm(
            xk, mean[k], var[k], weight[k], bias[k], training, MOMENTUM, EPS
        )
        (theirs_gradient,) = torch.autograd.grad(theirs.square().sum(), xk)
        torch.testing.assert_close(ours[k], theirs, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient[k], theirs_gradient, rtol=0, atol=1e-11)
    torch.testing.assert_close(own_mean, mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(own_var, var, rtol=0, atol=1e-12)
