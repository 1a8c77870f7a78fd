"""One record against its own predictions: scores, tested windows and split, worked out again."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BenchError
from ..scoring.metrics import METRICS, UNITS, FoldOutcome
from ..store.hashing import key_of
from ..store.records import Record
from ..store.seal import LARGEST, sum_of

if TYPE_CHECKING:
    import pandas as pd

#: Scores of the stored probabilities differ by no more than the order of a sum.
EXACT = 1e-9
#: Scores of records of edition 1 are of probabilities before they were stored shorter.
EDITION_1 = 0.005
#: Columns that tell which window it is, beside its class.
_WINDOW = ("subject", "session", "trial", "onset")
_INTEGERS = ("subject", "session", "trial", "y")
#: The control whose scores are of no windows that are stored.
UNPREDICTED = "attainable"


def predictions_of(record: Record) -> pd.DataFrame:
    """Predictions of a record that may be a stranger's: what is unpacked is known before.

    Raises
    ------
    BenchError
        There are none, they are damaged, of other columns or types than ours, or of another length
        than the record says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    assert record.path is not None
    path = record.path / "predictions.parquet"
    if "predictions.parquet" not in record.files or not path.is_file():
        raise BenchError("it has no predictions")
    rows = sum(int(fold.get("test_windows", 0)) for fold in record.folds)
    wanted = [*_WINDOW[:3], "stimulus", "onset", "y", *(f"p{k}" for k in range(_classes(record)))]
    try:
        file = pq.ParquetFile(io.BytesIO(path.read_bytes()))
        meta, schema = file.metadata, file.schema_arrow
        if schema.names != wanted:
            raise BenchError(f"its predictions have the columns {', '.join(schema.names)[:200]}")
        if not all(pa.types.is_integer(t) or pa.types.is_floating(t) for t in schema.types):
            raise BenchError("its predictions hold columns that are no numbers")
        size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
        if max(size, 8 * meta.num_rows * len(wanted)) > LARGEST or \
                (record.edition > 1 and rows != meta.num_rows):
            raise BenchError(f"its predictions are {meta.num_rows} windows and its folds {rows}")
        table: pd.DataFrame = file.read().to_pandas()
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise BenchError(f"its predictions cannot be read: {first}") from error
    for name in _INTEGERS:
        if not pa.types.is_integer(schema.field(name).type):
            raise BenchError(f"column {name} of its predictions holds no whole numbers")
    return table


def _classes(record: Record) -> int:
    if not 1 < len(record.classes) <= 1000:
        raise BenchError(f"it has {len(record.classes)} classes")
    return len(record.classes)


def windows_digest(table: pd.DataFrame) -> str:
    """Which windows were tested, and of which class: equal for methods of one pair and protocol."""
    rows = np.stack([table[name].to_numpy(dtype=np.float64) for name in (*_WINDOW, "y")], axis=1)
    rows = rows[np.lexsort(rows.T[::-1])]
    return sum_of(np.ascontiguousarray(rows).tobytes())[:40]


def split_digest(record: Record) -> str:
    """Which trials each fold was calibrated and tested on."""
    folds = sorted(
        [int(f["subject"]), int(f["session"]), sorted(map(int, f.get("calibration_trials") or ())),
         sorted(map(int, f.get("test_trials") or ()))] for f in record.folds
    )
    return key_of("split", folds)


def split_key(record: Record) -> str:
    """Equal for records that must have been tested on the same windows.

    Which they are follows from the target as read, the protocol, the classes and, where trials are
    drawn, the seed. A shortcut may test others.
    """
    identity = record.identity
    protocol = identity["protocol"]
    return key_of(
        "tested", identity["target"], protocol["name"], protocol.get("params"), identity["seed"],
        identity.get("label_map"), identity.get("label_rule"), record.classes,
        identity.get("shortcut"),
    )


def wrong_scores(record: Record, table: pd.DataFrame) -> Iterator[str]:
    """What of the stored scores and counts does not follow from the stored predictions."""
    columns = [f"p{k}" for k in range(len(record.classes))]
    seen = 0
    for fold in record.folds:
        key = int(fold["subject"]), int(fold["session"])
        mine = table[(table["subject"] == key[0]) & (table["session"] == key[1])]
        seen += len(mine)
        if not len(mine):
            yield f"subject {key[0]} has scores but no predictions"
            continue
        trials = mine["trial"].to_numpy()
        again = FoldOutcome.of(
            key, mine["y"].to_numpy(), mine[columns].to_numpy(), trials, test_trials=trials,
        ).as_dict()
        yield from _differing(fold, again, record.edition)
    if seen != len(table):
        yield f"{len(table) - seen} predicted windows belong to no fold"
    total = np.abs(table[columns].to_numpy(dtype=np.float64).sum(axis=1) - 1)
    if (table[columns].to_numpy() < -1e-6).any() or (total > 1e-3).any():
        yield "its predictions are no probabilities"
    yield from _selected(record)


def _differing(
    fold: Mapping[str, Any], again: Mapping[str, Any], edition: int
) -> Iterator[str]:
    """Counts and scores of a fold that are others than those worked out again."""
    who = f"subject {again['subject']}"
    for name in ("test_trials", "test_windows", "true_windows", "predicted_windows", "true_trials",
                 "predicted_trials"):
        # Rounding may turn a near tie into another class, before probabilities were rounded first.
        exact = edition > 1 or not name.startswith("predicted")
        if name in fold and exact and fold[name] != again[name]:
            yield f"{who}: its {name.replace('_', ' ')} are not those of its predictions"
    if abs(float(fold["majority"]) - again["majority"]) > EXACT:
        yield f"{who}: the share of its largest class is not that of its predictions"
    tolerance = EXACT if edition > 1 else EDITION_1
    for unit in UNITS:
        for metric in METRICS:
            said, is_ = fold["scores"][unit][metric], again["scores"][unit][metric]
            same = said is is_ if None in (said, is_) else abs(float(said) - is_) <= tolerance
            if not same:
                yield f"{who}: {metric} per {unit} is said to be {said} and is {is_}"


def _selected(record: Record) -> Iterator[str]:
    """Whether the folds are those of the rule that the identity names."""
    rule = record.selections.get(str(record.identity.get("selection")))
    if rule is None or record.identity.get("shortcut"):
        return
    scores = {(f["subject"], f["session"]): f["scores"] for f in rule["folds"]}
    for fold in record.folds if record.edition > 1 else ():
        if scores.get((fold["subject"], fold["session"])) != fold["scores"]:
            yield f"subject {fold['subject']}: its scores are not those of its rule of selection"


def wrong_split(record: Record, table: pd.DataFrame | None) -> Iterator[str]:
    """Trials that were calibrated on and tested, unless the record is an oracle's, and says so."""
    for fold in record.folds if record.kind != "oracle" else ():
        tested = {int(t) for t in fold.get("test_trials") or ()}
        if table is not None:
            mine = (table["subject"] == fold["subject"]) & (table["session"] == fold["session"])
            tested |= {int(t) for t in table.loc[mine, "trial"].unique()}
        both = sorted(tested & {int(t) for t in fold.get("calibration_trials") or ()})
        if both:
            yield (f"subject {fold['subject']}: trial{'s' * (len(both) > 1)} "
                   f"{', '.join(map(str, both[:5]))} stand in calibration and in the test")
