"""Backbones: the encoders that every network method can be run with.

One table: a name, what the network works on, and how it is built. A new one is an entry here. The
SCMM CNN (:mod:`.networks`) and the perceptron are pure functions of stacked parameters; networks
of other libraries are torch modules, wrapped so that they look the same from outside.
"""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data.windows import Space
from bench.draws import Draws
from bench.errors import IncompatibleError, UnknownNameError
from bench.method import Context, Pretraining

from . import foundation
from .electrodes import GraphEncoder, Hemispheres
from .foundation import FOUNDATIONS
from .layers import MOMENTUM, ConvEncoder, Encoder, MlpEncoder, State, WindowShape
from .libraries import braindecode_models, torcheeg_models

#: What ``backbone=auto`` stands for on each kind of windows.
DEFAULT = {"de": "cnn", "raw": "eegnet"}
#: Stands before the names of a wrapped module's tensors.
PREFIX = "net."
#: Buffer (3,) of a wrapped module: key of its dropout in two parts, and passes made so far. Whole
#: numbers below 2^24 are exact in float32.
DRAWS = PREFIX + "dropout.running_draws"
_WHOLE = 2**24
#: Windows that a foundation model encodes at once, where it is not trained.
AT_ONCE = 256
#: Stands before the names of low-rank changes of the wrapped module's linear maps.
LORA = "lora."


@dataclass(frozen=True)
class Backbone:
    """An entry of the table.

    Attributes
    ----------
    title, paper : str
    kind : {"de", "raw"}
        Windows it works on.
    build : callable
        ``build(given)`` gives a torch module from (B, C, F) to (B, ...), freshly initialised by
        torch's global generator, of what it is told of the windows. None for our own encoders.
    trained_on : Pretraining or None
        Of a network whose authors published weights: what it was trained on.
    """

    title: str
    paper: str
    kind: str
    build: Callable[[WindowShape], nn.Module] | None = None
    trained_on: Pretraining | None = None


def _dgcnn(given: WindowShape) -> nn.Module:
    module = torcheeg_models().DGCNN(
        in_channels=given.features, num_electrodes=given.channels, hid_channels=32, num_layers=2
    )
    module.fc2 = nn.Identity()
    return module


