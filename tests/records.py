"""Records made up for the tests of reports: many methods, pairs and seeds, with curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.store.records import Record, Store

CLASSES = {
    "SEED:3": ["negative", "neutral", "positive"],
    "SEED-IV:4": ["neutral", "sad", "fear", "happy"],
    "DEAP:valence": ["low", "high"],
}
PAIRS = [(s, t) for s in CLASSES for t in CLASSES if s != t]
RECIPE = {"seed": 0, "subjects": 6}
_ORDER = ("balanced_accuracy", "accuracy", "macro_f1", "auroc")
SUPERVISED = "target-supervised: labelled trials of the tested subject"
HOSTILE = ("[red]=cmd|'/c calc'!A1\x1b[31m\u202e</script><script>alert(1)</script>"
           "<img src=x onerror=alert(2)>|`$\\frac`\n# *x* %DATA% %SCRIPT% \\end{table} \u4e2d")


def side(name: str, **changes: Any) -> dict[str, Any]:
    """Source or target of an identity."""
    corpus, _, task = name.partition(":")
    return {"name": name, "corpus": corpus, "task": task, "sessions": "first",
            "subjects": [1, 2, 3, 4], "digest": f"digest of {name}", **changes}


def put(
    store: Store, method: str, scores: list[float], *, source: str = "SEED:3",
    target: str = "DEAP:valence", seed: int = 0, kind: str = "method", simulated: Any = None,
    params: Any = None, protocol: str = "few-shot", access: str = SUPERVISED,
    calibration: int | None = None, oracle: float = 0.0, curves: Any = False,
    status: str = "done", reason: str = "", epochs: int = 12, predictions: Any = None,
    identity: Any = None, info: Any = None, origin: str = "default", classes: Any = None,
    rules: Any = None, diagnostics: Any = None,
) -> Record:
    """Store a record with these scores, one a subject."""
    classes = classes or CLASSES.get(target, ["a", "b"])

    def fold(subject: int, value: float) -> dict[str, Any]:
        values = {m: min(1.0, value + 0.01 * i) for i, m in enumerate(_ORDER)}
        return {"subject": subject, "session": 1, "majority": 0.5, "test_trials": [7, 8],
                "calibration_trials": list(range(len(classes) * (calibration or 3))),
                "scores": {"window": values, "trial": {k: min(1, v + 0.05)
                                                       for k, v in values.items()}}}

    folds = [fold(i, v) for i, v in enumerate(scores, 1)] if status == "done" else []
    drawn = {
        "pretrain": {"total": [round(2 / (e + 1) + 1, 4) for e in range(epochs)]},
        "fit": {f"{i}/1": {"total": [round(1 / (e + 1), 4) for e in range(epochs)],
                           "test_accuracy": [round(v * (e + 1) / epochs, 4)
                                             for e in range(epochs)]}
                for i, v in enumerate(scores, 1)},
    }
    record = Record(
        identity={
            "method": method, "params": params or {}, "params_origin": origin,
            "code": f"code of {method}", "source": side(source), "target": side(target),
            "features": {"kind": "de", "by": "bench", "channels": ["C"] * 62},
            "label_map": None,
            "scaling": {"name": "min-max", "source": "source", "target": "calibration"},
            "protocol": {"name": protocol, "params": {"calibration_trials": calibration},
                         "target_access": access},
            "selection": "last", "scale": "demo", "seed": seed, "precision": "float32",
            **(identity or {}),
        },
        classes=classes, folds=folds, kind=kind, simulated=simulated, status=status,
        reason=reason, notices=["noted"],
        curves=drawn if curves is True else {stage: drawn[stage] for stage in curves or ()},
        selections={name: {"score": None, "uses": f"what {name} uses", "folds": [
            {**fold(i, min(1, v + gain)), "epoch": 3, "of": 12} for i, v in enumerate(scores, 1)
        ]} for name, gain in (rules or {}).items()}, diagnostics=diagnostics or {},
        oracle={"selection": "best test epoch", "folds": [
            fold(i, min(1, v + oracle)) for i, v in enumerate(scores, 1)]} if oracle else None,
        info=info or {"versions": {"bench": "0.1.0"}, "device": "cpu", "wall_s": 10.0 + seed,
                      "parameters": 1000, "finished": f"2026-01-01T00:00:{seed:02}"},
    )
    store.put(record, predictions)
    return record


def guesses(classes: int, subjects: int = 4, right: float = 0.7, seed: int = 0,
            windows: int = 10) -> Any:
    """Predictions with about this share right: two trials of each class a subject."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    rows = []
    for subject in range(1, subjects + 1):
        for trial in range(2 * classes):
            for window in range(windows):
                y = trial % classes
                named = y if rng.random() < right else int(rng.integers(classes))
                p = np.full(classes, 0.1)
                p[named] += 1 - 0.1 * classes
                rows.append({"subject": subject, "session": 1, "trial": trial, "stimulus": trial,
                             "onset": float(window), "y": y,
                             **{f"p{k}": float(v) for k, v in enumerate(p)}})
    return pd.DataFrame(rows)


