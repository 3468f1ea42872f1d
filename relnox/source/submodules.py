"""Find the submodules of a commit that are not initialized in the checkout, and so are empty in its export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox.source.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SUBMODULE_MODE = "160000"
"""The mode of submodules in trees and in git's index."""


class EmptySubmodule(NamedTuple):
    """A submodule that is not initialized.

    Attributes:
        path: Its path, relative to the top level of the checkout.
        is_listed: Whether .gitmodules has it, so that git can initialize it.
        is_optional: Whether `git submodule update --init` skips it, because the project or the user chose that.
    """

    path: str
    is_listed: bool
    is_optional: bool


def find_empty_submodules(git: Git, commit: str, entries: Iterable[str]) -> Iterator[EmptySubmodule]:
    """Yield the submodules of a commit, and those in submodules, that are not initialized in the checkout.

    Args:
        git: The checkout.
        commit: The commit.
        entries: The output of `git ls-tree -r --full-tree` for the commit; if it has no submodule, no git is run.
    """
    if links := list(find_submodules(entries)):
        yield from _check_submodules(Git(Path(git.top_level())), commit, links)


def is_initialized(directory: Path) -> bool:
    """Return whether the directory of a submodule is a checkout of it."""
    return (directory / ".git").exists()


def find_submodules(entries: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the path and commit of each submodule in a tree."""
    for entry in entries:
        if entry.startswith(SUBMODULE_MODE):
            details, _, path = entry.partition("\t")
            yield path, details.rpartition(" ")[2]


def _check_submodules(top: Git, commit: str, links: Iterable[tuple[str, str]]) -> Iterator[EmptySubmodule]:
    settings: Mapping[str, str] | None = None
    for path, submodule_commit in links:
        if is_initialized(top.root / path):
            submodule = Git(top.root / path)
            listing = submodule.run("ls-tree", "-r", "-z", "--full-tree", submodule_commit, stderr=False)
            if listing.returncode == 0:  # otherwise the export reports that the commit is missing
                nested = _check_submodules(
                    submodule, submodule_commit, find_submodules(listing.output.split("\0"))
                )
                yield from (empty._replace(path=f"{path}/{empty.path}") for empty in nested)
            continue
        settings = settings if settings is not None else _read_settings(top, commit)
        section = next(
            (key[:-4] for key, value in settings.items() if key.endswith(".path") and value == path), ""
        )
        is_optional = settings.get(f"{section}update") == "none" or settings.get(f"{section}active") == "false"
        yield EmptySubmodule(path, bool(section), is_optional)


def _read_settings(git: Git, commit: str) -> dict[str, str]:
    """Return the settings of submodules in .gitmodules of a commit, overridden by those of the clone."""
    listing = git.run("config", "-z", "--blob", f"{commit}:.gitmodules", "--list", stderr=False).output
    committed = (entry.partition("\n") for entry in listing.split("\0") if entry)
    own = {key: value or "" for key, value in git.config.items() if key.startswith("submodule.")}
    return {key: value for key, _, value in committed} | own
