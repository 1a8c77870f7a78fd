"""Protocols: what of the target a method may see, and how target trials are cut."""

from bench.registry import Entry

CATALOGUE = [
    Entry("few-shot", "bench.protocols.few_shot:FewShot",
          "k labelled trials of the tested subject; test on later trials",
          paper="setting of Liu et al., ACM MM 2025"),
    Entry("unsupervised", "bench.protocols.unsupervised:Unsupervised",
          "unlabelled target windows: other trials (inductive) or the tested ones (transductive)"),
    Entry("zero-shot", "bench.protocols.zero_shot:ZeroShot",
          "no target data; every target subject is tested on all its trials"),
    Entry("within", "bench.protocols.within:Within",
          "no source: train on the other subjects of the target, leave one out"),
]
