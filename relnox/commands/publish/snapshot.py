"""What publishing is planned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from packaging.version import Version

    from relnox.building.checks import Finding
    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.shared.hooks import Hooks
    from relnox.core.planning.plan import Problem
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.indexes.listings import Listing


class Snapshot(NamedTuple):
    """The release, the state of the index, and the credentials.

    Attributes:
        now: The time, with its zone.
        target: Name of the index.
        manifest: The manifest without private packages.
        private: Packages of the manifest that are not published.
        index_hashes: SHA-256 by name of the manifest's files that the index lists, for each package.
        public: Names of the files that the index lists with the hashes of the manifest.
        missing: The files that the index does not list.
        local_hashes: SHA-256 by name of the manifest's files on disk.
        host: Host of the index.
        production: Whether it is a production index.
        allows_dev: Whether the settings name this index for development versions.
        credentials: Where the credentials were found, or the problem that there are none.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        violations: Problems of archives, by the rules of the index.
        first_uploads: Time of the first file of each package's version on a production index.
        frozen_projects: Listings of archived or quarantined projects with missing files (PEP 792).
        unowned_projects: Versions on the index of projects that may belong to another account.
        warnings: Where the versions come from, ignored variables, yanked files.
        skip_reason: Why nothing is published, if the settings allow that.
        attestations: How attestations are handled.
        mismatches: Contradictions between tag, inputs, version, commit and manifest.
        unavailable: Requirements that users could not install.
        hooks: The project's hooks.
    """

    now: datetime
    target: str
    manifest: Manifest
    private: tuple[str, ...]
    index_hashes: Mapping[str, Mapping[str, str]]
    public: tuple[str, ...]
    missing: tuple[Distribution, ...]
    local_hashes: Mapping[str, str]
    host: str
    production: bool
    allows_dev: bool
    credentials: str | Problem
    uses_oidc: bool
    violations: tuple[Finding, ...]
    first_uploads: Mapping[str, datetime]
    frozen_projects: Mapping[str, Listing]
    unowned_projects: Mapping[str, tuple[Version, ...]]
    warnings: tuple[str, ...]
    skip_reason: str | None
    attestations: AttestationPlan
    mismatches: tuple[Problem, ...]
    unavailable: tuple[Problem, ...]
    hooks: Hooks
