"""What `build-all` reads and checks before the first build: sources, submodules, changes, the output, settings."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from relnox.commands.shared import checks
from relnox.core import fixes, records
from relnox.core.packages import Package, normalize_name
from relnox.core.release.manifest import MANIFEST_JSON, MANIFEST_TEXT
from relnox.core.settings.build_settings import BuildSettings
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.project import Project, top_directory
from relnox.source import uv_settings
from relnox.source.copies import find_uninitialized_submodules
from relnox.steps.built_archives import read_manifest_if_valid

_MANIFEST_FILES = (MANIFEST_JSON, MANIFEST_TEXT)
_IGNORED_VARIABLES = {
    "UV_CONSTRAINT": "uv build ignores it too",
    "UV_OVERRIDE": "uv build ignores it too",
    "UV_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
    "PIP_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
    "PIP_CONSTRAINT": "uv installs build requirements: set UV_BUILD_CONSTRAINT",
    "PIP_BUILD_CONSTRAINT": "uv installs build requirements: set UV_BUILD_CONSTRAINT",
    "PIP_INDEX_URL": "uv installs build requirements: set UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "uv installs build requirements: set UV_INDEX",
}
"""Maps environment variables that builds do not honor to the reason."""
_ADDRESS = re.compile(r"\S\s*@\s*\w|://|^-(?!-hash=)")


def _list_directory(directory: Path) -> list[str]:
    """Return the sorted names in a directory, directories with a slash at the end; empty if it does not exist."""
    paths = sorted(directory.iterdir()) if directory.is_dir() else []
    return [f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name for path in paths]


class OutputDirectory:
    """The output directory as it is before the build.

    Attributes:
        manifest_files: The names of an earlier build's manifest, which is removed before the first build.
        removable_files: The names that `--clean` removes: the manifest, the archives that it lists, and other
            archives of this project's packages.
    """

    def __init__(self, directory: Path, project: Project) -> None:
        self._directory = directory
        self._project = project
        self._names = project.once(_list_directory, directory)
        self._manifest = project.once(read_manifest_if_valid, directory)
        self.manifest_files = tuple(name for name in _MANIFEST_FILES if name in self._names)
        distributions = self._manifest.distributions if self._manifest is not None else ()
        self._listed_names = {file.filename for file in distributions}
        self.removable_files = (*self.manifest_files, *filter(self._is_removable, self._names))

    def _is_removable(self, name: str) -> bool:
        """Return whether a build may have written a file: its manifest lists it, or it is a package's archive."""
        # The version follows the last dash in the name of an sdist, and the first one in the name of a wheel.
        project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
        is_archive = name.endswith((".whl", ".tar.gz"))
        is_own = is_archive and normalize_name(project) in self._project.workspace.by_name
        return is_own or name in self._listed_names

    def clean_problems(self) -> Iterator[Problem]:
        """Yield a problem if `--clean` would remove files outside of the checkout that no manifest there lists."""
        top = self._project.once(top_directory, self._project.git) or self._project.root
        output = self._project.once(Path.resolve, self._directory)
        is_outside = not output.is_relative_to(self._project.once(Path.resolve, top))
        known_names = {*self.manifest_files, *self._listed_names} if self._manifest is not None else ()
        unlisted_files = [name for name in self.removable_files if name not in known_names]
        if is_outside and unlisted_files:
            yield Blocked(
                "output-outside-checkout",
                f"--clean would remove {join_names(unlisted_files)} from {output} (outside the checkout it "
                f"removes only what the {_MANIFEST_FILES[0]} there lists)",
                fix=f"remove them by hand; or build into dist: {fixes.task_command('build-all')}",
            )

    def foreign_file_notes(self, directory: str) -> Iterator[str]:
        """Yield a note on files in the output directory that are not archives of this project; they stay there.

        The note calls the directory `directory`. Hidden files are ignored.
        """
        foreign = [name for name in self._names if name not in self.removable_files and not name.startswith(".")]
        if foreign:
            yield f"left out: {directory} has files that are not archives of this project: {', '.join(foreign)}"


def source_consistency_problems(
    packages: tuple[Package, ...], project: Project, commit: str | None, expected: str
) -> Iterator[Problem]:
    """Yield problems if HEAD is not the commit `expected` (empty: any), or if versions in files differ.

    Unless the working tree is built (`commit` is None), imports of untracked modules are problems as well.
    """
    if expected.strip() and expected.strip().lower() != project.commit:
        yield Blocked(
            "commit-unexpected",
            f"HEAD is {project.commit}, but --expect-commit is {expected.strip()[:100]!r}",
            fix=f"check out that commit: git switch --detach COMMIT; or pass --expect-commit {project.commit}",
        )
    yield from checks.inconsistent_version_file_problems(packages, project)
    if commit is not None:
        yield from checks.untracked_import_problems(packages, project)


