"""The release checklist: its items, which `check` decides, and the manual ones of a project.

The function that decides an item, such as `check_tags`, is in the module of its topic in `relnox.commands.check`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from relnox.core.records import Record, replace
from relnox.core.settings import rules
from relnox.core.settings.schema import Settings, Text, required_setting, setting
from relnox.core.text import escape_markdown

Profile = Literal["laptop", "ci", "before-publish"]
"""When the checklist runs: while working, in a job for each change, or right before publishing."""
PROFILES: tuple[Profile, ...] = get_args(Profile)
_LAPTOP_AND_RELEASE: tuple[Profile, ...] = ("laptop", "before-publish")
_RELEASE: tuple[Profile, ...] = ("before-publish",)

Severity = Literal["error", "warning", "off"]


class ChecklistItem(Record):
    """An item of the release checklist that the task `check` decides, the same for all projects.

    Attributes:
        name: Its name on the command line and in the settings.
        title: The condition that must hold.
        why: Why it matters, in one sentence.
        severity: What a problem of it is, unless the settings say otherwise.
        profiles: The occasions on which it is checked, such as `before-publish`.
        fix: What `--fix` does, or empty if it does nothing.
        topic: The name of the module in `relnox.commands.check` that decides it.
    """

    name: str
    title: str
    why: str
    severity: Severity = "error"
    profiles: tuple[Profile, ...] = PROFILES
    fix: str = ""
    topic: str = ""

    @property
    def function_name(self) -> str:
        """The name of the function that decides it, such as `check_tags`, in the module `topic`."""
        return f"check_{self.name.replace('-', '_')}"


ITEMS = {
    item.name: replace(item, topic=topic)
    for topic, items in {
        "checkout": (
            ChecklistItem(
                "git-clean",
                "everything is committed, and git is in the middle of nothing",
                "archives are built from the last commit, so what is not committed is not released",
            ),
            ChecklistItem(
                "git-branch",
                "HEAD is on a release branch that the remote has and that has no newer commits there",
                "a release from a commit that the remote lacks cannot be found or built again by others",
                profiles=_LAPTOP_AND_RELEASE,
            ),
            ChecklistItem(
                "git-history",
                "the clone has its history and its tags",
                "without tags, changes since the last release and versions in use are not seen",
                severity="warning",
            ),
            ChecklistItem(
                "tests-pass",
                "the tests pass",
                "a release with a known failure is replaced by another one, and the first stays public",
                profiles=_LAPTOP_AND_RELEASE,
            ),
        ),
        "version": (
            ChecklistItem(
                "version-new",
                "the version was never released from another commit",
                "an index takes each file name once, and a tag that moves breaks the clones of others",
                profiles=_LAPTOP_AND_RELEASE,
            ),
            ChecklistItem(
                "version-everywhere",
                "the version is the same in every file that has it",
                "users report the version that the package prints, which must be the one they installed",
            ),
            ChecklistItem(
                "packages-listed",
                "every pyproject.toml of the repository belongs to the project or is excluded",
                "a package that no setting names is neither bumped nor released with the others",
                severity="warning",
            ),
            ChecklistItem(
                "tags",
                "tags of the version are the same here and on the remote; before publishing, there is one",
                "a CI job releases what the tag of the remote points to",
                profiles=_LAPTOP_AND_RELEASE,
            ),
            ChecklistItem(
                "changelog",
                "the changelog has an entry for the version, or unreleased changes that become one",
                "users read there whether they can upgrade",
            ),
        ),
        "metadata": (
            ChecklistItem(
                "metadata",
                "description, authors, license, URLs, keywords, classifiers and requires-python are set",
                "the page on the index shows them, and installers choose versions by requires-python",
                severity="warning",
            ),
            ChecklistItem(
                "readme",
                "the readme is there and can be rendered",
                "it is the page of the project on the index, and cannot be changed for a version once public",
            ),
            ChecklistItem(
                "license",
                "there is a license file",
                "without a license text in the archives others may not redistribute the package",
                severity="warning",
            ),
            ChecklistItem(
                "public-requirements",
                "versions and requirements are such as the index accepts: no URLs, no local versions",
                "the index rejects the upload, after the tag is already public",
            ),
            ChecklistItem(
                "siblings-bounded",
                "requirements on packages of this repository have a version",
                "an installer may combine the new package with an old one that does not fit",
                severity="warning",
            ),
            ChecklistItem(
                "siblings-satisfied",
                "requirements on packages of this repository allow their versions",
                "packages of one release that exclude each other cannot be installed together",
            ),
            ChecklistItem(
                "siblings-released",
                "packages of this repository that a release needs have no unreleased changes",
                "what works in the checkout fails for users if it needs a change that no release has",
                severity="warning",
            ),
        ),
        "index": (
            ChecklistItem(
                "index-name",
                "the name is free on the index, or the project there is yours",
                "an upload to the project of another account is rejected, after the tag is already public",
                severity="warning",
            ),
            ChecklistItem(
                "index-status",
                "the project on the index is neither archived nor in quarantine (PEP 792)",
                "the index accepts no files for such a project",
            ),
            ChecklistItem(
                "index-storage",
                "the files of the release fit into the storage limit of the project",
                "an upload that exceeds the limit leaves half of a release public",
            ),
            ChecklistItem(
                "release-diff",
                "the archives change no more since the last release than `[tool.relnox.diff]` allows",
                "what a wheel installs beside its own package by mistake breaks others, and stays public",
                profiles=_RELEASE,
            ),
            ChecklistItem(
                "test-index",
                "the archives of this commit are on the test index",
                "only what was installed from an index is known to install from one",
                severity="warning",
                profiles=_RELEASE,
            ),
            ChecklistItem(
                "credentials",
                "there are credentials for the index, or an identity of the CI job",
                "otherwise the first upload fails, when everything else is done",
                profiles=_RELEASE,
            ),
            ChecklistItem(
                "index-rules",
                "relnox's copy of the rules of the public index is not old",
                "an index that changed its rules may reject what the checks of archives accept",
                severity="warning",
            ),
        ),
        "files": (
            ChecklistItem(
                "secrets",
                "git tracks no .pypirc, .env, key or token",
                "a secret in a repository is public from the first push on, whatever is deleted later",
                fix="removes the files from git's index, not from the disk, and adds them to .gitignore",
            ),
            ChecklistItem(
                "lock-files",
                "uv.lock, poetry.lock and pdm.lock are those of their pyproject.toml",
                "CI jobs that install from a stale lock file fail, or test other versions than those required",
                fix="runs `uv lock`, `poetry lock` or `pdm lock`",
            ),
            ChecklistItem(
                "noxfile-imports",
                "linters do not remove the imports of relnox from noxfile.py and tasks.py",
                "`ruff check --fix` deletes imports that look unused, and the sessions are gone",
                fix="adds `# ruff: noqa: F401`",
            ),
        ),
        "forge": (
            ChecklistItem(
                "ci-green",
                "CI of this commit is green",
                "what fails for others on some platform fails there after the release as well",
                profiles=_LAPTOP_AND_RELEASE,
            ),
            ChecklistItem(
                "environments",
                "the environment that publishes has reviewers, who cannot approve their own runs",
                "otherwise everybody who can start a workflow can publish alone",
                severity="warning",
            ),
        ),
    }.items()
    for item in items
}
"""All items by name, in the order in which they are reported."""


ITEM = Text(choices=tuple(ITEMS))
"""The kind of a string that is the name of an item."""


class ManualItem(Settings):
    """An item that a person checks: listed by `check`, in release pull requests and in drafts of release pages."""

    title: str = required_setting("What to do, in a few words.")
    link: str = setting("", "The address of a page about it.", rule=rules.web_address_problem)
    when: Literal["before", "after"] = setting(
        "before", "Whether it is to be done before or after publishing.", choices=("before", "after")
    )


def task_list(items: Sequence[ManualItem], when: Literal["before", "after"] | None = None) -> str:
    """Return manual items as a Markdown task list (`- [ ] …`); empty if there are none.

    `when` selects those to be done before or after publishing; None for all. Titles are escaped: they contain no
    markup, mention no person and refer to no issue.
    """
    lines = []
    for item in items:
        if when in (None, item.when):
            title = escape_markdown(item.title)
            text = f"[{title}]({item.link})" if item.link else title
            lines.append(f"- [ ] {text}{' (after publishing)' if item.when == 'after' and when is None else ''}")
    return "\n".join(lines)
