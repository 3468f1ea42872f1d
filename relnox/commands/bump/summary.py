"""The summary of a planned bump: notes, and tables of the new versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump.generated_files import outdated_locks
from relnox.commands.bump.options import requested_bump
from relnox.commands.bump.preflight import format_problems
from relnox.commands.shared import tag_checks
from relnox.core.text import format_count, join_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bump.project_state import Observation
    from relnox.commands.bump.snapshot import NewBump
    from relnox.commands.options import BumpOptions as Options
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.packages import Dependency, Package
    from relnox.core.planning.plan import Table

_MAX_LINES = 20
"""The maximum number of notes on single requirements; more requirements get one common note."""
_MAX_LISTED = 5


def notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield the notes that are shown with the plan of a new bump."""
    observation, bumps, updates = new.observation, new.decision.bumps, new.decision.updates
    if not bumps:
        yield "nothing to release: no commit since the last release asks for a bump"
    yield from _never_tagged_notes(new.decision.never_tagged)
    yield from _unchanged_version_notes(new, options)
    if new.development.note:
        yield new.development.note
    yield from _context_notes(new)
    yield from _tag_notes(observation, bumps, options)
    if options.part == "auto":
        yield from _first_release_notes(observation, bumps)
    packages_by_note: dict[str, list[str]] = {}
    for bump in bumps:
        for note in _version_notes(bump, observation, options):
            packages_by_note.setdefault(note, []).append(bump.package.name)
    for note, names in packages_by_note.items():
        yield note if len(names) == len(bumps) else f"{', '.join(names)}: {note}"
    outdated_files = outdated_locks(observation, updates)
    if outdated_files and not options.lock:
        yield f"{', '.join(outdated_files)}: out of date after this bump; to update it: --lock"
    yield from _unfinished_dependent_notes(new)
    yield from _literal_notes(observation, bumps)
    yield from core.unlisted.outdated_pin_warnings(observation.unlisted, bumps)
    lines = dict.fromkeys(
        f"{name}: {_requirement_text(dependency)} becomes {new_text}"
        for name, needs in updates.items()
        for dependency, new_text in needs
    )
    if len(lines) <= _MAX_LINES:
        yield from lines
    else:
        requirements, packages = format_count(len(lines), "requirement"), format_count(len(updates), "package")
        yield f"updating {requirements} of {packages}; --dry-run shows them in its diff"


def _requirement_text(dependency: Dependency) -> str:
    """Return a requirement with its name, which is a key of its own in Poetry's syntax."""
    return f"{dependency.name} {dependency.text}" if dependency.is_poetry_syntax else dependency.text


