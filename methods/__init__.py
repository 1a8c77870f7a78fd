"""Methods: one file each. A new one is a file here and a line in this catalogue."""

from dataclasses import replace
from typing import Any

from bench.registry import ANY_FEATURES, Entry, Needs, Profile

_RAW = frozenset({"raw"})
_LABELLED = Needs(source="labelled")
# Networks work on raw windows too, with another backbone.
_NET = Needs(source="labelled", features=ANY_FEATURES)
_ADAPTS = replace(_NET, unlabelled=True)
#: What the methods of a family declare; a method that differs says so itself. Tests compare both
#: with the classes.
_FAMILIES = {
    "control": Profile(Needs(source="none", calibration=True, features=ANY_FEATURES)),
    "self-supervised": Profile(
        Needs(source="unlabelled", calibration=True, features=ANY_FEATURES), bare=_NET
    ),
    "supervised": Profile(_NET),
    "pre-trained": Profile(
        Needs(source="none", calibration=True, features=_RAW),
        bare=replace(_LABELLED, features=_RAW),
    ),
    "adaptation": Profile(_ADAPTS),
    "test-time": Profile(_NET, transductive=True),
    "source-free": Profile(_ADAPTS),
    "shallow": Profile(_LABELLED),
    "shallow adaptation": Profile(Needs(source="labelled", unlabelled=True)),
}

_STEPS = "tests/methods/test_whole_step.py"
_NETWORKS = (
    _STEPS, "tests/methods/test_every_network.py", "tests/methods/shared/training/test_recorded.py",
    "tests/methods/test_every_protocol.py",
)
_SHALLOW = ("tests/methods/shared/test_shallow.py", "tests/methods/test_every_protocol.py")
#: Which tests hold the methods of a family.
_TESTS = {
    "control": ("tests/methods/test_controls.py", "tests/methods/test_target_only.py"),
    "self-supervised": (_STEPS, "tests/methods/test_every_selfsupervised.py", *_NETWORKS[1:]),
    "supervised": _NETWORKS, "pre-trained": ("tests/methods/test_foundation.py", *_NETWORKS),
    "adaptation": _NETWORKS, "test-time": _NETWORKS,
    "source-free": _NETWORKS, "shallow": _SHALLOW, "shallow adaptation": _SHALLOW,
}
#: Of methods that share none of their family's tests.
_OWN = dict.fromkeys(("riemann", "riemann-centred"),
                     ("tests/methods/test_riemann.py", _SHALLOW[1]))

