"""The project that a task works on: its directory, settings, packages and checkout, and how it is opened."""

from __future__ import annotations

import os
import platform
import posixpath
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date, datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from packaging.version import Version

from relnox.core import fixes
from relnox.core.bump import release_history
from relnox.core.bump.lock_files import EDITED_LOCKS
from relnox.core.bump.release_history import ReleaseHistory, omit_development_commits
from relnox.core.documents import table_at
from relnox.core.packages import Package
from relnox.core.planning.step import Step
from relnox.core.records import Record, freeze_value, replace
from relnox.core.release.wheels import platform_wheel_identifiers
from relnox.core.setting_proposals import unclear_tag_format_problems
from relnox.core.settings.config import Config, check_package_names
from relnox.core.settings.options import RemoteTags
from relnox.core.settings.patterns import matches_any_glob
from relnox.core.settings.release_lines import ReleaseLine, has_release_lines, release_lines_of_branch
from relnox.core.settings.schema import Field
from relnox.core.tags import DetectedTagFormats, TagFormat, detect_tag_formats
from relnox.core.version_groups import VersionGroup, find_version_groups
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Problem, TryLater, problem_of
from relnox.source import discovery, history, pyproject, version_literals
from relnox.source.changelog_files import find_changelogs
from relnox.source.git import Git, GitState, find_repository
from relnox.source.git.commits import temporary_checkout
from relnox.source.git.remotes import Remote
from relnox.source.python_modules import find_imports_of_untracked_modules
from relnox.source.version_files import version_at_commit
from relnox.source.version_literals import VersionLiterals
from relnox.system import retries
from relnox.system.files import read_project_file
from relnox.system.retries import Deadline, TransientError

if TYPE_CHECKING:
    from relnox.indexes import Indexes

_Value = TypeVar("_Value")

OptionsByTable = Callable[[Container[str]], Mapping[str, tuple[Field, ...]]]
"""Returns the options of tasks whose defaults may be in these tables of `[tool.relnox]`."""


def _do_nothing(*_: object) -> None:
    """Do nothing: the default for callbacks."""


