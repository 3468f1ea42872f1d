"""The release checklist: its items, which `check` decides, and the manual ones of a project.

The function that decides an item has its name, in the module of its topic in `relnox.commands.check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.schema import Settings, Text, required, setting
from relnox.core.text import escape_markdown

Profile = Literal["laptop", "ci", "before-publish"]
"""When the checklist runs: while working, in a job for each change, or right before publishing."""
PROFILES: tuple[Profile, ...] = get_args(Profile)
_LAPTOP_AND_RELEASE: tuple[Profile, ...] = ("laptop", "before-publish")
_RELEASE: tuple[Profile, ...] = ("before-publish",)

Severity = Literal["error", "warning", "off"]


class Item(Record, kw_only=True):
    """An item of the checklist.

    Attributes:
        name: Its name on the command line and in the settings.
        topic: The module that decides it.
        title: What must be so.
        why: Why it matters, in one sentence.
        severity: What a problem of it is, unless the settings say otherwise.
        profiles: The profiles that it is part of.
        fix: What `--fix` does, or empty.
    """

    name: str
    topic: str
    title: str
    why: str
    severity: Severity = "error"
    profiles: tuple[Profile, ...] = PROFILES
    fix: str = ""

    @property
    def function(self) -> str:
        """The name of the function that decides it."""
        return self.name.replace("-", "_")


ITEMS = {
    item.name: item
    for item in (
        # the checkout
        Item(
            name="git-clean",
            topic="checkout",
            title="everything is committed, and git is in the middle of nothing",
            why="archives are built from the last commit, so what is not committed is not released",
        ),
        Item(
            name="git-branch",
            topic="checkout",
            title="HEAD is on a release branch that the remote has and that has no newer commits there",
            why="a release from a commit that the remote lacks cannot be found or built again by others",
            profiles=_LAPTOP_AND_RELEASE,
        ),
        Item(
            name="git-history",
            topic="checkout",
            title="the clone has its history and its tags",
            why="without tags, changes since the last release and versions in use are not seen",
            severity="warning",
        ),
        Item(
            name="tests-pass",
            topic="checkout",
            title="the tests pass",
            why="a release with a known failure is replaced by another one, and the first stays public",
            profiles=_LAPTOP_AND_RELEASE,
        ),
        # the version
        Item(
            name="version-new",
            topic="version",
            title="the version was never released from another commit",
            why="an index takes each file name once, and a tag that moves breaks the clones of others",
            profiles=_LAPTOP_AND_RELEASE,
        ),
        Item(
            name="version-everywhere",
            topic="version",
            title="the version is the same in every file that has it",
            why="users report the version that the package prints, which must be the one they installed",
        ),
        Item(
            name="packages-listed",
            topic="version",
            title="every pyproject.toml of the repository belongs to the project or is excluded",
            why="a package that no setting names is neither bumped nor released with the others",
            severity="warning",
        ),
        Item(
            name="tags",
            topic="version",
            title="tags of the version are the same here and on the remote; before publishing, there is one",
            why="a CI job releases what the tag of the remote points to",
            profiles=_LAPTOP_AND_RELEASE,
        ),
        Item(
            name="changelog",
            topic="version",
            title="the changelog has an entry for the version, or unreleased changes that become one",
            why="users read there whether they can upgrade",
        ),
        # the metadata
        Item(
            name="metadata",
            topic="metadata",
            title="description, authors, license, URLs, keywords, classifiers and requires-python are set",
            why="the page on the index shows them, and installers choose versions by requires-python",
            severity="warning",
        ),
        Item(
            name="readme",
            topic="metadata",
            title="the readme is there and can be rendered",
            why="it is the page of the project on the index, and cannot be changed for a version once public",
        ),
        Item(
            name="license",
            topic="metadata",
            title="there is a license file",
            why="without a license text in the archives others may not redistribute the package",
            severity="warning",
        ),
        Item(
            name="public-requirements",
            topic="metadata",
            title="versions and requirements are such as the index accepts: no URLs, no local versions",
            why="the index rejects the upload, after the tag is already public",
        ),
        Item(
            name="siblings-bounded",
            topic="metadata",
            title="requirements on packages of this repository have a version",
            why="an installer may combine the new package with an old one that does not fit",
            severity="warning",
        ),
        Item(
            name="siblings-satisfied",
            topic="metadata",
            title="requirements on packages of this repository allow their versions",
            why="packages of one release that exclude each other cannot be installed together",
        ),
        Item(
            name="siblings-released",
            topic="metadata",
            title="packages of this repository that a release needs have no unreleased changes",
            why="what works in the checkout fails for users if it needs a change that no release has",
            severity="warning",
        ),
        # the index
        Item(
            name="index-name",
            topic="index",
            title="the name is free on the index, or the project there is yours",
            why="an upload to the project of another account is rejected, after the tag is already public",
            severity="warning",
        ),
        Item(
            name="index-status",
            topic="index",
            title="the project on the index is neither archived nor in quarantine (PEP 792)",
            why="the index accepts no files for such a project",
        ),
        Item(
            name="index-storage",
            topic="index",
            title="the files of the release fit into the storage limit of the project",
            why="an upload that exceeds the limit leaves half of a release public",
        ),
        Item(
            name="release-diff",
            topic="index",
            title="the archives change no more since the last release than `[tool.relnox.diff]` allows",
            why="what a wheel installs beside its own package by mistake breaks others, and stays public",
            profiles=_RELEASE,
        ),
        Item(
            name="test-index",
            topic="index",
            title="the archives of this commit are on the test index",
            why="only what was installed from an index is known to install from one",
            severity="warning",
            profiles=_RELEASE,
        ),
        Item(
            name="credentials",
            topic="index",
            title="there are credentials for the index, or an identity of the CI job",
            why="otherwise the first upload fails, when everything else is done",
            profiles=_RELEASE,
        ),
        Item(
            name="index-rules",
            topic="index",
            title="relnox's copy of the rules of the public index is not old",
            why="an index that changed its rules may reject what the checks of archives accept",
            severity="warning",
        ),
        # the files of the repository
        Item(
            name="secrets",
            topic="files",
            title="git tracks no .pypirc, .env, key or token",
            why="a secret in a repository is public from the first push on, whatever is deleted later",
            fix="removes the files from git's index, not from the disk, and adds them to .gitignore",
        ),
        Item(
            name="lock-files",
            topic="files",
            title="uv.lock, poetry.lock and pdm.lock are those of their pyproject.toml",
            why="CI jobs that install from a stale lock file fail, or test other versions than those required",
            fix="runs `uv lock`, `poetry lock` or `pdm lock`",
        ),
        Item(
            name="noxfile-imports",
            topic="files",
            title="linters do not remove the imports of relnox from noxfile.py and tasks.py",
            why="`ruff check --fix` deletes imports that look unused, and the sessions are gone",
            fix="adds `# noqa: F401`",
        ),
        # the forge
        Item(
            name="ci-green",
            topic="forge",
            title="CI of this commit is green",
            why="what fails for others on some platform fails there after the release as well",
            profiles=_LAPTOP_AND_RELEASE,
        ),
        Item(
            name="environments",
            topic="forge",
            title="the environment that publishes has reviewers, who cannot approve their own runs",
            why="otherwise everybody who can start a workflow can publish alone",
            severity="warning",
        ),
    )
}
"""All items by name, in the order in which they are reported."""


ITEM = Text(choices=tuple(ITEMS))
"""The kind of a string that is the name of an item."""


class ManualItem(Settings):
    """An item that a person checks: listed by `check`, in release pull requests and in drafts of release pages."""

    title: str = required("What to do, in a few words.")
    link: str = setting("", "The address of a page about it.", rule=rules.web_address)
    when: Literal["before", "after"] = setting(
        "before", "Whether it is to be done before or after publishing.", choices=("before", "after")
    )


def task_list(items: Sequence[ManualItem], when: Literal["before", "after"] | None = None) -> str:
    """Return manual items as a Markdown task list, all or those for one time; empty if there are none.

    Titles are text: they contain no markup, mention no person and refer to no issue.
    """
    lines = []
    for item in items:
        if when in (None, item.when):
            title = escape_markdown(item.title)
            text = f"[{title}]({item.link})" if item.link else title
            lines.append(f"- [ ] {text}{' (after publishing)' if item.when == 'after' and when is None else ''}")
    return "\n".join(lines)
