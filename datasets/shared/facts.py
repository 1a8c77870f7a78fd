"""Tables of the owners: channel orders, trial lengths, labels, file dates.

Facts of the layouts, copied from the corpora's public descriptions; no data. Times are those of
the complete corpora: a simulated one keeps their ratios.
"""

from __future__ import annotations

#: 62 electrodes in the order of SEED's and SEED-IV's rows (owners' ``Channel Order.xlsx``).
SEED_CHANNELS: tuple[str, ...] = (
    "FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8",
    "FT7", "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ",
    "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "P7",
    "P5", "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4", "PO6",
    "PO8", "CB1", "O1", "OZ", "O2", "CB2",
)

#: First 32 rows of DEAP's preprocessed files, "Geneva order".
DEAP_CHANNELS: tuple[str, ...] = (
    "Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7", "PO3", "O1",
    "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz", "C4", "T8", "CP6", "CP2",
    "P4", "P8", "PO4", "O2",
)

#: Samples per trial of SEED at 200 Hz.
SEED_SAMPLES: tuple[int, ...] = (
    47001, 46601, 41201, 47601, 37001, 39001, 47401, 43201, 53001, 47401, 47001, 46601, 47001,
    47601, 41201,
)

#: Class of each of SEED's clips: 1 positive, 0 neutral, -1 negative.
SEED_LABELS: tuple[int, ...] = (1, 0, -1, -1, 0, 1, -1, 0, 1, 1, 0, -1, 0, 1, -1)

#: Kinds of SEED's feature files and how many rows each has.
SEED_FEATURE_ROWS: dict[str, int] = {
    "de": 62, "psd": 62, "dasm": 27, "rasm": 27, "asm": 54, "dcau": 23,
}

#: Dates in SEED's file names, per subject, by session.
SEED_DATES: dict[int, tuple[int, int, int]] = {
    1: (20131027, 20131030, 20131107),
    2: (20140404, 20140413, 20140419),
    3: (20140603, 20140611, 20140629),
    4: (20140621, 20140702, 20140705),
    5: (20140411, 20140418, 20140506),
    6: (20130712, 20131016, 20131113),
    7: (20131027, 20131030, 20131106),
    8: (20140511, 20140514, 20140521),
    9: (20140620, 20140627, 20140704),
    10: (20131130, 20131204, 20131211),
    11: (20140618, 20140625, 20140630),
    12: (20131127, 20131201, 20131207),
    13: (20140527, 20140603, 20140610),
    14: (20140601, 20140615, 20140627),
    15: (20130709, 20131016, 20131105),
}

