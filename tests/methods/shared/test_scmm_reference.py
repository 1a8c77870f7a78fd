"""`bench check --reference`: the shipped numbers, and numbers of a plain implementation here.

The implementation below is written from the equations with torch's own modules, broadcasting over
pairs, and scikit-learn's scaler; it shares no line with the methods.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler
from torch import nn
from torch.nn import functional

from bench.errors import BenchError, DataError, IncompatibleError
from bench.method import FIRST_STEP, TRAJECTORY, Deviation
from bench.methods.scmm import SCMM
from bench.registry import load

SHIPPED = Path(__file__).parents[2] / "reference" / "scmm_reference.npz"
TRACE = "trajectory_total_contrastive_reconstruction"


class PlainSCMM(nn.Module):
    """SCMM as described, with nothing clever."""

    def __init__(self, channels: int, features: int = 5) -> None:
        super().__init__()
        length = features
        for i, (inputs, outputs) in enumerate(((channels, 32), (32, 64), (64, 128)), 1):
            setattr(self, f"conv{i}", nn.Conv1d(inputs, outputs, 8, padding=4, bias=False))
            setattr(self, f"bn{i}", nn.BatchNorm1d(outputs))
            length = (length + 1) // 2 + 1
        self.proj1, self.proj_bn = nn.Linear(128 * length, 256), nn.BatchNorm1d(256)
        self.proj2 = nn.Linear(256, 128)
        self.decoder = nn.Linear(128 * length, channels * features)
        self.loss_balance = nn.Parameter(torch.ones(2))

    def forward(self, x, originals, settings):
        h = x
        for i in (1, 2, 3):
            h = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(h))
            h = functional.max_pool1d(torch.relu(h), 2, 2, padding=1)
        h = h.flatten(1)
        z = self.proj2(torch.relu(self.proj_bn(self.proj1(h))))
        n = len(x)
        weights = torch.from_numpy(plain_weights(x.flatten(1), settings))
        # Over all pairs at once, (N, N, 128), as the released code's likes do.
        similarity = (z[:, None, :] * z[None, :, :]).sum(dim=-1)
        other = ~torch.eye(n, dtype=torch.bool)
        logits = (similarity / settings["temperature"]).masked_fill(~other, -1e12)
        log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
        twin = (torch.arange(n)[:, None] - torch.arange(n)) % originals == 0
        pull = torch.where(twin, 1.0, weights)
        contrastive = -(pull * log_p)[other].sum() / (n * (n - 1))
        aggregation = torch.softmax(logits, dim=1)
        reconstruction = self.decoder(aggregation @ h)
        error = functional.mse_loss(reconstruction, x.flatten(1))
        total = sum(
            0.5 / p**2 * loss + torch.log(1 + p**2)
            for p, loss in zip(self.loss_balance, (contrastive, error), strict=True)
        )
        return (total, contrastive, error), {
            "h": h, "z": z, "similarity": similarity, "soft_weights": weights,
            "aggregation_weights": aggregation, "reconstruction": reconstruction,
        }


def plain_weights(x, settings):
    difference = x[:, None, :] - x[None, :, :]
    if settings["metric"] == "cosine":
        d = -functional.cosine_similarity(x[:, None, :], x[None, :, :], dim=-1)
    elif settings["metric"] == "euclidean":
        d = difference.square().sum(dim=-1).sqrt()
    else:
        d = difference.abs().sum(dim=-1)
    d = d.numpy().copy()
    off = ~np.eye(len(d), dtype=bool)
    d[~off] = d[off].min()
    scaled = MinMaxScaler().fit_transform(d)
    return 2 * settings["upper_bound"] / (1 + np.exp(scaled / settings["sharpness"]))


def write_reference(path: Path, *, channels=32, copies=1, metric="cosine", seed=0, steps=10,
                    **changes) -> Path:
    """A reference file computed by the plain implementation, in double precision."""
    settings = {"upper_bound": 0.5, "sharpness": 0.05, "temperature": 0.5, "metric": metric,
                "mask_num": copies, "lr": 5e-4, "beta1": 0.9, "beta2": 0.99,
                "weight_decay": 3e-4, **changes}
    rng = np.random.default_rng(seed)
    x = rng.random((24, channels, 5)).astype(np.float32)
    masked = np.concatenate([x * (rng.random(x.shape) > 0.5) for _ in range(copies)])
    torch.manual_seed(seed)
    model = PlainSCMM(channels)
    content = {
        f"param_{n.replace('.', '_')}": p.detach().numpy().copy()
        for n, p in model.named_parameters()
    }
    model.double()
    batch = torch.from_numpy(np.concatenate([x, masked])).double()
    adam = torch.optim.Adam(model.parameters(), lr=settings["lr"], weight_decay=3e-4,
                            betas=(settings["beta1"], settings["beta2"]))
    trace = []
    for step in range(steps):
        losses, found = model(batch, len(x), settings)
        adam.zero_grad()
        losses[0].backward()
        if step == 0:
            content |= {n: q.detach().numpy().copy() for n, q in found.items()}
            for name in ("conv1", "conv3", "proj2", "decoder"):
                content[f"grad_norm_{name}"] = float(getattr(model, name).weight.grad.norm())
        adam.step()
        trace.append([loss.item() for loss in losses])
    np.savez(path, x=x, x_masked=masked.astype(np.float32), **content, **settings,
             **{TRACE: np.array(trace)})
    return path


def rewritten(source: Path, path: Path, change) -> Path:
    with np.load(source) as stored:
        content = {k: stored[k] for k in stored.files}
    change(content)
    np.savez(path, **content)
    return path


def test_the_shipped_numbers_hold():
    found = {d.name: d for d in SCMM.check_reference(SHIPPED)}
    assert set(found) == {"h", "z", "similarity", "soft_weights", "aggregation_weights",
                          "reconstruction", "grad_norm_conv1", "grad_norm_proj2",
                          "grad_norm_decoder", TRACE}
    for d in found.values():
        assert d.limit == (TRAJECTORY if d.name == TRACE else FIRST_STEP)
        assert d.double <= d.limit, d
        assert d.passed
        assert math.isfinite(d.single)
        assert d.single > d.double  # they are two computations


def test_limits_are_those_asked_for():
    assert (FIRST_STEP, TRAJECTORY) == (1e-6, 1e-5)
    assert Deviation("h", 1e-6, 1.0, 1e-6).passed
    assert not Deviation("h", 1.1e-6, 0.0, 1e-6).passed
    assert not Deviation("h", math.nan, 0.0, 1e-6).passed


OTHERS = [
    {"channels": 32}, {"copies": 2}, {"copies": 3, "metric": "manhattan"},
    {"metric": "euclidean"}, {"metric": "manhattan"},
    {"channels": 62, "copies": 2, "metric": "euclidean", "sharpness": 0.5, "upper_bound": 0.75},
    {"temperature": 0.05, "sharpness": 0.2, "lr": 1e-3, "beta2": 0.999},
]


@pytest.mark.parametrize("settings", OTHERS, ids=str)
def test_other_settings_hold(settings, tmp_path):
    path = write_reference(tmp_path / "other.npz", **settings)
    for d in SCMM.check_reference(path):
        assert d.double <= d.limit / 10, d  # nothing here was rounded to float32


def test_the_plain_implementation_is_the_shipped_one():
    """So that the tests above lean on the published numbers too."""
    with np.load(SHIPPED) as stored:
        reference = {k: stored[k] for k in stored.files}
    model = PlainSCMM(62)
    for name, parameter in model.named_parameters():
        parameter.data = torch.from_numpy(reference[f"param_{name.replace('.', '_')}"])
    settings = {k: reference[k].item() for k in ("upper_bound", "sharpness", "temperature",
                                                 "metric")}
    batch = np.concatenate([reference["x"], reference["x_masked"]])
    losses, found = model.double()(torch.from_numpy(batch).double(), 48, settings)
    for name, value in found.items():
        assert value.detach().numpy() == pytest.approx(
            reference[name], abs=1e-6 * float(np.abs(reference[name]).max())), name
    assert [v.item() for v in losses] == pytest.approx(reference[TRACE][0], rel=1e-6)


def scaled(name, factor):
    return lambda content: content.__setitem__(name, content[name] * factor)


@pytest.mark.parametrize(("change", "failing"), [
    (scaled("soft_weights", 1 + 3e-6), {"soft_weights"}),
    (scaled("grad_norm_proj2", 1.0001), {"grad_norm_proj2"}),
    (scaled(TRACE, 1 + 3e-5), {TRACE}),
    (lambda c: c[TRACE].__setitem__((9, 1), c[TRACE][9, 1] * 1.001), {TRACE}),
    (lambda c: c["z"].__setitem__((3, 4), c["z"][3, 4] + 1e-3), {"z"}),
    (lambda c: c["h"].__setitem__((0, 0), np.nan), {"h"}),
])
def test_perturbed_numbers_are_found(change, failing, tmp_path):
    path = rewritten(SHIPPED, tmp_path / "wrong.npz", change)
    assert {d.name for d in SCMM.check_reference(path) if not d.passed} == failing


def test_a_perturbed_parameter_shows_everywhere(tmp_path):
    path = rewritten(SHIPPED, tmp_path / "wrong.npz", scaled("param_proj2_weight", 1.001))
    assert {d.name for d in SCMM.check_reference(path) if not d.passed} >= {
        "z", "similarity", "aggregation_weights", "reconstruction", TRACE}


@pytest.mark.parametrize(("change", "message"), [
    (lambda c: (c.pop("z"), c.pop("lr")), "expected the keys of an SCMM reference, found no lr, z"),
    (lambda c: c.__setitem__("param_conv1_weight", c["param_conv1_weight"][:, :10]),
     r"param_conv1_weight: expected shape \(32, 62, 8\), found \(32, 10, 8\)"),
    (lambda c: c.__setitem__("h", c["h"][:, :10]), r" h: expected shape \(96, 384\), found"),
    (lambda c: c.__setitem__("mask_num", np.array(2)), "x_masked: expected 2 x 48 windows"),
])
def test_a_file_that_is_no_reference_is_refused(change, message, tmp_path):
    with pytest.raises(DataError, match=message):
        SCMM.check_reference(rewritten(SHIPPED, tmp_path / "wrong.npz", change))


@pytest.mark.parametrize("content", [b"", b"hello", SHIPPED.read_bytes()[:9000],
                                     SHIPPED.read_bytes()[:-9000]])
def test_a_torn_file_is_refused(content, tmp_path):
    path = tmp_path / "torn.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"torn\.npz: expected"):
        SCMM.check_reference(path)


def test_no_file_and_no_reference():
    with pytest.raises(BenchError, match="nowhere.npz is not there"):
        SCMM.check_reference(Path("nowhere.npz"))
    with pytest.raises(IncompatibleError, match="majority has no check against reference numbers"):
        load("methods", "majority").check_reference(SHIPPED)


def test_command_line(bench, tmp_path):
    other = write_reference(tmp_path / "o.npz", channels=32, copies=2, metric="euclidean")
    good = bench("check", "--reference", other)
    assert good.returncode == 0, good.stderr
    for word in ("aggregation_weights", "float64", "float32", "all within limits"):
        assert word in good.stdout
    wrong = bench("check", "--reference", rewritten(other, tmp_path / "w.npz", scaled("h", 1.01)))
    assert wrong.returncode == 1
    assert "too far" in wrong.stdout
    lost = bench("check", "--reference",
                 rewritten(SHIPPED, tmp_path / "l.npz", lambda c: c.pop("soft_weights")))
    assert lost.returncode == 2
    assert "l.npz: expected the keys of an SCMM reference, found no soft_weights" in lost.stderr
    assert len(lost.stderr.strip().splitlines()) == 1
    assert lost.stdout == ""
