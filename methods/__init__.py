"""Methods: one file each. A new one is a file here and a line in this catalogue."""

from bench.registry import Entry

CATALOGUE = [
    Entry("majority", "bench.methods.majority:Majority",
          "the calibration trials' class frequencies, whatever the window", family="control"),
    Entry("target-only", "bench.methods.target_only:TargetOnly",
          "a method's network from scratch on the calibration trials, without a source",
          family="control"),
    Entry("scmm", "bench.methods.scmm:SCMM",
          "soft contrastive masked modelling, pre-trained on the source, calibrated on the target",
          family="self-supervised", paper="Liu et al., ACM MM 2025, arXiv 2408.09186"),
]
