"""Items about the index: the project there, its storage, the test index, credentials, and the rules."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from relnox.commands.check.context import CheckContext, Finding, NotCheckable
from relnox.commands.shared import release_diffs, releases
from relnox.core import fixes
from relnox.core.release import public_index
from relnox.core.release.differences import budget_problems
from relnox.core.text import join_names
from relnox.errors import Blocked

_MAX_AGE = timedelta(days=183)
"""The age of the rules from which on they may be outdated."""


def check_index_name(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each project on the index that may belong to another account.

    That is assumed if none of its versions is tagged in this repository, unless the clone is shallow.
    """
    for name, listing in context.listings().items():
        for message in releases.foreign_project_messages(name, listing, context.index.name, context.project):
            yield Blocked(
                "project-not-allowed",
                message,
                "choose another name in [project]; or, if the project is yours: "
                '[tool.relnox.check.severity] index-name = "off"',
            )


def check_index_status(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each project that the index closed to uploads (PEP 792)."""
    for name, listing in context.listings().items():
        yield from releases.closed_project_problems(name, listing, context.index.name)


def check_index_storage(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if built files do not fit into the storage of a project on the index.

    After them, `NotCheckable` is raised if the index does not list the sizes of a project's files.
    """
    manifest = context.build_manifest
    unknown = []
    for name, listing in context.listings().items():
        if any(file.size is None for file in listing.values()):
            unknown.append(name)
        built_files = manifest.files_of(name) if manifest is not None and name in manifest.packages else ()
        added_bytes = sum(file.size for file in built_files if file.filename not in listing)
        yield from releases.storage_problems(
            name, listing, added_bytes, context.index, context.project.config.check.storage_limit
        )
    if unknown:
        raise NotCheckable(f"{context.index.name} does not list the sizes of files of {join_names(unknown)}")


def check_release_diff(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for changes since the last releases that `[tool.relnox.diff]` does not allow.

    `NotCheckable` is raised if nothing is built and, after the problems, if files could not be compared.
    """
    manifest = context.build_manifest
    if manifest is None:
        raise NotCheckable("nothing is built: relnox build-all")
    context.listings()
    packages_built = manifest.restricted_to(frozenset(package.name for package in context.packages))
    directory, project = context.archives_directory, context.project
    diffs = release_diffs.compare_with_last_releases(packages_built, directory, context.index, project)
    yield from budget_problems(diffs, project.config.diff)
    if unread := "; ".join(release_diffs.incomplete_diff_notes(diffs)):
        raise NotCheckable(unread)


def check_test_index(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if the configured test index, such as TestPyPI, lacks files of the build, or has other ones.

    `NotCheckable` is raised if this commit is not built.
    """
    manifest, index = context.build_manifest, context.project.indexes[context.project.config.check.test_index]
    _, _, commit = context.git
    if manifest is None:
        raise NotCheckable("nothing is built: relnox build-all")
    if manifest.commit != commit:
        built_commit = (manifest.commit or "no commit")[:10]
        raise NotCheckable(f"the manifest is of {built_commit}, and HEAD is {commit[:10]}: relnox build-all")
    listings = context.listings(index)
    missing_files = [
        file.filename
        for name, listing in listings.items()
        for file in (manifest.files_of(name) if name in manifest.packages else ())
        if file.filename not in listing or listing[file.filename].sha256 not in (None, file.sha256)
    ]
    if missing_files:
        yield Blocked(
            "file-not-listed",
            f"{index.name} lacks files built from {commit[:10]}, or has others of the same names: "
            f"{join_names(missing_files)}",
            fixes.task_command("publish-test", "--index", index.name),
        )


def check_credentials(context: CheckContext) -> Iterator[Finding]:
    """Raise a problem if there are no credentials for the index; nothing is yielded."""
    context.index.credentials  # noqa: B018 - raises a problem if there are none
    yield from ()


def check_index_rules(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if relnox's copy of the public index's rules is older than half a year."""
    age = context.project.today - public_index.AS_OF
    if age > _MAX_AGE:
        yield Blocked(
            "index-rules-old",
            f"relnox's copy of the public index's rules is {age.days} days old (of {public_index.AS_OF})",
            fixes.install_command("relnox", upgrade=True),
        )
