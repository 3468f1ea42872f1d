"""Publishing without a checkout: what a manifest carries for that, and the project that it describes.

A job that may publish has only the files to publish and their manifest. The build writes into the manifest what
`publish` otherwise reads from the project.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from relnox.building import archives
from relnox.commands.shared.releases import read_manifest
from relnox.core import fixes
from relnox.core.packages import Package, VersionSource
from relnox.core.release.manifest import MANIFEST_JSON, Manifest, PackageFacts, PublishingPolicy
from relnox.core.tags import DetectedTagFormats, TagFormat
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Conflict
from relnox.project import OptionsByTable, Project, parse_settings
from relnox.source.git import GitState

_SETTINGS = (
    *("indexes", "targets", "trusted-index", "wheels", "fake-secrets", "optional-extensions", "metadata-only"),
    *("versions", "groups", "scheme", "tag-format", "tag-formats", "publish", "diff"),
)
"""The keys of `[tool.relnox]` that publishing reads."""


def publishing_policy(project: Project, commit: str | None) -> PublishingPolicy | None:
    """Return the settings, packages and tags that a manifest carries, so that publishing needs no checkout.

    `commit` is the built commit. The result is None if there is none.
    """
    if commit is None:
        return None
    settings = {key: value for key, value in project.settings.items() if key in _SETTINGS}
    packages = tuple(
        PackageFacts(
            name=package.name,
            directory=package.directory,
            version=package.version,
            is_private=package.is_private,
            is_metadata_only=package.name in project.metadata_only_packages,
            tag_prefix=project.tag_formats[package.name].prefix,
            tag_suffix=project.tag_formats[package.name].suffix,
        )
        for package in project.workspace.packages
    )
    tags = (tag for own in project.package_tags.values() for tag in own if project.tags[tag] == commit)
    return PublishingPolicy(
        settings=json.dumps(settings, sort_keys=True), packages=packages, tags=tuple(sorted(set(tags)))
    )


def open_project_of_manifest(path: Path, options_by_table: OptionsByTable) -> Project:
    """Return the project that the manifest at a path describes; its root is the working directory.

    `options_by_table` tells which options of tasks the settings may have.

    Raises:
        Blocked: The manifest is missing or invalid, or describes no project.
    """
    if path.name != MANIFEST_JSON:
        raise Blocked(
            "manifest-missing",
            f"--manifest {path} is not the path of a {MANIFEST_JSON}",
            fix=f"--manifest DIR/{MANIFEST_JSON}",
        )
    manifest = read_manifest(Path.cwd(), path.parent.as_posix())
    policy = manifest.policy
    if policy is None or manifest.commit is None:
        why = "an older relnox wrote it" if manifest.commit is not None else "it was not built from a commit"
        raise Blocked(
            "manifest-incomplete",
            f"{path} does not describe the project ({why})",
            fix=f"rebuild: {fixes.task_command('build-all')}",
        )
    config = parse_settings(json.loads(policy.settings), options_by_table)
    return ManifestProject(
        root=Path.cwd(),
        config=config,
        git=None,
        options_by_table=options_by_table,
        manifest=manifest,
        policy=policy,
    )


class ManifestProject(Project, kw_only=True):
    """The project that a manifest describes: without files, history and remote."""

    manifest: Manifest
    policy: PublishingPolicy

    @cached_property
    def workspace(self) -> Workspace:
        """The packages of the project; they have no requirements, which are read from the built archives."""
        return Workspace(
            tuple(
                Package(
                    name=package.name,
                    directory=package.directory,
                    version=package.version,
                    source=VersionSource(kind="toml" if package.version else "dynamic", file=MANIFEST_JSON),
                    backend="",
                    is_private=package.is_private,
                    is_metadata_only=package.is_metadata_only,
                )
                for package in self.policy.packages
            )
        )

    @cached_property
    def detected_tag_formats(self) -> DetectedTagFormats:
        """The tag format of each package, as written in the manifest; none is unclear."""
        formats = {
            package.name: TagFormat(package.tag_prefix, package.tag_suffix, self.config.scheme)
            for package in self.policy.packages
        }
        return DetectedTagFormats(self.workspace, self.config, formats, formats, {}, frozenset())

    @cached_property
    def state(self) -> GitState:
        """The state of a checkout of the built commit: its tags are known; its branch and changed files are not.

        It counts as shallow, since there is no history.
        """
        commit = str(self.manifest.commit)
        tags = dict.fromkeys(self.policy.tags, commit)
        unknown: dict[str, Any] = {"branch": None, "changed_files": (), "untracked_files": (), "is_shallow": True}
        return GitState(head=commit, tags=tags, **unknown)


def check_manifest_hash(directory: Path, expected: str) -> None:
    """Raise `Conflict` unless the manifest in a directory exists and its SHA-256 (hex) is `expected`."""
    path = directory / MANIFEST_JSON
    sha256 = archives.hash_file(path).sha256 if path.is_file() else "none (there is no file)"
    if sha256 != expected.strip().lower():
        raise Conflict(
            "manifest-changed",
            f"{path} is not the manifest of the build:\n  found  sha256 {sha256}\n  built  sha256 {expected}",
            fix="rerun the job that builds, and all jobs after it",
        )