class Lgg(nn.Module):
    """torcheeg's LGGNet on windows (B, C, F), its graphs the regions that electrodes lie in.

    Its parts, in the order of the authors' code (yi-ding-cs/LGG@b1399c2 networks.py): torcheeg
    leaves out the convolution across kernels, and attends to channels in its place.
    """

    def __init__(self, given: WindowShape) -> None:
        super().__init__()
        self.core = torcheeg_models().LGGNet(
            region_list=regions(given.names), num_electrodes=given.channels,
            chunk_size=given.features, sampling_rate=round(given.rate),
        )
        self.core.fc, self.core.cbam = self.core.fc[0], nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Encodings (B, regions * 32)."""
        core = self.core
        h = torch.cat([block(x.unsqueeze(1)) for block in (
            core.t_block1, core.t_block2, core.t_block3)], dim=3)
        h = core.bn_t2(core.conv1x1(core.bn_t1(h)))
        h = core.aggregate.forward(core.local_filter(h.transpose(1, 2).flatten(2)))
        h = core.bn_g2(core.gcn(core.bn_g1(h), self._links(h)))
        return core.fc(h.flatten(1))

    def _links(self, x: Tensor) -> Tensor:
        """Links (B, regions, regions) of regions (B, regions, D).

        torcheeg looks on the host for regions without any; linked to itself, none is.
        """
        own = self.core.global_adj
        links = torch.relu(x @ x.mT * (own + own.mT))
        links = links + torch.eye(links.shape[1], device=x.device)
        scale = links.sum(dim=2).rsqrt()
        return scale.unsqueeze(2) * links * scale.unsqueeze(1)


#: Letters that electrodes begin with, region by region; those of the temporal ones by side.
_REGIONS = (("FP",), ("AF",), ("F",), ("FC",), ("C",), ("CP",), ("P",), ("PO",), ("O", "CB", "I"))
_TEMPORAL = ("T", "FT", "TP")


def regions(names: Sequence[str]) -> list[list[int]]:
    """Places of the electrodes of each region of LGGNet's general graph, left before right.

    Raises
    ------
    ValueError
        Channels whose names tell no region.
    """
    letters = [re.sub("(Z|[0-9]+)H?$", "", n) for n in names]
    groups = [[i for i, own in enumerate(letters) if own in region] for region in _REGIONS]
    odd = [bool(re.search("[13579]H?$", n)) for n in names]
    groups += [[i for i, own in enumerate(letters) if own in _TEMPORAL and odd[i] is left]
               for left in (True, False)]
    told = {i for group in groups for i in group}
    if len(told) < len(names) or not names:
        strange = ", ".join(n for i, n in enumerate(names) if i not in told) or "none named"
        raise ValueError(f"no region is known of {strange}")
    return [group for group in groups if group]


#: Deep4Net was made for windows of 500 samples; its four blocks fit shorter ones with these.
_SHORT_DEEP4 = {
    "pool_time_length": 2, "pool_time_stride": 2, "filter_length_2": 5, "filter_length_3": 5,
    "filter_length_4": 5,
}
_DEEP4_FROM = 441


def _deep4(given: WindowShape) -> nn.Module:
    settings = _SHORT_DEEP4 if given.features < _DEEP4_FROM else {}
    return _braindecode("Deep4Net", **settings)(given)


def _braindecode(name: str, **settings: Any) -> Callable[[WindowShape], nn.Module]:
    def build(given: WindowShape) -> nn.Module:
        module = getattr(braindecode_models(), name)(
            n_chans=given.channels, n_times=given.features, n_outputs=2, sfreq=given.rate,
            input_window_seconds=given.features / given.rate, **settings,
        )
        last = module.final_layer
        # ATCNet has one classifier for each of its sliding windows, and averages over them.
        module.final_layer = (
            nn.ModuleList(nn.Identity() for _ in last) if isinstance(last, nn.ModuleList)
            else nn.Identity()
        )
        return module

    return build


BACKBONES: dict[str, Backbone] = {
    "cnn": Backbone("CNN of SCMM, three convolutions over bands", "Liu et al. 2025, 2408.09186",
                    "de"),
    "mlp": Backbone("perceptron, two hidden layers with batch normalisation",
                    "Rumelhart et al. 1986", "de"),
    "dgcnn": Backbone("graph convolutions over learnt links of channels",
                      "Song et al. 2018, 10.1109/TAFFC.2018.2817622", "de", _dgcnn),
    "eegnet": Backbone("EEGNet, depthwise and separable convolutions",
                       "Lawhern et al. 2018, 1611.08024", "raw", _braindecode("EEGNet")),
    "shallow": Backbone("ShallowFBCSPNet, log power of learnt filters",
                        "Schirrmeister et al. 2017, 1703.05051", "raw",
                        _braindecode("ShallowFBCSPNet")),
    "deep4": Backbone("Deep4Net, four blocks of convolution and pooling",
                      "Schirrmeister et al. 2017, 1703.05051", "raw", _deep4),
    "tsception": Backbone("TSception, temporal kernels of several lengths, hemispheres",
                          "Ding et al. 2022, 2104.02935", "raw", _braindecode("TSception")),
    "eegconformer": Backbone("EEGConformer, convolutions and a transformer",
                             "Song et al. 2023, 10.1109/TNSRE.2022.3230250", "raw",
                             _braindecode("EEGConformer")),
    "atcnet": Backbone("ATCNet, attention and temporal convolutions on sliding windows",
                       "Altaheri et al. 2023, 10.1109/TII.2022.3197419", "raw",
                       _braindecode("ATCNet")),
    "lggnet": Backbone("LGGNet, temporal kernels, graphs within and between regions",
                       "Ding et al. 2023, 2105.02786", "raw", Lgg),
}
BACKBONES |= {
    name: Backbone(model.title, model.paper, "raw", model.build, model.trained_on)
    for name, model in FOUNDATIONS.items()
}


def known_backbone(name: str) -> str:
    """The name itself, in the table's spelling.

    Raises
    ------
    UnknownNameError
        Suggests the nearest.
    """
    if name.lower() not in ("auto", *BACKBONES):
        raise UnknownNameError("backbone", name, ("auto", *BACKBONES))
    return name.lower()


def check_kind(name: str, kind: str) -> None:
    """Refuse a backbone that does not work on windows of a kind.

    Raises
    ------
    IncompatibleError
        Names those that do.
    """
    if name != "auto" and BACKBONES[name].kind != kind:
        fitting = ", ".join(n for n, b in BACKBONES.items() if b.kind == kind)
        option = "raw" if BACKBONES[name].kind == "raw" else "bench"
        raise IncompatibleError(
            f"backbone {name} works on {BACKBONES[name].kind} windows, not on {kind}",
            f"Use --features {option}, or one of: {fitting}.",
        )


def check_channels(name: str, space: Space) -> None:
    """Refuse channels that a foundation model does not know, before anything is trained.

    Raises
    ------
    IncompatibleError
    """
    if name in FOUNDATIONS:
        _template(encoder_for(name, space))  # built once, and kept for the training


def check_unit(name: str, scaling: str) -> None:
    """Refuse a scaling after which a foundation model does not know what a number stands for.

    Raises
    ------
    IncompatibleError
    """
    if name in FOUNDATIONS and FOUNDATIONS[name].form.gain and scaling != "z-score":
        raise IncompatibleError(
            f"backbone {name} counts in standard deviations of a channel ("
            f"{FOUNDATIONS[name].form.unit}), which {scaling} does not leave",
            "Use --scaling z-score, the default of raw windows.",
        )


def started(encoder: Encoder, ctx: Context) -> State:
    """Parameters that a training starts from: fresh ones, or published ones where there are any."""
    state = encoder.init(ctx.draws("init"))
    return state if ctx.weights is None else loaded(encoder, state, ctx.weights)


def loaded(encoder: Encoder, state: State, weights: Mapping[str, Tensor]) -> State:
    """A fresh state with published weights in the places of its own.

    Raises
    ------
    IncompatibleError
        Names or shapes are not those of the backbone.
    """
    if not isinstance(encoder, ModuleEncoder) or encoder.backbone not in FOUNDATIONS:
        raise IncompatibleError("this backbone has no published weights")
    core, _ = _template(encoder)
    return {**state, **foundation.fitted(encoder.backbone, core, state, weights)}


def encoder_for(name: str, space: Space) -> Encoder:
    """Encoder of windows of a space.

    Raises
    ------
    IncompatibleError
        The backbone does not work on such windows.
    """
    check_kind(name, space.kind)
    name = DEFAULT[space.kind] if name == "auto" else name
    shape: dict[str, Any] = {"channels": len(space.channels), "features": space.width}
    if name != "cnn":
        shape["backbone"] = name
    if BACKBONES[name].build is not None:
        shape |= {"rate": space.rate, "names": space.channels, "seconds": space.window_s}
    return encoder_from(shape)


def encoder_from(shape: Mapping[str, Any]) -> Encoder:
    """Encoder of the shape that a saved model names."""
    if "rows" in shape:
        parts = {side: encoder_from(shape[side]) for side in ("left", "right")}
        rows = tuple(tuple(side) for side in shape["rows"])
        return Hemispheres(**{**shape, **parts, "rows": rows})
    name = shape.get("backbone", "cnn")
    if name == "graph":
        return GraphEncoder(**{**shape, "names": tuple(shape["names"])})
    if name == "cnn":
        return ConvEncoder(**shape)
    if name == "mlp":
        return MlpEncoder(**shape)
    return ModuleEncoder(**{**shape, "names": tuple(shape.get("names", ()))})


@dataclass(frozen=True)
class ModuleEncoder(Encoder):
    """A torch module as a pure function of stacked parameters.

    Parameters and running statistics stand in the state, model by model; the module itself only
    lends its structure. Models are run one after the other. What dropout draws depends on the
    model's own key and on how many passes it has made, both kept in its state, not on who shares
    the stack, on the device or on torch's generators.

    Attributes
    ----------
    backbone : str
        Entry of the table.
    rate : float
        Samples per second; 0 for differential entropy.
    names : tuple of str
        Of the channels; a model that was saved before networks were told has none.
    seconds : float
        Length of a window.
    """

    backbone: str
    rate: float = 0.0
    names: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def given(self) -> WindowShape:
        """What the network is told of its windows."""
        return WindowShape(self.names, self.channels, self.features, self.rate, self.seconds)

    @property
    def raw(self) -> bool:
        """Whether features are samples in time."""
        return self.rate > 0

    @property
    def width(self) -> int:
        """Length of the flattened output."""
        return _template(self)[1]

    def init(self, g: Draws) -> State:
        """Fresh parameters of one model, as the module initialises itself."""
        seed = g.seed()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = _build(self)
        draws = torch.tensor([float(seed // _WHOLE % _WHOLE), float(seed % _WHOLE), 0.0])
        return {PREFIX + n: t.detach().clone() for n, t in _tensors(module)} | {DRAWS: draws}

    def __call__(self, p: State, x: Tensor, training: bool, dropout: bool = True) -> Tensor:
        """Encode windows (K, B, C, F) to (K, B, width).

        ``training`` uses statistics of the batch, updates the running ones and drops out;
        ``dropout=False`` leaves out the latter.
        """
        module, _ = _template(self)
        for part in module.modules():
            norm = isinstance(part, nn.modules.batchnorm._BatchNorm)
            part.training = training and (dropout or norm)
        p = merged(p)
        names = {n.removeprefix(PREFIX): n for n in p if n.startswith(PREFIX) and n != DRAWS}
        random = training and dropout
        rows = []
        for k, windows in enumerate(x):
            own = {name: p[full][k] for name, full in names.items()}
            if self.backbone in FOUNDATIONS and not training:
                some = windows.split(AT_ONCE)
                rows.append(torch.cat([_run(module, own, part, None) for part in some]))
                continue
            rows.append(_run(module, own, windows, p[DRAWS][k] if random else None))
        return torch.stack(rows)


def linear_weights(encoder: Encoder) -> dict[str, tuple[int, int]]:
    """Shapes (out, in) of the linear maps of an encoder that is a torch module, by name."""
    if not isinstance(encoder, ModuleEncoder):
        return {}
    module, _ = _template(encoder)
    return {f"{PREFIX}{n}.weight": (part.out_features, part.in_features)
            for n, part in module.named_modules() if isinstance(part, nn.Linear)}


def merged(p: State) -> State:
    """Tensors by name, with low-rank changes of maps added to these: W + B A."""
    changed = [n.removeprefix(LORA).removesuffix(".a") for n in p
               if n.startswith(LORA) and n.endswith(".a")]
    if not changed:
        return p
    sums = {n: p[n] + p[f"{LORA}{n}.b"] @ p[f"{LORA}{n}.a"] for n in changed}
    return {**p, **sums}


def _run(module: nn.Module, own: State, x: Tensor, draws: Tensor | None) -> Tensor:
    """Output (B, width) of one model for windows (B, C, F); counts the pass in ``draws``."""
    own |= _fixed(module, x)
    if draws is None:
        with _constants_like(x):
            return torch.func.functional_call(module, own, (x,)).flatten(1)
    with torch.no_grad():
        high, low, passes = draws.long().unbind()
        draws[2].add_(1).remainder_(_WHOLE)
    with _constants_like(x), KeyedDropout(Draws(high * _WHOLE + low).at(passes)):
        return torch.func.functional_call(module, own, (x,)).flatten(1)


@contextlib.contextmanager
def _constants_like(x: Tensor) -> Iterator[None]:
    """Give constants that modules make as they go the type of a tensor, and its device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(x.dtype)
    try:
        with contextlib.nullcontext() if x.device.type == "cpu" else x.device:
            yield
    finally:
        torch.set_default_dtype(before)


