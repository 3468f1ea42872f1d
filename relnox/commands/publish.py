"""Publish the files of the manifest to the production index, and verify them there.

Packages are uploaded after their dependencies. Files that the index has with the same hash are skipped; a file
with another hash blocks all uploads. Rerunning the command finishes an interrupted release.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from relnox.building import archives
from relnox.commands.options import PublishingOptions
from relnox.commands.options import PublishOptions as Options
from relnox.commands.shared import consistency, hooks, policies, release_diffs, releases
from relnox.commands.shared.releases import Release
from relnox.commands.verify_install import listing_steps
from relnox.core import fixes, requirements
from relnox.core.packages import normalize_name
from relnox.core.planning.events import Outcome, Status
from relnox.core.planning.plan import Plan, PlanBuilder, ReleasedPackage, Table
from relnox.core.planning.step import Step, keys_of
from relnox.core.records import replace
from relnox.core.release import public_index, publication
from relnox.core.release.differences import budget_problems
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.core.release.publication import Publisher
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Conflict, Problem
from relnox.indexes import Indexes, attestations, targets, uploads
from relnox.indexes.index import Index
from relnox.indexes.targets import Target
from relnox.project import Project
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.publication import AwaitIndex, different_files_error
from relnox.steps.upload import Attest, LogIn, Upload

_LISTING_TIMEOUT = 2700
"""How long to wait for the listing of a package, in seconds; caches of indexes can be stale for half an hour."""
_MAX_LISTED = 5
_REBUILD = f"rebuild: {fixes.task_command('build-all')}"
_COPY = "copy it from the build whose files are public; a rebuild may differ from these"


def plan(options: Options, project: Project) -> Plan:
    """Plan to upload the files that the index lacks, dependencies first, and to verify what the index serves."""
    new = PlanBuilder("publish", continue_on_error=True)
    if options.index is not None:  # an unknown index is reported first
        project.indexes[options.index].is_chosen = True
    if options.manifest_sha256 is not None:
        policies.check_manifest_hash(project.root / options.dist, options.manifest_sha256)
    request = releases.read_release_request(options, options.package, project)
    build = releases.read_build(options.dist, request, project)
    index = project.indexes[options.index or releases.index_of_release_tags(build, project)]
    release = releases.find_release(build, index, project)
    public = add_publication(new, release, options, project)
    new.releases += _released_packages(release.manifest, project)
    _add_release_diffs(new, release, options, project)
    consent = None
    if release.missing_files and index.production and not options.yes:
        names = ", ".join(f"{name} {release.manifest.version_of(name)}" for name in release.manifest.packages)
        consent = f"Publish {names} to {index.name} ({index.host})? Files cannot be replaced later."
    words = ("--index", index.name, *releases.directory_option(options.dist, project))
    new.next_command = fixes.task_command("verify-install", *words)
    return new.build(consent=consent, public=public)


def _released_packages(manifest: Manifest, project: Project) -> Iterator[ReleasedPackage]:
    """Yield each package of a manifest with its version, and with the tag of that version at the built commit.

    The tag is empty if there is none.
    """
    for name in manifest.packages:
        version = manifest.version_of(name)
        tags = releases.tags_of_version(name, version, project)
        tag = next((tag for tag, commit in tags.items() if commit == manifest.commit), "")
        yield ReleasedPackage(package=name, version=str(version), tag=tag)


def _add_release_diffs(new: PlanBuilder, release: Release, options: Options, project: Project) -> None:
    """Add tables and notes to `new` on how the archives to upload differ from those of the last releases."""
    diffs = release_diffs.compare_with_last_releases(
        _manifest_to_upload(release), release.build.directory, release.index, project
    )
    new.tables += release_diffs.diff_tables(diffs, full=options.verbose)
    new.notes += release_diffs.incomplete_diff_notes(diffs)


def _manifest_to_upload(release: Release) -> Manifest:
    """Return the part of the manifest with the packages that have files to upload, and with all their files."""
    return release.manifest.restricted_to(frozenset(file.package for file in release.missing_files))


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the packages whose files are public and verified, with the address of each release.

    There is no table without such packages. `directory` is not used.
    """
    del directory
    rows = tuple(
        (step.package, str(step.version), step.index, str(len(step.files)), step.page or "-")
        for result in outcome.results
        if isinstance(step := result.step, AwaitIndex) and result.status is Status.SUCCESS
    )
    columns = ("package", "version", "index", "files", "address")
    return (Table(title="Published", columns=columns, rows=rows),) if rows else ()


