"""SEED-IV: 15 subjects, 3 sessions of 24 film clips each, other clips in each session."""

from __future__ import annotations

import re
from pathlib import Path

from bench.data.corpus import Features, Inventory, Recording
from bench.data.labels import Task
from bench.data.recipe import Recipe
from bench.errors import DataError

from .shared import files, seed_files
from .shared.facts import SEED_IV_DATES, SEED_IV_LABELS, SEED_IV_SAMPLES_1, SEED_IV_WINDOWS
from .shared.simulated import seconds
from .shared.simulator import Generator
from .shared.tables import text_of

_RAW = "eeg_raw_data"
_OFFICIAL = "eeg_feature_smooth"
_CLASSES = {0.0: "neutral", 1.0: "sad", 2.0: "fear", 3.0: "happy"}
_TRIALS = 24
_WINDOW_S = 4


class SeedIV(seed_files.SeedLike):
    """Reader and simulator of SEED-IV."""

    name = "SEED-IV"
    title = (
        "SEED-IV. Zheng, Liu, Lu, Lu & Cichocki: EmotionMeter: a multimodal framework for "
        "recognizing human emotions. IEEE Trans. Cybernetics 2019, 10.1109/TCYB.2018.2797176"
    )
    layout = """SEED_IV/
  eeg_raw_data/{1,2,3}/{subject}_{YYYYMMDD}.mat          15 each   (features=bench)
  eeg_feature_smooth/{1,2,3}/{subject}_{YYYYMMDD}.mat    15 each   (features=official)
  ReadMe.txt                                             (labels)"""
    folder = "SEED_IV"
    trials_per_session = _TRIALS
    codes = _CLASSES
    new_clips = True
    tasks = (
        Task("4", tuple(_CLASSES.values()), "class", codes=_CLASSES,
             doc="What the film clip is meant to evoke."),
        Task("3", ("negative", "neutral", "positive"), "class",
             codes={1.0: "negative", 0.0: "neutral", 3.0: "positive"}, dropped=frozenset({2.0}),
             doc="Sad is negative, happy is positive, fear is dropped."),
        Task("3-fear-negative", ("negative", "neutral", "positive"), "class",
             codes={1.0: "negative", 2.0: "negative", 0.0: "neutral", 3.0: "positive"},
             doc="Sad and fear are negative, happy is positive."),
    )
    official_kinds = (
        "de_LDS", "de_movingAve", "psd_LDS", "psd_movingAve",
    )

    def inventory(self, root: Path, features: Features = "bench") -> Inventory:
        """List the files, see :meth:`CorpusAdapter.inventory`; the folder's number is the session.

        Raises
        ------
        MissingCorpusError, DataError
        """
        folder, places = files.locate(self, root, (_RAW if features == "bench" else _OFFICIAL,))
        recordings: list[Recording] = []
        skipped: files.Skipped = []
        for entry in files.entries(places[0]):
            numbered = entry.name in ("1", "2", "3") and entry.is_dir()
            if numbered and files.inside(entry, folder):
                dated, passed = self.matching(entry, folder, *seed_files.DATED)
                recordings += [Recording(p, subject, int(entry.name)) for p, subject, _ in dated]
                skipped += passed
            elif numbered:
                skipped.append((entry, "a link that leaves the corpus's folder"))
            elif not re.fullmatch(seed_files.COMPANIONS, files.plain(entry.name)):
                skipped.append((entry, "not one of the sessions' folders 1, 2, 3"))
        if not recordings:
            raise files.no_recordings(self, places, f"{{1,2,3}}/{seed_files.FILE_WORDS}", skipped)
        return self.listed(folder, self.unique(recordings), skipped)

    def published(self, session: int) -> tuple[int, ...]:
        """Class of each clip of a session."""
        return SEED_IV_LABELS[session - 1]

    def labels(
        self, inventory: Inventory, recording: Recording, notices: list[str]
    ) -> tuple[int, ...]:
        """Clip classes from ``ReadMe.txt``, or the published ones.

        Raises
        ------
        DataError
            A list in ``ReadMe.txt`` is not one of 24 classes.
        """
        session = recording.session
        readmes = files.loose_files(inventory.root, inventory.root, "ReadMe.txt", "ReadMe")
        for path in readmes:
            labels = _parse_labels(path, session)
            if labels and labels != self.published(session):
                files.once(notices, f"SEED-IV: session{session}_label in {path.name} differs "
                                     "from the published labels; the file's are used")
            if labels:
                return labels
        absent = f"has no list of labels for session {session}" if readmes else "not found"
        files.once(notices, f"SEED-IV: ReadMe.txt {absent}; the published labels are used")
        return self.published(session)

    def samples(self, session: int, index: int, recipe: Recipe | None) -> int:
        """Samples of a trial; published for the first session, else from its windows."""
        rate = seed_files.RATE
        if session == 1:
            true_s = (SEED_IV_SAMPLES_1[index] - 1) / rate
        else:  # W windows of 4 s fit trials of 4 W to 4 W + 3 s: the middle
            true_s = _WINDOW_S * SEED_IV_WINDOWS[session - 1][index] + 2
        return seconds(true_s, recipe) * rate + 1

    def write(self, folder: Path, generator: Generator) -> None:
        """Write signals, features, ``ReadMe.txt``, decoys."""
        for session in self.visits(generator.recipe):
            for name in (_RAW, _OFFICIAL):
                (folder / name / str(session)).mkdir(parents=True)
            for subject in self.people(generator.recipe):
                file = f"{session}/{subject}_{SEED_IV_DATES[subject][session - 1]}.mat"
                self.write_recording(
                    generator, subject, session, raw=folder / _RAW / file,
                    official={_WINDOW_S: folder / _OFFICIAL / file},
                )
        (folder / _RAW / "1" / "._1_20160518.mat").write_bytes(files.JUNK)
        (folder / "Channel Order.xlsx").write_bytes(b"")
        lists = "\n".join(
            f"session{i}_label = [{','.join(map(str, labels))}];"
            for i, labels in enumerate(SEED_IV_LABELS, start=1)
        )
        (folder / "ReadMe.txt").write_text(
            "Simulated; no recording of a person.\nThe labels 0, 1, 2, 3 are neutral, sad, fear, "
            f"happy.\n\n{lists}\n"
        )


def _parse_labels(path: Path, session: int) -> tuple[int, ...]:
    """Classes of a session's trials; empty if the file has no such list."""
    text = text_of(path)
    match = re.search(
        rf"session\s*_?{session}_?label\w*\s*=\s*\[([^\]]*)\]", text, flags=re.IGNORECASE
    )
    if match is None:
        return ()
    words = re.split(r"[,;\s]+", match[1].strip(" ,;\t\r\n"))
    if len(words) != _TRIALS or not all(re.fullmatch("[0-3]", w) for w in words):
        raise DataError(
            f"{path} session{session}_label", f"{_TRIALS} labels among 0, 1, 2, 3",
            f"{len(words)}: {', '.join(words[:30])}",
        )
    return tuple(int(w) for w in words)
