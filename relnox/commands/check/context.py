"""What the items of the checklist are decided from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from packaging.version import Version

from relnox.commands.options import DEFAULT_OUTPUT, CheckOptions
from relnox.commands.shared import releases
from relnox.core.packages import Package
from relnox.core.planning.step import Edit, Step
from relnox.core.release.manifest import Manifest
from relnox.errors import Blocked, Problem
from relnox.indexes import targets
from relnox.indexes.index import Index
from relnox.indexes.listings import Listing
from relnox.project import Project
from relnox.source import pyproject
from relnox.source.git import Git, GitState, remotes

Finding = Problem | Step | Edit
"""What the function of an item yields: a problem, a step that decides the item, or, with `--fix`, an edit."""
_INDEX_TIMEOUT = 10.0
"""Seconds for the listings of all packages, retries included."""


class NotCheckable(Exception):
    """The error for a checklist item that cannot be decided here; its text is the reason."""


class CheckContext:
    """The release that the checklist is about, and what several of its items read.

    Attributes:
        profile: Which items are checked, and how strictly: `laptop`, `ci` or `before-publish`. Without
            `--profile`, it is `ci` if the environment variable `CI` is set, else `laptop`.
    """

    def __init__(self, options: CheckOptions, project: Project) -> None:
        self.options = options
        self.project = project
        self.profile = options.profile or ("ci" if os.environ.get("CI") else "laptop")

    @property
    def archives_directory(self) -> str:
        """The output directory of builds according to the settings, relative to the root."""
        return str(self.project.config.build.options.get("output", DEFAULT_OUTPUT))

    @property
    def build_manifest(self) -> Manifest | None:
        """The manifest of the last build, or None if nothing is built; raise `Blocked` if it is invalid."""
        try:
            manifest: Manifest = self.project.once(
                releases.read_manifest, self.project.root, self.archives_directory
            )
        except Blocked as error:
            if error.code == "manifest-missing":
                return None
            raise
        return manifest

    @cached_property
    def packages(self) -> tuple[Package, ...]:
        """The packages to release, in release order: those of `--package`, or else all; without private ones."""
        return tuple(package for package in self.project.select(self.options.package) if not package.is_private)

    @property
    def git(self) -> tuple[Git, GitState, str]:
        """The checkout, its state and its current commit; raise `NotCheckable` without a commit."""
        git, state = self.project.git, self.project.state
        if git is None or state is None or state.head is None:
            raise NotCheckable("there is no git repository with a commit")
        return git, state, state.head

    @cached_property
    def versions(self) -> Mapping[str, Version]:
        """The known versions by package: from files or, if tags determine them, from tags at the current commit.

        Packages whose version is not known yet are left out.
        """
        versions = {}
        for package in self.packages:
            tag_versions = [
                version
                for tag, version in self.project.package_tags.get(package.name, {}).items()
                if self.project.tags[tag] == self.project.commit
            ]
            version = package.version or (
                max(tag_versions) if package.source.kind == "tags" and tag_versions else None
            )
            if version is not None:
                versions[package.name] = version
        return versions

    def require_versions(self) -> None:
        """Raise `NotCheckable` if the version of a package is not known before it is built or tagged."""
        if unknown := [package.name for package in self.packages if package.name not in self.versions]:
            raise NotCheckable(f"the version of {', '.join(unknown)} is known when it is built or tagged")

    def require_remote(self) -> None:
        """Raise `NotCheckable` if there is no commit or no remote, or if the remote does not answer."""
        git, _, _ = self.git
        remote = self.project.remote
        if remote.name not in self.project.once(remotes.remote_names, git):
            raise NotCheckable(f"there is no remote {remote.name}")
        if remote.refs is None:
            raise NotCheckable(remote.error or f"{remote.name} does not answer")

    def read_pyproject(self, package: Package) -> Mapping[str, Any]:
        """Return the content of a package's pyproject.toml."""
        document: Mapping[str, Any] = self.project.once(pyproject.read_toml, self.project.root, package.pyproject)
        return document

    @cached_property
    def index(self) -> Index:
        """The index to publish to: that of `--index`, or the one that the settings choose for the tags.

        Raises:
            Blocked: The index does not exist, or the settings choose none or several for the tags.
        """
        name = self.options.index
        if name is None:
            tags = {
                name: (self.project.tag_formats[name].render(version), version)
                for name, version in self.versions.items()
            }
            name = targets.select_index_by_tags(self.project.config, tags)
        index = self.project.indexes[name]
        index.is_chosen = index.is_chosen or self.options.index is not None
        return index

    def listings(self, index: Index | None = None) -> Mapping[str, Listing]:
        """Return the listing of each package on an index, by default the one to publish to, by package name.

        That of a project that the index lacks is empty; `TryLater` is raised if the index does not answer.
        """
        index, names = index or self.index, tuple(package.name for package in self.packages)
        self.project.once(index.fetch_listings, names, _INDEX_TIMEOUT)
        return {name: index.cached_listing(name) for name in names}

    def public_files(self) -> Mapping[str, Mapping[str, str | None]]:
        """Map each package with a known version to the files of that version on the index.

        Each file is mapped to its SHA-256, or to None if the index does not list that.
        """
        self.listings()
        return {name: releases.public_files(name, version, self.index) for name, version in self.versions.items()}
