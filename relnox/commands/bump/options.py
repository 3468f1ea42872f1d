"""The options of `bump`, and the bump that they request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.core.settings.options import CommonOptions, option
from relnox.core.settings.schema import fields_of

if TYPE_CHECKING:
    from relnox.core.versions.requested_bump import Bump

_REQUEST = (
    "part",
    "pre",
    "to",
    "from_",
    "package",
    "all",
    "always_increment",
    "allow_lower",
    "commit",
    "tag",
    "then_dev",
    "push",
    "pull_request",
    "lock",
    "allow_branch",
    "allow_dirty",
    "undo",
)
"""The field names of the options that determine what a bump does."""


class Options(CommonOptions):
    """Options of `bump`."""

    positional = ("part", "to")

    part: str | None = option(
        None,
        "Part of the version to bump; auto: derived from commits.",
        choices=("major", "minor", "patch", "release", "pre", "phase", "post", "dev", "auto"),
        metavar="PART",
        anywhere=False,
    )
    pre: str | None = option(
        None,
        "Bump to a prerelease of this phase.",
        choices=("alpha", "beta", "rc"),
        metavar="PHASE",
        anywhere=False,
    )
    to: str | None = option(None, "Bump to this version.", metavar="VERSION", anywhere=False)
    from_: str | None = option(
        None,
        "Number a development version by this run of CI, the time, or the commits since the last release.",
        choices=("run", "time", "distance"),
        metavar="SOURCE",
        anywhere=False,
    )
    package: tuple[str, ...] = option(
        (), "Bump this package (distribution or directory name; repeatable).", metavar="NAME", anywhere=False
    )
    all: bool = option(False, "Bump every package.", anywhere=False)
    always_increment: bool = option(
        False, "Bump the part even if the current prerelease already leads to it.", anywhere=False
    )
    allow_lower: bool = option(False, "Allow --to to name a lower version.", anywhere=False)
    commit: bool = option(False, "Commit the edited files.")
    tag: bool = option(False, "Tag the release; needs --commit if the bump edits files.")
    then_dev: bool = option(False, "Commit the next development version after the release.")
    push: bool = option(False, "Push the branch and the tags atomically; for use with --commit or --tag.")
    pull_request: bool = option(
        False, "Open a pull request with the bump, or update it; nothing is edited here.", anywhere=False
    )
    force_branch: bool = option(
        False, "Overwrite commits of others on the branch of the pull request.", anywhere=False
    )
    lock: bool = option(False, "Update poetry.lock and pdm.lock with their tools, where requirements change.")
    allow_branch: bool = option(False, "Allow a branch that is not a release branch.", anywhere=False)
    allow_dirty: bool = option(
        False, "Allow uncommitted changes, and imports of modules that are not committed.", anywhere=False
    )
    abort: bool = option(False, "Undo an interrupted bump.", anywhere=False)
    again: bool = option(False, "Bump once more, even if this bump is already done.", anywhere=False)
    undo: bool = option(False, "Revert the last bump; blocked if any of it is pushed.", anywhere=False)


def requested_bump(options: Options, number: int | None = None) -> Bump:
    """Return how the options change a version; `number` is the number for a development version, or None."""
    values: Any = {
        name: getattr(options, name) for name in ("part", "pre", "to", "always_increment", "allow_lower")
    }
    return core.requested_bump.Bump(**values, number=number)


def command_line_words(options: Options, names: tuple[str, ...] = _REQUEST) -> tuple[str, ...]:
    """Return the options that determine what a bump does, as command-line words.

    For `--undo`, options that can also be set in pyproject.toml are left out.

    Args:
        options: The options of the command.
        names: The field names of the options to include.
    """
    words: list[str] = []
    for field in fields_of(type(options)):
        value = getattr(options, field.name)
        if field.name not in names or value in (field.default, None) or (options.undo and "file" in field.sources):
            continue
        if field.is_list:
            words += [word for name in value for word in (field.flag, name)]
        else:
            words += [field.flag] if value is True else [field.flag, str(value)]
    return tuple(words)