#: Methods by family: name, class (of a module that is named alike, or ``module:Class``), what it
#: does, paper, and what it declares if that is not the family's.
_METHODS: dict[str, list[tuple[Any, ...]]] = {
    "control": [
        ("majority", "Majority",
         "the calibration trials' class frequencies, else the source's, whatever the window", "",
         replace(_FAMILIES["control"], bare=_NET)),
        ("target-only", "TargetOnly",
         "a method's network from scratch on the calibration trials, without a source"),
        ("random", "Random", "classes drawn by their frequencies, whatever the window", "",
         replace(_FAMILIES["control"], bare=_NET)),
        ("shuffled", "Shuffled", "a method taught labels that are shuffled among trials", "",
         _FAMILIES["self-supervised"]),
    ],
    "self-supervised": [
        ("scmm", "SCMM",
         "soft contrastive masked modelling, pre-trained on the source, calibrated on the target",
         "Liu et al., ACM MM 2025, arXiv 2408.09186"),
        ("scmm-released", "SCMMReleased",
         "SCMM as its released code behaves, test set included; an oracle, never ranked",
         "Liu et al., ACM MM 2025, arXiv 2408.09186"),
        ("simclr", "SimCLR", "contrast of two augmented views of a window",
         "Chen et al., ICML 2020, arXiv 2002.05709"),
        ("byol", "BYOL", "prediction of what a slowly following network makes of another view",
         "Grill et al., NeurIPS 2020, arXiv 2006.07733"),
        ("vicreg", "VICReg", "agreement of two views, with varied and uncorrelated dimensions",
         "Bardes et al., ICLR 2022, arXiv 2105.04906"),
        ("mae", "MAE", "masked autoencoder: reconstruction of hidden channels",
         "He et al., CVPR 2022, arXiv 2111.06377"),
        ("tnc", "TNC", "windows near in time against distant ones of the same recording",
         "Tonekaboni et al., ICLR 2021, arXiv 2106.00750"),
        ("ts-tcc", "TSTCC", "prediction of following windows across a weak and a strong view",
         "Eldele et al., IJCAI 2021, arXiv 2106.14112"),
        ("tf-c", "TFC", "agreement of a window's embedding with that of its spectral shape",
         "Zhang et al., NeurIPS 2022, arXiv 2206.08496"),
        ("softclt", "SoftCLT", "soft contrast of runs of windows, and of moments within a run",
         "Lee et al., ICLR 2024, arXiv 2312.16424"),
        ("simmtm", "SimMTM",
         "masked modelling: reconstruction from masked neighbours by similarity",
         "Dong et al., NeurIPS 2023, arXiv 2302.00861"),
        ("clisa", "CLISA", "contrast of stimuli between subjects; uses the source's stimulus ids",
         "Shen et al., TAFFC 2022, arXiv 2109.09559",
         Profile(replace(_NET, calibration=True), bare=_NET)),
    ],
    "supervised": [
        ("source-only", "SourceOnly",
         "train on the labelled source, subjects pooled, and nothing else"),
        ("mixup", "Mixup", "train on mixtures of source windows and of their classes",
         "Zhang et al., ICLR 2018"),
        ("groupdro", "GroupDRO", "train for the worst source subject", "Sagawa et al., ICLR 2020"),
        ("vrex", "VREx", "equal risk for all source subjects", "Krueger et al., ICML 2021"),
        ("irm", "IRM", "one classifier that is best for every source subject",
         "Arjovsky et al., arXiv 1907.02893"),
        ("mldg", "MLDG", "steps on some source subjects that also help on others",
         "Li et al., AAAI 2018"),
        ("dmmr", "DMMR", "rebuild each subject's windows from a mixture of all subjects'",
         "Wang et al., AAAI 2024, 10.1609/aaai.v38i1.27819"),
        ("ea-shallownet", "EAShallowNet",
         "ShallowFBCSPNet on raw windows, each subject's whitened by their mean covariance",
         "He and Wu, TBME 2020, 10.1109/TBME.2019.2913914",
         Profile(replace(_LABELLED, features=_RAW))),
        ("fine-tune", "FineTune",
         "source-only, whose head is kept and trained further on the calibration trials"),
        ("mixture", "Mixture",
         "source and calibration windows in one training, each side with its weight", "",
         Profile(replace(_NET, calibration=True))),
    ],
    "pre-trained": [
        ("foundation", "foundation:PretrainedNetwork",
         "a foundation model of raw windows as it is, and a head on it"),
    ],
    "adaptation": [
        ("dann", "DANN", "encodings by which no classifier tells the corpora apart",
         "Ganin et al., JMLR 2016"),
        ("cdan", "CDAN", "DANN conditioned on class probabilities, weighted by entropy",
         "Long et al., NeurIPS 2018"),
        ("dan", "DAN", "multi-kernel maximum mean discrepancy of encodings",
         "Long et al., ICML 2015"),
        ("jan", "JAN", "maximum mean discrepancy of encodings and class probabilities",
         "Long et al., ICML 2017"),
        ("deep-coral", "DeepCORAL", "equal covariances of encodings",
         "Sun and Saenko, ECCV workshops 2016"),
        ("mcd", "MCD", "two heads disagree on the target, the encoder makes them agree",
         "Saito et al., CVPR 2018"),
        ("mcc", "MCC", "little confusion between classes on the target", "Jin et al., ECCV 2020"),
        ("dsan", "DSAN", "maximum mean discrepancy class by class", "Zhu et al., TNNLS 2021"),
        ("adda", "ADDA", "a target encoder whose output passes for the source's",
         "Tzeng et al., CVPR 2017"),
        ("ms-mda", "MSMDA",
         "a branch for each source subject, brought near the target, predicting together",
         "Chen et al., Frontiers in Neuroscience 2021, arXiv 2107.07740"),
        ("pr-pl", "PRPL", "prototypes of classes, and pairs of windows that are or are not of one",
         "Zhou et al., arXiv 2202.06509"),
        ("bidann", "BiDANN", "DANN of the left hemisphere, of the right, and of both",
         "Li et al., TAFFC 2021, 10.1109/TAFFC.2018.2885474"),
        ("rgnn", "RGNN", "graph of electrodes, nodes that hide the corpus, blurred labels",
         "Zhong et al., TAFFC 2020, arXiv 1907.07835",
         Profile(replace(_LABELLED, unlabelled=True))),
    ],
    "test-time": [
        ("adabn", "AdaBN", "batch normalisation by the tested windows",
         "Li et al., Pattern Recognition 2018"),
        ("tent", "TENT", "minimise the entropy of predictions on the tested windows",
         "Wang et al., ICLR 2021"),
        ("t3a", "T3A", "class prototypes from the surest tested windows",
         "Iwasawa and Matsuo, NeurIPS 2021"),
    ],
    "source-free": [
        ("shot", "SHOT", "adapt the encoder to unlabelled target windows under the source's head",
         "Liang et al., ICML 2020"),
    ],
    "shallow": [
        ("lr", "LogisticRegressionMethod", "logistic regression on source and calibration windows",
         "scikit-learn"),
        ("svm", "LinearSVM", "linear support vector machine on source and calibration windows",
         "Cortes and Vapnik, Machine Learning 1995"),
        ("lda", "LDA", "linear discriminant analysis with a shrunk covariance",
         "Fisher 1936; Ledoit and Wolf 2004"),
        ("rf", "RandomForest", "random forest on source and calibration windows",
         "Breiman, Machine Learning 2001"),
        ("riemann", "Riemann", "covariances of raw windows in the tangent space at their mean",
         "Barachant et al., IEEE TBME 2012", Profile(replace(_LABELLED, features=_RAW))),
        ("sklearn", "anysklearn:AnySklearn",
         "any scikit-learn classifier by its dotted name, e.g. sklearn:sklearn.svm.SVC",
         "Pedregosa et al., JMLR 2011"),
    ],
    "shallow adaptation": [
        ("coral", "CORAL", "source windows with the target's mean and covariance",
         "Sun et al., AAAI 2016"),
        ("sa", "SubspaceAlignment", "alignment of principal components",
         "Fernando et al., ICCV 2013"),
        ("tca", "TCA", "kernel components in which source and target have one mean",
         "Pan et al., TNN 2011"),
        ("otda", "OTDA", "optimal transport of the source onto the target",
         "Courty et al., TPAMI 2017"),
        ("jdot", "JDOT", "joint transport of windows and their classes",
         "Courty et al., NeurIPS 2017"),
        ("riemann-centred", "riemann:RiemannCentred",
         "riemann, the covariances of each subject whitened by their own mean",
         "Zanini et al., IEEE TBME 2018",
         Profile(Needs(source="labelled", unlabelled=True, features=_RAW))),
    ],

}


def _entry(
    family: str, /, name: str, cls: str, summary: str, paper: str = "", *declared: Profile
) -> Entry:
    target = cls if ":" in cls else f"{name.replace('-', '_')}:{cls}"
    profile = declared[0] if declared else _FAMILIES[family]
    return Entry(name, f"bench.methods.{target}", summary, family, paper, profile=profile,
                 tests=_OWN.get(name, _TESTS[family]))


CATALOGUE = [_entry(family, *row) for family, rows in _METHODS.items() for row in rows]
