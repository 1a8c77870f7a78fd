"""Reports: one file each. They read the store and nothing else."""

from bench.registry import Entry

_PICTURES = ("png", "pdf", "svg")
CATALOGUE: list[Entry] = [
    Entry("run", "bench.reports.run:show",
          "what bench run prints: one method and its controls", group="reports"),
    Entry("terminal", "bench.reports.leaderboard:render",
          "leaderboard in the terminal: method x pair, controls, captions", group="reports"),
    Entry("leaderboard", "bench.reports.leaderboard:write",
          "leaderboard as Markdown and tidy CSV, with every subject's scores", group="reports",
          formats=("csv", "md")),
    Entry("latex", "bench.reports.latex:write",
          "leaderboard as a LaTeX table (booktabs)", group="reports", formats=("latex",)),
    Entry("json", "bench.reports.json_file:write",
          "leaderboard as JSON, unrounded", group="reports", formats=("json",)),
    Entry("published", "bench.reports.published:write",
          "published figures beside measured ones, or why not", group="reports",
          formats=("csv", "md")),
    Entry("html", "bench.reports.html:write",
          "one page: sort, filter, every pair, method and subject, how numbers were made",
          group="reports", formats=("html",)),
    Entry("heatmap", "bench.reports.heatmap:write",
          "source x target matrix of every method (PNG, PDF, SVG)", group="reports",
          formats=_PICTURES),
    Entry("subjects", "bench.reports.subjects:write",
          "every target subject, method against target-only (PNG, PDF, SVG)", group="reports",
          formats=_PICTURES),
    Entry("curves", "bench.reports.curves:write",
          "learning curves: pre-training loss, test score while fine-tuning", group="reports",
          formats=_PICTURES),
]