def add_publication(
    new: PlanBuilder, release: Release, options: PublishingOptions, project: Project, *needs: Step
) -> tuple[str, ...]:
    """Add to `new` the steps that upload the files that the index lacks, and that verify them there.

    They run after the steps `needs`. Hooks of `after-publish` run even if the index has all files, since an
    earlier run may have ended before them.

    Returns:
        The names of the files that the index already has with the same hash. If the plan is blocked, the exit code
        depends on whether there are any. The result is empty if the manifest contradicts the checkout and the
        index has all its files, since they are of an earlier release.
    """
    manifest, index = release.manifest, release.index
    mismatches, version_notes = consistency.compare_versions(
        release.build.request, project, manifest.packages, manifest
    )
    public, uses_oidc, publisher = release.public_filenames, False, None
    try:
        new.add_problems((*mismatches, *_contradiction_problems(release, project)), options)
        public = () if new.problems and not release.missing_files else public
        new.add_problems(_upload_problems(release, project), options)
        if release.missing_files:
            credentials = index.credentials
            uses_oidc = credentials.uses_oidc
            if index.name != targets.EMBEDDED:
                new.notes.append(f"credentials for {index.name} ({index.host}): {credentials.origin}")
            if options.attestations == "off" or not uses_oidc:
                why = "--attestations off" if uses_oidc else "uploads do not use Trusted Publishing"
                new.details.append(f"attestations: off ({why})")
            else:
                publisher, note = _choose_publisher(project.indexes)
                new.notes.append(note)
    except Problem as error:  # a check that cannot be made
        new.problems.append(error)
    new.notes += (*version_notes, *index.ignored_variable_warnings(), *_publication_notes(release, project))
    if release.public_filenames:
        count = format_count(len(manifest.distributions), "file")
        new.details.append(f"skipping {len(release.public_filenames)} of {count}: already on {index.name}")

    hook_fields: dict[str, Any] = {
        "task": new.task,
        "versions": {name: manifest.version_of(name) for name in manifest.packages},
        "project": project,
        "rehearsal": not index.production,
        "index": index.name,
        "directory": options.dist,
        "files": manifest.distributions,
    }
    skip = None if release.missing_files else f"all files are already on {index.name}"
    before = new.add(*hooks.hook_steps("before-publish", needs=keys_of(*needs), skip=skip, **hook_fields))
    needs = (*needs, *before)
    if publisher is not None:
        attest = Attest(
            index=index.name,
            files=release.missing_files,
            directory=options.dist,
            publisher=publisher,
            needs=keys_of(*needs),
        )
        needs = (*needs, *new.add(attest))
    if uses_oidc:
        packages = tuple(dict.fromkeys(file.package for file in release.missing_files))
        needs = (*needs, *new.add(LogIn(index=index.name, packages=packages, needs=keys_of(*needs))))
    uploads = new.add(
        *upload_steps(manifest, index, options.dist, keys_of(*needs), attested=publisher is not None)
    )
    new.add(*hooks.hook_steps("after-publish", needs=keys_of(*uploads), **hook_fields))
    return public


def upload_steps(
    manifest: Manifest, index: Target, dist: str, needs: tuple[str, ...] = (), *, attested: bool = False
) -> Iterator[Upload | AwaitIndex]:
    """Yield the steps that upload the files of a manifest from the directory `dist`, and verify them on the index.

    All need the steps with the keys `needs`. A package is uploaded after the packages that it needs have been
    verified. With `attested`, an earlier step signs the files, and their attestations are uploaded as well.
    """
    deadline = dict.fromkeys(manifest.packages, _LISTING_TIMEOUT)
    listings = {step.package: step for step in listing_steps(manifest, index.name, deadline)}
    needed_packages = dict(manifest.needs)
    for package, listing in listings.items():
        dependencies = [listings[name] for name in needed_packages.get(package, ()) if name in listings]
        # The first file is uploaded alone, because it creates the project or the release. The sdist is uploaded
        # last, so that installers do not build from it while wheels are missing.
        uploads: list[Upload] = []
        for file in sorted(listing.files, key=lambda file: file.kind == "sdist"):
            earlier = uploads if file.kind == "sdist" else uploads[:1]
            upload = Upload(
                index=index.name,
                file=file,
                directory=dist,
                attested=attested,
                needs=(*needs, *keys_of(*dependencies, *earlier)),
            )
            uploads.append(upload)
            yield upload
        yield replace(listing, needs=keys_of(*uploads), page=index.release_page_url(package, listing.version))


