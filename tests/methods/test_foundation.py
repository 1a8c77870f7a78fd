"""Foundation models: their form of windows, their weights, what of them is trained, their rows."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch

from bench.cells.cell import Cell
from bench.cells.engine import run_cell
from bench.data.channels import POSITIONS
from bench.data.pair import Pair
from bench.data.windows import Space, Windows
from bench.draws import Draws
from bench.errors import BenchError, IncompatibleError, SettingError
from bench.methods.shared.networks import backbones, foundation, parts
from bench.methods.shared.networks.backbones import BACKBONES, encoder_for
from bench.methods.shared.networks.foundation import FOUNDATIONS
from bench.methods.shared.networks.libraries import braindecode_models
from bench.protocols.few_shot import FewShot
from bench.protocols.scaling import Scaling
from bench.protocols.zero_shot import ZeroShot
from bench.registry import Pretraining, load
from bench.runs import weights
from bench.runs.options import Options
from bench.runs.weights import weights_for, with_weights
from bench.store.records import Store
from bench.store.weights import read_weights
from bench.training import Optimiser, stack, train, unstack

#: The electrodes that SEED and DEAP share.
DEAP = ("FP1 AF3 F3 F7 FC5 FC1 C3 T7 CP5 CP1 P3 P7 PO3 O1 OZ PZ FP2 AF4 FZ F4 F8 FC6 FC2 CZ C4 T8 "
        "CP6 CP2 P4 P8 PO4 O2")


@functools.cache
def raw_pair():
    """Two small corpora of raw windows on these electrodes."""
    names = DEAP.split()
    sides = []
    for k, labels in enumerate((("negative", "positive"), ("low valence", "high valence"))):
        rng = np.random.default_rng(k)
        trial = np.repeat(np.arange(4), 2)
        subject = np.repeat([1, 2], 8)
        sides.append(Windows.from_arrays(
            rng.normal(size=(16, 32, 128)), np.tile(trial % 2, 2), subject=subject,
            trial=np.tile(trial + 1, 2), channels=names, labels=labels, corpus="AB"[k],
            kind="raw", rate=128.0))
    return Pair(*sides, "A:own", "B:own", ("a", "b"))


def space(names=DEAP, seconds=1.0):
    return Space(tuple(names.split()), kind="raw", bands=(), rate=128.0, window_s=seconds)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """LaBraM with one layer, and an empty configuration."""
    make = functools.partial(foundation._labram, num_layers=1)
    tiny = dataclasses.replace(FOUNDATIONS["labram"], make=make)
    monkeypatch.setitem(FOUNDATIONS, "labram", tiny)
    monkeypatch.setitem(BACKBONES, "labram",
                        dataclasses.replace(BACKBONES["labram"], build=tiny.build))
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path / "config" / "corpora.json"))
    for cached in (backbones._template, weights._read):
        cached.cache_clear()
    yield encoder_for("labram", space())
    for cached in (backbones._template, weights._read):
        cached.cache_clear()


def published(encoder, seed=7):
    """A state as its authors would save it: the names of braindecode's network, and its head's."""
    state = encoder.init(Draws.of(seed))
    own = {n.removeprefix("net.core."): t for n, t in state.items() if n.startswith("net.core.")}
    places = own["temporal_embedding"]
    longer = torch.cat([places, torch.zeros(1, 14, places.shape[2])], dim=1)  # of 15 patches
    return {**own, "temporal_embedding": longer, "final_layer.weight": torch.zeros(4, 200)}


def saved(state, folder, name="pytorch_model.bin"):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / name)
    return folder


def safetensors(state):
    """The bytes of a file of safetensors, by its published format."""
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, t in state.items():
        data = t.contiguous().numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(t.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def method(name="foundation", options=None, **params):
    cls = load("methods", name)
    values = cls.parse({"backbone": "labram", **params})
    return cls(with_weights(cls, values, options or Options()))


def cell(made, protocol, pair=None, **more):
    return Cell(made, "set", pair or raw_pair(), protocol, Scaling("auto"), **more)


class TestForm:
    def test_windows_are_resampled_and_filled_up(self):
        from scipy.signal import resample_poly

        x = np.random.default_rng(0).normal(size=(3, 160))  # 1.25 s
        matrix = foundation._resampling(160, 128.0, 200.0, 400)
        expected = resample_poly(x, 25, 16, axis=1, padtype="line")
        np.testing.assert_allclose((x @ matrix)[:, :250], expected, atol=1e-12)
        assert not (x @ matrix)[:, 250:].any()

    def test_biot_has_the_bipolar_channels_of_its_authors(self):
        from bench.methods.shared.networks.libraries import braindecode_models

        braindecode_models()
        from braindecode.models.biot import BIOT_CHANNEL_ORDER

        assert ["-".join(pair) for pair in foundation.BIPOLAR] == BIOT_CHANNEL_ORDER[:16]
        mix = foundation._bipolar(space().channels)
        names = space().channels
        assert mix[0, names.index("FP1")] == 1
        assert mix[0, names.index("F7")] == -1
        assert not mix.sum(axis=1).any()

    def test_channels_are_matched_by_name(self, small):
        x = torch.randn(1, 4, 32, 128, generator=torch.Generator().manual_seed(0))
        p = {n: t[None] for n, t in small.init(Draws.of(0)).items()}
        order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
        other = encoder_for("labram", space(" ".join(DEAP.split()[i] for i in order)))
        torch.testing.assert_close(small(p, x, False), other(p, x[:, :, order], False),
                                   rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("backbone", ["labram", "signaljepa", "eegpt", "biot"])
    def test_strange_channels_are_refused(self, backbone):
        with pytest.raises(IncompatibleError, match="X1|needs channels") as error:
            encoder_for(backbone, space("FP1 F7 X1")).init(Draws.of(0))
        assert "--montage 10-20" in str(error.value)

    def test_another_scaling_is_refused(self):
        with pytest.raises(IncompatibleError, match="labram counts in standard deviations"):
            method().check_scaling("min-max")
        method().check_scaling("z-score")
        method(backbone="biot").check_scaling("min-max")

    def test_reve_names_the_file_it_lacks(self, monkeypatch, tmp_path):
        monkeypatch.setenv("REVE_POSITIONS_PATH", str(tmp_path))
        with pytest.raises(IncompatibleError, match=r"reve needs reve_positions.json") as error:
            encoder_for("reve", space()).init(Draws.of(0))
        assert str(tmp_path / "reve_positions.json") in error.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("backbone", FOUNDATIONS)
def test_every_model_builds_and_takes_a_step(backbone, monkeypatch, tmp_path):
    (tmp_path / foundation.POSITIONS).write_text(json.dumps(POSITIONS))
    monkeypatch.setenv("REVE_POSITIONS_PATH", str(tmp_path))
    encoder = encoder_for(backbone, space())
    before = encoder.init(Draws.of(0))
    model = stack([before], "cpu", torch.float32)
    x = torch.randn(1, 2, 32, 128, generator=torch.Generator().manual_seed(0))

    def step(at):
        return {"total": encoder(model, x, training=True).square().mean((1, 2))}

    train(model, step, epochs=1, steps=1, optimiser=Optimiser(1e-3), names=["model"],
          on_epoch=lambda epoch, losses: None)
    after = unstack(model, 0)
    assert any(not torch.equal(after[n], before[n]) for n in before)
    both = encoder(model, x, training=False)
    alone = torch.cat([encoder(model, x[:, i : i + 1], training=False) for i in range(2)], dim=1)
    assert both.shape == (1, 2, encoder.width)
    torch.testing.assert_close(both, alone, rtol=1e-3, atol=1e-4)


class TestWeights:
    def test_a_row_with_weights_and_one_without(self, small, tmp_path):
        folder = saved(published(small), tmp_path / "w")
        options = Options(weights=folder, features="raw")
        ours = method(options=options)
        found = weights_for(ours, options)
        assert ours.params.weights == f"sha256:{found.digest}"
        names = [(n, p.get("weights")) for n, p in ours.controls() if n == "target-only"]
        assert ("target-only", ours.params.weights) not in names  # that is the method itself
        assert ("target-only", "none") in names
        assert ("target-only", "none") not in [
            (n, p.get("weights")) for n, p in method().controls()]
        other = [p.get("weights") for _, p in method("source-only", options).controls()]
        assert {ours.params.weights, "none"} <= set(other)
        made = [cell(m, FewShot(), weights=w) for m, w in ((ours, found), (method(), None))]
        one, other = (run_cell(own, Store(tmp_path / "runs")) for own in made)
        assert one.id != other.id
        assert one.info["weights"]["licence"] == "MIT"
        assert "SEED" in one.info["weights"]["corpora"]
        assert "weights" not in other.info
        context = dataclasses.replace(made[0].context("fit"), weights=found.state)
        start = backbones.started(small, context)
        assert torch.equal(start["net.core.cls_token"], found.state["cls_token"])
        places = start["net.core.temporal_embedding"]
        assert torch.equal(places, found.state["temporal_embedding"][:, : places.shape[1]])

    def test_a_model_that_saw_the_target_is_never_ranked(self, small, tmp_path):
        folder = saved(published(small), tmp_path / "w")
        options = Options(weights=folder)
        ours = method(options=options)
        pair = dataclasses.replace(raw_pair(), target_name="SEED:3")
        seen = cell(ours, ZeroShot(), pair, weights=weights_for(ours, options))
        assert seen.kind == "oracle"
        record = run_cell(seen, Store(tmp_path / "runs"))
        assert record.kind == "oracle"
        assert any("never ranked" in notice for notice in record.notices)
        assert cell(method(), ZeroShot(), pair).kind == "method"

    def test_what_was_read_first_is_compared(self, small, tmp_path):
        folder = saved(published(small), tmp_path / "w")
        first = method(options=Options(weights=folder)).params.weights
        assert weights_for(method(weights=first), Options()).name == first  # where it was
        saved(published(small, seed=8), folder)
        with pytest.raises(BenchError, match="holds other weights than when it was first read"):
            method(options=Options(weights=folder))

    def test_other_weights_than_the_record_s_are_refused(self, small, tmp_path):
        first = method(options=Options(weights=saved(published(small), tmp_path / "a")))
        elsewhere = Options(weights=saved(published(small, seed=8), tmp_path / "b"))
        with pytest.raises(IncompatibleError, match="holds other weights of labram than are asked"):
            weights_for(first, elsewhere)
        with pytest.raises(IncompatibleError, match="it is not known where they are"):
            weights_for(method(weights="sha256:" + "0" * 64), Options())

    def test_safetensors_are_read_as_they_stand(self, small, tmp_path):
        state = published(small)
        (tmp_path / "model.safetensors").write_bytes(safetensors(state))
        found = read_weights(tmp_path / "model.safetensors").state
        assert set(found) == set(state)
        assert all(torch.equal(found[n], t) for n, t in state.items())

    @pytest.mark.parametrize("change", [
        lambda s: {**s, "cls_token": s["cls_token"][..., :5]},
        lambda s: {n: t for n, t in s.items() if n != "cls_token"},
        lambda s: {**s, "strange": torch.zeros(3)},
    ])
    def test_weights_of_another_network_are_refused(self, small, tmp_path, change):
        folder = saved(change(published(small)), tmp_path / "w")
        ours = method(options=Options(weights=folder))
        given = cell(ours, FewShot(), weights=weights_for(ours, Options()))
        with pytest.raises(IncompatibleError, match="these are no weights of labram: ") as error:
            given.check()
        assert "braindecode/labram-pretrained" in error.value.hint

    def test_hostile_files_are_refused(self, tmp_path, monkeypatch):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / "made"), "w"))

        (tmp_path / "a.bin").write_bytes(pickle.dumps({"x": Evil()}))
        torch.save({"x": Evil()}, tmp_path / "b.bin")
        torch.save({"x": "text"}, tmp_path / "c.bin")
        torch.save({"x": torch.tensor([float("nan")])}, tmp_path / "d.bin")
        (tmp_path / "e.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
        whole = safetensors({"x": torch.zeros(4)})
        (tmp_path / "f.safetensors").write_bytes(whole.replace(b"[4]", b"[9]"))
        (tmp_path / "g.safetensors").write_bytes(whole[:-4])
        (tmp_path / "h.safetensors").write_bytes(whole.replace(b"[0, 16]", b"[0,-16]"))
        with zipfile.ZipFile(tmp_path / "i.bin", "w") as bomb:
            bomb.writestr("data.pkl", b"cos\nsystem\n(S'true'\ntR.")
        torch.save({"x": torch.zeros(4)}, tmp_path / "j.bin")
        monkeypatch.setattr("bench.store.weights.LARGEST", 800)
        for path in sorted(tmp_path.iterdir()):
            with pytest.raises(BenchError, match=r"are refused: "):
                read_weights(path)
        assert not (tmp_path / "made").exists()

    def test_a_hub_that_cannot_be_reached_names_the_folder(self, small, monkeypatch, tmp_path):
        braindecode_models()  # it takes more of the hub than this one has

        class Hub:
            @staticmethod
            def hf_hub_download(*args, **kwargs):
                raise OSError("no route to host")

        monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", Hub)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BenchError, match="could not be had from .*: no route to host") as error:
            method(options=Options(weights="hub"))
        assert str(weights.weights_folder("labram")) in error.value.hint
        saved(published(small), weights.weights_folder("labram"))
        assert method(options=Options(weights="hub")).params.weights != "none"

    @pytest.mark.parametrize(("module", "said"), [
        (None, "is not installed"), ("raise ImportError('no ssl')", "cannot be imported: no ssl")])
    def test_without_the_library_of_the_hub_it_says_how_to_get_it(
        self, small, monkeypatch, tmp_path, module, said
    ):
        braindecode_models()
        modules = __import__("sys").modules
        monkeypatch.delitem(modules, "huggingface_hub", raising=False)
        if module is None:
            real = importlib.import_module

            def without(name, package=None):
                if name == "huggingface_hub":
                    raise ModuleNotFoundError(f"No module named '{name}'", name=name)
                return real(name, package)

            monkeypatch.setattr(importlib, "import_module", without)
        else:
            (tmp_path / "huggingface_hub.py").write_text(module)
            monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.chdir(tmp_path)
        with pytest.raises(BenchError, match="needs the library huggingface_hub") as error:
            method(options=Options(weights="hub"))
        assert said in error.value.message
        assert "pip install huggingface_hub" in error.value.hint
        assert "--weights DIR" in error.value.hint

    def test_a_folder_must_hold_one_file_of_a_backbone_that_has_any(self, small, tmp_path):
        with pytest.raises(SettingError, match="is no folder"):
            method(options=Options(weights=tmp_path / "nowhere"))
        saved({}, tmp_path, "a.pt")
        saved({}, tmp_path, "b.pt")
        with pytest.raises(SettingError, match=r"must hold one file .* a.pt, b.pt"):
            method(options=Options(weights=tmp_path))
        with pytest.raises(SettingError, match="backbone eegnet of foundation has no published"):
            method(options=Options(weights=tmp_path), backbone="eegnet")
        with pytest.raises(SettingError, match="parameters name their sum"):
            method(weights="/some/where")


class TestParts:
    @staticmethod
    def fitted(small, **params):
        """Encoder before and after a last step."""
        pair = raw_pair()
        fold = FewShot().folds(pair, 0).folds[0]
        made = method("source-only", fit_epochs=2, fit_batch=16, fit_average=0.0, **params)
        context = cell(made, FewShot()).context("fit")
        predictor = made.fit(fold.view, None, context)
        start = small.init(context.draws("init"))
        return start, predictor.state

    def test_low_rank_changes_are_added_to_linear_maps_alone(self, small):
        start, end = self.fitted(small, finetune="lora", fit_rank=2)
        assert not [n for n in end if n.startswith("lora.")]
        linear = set(backbones.linear_weights(small))
        changed = {n for n in start if ".running_" not in n and not torch.equal(start[n], end[n])}
        assert changed
        assert changed <= linear
        for name in changed:
            values = torch.linalg.svdvals((end[name] - start[name]).double())
            assert (values[2:] < 1e-5 * values[0]).all()

    def test_of_some_the_last_layers_alone_are_trained(self, small):
        start, end = self.fitted(small, finetune="partial", fit_layers=1)
        changed = {n for n in start if ".running_" not in n and not torch.equal(start[n], end[n])}
        assert changed
        assert any(n.startswith("net.core.norm.") for n in changed)
        assert all(n.startswith(("net.core.blocks.0.", "net.core.norm.")) for n in changed)

    def test_layers_are_blocks_or_what_holds_a_tensor(self):
        de = encoder_for("cnn", Space(("FP1", "FP2")))
        trained = parts.last_layers(de, 1)
        assert trained("conv3.weight")
        assert trained("bn3.bias")
        assert trained("head1.weight")
        assert not trained("conv2.weight")
        with pytest.raises(IncompatibleError, match="of which this backbone has none"):
            parts.low_rank(de, 4, Draws.of(0))


def test_what_may_have_seen_the_target_counts_as_having():
    assert FOUNDATIONS["labram"].trained_on.saw("seed-iv")
    assert not FOUNDATIONS["biot"].trained_on.saw("SEED")
    assert FOUNDATIONS["reve"].trained_on.saw("DEAP")
    assert not Pretraining("a/b", "MIT", ("SEED",)).saw("SEED-V")


def test_the_documentation_says_what_is_enforced():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()
    for name, model in FOUNDATIONS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        known = model.trained_on
        for said in (f"{model.form.rate:g} Hz", model.form.unit, model.form.channels,
                     known.licence, *known.corpora):
            assert said in row, (name, said)