def _unchanged_version_notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield notes on packages that `--part auto` releases with their current versions, and on how to tag them."""
    bumps = new.decision.bumps
    unchanged_packages = [f"{bump.package.name} {bump.after}" for bump in bumps if bump.before == bump.after]
    if unchanged_packages and options.part == "auto":
        yield (
            f"{join_names(unchanged_packages)}: released as it is, whatever the commits ask for; to bump further "
            "name the part, such as --part patch"
        )
        if not new.edits and not options.tag:
            yield "no file changes: --commit --tag releases what is there"


def _never_tagged_notes(packages: tuple[Package, ...]) -> Iterator[str]:
    """Yield a note on packages without tags that `--all` skips, with the command for their first release."""
    if packages:
        names = join_names([package.name for package in packages])
        first = core.fixes.task_command("bump", "--package", packages[0].name, "--to", "0.1.0", "--tag")
        yield f"{names}: skipped, no tag to derive a version from; for the first release: {first}"


def _tag_notes(observation: Observation, bumps: tuple[VersionBump, ...], options: Options) -> Iterator[str]:
    """Yield notes on lockstep versions, newer tags, and tag problems that do not block this bump."""
    if observation.state is not None:
        yield from observation.newer_tags.notes(
            [bump.package.name for bump in bumps], observation.config, observation.state.tags
        )
    if options.tag:
        yield from tag_checks.notes_on_shared_tags(bumps, observation.workspace)
    if not (options.tag or options.pull_request or options.part == "auto"):
        for problem in format_problems(observation, options, bumps):
            yield f"{problem.message}\n  fix: {problem.fix}"


def _context_notes(new: NewBump) -> Iterator[str]:
    """Yield notes on the remote, untracked files, unbounded requirements, changelogs and the previous bump."""
    observation, bumps = new.observation, new.decision.bumps
    if observation.remote.error is not None:
        remote = observation.config.remote
        yield f"{observation.remote.error}: tags and commits of {remote} were not checked"
    untracked_files = observation.state.untracked_files if observation.state is not None else ()
    directories = {bump.package.directory for bump in bumps}
    edited_files = {edit.file for edit in (*new.edits, *new.development.edits)}
    unreleased_files = [
        name
        for name in untracked_files
        if name not in edited_files and any(_is_in(name, directory) for directory in directories)
    ]
    if unreleased_files:
        are = "is" if len(unreleased_files) == 1 else "are"
        yield f"left out: {join_names(unreleased_files)} {are} untracked and not part of the release"
    packages = [bump.package for bump in bumps]
    yield from core.requirements.unbounded_sibling_warnings(packages, observation.workspace)
    if observation.config.changelog in ("auto", "keep-a-changelog"):
        own = [bump for bump in bumps if bump.package.name not in new.generated_changelogs]
        yield from core.release_notes.changelog_notes(
            own, observation.changelogs, observation.contents, observation.config
        )
    if bumps and observation.previous is not None:
        yield f"no commits since the last bump ({observation.previous.command})"


def _is_in(file: str, directory: str) -> bool:
    return directory == "." or file.startswith(f"{directory}/")


def _unfinished_dependent_notes(new: NewBump) -> Iterator[str]:
    """Yield a note on each dependent that gets the next prerelease because of the final release of a package."""
    bumps = {bump.package.name: bump for bump in new.decision.bumps}
    names = new.observation.config.dependency_updates
    for name, bump in bumps.items():
        if bump.before is None or bump.before.pre is None or not bump.after.is_prerelease:
            continue
        causes = [
            f"{cause.package.name} {cause.after}"
            for dependency, _ in new.decision.updates.get(name, ())
            if (cause := bumps.get(names.get(dependency.name, dependency.name))) is not None
            and not cause.after.is_prerelease
        ]
        if causes:
            fix = core.fixes.task_command("bump", "--part", "release", "--package", name)
            yield f"{name} {bump.after} is a prerelease that requires {join_names(causes)}; to finish it: {fix}"


def _literal_notes(observation: Observation, bumps: tuple[VersionBump, ...]) -> Iterator[str]:
    """Yield a note on the version literals in Python modules that this bump changes as well."""
    bumped_files = {location.file for bump in bumps for location in bump.package.other_locations}
    literals = [
        f"{location.key[0]} in {location.file}"
        for location in observation.literals
        if location.file in bumped_files
    ]
    if literals:
        verb, pronoun = ("changes", "it") if len(literals) == 1 else ("change", "them")
        setting = "[tool.relnox] version-literals = false"
        yield f"{join_names(literals)} {verb} as well; to leave {pronoun} unchanged: {setting}"


def _version_notes(bump: VersionBump, observation: Observation, options: Options) -> Iterator[str]:
    """Yield notes on one bump: how its version is normalized, why that version is next, and its dev number."""
    source, scheme = bump.package.source, observation.config.scheme
    if (
        source.is_in_file
        and not source.semver
        and (note := core.versioning.normalization_note(source.text, scheme=scheme))
    ):
        yield note
    if options.part != "auto" and options.to is None and bump.before is not None:
        bump_request = requested_bump(options)
        if note := core.versioning.explain(bump.before, bump_request, bump.after, scheme=scheme):
            yield note


def _first_release_notes(observation: Observation, bumps: tuple[VersionBump, ...]) -> Iterator[str]:
    """Yield a note on packages that `--part auto` skips because they have no tag yet."""
    bumped_packages = {bump.package.name for bump in bumps}
    names = [
        package.name
        for package in observation.selected
        if package.name not in bumped_packages
        and not package.is_private
        and package.version is not None
        and (history := observation.history.get(package.name)) is not None
        and history.tag is None
    ]
    if names:
        prefix = observation.tag_formats[names[0]].prefix
        listed_names = ", ".join(names[:_MAX_LISTED]) + (" …" if len(names) > _MAX_LISTED else "")
        yield f"{listed_names}: no tag found ({prefix}…); for a first release: --package {names[0]}"


def tables(new: NewBump) -> Iterator[Table]:
    """Yield a table of the bumps, and one of the development versions that follow the release, if any."""
    yield _table("", new.decision.bumps)
    if new.development.bumps:
        yield _table("then", new.development.bumps)


def _table(title: str, bumps: tuple[VersionBump, ...]) -> Table:
    rows = tuple(
        (bump.package.name, str(bump.before) if bump.before is not None else "-", str(bump.after), bump.reason)
        for bump in bumps
    )
    return core.plan.Table(title=title, columns=("package", "from", "to", "why"), rows=rows)
