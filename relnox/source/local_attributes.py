"""Find files of a checkout that were converted by attributes which are not committed.

The attributes in `info/attributes` of a repository override those of the commit, and git has no option to ignore
them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox.core.text import join_names
from relnox.errors import Failed
from relnox.source.git.repository import blob_id
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.source.git import Git

_CONVERTING = ("text", "eol", "crlf", "ident", "filter", "working-tree-encoding")
"""The attributes that change the content of files when they are checked out."""


def check_attributes(checkout: Git, attributes: Path) -> None:
    """Check that a new checkout has the same files as without the attributes of its repository.

    Args:
        checkout: The checkout.
        attributes: The file `info/attributes` of its repository; if it does not exist, no git is run.

    Raises:
        Failed: The attributes convert files, or keep the attributes of the commit from converting them.
    """
    if not attributes.is_file():
        return
    converted_files = sorted(_find_converted_files(checkout))
    if converted_files:
        verb = "is" if len(converted_files) == 1 else "are"
        raise Failed(
            "git-setting-invalid",
            f"{join_names(converted_files)} {verb} converted by attributes that are not committed ({attributes})",
            fix=f"move its lines to .gitattributes and commit them: {attributes}",
        )


def _find_converted_files(checkout: Git) -> Iterator[str]:
    object_ids = {}
    for entry in checkout.read_entries("ls-files", "--stage"):
        details, _, name = entry.partition("\t")
        object_ids[name] = details.split(" ")[1]
    names = "\0".join(object_ids)
    with TemporaryDirectory() as directory:
        # In a new repository with the same files, only committed attributes apply.
        checkout.run("init", "--quiet", "--template=", str(directory.path)).check("git init")
        variables = {"GIT_DIR": str(directory.path / ".git"), "GIT_WORK_TREE": str(checkout.root)}
        committed = _read_attributes(checkout, names, variables)
    for name, values in _read_attributes(checkout, names, {}).items():
        path = checkout.root / name
        if values == committed[name] or path.is_symlink() or not path.is_file():
            continue
        # Files without these attributes are checked out as they are in the commit, text too (core.eol is lf).
        _, eol, *others = committed[name]
        is_plain = eol != "crlf" and set(others) <= {"unspecified", "unset"}
        if not is_plain or blob_id(path.read_bytes(), object_ids[name]) != object_ids[name]:
            yield name


def _read_attributes(checkout: Git, names: str, variables: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return the values of the converting attributes of files."""
    options = ("-c", f"core.attributesFile={os.devnull}")
    variables = {"GIT_ATTR_NOSYSTEM": "1", **variables}
    command = ("check-attr", "-z", "--stdin", *_CONVERTING)
    answer = checkout.run(*options, *command, stdin=names, stderr=False, variables=variables)
    fields = answer.check("git check-attr").output.split("\0")
    values: dict[str, tuple[str, ...]] = {}
    for name, value in zip(fields[:-1:3], fields[2::3], strict=True):
        values[name] = (*values.get(name, ()), value)
    return values
