"""Which epoch is scored: rules, validators, and who watches a training."""