def diagnostics(classes: int = 2, subjects: int = 3, windows: int = 60) -> dict[str, Any]:
    """Arrays as the engine stores them: corpora apart, emotions nearly so, P3 alpha important."""
    rng = np.random.default_rng(0)
    n = 2 * windows
    target = np.arange(n) >= windows
    y = np.arange(n) % classes
    x = rng.normal(size=(n, 6)) + 4 * np.outer(target, np.eye(6)[0]) + np.outer(y, np.eye(6)[1])
    importance = np.zeros((subjects, 4, 5), dtype=np.float32)
    importance[:, 2, 2] = 0.1
    return {
        "embedding": x.astype(np.float32), "target": target, "y": y,
        "trial": np.arange(n) // 4, "subject": np.where(target, 1, np.arange(n) % subjects),
        "source_classes": np.array(["negative", "positive", "neutral"][:max(2, classes)]),
        "target_classes": np.array(["low", "high", "other"][:max(2, classes)]),
        "fold": np.array("subject 1"), "importance": importance,
        "importance_subject": np.arange(subjects), "channels": np.array(["F3", "F4", "P3", "P4"]),
        "bands": np.array([[1, 4], [4, 8], [8, 14], [14, 31], [31, 50]], dtype=float),
    }


def sweep(store: Store, seeds: int = 2) -> Store:
    """Three methods, controls and oracles on all six pairs, simulated, with curves."""
    rng = np.random.default_rng(0)
    for source, target in PAIRS:
        for seed in range(seeds):
            where: Any = {"source": source, "target": target, "seed": seed, "simulated": RECIPE}
            for method, level in (("scmm", 0.7), ("simclr", 0.65), ("dann", 0.5)):
                put(store, method, (level + rng.normal(0, 0.03, 4)).tolist(), oracle=0.05,
                    curves=True, predictions=guesses(len(CLASSES[target]), seed=seed), **where)
            put(store, "target-only", (0.6 + rng.normal(0, 0.03, 4)).tolist(), kind="control",
                params={"network": "scmm"}, **where)
            put(store, "majority", [0.5] * 4, kind="control", **where)
    return store


def many(store: Store, records: int = 2000, subjects: int = 15) -> Store:
    """A large sweep, written without flushing each record to disk."""
    rng = np.random.default_rng(0)
    methods = records // (len(PAIRS) * 10) + 1
    written = 0
    for seed in range(10):
        for m in range(methods):
            for source, target in PAIRS:
                if written == records:
                    return store
                kind = "control" if m == 0 else "method"
                put(store, "target-only" if m == 0 else f"method{m:02}",
                    rng.uniform(0.3, 0.9, subjects).tolist(), source=source, target=target,
                    seed=seed, simulated=RECIPE, curves=True, epochs=200, oracle=0.02, kind=kind,
                    params={"network": f"method{m + 1:02}"} if m == 0
                    else {"lr": 0.1, "wide": list(range(20))},
                    info={"wall_s": float(rng.uniform(1, 99)), "cpu_s": float(rng.random()),
                          "finished": str(rng.random()), "parameters": 1000 * m + 1000,
                          "versions": {"a": "b"}})
                written += 1
    return store


def body(path: Path) -> dict[str, Any]:
    """What a page of the report shows."""
    text = path.read_text()
    start = text.index('type="application/json">') + len('type="application/json">')
    found: dict[str, Any] = json.loads(text[start: text.index("</script>", start)])
    return found
