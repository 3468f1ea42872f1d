"""The snapshot that publishing is planned from."""

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
        now: The present time, with a time zone.
        target: The name of the index.
        manifest: The manifest without private packages.
        private: The names of private packages in the manifest, which are not published.
        index_hashes: Maps each package to its files of the manifest that the index lists: their names and SHA-256.
        public: The names of files that the index lists with the same hash as the manifest.
        missing: The files of the manifest that the index does not list.
        local_hashes: Maps the name of each file of the manifest that exists on disk to its SHA-256.
        host: The host name of the index; empty for the embedded index.
        production: Whether the index is a production index.
        allows_dev: Whether `[tool.relnox.targets]` selects this index for development versions.
        credentials: Where the credentials were found, or the problem if there are none.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        violations: The errors found in the archives, by the rules of the index.
        first_uploads: Maps each package to the upload time of the first file of the version to publish; empty
            unless the index is a production index.
        frozen_projects: Maps each archived or quarantined project with files to upload to its listing (PEP 792).
        unowned_projects: Maps each project that may belong to another account to its versions on the index.
        warnings: Warnings about versions, settings, credentials, requirements and listings.
        skip_reason: Why nothing is published, if the settings allow that; otherwise None.
        attestations: How attestations are handled.
        mismatches: Contradictions between the tag, the inputs, the versions, the commit and the manifest.
        unavailable: A problem for each requirement that users could not install.
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
