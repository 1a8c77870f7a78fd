"""Every backbone: alone as in a stack, whatever torch's global generator does, under any method."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from recording import replayed

from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.cells.models import load_model
from bench.conformance import synthetic, synthetic_pair
from bench.data.pair import Pair
from bench.data.windows import Space
from bench.draws import Draws
from bench.errors import IncompatibleError, UnknownNameError
from bench.graphs import Watch
from bench.methods.shared.networks.backbones import (
    BACKBONES,
    DRAWS,
    KeyedDropout,
    encoder_for,
    encoder_from,
)
from bench.methods.shared.networks.layers import names_of, norm_names
from bench.protocols.few_shot import FewShot
from bench.protocols.unsupervised import Unsupervised
from bench.protocols.zero_shot import ZeroShot
from bench.registry import load
from bench.store.records import Store
from bench.training import Optimiser, is_buffer, stack, train, unstack

#: The electrodes that SEED and DEAP share.
NAMES = """FP1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 OZ PZ FP2 AF4 FZ F4 F8 FC6 FC2 CZ C4 T8
CP6 CP2 P4 P8 PO4 O2"""
CHANNELS = ("FP1", "FP2", "C3", "C4", "O1", "O2")
#: Foundation models have tests of their own.
USUAL = [n for n, b in BACKBONES.items() if b.trained_on is None]
WRAPPED = [n for n in USUAL if BACKBONES[n].build is not None]
TINY = {"epochs": 1, "batch": 16, "windows_per_epoch": 32, "fit_epochs": 1, "fit_batch": 64}


def space(kind):
    if kind == "de":
        return Space(CHANNELS)
    return Space(CHANNELS, kind="raw", bands=(), rate=128.0)


def encoder_of(name):
    return encoder_for(name, space(BACKBONES[name].kind))


def starts(encoder, models=3):
    return [encoder.init(Draws.of(k)) for k in range(models)]


def windows(encoder, models=3, batch=6, dtype=torch.float64):
    g = torch.Generator().manual_seed(9)
    shape = (models, batch, encoder.channels, encoder.features)
    return torch.randn(shape, generator=g, dtype=dtype)


def trained(encoder, states, x, steps=2):
    """States after a few optimiser steps towards encodings of one half and not the other."""
    model = stack(states, "cpu", x.dtype)

    def step(at):
        h = encoder(model, x, training=True)
        one, other = h.chunk(2, dim=1)
        return {"total": (one - 1).square().mean((1, 2)) + other.square().mean((1, 2))}

    train(model, step, epochs=1, steps=steps, optimiser=Optimiser(1e-2),
          names=["model"] * len(states), on_epoch=lambda epoch, losses: None)
    return [unstack(model, k) for k in range(len(states))]


@pytest.mark.parametrize("name", USUAL)
class TestEncoder:
    def test_a_stack_is_its_models_alone(self, name):
        encoder = encoder_of(name)
        states, x = starts(encoder), windows(encoder)
        together = trained(encoder, states, x)
        shuffled = trained(encoder, [states[k] for k in (2, 0, 1)], x[[2, 0, 1]])
        for k, place in enumerate((1, 2, 0)):
            alone = trained(encoder, states[k : k + 1], x[k : k + 1])[0]
            for other in (alone, shuffled[place]):
                for tensor, theirs in zip(together[k].values(), other.values(), strict=True):
                    torch.testing.assert_close(tensor, theirs, rtol=1e-10, atol=1e-10)
            moved = [n for n in alone if not torch.equal(alone[n], states[k][n].double())]
            assert any(not is_buffer(n) for n in moved)

    def test_an_encoding_makes_nothing_elsewhere(self, name):
        """On tensors without values: what is made on the CPU would hold up a GPU."""
        encoder = encoder_of(name)
        p = stack(starts(encoder, 2), "meta", torch.float32)
        x = windows(encoder, 2, dtype=torch.float32).to("meta")
        assert encoder.width  # a module is built once, on the CPU
        with Watch(x.device) as watch:
            encoder(p, x, training=True).sum().backward()
        assert not watch.found

    @pytest.mark.slow
    def test_a_recorded_step_is_the_step(self, name, monkeypatch):
        encoder = encoder_of(name)
        states, x = starts(encoder, 2), windows(encoder, 2, dtype=torch.float32)
        written = trained(encoder, states, x, steps=22)
        with replayed(monkeypatch) as recordings:
            again = trained(encoder, states, x, steps=22)
        assert recordings[0].replayed == {False: 20, True: 0}
        for one, two in zip(written, again, strict=True):
            assert all(torch.equal(tensor, two[n]) for n, tensor in one.items())

    def test_what_a_neighbour_holds_changes_nothing(self, name):
        encoder = encoder_of(name)
        states, x = starts(encoder, 2), windows(encoder, 2, dtype=torch.float32)
        before = encoder(stack(states, "cpu", x.dtype), x, training=True)[0]
        spoilt = x.clone()
        spoilt[1] = torch.nan
        after = encoder(stack(states, "cpu", x.dtype), spoilt, training=True)[0]
        assert torch.equal(before, after)

    def test_windows_are_encoded_on_their_own(self, name):
        encoder = encoder_of(name)
        p, x = stack(starts(encoder, 1), "cpu", torch.float64), windows(encoder, 1)
        every = encoder(p, x, training=False)
        assert every.shape == (1, x.shape[1], encoder.width)
        alone = torch.cat([encoder(p, x[:, i : i + 1], training=False) for i in range(6)], dim=1)
        torch.testing.assert_close(every, alone, rtol=1e-9, atol=1e-9)

    def test_global_random_state_is_neither_used_nor_changed(self, name):
        encoder = encoder_of(name)
        x = windows(encoder, 1, dtype=torch.float32)
        found = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            p = stack(starts(encoder, 1), "cpu", x.dtype)
            found.append(encoder(p, x, training=True))
            assert torch.equal(before, torch.get_rng_state())
        assert torch.equal(*found)

    def test_shape_survives_saving(self, name):
        import dataclasses

        encoder = encoder_of(name)
        assert encoder_from(dataclasses.asdict(encoder)) == encoder

    def test_has_norms_to_adapt(self, name):
        p = encoder_of(name).init(Draws.of(0))
        names = norm_names(p)
        assert names
        assert not any(is_buffer(n) for n in names)
        assert set(p) == set(names_of(encoder_of(name)))


@pytest.mark.parametrize("name", [n for n in WRAPPED if n != "dgcnn"])  # it drops nothing
def test_dropout_draws_anew_at_each_pass_and_can_be_left_out(name):
    encoder = encoder_of(name)
    x = windows(encoder, 1)
    p = stack(starts(encoder, 1), "cpu", x.dtype)
    first, second = (encoder(p, x, training=True) for _ in range(2))
    assert not torch.equal(first, second)
    assert p[DRAWS][0, -1] == 2
    sure = [encoder(p, x, training=True, dropout=False) for _ in range(2)]
    assert torch.equal(*sure)
    assert p[DRAWS][0, -1] == 2


def test_wrapper_is_the_library_s_network():
    """Against braindecode's EEGNet itself, called the ordinary way."""
    from bench.methods.shared.networks.libraries import braindecode_models

    encoder = encoder_of("eegnet")
    state = starts(encoder, 1)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a deprecated default
        net = braindecode_models().EEGNet(n_chans=6, n_times=128, n_outputs=2, sfreq=128)
    net.final_layer = torch.nn.Identity()
    own = {n.removeprefix("net."): t for n, t in state.items() if n != DRAWS}
    missing, unexpected = net.load_state_dict(own, strict=False)
    assert not unexpected
    assert all(n.endswith("num_batches_tracked") for n in missing)
    x = windows(encoder, 1, dtype=torch.float32)
    expected = net.eval()(x[0]).flatten(1)
    found = encoder({n: t[None] for n, t in state.items()}, x, training=False)[0]
    torch.testing.assert_close(found, expected)


