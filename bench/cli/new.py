"""Plugin folders to start from: they install, run and pass their own tests as they stand."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from ..errors import BenchError, SettingError
from ..registry import entries

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

_MODULE = Template('''\
"""$name: say here what the method does, and whose it is."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from bench.method import Context, Method, Needs, Params, hyper
from bench.protocols.base import View
from bench.registry import Entry

CATALOGUE = [Entry("$name", ":$cls", "nearest class mean of the calibration windows")]


class ${cls}Params(Params):
    """Parameters of $name."""

    sharpness: float = hyper(1.0, "factor on squared distances", stage="fit", gt=0,
                             tune=(0.1, 10.0), scale="log")


class $cls(Method):
    """Replace this: the nearest class mean of the calibration windows."""

    name: ClassVar[str] = "$name"
    Params = ${cls}Params
    needs: ClassVar[Needs] = Needs(source="none", calibration=True)

    def fit(self, view: View, state: Any, ctx: Context) -> Predictor:
        """Learn from what the view holds; take randomness from ``ctx.rng("purpose")``."""
        known = view.calibration
        assert known is not None  # the protocol grants it, since ``needs`` asks for it
        means = [known.x[known.y == k].mean(axis=0) for k in range(len(view.classes))]
        return Predictor(np.stack(means), self.params.sharpness)

    def restore(self, payload: dict[str, Any]) -> Predictor:
        """The other way round than ``payload()``; leave both out if models need no saving."""
        return Predictor(np.array(payload["means"]), payload["sharpness"])


class Predictor:
    """What a fold's training yields."""

    def __init__(self, means: np.ndarray, sharpness: float) -> None:
        self.means, self.sharpness = means, sharpness

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Probabilities (n, classes) of windows (n, channels, features), each on its own."""
        far = self.sharpness * ((x[:, None] - self.means) ** 2).mean(axis=(2, 3))
        p = np.exp(far.min(axis=1, keepdims=True) - far).astype(float)
        return p / p.sum(axis=1, keepdims=True)

    def payload(self) -> dict[str, Any]:
        """Plain numbers and tensors, for ``--save-models``."""
        return {"means": self.means.tolist(), "sharpness": self.sharpness}
''')

_PROJECT = Template('''\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "bench-$name"
version = "0.1.0"
description = "$name: a method for eeg-cross-corpus-bench"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["eeg-cross-corpus-bench"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."bench.methods"]
$name = "$module:CATALOGUE"

[tool.setuptools]
py-modules = ["$module"]

[tool.pytest.ini_options]
pythonpath = ["."]
''')

_TEST = Template('''\
"""$cls keeps the contract of a method."""

from bench.conformance import failures
from $module import $cls


def test_conforms():
    assert failures($cls) == []
''')

_README = Template('''\
# $name

A method for `bench`, the benchmark of cross-corpus EEG emotion recognition. The method is
`$module.py`.

```bash
bench check $module.py                                   # does it keep the contract?
bench run --method $name --include $module.py --src SEED --tgt DEAP --simulated

pip install .                                            # then --include is not needed
bench list methods
bench run --method $name --src SEED --tgt DEAP --simulated
python -m pytest
```
''')


def new_method(name: str, folder: Path | None = None) -> list[Path]:
    """Write a plugin folder with one method.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and hyphens.
    folder : Path, optional
        Where to write, by default ``bench-NAME`` in the current folder; must be empty or new.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    SettingError
        The name cannot be used.
    BenchError
        The folder is not empty.
    """
    _check_name(name)
    folder = folder or Path(f"bench-{name}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(f"{folder} is there and not empty", "Give another with --folder DIR")
    # A prefix of its own, so that a method named after a library does not hide that library.
    module = f"bench_{name.replace('-', '_')}"
    words = {
        "name": name, "module": module,
        "cls": "".join(part.capitalize() for part in name.split("-")),
    }
    files = {
        f"{module}.py": _MODULE, "pyproject.toml": _PROJECT, f"tests/test_{module}.py": _TEST,
        "README.md": _README,
    }
    written = []
    for path, template in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(template.substitute(words), encoding="utf-8")
        written.append(folder / path)
    return written


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise SettingError(
            f"{name!r} cannot be the name of a method",
            "Use lower-case letters, digits and single hyphens, a letter first: my-method",
        )
    taken = {"method", "params", "needs", "context", "view", "entry", "predictor", "any"}
    if name in taken or keyword.iskeyword(name.capitalize()):
        raise SettingError(f"{name!r} is the name of something a method uses; take another")
    if name in {known.lower() for known in entries("methods")}:
        raise SettingError(f"there is a method named {name!r} already; take another name")
