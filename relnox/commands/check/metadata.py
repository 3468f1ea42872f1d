"""Items about the metadata of packages and their requirements, as pyproject.toml has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from relnox.building.checks.metadata import missing_fields, readme_problems
from relnox.commands.check.context import CheckContext, Finding
from relnox.commands.shared import checks, releases
from relnox.core import requirements
from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.project import Project

_MARKDOWN = "text/markdown"
_CONTENT_TYPES = {".md": _MARKDOWN, ".markdown": _MARKDOWN, ".rst": "text/x-rst", ".txt": "text/plain"}
_USUAL_LICENSES = ("LICEN[CS]E*", "COPYING*", "NOTICE*", "licen[cs]e*", "copying*")
_SAMPLES = {
    "description": 'description = "WHAT IT DOES"',
    "requires-python": 'requires-python = ">=3.11"',
    "authors": 'authors = [{ name = "NAME" }]',
    "license": 'license = "MIT"',
    "classifiers": 'classifiers = ["Programming Language :: Python :: 3"]',
    "urls": 'urls = { Repository = "https://example.org/" }',
    "keywords": 'keywords = ["WORD"]',
}


def check_metadata(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for recommended fields, such as `license` or `keywords`, that a pyproject.toml lacks."""
    files: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for package in context.packages:
        document = context.read_pyproject(package)
        project, poetry = table_at(document, "project"), table_at(document, "tool", "poetry")
        fields = _metadata_fields(project, poetry, package)
        missing_keys = missing_fields(fields)
        if not fields["keywords"]:
            missing_keys.setdefault("metadata-incomplete", []).append("keywords")
        table = "[project]" if project else "[tool.poetry]"
        for code, keys in missing_keys.items():
            files.setdefault((code, tuple(keys), table), []).append(package.pyproject)
    for (code, names, table), pyproject_files in files.items():
        lines = "\n".join(_SAMPLES[name] for name in names if name in _SAMPLES)
        message = (
            f"{join_names(pyproject_files)} {'lacks' if len(pyproject_files) == 1 else 'lack'} {', '.join(names)}"
        )
        yield Blocked(code, message, f"add to {table}, for example:\n{lines}")


def _metadata_fields(
    project_table: Mapping[str, Any], poetry_table: Mapping[str, Any], package: Package
) -> dict[str, Any]:
    """Return a package's metadata by the field names of `packaging.metadata`; a missing field is None or empty.

    `project_table` is `[project]`, and `poetry_table` is `[tool.poetry]`; either may be empty. Fields that the
    backend computes count as set.
    """
    own = {**poetry_table, **dict.fromkeys(package.dynamic or (), "dynamic"), **project_table}
    links = ("urls", "homepage", "repository", "documentation")
    return {
        "summary": own.get("description"),
        "description": "checked as readme",
        "requires_python": package.requires_python or own.get("requires-python"),
        "author": own.get("authors") or own.get("maintainers"),
        "license": own.get("license") or own.get("license-files"),
        # Poetry adds those of the license and of the Python versions.
        "classifiers": package.classifiers
        or own.get("classifiers")
        or (["added by Poetry"] if poetry_table else []),
        "project_urls": [own[name] for name in links if own.get(name)],
        "keywords": own.get("keywords"),
    }


