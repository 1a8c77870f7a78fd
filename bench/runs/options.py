"""Options of a run, each written once.

:class:`CellOptions` holds what all cells of a run or a sweep have in common, :class:`Options` adds
what a single run needs, and :class:`bench.sweeps.request.Request` what a sweep needs. From their
fields follow the flags of ``bench run``, ``sweep``, ``tune`` and ``audit``, the keys of
``sweep.toml``, the keywords of :func:`bench.run`, and what a rerun reads from a record. A new
option is one field here, and its use where a cell is built (:func:`bench.runs.build.build_cell`).

This module is imported by every command, so it imports nothing heavy.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from annotated_types import Gt

from ..errors import SettingError, check_known

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ..data.labels import LabelRule
    from ..data.reading import ReadOptions

#: A number above 0.
Positive = Annotated[float, Gt(0)]
#: Parameter set that a tuning found.
TUNED = "tuned"
Classes = Literal["auto", "own", "shared"]

#: Panels of ``--help``, in the order they are shown in.
RUN, SEE, DATA, HOW, OUT = PANELS = (
    "What to run", "What the method may see", "Data", "How to run it", "Output"
)


@dataclass(frozen=True)
class About:
    """What is said of an option beside its name, type and default.

    Attributes
    ----------
    text : str
        Help text.
    panel : str
        Panel of ``--help`` that it stands in.
    flags : tuple of str
        Flags of the command line; made from the name if empty.
    metavar : str or None
        What is shown in place of the value.
    parse : callable or None
        Makes the value from what the command line gives, ``parse(flag, text or list of texts)``;
        None where the type says it all.
    identity : str or None
        Where a record's identity shows it, keys joined by dots; None where it decides no number.
    commands : tuple of str
        Commands that have it.
    sweep : str or None
        Key of ``sweep.toml`` that stands for it where a sweep has several values of it.
    many : bool
        Whether its flag may be repeated.
    given : bool
        Whether the identity shows it as it was given; else what it led to.
    later : bool
        Whether there were records before there was the option: its default then leaves no trace in
        identities, plans and tunings, so that these keep their names.
    """

    text: str
    panel: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    parse: Callable[[str, Any], Any] | None = None
    identity: str | None = None
    commands: tuple[str, ...] = ("run", "sweep", "tune", "audit")
    sweep: str | None = None
    many: bool = False
    given: bool = True
    later: bool = False


def option(default: Any, text: str, panel: str, **about: Any) -> Any:
    """Declare one option; see :class:`About`."""
    metadata = {"about": About(text, panel, **about)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def about(model: Any) -> dict[str, About]:
    """What is said of each option of a model, by name, in the order of the fields."""
    return {f.name: f.metadata["about"] for f in dataclasses.fields(model)
            if "about" in f.metadata}


def flag_of(name: str, said: About) -> str:
    """Flag of an option, as messages name it."""
    return said.flags[0].partition("/")[0] if said.flags else f"--{name.replace('_', '-')}"


def as_pairs(flag: str, items: Sequence[str] | None) -> dict[str, Any]:
    """NAME=VALUE texts as a dict; values are converted by who knows the type.

    Raises
    ------
    SettingError
    """
    pairs: dict[str, Any] = {}
    for item in items or ():
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise SettingError(f"{flag} {item!r} is not of the form NAME=VALUE")
        pairs[name.strip()] = value.strip()
    return pairs


def as_names(flag: str, value: str | Sequence[str]) -> list[str]:
    """Names, each written with commas or alone."""
    texts = [value] if isinstance(value, str) else value
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def as_interval(flag: str, text: str) -> tuple[float, float]:
    """LOW:HIGH as two numbers.

    Raises
    ------
    SettingError
    """
    low, _, high = text.partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise SettingError(
            f"{flag} {text!r} is not of the form LOW:HIGH", "For example 4.5:5.5"
        ) from None


def as_thresholds(flag: str, items: Sequence[str]) -> float | dict[str, float]:
    """One number, or CORPUS=NUMBER texts as numbers by corpus.

    Raises
    ------
    SettingError
    """
    texts = as_names(flag, items)
    try:
        if len(texts) == 1 and "=" not in texts[0]:
            return float(texts[0])
        return {name: float(value) for name, value in as_pairs(flag, texts).items()}
    except ValueError:
        raise SettingError(
            f"{flag} {', '.join(texts)!r} is no number", "For example 4.5, or DREAMER=2.5"
        ) from None


def as_subjects(flag: str, items: Sequence[str]) -> dict[str, list[int]]:
    """CORPUS:N,N texts as subjects by corpus.

    Raises
    ------
    SettingError
    """
    subjects: dict[str, set[int]] = {}
    for item in items:
        corpus, _, numbers = item.partition(":")
        try:
            subjects.setdefault(corpus, set()).update(int(n) for n in numbers.split(","))
        except ValueError:
            raise SettingError(
                f"{flag} {item!r} is not of the form CORPUS:N,N", "For example SEED:3,7"
            ) from None
    return {corpus: sorted(numbers) for corpus, numbers in subjects.items()}


@dataclass(frozen=True, kw_only=True)
class CellOptions:
    """Options that all cells of a run or a sweep have in common."""

    preset: str = option(
        "default",
        "Named parameter set: default, published (marked: selection unknown), or tuned (what bench "
        "tune found).", RUN, flags=("--params",), identity="params_origin", given=False,
        commands=("run", "sweep", "audit"),
    )
    scale: str | None = option(
        None, "demo, table, null or published: how many steps (and how large simulated corpora "
        "are). Default: published, for simulated corpora demo.", RUN, identity="scale",
    )
    device: str = option(
        "cpu", "auto, cpu, cuda (in a sweep: every GPU, a worker each), cuda:1, cuda:0,1 or mps.",
        HOW,
    )
    precision: str = option(
        "float32", "float32, float64, tf32 or bf16; part of the record's identity.", RUN,
        identity="precision",
    )
    deterministic: bool = option(
        False, "Only kernels that repeat bit by bit (matters on a GPU).", HOW,
    )
    compile: Literal["auto", "off"] = option(
        "auto", "auto, or off. auto: on a GPU, compile a training's step where the steps to come "
        "repay the 15 s that takes.", HOW,
    )
    energy: bool = option(
        False, "Measure the energy (needs CodeCarbon).", OUT, commands=("run", "sweep", "audit"),
    )
    include: Sequence[str] = option(
        tuple, "Python file or module with a CATALOGUE of further methods or corpora, the TOML of "
        "a folder, or a .npz of bench.save_windows; repeatable.", RUN,
        metavar="FILE|MODULE", parse=as_names, many=True,
    )
    scaling: str = option(
        "auto", "min-max, z-score, robust, euclidean (alignment of covariances, raw windows), "
        "window (each window by its own statistics over channels: needs nothing of the target), "
        "none, or auto: min-max, for raw windows z-score.", SEE, identity="scaling.name",
    )
    scaling_scope: str = option(
        "corpus", "By which statistics. corpus: each source corpus by its own, the tested subject "
        "by its calibration or unlabelled windows, whichever are granted, else by the source's. "
        "subject: each subject by its own. source-subject: each source subject by its own, the "
        "tested one as under corpus. source: all by the source's. tested, subject-tested: "
        "the same, but the tested subject by all its windows, the tested ones among them "
        "(transductive, and marked so).", SEE, identity="scaling.scope",
    )
    selection: str = option(
        "last", "Which epoch is scored. last: the last one. source-val: best on held-out source "
        "subjects (not few-shot). calibration-val: best on a held-out calibration trial of each "
        "class (few-shot). entropy, snd, mixval, mano, importance-weighted, dev: best by a "
        "validator that needs no target label (unsupervised). oracle: best on the test set, never "
        "ranked. The record holds what every rule that is free of charge would have given.", SEE,
        metavar="RULE", identity="selection",
    )
    hold_out: Literal["none", "stimulus"] = option(
        "none", "stimulus: each film is tested after a training without it, in five groups of "
        "films, where subjects, sessions or corpora were shown the same ones. Five trainings for "
        "one, each on fewer windows; refused where it changes nothing.", SEE, identity="hold_out",
        later=True,
    )
    classes: Classes = option(
        "auto", "Under few-shot. own: the target keeps its classes. shared: source and target in "
        "those they share, so that every method stands in one table. auto: own where the method "
        "can. Corpora of the same classes need no choice.", SEE, identity="label_map", given=False,
    )
    data: Path | None = option(
        None, "Folder that holds the corpora, or one of them. Default: what bench data set stored.",
        DATA, metavar="DIR",
    )
    simulated: bool = option(
        False, "Use simulated corpora in the owners' layouts, written on first use.", DATA,
        identity="target.digest", given=False,
    )
    recipe: Mapping[str, Any] = option(
        dict, "Effect or size of the simulated corpora, repeatable; see: bench data simulate "
        "--help.", DATA, metavar="NAME=VALUE", parse=as_pairs, many=True,
        identity="target.digest", given=False,
    )
    montage: str = option(
        "common", "Electrodes. common: those that both sides have. Else the signals of both are "
        "interpolated (spherical splines) to 10-20, to the electrodes of a corpus (DEAP), or to a "
        "montage of MNE (biosemi64). Not for owners' features.", DATA, metavar="NAME",
        identity="features.montage", later=True,
    )
    sessions: Literal["first", "all"] = option(
        "first", "first (as published) or all.", DATA, identity="source.sessions",
    )
    features: str = option(
        "bench", "bench (our unsmoothed DE from raw), raw (signals, 128 Hz, 4-45 Hz), official "
        "(the owner's files), or official-4s.", DATA, identity="features", given=False,
    )
    official_kind: str = option(
        "", "With official features, which of the owner's: e.g. de_LDS, de_movingAve.", DATA,
        identity="features.origin", given=False,
    )
    window: Positive = option(
        1.0, "Window length in s of bench and raw features, e.g. 1 or 4.", DATA,
        identity="features.window_s",
    )
    threshold: float | Mapping[str, float] | None = option(
        None, "Ratings above it are high: 4.5, or of one corpus DREAMER=2.5, repeatable. Default: "
        "the middle of each corpus's scale (DEAP 5, DREAMER 3, FACED 3.5).", DATA,
        metavar="[CORPUS=]NUMBER", parse=as_thresholds, many=True,
        identity="label_rule.threshold",
    )
    drop_middle: tuple[float, float] | None = option(
        None, "Drop trials rated in this band, e.g. 4.5:5.5.", DATA, metavar="LOW:HIGH",
        parse=as_interval, identity="label_rule.drop_middle",
    )
    map: Sequence[str] = option(
        list, "Call classes by other names, on both sides and in this order; others are dropped: "
        "rest=relax,task=arithmetic, or of one corpus LAB:rest=relax; repeatable.", DATA,
        metavar="CLASS=NAME", parse=as_names, many=True, identity="label_rule.map",
    )
    exclude: Mapping[str, Sequence[int]] = option(
        dict, "Leave subjects out, e.g. SEED:3,7; repeatable.", DATA, metavar="CORPUS:N,N",
        parse=as_subjects, many=True, identity="target.subjects", given=False,
    )
    weights: Path | None = option(
        None, "Folder (or file) of the published weights of a pre-trained backbone, or hub: the "
        "Hugging Face hub. Without, such a backbone starts at random.", RUN,
        metavar="DIR|hub",
    )
    save_models: bool = option(
        False, "Also write the trained networks (weights only).", OUT, commands=("run", "sweep"),
    )
    diagnostics: bool = option(
        False, "Also write embeddings and the importance of channels and bands, for the plots of "
        "bench report.", OUT, commands=("run", "sweep", "audit"),
    )
    controls: bool = option(
        True, "Also run the controls: target-only (logistic regression, and the method's own "
        "training without a source), majority.", OUT,
        flags=("--controls/--no-controls",), commands=("run", "sweep", "tune"),
    )
    shuffled_source: bool = option(
        False, "Also run each method that learns the source's labels with these shuffled: what it "
        "scores less is what the labels were worth.", OUT, commands=("run", "sweep"),
    )

    def common(self) -> dict[str, Any]:
        """The options of this class, by name, whatever subclass this is."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(CellOptions)}

    def deciding(self) -> dict[str, Any]:
        """Those of them that decide numbers; of later ones, those that are not the default."""
        said = about(CellOptions)
        old = {f.name: f.default for f in dataclasses.fields(CellOptions)}
        return {name: value for name, value in self.common().items()
                if said[name].identity is not None
                and not (said[name].later and value == old[name])}

    @property
    def rule(self) -> LabelRule:
        """How ratings become classes."""
        from ..data.labels import LabelRule

        if isinstance(self.threshold, Mapping):
            return LabelRule(None, self.drop_middle, tuple(self.threshold.items()))
        return LabelRule(self.threshold, self.drop_middle)

    @property
    def read(self) -> ReadOptions:
        """How a corpus is read; subjects to leave out are filled in for each."""
        from ..data.reading import ReadOptions

        return ReadOptions(
            features=self.features, official_kind=self.official_kind, window_s=self.window,
            sessions=self.sessions, rule=self.rule, montage=self.montage,
        )