# --- checks ------------------------------------------------------------------------------------------------------


def _contradiction_problems(release: Release, project: Project) -> Iterator[Problem]:
    """Yield problems if the build lacks files, or contradicts the checkout, its tags, or what the index has.

    Of the index, only the files of packages that belong to the release, but were not requested, are compared here.
    """
    build, manifest, index = release.build, release.manifest, release.index
    yield from consistency.manifest_problems(
        manifest,
        build.directory,
        project,
        build.request.tag,
        production=index.production,
    )
    for name in build.incomplete:
        yield Blocked(
            "manifest-incomplete",
            f"{build.directory}/{MANIFEST_JSON} lacks files of {name} (their builds failed or have not run, "
            "or are in another job's output)",
            f"merge the output of all build jobs: {fixes.task_command('collect', '--from', 'DIR')}",
            allow="allow_mismatch",
        )
    for files in releases.differing_files(release.siblings, release):
        yield different_files_error(index, files).but(allow="allow_mismatch")


def _upload_problems(release: Release, project: Project) -> Iterator[Problem]:  # noqa: C901, PLR0912 - a list of checks
    """Yield the problems of files, archives and the index that block the uploads.

    These are changed files, errors in archives, requirements that are not available, and files that the index will
    reject. On production indexes, these block as well: commits without a release branch or tag, development
    versions, uncommitted changes, and differences that `[tool.relnox.diff]` does not allow.
    """
    target, manifest, missing_files = release.index, release.manifest, release.missing_files
    index, production, dist = target.name, target.production, release.build.directory
    directory = project.root / dist
    # the files on disk and on the index
    rebuild_or_copy = _COPY if release.public_filenames else _REBUILD
    unchanged_paths: dict[str, Path] = {}
    for file in manifest.distributions:
        path, index_hash = directory / file.filename, release.hashes.get(file.filename)
        sha256 = project.once(archives.hash_of_file_inside, directory, path)
        if sha256 == file.sha256:
            unchanged_paths[file.filename] = path
        elif sha256 is not None or index_hash is None:  # a public file needs no upload
            move = sha256 is not None and index_hash == file.sha256
            fix = shlex.join(["mv", str(path), f"{path}.old"]) if move else rebuild_or_copy
            yield changed_archive_error(f"{dist}/{file.filename}", file.sha256, sha256, fix, missing=Blocked)
        if index_hash not in (None, file.sha256):
            unchanged_paths.pop(file.filename, None)
    yield from (different_files_error(target, files) for files in releases.differing_files(manifest, release))
    # the archives
    invalid: set[str] = set()
    for package in dict.fromkeys(file.package for file in missing_files):
        paths = [
            unchanged_paths[file.filename]
            for file in manifest.files_of(package)
            if file.filename in unchanged_paths
        ]
        uploaded_paths = [path for path in paths if path.name not in release.hashes]
        for finding in releases.archive_problems(
            package, uploaded_paths, paths, project, public=target.has_public_rules
        ):
            invalid.add(finding.file)
            yield Blocked(finding.code, f"{finding.file}: {finding.message}", finding.fix)
    if index != targets.EMBEDDED:  # which must need no network, and may be cleared
        for package in manifest.packages:
            # Wheels first. A package with public files is not checked, so that its release can be finished.
            file = min(manifest.files_of(package), key=lambda file: file.kind == "sdist")
            is_readable = file.filename in unchanged_paths and file.filename not in invalid
            if is_readable and not any(file.filename in release.hashes for file in manifest.files_of(package)):
                yield from _unavailable_sibling_problems(package, unchanged_paths[file.filename], release, project)
    if not release.clears:
        yield from _listing_problems(release, project)
    if not (production and missing_files):
        return
    diffs = release_diffs.compare_with_last_releases(_manifest_to_upload(release), dist, target, project)
    yield from budget_problems(diffs, project.config.diff)
    # production indexes: only commits of a release, and no development versions
    tag = release.build.request.tag
    if manifest.commit is not None and (tag is None or not tag.versions or tag.is_elsewhere):
        yield from consistency.release_branch_problems(manifest.commit, project)
    if (versions := _describe_development_versions(release)) and project.config.targets.get("dev") != index:
        fix = (
            f"publish to a test index: {fixes.task_command('publish-test')}; or to publish them here always, set "
            f'[tool.relnox.targets] dev = "{index}"'
        )
        if last_tag := releases.latest_reachable_tag({file.package for file in missing_files}, project):
            build = fixes.task_command("build-all", "--commit", last_tag[0])
            fix = f"publish the last release: {build}, and rerun the command; or {fix}"
        yield Blocked(
            "development-version",
            f"{versions}, and {index} is a production index (files there cannot be replaced)",
            fix,
            allow="allow_dev",
        )
    if manifest.dirty:
        yield Blocked(
            "build-dirty",
            f"the files in {dist} were built with uncommitted changes",
            f"commit the changes, and build again: {fixes.task_command('build-all')}",
        )


