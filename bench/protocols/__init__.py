"""Protocols: what of the target a method may see, and how target trials are cut."""

from ..registry import Entry

CATALOGUE = [
    Entry("few-shot", "bench.protocols.few_shot:FewShot",
          "k labelled trials of the tested subject, the first or drawn ones; test on the others",
          paper="setting of Liu et al., ACM MM 2025", grants=("source", "calibration")),
    Entry("unsupervised", "bench.protocols.unsupervised:Unsupervised",
          "unlabelled target windows: other trials (inductive) or the tested ones (transductive)",
          grants=("source", "unlabelled")),
    Entry("zero-shot", "bench.protocols.zero_shot:ZeroShot",
          "no target data; every target subject is tested on all its trials",
          grants=("source",)),
    Entry("within", "bench.protocols.within:Within",
          "no source corpus: leave one subject of the target out, or one of its sessions",
          grants=("source",)),
]