def check_readme(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if a pyproject.toml names no readme, or one that is missing, empty or cannot be rendered."""
    files_without_readme = []
    for package in context.packages:
        document = context.read_pyproject(package)
        value = table_at(document, "project").get("readme") or table_at(document, "tool", "poetry").get("readme")
        if value is None and "readme" in (package.dynamic or ()):
            continue
        file, content_type = value, None
        if isinstance(value, dict):
            file, content_type = value.get("file"), value.get("content-type")
        files = [file] if isinstance(file, str) else file if isinstance(file, list) else []
        if not files and not (isinstance(value, dict) and value.get("text")):
            files_without_readme.append(package.pyproject)
        for name in files:
            yield from _readme_file_problems(str(name), content_type, package, context.project)
    if files_without_readme:
        fix = 'add readme = "README.md" to [project], and write README.md beside it'
        name = "names" if len(files_without_readme) == 1 else "name"
        yield Blocked("readme-invalid", f"{join_names(files_without_readme)} {name} no readme", fix)


def _readme_file_problems(name: str, content_type: Any, package: Package, project: Project) -> Iterator[Finding]:
    """Yield a problem if a readme is missing, empty or invalid; `name` is relative to the package.

    If `content_type`, the value in pyproject.toml, is not a text, the suffix of the name decides.
    """
    path = name if package.directory == "." else f"{package.directory}/{name}"
    content = project.read_files([path]).get(path)
    if content is None or not content.strip():
        state = "is empty" if content is not None else "does not exist"
        yield Blocked("readme-invalid", f"{path}, the readme of {package.name}, {state}", f"write {path}")
        return
    suffix = name[name.rfind(".") :].lower() if "." in name else ""
    kind = content_type if isinstance(content_type, str) else _CONTENT_TYPES.get(suffix)
    for problem in project.once(_rendering_problems, content.decode("utf-8", "replace"), kind):
        yield problem.but(message=f"{path}: {problem.message}")


def _rendering_problems(text: str, content_type: str | None) -> tuple[Problem, ...]:
    """Return problems of a readme that the public index cannot render.

    If the type of the text is unknown (`content_type` is None), that is a problem as well.
    """
    return tuple(readme_problems(text, content_type))


def check_license(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each license file that pyproject.toml names and that is missing.

    If it names none, it is a problem if no file has a usual name, such as LICENSE or COPYING.
    """
    directories: dict[str, list[str]] = {}
    for package in context.packages:
        directory = context.project.root / package.directory
        patterns = _license_patterns(context.read_pyproject(package))
        for pattern in context.project.once(_unmatched_patterns, directory, patterns):
            directories.setdefault(pattern, []).append(package.directory)
    for pattern, package_directories in directories.items():
        yield Blocked(
            "license-file-missing",
            f"there is no {pattern} in {join_names(package_directories)}",
            f"add {pattern} to {join_names(package_directories)}",
        )


def _license_patterns(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the patterns of the license files that pyproject.toml (`document`) names; empty if it names none.

    If `license` is a table without a file, the result is pyproject.toml, which has the text of the license.
    """
    project = table_at(document, "project")
    if isinstance(table := project.get("license"), dict):
        return tuple(strings_in([table.get("file")])) or ("pyproject.toml",)  # which has the text
    return tuple(strings_in(project.get("license-files")))


def _unmatched_patterns(directory: Path, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the patterns that match no file; without patterns, `LICENSE` if no file has a usual name."""
    if not patterns:
        return () if any(any(directory.glob(usual)) for usual in _USUAL_LICENSES) else ("LICENSE",)
    return tuple(pattern for pattern in patterns if not _matches_file(directory, pattern))


def _matches_file(directory: Path, pattern: str) -> bool:
    """Return whether a pattern matches a file in a directory; one that is invalid or leads out of it does not."""
    try:
        return ".." not in PurePosixPath(pattern).parts and any(directory.glob(pattern))
    except (NotImplementedError, ValueError, OSError):  # an absolute path, or an invalid pattern
        return False


def check_public_requirements(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for local versions and for requirements by URL or path, which public indexes reject."""
    if not context.index.has_public_rules:
        return
    for package in context.packages:
        version = context.versions.get(package.name)
        if version is not None and version.local:
            fix = context.project.bump_command(package.name, "--to", version.public, "--allow-lower")
            yield Blocked(
                "local-version", f"{package.name} {version} is a local version (the index rejects it)", fix
            )
        for text in _url_requirements(package, context.read_pyproject(package)):
            yield Blocked(
                "requirement-by-url",
                f"{package.pyproject} requires {text} (the index rejects requirements by URL or path)",
                "require a released version, such as NAME>=1.2; or move it to a dependency group",
            )


def _url_requirements(package: Package, document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the published requirements that name a URL, a repository or a path; `document` is pyproject.toml."""
    for dependency in package.dependencies:
        if dependency.table in ("runtime", "extra") and dependency.syntax == "pep508":
            try:
                url = Requirement(dependency.text).url
            except InvalidRequirement:
                continue  # the build reports it
            if url is not None:
                yield dependency.text
    if not table_at(document, "project").get("dependencies"):
        for name, entry in table_at(document, "tool", "poetry", "dependencies").items():
            places = {"git", "url", "path"} & entry.keys() if isinstance(entry, dict) else ()
            yield from (f"{name} = {{ {place} = … }}" for place in sorted(places))


def check_siblings_bounded(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if published requirements on packages of this repository have no version."""
    if unbounded_requirements := requirements.unbounded_sibling_requirements(
        context.packages, context.project.workspace
    ):
        yield Blocked(
            "requirement-unbounded",
            "requirements on packages of this repository have no lower bound (any old release satisfies them): "
            f"{', '.join(unbounded_requirements)}",
            "add a version to each in its pyproject.toml, such as >=1.2",
        )


def check_siblings_satisfied(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each requirement on a package of this repository that excludes its current version."""
    by_name = context.project.workspace.by_name
    for package in context.packages:
        for dependency in package.dependencies:
            sibling = by_name.get(dependency.name)
            if sibling is None or sibling.version is None or dependency.table not in ("runtime", "extra"):
                continue
            if dependency.text and not requirements.requirement_allows(
                dependency.text, sibling.version, dependency.syntax
            ):
                yield Blocked(
                    "requirement-excludes-version",
                    f"{package.name} requires {dependency.text}, but {sibling.name} is {sibling.version} here",
                    f"change it in {dependency.file or package.pyproject}, for example to >={sibling.version}",
                )


def check_siblings_released(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each package of this repository with unreleased changes that a new version requires.

    A version is new if it has no tag yet.
    """
    project, _ = context.project, context.git
    released_packages = [
        package
        for package in context.packages
        if (version := context.versions.get(package.name)) is not None
        and not releases.tags_of_version(package.name, version, project)
    ]
    for name, message in checks.unreleased_sibling_messages(project, released_packages):
        yield Blocked("requirement-unavailable", message, project.bump_command(name, "--part", "patch", tag=True))
