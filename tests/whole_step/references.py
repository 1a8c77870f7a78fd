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
    "adda": [A.ADDA], "ms-mda": [A.MSMDA], "adabn": [P.AdaBN], "tent": [P.TENT], "t3a": [P.T3A],
    "shot": [A.SHOT],
}
#: Parameters of a step that is small or whole enough, by method.
VALUES: dict[str, dict[str, object]] = {
    "scmm-released": {"batch": 72}, "tent": {"steps": 2}, "mcd": {"rounds": 2},
}
