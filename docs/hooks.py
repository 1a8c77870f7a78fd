"""What MkDocs does not do by itself: pages made while building, and a site without network."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE))

import commands  # noqa: E402

#: Pages made while building.
MADE = ("changelog.md", "commands.md")
#: Folders that are installed as sub-packages of ``bench`` but stand beside it (see pyproject.toml).
CONTENT = ("methods", "datasets", "reports")
#: What a browser fetches by itself when it shows a page.
_FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"?(https?:|//)[^>]*"
    r"|<link\b(?=[^>]*rel=\"?(?:stylesheet|icon|preconnect|preload|prefetch))"
    r"[^>]*\bhref=\"?(https?:|//)[^>]*"
)
_IMPORTED = re.compile(r"(?:@import\s+|url\()[\"']?(?:https?:)?//[^)\"']*")

_NOT_CODE = shutil.ignore_patterns("__pycache__", "*.pyc")
_sources = tempfile.TemporaryDirectory(prefix="bench-docs-")


@event_priority(100)  # before mkdocstrings looks where to read
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave pages out that are not there; show the reader of docstrings one package."""
    config.nav = _present(config.nav)
    package = Path(_sources.name) / "bench"
    if not package.exists():
        shutil.copytree(ROOT / "bench", package, ignore=_NOT_CODE)
        for name in CONTENT:
            shutil.copytree(ROOT / name, package / name, ignore=_NOT_CODE)
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [_sources.name]
    return config


def _present(nav: list[Any]) -> list[Any]:
    """The part of a menu whose pages exist."""
    kept = []
    for item in nav:
        ((title, what),) = item.items()
        if isinstance(what, list):
            kept.append({title: _present(what)})
        elif what in MADE or (HERE / what).is_file():
            kept.append(item)
    return kept


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog and the page of commands."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for name, text in zip(MADE, (changelog, commands.page()), strict=True):
        files.append(File.generated(config, name, content=text))
    return files


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that fetches anything from elsewhere when it is read."""
    found = []
    site = Path(config.site_dir)
    for pattern, kinds in ((_FETCHED, ("*.html",)), (_IMPORTED, ("*.html", "*.css"))):
        for kind in kinds:
            for path in sorted(site.rglob(kind)):
                text = path.read_text(encoding="utf-8")
                found += [f"{path.relative_to(site)}: {m[0][:100]}" for m in pattern.finditer(text)]
    if found:
        raise PluginError("the site would fetch from other hosts:\n" + "\n".join(found))
