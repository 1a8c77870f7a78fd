"""Version of this package, and edition of its records: the one place where both stand."""

__version__ = "0.1.0"

#: Rules by which a record's scores come about. A record of another edition is read and marked, and
#: never ranked beside those of this one; a rerun computes it anew. Raise it with any change after
#: which the same predictions, cuts or scalers give other numbers (docs/release.md).
#: 1: scores of probabilities as they were computed. 2: of probabilities as they are stored.
EDITION = 2
