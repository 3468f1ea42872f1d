"""The full name of a module that an import did not find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def candidate_modules(lines: Iterable[str], missing: str) -> tuple[str, ...]:
    """Return the full names of the modules that a failed import may have needed, the longest name first.

    If no package in a namespace is installed, Python reports the namespace itself as `missing`. The full name is
    therefore read from the import statement in the lines of the traceback.
    """
    statement = re.compile(
        rf"\b(?:from|import)\s+(?P<module>{re.escape(missing)}(?:\.\w+)*)(?:\s+import\s+\(?\s*(?P<name>\w+))?"
    )
    statements = [match for line in lines if (match := statement.search(line)) is not None]
    if not statements:
        return (missing,)
    module, name = statements[-1]["module"], statements[-1]["name"]
    return tuple(dict.fromkeys([*([f"{module}.{name}"] if name else []), module, missing]))
