"""Protocols: what of the target a method may see, and how target trials are cut."""

from bench.registry import Entry

CATALOGUE = [
    Entry("few-shot", "bench.protocols.few_shot:FewShot",
          "k labelled trials of the tested subject; test on later trials",
          paper="setting of Liu et al., ACM MM 2025"),
]
