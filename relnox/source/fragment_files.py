"""Read change fragments (files that each describe a change for the changelog) from the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.system.files import read_project_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.notes.fragments import Fragment


def read_fragments(
    root: Path, directory: str | None, packages: Sequence[str]
) -> tuple[tuple[Fragment, ...] | None, dict[str, bytes]]:
    """Return the change fragments in a directory of the project, and the contents of their files by path.

    The directory and the paths are relative to the root; `packages` are the names of all packages. If no directory
    is configured (`directory` is None), the fragments are None as well.

    Raises:
        Blocked: A fragment is not valid.
    """
    if directory is None:
        return None, {}
    from relnox.core.notes.fragments import parse_fragment

    contents = {
        (name := f"{directory.strip('/')}/{path.name}"): read_project_file(root, name)
        for path in sorted((root / directory).glob("*.md"))
        if path.name.lower() != "readme.md" and path.is_file()
    }
    return tuple(parse_fragment(name, content, packages) for name, content in contents.items()), contents
