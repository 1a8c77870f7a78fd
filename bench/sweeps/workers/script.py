"""Scripts that start worker processes: each worker imports the script, and so runs it again."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import FrameType, ModuleType

from ...errors import SettingError

GUARD = 'if __name__ == "__main__":'


def check_guard() -> None:
    """Refuse a script whose workers would run it again from the top, before any is started.

    Its statement that is being executed must stand under a guard, or after one that ends what is
    not the main program. Notebooks, ``python -c`` and installed commands have nothing to import.

    Raises
    ------
    SettingError
    """
    found = unguarded(sys.modules.get("__main__"), sys._getframe())
    if found is not None:
        path, line = found
        raise SettingError(
            f"{path.name} starts worker processes in line {line}, and each of them would run the "
            "script again, since it is not kept from that",
            f"Put that line, and what must happen once, under\n\n{GUARD}\n    ...\n\n"
            "or use workers=1.",
        )


def unguarded(main: ModuleType | None, frame: FrameType | None) -> tuple[Path, int] | None:
    """File and line of the statement that is being executed, if nothing guards it.

    None also where that cannot be told: there is no file, or it is not what runs.
    """
    file = getattr(main, "__file__", None)
    if main is None or file is None or _is_package(main):
        return None
    while frame is not None and not (
        frame.f_globals is main.__dict__ and frame.f_code.co_name == "<module>"
    ):
        frame = frame.f_back
    if frame is None:
        return None
    try:
        statements = ast.parse(Path(file).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    line = frame.f_lineno
    for statement in statements:
        if statement.lineno > line:
            break
        inside = statement.lineno <= line <= (statement.end_lineno or line)
        if isinstance(statement, ast.If) and _asks_name(statement.test) and (
            inside or _leaves(statement)
        ):
            return None
    return Path(file), line


def _is_package(main: ModuleType) -> bool:
    """Whether it is ``python -m PACKAGE``: workers do not import such a module."""
    return getattr(getattr(main, "__spec__", None), "name", "").endswith("__main__")


def _asks_name(test: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(test))


def _leaves(statement: ast.If) -> bool:
    """Whether a guard before says who is not the main program, and ends it."""
    return any(isinstance(n, ast.NotEq) for n in ast.walk(statement.test))