#: Of SEED-V, per session: class of each clip, 0 disgust, 1 fear, 2 sad, 3 neutral, 4 happy.
SEED_V_LABELS: tuple[tuple[int, ...], ...] = (
    (4, 1, 3, 2, 0, 4, 1, 3, 2, 0, 4, 1, 3, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
    (2, 1, 3, 0, 4, 4, 0, 3, 2, 1, 3, 4, 1, 2, 0),
)

#: Second of the recording in which each clip of SEED-V begins, and in which it ends, per session.
SEED_V_STARTS: tuple[tuple[int, ...], ...] = (
    (30, 132, 287, 555, 773, 982, 1271, 1628, 1730, 2025, 2227, 2435, 2667, 2932, 3204),
    (30, 299, 548, 646, 836, 1000, 1091, 1392, 1657, 1809, 1966, 2186, 2333, 2490, 2741),
    (30, 353, 478, 674, 825, 908, 1200, 1346, 1451, 1711, 2055, 2307, 2457, 2726, 2888),
)
SEED_V_ENDS: tuple[tuple[int, ...], ...] = (
    (102, 228, 524, 742, 920, 1240, 1568, 1697, 1994, 2166, 2401, 2607, 2901, 3172, 3359),
    (267, 488, 614, 773, 967, 1059, 1331, 1622, 1777, 1908, 2153, 2302, 2428, 2709, 2817),
    (321, 418, 643, 764, 877, 1147, 1284, 1418, 1679, 1996, 2275, 2425, 2664, 2857, 3066),
)

#: Emotion of each clip of SEED-VII, per session.
SEED_VII_LABELS: tuple[tuple[str, ...], ...] = tuple(
    (*half, *reversed(half)) * 2 for half in (
        ("happy", "neutral", "disgust", "sad", "anger"),
        ("anger", "sad", "fear", "neutral", "surprise"),
        ("happy", "surprise", "disgust", "fear", "anger"),
        ("disgust", "sad", "fear", "surprise", "happy"),
    )
)

#: 14 electrodes of DREAMER (Emotiv EPOC), in the order of its columns.
EPOC_CHANNELS: tuple[str, ...] = (
    "AF3", "F7", "F3", "FC5", "T7", "P7", "O1", "O2", "P8", "T8", "FC6", "F4", "F8", "AF4",
)

#: 30 electrodes of FACED, in the order of its rows without the mastoids A1 and A2.
FACED_CHANNELS: tuple[str, ...] = (
    "FP1", "FP2", "FZ", "F3", "F4", "F7", "F8", "FC1", "FC2", "FC5", "FC6", "CZ", "C3", "C4", "T7",
    "T8", "CP1", "CP2", "CP5", "CP6", "PZ", "P3", "P4", "P7", "P8", "PO3", "PO4", "OZ", "O1", "O2",
)

#: Emotion that each of FACED's 28 clips is meant to evoke.
FACED_LABELS: tuple[str, ...] = tuple(
    emotion for emotion, clips in {
        "anger": 3, "disgust": 3, "fear": 3, "sadness": 3, "neutral": 4, "amusement": 3,
        "inspiration": 3, "joy": 3, "tenderness": 3,
    }.items() for _ in range(clips)
)

#: Class of each of SEED-IV's clips, per session: 0 neutral, 1 sad, 2 fear, 3 happy.
SEED_IV_LABELS: tuple[tuple[int, ...], ...] = (
    (1, 2, 3, 0, 2, 0, 0, 1, 0, 1, 2, 1, 1, 1, 2, 3, 2, 2, 3, 3, 0, 3, 0, 3),
    (2, 1, 3, 0, 0, 2, 0, 2, 3, 3, 2, 3, 2, 0, 1, 1, 2, 1, 0, 3, 0, 1, 3, 1),
    (1, 2, 2, 1, 3, 3, 3, 1, 1, 2, 1, 0, 2, 3, 3, 0, 2, 3, 0, 0, 2, 0, 1, 0),
)

#: 4 s windows per trial of SEED-IV, per session.
SEED_IV_WINDOWS: tuple[tuple[int, ...], ...] = (
    (
        42, 23, 49, 32, 22, 40, 38, 52, 36, 42, 12, 27, 54, 42, 64, 35, 17, 44, 35, 12, 28, 28,
        43, 34,
    ),
    (
        55, 25, 34, 36, 53, 27, 34, 46, 34, 20, 60, 12, 36, 27, 44, 15, 46, 49, 45, 10, 37, 44,
        24, 19,
    ),
    (
        42, 32, 23, 45, 48, 26, 64, 23, 26, 16, 51, 41, 39, 19, 28, 44, 14, 17, 45, 22, 39, 38,
        41, 39,
    ),
)

#: Samples per trial of SEED-IV's first session at 200 Hz; those of the others are not published.
SEED_IV_SAMPLES_1: tuple[int, ...] = (
    33601, 19001, 39801, 26001, 17601, 32401, 30601, 41801, 29001, 33801, 10001, 22001, 43401,
    33801, 51801, 28201, 13601, 35801, 28001, 9601, 22401, 22401, 35001, 27401,
)

#: Dates in SEED-IV's file names, per subject, by session.
SEED_IV_DATES: dict[int, tuple[int, int, int]] = {
    1: (20160518, 20161125, 20161126),
    2: (20150915, 20150920, 20151012),
    3: (20150919, 20151018, 20151101),
    4: (20151111, 20151118, 20151123),
    5: (20160406, 20160413, 20160420),
    6: (20150507, 20150511, 20150512),
    7: (20150715, 20150717, 20150721),
    8: (20151103, 20151110, 20151117),
    9: (20151028, 20151119, 20151209),
    10: (20151014, 20151021, 20151023),
    11: (20150916, 20150921, 20151011),
    12: (20150725, 20150804, 20150807),
    13: (20151115, 20151125, 20161130),
    14: (20151205, 20151208, 20151215),
    15: (20150508, 20150514, 20150527),
}

#: EEGMAT's 19 electrodes in the order of its files, which have the old names T3 to T6 and, beside
#: them, the ears and the heart.
EEGMAT_CHANNELS: tuple[str, ...] = (
    "FP1", "FP2", "F3", "F4", "F7", "F8", "T7", "T8", "C3", "C4", "P7", "P8", "P3", "P4", "O1",
    "O2", "FZ", "CZ", "PZ",
)

#: Rows of SAM40's files.
SAM40_CHANNELS: tuple[str, ...] = (
    "Cz", "Fz", "Fp1", "F7", "F3", "FC1", "C3", "FC5", "FT9", "T7", "CP5", "CP1", "P3", "P7",
    "PO9", "O1", "Pz", "Oz", "O2", "PO10", "P8", "P4", "CP2", "CP6", "T8", "FT10", "FC6", "C4",
    "FC2", "F4", "F8", "Fp2",
)

#: DENS's electrodes of the 10-20 system, by their numbers in the owners' net of 128 (as its maker
#: gives the equivalents; Cz is the reference, Oz is taken in its place).
DENS_ELECTRODES: dict[str, int] = {
    "FP1": 22, "FP2": 9, "F3": 24, "F4": 124, "F7": 33, "F8": 122, "FZ": 11, "C3": 36, "C4": 104,
    "T7": 45, "T8": 108, "P3": 52, "P4": 92, "P7": 58, "P8": 96, "PZ": 62, "O1": 70, "O2": 83,
    "OZ": 75,
}

#: EmoEEG-MC's 64 electrodes, as its README lists them.
EMOEEG_CHANNELS: tuple[str, ...] = (
    "Fp1", "Fpz", "Fp2", "AF7", "AF3", "AF4", "AF8", "F7", "F5", "F3", "F1", "Fz", "F2", "F4",
    "F6", "F8", "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3",
    "C1", "Cz", "C2", "C4", "C6", "T8", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6",
    "TP8", "P7", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "P8", "PO7", "PO3", "POz", "PO4",
    "PO8", "O1", "Oz", "O2", "F9", "F10", "TP9", "TP10",
)

#: Orders of stimuli of some of its subjects, for simulated ones.
EMOEEG_ORDERS: tuple[tuple[str, ...], ...] = (
    (
        "joy5", "ins5", "joy8", "fear8", "sad8", "dis5", "neu4", "neu5", "neu8", "ten5", "ten8",
        "joy4", "dis4", "fear4", "sad4", "ins8", "ins4", "ten4", "dis8", "fear5", "sad5",
    ),
    (
        "fear8", "fear5", "dis4", "ins8", "joy8", "ins4", "neu4", "neu8", "neu5", "sad4", "dis8",
        "fear4", "ten5", "ten8", "joy4", "dis5", "sad8", "sad5", "joy5", "ten4", "ins5",
    ),
    (
        "ten4", "joy4", "joy8", "neu4", "neu8", "neu5", "dis5", "fear4", "fear5", "ten8", "ten5",
        "ins5", "fear8", "dis4", "dis8", "ins8", "joy5", "ins4", "sad4", "sad5", "sad8",
    ),
)
