"""``python -m bench.cli``."""

from .main import main

main()
