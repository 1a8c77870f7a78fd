"""Reports: one file each. They read the store and nothing else."""

from bench.registry import Entry

CATALOGUE: list[Entry] = [
    Entry("run", "bench.reports.run:show",
          "what bench run prints: one method and its controls", group="reports"),
    Entry("frame", "bench.reports.leaderboard:frame",
          "what bench.leaderboard returns: the leaderboard as a pandas table", group="reports"),
    Entry("terminal", "bench.reports.leaderboard:render",
          "leaderboard in the terminal: method x pair, controls, captions", group="reports"),
    Entry("leaderboard", "bench.reports.leaderboard:write",
          "leaderboard as Markdown and tidy CSV, with every subject's scores", group="reports"),
    Entry("heatmap", "bench.reports.heatmap:write",
          "source x target matrix of every method (PNG, PDF, SVG)", group="reports"),
    Entry("subjects", "bench.reports.subjects:write",
          "every target subject, method against target-only (PNG, PDF, SVG)", group="reports"),
]
