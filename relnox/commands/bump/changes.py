"""The changes that a bump makes: contents of files, tags, and the commit message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core

if TYPE_CHECKING:
    from relnox.commands.bump.project_state import Observation
    from relnox.commands.bump.snapshot import Decision, GeneratedFiles
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.planning.changes import NewTag


def edited_contents(
    observation: Observation, decision: Decision, changelogs: GeneratedFiles
) -> dict[str, bytes | None]:
    """Map the path of each file that the bump changes to its new content, or to None if the file is removed.

    Args:
        observation: The state of the project.
        decision: The new versions.
        changelogs: The changelogs that towncrier or git-cliff generated.
    """
    bumps, config = decision.bumps, observation.config
    contents = {**observation.contents, **changelogs.before}
    after: dict[str, bytes | None] = dict(
        core.editing.edited_contents(observation.workspace, bumps, decision.updates, contents, config)
    )
    contents_after = contents | {file: content for file, content in after.items() if content is not None}
    own = [bump for bump in bumps if bump.package.name not in changelogs.changelogs_of]
    files = observation.changelogs
    if config.changelog in ("auto", "keep-a-changelog"):
        tags = {bump.package.name: _tag_and_previous(bump, observation) for bump in own}
        after |= dict(
            core.release_notes.update_changelogs(own, files, contents_after, tags, config, observation.today)
        )
    return after | dict(changelogs.after)


def _tag_and_previous(bump: VersionBump, observation: Observation) -> tuple[str | None, str | None]:
    """Return the tag of the new version, and that of the version that the changelog has last, or None.

    A final release has all changes since the last final one. The tag of that one is in the changelog's link, which
    is used if there is no previous tag.
    """
    tag_format = observation.tag_formats[bump.package.name]
    existing_tags = observation.state.tags if observation.state is not None else {}
    is_listed = bump.before is not None and not bump.before.is_prerelease
    before = tag_format.render(bump.before) if bump.before is not None and is_listed else None
    return tag_format.render(bump.after), before if before in existing_tags else None


def tag_names(observation: Observation, bumps: tuple[VersionBump, ...]) -> dict[str, str]:
    """Return the name of each bumped package's tag, by package."""
    return {bump.package.name: observation.tag_formats[bump.package.name].render(bump.after) for bump in bumps}


def new_tags(observation: Observation, bumps: tuple[VersionBump, ...]) -> tuple[NewTag, ...]:
    """Return the tags of the bumps; a tag that several packages share is listed once."""
    names = tag_names(observation, bumps)
    by_name: dict[str, NewTag] = {}
    for bump in bumps:
        name = names[bump.package.name]
        subject = "Release" if observation.config.versions == "lockstep" else bump.package.name
        by_name.setdefault(name, core.changes.NewTag(name=name, message=f"{subject} {bump.after}"))
    return tuple(by_name.values())


def commit_message(observation: Observation, bumps: tuple[VersionBump, ...], template: str = "") -> str:
    """Return the commit message of the bumps.

    `{packages}` becomes a list of packages with their new versions. `{version}` becomes the new version if all
    packages of the workspace get the same one, and the same list otherwise.

    Args:
        observation: The state of the project.
        bumps: The bumps.
        template: The message with these placeholders; if empty, the setting for release commits is used.
    """
    versions = {bump.after for bump in bumps}
    packages = ", ".join(f"{bump.package.name} {bump.after}" for bump in bumps)
    is_common = len(versions) == 1 and len(bumps) == len(observation.workspace.packages)
    version = str(bumps[0].after) if is_common else packages
    template = template or observation.config.commit_message
    return template.replace("{version}", version).replace("{packages}", packages)
