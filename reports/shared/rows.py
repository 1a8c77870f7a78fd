"""Which records make one row: a method with its parameters, told apart from its variants.

Two records of a method stand in one row only if a reader would call them the same thing: equal
code and precision, parameters of the same origin, and equal parameters unless they were chosen
for each pair ("published", "tuned"). What sets a row apart stands in its label.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .cells import BOUNDS, SCRATCH, SHARED, ScoredCell
from .text import clean

#: What target-only trains: short, and in words.
PLAIN = {
    "lr": ("LR", "logistic regression"), "lda": ("LDA", "LDA"), "svm": ("SVM", "linear SVM"),
    "rf": ("RF", "random forest"), "cnn": ("CNN", "CNN"), "mlp": ("MLP", "MLP"),
    "dgcnn": ("DGCNN", "DGCNN"), "eegnet": ("EEGNet", "EEGNet"),
}
#: Parameters named in a label; more are in the CSV.
_NAMED = 3


@dataclass(frozen=True, order=True)
class RowKey:
    """Key of a row: equal for the records that stand in it.

    Attributes
    ----------
    kind : str
        Block of the table.
    method, network : str
        ``network`` is set for what stands in for something: of target-only the classifier or the
        backbone that is trained, of shuffled the method.
    variant : str
        What sets it apart from the method with its default parameters; may be empty.
    shortcut : str
        Set for the twin of an audit: the shortcut it takes.
    """

    kind: str
    method: str
    network: str = ""
    variant: str = ""
    shortcut: str = ""

    @property
    def label(self) -> str:
        """``target-only CNN [finetune=probe]``, ``shuffled (lr)``, ``scmm + split windows``."""
        name = BOUNDS.get(self.method, self.method)
        if self.network and self.method == SCRATCH and self.network in PLAIN:
            name += f" {PLAIN[self.network][0]}"
        elif self.network:
            name += f" ({self.network})"
        name += f" + {self.shortcut.replace('-', ' ')}" if self.shortcut else ""
        return name + (f" [{self.variant}]" if self.variant else "")


def row_keys(
    cells: Sequence[ScoredCell], defaults: Mapping[RowKey, dict[str, Any] | None]
) -> dict[ScoredCell, RowKey]:
    """Row of each cell of a table.

    Parameters
    ----------
    cells : sequence of ScoredCell
        Cells of one table.
    defaults : mapping
        What :func:`default_params` found in the run folder: a default may only have been run under
        another protocol.
    """
    families: dict[RowKey, list[ScoredCell]] = defaultdict(list)
    for cell in cells:
        families[_family(cell)].append(cell)
    keys: dict[ScoredCell, RowKey] = {}
    for family, members in families.items():
        default = _default_params(members) or defaults.get(family)
        names = _params_names(members, default)
        for cell in members:
            parts = [names[cell], *_versions(cell, members)]
            variant = "; ".join(p for p in parts if p)
            keys[cell] = replace(family, variant=variant)
    for apart in (_choices, _setting, lambda c: c.rest):
        _split_clashes(keys, apart)
    return keys


def default_params(cells: Iterable[ScoredCell]) -> dict[RowKey, dict[str, Any] | None]:
    """Default parameters of each method, without its variants, by all cells of a run folder."""
    families: dict[RowKey, list[ScoredCell]] = defaultdict(list)
    for cell in cells:
        families[_family(cell)].append(cell)
    return {family: _default_params(members) for family, members in families.items()}


def _family(cell: ScoredCell) -> RowKey:
    network, method = "", cell.method
    if method in (SCRATCH, "shuffled"):
        network = network_of(cell.params)
        method += " source" * (cell.params.get("shuffle") == "source")
    return RowKey(cell.kind, method, network, shortcut=cell.shortcut)


def network_of(params: Mapping[str, Any]) -> str:
    """What a control stands in for: a method, or the backbone of the network that all share."""
    network = params.get("network", "")
    return clean(params.get("backbone", network) if network == SHARED else network, 60)


def _default_params(cells: Iterable[ScoredCell]) -> dict[str, Any] | None:
    """The parameters that most default records have."""
    texts = Counter(_json(c.params) for c in cells if c.origin == "default")
    return json.loads(texts.most_common(1)[0][0]) if texts else None


def _params_names(
    cells: Sequence[ScoredCell], default: dict[str, Any] | None
) -> dict[ScoredCell, str]:
    """How the parameters of each cell differ from the default; empty for the default."""
    names = {cell: _params_name(cell, default) for cell in cells}
    behind: dict[str, set[str]] = defaultdict(set)
    for cell, name in names.items():
        if cell.origin == "set":
            behind[name].add(_json(cell.params))
    for cell, name in names.items():
        if name and cell.origin == "set" and len(behind[name]) > 1:
            names[cell] = f"{name} #{_digest(_json(cell.params))}"
    return names


def _params_name(cell: ScoredCell, default: dict[str, Any] | None) -> str:
    if cell.origin == "default" or cell.shortcut:
        return ""
    if cell.origin != "set" or default is None:
        return cell.origin
    changed = [k for k in sorted(cell.params) if _json(cell.params[k]) != _json(default.get(k))]
    shown = [f"{clean(k, 30)}={_plain(cell.params[k])}" for k in changed[:_NAMED]]
    if len(changed) > _NAMED:
        shown.append(f"{len(changed) - _NAMED} more")
    return ", ".join(shown) or "set"


def _versions(cell: ScoredCell, family: Sequence[ScoredCell]) -> list[str]:
    """Code and precision, where the table holds several of this method."""
    parts = []
    if len({c.code for c in family}) > 1:
        parts.append(f"code {cell.code[:6]}")
    if len({c.precision for c in family}) > 1:
        parts.append(cell.precision)
    return parts


def _choices(cell: ScoredCell) -> str:
    return _json([cell.params, cell.label_map])


def _setting(cell: ScoredCell) -> str:
    """Differs within a table only between oracle rows, which take liberties of several kinds."""
    return _json(vars(cell.setting))


def _split_clashes(keys: dict[ScoredCell, RowKey], apart: Callable[[ScoredCell], str]) -> None:
    """Split rows that hold two records of one pair and seed, by what ``apart`` says of them."""
    rows: dict[RowKey, list[ScoredCell]] = defaultdict(list)
    for cell, key in keys.items():
        rows[key].append(cell)
    for key, members in rows.items():
        places = Counter((c.column, c.seed) for c in members)
        if max(places.values()) == 1 or len({apart(c) for c in members}) == 1:
            continue
        maps = {c.label_map for c in members}
        for cell in members:
            mark = f"#{_digest(apart(cell))}"
            if len(maps) > 1 and cell.label_map:
                mark = f"{clean(cell.label_map, 40)} {mark}"
            variant = f"{key.variant}; {mark}" if key.variant else mark
            keys[cell] = replace(key, variant=variant)


def _plain(value: Any) -> str:
    return clean(value if isinstance(value, str) else _json(value), 30)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:4]
