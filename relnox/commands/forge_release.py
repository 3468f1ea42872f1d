"""Publish the release of a tag on GitHub or GitLab: notes, installation, hashes, files.

All files of the manifest must be public on the index with the built hashes. On GitHub a draft is made, its files
are attached and compared with a download, and it is published last; GitLab, which has no drafts, gets the files
before the release. A release that a person published gets files and installation instructions. Rerunning the
command finishes an interrupted release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from packaging.version import Version

from relnox.building import archives
from relnox.commands.options import ForgeReleaseOptions as Options
from relnox.commands.shared import consistency, releases
from relnox.commands.shared.forge_releases import forge_of, forge_release_problems
from relnox.commands.shared.releases import Release
from relnox.core import changelog, fixes
from relnox.core.bump import changelog_updates, release_history
from relnox.core.bump.release_history import Commit
from relnox.core.planning.plan import Plan, PlanBuilder
from relnox.core.planning.step import keys_of
from relnox.core.records import replace
from relnox.core.release import release_page, restructured_text
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.core.settings import release_lines
from relnox.core.settings.checklist import task_list
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.indexes import targets
from relnox.project import Project
from relnox.source import history
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.forge_release import (
    ATTACH_CHECKSUMS,
    AttachedFile,
    AttachFile,
    DraftRelease,
    PublishRelease,
    choose_release,
)
from relnox.steps.publication import different_files_error


def plan(options: Options, project: Project) -> Plan:
    """Plan a release on GitHub or GitLab for each tag of the built commit that has packages of the manifest."""
    new = PlanBuilder("forge-release")
    request = releases.read_release_request(options, options.package, project)
    build = releases.read_build(options.dist, request, project)
    index = project.indexes[options.index or releases.index_of_release_tags(build, project)]
    release = releases.find_release(build, index, project)
    manifest, commit = release.manifest, release.manifest.commit
    mismatches, notes = consistency.compare_versions(request, project, manifest.packages, manifest)
    checks = consistency.manifest_problems(
        manifest, options.dist, project, request.tag, production=index.production
    )
    new.add_problems((*mismatches, *checks), options)
    new.notes += notes
    if not index.production:
        setting = f"; or [tool.relnox.indexes.{index.name}] production = true"
        new.problems.append(
            Blocked(
                "test-index",
                f"a release page is for what users can install, but {index.name} is a test index",
                f"publish to a production index: {fixes.task_command('publish')}"
                + (setting if index.name in project.config.indexes else ""),
            )
        )
    new.problems += _unpublished_file_problems(release)
    if options.assets == "all":
        new.problems += _changed_archive_problems(release, project)
    tags = _packages_by_tag(release, project)
    tagged_names = {name for names in tags.values() for name in names}
    if untagged_names := [name for name in manifest.packages if name not in tagged_names]:
        new.problems.append(
            Blocked(
                "release-not-tagged",
                f"{join_names(f'{name} {manifest.version_of(name)}' for name in untagged_names)}: "
                + (f"the built commit {commit[:10]} has no such tag" if commit else "not built from a commit"),
                fixes.task_command("auto-tag"),
            )
        )
    new.problems += _shared_tag_problems(tags, release, project)
    if not tags or commit is None:
        return new.build()
    new.problems += forge_release_problems(
        project, dict.fromkeys(tags, commit), assets=options.assets, draft=options.draft
    )
    if new.problems:
        return new.build()
    for tag, names in tags.items():
        _plan_release_page(new, tag, release.manifest.restricted_to(frozenset(names)), release, options, project)
    return new.build()


def _unpublished_file_problems(release: Release) -> Iterator[Problem]:
    """Yield a problem if the index lacks files of the release, or has them with other content."""
    index = release.index
    if missing_files := [file.filename for file in release.missing_files]:
        words = ("--index", index.name) if index.name != targets.PRODUCTION else ()
        yield Blocked(
            "file-not-listed",
            f"{index.name} does not list {join_names(missing_files)} (the release page comes after the files)",
            fixes.task_command("publish", *words),
        )
    yield from (
        different_files_error(index, files) for files in releases.differing_files(release.manifest, release)
    )


def _changed_archive_problems(release: Release, project: Project) -> Iterator[Problem]:
    """Yield a problem for each sdist or wheel of the release whose file is missing or not as it was built."""
    dist = release.build.directory
    for file in release.manifest.distributions:
        directory = project.root / dist
        sha256 = project.once(archives.hash_of_file_inside, directory, directory / file.filename)
        if sha256 != file.sha256:
            yield changed_archive_error(
                f"{dist}/{file.filename}", file.sha256, sha256, ATTACH_CHECKSUMS, missing=Blocked
            )


def _shared_tag_problems(tags: Iterable[str], release: Release, project: Project) -> Iterator[Problem]:
    """Yield a problem for each of `tags` that is also the tag of a package that `--package` left out."""
    siblings = release.siblings
    for tag in tags:
        others = [
            name
            for name in siblings.packages
            if tag in releases.tags_of_version(name, siblings.version_of(name), project)
        ]
        if others:
            yield Blocked(
                "options-conflict",
                f"tag {tag} is of {join_names(others)} as well, left out by --package (a tag has one release)",
                fixes.task_command("forge-release"),
            )


def _packages_by_tag(release: Release, project: Project) -> dict[str, list[str]]:
    """Map the release tags at the built commit to the names of their packages; each package has at most one tag.

    Floating tags such as `v1` do not count.
    """
    manifest, request = release.manifest, release.build.request
    by_tag: dict[str, list[str]] = {}
    for name in manifest.packages:
        version = manifest.version_of(name)
        tags = {
            tag: tagged
            for tag, tagged in releases.tags_of_version(name, version, project).items()
            if not releases.is_floating_tag(project.package_tags[name][tag], version)
        }
        usual_tag = project.tag_formats[name].render(version) if name in project.tag_formats else ""
        candidates = [request.tag.name if request.tag is not None else "", usual_tag, *tags]
        own_tag = next((tag for tag in candidates if manifest.commit and tags.get(tag) == manifest.commit), None)
        if own_tag is not None:
            by_tag.setdefault(own_tag, []).append(name)
    return by_tag


def _plan_release_page(  # noqa: PLR0913, PLR0917 - what a release page is made of
    new: PlanBuilder, tag: str, manifest: Manifest, release: Release, options: Options, project: Project
) -> None:
    """Add to `new` the steps that make the release page of a tag, or complete a page that exists.

    `manifest` is the part of the release's manifest with the packages that have this tag.
    """
    forge, index = forge_of(project), release.index
    pages = project.once(forge.releases, tag)
    page = choose_release(pages, tag)
    if is_public := page is not None and not page.is_draft:
        drafts = [other.url for other in pages if other.is_draft]
        new.notes += [f"the release of {tag} is public; delete its draft by hand: {url}" for url in drafts]
    versions = {name: manifest.version_of(name) for name in manifest.packages}
    name, version = next(iter(versions.items()))
    is_single = len(versions) == 1
    previous = _previous_tag(name, version, manifest.commit or "", project)
    section = release_page.format_installation_section(
        tag,
        versions,
        manifest.distributions,
        index_url="" if index.name == targets.PRODUCTION else index.simple_url,
        limit=forge.max_body // 2,
    )
    notes, link = _release_notes(new, tag, manifest, previous, options, project)
    if options.draft and (tasks := task_list(project.config.check.manual)):
        # The one who publishes a draft edits its source; the page shows no comment, however it becomes public.
        notes = f"<!-- To be done by hand:\n{tasks}\n-->\n\n{notes}"
    body = release_page.format_new_page(tag, notes, link, section, limit=forge.max_body)
    title, prerelease = f"{name} {version}" if is_single else str(version), version.is_prerelease
    common: dict[str, Any] = {
        "remote_name": project.config.remote,
        "tag": tag,
        "package": name if is_single else forge.location.path.rpartition("/")[2],
        "version": str(version),
    }
    text: dict[str, Any] = {"name": title, "body": body, "section": section, "prerelease": prerelease}
    needs = new.add(DraftRelease(**common, **text)) if forge.has_drafts else ()
    files = tuple(_files_to_attach(manifest, options.assets))
    attach_steps = new.add(
        *(AttachFile(**common, file=file, directory=options.dist, needs=keys_of(*needs)) for file in files)
    )
    if options.draft:
        if not is_public:
            new.notes.append(f"the release of {tag} stays a draft, for a person to publish")
        return
    new.add(
        PublishRelease(
            **common,
            **text,
            latest=_becomes_latest_release(versions, project) if forge.has_drafts else None,
            files=tuple(replace(file, content=None) for file in files),
            needs=keys_of(*needs, *attach_steps),
        )
    )


def _files_to_attach(manifest: Manifest, assets: str) -> Iterator[AttachedFile]:
    """Yield the files that `assets` (the value of `--assets`) selects for a release page.

    Checksums and manifest come with their text as `content`, since they are written for the page; sdists and
    wheels are read from disk later.
    """
    archives = {file.filename: file.sha256 for file in manifest.distributions}
    if assets == "all":
        yield from (AttachedFile(name=name, sha256=sha256) for name, sha256 in archives.items())
    texts = {release_page.CHECKSUMS: release_page.format_checksums(archives), MANIFEST_JSON: manifest.to_json()}
    for name, content in texts.items() if assets != "none" else ():
        sha256 = hashlib.sha256(content.encode()).hexdigest()
        yield AttachedFile(name=name, sha256=sha256, content=content)


def _becomes_latest_release(versions: Mapping[str, Version], project: Project) -> bool:
    """Return whether a release of these versions, by package, becomes the latest one of the repository.

    It does if it has the highest final version of the package in the setting `latest`. Without that setting, the
    first package in `versions` counts if all published packages have the same tag format; otherwise no release
    becomes the latest.
    """
    public = [package.name for package in project.workspace.packages if not package.is_private]
    shares_tag = len({project.tag_formats[name] for name in public}) == 1
    name = project.config.forge_release.latest or (next(iter(versions)) if shares_tag else None)
    if name is None or name not in versions:
        return False
    return release_page.is_latest_release(project.package_tags[name].values(), versions[name])


def _previous_tag(name: str, version: Version, commit: str, project: Project) -> str | None:
    """Return the tag of the package's last release before a version, or None for a first release.

    Where release branches have ranges of versions, tags within the same range are preferred. A tag of this clone
    counts only if it is in the history of `commit`; in a shallow clone, all count.
    """
    git, state, _ = project.require_commit()
    tags = project.package_tags[name]
    merged_tags = project.once(git.merged_tags, commit) if not state.is_shallow else state.tags.keys()
    tags = {
        tag: tagged
        for tag, tagged in tags.items()
        if not releases.is_floating_tag(tagged, version) and (tag in merged_tags or tag not in state.tags)
    }
    lines = [line for line in project.config.branch if line.contains(version)]
    of_line = {tag: tagged for tag, tagged in tags.items() if release_lines.allows_version(lines, tagged)}
    return release_page.previous_tag(of_line, version) or release_page.previous_tag(tags, version)


# --- notes


def _release_notes(  # noqa: PLR0913, PLR0917 - as above
    new: PlanBuilder, tag: str, manifest: Manifest, previous: str | None, options: Options, project: Project
) -> tuple[str, str]:
    """Return the Markdown notes of the release of a tag, and a link to all changes or to the changelog, or "".

    The notes are from `--notes`: sections of changelogs, generated by the forge, or the commits since the tag
    `previous`. If no changelog has a section of the release, commits are listed, and `new` gets a note. With None
    as `previous`, it is the first release, and no commits are listed.
    """
    forge, commit = forge_of(project), manifest.commit or ""
    versions = {name: manifest.version_of(name) for name in manifest.packages}
    link, text = "", "First release."
    if previous is not None:
        compare = forge.compare_url(previous, tag)
        link = f"**All changes**: {release_page.format_link(f'{previous}...{tag}', compare)}"
    if options.notes == "changelog":
        files, texts = _read_changelog_sections(versions, commit, project)
        if texts:
            if not link:
                prefix = project.git.prefix if project.git is not None else ""
                link = release_page.format_link(files[0], forge.file_url(tag, f"{prefix}{files[0]}"))
            return release_page.join_package_notes(texts), link
        new.notes.append(f"no changelog has a section of {tag}: its release lists commits")
    if previous is not None and options.notes == "generated":
        version = next(iter(versions.values()))
        text = project.once(forge.generated_notes, tag, previous, version)
        link = link if forge.compare_url(previous, tag) not in text else ""
    elif previous is not None:
        commits = project.once(_read_commits_between, project, tuple(versions), previous, commit)
        text = release_page.format_commit_notes((change.subject, change.id) for change in commits)
    return text, link


def _read_changelog_sections(
    versions: Mapping[str, Version], commit: str, project: Project
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the paths of changelogs that have a section of the release, and that section by package, as Markdown.

    `versions` has the released version of each package; changelogs are read at `commit`. Packages without a
    section are left out of both.
    """
    changelogs = project.once(_read_changelogs, project, commit)
    files: list[str] = []
    texts: dict[str, str] = {}
    for name, version in versions.items():
        file, content = changelogs.get(name, ("", ""))
        text = changelog.release_notes_of_version(content, version) if file else None
        if text:
            files.append(file)
            is_markdown = changelog.is_markdown(file, content)
            markdown = text if is_markdown else restructured_text.to_markdown(text, content)
            texts[name] = release_page.join_paragraph_lines(markdown)
    return tuple(files), texts


def _read_changelogs(project: Project, commit: str) -> dict[str, tuple[str, str]]:
    """Return the path and the text of each package's changelog at a commit, by package name, if it has one."""
    with project.at_commit(commit) as at:
        candidates = at.changelog_candidates
        contents = at.read_files(file for files in candidates.values() for file in files)
        changelogs = changelog_updates.find_changelogs(at.workspace, candidates, contents, at.config)
    return {name: (file, contents[file].decode("utf-8", "replace")) for name, file in changelogs.items()}


def _read_commits_between(project: Project, names: Sequence[str], previous: str, commit: str) -> list[Commit]:
    """Return the commits after the tag `previous`, up to `commit`, that change any of the packages `names`.

    Release commits, and those that start the next development version, are left out.
    """
    git, _, _ = project.require_commit()
    tags, paths = {previous: project.tags[previous]}, project.config.paths
    histories = history.read_release_histories(
        git, project.workspace, project.tag_formats, tags, paths=paths, revision=commit
    )
    own = (release_history.omit_development_commits(histories[name]) for name in names)
    changes = (change for since in own for change in release_history.changes_since_release(since))
    return list({change.id: change for change in changes}.values())
