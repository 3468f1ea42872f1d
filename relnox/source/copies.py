"""Copy a commit to a directory of its own, to build it, to run tools on it, and to rehearse its release."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from relnox.core.fixes import GIT_FAILED
from relnox.errors import Failed
from relnox.source.git import Git
from relnox.source.git.repository import quote_path
from relnox.system.files import project_path, read_project_file

_CLONE_COMMAND = ("clone", "--quiet", "--no-hardlinks")
_UPDATE_SUBMODULES = "update the submodules: git submodule update --recursive"
_UMASK = 0o022
"""The umask of copies; backends copy file permissions, which must not depend on the user's umask."""
_COPY_SETTINGS = b"""\
[include]
\tpath = %(shared)s
[core]
\tbare = false
\tworktree = %(worktree)s
\thooksPath = /dev/null
\tsparseCheckout = false
\tautocrlf = false
\teol = lf
\tattributesFile = /dev/null
\tfsync = none
[checkout]
\tworkers = 0
[lfs]
\tstorage = %(lfs)s
"""
"""Settings of a copy: those of the repository (filters, remotes of partial clones), but without hooks, with all
files, and with their line ends as committed: only attributes of the commit convert files."""


def copy_commit(
    git: Git, commit: str, into: Path, edits: Mapping[str, bytes | None] = MappingProxyType({})
) -> Git:
    """Check out a commit (a full id) in `into`/checkout, a new repository with the objects and settings of `git`.

    It shares these with `git`, but has no hooks. It has the branches, tags and submodules of the repository.
    Submodules are copied from the current checkout; those that are not initialized there stay empty. Files have
    the time of the commit, except those that `edits` changes: it has their new content, or None for a file to
    remove, by path relative to the root.

    Returns:
        The copy, with the root that corresponds to that of `git`.

    Raises:
        Failed: git fails, such as for a missing object.
    """
    checkout = into / "checkout"
    _check_out(git.at_top(), commit, checkout, checkout / ".git", fix="check the repository: git fsck")
    copy = Git(checkout / git.prefix if git.prefix else checkout, git.prefix)
    for name, content in edits.items():
        path = project_path(copy.root, name)
        if content is None:
            (path if not (copy.root / name).is_symlink() else copy.root / name).unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return copy


