"""Reports: one file each. They read the store and nothing else."""

from bench.registry import Entry

_PICTURES = ("png", "pdf", "svg")
#: Name, function (of a module that is named alike, or ``module:function``), what it shows, and the
#: kinds of files it writes.
_REPORTS: list[tuple[str, str, str, tuple[str, ...]]] = [
    ("run", "show", "what bench run prints: one method and its controls", ()),
    ("frame", "leaderboard:frame",
     "what bench.leaderboard returns: the leaderboard as a pandas table", ()),
    ("terminal", "leaderboard:render",
     "leaderboard in the terminal: method x pair, controls, captions", ()),
    ("leaderboard", "write", "leaderboard as Markdown and tidy CSV, with every subject's scores",
     ("csv", "md")),
    ("significance", "write",
     "every pair of methods: difference, interval, Wilcoxon with Holm, subjects needed",
     ("csv", "md")),
    ("latex", "write", "leaderboard as a LaTeX table (booktabs)", ("latex",)),
    ("json", "json_file:write", "leaderboard as JSON, unrounded", ("json",)),
    ("published", "write", "published figures beside measured ones, or why not", ("csv", "md")),
    ("published-figures", "published:figures",
     "what bench report --published is checked by: the figures of each file", ()),
    ("html", "write",
     "one page: sort, filter, every pair, method and subject, how numbers were made", ("html",)),
    ("site", "write",
     "what bench report --site writes: a page for each setting, and an index of them", ()),
    ("heatmap", "write", "source x target matrix of every method (PNG, PDF, SVG)", _PICTURES),
    ("subjects", "write", "every target subject, method against target-only (PNG, PDF, SVG)",
     _PICTURES),
    ("curves", "write", "learning curves: pre-training loss, test score while fine-tuning",
     _PICTURES),
    ("confusion", "write", "confusion matrices of methods and pairs, from the predictions",
     _PICTURES),
    ("source_gain", "write", "what the source adds to the same network from scratch",
     _PICTURES),
    ("cost", "write", "score against wall time and number of parameters", _PICTURES),
    ("ranks", "rank_diagram:write", "mean ranks with cliques that cannot be told apart", _PICTURES),
    ("difference", "write", "source x target matrix of the difference of two methods", _PICTURES),
    ("calibration", "write", "score against the number of calibration trials", _PICTURES),
    ("selection", "write",
     "what each rule of choosing the epoch would have given, against the last epoch",
     ("csv", "md", *_PICTURES)),
    ("embedding", "write",
     "map of encoded windows by corpus, subject, emotion (needs --diagnostics)", _PICTURES),
    ("scalp", "write", "scalp maps of the importance of bands (needs --diagnostics)", _PICTURES),
    ("audit-screen", "audit:show", "what bench audit prints: what each shortcut adds", ()),
    ("audit", "write", "what each shortcut adds to the honest score, of every audit in the folder",
     ("csv", "md", "json", *_PICTURES)),
]


def _entry(name: str, function: str, summary: str, formats: tuple[str, ...]) -> Entry:
    target = function if ":" in function else f"{name}:{function}"
    return Entry(name, f"bench.reports.{target}", summary, formats=formats)


CATALOGUE = [_entry(*row) for row in _REPORTS]