class Project(Record):
    """A project with its settings, packages and checkout; properties are read on first use, and cached.

    Attributes:
        root: The project's directory; all paths in plans are relative to it.
        git: The git checkout, or None outside git.
        options_by_table: Returns, for tables of the settings, the options whose defaults they may set.
        before_tools: Called before tools or hooks of the project run, possibly several times.
        on_output: Called with the step and each output line of a program that runs during planning.
        remote_tags: When to read tags and branches of the remote as well (`if-none`: if this clone has no tags).
        is_rehearsal: Whether the project is a clone made by `rehearse`.
        documents: Paths of plans and reports that this command reads or writes; `state` does not list them.
    """

    __eq__ = object.__eq__  # it is compared and hashed by identity, as an argument of `once`
    __hash__ = object.__hash__

    root: Path
    config: Config
    git: Git | None
    options_by_table: OptionsByTable
    before_tools: Callable[[], None] = staticmethod(_do_nothing)
    on_output: Callable[[Step, str], None] = staticmethod(_do_nothing)
    remote_tags: RemoteTags = "never"
    is_rehearsal: bool = False
    documents: tuple[str, ...] = ()

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """The table `[tool.relnox]` as it is written, empty if there is none; `config` has its parsed values."""
        return dict(_read_settings(self.root) or {})

    @cached_property
    def workspace(self) -> Workspace:
        """The packages; reading them raises `Blocked` if the settings name unknown ones, or if there are none."""
        filter_ignored = self.git.filter_ignored if self.git is not None else None
        workspace = discovery.discover_packages(self.root, self.config, filter_ignored)
        check_package_names(self.config, workspace.packages)
        for name in self.config.wheels:
            platform_wheel_identifiers(name, self.config.wheels)  # checks the identifiers
        return workspace

    @cached_property
    def version_groups(self) -> tuple[VersionGroup, ...]:
        """The groups of packages that are bumped together; a package that is bumped alone is a group as well."""
        return find_version_groups(self.workspace, self.config)

    @cached_property
    def metadata_only_packages(self) -> frozenset[str]:
        """The names of the packages whose wheel may have no modules, by their backend's settings or relnox's."""
        return frozenset(
            package.name
            for package in self.workspace.packages
            if package.is_metadata_only or matches_any_glob(package.name, self.config.metadata_only)
        )

    @cached_property
    def unlisted_packages(self) -> tuple[Package, ...]:
        """The packages with a build system that are in the checkout, but neither in the project nor excluded.

        Samples, such as tests and templates, and packages inside other packages are left out.
        """
        files = [name for name in self.tracked_pyproject_and_lock_files if not name.endswith(".lock")]
        return discovery.find_unlisted_packages(files, self.root, self.workspace, self.config)

    @cached_property
    def tracked_pyproject_and_lock_files(self) -> tuple[str, ...]:
        """The sorted paths of all pyproject.toml and lock files that git tracks in the whole checkout.

        They are relative to the root, so that those above it begin with `../`; none outside git.
        """
        return tuple(
            sorted(name for name in self.tracked_file_states if f"/{name}".endswith(("/pyproject.toml", ".lock")))
        )

    @cached_property
    def tracked_file_states(self) -> Mapping[str, str]:
        """Maps tracked files of the whole checkout to their letters in `git ls-files -v`; empty outside git.

        Paths are relative to the root. A letter such as `S` (skip-worktree) says how git treats a file.
        """
        return self.git.index_states() if self.git is not None else {}

    @cached_property
    def release_lines(self) -> tuple[ReleaseLine, ...]:
        """The release branches, with bounds on versions, that the current commit is on; empty if it is on none.

        They are those in the setting `branch` that match the current branch or, if the head is detached, the
        remote's branches that contain it, as of the last fetch.
        """
        if not self.config.branch or self.state is None or self.git is None:
            return ()
        if self.state.branch is not None:
            return release_lines_of_branch(self.state.branch, self.config.branch)
        if self.state.head is None or not has_release_lines(self.config.branch):
            return ()
        prefix = f"{self.config.remote}/"
        branches = [
            name.removeprefix(prefix)
            for name in self.git.remote_branches_containing(self.state.head)
            if name.startswith(prefix) and name != f"{prefix}HEAD"
        ]
        return tuple(line for branch in branches for line in release_lines_of_branch(branch, self.config.branch))

    @cached_property
    def remote(self) -> Remote:
        """The remote that releases are pushed to; no request is sent before its refs are used."""
        return Remote(self.git, self.config.remote)

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """Maps tags to their commits: those of this clone and, if `includes_remote_refs`, others of the remote.

        It is empty outside git.
        """
        local_tags = self.state.tags if self.state is not None else {}
        return {**self.remote.tags, **local_tags} if self.includes_remote_refs else local_tags

    @property
    def pythons(self) -> tuple[str, ...]:
        """The Pythons to verify installations with, such as `3.12`: those of the settings, or the running one."""
        pythons: Any = self.config.verify.options.get("python", ())
        return tuple(pythons) or (platform.python_version().rpartition(".")[0],)

    @property
    def includes_remote_refs(self) -> bool:
        """Whether tags and branches of the remote are read as well, as `remote_tags` says; False outside git."""
        is_needed = self.remote_tags == "if-none" and self.state is not None and not self.state.tags
        return self.state is not None and (self.remote_tags == "always" or is_needed)

    @contextmanager
    def at_head(self) -> Iterator[Project]:
        """Yield the project with the files of HEAD, which are in a temporary directory.

        Its settings and its git state, with uncommitted changes, are those of this project, which must be in git.
        """
        assert self.git is not None  # noqa: S101 - there is no HEAD outside git
        with temporary_checkout(self.git, "HEAD") as git:
            project = replace(self, root=git.root, git=git)
            vars(project).update(
                state=self.state, tracked_file_states=self.tracked_file_states, remote=self.remote, now=self.now
            )
            yield project

    @contextmanager
    def at_commit(self, revision: str) -> Iterator[Project]:
        """Yield the project with the files and settings of a commit, as if it were checked out without changes.

        `revision` is a commit or a tag. The files are in a temporary directory, and no branch is checked out.

        Raises:
            Blocked: The project is not in a git repository, this clone has no such commit, or the commit has no
                pyproject.toml in the project's directory, or invalid settings.
        """
        git, state, _ = self.require_commit()
        commit = self.once(git.resolve_commit, revision)
        if commit is None:
            raise Blocked(
                "branch-changed",
                f"this clone has no commit or tag {revision}",
                fix=f"git fetch --tags {self.config.remote}; then rerun the command",
            )
        with temporary_checkout(git, commit) as files:
            if not (files.root / "pyproject.toml").is_file():
                raise Blocked(
                    "project-not-found",
                    f"there is no pyproject.toml in commit {commit[:10]} ({revision})",
                    fix="choose a commit that has pyproject.toml: git log --oneline -- pyproject.toml",
                )
            project = replace(
                self, root=files.root, git=files, config=_read_config(files.root, self.options_by_table)
            )
            place = {"branch": None, "upstream": None, "upstream_remote": None}
            vars(project).update(
                state=replace(state, head=commit, changed_files=(), untracked_files=(), **place),
                remote=self.remote,
                now=self.now,
            )
            yield project

    @cached_property
    def today(self) -> date:
        """The date in UTC, for calendar versions and changelogs."""
        return self.now.date()

    @cached_property
    def now(self) -> datetime:
        """The time in UTC, to the millisecond; read once for the whole plan."""
        now = retries.CLOCK.utc_now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    @cached_property
    def version_literals(self) -> VersionLiterals:
        """The versions that the code of packages and the settings of release tools contain as strings.

        In its `workspace`, the lock files that a bump edits are known, too.
        """
        literals = version_literals.find_version_literals(self.git, self.workspace, self.config, self.root)
        return replace(literals, workspace=replace(literals.workspace, lock_files=self._lock_files_to_edit))

    @cached_property
    def _lock_files_to_edit(self) -> tuple[str, ...]:
        """The lock files that a bump edits: those that git tracks, and those beside version files or above them.

        Left out are files that the settings exclude, and those in directories of tests or samples without a
        tracked uv.lock.
        """
        files = [place.file for package in self.workspace.packages for place in package.locations]
        files += [package.pyproject for package in self.workspace.packages]
        directories = {str(parent) for file in files for parent in PurePosixPath(file).parents}
        directories |= {
            posixpath.dirname(name) or "."
            for name in self.tracked_pyproject_and_lock_files
            if name.endswith(".lock") and not name.startswith("../")
            if name.endswith("/uv.lock") or not any(map(discovery.is_skipped_directory, name.split("/")))
        }
        excluded = {file.file for file in self.config.version_files if file.count == 0}
        locks = self._existing_files(directories, EDITED_LOCKS)
        return tuple(sorted(file for file in locks if file not in excluded))

    @cached_property
    def changelog_candidates(self) -> Mapping[str, tuple[str, ...]]:
        """Maps `.` (the root) and the directory of each package to paths of files in it that may be changelogs.

        With the setting `changelog-file`, this is only that file, which need not exist.
        """
        directories, name = (
            {".", *(package.directory for package in self.workspace.packages)},
            self.config.changelog_file,
        )
        if name is not None:
            return {directory: (os.path.normpath(f"{directory}/{name}"),) for directory in directories}
        return {directory: find_changelogs(self.root, directory) for directory in directories}

    @cached_property
    def poetry_and_pdm_locks(self) -> tuple[str, ...]:
        """The paths of the poetry.lock and pdm.lock files next to packages, which only Poetry and PDM can write.

        Files that git ignores are left out.
        """
        directories = [package.directory for package in self.workspace.packages]
        return self._existing_files(directories, ("poetry.lock", "pdm.lock"))

    def _existing_files(self, directories: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
        """Return the files with one of these names in one of the directories, except those that git ignores."""
        paths = [posixpath.normpath(f"{directory}/{name}") for directory in directories for name in names]
        paths = [path for path in paths if (self.root / path).is_file()]
        untracked_files = [path for path in paths if path not in self.tracked_file_states]
        ignored_files = self.git.filter_ignored(untracked_files) if self.git and untracked_files else set()
        return tuple(path for path in paths if path not in ignored_files)

    def untracked_imports(
        self, packages: Iterable[Package], *, ignored: bool = False
    ) -> tuple[tuple[str, str], ...]:
        """Return pairs of files: a committed module of a package, and an untracked module that it imports.

        The imported modules are those that git does not ignore or, with `ignored`, only those that it ignores,
        which a build may generate. There are none outside git.
        """
        if self.git is None or self.state is None:
            return ()
        files = self.ignored_modules if ignored else self.state.untracked_files
        if not any(name.endswith(".py") for name in files):
            return ()
        return find_imports_of_untracked_modules(self.git, files, packages, self.root)

    @cached_property
    def ignored_modules(self) -> tuple[str, ...]:
        """The paths of the Python modules below the root that git ignores; none outside git."""
        options = ("--others", "--ignored", "--exclude-standard", "--", "*.py")
        return tuple(self.git.read_entries("ls-files", *options)) if self.git is not None else ()

    @cached_property
    def state(self) -> GitState | None:
        """The state of the checkout, without `documents` in its untracked files; None outside git."""
        if self.git is None:
            return None
        state = self.git.read_state()
        paths = {os.path.relpath(os.path.realpath(path), self.root) for path in self.documents}
        return replace(
            state,
            untracked_files=tuple(name for name in state.untracked_files if os.path.normpath(name) not in paths),
        )

    @cached_property
    def current_versions(self) -> Mapping[str, Version]:
        """The version of each package that has one, by name: from its files or, if tags set it, the last tag."""
        packages = self.workspace.packages
        history = self.history if any(package.source.kind == "tags" for package in packages) else {}
        return release_history.current_versions(packages, history)

    def require_commit(self, option: str = "") -> tuple[Git, GitState, str]:
        """Return the checkout, its state and its current commit.

        `option` is the name of what needs them, such as `--lock`, for the error; empty if the whole task does.

        Raises:
            Blocked: The project is not in a git repository, or there is no commit.
        """
        reason, way_out = (f" (needed for {option})", f"; or remove {option}") if option else ("", "")
        if self.git is None or self.state is None:
            message = f"{self.root} is not in a git repository{reason}"
            raise Blocked("not-a-git-repository", message, fix=f"{fixes.CREATE_REPOSITORY}{way_out}")
        if self.state.head is None:
            message = f"the git repository has no commit yet{reason}"
            raise Blocked("branch-changed", message, fix=f"git add -A && git commit{way_out}")
        return self.git, self.state, self.state.head

    @property
    def commit(self) -> str | None:
        """The current commit; None outside git and before the first commit."""
        return self.state.head if self.state is not None else None

    @cached_property
    def detected_tag_formats(self) -> DetectedTagFormats:
        """The tag format of each package, from the settings or the tags, and the packages for which it is unclear.

        Raises:
            Blocked: A format is invalid, or does not distinguish the tags of two packages.
        """
        return detect_tag_formats(self.workspace, self.config, self.tags, self._had_version)

    def _had_version(self, package: Package, tag: str, version: Version) -> bool | None:
        """Return whether a package had a version at a tag's commit; None if its version there is not known.

        Outside git, it had. If this clone lacks the commit, it had if the project is at the top of the repository.
        """
        if self.git is None:
            return True
        if tag not in self.tags or (commit := self.git.resolve_commit(self.tags[tag])) is None:
            return not self.git.prefix
        before = version_at_commit(commit, package, self.git)
        return None if before is None else before == version

    def tag_format_problems(self, packages: Iterable[Package]) -> Iterator[Problem]:
        """Yield one problem for all of these packages whose tag format is unclear, or none if all are clear."""
        names = {package.name for package in packages}
        return unclear_tag_format_problems(names, self.detected_tag_formats, self.tags)

    @property
    def tag_formats(self) -> Mapping[str, TagFormat]:
        """The tag format of each package by name; an unclear one as `tag_format_problems` proposes to set it."""
        return self.detected_tag_formats.proposals

    @cached_property
    def package_tags(self) -> Mapping[str, Mapping[str, Version]]:
        """Maps each package to its tags, and these to versions; empty if formats are invalid or not distinct."""
        try:
            formats = self.detected_tag_formats.formats if self.tags else {}
        except Blocked:  # `bump` reports them
            return {}
        tags = sorted(self.tags)
        by_format = {tag_format: dict(tag_format.matching_tags(tags)) for tag_format in set(formats.values())}
        return {name: by_format[tag_format] for name, tag_format in formats.items()}

    def tag_formats_with(self, tag: str) -> Mapping[str, TagFormat]:
        """Return the tag format of each package by name, detected as if `tag`, which may be missing, existed."""
        if tag in self.tags:
            return self.tag_formats
        return detect_tag_formats(self.workspace, self.config, {*self.tags, tag}, self._had_version).formats

    @cached_property
    def history(self) -> Mapping[str, ReleaseHistory]:
        """The release history of each package by name; empty outside git and before the first commit.

        It leaves out commits that only start a development version.
        """
        if self.git is None or self.state is None or self.state.head is None:
            return {}
        histories = history.read_release_histories(
            self.git,
            self.workspace,
            self.tag_formats,
            self.state.tags,
            lines=self.release_lines,
            paths=self.config.paths,
        )
        return {name: omit_development_commits(own) for name, own in histories.items()}

    def read_files(self, files: Iterable[str]) -> dict[str, bytes]:
        """Return the contents of the files that exist, by path relative to the root."""
        contents = {name: self.once(_read_existing_file, self.root, name) for name in files}
        return {name: content for name, content in contents.items() if content is not None}

    @cached_property
    def persistent_directory(self) -> Path:
        """The directory for files that must outlive a run: in the .git directory, or `.relnox` outside git."""
        return self.git.private_directory() if self.git is not None else self.root / ".relnox"

    @cached_property
    def indexes(self) -> Indexes:
        """The project's package indexes; closed when the `with` block of the project ends."""
        from relnox.indexes import Indexes  # with requests, which is slow to import

        return Indexes(self.config, self.persistent_directory / "index")

    def versions_on(
        self, index: str, names: tuple[str, ...], *, seconds: float, fix: str
    ) -> Mapping[str, frozenset[Version]]:
        """Return the versions of each of these packages on an index, by name; none if it lacks the project.

        Raise `TryLater` with the fix `fix` if the index does not answer for all of them within `seconds`.
        """
        return self.once(_read_versions, self.indexes, index, names, seconds, fix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the indexes, if they were used."""
        if "indexes" in vars(self):
            self.indexes.close()

    def once(self, function: Callable[..., _Value], *arguments: Any, **options: Any) -> _Value:
        """Call a function once for equal arguments; later calls return its value or raise its `Problem` again.

        `options` are the keyword arguments. Other exceptions are not kept.
        """
        key = (function, *map(freeze_value, arguments), *options, *map(freeze_value, options.values()))
        if key not in self._results:
            try:
                self._results[key] = function(*arguments, **options), None
            except Problem as error:
                self._results[key] = None, error
        value, error_before = self._results[key]
        if error_before is not None:
            raise error_before
        return cast("_Value", value)

    @cached_property
    def _results(self) -> dict[tuple[Any, ...], tuple[Any, Problem | None]]:
        """The results and errors of `once`, by function and arguments."""
        return {}

    def select(self, names: Sequence[str]) -> tuple[Package, ...]:
        """Return the packages with these names or directories, or all if `names` is empty.

        They are in release order: each package follows those that it needs. Raise `Blocked` if a name matches none
        or several.
        """
        return self.workspace.release_order(self.workspace.select(names) if names else None)

    def bump_command(self, package: str, *words: str, tag: bool = False) -> str:
        """Return a command for a fix: it bumps a package (in lockstep: all), commits in git and, with `tag`, tags.

        `words` are more flags and values of the command, such as `--part` and `patch`.
        """
        is_alone = self.config.versions != "lockstep" and len(self.workspace.packages) > 1
        selected = ("--package", package) if is_alone else ()
        commit = ("--commit",) if self.state is not None else ()
        return fixes.task_command("bump", *words, *selected, *commit, *(("--tag",) if tag else ()))


def _read_existing_file(root: Path, name: str) -> bytes | None:
    """Return the content of a file of the project, or None if it does not exist."""
    return read_project_file(root, name) if (root / name).is_file() else None


def _read_versions(
    indexes: Indexes, index: str, names: tuple[str, ...], seconds: float, fix: str
) -> dict[str, frozenset[Version]]:
    """Return the versions of packages on an index, by name; empty for those that it does not have.

    Raise `TryLater` with the fix `fix` if that takes more than `seconds`.
    """
    versions, deadline = {}, Deadline(seconds)
    for name in names:
        try:
            files = indexes[index].fetch_listing(name, deadline).values()
        except TransientError as error:
            message = f"cannot read the files of {name} on {index}: {error.message}"
            raise TryLater("index-unavailable", message, fix=fix) from error
        versions[name] = frozenset(file.version for file in files if file.version is not None)
    return versions


def open_project(start: Path, options_by_table: OptionsByTable) -> Project:
    """Open the project that the directory `start` is in.

    `options_by_table` is called with the tables that the settings have, and returns the options whose defaults
    they may set.

    Raises:
        Blocked: There is no project, its settings are invalid, or Python does not encode file names as UTF-8.
    """
    if (encoding := sys.getfilesystemencoding()) != "utf-8":  # by the locale: git's and PyPI's names are UTF-8
        raise Blocked(
            "file-not-writable",
            f"Python encodes file names as {encoding} (relnox needs UTF-8, as git and package indexes use)",
            fix="export PYTHONUTF8=1, then rerun the command",
        )
    try:
        if not start.is_dir():
            message = f"{start} is not a directory"
            raise Blocked("project-not-found", message, fix="pass the project's directory: --project DIR")
        start = start.resolve()
    except OSError as error:  # such as a working directory that was removed
        if (problem := problem_of(error)) is None:
            raise
        raise Blocked(problem.code, problem.message, problem.fix) from error
    top = find_repository(start)
    root = discovery.find_project_root(start, top_directory(top))
    # Paths in plans are relative to the root, so git needs the root's position in the checkout.
    checkout = top if top is None or top.root == root else find_repository(root)
    return Project(root, _read_config(root, options_by_table), checkout, options_by_table)


def _read_config(root: Path, options_by_table: OptionsByTable) -> Config:
    """Return the settings in the pyproject.toml of a project, or defaults; raise `Blocked` if they are invalid.

    `options_by_table` returns, for tables of the settings, the options whose defaults they may set.
    """
    try:
        settings = _read_settings(root)
        return Config() if settings is None else parse_settings(settings, options_by_table)
    except Blocked as error:
        file = str(root / "pyproject.toml")
        with suppress(FileNotFoundError):  # the working directory was removed
            file = os.path.relpath(file)
        raise Blocked(error.code, f"{file}: {error.message}", fix=error.fix) from None


def _read_settings(root: Path) -> Any:
    """Return `[tool.relnox]` of the pyproject.toml of a project, not validated; None if there is none.

    Raise `Blocked` if the file is not valid TOML.
    """
    has_file = (root / "pyproject.toml").is_file()
    return table_at(pyproject.read_toml(root, "pyproject.toml"), "tool").get("relnox") if has_file else None


def parse_settings(data: Any, options_by_table: OptionsByTable) -> Config:
    """Validate and convert the content of `[tool.relnox]`; raise `Blocked` if it is invalid.

    `options_by_table` returns, for tables of the settings, the options whose defaults they may set.
    """
    config = Config.parse(data, options_by_table(data if isinstance(data, dict) else ()))
    if config.indexes or config.targets or config.trusted_index:
        from relnox.indexes import targets  # with requests, which is slow to import

        targets.check_index_settings(config)
    return config


def top_directory(checkout: Git | None) -> Path | None:
    """Return the top directory of the checkout, or None outside git."""
    if checkout is None:
        return None
    depth = len(Path(checkout.prefix).parts)
    return checkout.root.resolve().parents[depth - 1] if depth else checkout.root.resolve()