F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D", bound="DataclassInstance")


def takes(model: type[Any]) -> Callable[[F], F]:
    """Show the options of a model, with types and defaults, as keywords of a function.

    The function takes them as ``**changes``; ``help`` and notebooks then list and complete them.
    """
    def decorate(function: F) -> F:
        own = list(inspect.signature(function).parameters.values())
        keywords = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in inspect.signature(model).parameters.values()
            if p.name not in {o.name for o in own}
        ]
        function.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [*(p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD), *keywords]
        )
        return function

    return decorate


def options_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a record's identity shows as they were given.

    Those that it shows only by what they led to, such as the digest of the data, are left out.
    """
    values = {}
    for name, said in about(CellOptions).items():
        place: Any = identity
        for key in (said.identity or "").split("."):
            place = place.get(key) if isinstance(place, Mapping) else None
        if place is not None and said.given:
            values[name] = place
    return values


@dataclass(frozen=True, kw_only=True)
class Options(CellOptions):
    """Everything about a run but method, source and target.

    Each field is a keyword of :func:`bench.run`, :func:`bench.tune` and :func:`bench.audit`; what
    it means stands in ``bench run --help``.

    Examples
    --------
    >>> Options(simulated=True, scale="table", seed=3).seed
    3
    """

    protocol: str = option(
        "few-shot", "See: bench list protocols.", SEE, identity="protocol.name", sweep="protocols",
    )
    protocol_params: Mapping[str, Any] = option(
        dict, "Option of the protocol, repeatable, e.g. form=transductive.", SEE,
        flags=("--protocol-set",), metavar="NAME=VALUE", parse=as_pairs, many=True,
        identity="protocol.params", sweep="protocol",
    )
    params: Mapping[str, Any] = option(
        dict, "Parameter of the method, repeatable; a name it has not is answered with those it "
        "has.", RUN, flags=("--set",), metavar="NAME=VALUE", parse=as_pairs, many=True,
        identity="params", sweep="params",
    )
    seed: int = option(
        0, "Seed of everything random.", RUN, identity="seed", commands=("run", "sweep", "tune"),
        sweep="seeds",
    )
    runs: Path = option(Path("runs"), "Run folder.", OUT, sweep="runs")

    def __post_init__(self) -> None:
        # From Python, folders are often texts, and one name is no list.
        def folder(text: str) -> Path:
            return Path(text).expanduser()

        made: dict[str, Callable[[str], Any]] = {
            f.name: folder for f in dataclasses.fields(self) if str(f.type).startswith("Path")}
        made |= {name: functools.partial(as_names, name) for name, said in about(Options).items()
                 if said.parse is as_names}
        for name, make in made.items():
            if isinstance(value := getattr(self, name), str):
                object.__setattr__(self, name, make(value))


def parted(given: D, others: type, keywords: Mapping[str, Any]) -> tuple[D, dict[str, Any]]:
    """Keywords of two kinds of options: an object with those of its kind, and the other ones.

    Parameters
    ----------
    given : dataclass
        :class:`bench.TuneOptions`, say; keywords go over it.
    others : type of dataclass
        :class:`bench.Options`, say. What is a field of both is of this.
    keywords : mapping

    Raises
    ------
    UnknownNameError
        A keyword is of neither; suggests the nearest.
    """
    mine, theirs = ({f.name for f in dataclasses.fields(k)} for k in (given, others))
    check_known("option", mine | theirs, *keywords)
    own = {name: value for name, value in keywords.items() if name not in theirs}
    left = {name: value for name, value in keywords.items() if name in theirs}
    return dataclasses.replace(given, **own), left


def changed(options: Options | None, changes: Mapping[str, Any]) -> Options:
    """Options, or the defaults, with fields that were given as keywords.

    Raises
    ------
    SettingError
        There is no such option; suggests the nearest.
    """
    check_known("option", {f.name for f in dataclasses.fields(Options)}, *changes)
    return dataclasses.replace(options or Options(), **changes)