def test_torcheeg_leaves_logging_alone():
    import logging

    encoder_of("dgcnn").init(Draws.of(0))
    assert "torcheeg" in sys.modules
    assert logging.getLogger("mne").level in (logging.NOTSET, logging.WARNING, logging.INFO)


def small(kind):
    """Six channels, three classes, short trials."""
    sides = [synthetic(c, 3, 6, subjects=2, trials=2, effect=1.0, kind=kind) for c in "AB"]
    first = [s.take(s.onset < 4) for s in sides]
    return Pair(*first, "A:own", "B:own", ("a", "b"))


@pytest.fixture(scope="module")
def pairs():
    return {kind: small(kind) for kind in ("de", "raw")}


def cell(name, pair, protocol, **params):
    cls = load("methods", name)
    return Cell(cls(cls.parse({**TINY, **params})), "set", pair, protocol)


@pytest.mark.parametrize("backbone", [
    pytest.param(n, marks=pytest.mark.slow) if n == "lggnet" else n for n in USUAL])
@pytest.mark.parametrize("method", ["scmm", "dann", "tent", "simclr", "ms-mda", "shot", "adda"])
def test_methods_run_with_every_backbone(method, backbone, pairs, tmp_path):
    """Through the engine, which checks that windows are predicted on their own."""
    pair = pairs[BACKBONES[backbone].kind]
    protocol = FewShot() if method in ("scmm", "simclr") else Unsupervised()
    made = cell(method, pair, protocol, backbone=backbone)
    record = run_cell(made, Store(tmp_path))
    assert record.identity["params"]["backbone"] == backbone
    assert len(record.folds) == 2