class KeyedDropout(TorchDispatchMode):
    """Inside it, dropout of any module is drawn by a key instead of torch's generators."""

    def __init__(self, draws: Draws) -> None:
        super().__init__()
        self.draws = draws

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        aten = torch.ops.aten
        if func is aten.bernoulli_.float:  # of torch.dropout on a CPU
            kept = args[1] if len(args) > 1 else 0.5  # its default is not handed on
            return args[0].copy_(self.draws.mask(1 - kept, *args[0].shape))
        if func is aten.native_dropout.default:  # on a GPU
            keep = self.draws.mask(args[1], *args[0].shape)
            return args[0] * keep / (1 - args[1]), keep
        if func is aten.rand.default:  # whether a whole layer is left out
            return self.draws.uniform(*args[0])
        if torch.Tag.nondeterministic_seeded in func.tags and "attention" not in str(func):
            raise NotImplementedError(f"a backbone draws by {func}, which no key decides")
        return func(*args, **(kwargs or {}))


def _fixed(module: nn.Module, x: Tensor) -> State:
    """Buffers of a module that nothing learns, such as positions, where its windows are."""
    if x.device.type == "cpu":  # they are there already, and arithmetic takes the wider type
        return {}
    names = {n for n, _ in _tensors(module)}
    return {n: t.to(x.device) for n, t in module.named_buffers() if n not in names}