def read_changes_in_copy(copy: Git, edits: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Map the files that changed in a copy since `copy_commit` made it to their content, None for a deleted file.

    `edits` are those passed to `copy_commit`, which do not count as changes. Paths are relative to the root. Files
    that git ignores are left out, except those in `edits`.
    """
    contents = {
        name: read_project_file(copy.root, name) if (copy.root / name).is_file() else None
        for name in sorted({*copy.changed_and_untracked_files(), *edits})
    }
    return {name: content for name, content in contents.items() if name not in edits or edits[name] != content}


def _check_out(source: Git, commit: str, into: Path, git_directory: Path, fix: str) -> None:
    """Check out a commit, with its submodules, into a new repository that shares the objects of the source.

    The checkout is in `into`, its repository in `git_directory`. `fix` is what the error says to do if git cannot
    check out the commit.
    """
    object_format = "sha1" if len(commit) == 40 else "sha256"  # noqa: PLR2004 - hexadecimal digits
    options = ["--quiet", "--template=", f"--object-format={object_format}"]
    if git_directory != into / ".git":  # of a submodule: backends must not take the directory for its content
        git_directory.parent.mkdir(parents=True, exist_ok=True)
        options.append(f"--separate-git-dir={git_directory}")
    # Not with the variables of the source, which may name its repository.
    Git(source.root).run("init", *options, "--", str(into), umask=_UMASK).check("git init", fix=GIT_FAILED)
    shared = (source.root / source.read_output("rev-parse", "--git-common-dir")).resolve()
    alternates = git_directory / "objects/info/alternates"
    alternates.parent.mkdir(parents=True, exist_ok=True)
    alternates.write_bytes(os.fsencode(shared / "objects") + b"\n")
    if (shared / "shallow").is_file():
        (git_directory / "shallow").write_bytes((shared / "shallow").read_bytes())
    paths = {"shared": shared / "config", "worktree": into.resolve(), "lfs": shared / "lfs"}
    quoted = {name.encode(): quote_path(str(path)) for name, path in paths.items()}
    own_config = git_directory / "config"
    own_config.write_bytes(own_config.read_bytes() + _COPY_SETTINGS % quoted)
    copy = Git(into)
    refs = ("refs/heads", "refs/remotes", "refs/tags")
    commands = source.read_output("for-each-ref", "--format=create %(refname) %(objectname)", *refs)
    copy.run("update-ref", "--stdin", stdin=f"{commands}\n" if commands else "").check("git update-ref", fix=fix)
    command = ("checkout", "--quiet", "--detach", commit)
    copy.run(*command, umask=_UMASK, variables={"GIT_ATTR_NOSYSTEM": "1"}).check(
        f"checking out {commit[:10]} of {source.root}", fix=fix
    )
    for path, submodule_commit in _find_submodules(copy, commit):
        if _is_initialized(source.root / path):
            submodule, modules = Git(source.root / path), git_directory / "modules"
            _check_out(submodule, submodule_commit, into / path, modules / path, _UPDATE_SUBMODULES)
    time = int(copy.read_output("log", "-1", "--no-show-signature", "--format=%ct"))
    for name in copy.read_entries("ls-files"):
        with contextlib.suppress(OSError):  # a file that a filter left out
            os.utime(into / name, (time, time), follow_symlinks=False)
    copy.run("update-index", "-q", "--refresh")  # or else the new times look like changes


def clone_with_remote(git: Git, into: Path, commit: str, branch: str, remote_name: str) -> Path:
    """Clone a repository into `into`/remote.git, and clone that, its remote, into `into`/checkout.

    All objects are copied, so the clones cannot affect the original. Initialized submodules are cloned as well. In
    both clones, the branch points to the commit. The checkout has the committer's name and email address of the
    original, and calls its remote `remote_name`. `Failed` is raised if git fails.

    Returns:
        The directory in the new checkout that corresponds to `git.root`.
    """
    remote, checkout = into / "remote.git", into / "checkout"
    git.run(*_CLONE_COMMAND, "--bare", "--", git.top_level(), str(remote)).check("git clone", fix=GIT_FAILED)
    Git(remote).run("update-ref", f"refs/heads/{branch}", commit).check("git update-ref", fix=GIT_FAILED)
    clone_command = (*_CLONE_COMMAND, "--branch", branch, "--", str(remote), str(checkout))
    git.run(*clone_command).check("git clone", fix=GIT_FAILED)
    if remote_name != "origin":
        # Unchecked: a URL cannot be the name of a remote, and the bump says so.
        Git(checkout).run("remote", "rename", "origin", remote_name)
    for key in ("user.name", "user.email"):
        if value := git.run("config", "--get", key, stderr=False).output.strip():
            Git(checkout).run("config", key, value).check("git config", fix=GIT_FAILED)
    _clone_submodules(Git(Path(git.top_level())), commit, checkout)
    return checkout / git.prefix if git.prefix else checkout


def _clone_submodules(source: Git, commit: str, into: Path) -> None:
    """Clone a commit's submodules, and the submodules in these, to their paths in the checkout `into`.

    Those that are not initialized in the checkout `source` are left out.
    """
    for path, submodule_commit in _find_submodules(source, commit):
        if _is_initialized(source.root / path):
            submodule, clone = Git(source.root / path), into / path
            clone_command = (*_CLONE_COMMAND, "--no-checkout", "--", str(submodule.root), str(clone))
            submodule.run(*clone_command).check("git clone", fix=GIT_FAILED)
            checked_out = Git(clone).run("checkout", "--quiet", "--detach", submodule_commit)
            checked_out.check(f"checking out {submodule_commit[:10]} of {path}", fix=_UPDATE_SUBMODULES)
            _clone_submodules(submodule, submodule_commit, clone)


class UninitializedSubmodule(NamedTuple):
    """A submodule without a checkout of its own in its directory.

    Attributes:
        path: Its path, relative to the top level of the checkout.
        is_listed: Whether .gitmodules has it, so that git can initialize it.
        is_optional: Whether `git submodule update --init` skips it, because the project or the user chose that.
    """

    path: str
    is_listed: bool
    is_optional: bool


def find_uninitialized_submodules(git: Git, commit: str) -> list[UninitializedSubmodule]:
    """Return the submodules of a commit, at any depth, that are not initialized in the checkout."""
    empty: list[UninitializedSubmodule] = []
    submodules = list(_find_submodules(git, commit))
    if not submodules:
        return empty
    top = git.at_top()
    settings = _read_submodule_settings(top, commit)
    for path, submodule_commit in submodules:
        if _is_initialized(top.root / path):
            with contextlib.suppress(Failed):  # the build reports that the commit is missing
                inner = find_uninitialized_submodules(Git(top.root / path), submodule_commit)
                empty += (submodule._replace(path=f"{path}/{submodule.path}") for submodule in inner)
            continue
        section = next(
            (key[:-4] for key, value in settings.items() if key.endswith(".path") and value == path), ""
        )
        is_optional = settings.get(f"{section}update") == "none" or settings.get(f"{section}active") == "false"
        empty.append(UninitializedSubmodule(path, bool(section), is_optional))
    return empty


def _is_initialized(directory: Path) -> bool:
    """Return whether the directory of a submodule is a checkout of it."""
    return (directory / ".git").exists()


def _find_submodules(git: Git, commit: str) -> Iterator[tuple[str, str]]:
    """Yield the path, relative to the top level, and the commit of each direct submodule of a commit."""
    for entry in git.read_entries("ls-tree", "-r", "--full-tree", commit):
        if entry.startswith("160000"):
            details, _, path = entry.partition("\t")
            yield path, details.rpartition(" ")[2]


def _read_submodule_settings(git: Git, commit: str) -> dict[str, str]:
    """Map keys such as `submodule.NAME.path` to their values in a commit's .gitmodules or git's configuration.

    The configuration has precedence.
    """
    listing = git.run("config", "-z", "--blob", f"{commit}:.gitmodules", "--list", stderr=False).output
    committed = (entry.partition("\n") for entry in listing.split("\0") if entry)
    own = {key: value or "" for key, value in git.config.items() if key.startswith("submodule.")}
    return {key: value for key, _, value in committed} | own