@pytest.mark.parametrize(
    "method", ["mae", "simmtm", "byol", "vicreg", "tnc", "ts-tcc", "tf-c", "softclt", "clisa",
               "mldg", "mixup", "t3a", "adabn", "mcd", "scmm-released"])
def test_methods_run_on_raw_windows(method, pairs, tmp_path):
    protocol = FewShot() if method != "mcd" else Unsupervised()
    short = {"ts-tcc": {"past": 2, "future": 1}, "softclt": {"run": 3}}.get(method, {})
    made = cell(method, pairs["raw"], protocol, epochs=2, backbone="shallow", **short)
    record = run_cell(made, Store(tmp_path))
    assert np.isfinite([f["scores"]["window"]["accuracy"] for f in record.folds]).all()


def test_raw_windows_are_learnt(tmp_path):
    pair = synthetic_pair(classes=2, channels=6, effect=2.0, kind="raw")
    made = cell("source-only", pair, ZeroShot(), backbone="shallow", epochs=12, lr=5e-3)
    scores = [f["scores"]["window"]["balanced_accuracy"]
              for f in run_cell(made, Store(tmp_path)).folds]
    assert np.mean(scores) > 0.8


@pytest.mark.parametrize("backbone", ["dgcnn", "eegnet", "eegconformer"])
@pytest.mark.parametrize("finetune", ["full", "probe"])
def test_saved_models_predict_the_same(backbone, finetune, pairs, tmp_path):
    import dataclasses

    pair = pairs[BACKBONES[backbone].kind]
    made = dataclasses.replace(
        cell("scmm", pair, FewShot(), backbone=backbone, finetune=finetune), save_models=True
    )
    record = run_cell(made, Store(tmp_path))
    saved = load_model(next(iter(sorted((record.path / "models").iterdir()))))
    fold = made.scaling.folds(made.folds().folds)[0]
    import pandas as pd

    table = pd.read_parquet(record.path / "predictions.parquet")
    mine = table[table.subject == fold.subject][["p0", "p1", "p2"]].to_numpy()
    np.testing.assert_allclose(saved.predict_proba(fold.open_test().x), mine, atol=1e-5)


