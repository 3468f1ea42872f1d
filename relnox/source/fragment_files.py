"""Reading change fragments from the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.notes.fragments import Fragment


def read_fragments(
    root: Path, directory: str | None, packages: Sequence[str]
) -> tuple[tuple[Fragment, ...] | None, dict[str, bytes]]:
    """Return the change fragments in a directory of the project, and the contents of their files by path.

    Args:
        root: The project's directory.
        directory: The directory of the fragments, relative to the root, or None if no directory is configured:
            then the fragments are None, too.
        packages: The names of all packages.

    Raises:
        Blocked: A fragment is not valid.
    """
    if directory is None:
        return None, {}
    from relnox.core.notes.fragments import parse_fragment

    contents = {
        f"{directory.strip('/')}/{path.name}": path.read_bytes()
        for path in sorted((root / directory).glob("*.md"))
        if path.name.lower() != "readme.md" and path.is_file()
    }
    return tuple(parse_fragment(name, content, packages) for name, content in contents.items()), contents
