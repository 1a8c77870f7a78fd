"""What ``tests/moved.py`` runs: a list of sweeps and one audit which together reach everything.

Keys are those of ``sweep.toml`` (``docs/sweeps.md``). Only keys, methods and options that old
commits know too may stand here. ``tests/test_moved.py`` checks that every method, protocol,
selection rule and scaling is reached.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

#: Keys of every request. ``null`` is the scale with the fewest steps; its corpora have nothing to
#: find unless they are told to. Short trials and few subjects: what is compared are code paths.
SHARED: dict[str, Any] = {
    "simulated": True, "scale": "null",
    "recipe": {"subjects": 3, "length": 0.05, "class_effect": 1.0},
}

#: Few epochs, for networks that take long for each.
_BRIEF = {"epochs": 2, "fit_epochs": 3}


@dataclass(frozen=True)
class Asked:
    """One command that is run on both sides, into a run folder of its own.

    Attributes
    ----------
    name : str
        For people and for ``--only``.
    reaches : str
        What it is there for.
    keys : dict
        Keys of its ``sweep.toml``, beside or in place of :data:`SHARED`.
    audit : tuple of str
        Options of ``bench audit``, which then is run instead.
    """

    name: str
    reaches: str
    keys: dict[str, Any] = field(default_factory=dict)
    audit: tuple[str, ...] = ()

    @property
    def toml(self) -> str:
        """Its ``sweep.toml``."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in (SHARED | self.keys).items())

    def command(self, file: str, runs: str) -> list[str]:
        """Arguments of ``bench``, given where its ``sweep.toml`` and its records lie."""
        if not self.audit:
            return ["sweep", file, "--runs", runs, "--workers", "1", "--quiet"]
        recipe = [f"--recipe={key}={value}" for key, value in SHARED["recipe"].items()]
        return ["audit", *self.audit, "--simulated", "--scale", SHARED["scale"], *recipe,
                "--runs", runs, "--quiet"]


