"""What blocks the release of a tag on the forge, for the task itself and for those that run before it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relnox import forges
from relnox.core.fixes import task_command
from relnox.core.release import release_page
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.core.text import join_names
from relnox.errors import Blocked, Conflict, Problem
from relnox.forges.api import Forge, ReleasePage
from relnox.project import Project
from relnox.source.git import remotes
from relnox.steps.forge_release import choose_release


def forge_release_problems(
    project: Project, tags: Mapping[str, str | None], *, assets: str | None = None, draft: bool | None = None
) -> Iterator[Problem]:
    """Yield problems that prevent releases of tags on GitHub or GitLab, before anything is uploaded.

    `tags` maps each tag, at least one, to the commit that it must have on the remote, or to None if a later step
    pushes it. `assets` and `draft` are options of `forge-release`; without them, those of its settings are used.
    Errors of reading the forge are yielded as well. The forge does not tell whether a tag was used by an immutable
    release that was deleted.
    """
    options = project.config.forge_release.options
    assets = assets or str(options.get("assets", "checksums"))
    draft = bool(options.get("draft", False)) if draft is None else draft
    yield from _remote_tag_problems(project, tags)
    try:
        forge = forge_of(project)
        forge.require_token()
        project.remote.require_refs("the release of a tag")
        commit = next(filter(None, tags.values()), next(iter(project.remote.branches.values()), "HEAD"))
        project.once(forge.check_release_permission, next(iter(tags)), commit)
        pages = {tag: project.once(forge.releases, tag) for tag in tags}
    except Problem as error:
        yield error
        return
    if draft and not forge.has_drafts:
        yield Blocked(
            "setting-invalid",
            f"draft = true is not possible ({forge.name} has no draft releases)",
            "remove --draft; or [tool.relnox.forge-release] draft = false",
        )
    for tag, existing in pages.items():
        yield from _existing_release_problems(forge, tag, existing, assets, project)


def forge_of(project: Project) -> Forge:
    """Return the forge (GitHub or GitLab) that hosts the project's remote.

    Raises:
        Blocked: The remote is on no such forge, or the project has no commit.
    """
    git, _, _ = project.require_commit()
    return project.once(forges.forge_of, project.once(remotes.read_remote_url, git, project.config.remote))


def _remote_tag_problems(project: Project, tags: Mapping[str, str | None]) -> Iterator[Problem]:
    """Yield a problem for tags that the remote lacks, and one for each that it has on another commit.

    A forge would make a missing tag from any commit, or not at all. Tags without a commit (None) are not checked.
    """
    remote = project.config.remote
    missing = [tag for tag, commit in tags.items() if commit and tag not in project.remote.tags]
    if missing and project.remote.refs is not None:
        yield Blocked(
            "release-not-tagged",
            f"{remote} does not have {'tag' if len(missing) == 1 else 'tags'} {join_names(missing)}",
            f"git push {remote} {' '.join(f'refs/tags/{tag}' for tag in missing)}",
        )
    for tag, commit in tags.items():
        if commit and (there := project.remote.tags.get(tag, commit)) != commit:
            yield Conflict(
                "tag-exists",
                f"tag {tag} is on {there[:10]} on {remote}, but the files were built from {commit[:10]}",
                f"release a higher version: {task_command('bump', '--part', 'patch', '--commit', '--tag')}",
            )


def _existing_release_problems(
    forge: Forge, tag: str, pages: tuple[ReleasePage, ...], assets: str, project: Project
) -> Iterator[Problem]:
    """Yield a problem if the forge has a draft of a tag that relnox did not make, or an immutable release.

    An immutable release is a problem only if it lacks the checksums or the manifest, which cannot be added.
    `pages` are the releases of the tag. If `assets` is `none`, a release needs no files.
    """
    page = choose_release(pages, tag)
    if page is None and pages:
        yield Blocked(
            "forge-release-exists",
            f"{forge.name} has a draft release of {tag} that relnox did not make ({pages[0].url})",
            f"publish that draft on its page, then rerun the command: {pages[0].url}",
        )
    if page is None or not page.is_immutable or assets == "none":
        return
    if not {release_page.CHECKSUMS, MANIFEST_JSON} <= project.once(forge.files, page, "", "").keys():
        yield Conflict(
            "forge-release-immutable",
            f'assets = "{assets}", but release {tag} takes no files (it is public and immutable: {page.url})',
            'for installation instructions only: [tool.relnox.forge-release] assets = "none"; or release a higher '
            "version",
        )
