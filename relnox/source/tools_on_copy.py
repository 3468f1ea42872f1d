"""Run tools that change files on a copy of the checkout: towncrier, git-cliff, and those of lock files.

The copy is a temporary clone with the planned edits. The files that a tool changes there become part of the plan.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal

from relnox.core import changelog as changelogs
from relnox.core.documents import parse_toml, table_at
from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.source.copies import copy_commit, read_changes_in_copy
from relnox.source.git import Git
from relnox.system import files, process
from relnox.system.files import read_project_file
from relnox.system.process import clean_environment, path_variable

_LOCK_COMMANDS = {"poetry.lock": ("poetry", "lock"), "pdm.lock": ("pdm", "lock")}
"""Maps lock files that only their own tools can write to the commands that update them."""
Tool = Literal["towncrier", "git-cliff"]
_PYPROJECT = "pyproject.toml"
_IGNORED_COMMITS = ".cliffignore"
"""The file at the top level in which git-cliff finds the ids of commits to leave out."""
_SETTINGS_OF_TOOLS: dict[Tool, tuple[tuple[str, ...], str]] = {
    "towncrier": (("towncrier.toml",), "[tool.towncrier"),
    "git-cliff": (("cliff.toml", ".cliff.toml"), "[tool.git-cliff"),
}
"""The files with settings of each changelog tool, and the beginning of its table in pyproject.toml."""


def run_tool_on_copy(  # noqa: PLR0913 - the tool and its surroundings
    git: Git,
    directory: str,
    command: Sequence[str],
    *,
    contents: Mapping[str, bytes | None],
    alternative: str,
    pass_env: Collection[str] = (),
) -> dict[str, bytes | None]:
    """Run a tool in a temporary copy of the current commit, and return the files that it changes.

    The copy has the planned edits `contents`: the new content of each file, or None for a removed file, by path
    relative to the root; the result has the same form. The tool runs in `directory`, also relative to the root.
    `alternative` says in errors how to do without it. The tool gets the environment variables named in `pass_env`
    even if they look like credentials.

    Raises:
        Blocked: The tool is not installed.
        Failed: The tool or git fails.
    """
    with files.temporary_directory() as scratch:
        clone = copy_commit(git, git.head() or "HEAD", scratch, contents)
        program = shutil.which(command[0], path=path_variable(os.environ))
        if program is None:
            raise Blocked(
                "tool-not-found",
                f"{command[0]} is not on PATH",
                fix=f"install {command[0]}, or add its directory to PATH; {alternative}",
            )
        variables = clean_environment(os.environ, passed=pass_env)
        completed = process.run([program, *command[1:]], cwd=clone.root / directory, env=variables)
        rerun = f"cd {shlex.quote(str(directory))} && {shlex.join(command)}"
        completed.check(command[0], fix=f"reproduce it: {rerun}; {alternative}")
        return read_changes_in_copy(clone, contents)


def update_lock_files(
    git: Git, locks: Sequence[str], *, planned: Mapping[str, bytes | None], pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """Update lock files of Poetry and PDM with their own tools; return the new content of those that change.

    `planned` are the edits that the tools see. They and the result map paths relative to the root, as `locks` are,
    to the new content of files, or None for a removed file. The tools get the variables named in `pass_env` even
    if they look like credentials.

    Raises:
        Blocked: A tool is not installed.
        Failed: A tool or git fails.
    """
    contents: dict[str, bytes | None] = {}
    for lock in locks:
        directory, _, name = lock.rpartition("/")
        changes = run_tool_on_copy(
            git,
            directory or ".",
            _LOCK_COMMANDS[name],
            contents=planned,
            alternative="without --lock the lock file is not updated",
            pass_env=pass_env,
        )
        contents |= {file: content for file, content in changes.items() if file == lock}
    return contents


class ChangelogRelease(Record):
    """What a changelog tool needs to know of a release.

    Attributes:
        directory: The directory with the tool's settings, relative to the root.
        version: The version, or names and versions if packages with different versions share the changelog.
        tag: The tag of the release, or of its first package.
        tag_prefix: The prefix of that tag, to leave out tags of other packages; None if all share one version.
        excluded_commits: The ids of the commits that change none of the released packages.
        changelog: The path of the changelog, relative to the root; None if the tool's settings or its usual name
            determine it.
    """

    directory: str
    version: str
    tag: str
    tag_prefix: str | None = None
    excluded_commits: tuple[str, ...] = ()
    changelog: str | None = None


def detect_changelog_tool(directory: Path, setting: str) -> Tool | None:
    """Return the changelog tool that `setting` names or, if this is `auto`, that has settings in the directory.

    None if there is none, such as for another value of the setting.
    """
    for tool in _SETTINGS_OF_TOOLS:
        if tool == setting or (setting == "auto" and _has_settings(directory, tool)):
            return tool
    return None


def run_changelog_tool(  # noqa: PLR0913 - what a changelog is made of
    tool: Tool, git: Git, release: ChangelogRelease, today: date, changelog: str, *, pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """Run a changelog tool on a copy of the current commit, and return the files that it changes.

    The result has their new content, or None for a removed file, by path relative to the root. `today` is the date
    of the release for towncrier, and `changelog` the name of the file if neither `release` nor the tool's settings
    have one. The tool gets the variables named in `pass_env` even if they look like credentials.

    Raises:
        Blocked: The tool is not installed, or its output lacks the last of the earlier releases.
        Failed: The tool or git fails.
    """
    contents: dict[str, bytes | None] = {}
    if tool == "towncrier":
        command = ["towncrier", "build", "--yes", f"--version={release.version}", f"--date={today.isoformat()}"]
        command += _towncrier_name_option(git.root / release.directory)
    else:
        command = ["git-cliff", *_git_cliff_arguments(git.root / release.directory, release, changelog)]
        parts = [part for part in f"{git.prefix}{release.directory}".split("/") if part not in ("", ".")]
        if parts and (release.excluded_commits or release.tag_prefix is not None):
            # Otherwise git-cliff includes only the commits of the working directory.
            command.append(f"--repository={'/'.join('..' for _ in parts)}")
        if release.excluded_commits:
            # With --include-path, git-cliff would also drop the sections of tags whose commits it leaves out.
            ignored_commits = git.run("cat-file", "blob", f"HEAD:{_IGNORED_COMMITS}", stderr=False)
            before = f"{ignored_commits.output}\n" if ignored_commits.returncode == 0 else ""
            top = "../" * git.prefix.count("/")
            contents[f"{top}{_IGNORED_COMMITS}"] = f"{before}{chr(10).join(release.excluded_commits)}\n".encode()
    alternative = 'to do without it, set [tool.relnox] changelog = "none"'
    changes = run_tool_on_copy(
        git, release.directory, command, contents=contents, alternative=alternative, pass_env=pass_env
    )
    return {file: _keep_earlier_releases(git, tool, release, file, content) for file, content in changes.items()}


def _keep_earlier_releases(
    git: Git, tool: Tool, release: ChangelogRelease, file: str, content: bytes | None
) -> bytes | None:
    """Return what a tool wrote into a file, with the sections of earlier releases as they were before.

    The content of a new file stays as it is, as does None (removed).

    Raises:
        Blocked: The tool left out the section of the last of these releases.
    """
    if content is None or not (git.root / file).is_file():
        return content
    before = read_project_file(git.root, file)
    texts = (before.decode("utf-8", "surrogateescape"), content.decode("utf-8", "surrogateescape"))
    try:
        return changelogs.keep_earlier_releases(*texts, release.version).encode("utf-8", "surrogateescape")
    except Blocked as error:
        raise Blocked(error.code, f"{tool} rewrites {file}: {error.message}", fix=error.fix) from None


def _towncrier_name_option(directory: Path) -> list[str]:
    """Return `--name=NAME` if towncrier would otherwise import the package, which may not be installed."""
    texts = [_text_or_empty(directory, name) for name in (*_SETTINGS_OF_TOOLS["towncrier"][0], _PYPROJECT)]
    with contextlib.suppress(ValueError):  # towncrier reports it
        settings = next(
            (table for text in texts if (table := table_at(parse_toml(text), "tool", "towncrier"))), {}
        )
        package = settings.get("package")
        # The version of an `incremental` package has another name.
        if isinstance(package, str) and not settings.get("name") and "incremental" not in "".join(texts):
            return [f"--name={package.title()}"]
    return []


def _git_cliff_arguments(directory: Path, release: ChangelogRelease, changelog: str) -> list[str]:
    """Return git-cliff's arguments for tags and output, except those that its settings in `directory` determine.

    `changelog` is the name of the file to write there if neither `release` nor the settings have one.
    """
    texts = (_text_or_empty(directory, name) for name in (*_SETTINGS_OF_TOOLS["git-cliff"][0], _PYPROJECT))
    settings = next(filter(None, texts), "")

    def is_set(key: str) -> bool:
        return re.search(rf"^[ \t]*{key}[ \t]*=", settings, re.MULTILINE) is not None

    arguments = [f"--tag={release.tag}"]
    if release.tag_prefix is not None and (release.changelog is not None or not is_set("tag_pattern")):
        arguments.append(f"--tag-pattern=^{re.escape(release.tag_prefix)}[0-9]")
    if release.changelog is not None:
        return [*arguments, f"--output={release.changelog}"]
    if is_set("output"):
        return arguments
    names = (path.name for path in sorted(directory.iterdir()))
    existing = next((name for name in names if name.lower() == changelog.lower()), changelog)
    return [*arguments, f"--output={existing}"]


def _has_settings(directory: Path, tool: Tool) -> bool:
    """Return whether a directory has a settings file of the tool, or a pyproject.toml with its table."""
    files, table = _SETTINGS_OF_TOOLS[tool]
    return any((directory / name).is_file() for name in files) or table in _text_or_empty(directory, _PYPROJECT)


def _text_or_empty(directory: Path, name: str) -> str:
    """Return the text of a file in a directory, or an empty string if there is no such file."""
    return read_project_file(directory, name).decode(errors="replace") if (directory / name).is_file() else ""
