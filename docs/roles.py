"""Docstrings name classes and functions as Sphinx does; on the site these become links."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(~?)([\w.]+)`")


class Roles(griffe.Extension):
    """Turn ``:class:`~bench.Windows``` into a link, or into code where the page is not there."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object that was just read."""
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(_link, obj.docstring.value)


def _link(found: re.Match[str]) -> str:
    tilde, path = found.groups()
    shown = path.rpartition(".")[2] if tilde else path
    if not path.startswith("bench."):
        return f"`{shown}`"
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'