def _toml(value: Any) -> str:
    """A value as TOML: as JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


PLAN: tuple[Asked, ...] = (
    Asked("few-shot", "self-supervised and supervised methods, variants, controls", {
        "methods": ["scmm", "simclr", "byol", "vicreg", "mae", "tnc", "ts-tcc", "tf-c", "softclt",
                    "simmtm", "clisa", "scmm-released", "source-only", "mixup", "groupdro",
                    "vrex", "irm", "mldg", "dmmr", "fine-tune", "mixture", "foundation", "random",
                    "shuffled"],
        "pairs": ["SEED->DEAP"],
        "params": {"foundation": {"backbone": "mlp"}, "scmm": [
            {}, {"sharpness": 0.2, "metric": "euclidean"}, {"finetune": "probe"},
        ], "mixup": {"backbone": "mlp"}, "vrex": {"backbone": "dgcnn"}},
    }),
    Asked("shallow", "shallow methods with and without adaptation, under two protocols", {
        "methods": ["lr", "svm", "lda", "rf", "sklearn", "coral", "sa", "tca", "otda", "jdot"],
        "pairs": ["SEED-IV->DEAP"], "protocols": ["few-shot", "unsupervised"],
        "params": {"sklearn": {"estimator": "sklearn.tree.DecisionTreeClassifier"},
                   "rf": {"trees": 20}},
    }),
    Asked("adaptation", "adaptation, test-time and source-free methods, inductive", {
        "methods": ["dann", "cdan", "dan", "jan", "deep-coral", "mcd", "mcc", "dsan", "adda",
                    "pr-pl", "ms-mda", "bidann", "rgnn", "adabn", "tent", "t3a", "shot"],
        "pairs": ["SEED->DEAP"], "protocols": ["unsupervised"], "controls": False,
        "params": {"tent": _BRIEF},
    }),
    Asked("two-sources", "joined sources, robust scaling of each subject, two seeds", {
        "methods": ["scmm", "source-only", "ms-mda", "lda"], "pairs": ["SEED+SEED-IV->DEAP"],
        "seeds": [0, 3], "scaling": "robust", "scaling_scope": "subject",
    }),
    Asked("drawn", "drawn calibration trials, calibration-val, float64", {
        "methods": ["scmm", "dann", "lr"], "pairs": ["SEED-IV->DEAP"],
        "protocol": {"few-shot": {"calibration_trials": 3, "draw": "random"}},
        "selection": "calibration-val", "scaling": "z-score", "precision": "float64",
        "seeds": [1], "params": {"dann": _BRIEF},
    }),
    Asked("transductive", "tested windows are granted; entropy; scaled by the source", {
        "methods": ["dann", "tent", "t3a", "shot", "coral"], "pairs": ["SEED-IV->DEAP"],
        "protocols": ["unsupervised"], "protocol": {"unsupervised": {"form": "transductive"}},
        "selection": "entropy", "scaling_scope": "source", "controls": False,
        "params": {"tent": _BRIEF},
    }),
    Asked("raw", "raw windows, networks of other libraries; snd", {
        "methods": ["source-only", "mae"], "pairs": ["SEED->DEAP"], "features": "raw",
        "protocols": ["unsupervised"], "selection": "snd", "controls": False,
        "params": {
            "source-only": [{"backbone": name, **_BRIEF} for name in ("eegnet", "tsception")],
            "mae": {"backbone": "shallow", **_BRIEF},
        },
    }),
    Asked("covariances", "covariances of raw windows", {
        "methods": ["riemann", "riemann-centred"], "pairs": ["SEED->DEAP"], "features": "raw",
        "protocols": ["unsupervised"], "controls": False,
    }),
    Asked("aligned", "Euclidean alignment, windows of 2 s; importance-weighted", {
        "methods": ["source-only", "ea-shallownet"], "pairs": ["SEED->DEAP"],
        "features": "raw", "window": 2.0,
        "protocols": ["unsupervised"], "selection": "importance-weighted",
        "scaling": "euclidean", "controls": False,
        "params": {"source-only": {"backbone": "shallow", **_BRIEF}, "ea-shallownet": _BRIEF},
    }),
    Asked("official", "the owners' features, scaled by tested windows; mixval", {
        "methods": ["deep-coral", "lda"], "pairs": ["SEED->SEED-IV"], "features": "official-4s",
        "official_kind": "de_LDS", "protocols": ["unsupervised"], "selection": "mixval",
        "scaling_scope": "tested", "controls": False,
    }),
    Asked("mano", "selection mano", {
        "methods": ["dan", "sa"], "pairs": ["DEAP->SEED"], "protocols": ["unsupervised"],
        "selection": "mano", "scaling_scope": "subject", "controls": False,
    }),
    Asked("dev", "selection dev", {
        "methods": ["mcc", "lda"], "pairs": ["SEED->DEAP"], "protocols": ["unsupervised"],
        "selection": "dev", "scaling": "robust", "controls": False,
    }),
    Asked("no-target", "zero-shot and within a corpus; source-val; scaled by tested windows", {
        "methods": ["source-only", "groupdro", "simclr", "rf"], "pairs": ["SEED->DEAP"],
        "protocols": ["zero-shot", "within"], "selection": "source-val",
        "scaling_scope": "subject-tested", "params": {"rf": {"trees": 20}},
    }),
    Asked("sessions", "within, a session left out; selection oracle; unscaled", {
        "methods": ["source-only", "mae", "lda"], "pairs": ["DEAP->SEED"],
        "protocols": ["within"], "protocol": {"within": {"leave": "session"}},
        "sessions": "all", "recipe": SHARED["recipe"] | {"subjects": 2, "sessions": 2},
        "selection": "oracle", "scaling": "none", "controls": False,
    }),
    Asked("published", "published parameters, thresholds, excluded subjects, diagnostics", {
        "methods": ["scmm"], "pairs": ["SEED->DEAP:arousal"], "preset": "published",
        "scale": "table", "window": 0.5, "threshold": 4.5, "drop_middle": [4.4, 4.6],
        "exclude": {"SEED": [2]}, "diagnostics": True, "controls": False,
    }),
    Asked("tuned", "tuning before a sweep", {
        "methods": ["simclr", "svm"], "pairs": ["SEED->DEAP"], "tune": {"trials": 3},
    }),
    Asked("audit", "shortcuts of an audit", audit=(
        "--method", "scmm", "--src", "SEED", "--tgt", "DEAP", "--seeds", "1", "--draws", "1",
    )),
)
