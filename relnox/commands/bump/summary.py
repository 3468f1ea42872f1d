"""The summary of a planned bump: notes, and tables of the new versions."""

from __future__ import annotations

from collections.abc import Iterator

from relnox.commands.bump.generated_files import outdated_locks
from relnox.commands.bump.options import requested_bump
from relnox.commands.bump.preflight import format_problems
from relnox.commands.bump.snapshot import NewBump
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import tag_checks
from relnox.core import fixes, unlisted
from relnox.core.bump import release_notes
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.dependencies.requirements import unbounded_sibling_warnings
from relnox.core.planning.plan import Table
from relnox.core.text import format_count, join_names
from relnox.core.versions import versioning

_MAX_LINES = 20
"""The maximum number of notes on single requirements; more requirements get one common note."""
_MAX_LISTED = 5


def notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield the notes that are shown with the plan of a new bump."""
    yield from _package_notes(new, options)
    if new.development.note:
        yield new.development.note
    yield from _file_notes(new, options)
    yield from _tag_notes(new, options)
    yield from _version_notes(new, options)
    yield from _requirement_notes(new)


def _package_notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield notes on packages that are not bumped, or released with their current version."""
    observation, bumps, never_tagged = new.observation, new.decision.bumps, new.decision.never_tagged
    if not bumps:
        yield "nothing to release: no commit since the last release asks for a bump"
    if never_tagged:
        first = fixes.task_command("bump", "--package", never_tagged[0].name, "--to", "0.1.0", "--tag")
        names = join_names([package.name for package in never_tagged])
        yield f"{names}: skipped, no tag to derive a version from; for the first release: {first}"
    if options.part != "auto":
        return
    if unchanged := [f"{bump.package.name} {bump.after}" for bump in bumps if bump.before == bump.after]:
        yield (
            f"{join_names(unchanged)}: released as it is, whatever the commits ask for; to bump further name the "
            "part, such as --part patch"
        )
        if not new.edits and not options.tag:
            yield "no file changes: --commit --tag releases what is there"
    bumped_packages = {bump.package.name for bump in bumps}
    untagged = [
        package.name
        for package in observation.selected
        if package.name not in bumped_packages
        and not package.is_private
        and package.version is not None
        and package.name in observation.history
        and observation.history[package.name].tag is None
    ]
    if untagged:
        prefix = observation.tag_formats[untagged[0]].prefix
        yield (
            f"{join_names(untagged, _MAX_LISTED)}: no tag found ({prefix}…); for a first release: "
            f"--package {untagged[0]}"
        )


def _file_notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield notes on files that the bump leaves out, or changes although no setting names them."""
    observation, bumps = new.observation, new.decision.bumps
    if observation.remote.error is not None:
        yield f"{observation.remote.error}: tags and commits of {observation.config.remote} were not checked"
    edited_files = {edit.file for edit in (*new.edits, *new.development.edits)}
    directories = tuple(
        "./" if bump.package.directory == "." else f"./{bump.package.directory}/" for bump in bumps
    )
    untracked_files = observation.state.untracked_files if observation.state is not None else ()
    left_out = [
        name for name in untracked_files if name not in edited_files and f"./{name}".startswith(directories)
    ]
    if left_out:
        are = "is" if len(left_out) == 1 else "are"
        yield f"left out: {join_names(left_out)} {are} untracked and not part of the release"
    if observation.config.changelog in ("auto", "keep-a-changelog"):
        own = [bump for bump in bumps if bump.package.name not in new.generated_changelogs]
        yield from release_notes.changelog_notes(
            own, observation.changelogs, observation.contents, observation.config
        )
    outdated_files = outdated_locks(observation, new.decision.updates)
    if outdated_files and not options.lock:
        yield f"{', '.join(outdated_files)}: out of date after this bump; to update it: --lock"
    locations = {location.file for bump in bumps for location in bump.package.other_locations}
    literals = [
        f"{literal.key[0]} in {literal.file}" for literal in observation.literals if literal.file in locations
    ]
    if literals:
        verb, pronoun = ("changes", "it") if len(literals) == 1 else ("change", "them")
        setting = "[tool.relnox] version-literals = false"
        yield f"{join_names(literals)} {verb} as well; to leave {pronoun} unchanged: {setting}"


def _tag_notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield notes on newer tags, and on tag problems that do not block this bump."""
    observation, bumps = new.observation, new.decision.bumps
    if observation.state is not None:
        names = [bump.package.name for bump in bumps]
        yield from observation.newer_tags.notes(names, observation.config, observation.state.tags)
    if options.tag:
        yield from tag_checks.notes_on_shared_tags(bumps, observation.workspace)
    if not (options.tag or options.pull_request or options.part == "auto"):
        for problem in format_problems(observation, options, bumps):
            yield f"{problem.message}\n  fix: {problem.fix}"


def _version_notes(new: NewBump, options: Options) -> Iterator[str]:
    """Yield notes on how versions are normalized, and why a version is next; equal ones are combined."""
    bumps, scheme = new.decision.bumps, new.observation.config.scheme
    packages_by_note: dict[str, list[str]] = {}
    for bump in bumps:
        source, name = bump.package.source, bump.package.name
        if source.is_in_file and not source.semver:
            note = versioning.normalization_note(source.text, scheme=scheme)
            packages_by_note.setdefault(note or "", []).append(name)
        if options.part != "auto" and options.to is None and bump.before is not None:
            note = versioning.explain(bump.before, requested_bump(options), bump.after, scheme=scheme)
            packages_by_note.setdefault(note or "", []).append(name)
    for text, names in packages_by_note.items():
        if text:
            yield text if len(names) == len(bumps) else f"{', '.join(names)}: {text}"


def _requirement_notes(new: NewBump) -> Iterator[str]:
    """Yield notes on requirements that change, and on those that are not what they could be."""
    observation, updates = new.observation, new.decision.updates
    own_names = observation.config.dependency_updates
    bumps = {bump.package.name: bump for bump in new.decision.bumps}
    packages = [bump.package for bump in bumps.values()]
    yield from unbounded_sibling_warnings(packages, observation.workspace)
    for name, bump in bumps.items():
        if bump.before is None or bump.before.pre is None or not bump.after.is_prerelease:
            continue
        causes = [
            f"{cause.package.name} {cause.after}"
            for dependency, _ in updates.get(name, ())
            if (cause := bumps.get(own_names.get(dependency.name, dependency.name))) is not None
            and not cause.after.is_prerelease
        ]
        if causes:
            fix = fixes.task_command("bump", "--part", "release", "--package", name)
            yield f"{name} {bump.after} is a prerelease that requires {join_names(causes)}; to finish it: {fix}"
    yield from unlisted.outdated_pin_warnings(observation.unlisted, bumps.values())
    lines = dict.fromkeys(
        # in Poetry's syntax, the name is a key of its own
        f"{name}: {f'{need.name} {need.text}' if need.is_poetry_syntax else need.text} becomes {new_text}"
        for name, needs in updates.items()
        for need, new_text in needs
    )
    if len(lines) <= _MAX_LINES:
        yield from lines
    else:
        requirements, names = format_count(len(lines), "requirement"), format_count(len(updates), "package")
        yield f"updating {requirements} of {names}; --dry-run shows them in its diff"


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
    return Table(title=title, columns=("package", "from", "to", "why"), rows=rows)