class TestAuto:
    def test_is_recorded_as_what_it_stands_for(self, pairs):
        for kind, expected in (("de", "cnn"), ("raw", "eegnet")):
            made = cell("scmm", pairs[kind], FewShot())
            assert made.identity()["params"]["backbone"] == expected
            beside = dict(made.method.controls())["target-only"]
            assert beside["backbone"] == expected
            control = Cell(load("methods", "target-only")(), "default", pairs[kind], FewShot())
            assert control.identity()["params"]["backbone"] == expected

    def test_scaling_too(self, pairs):
        from bench.protocols.scaling import Scaling

        for kind, expected in (("de", "min-max"), ("raw", "z-score")):
            made = Cell(load("methods", "majority")(), "default", pairs[kind], FewShot(),
                        Scaling("auto"))
            assert made.identity()["scaling"]["name"] == expected


class TestRefusals:
    def test_unknown(self):
        with pytest.raises(UnknownNameError, match="no backbone named 'eegnt'") as error:
            load("methods", "scmm").parse({"backbone": "eegnt"})
        assert "'eegnet'" in error.value.hint

    @pytest.mark.parametrize("method", ["scmm", "target-only", "tent"])
    def test_wrong_kind(self, method, pairs):
        from bench.cells.contract import check_compatible

        cls = load("methods", method)
        made = Cell(cls(cls.parse({"backbone": "eegnet"})), "set", pairs["de"], FewShot())
        with pytest.raises(IncompatibleError, match="eegnet works on raw windows, not") as error:
            check_compatible(made.method, made.protocol, made.pair)
        assert "--features raw" in error.value.hint

    def test_shallow_methods_on_signals(self, pairs):
        from bench.cells.contract import check_compatible

        with pytest.raises(IncompatibleError, match="lda works on de windows, not on raw") as error:
            check_compatible(load("methods", "lda")(), ZeroShot(), pairs["raw"])
        assert "--features raw" in error.value.hint

    def test_windows_that_are_too_short(self):
        short = Space(CHANNELS, kind="raw", bands=(), rate=128.0, window_s=0.05)
        with pytest.raises(IncompatibleError, match="shallow cannot be built for .* 6 samples"):
            encoder_for("shallow", short).init(Draws.of(0))


def test_number_of_parameters_as_documented():
    """docs/methods.md names them for 32 channels."""
    from pathlib import Path

    text = (Path(__file__).parents[4] / "docs" / "methods.md").read_text()
    for name in USUAL:
        raw = {"kind": "raw", "bands": (), "rate": 128.0} if BACKBONES[name].kind == "raw" else {}
        state = encoder_for(name, Space(tuple(NAMES.split()), **raw)).init(Draws.of(0))
        count = sum(t.numel() for n, t in state.items() if not is_buffer(n))
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{count:,}" in row, f"{name}: {count:,}"


class TestKeyedDropout:
    def test_a_gpu_s_dropout_is_a_cpu_s(self):
        """Torch drops out by one operation on a CPU and by another on a GPU."""
        x = torch.randn(50, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        with KeyedDropout(Draws.of(3)):
            one = torch.nn.functional.dropout(x, 0.3)
        with KeyedDropout(Draws.of(3)):
            other, kept = torch.ops.aten.native_dropout(x, 0.3, True)
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
        assert torch.equal(kept, one != 0)
        assert kept.double().mean().item() == pytest.approx(0.7, abs=0.05)
        torch.testing.assert_close(one[kept], x[kept] / 0.7)

    def test_whole_channels_are_dropped_too(self):
        with KeyedDropout(Draws.of(3)):
            out = torch.nn.functional.dropout2d(torch.ones(20, 6, 4, 5), 0.5)
        assert set(out.unique().tolist()) == {0.0, 2.0}
        assert (out == out[..., :1, :1]).all()

    def test_what_no_key_decides_is_refused(self):
        with KeyedDropout(Draws.of(3)), pytest.raises(NotImplementedError, match="randn"):
            torch.randn(3)
