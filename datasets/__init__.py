"""Corpora: one file each. A new one is a file here and a line in this catalogue."""

from bench.data.locations import described_corpora, locations_stamp
from bench.registry import Catalogue, Entry, folder_entry


def _added() -> list[Entry]:
    """Folders that ``bench data add`` has remembered."""
    return [folder_entry(name, path) for name, path in described_corpora().items()]


CATALOGUE = Catalogue([
    Entry("described", "bench.datasets.described:Described",
          "a folder of any making, by the TOML that describes it", group="folders"),
    Entry("windows", "bench.datasets.own_windows:OwnWindows",
          "windows of your own, in a file of bench.save_windows", group="folders"),
    Entry("SEED", "bench.datasets.seed:Seed",
          "15 subjects, 3 sessions, 15 film clips; negative, neutral, positive",
          paper="Zheng & Lu 2015, 10.1109/TAMD.2015.2431497"),
    Entry("SEED-IV", "bench.datasets.seed_iv:SeedIV",
          "15 subjects, 3 sessions, 72 film clips; neutral, sad, fear, happy",
          paper="Zheng et al. 2019, 10.1109/TCYB.2018.2797176"),
    Entry("SEED-V", "bench.datasets.seed_v:SeedV",
          "16 subjects, 3 sessions, 45 film clips; disgust, fear, sad, neutral, happy",
          paper="Liu et al. 2022, 10.1109/TCDS.2021.3071170"),
    Entry("SEED-VII", "bench.datasets.seed_vii:SeedVII",
          "20 subjects, 4 sessions, 80 film clips; seven emotions",
          paper="Jiang et al. 2025, 10.1109/TAFFC.2024.3485057"),
    Entry("FACED", "bench.datasets.faced:Faced",
          "123 subjects, 28 film clips; nine emotions, own ratings",
          paper="Chen et al. 2023, 10.1038/s41597-023-02650-w"),
    Entry("DEAP", "bench.datasets.deap:Deap",
          "32 subjects, 40 music videos; self-rated valence and arousal",
          paper="Koelstra et al. 2012, 10.1109/T-AFFC.2011.15"),
    Entry("DREAMER", "bench.datasets.dreamer:Dreamer",
          "23 subjects, 18 film clips, 14 electrodes; self-rated valence and arousal",
          paper="Katsigiannis & Ramzan 2018, 10.1109/JBHI.2017.2688239"),
    Entry("EEGMAT", "bench.datasets.eegmat:Eegmat",
          "36 subjects, rest and mental arithmetic; open, not emotion", family="open",
          paper="Zyma et al. 2019, 10.3390/data4010014"),
    Entry("SAM40", "bench.datasets.sam40:Sam40",
          "40 subjects, rest, arithmetic, mirror images, Stroop test; open, not emotion",
          family="open", paper="Ghosh et al. 2022, 10.1016/j.dib.2021.107772"),
    Entry("DENS", "bench.datasets.dens:Dens",
          "40 subjects, 11 film clips each; self-rated valence and arousal; open", family="open",
          paper="Mishra et al., 10.18112/openneuro.ds003751.v1.0.2"),
    Entry("FILM-MUSIC", "bench.datasets.film_music:FilmMusic",
          "31 subjects, 40 clips of film music; self-rated valence and arousal; open",
          family="open", paper="Daly et al. 2020, 10.1038/s41597-020-0507-6"),
    Entry("EMOEEG-MC", "bench.datasets.emoeeg_mc:EmoEegMc",
          "60 subjects, seven emotions seen on film and imagined; open", family="open",
          paper="Xu et al., 10.18112/openneuro.ds005540.v1.0.7"),
], _added, locations_stamp)
