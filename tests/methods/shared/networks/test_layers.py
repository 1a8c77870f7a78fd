"""Stacked networks against torch's own modules, in double precision."""

import pytest
import torch
from torch import nn

from bench.draws import Draws
from bench.methods.shared.networks.layers import (
    ConvEncoder,
    Head,
    Projector,
    _ReluPool,
    batch_norm,
    init_norm,
)
from bench.training import stack, unstack

DOUBLE = {"dtype": torch.float64}


class Plain(nn.Module):
    """The encoder as the description has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        sizes = [channels, 32, 64, 128]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(i, o, 8, stride=1, padding=4, bias=False), nn.BatchNorm1d(o), nn.ReLU(),
                nn.MaxPool1d(2, 2, padding=1),
            )
            for i, o in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x.flatten(1)

    def load(self, state) -> None:
        for i, block in enumerate(self.blocks, 1):
            block[0].weight.data = state[f"conv{i}.weight"].double()
            block[1].weight.data = state[f"bn{i}.weight"].double()
            block[1].bias.data = state[f"bn{i}.bias"].double()
        self.double()


def random_state(encoder: ConvEncoder, seed: int):
    """Fresh parameters whose batch norms are not the identity."""
    g = torch.Generator().manual_seed(seed)
    state = encoder.init(Draws.of(seed))
    for name in state:
        if name.startswith("bn") and "running" not in name:
            state[name] = torch.randn(state[name].shape, generator=g)
    return state


@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("bands", [5, 4])
@pytest.mark.parametrize("channels", [62, 32, 14])
def test_encoder_is_torchs_convolutions(channels, bands, models):
    encoder = ConvEncoder(channels, bands)
    states = [random_state(encoder, k) for k in range(models)]
    model = stack(states, "cpu", torch.float64)
    g = torch.Generator().manual_seed(9)
    x = torch.randn(models, 11, channels, bands, generator=g, **DOUBLE)
    pull = torch.randn(models, 11, encoder.width, generator=g, **DOUBLE)
    for _ in range(2):  # twice, so that running statistics have moved
        out = encoder(model, x, training=True)
        (out * pull).sum().backward()
    still = encoder(model, x, training=False)
    for k, state in enumerate(states):
        plain = Plain(channels)
        plain.load(state)
        for _ in range(2):
            expected = plain(x[k])
            (expected * pull[k]).sum().backward()
        assert expected.shape == (11, encoder.width)
        assert torch.allclose(out[k], expected, atol=1e-11, rtol=1e-10)
        for i, block in enumerate(plain.blocks, 1):
            for name, theirs in ((f"conv{i}.weight", block[0].weight),
                                 (f"bn{i}.weight", block[1].weight),
                                 (f"bn{i}.bias", block[1].bias)):
                scale = theirs.grad.abs().max()
                assert torch.allclose(
                    model[name].grad[k], theirs.grad, atol=float(1e-10 * scale), rtol=0
                ), name
            for name in ("running_mean", "running_var"):
                assert torch.allclose(
                    model[f"bn{i}.{name}"][k], getattr(block[1], name), atol=1e-12, rtol=1e-10
                ), name
        plain.eval()
        assert torch.allclose(still[k], plain(x[k]), atol=1e-11, rtol=1e-10)


def test_width_for_five_bands_is_the_published_one():
    assert ConvEncoder(62, 5).width == 384
    state = ConvEncoder(62, 5).init(Draws.of(0))
    assert sum(t.numel() for n, t in state.items() if "running" not in n) == (
        62 * 32 * 8 + 32 * 64 * 8 + 64 * 128 * 8 + 2 * (32 + 64 + 128)
    )


def test_an_encoder_starts_as_torch_starts_its_own():
    state = ConvEncoder(62, 5).init(Draws.of(0))
    bound = 1 / (62 * 8) ** 0.5
    assert state["conv1.weight"].abs().max() <= bound
    assert state["conv1.weight"].std().item() == pytest.approx(bound / 3**0.5, rel=0.02)


@pytest.mark.parametrize("length", [1, 2, 3, 6, 7, 4])
def test_relu_and_pooling_are_torchs(length):
    g = torch.Generator().manual_seed(length)
    h = torch.randn(2, 3, length, 4, generator=g, **DOUBLE)
    h[0, 0] = 0.5  # ties
    h[1, 1] = -1.0
    mine, theirs = (h.clone().requires_grad_() for _ in range(2))
    out = _ReluPool.apply(mine)
    expected = nn.functional.max_pool1d(
        torch.relu(theirs).transpose(2, 3).flatten(0, 1), 2, 2, padding=1
    ).unflatten(0, (2, 3)).transpose(2, 3)
    assert torch.equal(out, expected)
    pull = torch.randn(out.shape, generator=g, **DOUBLE)
    (out * pull).sum().backward()
    (expected * pull).sum().backward()
    assert torch.equal(mine.grad, theirs.grad)


@pytest.mark.parametrize("length", [2, 5, 6])
def test_gradient_of_pooling(length):
    h = torch.randn(2, 3, length, 2, generator=torch.Generator().manual_seed(0), **DOUBLE)
    assert torch.autograd.gradcheck(_ReluPool.apply, (h.requires_grad_(),))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_one_model_is_that_of_a_stack(training):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(3, 20, 4, generator=g, **DOUBLE) * 3 + 1
    states = [init_norm("n", 4) | {"n.weight": torch.randn(4, generator=g),
                                   "n.bias": torch.randn(4, generator=g)} for _ in range(3)]
    together = stack(states, "cpu", torch.float64)
    out = batch_norm(together, "n", x, training)
    for k in range(3):
        alone = stack(states[k : k + 1], "cpu", torch.float64)
        single = batch_norm(alone, "n", x[k : k + 1], training)
        assert torch.allclose(out[k], single[0], atol=1e-12)
        for name in together:
            assert torch.allclose(together[name][k], alone[name][0], atol=1e-12), name


def test_projector_and_head_are_torchs_layers():
    g = Draws.of(0)
    projector, head = Projector(10, 8, 6), Head(10, 3, 7)
    model = stack([projector.init(g) | head.init(g)], "cpu", torch.float64)
    one = unstack(model, 0)
    x = torch.randn(1, 9, 10, generator=torch.Generator().manual_seed(0), **DOUBLE)

    def layer(name, inputs, outputs):
        linear = nn.Linear(inputs, outputs, **DOUBLE)
        linear.weight.data, linear.bias.data = one[f"{name}.weight"], one[f"{name}.bias"]
        return linear

    theirs = nn.Sequential(layer("proj1", 10, 8), nn.BatchNorm1d(8, **DOUBLE), nn.ReLU(),
                           layer("proj2", 8, 6))
    assert torch.allclose(projector(model, x, training=True)[0], theirs(x[0]), atol=1e-12)
    theirs = nn.Sequential(layer("head1", 10, 7), nn.Sigmoid(), layer("head2", 7, 3))
    assert torch.allclose(head(model, x)[0], theirs(x[0]), atol=1e-12)


@pytest.mark.parametrize("neighbour", [50.0, float("nan"), float("inf")])
def test_what_a_neighbour_encodes_does_not_matter(neighbour):
    encoder = ConvEncoder(14, 5)
    x = torch.randn(3, 9, 14, 5, generator=torch.Generator().manual_seed(1))
    outcomes = []
    for factor in (1.0, neighbour):
        model = stack([random_state(encoder, k) for k in range(3)], "cpu", torch.float32)
        data = x.clone()
        data[1] *= factor
        out = encoder(model, data, training=True)
        out.square().sum(dim=(1, 2)).sum().backward()
        outcomes.append((out.detach(), {n: t if t.grad is None else t.grad
                                        for n, t in model.items()}))
    for k in (0, 2):
        assert torch.equal(outcomes[0][0][k], outcomes[1][0][k])
        for name, tensor in outcomes[0][1].items():
            assert torch.equal(tensor[k], outcomes[1][1][name][k]), name
