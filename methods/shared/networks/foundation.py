"""Foundation models: networks that their authors pre-trained on other EEG, as backbones.

The networks are braindecode's. Each is handed raw windows in the form it was trained on: at its
rate (resampled), in whole patches (zeros at the end), in its unit, in its channels. Without weights
the same architecture, freshly initialised, is what the weights are worth; see
:mod:`bench.store.weights` for where these come from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.channels import position
from bench.errors import BenchError, IncompatibleError
from bench.method import Pretraining

from .layers import WindowShape
from .libraries import braindecode_models

#: Standard deviation of 4-45 Hz EEG in microvolts, for which one of a z-scored channel is taken.
MICROVOLTS = 10.0


@dataclass(frozen=True)
class Form:
    """The form of windows that a model was trained on.

    Attributes
    ----------
    rate : float
        Samples a second.
    patch : int
        Samples of a patch: windows are filled with zeros up to a whole number of them.
    least : int
        Fewest samples.
    gain : float
        What a standard deviation of a z-scored channel is multiplied by; 0: each window and
        channel is divided by the 95 % quantile of its size, as BIOT's authors do.
    unit : str
        What that stands for, for the documentation.
    channels : str
        How channels are matched, for the documentation.
    """

    rate: float
    patch: int
    unit: str
    channels: str
    least: int = 0
    gain: float = 1.0

    def length(self, given: WindowShape) -> int:
        """Samples of a window for the model."""
        resampled = max(self.least, _resampled(given.features, given.rate, self.rate))
        return -(-resampled // self.patch) * self.patch


@dataclass(frozen=True)
class Foundation:
    """A foundation model.

    Attributes
    ----------
    title, paper : str
    form : Form
    trained_on : Pretraining
        What published weights were trained on.
    make : callable
        ``make(names, length)`` gives braindecode's module for channels of these names.
    encode : callable
        ``encode(module, x)`` gives encodings (B, ...) of windows in the model's form.
    mix : callable or None
        ``mix(names)`` gives the model's channels as weights (out, in) of ours.
    unused : tuple of str
        Beginnings of names of tensors in published weights that an encoder has no use for.
    """

    title: str
    paper: str
    form: Form
    trained_on: Pretraining
    make: Callable[[tuple[str, ...], int], nn.Module]
    encode: Callable[[Any, Tensor], Tensor]
    mix: Callable[[tuple[str, ...]], np.ndarray] | None = None
    unused: tuple[str, ...] = ("final_layer.",)

    def build(self, given: WindowShape) -> nn.Module:
        """A fresh module from our windows (B, C, F) to (B, ...).

        Raises
        ------
        ValueError
            The channels or the length are none that the model can take.
        """
        braindecode_models()  # before anything of it is imported by its own name
        from mne.utils import use_log_level

        with use_log_level("ERROR"):
            return FoundationModule(self, given)


class FoundationModule(nn.Module):
    """A foundation model on windows as the harness has them; its own network is ``core``.

    Parameters
    ----------
    model : Foundation
    given : WindowShape
    """

    def __init__(self, model: Foundation, given: WindowShape) -> None:
        super().__init__()
        if not given.names:
            raise ValueError("it must know the names of the channels")
        self.model, length = model, model.form.length(given)
        names = given.names
        self.mixing: Tensor | None = None
        if model.mix is not None:
            self.mixing = torch.from_numpy(model.mix(names)).float()
        self.resampling = torch.from_numpy(
            _resampling(given.features, given.rate, model.form.rate, length)).float()
        self.core = model.make(names, length)
        for part in self.core.modules():
            if isinstance(part, nn.MultiheadAttention):
                part.dropout = 0.0  # fused kernels would draw it by no key

    def forward(self, x: Tensor) -> Tensor:
        """Encodings (B, ...) of windows (B, C, F)."""
        if self.mixing is not None:
            x = self.mixing.to(x) @ x
        x = x @ self.resampling.to(x)
        gain = self.model.form.gain or 1 / (
            torch.quantile(x.abs(), 0.95, dim=2, keepdim=True) + 1e-8)
        return self.model.encode(self.core, x * gain)


#: Names of tensors of a model's own network, in a state.
CORE = "net.core."


def fitted(
    backbone: str, module: Any, state: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Published weights under the names of a state, which must have all of its own network's.

    Raises
    ------
    IncompatibleError
        A tensor is missing, of another shape, or none of the model's.
    """
    model, renamed = FOUNDATIONS[backbone], getattr(module.core, "mapping", None) or {}
    given = {renamed.get(n, n): t for n, t in weights.items()
             if not n.startswith(model.unused)}
    wanted = {n.removeprefix(CORE): t for n, t in state.items() if n.startswith(CORE)}
    buffers = {n for n, _ in module.core.named_buffers()}
    amiss = [f"{n} is missing" for n in wanted if n not in given]
    amiss += [f"{n} is none of its own" for n in given if n not in wanted and n not in buffers]
    out = {}
    for name, own in wanted.items():
        t = given.get(name, own)
        if name == SHORTENED and t.dim() == own.dim() and t.shape[1] > own.shape[1]:
            t = t[:, : own.shape[1]]  # places of later patches, which shorter windows have not
        if t.shape != own.shape:
            amiss.append(f"{name} is {tuple(t.shape)}, not {tuple(own.shape)}")
        out[CORE + name] = t.to(own)
    if amiss:
        rest = f", and {len(amiss) - 3} more" if len(amiss) > 3 else ""
        raise IncompatibleError(
            f"these are no weights of {backbone}: {'; '.join(amiss[:3])}{rest}",
            f"Weights that fit: {model.trained_on.repository} on the Hugging Face hub.",
        )
    return out


