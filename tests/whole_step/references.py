"""Which references stand for which method, and what is known of its terms."""

from __future__ import annotations

from . import adaptation as A
from . import selfsupervised as S
from . import supervised as P
from .harness import Reference

#: A reference for each training that a method makes of one source.
REFERENCES: dict[str, list[type[Reference]]] = {
    "scmm": [S.SCMM], "scmm-released": [S.SCMMReleased], "simclr": [S.SimCLR], "byol": [S.BYOL],
    "vicreg": [S.VICReg], "mae": [S.MAE], "tnc": [S.TNC], "ts-tcc": [S.TSTCC], "tf-c": [S.TFC],
    "softclt": [S.SoftCLT], "simmtm": [S.SimMTM], "clisa": [S.CLISA],
    "source-only": [P.SourceOnly], "mixup": [P.Mixup], "groupdro": [P.GroupDRO],
    "vrex": [P.VREx], "irm": [P.IRM], "mldg": [P.MLDG],
    "dann": [A.DANN], "cdan": [A.CDAN], "dan": [A.DAN], "jan": [A.JAN],
    "deep-coral": [A.DeepCORAL], "mcd": [A.MCD], "mcc": [A.MCC], "dsan": [A.DSAN],
    "adda": [A.ADDA], "ms-mda": [A.MSMDA], "pr-pl": [A.PRPL],
    "adabn": [P.AdaBN], "tent": [P.TENT], "t3a": [P.T3A],
    "shot": [A.SHOT], "bidann": [A.BiDANN], "rgnn": [A.RGNN],
    "dmmr": [P.DMMR, P.FineTuningOfSource], "fine-tune": [P.SourceFirst, P.FineTuning],
    "mixture": [P.Mixture], "ea-shallownet": [P.SourceOnly], "foundation": [P.FineTuning],
}
#: Parameters of a step that is small or whole enough, by method.
VALUES: dict[str, dict[str, object]] = {
    "scmm-released": {"batch": 72}, "tent": {"steps": 2}, "mcd": {"rounds": 2},
    "t3a": {"kept": 4}, "foundation": {"finetune": "full"},
    "dmmr": {"batch": 72, "windows_per_epoch": 72},
}

#: Functions that are symmetric in their first two arguments: to swap these changes nothing.
SYMMETRIC = {"nt_xent", "nt_xent_poly", "byol", "vicreg", "masked_error", "mmd", "coral",
             "classifier_discrepancy", "reconstruction", "rebuilding"}
_ALL = ("dropped", "negated", "rescaled")
#: What else changes no parameter, by method: calls and parts of them, kinds, and why.
EQUIVALENT: dict[str, list[tuple[str, tuple[str, ...], str]]] = {
    "scmm": [("relations#0[0]", _ALL, "similarities are shown, and no part of the loss")],
    "scmm-released": [("relations#0[0]", _ALL, "similarities are shown, and no part of the loss")],
    "softclt": [
        ("soft_contrastive_in_time#2[1]", _ALL, "one moment has no other to be contrasted with"),
        ("coarser#1", ("negated",), "products of two moments have the same sign"),
    ],
    "mcd": [("classifier_discrepancy#0", _ALL, "step A takes the risk alone"),
            *[(f"cross_entropy#{n}", _ALL, "step C takes the discrepancy alone")
              for n in range(4, 8)]],
    "t3a": [("entropy#0", ("rescaled",), "windows are ranked by it")],
}


def skipped(name: str, case: str) -> str:
    """Why a method cannot be run on a case; "" if it can."""
    if name == "clisa" and case == "one subject":
        return "pairs of subjects are contrasted"
    return ""


def unseen(name: str, swaps: list[str]) -> set[str]:
    """Ways to break a method that change nothing; ``swaps`` are those of sides that were tried."""
    same = {f"{term} {kind}" for term, kinds, _ in EQUIVALENT.get(name, ()) for kind in kinds}
    return same | {swap for swap in swaps if swap.partition("#")[0] in SYMMETRIC}