def _listing_problems(release: Release, project: Project) -> Iterator[Problem]:
    """Yield problems for files that the index will reject, according to what it lists of their project.

    Checked are closed projects, storage, a second sdist of a version, and versions too old for more files.
    """
    target, missing_files = release.index, release.missing_files
    index = target.name
    for package, file in {file.package: file for file in missing_files}.items():
        listing = target.cached_listing(package)
        yield from releases.closed_project_problems(package, listing, index)
        added_bytes = sum(own.size for own in missing_files if own.package == package)
        storage = releases.storage_problems(
            package, listing, added_bytes, target, project.config.check.storage_limit
        )
        yield from (problem for problem in storage if problem.level == "error")
        same_version = [other for other in listing.values() if other.version == file.version]
        sdists = [other.filename for other in same_version if other.filename.endswith((".tar.gz", ".zip"))]
        own_sdists = [own.filename for own in missing_files if own.package == package and own.kind == "sdist"]
        if target.has_public_rules and sdists and own_sdists:
            yield Conflict(
                "archive-unexpected",
                f"{index} has another sdist of {package} {file.version}, and accepts only one for each release: "
                f"{sdists[0]}, not {own_sdists[0]}",
                uploads.used_version_hint(file.package, file.version, target),
            )
        times = [other.upload_time for other in same_version]
        first_upload = min((time for time in times if time is not None), default=None)
        if target.has_public_rules and first_upload is not None:
            ends = first_upload + public_index.UPLOAD_WINDOW
            if ends < project.now:
                yield Conflict(
                    "release-too-old",
                    f"{package} {file.version} is too old for more files on {index} since {ends:%Y-%m-%d} "
                    f"(its first file is more than {public_index.UPLOAD_WINDOW.days} days old)",
                    uploads.used_version_hint(file.package, file.version, target),
                )


def _describe_development_versions(release: Release) -> str:
    """Return which files to upload have development versions, as in `acme 1.0.dev1 is a development version`.

    The text is empty if none has.
    """
    names = dict.fromkeys(
        f"{file.package} {file.version}" for file in release.missing_files if file.version.is_devrelease
    )
    are = "is a development version" if len(names) == 1 else "are development versions"
    return f"{join_names(names)} {are}" if names else ""


def _unavailable_sibling_problems(
    package: str, path: Path, release: Release, project: Project
) -> Iterator[Problem]:
    """Yield a problem for each workspace package that `package` requires, but users could not install.

    That is so if neither this run nor the index has a version that the requirement allows. Requirements are read
    from the archive at `path`; those of extras are left out.
    """
    index, manifest, workspace = release.index.name, release.manifest, project.workspace
    task = "publish" if release.index.production else "publish-test"
    for text in project.once(archives.read_archive, path).requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # reported by the checks of archives
            continue
        name = normalize_name(requirement.name)
        is_of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if name not in workspace.by_name or name == package or requirement.url or is_of_extra:
            continue
        in_run = name in manifest.packages
        if in_run and requirement.specifier.contains(manifest.version_of(name), prereleases=True):
            continue
        public = project.once(_public_versions, name, release.index, project.indexes)
        if any(True for _ in requirement.specifier.filter(public)):
            continue
        versions = join_names(map(str, sorted(public, reverse=True)))
        reason = f"only {versions} on {index}" if public else f"{name} is not on {index}"
        if in_run:
            reason += f", and this run publishes {manifest.version_of(name)}"
        command = fixes.task_command(task, "--index", index)
        fix = f"publish both in one run: {command} --package {package} --package {name}"
        if workspace.by_name[name].is_private:
            fix = f"remove the Private :: classifier of {name}, or the requirement of {package}"
        yield Blocked(
            "requirement-unavailable",
            f"{package} {manifest.version_of(package)} requires {requirement}, which cannot be installed "
            f"({reason})",
            fix,
            allow="allow_mismatch",
        )