#: Tensor of places in time, of which LaBraM uses as many as a window has patches.
SHORTENED = "temporal_embedding"


def _resampled(samples: int, rate: float, to: float) -> int:
    """Samples of a window at another rate."""
    share = Fraction(to / rate).limit_denominator(1000)
    return -(-samples * share.numerator // share.denominator)


def _resampling(samples: int, rate: float, to: float, length: int) -> np.ndarray:
    """Matrix (samples, length) that resamples a window by a polyphase filter, and fills it up."""
    from scipy.signal import resample_poly

    share = Fraction(to / rate).limit_denominator(1000)
    matrix = resample_poly(
        np.eye(samples), share.numerator, share.denominator, axis=1, padtype="line")
    return np.pad(matrix, [(0, 0), (0, length - matrix.shape[1])])


def _made(name: str, length: int, rate: float, **settings: Any) -> Any:
    """A model of braindecode for windows of ``length`` samples."""
    return getattr(braindecode_models(), name)(
        n_times=length, n_outputs=2, sfreq=rate, input_window_seconds=length / rate, **settings)


def _need(model: str, names: tuple[str, ...], known: Mapping[str, Any] | set[str]) -> None:
    """Refuse channels that a model does not know.

    Raises
    ------
    ValueError
    """
    strange = [n for n in names if n not in known]
    if strange:
        raise ValueError(f"{model} knows no channel {', '.join(strange)}: use --montage 10-20")


def _places(names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Names and positions as braindecode takes them; on a sphere of 9.5 cm, in metres."""
    try:
        return [{"ch_name": n, "kind": "eeg", "loc": 0.095 * position(n)} for n in names]
    except BenchError as error:
        raise ValueError(str(error).splitlines()[0]) from error


# --- LaBraM -----------------------------------------------------------------------------------

def _labram(names: tuple[str, ...], length: int, **settings: Any) -> nn.Module:
    from braindecode.models.labram import LABRAM_CHANNEL_ORDER

    _need("labram", names, {n.upper() for n in LABRAM_CHANNEL_ORDER})
    module = _made("Labram", length, 200.0, n_chans=len(names), **settings)
    module.final_layer, module.own_names = nn.Identity(), list(names)
    return module


def _encode_labram(module: Any, x: Tensor) -> Tensor:
    """Mean of all patches, as the authors fine-tune."""
    tokens: Tensor = module(x, return_features=True, ch_names=module.own_names)["features"]
    return tokens.mean(dim=1)


# --- BIOT -------------------------------------------------------------------------------------

#: Chains of electrodes: their neighbours are the first 16 channels of the authors' montage, in its
#: order; its last two need the ears.
CHAINS = (("FP1", "F7", "T7", "P7", "O1"), ("FP2", "F8", "T8", "P8", "O2"),
          ("FP1", "F3", "C3", "P3", "O1"), ("FP2", "F4", "C4", "P4", "O2"))
BIPOLAR = tuple(pair for chain in CHAINS for pair in itertools.pairwise(chain))


def _bipolar(names: tuple[str, ...]) -> np.ndarray:
    """Differences of neighbouring electrodes (16, channels)."""
    missing = sorted({n for pair in BIPOLAR for n in pair} - set(names))
    if missing:
        raise ValueError(f"biot needs channels {', '.join(missing)}: use --montage 10-20")
    out = np.zeros((len(BIPOLAR), len(names)))
    for row, (one, other) in zip(out, BIPOLAR, strict=True):
        row[names.index(one)], row[names.index(other)] = 1.0, -1.0
    return out


def _biot(names: tuple[str, ...], length: int) -> nn.Module:
    module = _made("BIOT", length, 200, n_chans=len(BIPOLAR),
                   att_layer_drop_prob=0.0)  # whose draws no key decides
    module.final_layer = nn.Identity()
    return module


# --- CBraMod ----------------------------------------------------------------------------------

def _cbramod(names: tuple[str, ...], length: int) -> nn.Module:
    return _made("CBraMod", length, 200.0, n_chans=len(names), return_encoder_output=True)


# --- SignalJEPA -------------------------------------------------------------------------------

def _signaljepa(names: tuple[str, ...], length: int) -> nn.Module:
    from braindecode.models.signal_jepa import _PRETRAIN_CHS_INFO

    known = {info["ch_name"].upper(): info for info in _PRETRAIN_CHS_INFO}
    _need("signaljepa", names, known)
    module = _made("SignalJEPA", length, 128.0, chs_info=[dict(known[n]) for n in names],
                   channel_embedding="pretrain_aligned")
    module.transformer.decoder = nn.Identity()  # of the pre-training alone
    return module


def _encode_signaljepa(module: Any, x: Tensor) -> Tensor:
    """Mean over time of the tokens of each channel."""
    tokens: Tensor = module(x)
    return tokens.unflatten(1, (x.shape[1], -1)).mean(dim=2)


# --- LUNA -------------------------------------------------------------------------------------

def _luna(names: tuple[str, ...], length: int) -> nn.Module:
    module = _made("LUNA", length, 256.0, chs_info=_places(names), n_chans=len(names))
    module.final_layer = nn.Identity()
    return module


# --- EEGPT ------------------------------------------------------------------------------------

def _eegpt(names: tuple[str, ...], length: int) -> nn.Module:
    from braindecode.models.eegpt import EEGPT_CHANNELS

    _need("eegpt", names, set(EEGPT_CHANNELS))
    return _made("EEGPT", length, 256.0, chs_info=[{"ch_name": n} for n in names],
                 n_chans=len(names), return_encoder_output=True, chan_proj_type="none")


# --- BENDR ------------------------------------------------------------------------------------

def _bendr(names: tuple[str, ...], length: int) -> nn.Module:
    return _made("InterpolatedBENDR", length, 256.0, chs_info=_places(names), final_layer=False)


# --- REVE -------------------------------------------------------------------------------------

#: What REVE cannot be built without: positions of electrodes that its authors keep on the hub.
POSITIONS = "reve_positions.json"


def _reve(names: tuple[str, ...], length: int) -> nn.Module:
    place = reve_positions()
    if not place.is_file():
        raise IncompatibleError(
            f"backbone reve needs {POSITIONS}, positions of electrodes that its authors keep on "
            "the Hugging Face hub (brain-bzh/reve-positions)",
            f"Put that file at {place}",
        )
    module = _made("REVE", length, 200.0, chs_info=[{"ch_name": n} for n in names],
                   n_chans=len(names))
    _need("reve", names, module._position_bank.mapping)
    module.final_layer = nn.Identity()
    return module


def reve_positions() -> Path:
    """Where braindecode looks for REVE's positions."""
    from mne import get_config

    place = get_config("REVE_POSITIONS_PATH") or get_config("MNE_DATA") or "~/mne_data"
    return Path(place).expanduser() / POSITIONS


#: Weights were trained on what stands beside their licence; corpora that the harness knows have its
#: names.
FOUNDATIONS: dict[str, Foundation] = {
    "labram": Foundation(
        "LaBraM, a transformer of patches of channels", "Jiang et al. 2024, 2405.18765",
        Form(200.0, 200, "0.1 mV: a standard deviation is taken for 10 µV", "by name, of 128",
             gain=MICROVOLTS / 100),
        Pretraining(
            "braindecode/labram-pretrained", "MIT",
            ("SEED", "SEED-IV", "SEED-GER", "SEED-FRA", "PhysioNet Motor Imagery", "TUAR", "TUEP",
             "TUSZ", "TUSL", "Siena", "others, 2,500 h in all")),
        _labram, _encode_labram),
    "biot": Foundation(
        "BIOT, a transformer of spectra of channels", "Yang et al. 2023, 2305.10351",
        Form(200.0, 200, "each window and channel by the 95 % quantile of its size",
             "16 bipolar ones of the 10-20 system", gain=0.0),
        Pretraining("braindecode/biot-pretrained-prest-16chs", "MIT", ("PREST",)),
        _biot, lambda module, x: module.encoder(x), mix=_bipolar),
    "cbramod": Foundation(
        "CBraMod, attention across channels and along time", "Wang et al. 2025, 2412.07236",
        Form(200.0, 200, "0.1 mV: a standard deviation is taken for 10 µV", "any, in their order",
             gain=MICROVOLTS / 100),
        Pretraining("braindecode/cbramod-pretrained", "MIT", ("TUEG",)),
        _cbramod, lambda module, x: module(x).mean(dim=2)),
    "signaljepa": Foundation(
        "SignalJEPA, encoder and transformer of local features",
        "Guetschel et al. 2024, 10.3217/978-3-99161-014-4-003",
        Form(128.0, 8, "µV: a standard deviation is taken for 10 µV", "by name, of 62",
             least=152, gain=MICROVOLTS),
        Pretraining("braindecode/signal-jepa", "not stated", ("Lee2019",)),
        _signaljepa, _encode_signaljepa, unused=("final_layer.", "transformer.decoder.")),
    "luna": Foundation(
        "LUNA, learnt queries that unify channels, base size", "Döner et al. 2025, 2510.22257",
        Form(256.0, 40, "standard deviations", "by position"),
        Pretraining("PulpBio/LUNA", "CC BY-ND 4.0", ("TUEG", "Siena"), "LUNA_base.safetensors"),
        _luna, lambda module, x: module(x).mean(dim=1),
        unused=("final_layer.", "decoder_head.", "channel_emb.")),
    "eegpt": Foundation(
        "EEGPT, a transformer with summary tokens", "Wang et al. 2024, NeurIPS 37",
        Form(256.0, 64, "mV: a standard deviation is taken for 10 µV", "by name, of 58",
             gain=MICROVOLTS / 1000),
        Pretraining("braindecode/eegpt-pretrained", "Apache-2.0",
                    ("SEED", "PhysioNet Motor Imagery", "TSU benchmark", "M3CV")),
        _eegpt, lambda module, x: module(x).mean(dim=1),
        unused=("final_layer.", "chan_proj.", "predictor.", "reconstructor.", "chans_id")),
    "bendr": Foundation(
        "BENDR, convolutions and a transformer", "Kostas et al. 2021, 2101.12037",
        Form(256.0, 96, "standard deviations, a tenth", "interpolated (spherical splines) to 20",
             gain=0.1),
        Pretraining("braindecode/braindecode-bendr", "not stated", ("TUEG",)),
        _bendr, lambda module, x: module(x)),
    "reve": Foundation(
        "REVE, a transformer with positions in space and time",
        "El Ouahidi et al. 2025, 2510.21585",
        Form(200.0, 200, "standard deviations", "by position, of the authors' file"),
        Pretraining("brain-bzh/reve-base", "by agreement with the authors",
                    ("92 data sets, whose list could not be read",), complete=False),
        _reve, lambda module, x: module(x, return_features=True)["features"].mean(dim=(1, 2)),
        unused=("final_layer.", "cls_query_token")),
}
