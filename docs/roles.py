"""Two habits of Sphinx that the site's reader of docstrings does not know.

Docstrings name classes and functions by roles, which become links; attributes are described by
``#:`` comments above them.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Turn ``:class:`~bench.Windows``` into a link, or into code where the page is not there."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Complete and rewrite the docstring of an object that was just read."""
        if obj.is_attribute and obj.docstring is None and (text := _comment(obj)):
            obj.docstring = griffe.Docstring(text, parent=obj)
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)


def _comment(obj: griffe.Object) -> str:
    """What the ``#:`` lines right above an attribute say."""
    try:
        above = obj.lines_collection[obj.filepath][: (obj.lineno or 1) - 1]
    except (KeyError, ValueError):
        return ""
    said: list[str] = []
    while above and above[-1].lstrip().startswith("#:"):
        said.insert(0, above.pop().lstrip()[2:].strip())
    return " ".join(said)


def _link(found: re.Match[str]) -> str:
    tilde, path = found.groups()
    shown = path.rpartition(".")[2] if tilde else path
    if not path.startswith("bench."):
        return f"`{shown}`"
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'