def _public_versions(name: str, index: Index, indexes: Indexes) -> frozenset[Version]:
    """Return the versions of a workspace package that the index lists and that are not yanked.

    For a test index, those on the index from which requirements are installed (the setting `trusted-index`) count
    as well. For a production index they do not: there, a project of the name may belong to another owner.
    """
    listings = [index.cached_listing(name)]
    if not index.production:
        listings.append(indexes.trusted_index.cached_listing(name))
    files = (file for listing in listings for file in listing.values())
    return frozenset(file.version for file in files if file.version is not None and not file.yanked)


def _choose_publisher(indexes: Indexes) -> tuple[Publisher | None, str]:
    """Return the publisher that signs uploads, or None if they are not signed, and a note for the plan.

    The note names the publisher, or says why nothing is signed. The identity to sign with is requested from the CI
    service.
    """
    if not attestations.is_attest_installed():
        return (
            None,
            f"attestations: off (the packages that sign are not installed: {attestations.INSTALL_COMMAND})",
        )
    identity = indexes.request_signing_identity()
    if isinstance(identity, str):
        return None, f"attestations: off ({identity})"
    publisher = publication.publisher_from_claims(identity.claims)
    if publisher is None:
        return None, f"attestations: off (they do not support the identity {identity.description})"
    return publisher, f"attestations: signed as {publisher.description}"


# --- notes -------------------------------------------------------------------------------------------------------


def _publication_notes(release: Release, project: Project) -> Iterator[str]:
    """Yield the notes of a plan to publish: about the files on the index, and packages that are not published.

    Those on production indexes also list what a person has to do by hand, and name development versions.
    """
    index, manifest, build = release.index.name, release.manifest, release.build
    for package in manifest.packages:
        yield from _listing_notes(package, release, project)
    if release.missing_files and release.index.production:
        for item in project.config.check.manual:
            yield f"to be done {item.when} publishing: {item.title}{f' ({item.link})' if item.link else ''}"
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    yield from requirements.unbounded_sibling_warnings(packages, project.workspace)
    versions = _describe_development_versions(release) if release.index.production else ""
    if versions and project.config.targets.get("dev") == index:
        yield f"{versions}, published to the production index {index}"
    yield from releases.released_earlier_notes(release.earlier, index)
    for group in releases.fixed_groups(project, build.public_part.packages):
        published_names = [name for name in group if name in manifest.packages]
        other_names = [name for name in group if name not in manifest.packages]
        if published_names and other_names:
            yield (
                f"PART OF A RELEASE: this run does not publish {join_names(other_names)} of this build, although "
                f"released together with {join_names(published_names)} (one version)"
            )
    yield from releases.private_package_notes(build.private)


def _listing_notes(package: str, release: Release, project: Project) -> Iterator[str]:
    """Yield notes on what the index lists of a package: files that are yanked, of other builds, or of newer rules.

    A note also says if the project is closed, or may belong to another account. Indexes do not say who may upload.
    A project is assumed to belong to the user if the index has one of the built files, or if one of its versions
    on the index is tagged in this repository.
    """
    index, files = release.index.name, {file.filename: file for file in release.manifest.files_of(package)}
    listing, version = release.index.cached_listing(package), release.manifest.version_of(package)
    is_uploaded = any(file.package == package for file in release.missing_files)
    for name in files:
        if name in listing and listing[name].yanked:
            yield f"{name} is yanked on {index}: installers ignore it"
    newer_names = [file.filename for file in listing.values() if file.needs_newer_upload_rules]
    if newer_names and release.index.has_public_rules:
        yield (
            f"{index} has {newer_names[-1]}, which its rules of {public_index.AS_OF} reject, the ones that this "
            f"version of relnox checks; to update it: {fixes.install_command('relnox', upgrade=True)}"
        )
    foreign_names = sorted(name for name, file in listing.items() if file.version == version and name not in files)
    if foreign_names and index != targets.EMBEDDED:
        yield (
            f"{index} has other files of {package} {version}, which installers may prefer, and which are not in "
            f"{release.build.directory}/{MANIFEST_JSON}: {join_names(foreign_names, limit=_MAX_LISTED)}"
        )
    if listing.status != "active" and not is_uploaded:  # otherwise it is a problem
        reason = f": {listing.reason}" if listing.reason else ""
        yield f"project {package} is {listing.status} on {index}{reason}"
    built_hashes = {file.sha256 for file in files.values()}
    if is_uploaded and not built_hashes.intersection(file.sha256 for file in listing.values()):
        yield from releases.foreign_project_messages(package, listing, index, project)