def submodule_problems_and_notes(
    packages: tuple[Package, ...], project: Project, commit: str | None
) -> tuple[list[Problem], list[str]]:
    """Return problems with uninitialized submodules in packages, and a note on other uninitialized ones.

    The others are outside of packages, or are skipped by `git submodule update --init`. `commit` is the commit to
    build; if it is None, the working tree is built, and both results are empty.
    """
    if commit is None or project.git is None:
        return [], []
    prefix = project.git.prefix  # of the project in the checkout
    directories = [prefix if package.directory == "." else f"{prefix}{package.directory}/" for package in packages]
    paths_by_fix: dict[tuple[str, str], list[str]] = {}
    other_paths = []
    for submodule in project.once(find_uninitialized_submodules, project.git, commit):
        path, reason = submodule.path, ("not initialized", "git submodule update --init --recursive")
        if not submodule.is_listed:
            fix = f"list it: git submodule add URL {path}; or remove it: git rm --cached {path}"
            reason = ".gitmodules does not list it", fix
        if submodule.is_optional or not any(f"{path}/".startswith(directory) for directory in directories):
            other_paths.append(path)
        else:
            paths_by_fix.setdefault(reason, []).append(path)
    problems: list[Problem] = [
        Blocked("file-untracked", f"submodule {join_names(paths)} would be empty in the archives ({reason})", fix)
        for (reason, fix), paths in paths_by_fix.items()
    ]
    names = join_names(other_paths)
    return problems, [f"not initialized, and empty in the build: submodules {names}"] if names else []


def uncommitted_version_file_problems(
    packages: tuple[Package, ...], project: Project, commit: str | None
) -> Iterator[Problem]:
    """Yield a problem if a pyproject.toml or a version file differs from `commit`; none if that is None."""
    if commit is None or project.git is None or project.state is None:
        return
    object_ids = project.once(project.git.object_ids, commit, tuple(package.pyproject for package in packages))
    missing_files = {file for file, object_id in object_ids.items() if object_id is None}
    version_files = {place.file for package in packages for place in package.locations} | object_ids.keys()
    if changed_files := sorted(version_files.intersection(project.state.changed_files) | missing_files):
        yield Blocked(
            "tree-dirty",
            f"uncommitted changes in {', '.join(changed_files)} (only committed files are built)",
            fix="commit the changes; to build the working tree: " + fixes.task_command("build-all", "--from-tree"),
        )


def uncommitted_files(project: Project, output: str) -> list[str]:
    """Return the changed and untracked files of the checkout, except those in `output`; none outside git.

    All paths are relative to the root.
    """
    if project.state is None:
        return []
    changed_files = (*project.state.changed_files, *project.state.untracked_files)
    return [name for name in changed_files if not PurePosixPath(name).is_relative_to(PurePosixPath(output))]


def uncommitted_file_notes(files: Sequence[str], commit: str | None) -> Iterator[str]:
    """Yield a note on uncommitted files: archives include them if the working tree is built (`commit` is None)."""
    if files and commit is None:
        yield "archives include uncommitted changes, and the manifest records that"
    elif files:
        names = f"{join_names(files)} {'is' if len(files) == 1 else 'are'}"
        yield f"left out: {names} not committed, and not built (--from-tree includes uncommitted changes)"


def _read_uv_settings(root: Path, package: Package) -> uv_settings.UvBuildSettings:
    """Return uv's settings for the build of a package, from configuration files and this process's environment."""
    return uv_settings.read_build_settings(root, package, os.environ)


def read_build_settings(
    packages: tuple[Package, ...], project: Project
) -> tuple[dict[str, BuildSettings], list[str]]:
    """Return settings of builds by package name, from uv's settings and the environment, and notes on them.

    Raises:
        Blocked: The setting `trusted-index` allows only one index, but constraints have URLs or options for uv.
    """
    files = os.environ.get("UV_BUILD_CONSTRAINT", "").split()
    files = [file if "://" in file else str(Path.cwd() / file) for file in files]
    by_package: dict[str, BuildSettings] = {}
    honored_settings: dict[str, None] = {}
    not_honored: dict[str, list[str]] = {}
    for package in packages:
        uv = project.once(_read_uv_settings, project.root, package)
        constraints = records.replace(uv.build.constraints, files=tuple(files))
        by_package[package.name] = records.replace(uv.build, constraints=constraints)
        honored_settings |= dict.fromkeys(uv.applied_settings)
        for setting in uv.ignored_settings:
            not_honored.setdefault(setting, []).append(package.name)
    honored_settings |= {"UV_BUILD_CONSTRAINT": None} if files else {}
    if project.config.trusted_index is not None:
        bounds = {text for build in by_package.values() for text in build.constraints.requirements}
        if addresses := list(_constraints_with_addresses(files, sorted(bounds))):
            raise Blocked(
                "setting-invalid",
                "constraints name addresses, but builds may use only one index (trusted-index): "
                f"{join_names(addresses)}",
                fix=f"remove the addresses from {join_names(honored_settings)}",
            )
    notes = [f"builds follow {', '.join(honored_settings)}"] if honored_settings else []
    notes += [f"not honored: {setting}, for {join_names(names)}" for setting, names in not_honored.items()]
    notes += [f"not honored: {name} ({why})" for name, why in _IGNORED_VARIABLES.items() if os.environ.get(name)]
    return by_package, notes


def _constraints_with_addresses(files: Iterable[str], requirements: Iterable[str]) -> Iterator[str]:
    """Yield the constraints that have a URL, or are an option that leads uv to another index or file.

    These are `requirements`, and the lines of `files`, which are paths or URLs of constraint files. Such a URL is
    yielded itself.
    """
    lines = [*requirements]
    for file in files:
        if "://" in file:
            lines.append(file)
        else:
            with contextlib.suppress(OSError):  # uv reports the problem
                lines += Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    texts = (line.partition(" #")[0].strip() for line in lines)
    yield from (text for text in texts if not text.startswith("#") and _ADDRESS.search(text))
