"""The versions of a new bump: which packages are selected, which version each package gets, and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import checks
from relnox.core import fixes, setting_proposals
from relnox.core.bump import release_history, version_bumps
from relnox.core.bump.version_bumps import BumpRequest, DependencyUpdates, ResolvedBumps, VersionBump
from relnox.core.packages import Dependency, Package
from relnox.core.requirements import unbounded_sibling_warnings, versions_in_requirement
from relnox.core.settings.schema import fields_of
from relnox.core.text import format_count, join_names
from relnox.core.versions import version_locations, versioning
from relnox.core.versions.versioning import Bump
from relnox.errors import Blocked, Problem
from relnox.project import Project

REQUEST = ("part", "pre", "to", "number", "package", "all", "always_increment", "allow_lower")
"""The field names of the options that request a bump."""
_MAX_LINES = 20
"""The maximum number of notes on single requirements; more requirements get one common note."""
_MAX_LISTED = 5
_MAX_SUBJECTS = 3


def requested_bump(options: Options) -> Bump:
    """Return the bump that the options describe, such as one to the next minor version, without checking it."""
    names = ("part", "pre", "to", "always_increment", "allow_lower", "number")
    values: Any = {name: getattr(options, name) for name in names}
    return Bump(**values)


def command_line_words(options: Options, names: Collection[str]) -> tuple[str, ...]:
    """Return the options with these field names as command-line words, except those that have their defaults."""
    return tuple(
        word
        for field in fields_of(type(options))
        if field.name in names and (value := getattr(options, field.name)) not in (field.default, None)
        for word in fixes.option_words(field.name, value)
    )


def select_packages(options: Options, project: Project) -> tuple[Package, ...]:
    """Return the packages to bump: those of `--package`, or all if the options or settings ask for it.

    All are bumped with `--all`, with `--part auto` without names, in lockstep, or if all are in one group.

    Raises:
        Blocked: None are selected, `--package` is used in lockstep, another tool manages the versions, or a sparse
            checkout lacks packages.
    """
    _check_all_packages_checked_out(project)
    workspace, config = project.version_literals.workspace, project.config
    packages = workspace.packages
    if config.managed_by is not None:
        raise Blocked(
            "version-managed-elsewhere",
            f"versions are managed by {config.managed_by} ([tool.relnox] managed-by)",
            f"bump with {config.managed_by}; or remove managed-by from [tool.relnox]",
        )
    if config.versions == "lockstep":
        if options.package:
            raise Blocked(
                "packages-in-lockstep",
                f"--package cannot select single packages (the {len(packages)} packages are bumped in lockstep)",
                'remove --package; or [tool.relnox] versions = "independent"',
            )
        return packages
    if options.package:
        return workspace.select(options.package)
    if options.all or len(project.version_groups) == 1 or options.part == "auto":
        return packages
    fix = f"name them: --package {packages[0].name}; or use --all, or --part auto"
    if config.versions is None and len({package.version for package in packages}) == 1:
        settings = fixes.settings_to_toml({"versions": "lockstep"}, config)
        fix += f"; or, to bump all of them together, add to pyproject.toml:\n{settings}"
    raise Blocked("packages-not-selected", f"no packages selected ({len(packages)} in this workspace)", fix)


def _check_all_packages_checked_out(project: Project) -> None:
    """Raise `Blocked` if a sparse checkout lacks packages, whose requirements could not be updated."""
    if project.git is None or project.git.config.get("core.sparsecheckout") != "true":
        return
    files = (name for name in project.tracked_pyproject_and_lock_files if name.endswith("pyproject.toml"))
    if missing := [name for name in files if not (project.root / name).exists()]:
        raise Blocked(
            "git-setting-invalid",
            f"the sparse checkout lacks {join_names(missing)}, whose requirements the bump may change",
            "git sparse-checkout disable",
        )


def decide_versions(
    options: Options, project: Project, selected: Sequence[Package]
) -> tuple[ResolvedBumps, Sequence[Problem]]:
    """Decide which version each package gets, and which requirements change with it; return problems as well.

    If versions cannot be decided, the bumps are empty, and the first problem says why. Without `--to`, it is also
    a problem if files of a package have different versions.
    """
    problems: list[Problem] = []
    try:
        resolved = resolve_versions(options, project, selected)
        versions = {bump.package.name: bump.before for bump in resolved.bumps}
    except Blocked as error:
        problems.append(error)
        resolved = ResolvedBumps((), {})
        versions = {package.name: package.version for package in selected if package.version is not None}
    if options.to is None:
        by_name = project.version_literals.workspace.by_name
        problems += version_bumps.inconsistent_version_problems(
            (by_name[name], versions[name]) for name in versions
        )
    return resolved, problems


def resolve_versions(options: Options, project: Project, selected: Sequence[Package]) -> ResolvedBumps:
    """Decide which version each package gets, and which requirements change with it; raise the first problem."""
    _check_options_fit_packages(options, project, selected)
    workspace, config = project.version_literals.workspace, project.config
    history = project.history if versions_depend_on_history(options, selected) else {}
    own_changes: dict[str, BumpRequest] = {}
    if options.part == "auto":
        own_changes = release_history.bump_requests_from_own_changes(workspace, history, config)
        names = {package.name for package in selected}
        phase: Any = options.pre
        requests = release_history.auto_bump_requests(
            workspace, history, config, phase, names if options.package else ()
        )
        requests = {name: request for name, request in requests.items() if name in names}
    else:
        reason = " ".join(command_line_words(options, ("part", "pre", "to", "number", "always_increment")))
        left_out = packages_skipped_without_tags(options, project, selected)
        requests = {
            package.name: BumpRequest(
                None if _keeps_its_version(package, options, project) else requested_bump(options), reason
            )
            for package in selected
            if package not in left_out
        }
    return version_bumps.resolve_bumps(
        workspace,
        requests,
        current_versions=release_history.current_versions(workspace.packages, history),
        config=config,
        today=project.today,
        dev_number=options.number,
        own_changes=own_changes,
    )


def versions_depend_on_history(options: Options, selected: Sequence[Package]) -> bool:
    """Return whether versions depend on commits and tags: with `--part auto`, or if they come from tags."""
    return options.part == "auto" or any(package.source.kind == "tags" for package in selected)


def _check_options_fit_packages(options: Options, project: Project, selected: Sequence[Package]) -> None:
    """Raise `Blocked` if the options do not fit the packages or this clone.

    Without git, nothing can be committed or tagged; a clone without history or tags may lack the last release.
    """
    provider = selected[0].source.text if all(package.source.kind == "tags" for package in selected) else None
    if provider is not None and options.pull_request:
        raise Blocked(
            "nothing-to-commit",
            f"--pull-request has nothing to commit here (the version comes from tags: {provider})",
            "remove --pull-request, and add --tag",
        )
    if provider is not None and not options.tag:
        raise Blocked(
            "option-missing", f"a bump needs --tag here (the version comes from tags: {provider})", "add --tag"
        )
    if needing := [f"--{name}" for name in ("commit", "tag") if getattr(options, name)]:
        project.require_commit(" and ".join(needing))
    if options.part == "auto" and project.git is None:
        raise Blocked(
            "not-a-git-repository",
            "--part auto needs a git repository (it reads the commit history)",
            "use --part major, --part minor or --part patch",
        )
    state, remote = project.state, project.config.remote
    if state is None or not versions_depend_on_history(options, selected):
        return
    if state.is_shallow:
        raise Blocked(
            "clone-shallow",
            "this clone is shallow (its history and tags are incomplete)",
            "git fetch --unshallow --tags",
        )
    if not state.tags and project.tags:
        raise Blocked(
            "clone-shallow",
            f"this clone has no tags, but {remote} has {len(project.tags)} (the last releases are not known)",
            f"git fetch --tags {remote}",
        )


def packages_skipped_without_tags(
    options: Options, project: Project, selected: Sequence[Package]
) -> tuple[Package, ...]:
    """Return the packages that `--all` skips because their versions come from tags and they have no tag yet.

    With `--to`, or if no other packages are selected, it skips none.
    """
    if not options.all or options.to is not None:
        return ()
    packages = tuple(
        package
        for package in selected
        if package.source.kind == "tags" and package.name not in project.current_versions
    )
    return packages if len(packages) < len(selected) else ()


def _keeps_its_version(package: Package, options: Options, project: Project) -> bool:
    """Return whether `--to` names the current version of a package, and a tag or a version location lacks it.

    The package is then released in its current version. A version location is a place in a file that has the
    version.
    """
    if options.to is None or package.version is None:
        return False
    target = versioning.parse_version(options.to, where="--to")
    is_tagged = project.tag_formats[package.name].render(target) in project.tags
    return target == package.version and not (
        is_tagged and version_locations.all_locations_have_version(package, target)
    )


def selection_notes(
    options: Options, project: Project, selected: Sequence[Package], bumps: Sequence[VersionBump]
) -> Iterator[str]:
    """Yield notes on packages that are not bumped or keep their version.

    With `--part auto`, there is also one on commits that do not count, since they are not Conventional Commits.
    """
    if not bumps:
        yield "nothing to release: no commit since the last release asks for a bump"
    if left_out := packages_skipped_without_tags(options, project, selected):
        first = fixes.task_command("bump", "--package", left_out[0].name, "--to", "0.1.0", "--tag")
        names = join_names([package.name for package in left_out])
        yield f"{names}: skipped, no tag to derive a version from; for the first release: {first}"
    if options.part != "auto":
        return
    own_histories = [project.history[package.name] for package in selected if package.name in project.history]
    if others := release_history.unconventional_commits(own_histories):
        subjects = join_names([repr(commit.subject) for commit in others], _MAX_SUBJECTS)
        yield f"not counted, since not a Conventional Commit: {subjects}"
    if unchanged := [f"{bump.package.name} {bump.after}" for bump in bumps if bump.before == bump.after]:
        yield (
            f"{join_names(unchanged)}: released as it is, whatever the commits ask for; to bump further name the "
            "part, such as --part patch"
        )
    bumped = {bump.package.name for bump in bumps}
    untagged = [
        package.name
        for package in selected
        if package.name in project.history and project.history[package.name].tag is None
        if package.version is not None and not package.is_private and package.name not in bumped
    ]
    if untagged:
        prefix = project.tag_formats[untagged[0]].prefix
        yield (
            f"{join_names(untagged, _MAX_LISTED)}: no tag found ({prefix}…); for a first release: "
            f"--package {untagged[0]}"
        )


def version_notes(
    options: Options, project: Project, bumps: Sequence[VersionBump], updates: DependencyUpdates
) -> Iterator[str]:
    """Yield notes on the new versions: their normalized form, why each is next, and what follows from them.

    These include changed requirements (`updates`), version strings that stay unchanged, and packages that may have
    to be released as well.
    """
    packages_by_note: dict[str, list[str]] = {}
    scheme = project.config.scheme
    for bump in bumps:
        source, name = bump.package.source, bump.package.name
        if source.is_in_file and not source.semver:
            note = versioning.normalization_note(source.text, scheme=scheme)
            packages_by_note.setdefault(note or "", []).append(name)
        if options.part != "auto" and options.to is None and bump.before is not None:
            note = versioning.explain_bump(bump.before, requested_bump(options), bump.after, scheme=scheme)
            packages_by_note.setdefault(note or "", []).append(name)
    for text, names in packages_by_note.items():
        if text:
            yield text if len(names) == len(bumps) else f"{', '.join(names)}: {text}"
    yield from unbounded_sibling_warnings([bump.package for bump in bumps], project.version_literals.workspace)
    for bump in bumps:
        for place in project.version_literals.possible_locations.get(bump.package.name, ()):
            yield (
                f"{'.'.join(map(str, place.key))} in {place.file} is {place.text} as well, and is not changed; to "
                "bump it, add a pattern for it: [[tool.relnox.version-files]]"
            )
    yield from _unfinished_prerelease_notes(project, bumps, updates)
    yield from checks.unreleased_sibling_notes(project, [bump.package for bump in bumps])
    yield from setting_proposals.outdated_requirement_warnings(project.unlisted_packages, bumps)
    lines = dict.fromkeys(
        # in Poetry's syntax, the name is a key of its own
        f"{name}: {f'{need.name} {need.text}' if need.syntax == 'poetry' else need.text} becomes {new_text}"
        for name, needs in updates.items()
        for need, new_text in needs
        if need.syntax != "cargo"  # on crates of the same package
    )
    if len(lines) <= _MAX_LINES:
        yield from lines
    else:
        changed, packages = format_count(len(lines), "requirement"), format_count(len(updates), "package")
        yield f"updating {changed} of {packages}; --dry-run shows them in its diff"


def _unfinished_prerelease_notes(
    project: Project, bumps: Sequence[VersionBump], updates: DependencyUpdates
) -> Iterator[str]:
    """Yield a note on each package that stays a prerelease, but requires a package that gets a final version."""
    after = {bump.package.name: bump.after for bump in bumps}
    final = {name: version for name, version in after.items() if not version.is_prerelease}
    own_names = project.config.dependency_updates

    def prereleases(need: Dependency) -> set[tuple[int, ...]]:
        return {version.release for version in versions_in_requirement(need) if version.is_prerelease}

    for package in project.version_literals.workspace.packages:
        name, version = package.name, after.get(package.name, package.version)
        if package.is_private or version is None or version.pre is None:
            continue
        updated = {need for need, _ in updates.get(name, ())}
        causes = {
            f"{cause} {final[cause]}"
            for need in package.dependencies
            if need.table in version_bumps.PUBLISHED_TABLES
            and (cause := own_names.get(need.name, need.name)) in final
            and (need in updated or final[cause].release in prereleases(need))
        }
        if causes:
            fix = fixes.task_command("bump", "--part", "release", "--package", name)
            names = join_names(sorted(causes))
            yield f"{name} {version} is a prerelease that requires {names}; to finish it: {fix}"


def development_pin_problems(project: Project, bumps: Sequence[VersionBump]) -> Iterator[Problem]:
    """Yield a problem if a bump ends a development version that its package also requires of another project.

    It requires exactly that version (`==`), which no release of another project has. Packages in the setting
    `dependency-updates`, which are released together with this project, do not count.
    """
    pins: dict[str, tuple[str, str]] = {}
    for bump in bumps:
        if bump.before is None or not bump.before.is_devrelease or bump.after.is_devrelease:
            continue
        for need in bump.package.dependencies:
            is_own = need.name in project.workspace.by_name or need.name in project.config.dependency_updates
            is_published = need.table in version_bumps.PUBLISHED_TABLES and not is_own
            if is_published and versions_in_requirement(need, "==", "===") == [bump.before]:
                pins.setdefault(need.name, (bump.package.name, need.text))
    if pins:
        settings = {"dependency-updates": {name: package for name, (package, _) in pins.items()}}
        yield Blocked(
            "requirement-excludes-version",
            f"{join_names(f'{package} requires {text!r}' for package, text in pins.values())} (the development "
            "version of this project, which no release of another project has)",
            "require a released version; or, if it is released together with this project, add to "
            "pyproject.toml:\n"
            f"{fixes.settings_to_toml(settings, project.config)}",
        )
