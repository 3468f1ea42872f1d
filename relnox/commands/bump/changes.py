"""The changes that a bump makes: contents of files, tags, and the commit message."""

from __future__ import annotations

from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import Decision, GeneratedFiles
from relnox.core.bump import editing, release_notes, trailers
from relnox.core.bump.trailers import DEVELOPMENT, RELEASE
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
        editing.edited_contents(observation.workspace, bumps, decision.updates, contents, config)
    )
    contents_after = contents | {file: content for file, content in after.items() if content is not None}
    own = [bump for bump in bumps if bump.package.name not in changelogs.changelogs_of]
    files = observation.changelogs
    if config.changelog in ("auto", "keep-a-changelog"):
        tags = {bump.package.name: _tag_and_previous(bump, observation) for bump in own}
        after |= dict(release_notes.update_changelogs(own, files, contents_after, tags, config, observation.today))
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
    bumps_of_tag: dict[str, list[VersionBump]] = {}
    for bump in bumps:
        bumps_of_tag.setdefault(names[bump.package.name], []).append(bump)
    tags = []
    for name, own in bumps_of_tag.items():
        subject = "Release" if observation.config.versions == "lockstep" else own[0].package.name
        message = trailers.add_trailers(f"{subject} {own[0].after}", RELEASE, own)
        tags.append(NewTag(name=name, message=message))
    return tuple(tags)


def commit_message(
    observation: Observation, bumps: tuple[VersionBump, ...], *, is_development: bool = False
) -> str:
    """Return the commit message of the bumps, with the trailers that say what is released.

    In the setting, `{packages}` becomes a list of packages with their new versions. `{version}` becomes the new
    version if all packages of the workspace get the same one, and the same list otherwise.
    """
    versions = {bump.after for bump in bumps}
    packages = ", ".join(f"{bump.package.name} {bump.after}" for bump in bumps)
    is_common = len(versions) == 1 and len(bumps) == len(observation.workspace.packages)
    version = str(bumps[0].after) if is_common else packages
    template = "Start development of {version}" if is_development else observation.config.commit_message
    message = template.replace("{version}", version).replace("{packages}", packages)
    key = DEVELOPMENT if is_development else RELEASE
    return trailers.add_trailers(message, key, bumps)