def _tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and running statistics by name; counts of batches decide nothing."""
    buffers = [(n, t) for n, t in module.named_buffers() if ".running_" in f".{n}"]
    return [*module.named_parameters(), *buffers]


@functools.lru_cache(maxsize=32)
def _template(shape: ModuleEncoder) -> tuple[nn.Module, int]:
    """Module that lends its structure, and the width of its output."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that even kernels are padded: said once a process
        torch.manual_seed(0)
        module = _build(shape).eval()
        width = module(torch.zeros(2, shape.channels, shape.features)).flatten(1).shape[1]
    return module, int(width)


def _build(shape: ModuleEncoder) -> nn.Module:
    """A fresh module.

    Raises
    ------
    IncompatibleError
        The network cannot be had for windows of this shape.
    """
    build = BACKBONES[shape.backbone].build
    if build is None:
        raise ValueError(f"{shape.backbone} is no torch module")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of deprecated defaults, and windows it pads
            module = build(shape.given)
    except (ValueError, RuntimeError, AssertionError, ZeroDivisionError) as error:
        text = (str(error).splitlines() or [type(error).__name__])[0]
        raise IncompatibleError(
            f"backbone {shape.backbone} cannot be built for windows of {shape.channels} channels "
            f"x {shape.features} samples: {text}",
            "Use longer windows (--window), or another backbone.",
        ) from error
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            # Some have 0.01: running statistics of a short training would be mostly their start.
            part.momentum = MOMENTUM
            part.num_batches_tracked = None  # it decides nothing, and would be counted on the CPU
    return module
