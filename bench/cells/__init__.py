"""One cell: method x parameters x pair x protocol x seed, from its folds to its record."""
