"""Methods: one file each. A new one is a file here and a line in this catalogue."""

from bench.registry import Entry

CATALOGUE = [
    Entry("scmm", "bench.methods.scmm:SCMM",
          "soft contrastive masked modelling, pre-trained on the source, calibrated on the target",
          family="self-supervised", paper="Liu et al., ACM MM 2025, arXiv 2408.09186"),
]
