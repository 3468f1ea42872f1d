"""All tasks and their options, which listings of nox and invoke need without the tasks themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox.core.records import Record
from relnox.core.settings.checklist import ITEM, PROFILES
from relnox.core.settings.options import DOCUMENT, PATH, PATHS, PYTHON_VERSIONS, CommonOptions, option
from relnox.core.settings.schema import ListOf, Number

if TYPE_CHECKING:
    from relnox.core.settings.options import RemoteTags


def _package_option(what: str) -> Any:
    """Return the option `--package`; `what` begins its help text, such as `Build this package only`."""
    return option((), f"{what} (distribution or directory name; repeatable).", metavar="NAME")


DEFAULT_OUTPUT = "dist"
_OUTPUT: dict[str, Any] = {"kind": PATH, "metavar": "DIR", "setting": "build.output"}
"""The one directory of archives: a setting of `build-all`, which other tasks write to and read from as well."""
_DIST = option(DEFAULT_OUTPUT, "The directory with the manifest and its files.", **_OUTPUT)
_FIND_LINKS = option(
    (),
    "Install requirements from the wheels in this directory, if it has them (repeatable).",
    kind=PATHS,
    metavar="DIR",
)
_PYTHON = option(
    (),
    "Verify with this Python, such as 3.12 (repeatable); default: the running one.",
    kind=PYTHON_VERSIONS,
    metavar="VERSION",
    anywhere=True,
)


class OutputOptions(CommonOptions):
    """Options of tasks that can write what was released as variables to a file, for the next jobs of a CI run."""

    outputs: str | None = option(
        None,
        "Write what was released as variables to a file, for GitLab's artifacts:reports:dotenv.",
        kind=DOCUMENT,
        metavar="FILE",
        in_environment=True,
    )


class ReleaseOptions(OutputOptions):
    """Options of tasks that build and publish a release."""

    release_tag: str = option(
        "",
        "The tag to release: its packages only, in its version; by default the tag that the CI job runs for.",
        metavar="TAG",
        in_environment=True,
    )
    expect_version: str = option(
        "",
        "The version that the packages must have, such as the input of the CI run.",
        metavar="VERSION",
        in_environment=True,
    )
    allow_mismatch: bool = option(
        False, "Continue even if tag, version, commit and manifest contradict each other."
    )


class PublishingOptions(ReleaseOptions):
    """Options of `publish` and `publish-test`."""

    remote_tags = "if-none"

    package: tuple[str, ...] = _package_option("Publish this package only")
    dist: str = _DIST
    attestations: str = option(
        "auto",
        "Whether to publish attestations; auto: if the identity of the job uploads and can sign.",
        choices=("auto", "off"),
        metavar="POLICY",
        anywhere=True,
    )


class StatusOptions(CommonOptions):
    """Options of `status`."""

    remote_tags = "if-none"

    package: tuple[str, ...] = _package_option("Show this package only")
    index: tuple[str, ...] = option((), "Show the versions on this index as well (repeatable).", metavar="NAME")
    json: bool = option(False, "Write JSON to standard output instead of a table.")


class CheckOptions(CommonOptions):
    """Options of `check`."""

    remote_tags = "always"

    profile: str | None = option(
        None,
        "Which items to check; default: ci if the variable CI is set, else laptop.",
        choices=PROFILES,
        metavar="NAME",
        in_environment=True,
    )
    only: tuple[str, ...] = option(
        (), "Check this item only, whatever the profile is (repeatable).", kind=ListOf(ITEM), metavar="ITEM"
    )
    skip: tuple[str, ...] = option((), "Skip this item (repeatable).", kind=ListOf(ITEM), metavar="ITEM")
    fix: bool = option(False, "Do what is mechanical: --dry-run shows the edits.")
    package: tuple[str, ...] = _package_option("Check the release of this package only")
    index: str | None = option(
        None,
        "The index of the release; by default the one of [tool.relnox.targets] for its tag, or pypi.",
        metavar="NAME",
    )


class BumpOptions(OutputOptions):
    """Options of `bump`."""

    positional = ("part", "to")

    part: str | None = option(
        None,
        "Part of the version to bump; auto: derived from commits.",
        choices=("major", "minor", "patch", "release", "pre", "phase", "post", "dev", "auto"),
        metavar="PART",
    )
    pre: str | None = option(
        None,
        "Bump to a prerelease of this phase.",
        choices=("alpha", "beta", "rc"),
        metavar="PHASE",
    )
    to: str | None = option(None, "Bump to this version.", metavar="VERSION")
    number: int | None = option(
        None,
        "The number of a development version, for use with --part dev.",
        kind=Number(10**17),
        metavar="N",
    )
    package: tuple[str, ...] = _package_option("Bump this package")
    all: bool = option(False, "Bump every package.")
    always_increment: bool = option(False, "Bump the part even if the current prerelease already leads to it.")
    allow_lower: bool = option(False, "Allow --to to name a lower version.")
    commit: bool = option(False, "Commit the edited files.", anywhere=True)
    tag: bool = option(False, "Tag the release; needs --commit if the bump edits files.", anywhere=True)
    then_dev: bool = option(False, "Commit the next development version after the release.", anywhere=True)
    push: bool = option(
        False, "Push the branch and the tags atomically; for use with --commit or --tag.", anywhere=True
    )
    pull_request: bool = option(False, "Open a pull request with the bump, or update it; nothing is edited here.")
    lock: bool = option(
        False, "Update poetry.lock and pdm.lock with their tools, where requirements change.", anywhere=True
    )
    allow_branch: bool = option(False, "Allow a branch that is not a release branch.")
    allow_dirty: bool = option(False, "Allow uncommitted changes, and imports of modules that are not committed.")
    again: bool = option(False, "Bump once more, although HEAD is a release already.")
    undo: bool = option(False, "Undo the release at HEAD; blocked if any of it is pushed.")

    @property
    def remote_tags(self) -> RemoteTags:  # type: ignore[override]  # it depends on other options
        """When to read the tags of the remote: `always`, `never`, or `if-none`: only if this clone has no tags.

        It is `always` if the bump commits, tags, pushes or opens a pull request.
        """
        if self.commit or self.tag or self.push or self.pull_request:
            return "always"
        return "if-none" if self.part == "auto" else "never"


class AutoTagOptions(OutputOptions):
    """Options of `auto-tag`."""

    remote_tags = "always"

    package: tuple[str, ...] = _package_option("Tag this package only, even if it was never tagged")
    push: bool = option(True, "Push the tags.", anywhere=True)
    check_index: bool = option(
        True, "Check that versions to tag are not on the production index yet.", anywhere=True
    )


class BuildOptions(ReleaseOptions):
    """Options of `build-all`."""

    package: tuple[str, ...] = _package_option("Build this package only")
    output: str = option(DEFAULT_OUTPUT, "The directory for the archives and the manifest.", **_OUTPUT)
    commit: str | None = option(
        None,
        "Build this commit, such as the tag of a release, instead of the current one; nothing is checked out.",
        metavar="REF",
    )
    from_tree: bool = option(False, "Build the working tree, uncommitted changes included, for local tests.")
    clean: bool = option(
        False, "Remove the archives of earlier builds from the output directory first.", anywhere=True
    )
    test: bool = option(False, "Run the configured tests against each built wheel.", anywhere=True)
    python: tuple[str, ...] = option(
        (),
        "Build platform wheels for this Python, and run the tests on it, such as 3.12 (repeatable); default: the "
        "running one.",
        kind=PYTHON_VERSIONS,
        metavar="VERSION",
        anywhere=True,
    )
    reproducible: bool = option(
        False,
        "Build twice, with another path, umask, time zone and file times, and compare byte by byte.",
        anywhere=True,
    )
    strict: bool = option(False, "Treat warnings about the archives as errors.", anywhere=True)
    tagged: bool = option(
        False,
        "Build the packages with a release tag at the commit, such as those that auto-tag tagged.",
        in_environment=True,
    )
    expect_commit: str = option(
        "",
        "The full id of the commit that must be checked out, such as the input of the CI run.",
        metavar="COMMIT",
        in_environment=True,
    )
    continue_on_error: bool = option(
        False, "After a failure, build the packages that do not need the failed one.", anywhere=True
    )


class CollectOptions(ReleaseOptions):
    """Options of `collect`."""

    from_: tuple[str, ...] = option(
        (),
        "A job's directory, or a directory of jobs' directories (repeatable).",
        kind=PATHS,
        metavar="DIR",
    )
    package: tuple[str, ...] = _package_option("Collect this package only")
    output: str = option(DEFAULT_OUTPUT, "The directory for the archives and the manifest.", **_OUTPUT)
    partial: bool = option(False, "Collect what exists although files are missing.")
    allow_dirty: bool = option(False, "Accept files that were all built with uncommitted changes.")


class PublishTestOptions(PublishingOptions):
    """Options of `publish-test`."""

    index: str = option("testpypi", "The index to publish to.", metavar="NAME")
    verify: bool = option(True, "Install from the index afterwards.", anywhere=True)
    clear: bool = option(False, "Empty the embedded index first.")


class PublishOptions(PublishingOptions):
    """Options of `publish`."""

    index: str | None = option(
        None,
        "The index to publish to; by default the one of [tool.relnox.targets] for the release's tag, or pypi.",
        metavar="NAME",
    )
    allow_branch: bool = option(
        False,
        "Publish a commit that neither the release branch of the remote nor a release tag has.",
    )
    allow_dev: bool = option(False, "Allow development versions on a production index.")
    yes: bool = option(False, "Publish without confirmation.")
    manifest: str | None = option(
        None,
        "Publish the files of this manifest, outside of a checkout: it has the settings; no hooks run.",
        kind=PATH,
        metavar="FILE",
    )
    manifest_sha256: str | None = option(
        None, "The SHA-256 that the manifest must have, as handed over by the job that built it.", metavar="HASH"
    )


class VerifyOptions(CommonOptions):
    """Options of `verify-install`."""

    index: str = option("pypi", "The index that the packages were published to.", metavar="NAME")
    from_: str = option(
        "index",
        "What to verify: the files on the index, or those in --dist.",
        choices=("index", "dist"),
        metavar="WHAT",
        in_environment=True,
    )
    public: bool = option(
        False,
        "Verify what is public now, without a manifest: the newest final release of each package, or of --package "
        "NAME, which may be that of any project; NAME==VERSION for that version.",
    )
    package: tuple[str, ...] = _package_option("Verify this package only")
    python: tuple[str, ...] = _PYTHON
    dist: str = _DIST
    find_links: tuple[str, ...] = _FIND_LINKS
    show_files: bool = option(
        False,
        "Show the files in each archive of --dist, and what changes since the last release on --index.",
        in_environment=True,
    )
    wait: int | None = option(
        None,
        "How long to wait for the index to list everything, in seconds; by default 600, or 30 for packages that "
        "it does not list if none of the release was uploaded in the last hour.",
        kind=Number(),
        metavar="SECONDS",
        anywhere=True,
    )


class ForgeReleaseOptions(ReleaseOptions):
    """Options of `forge-release`."""

    remote_tags = "always"

    package: tuple[str, ...] = _package_option("Make the release of this package only")
    dist: str = _DIST
    index: str | None = option(
        None,
        "The index that must have the files; by default the one that they are published to.",
        metavar="NAME",
    )
    notes: str = option(
        "changelog",
        "What the notes are: the changelog's section, the commits since the last release, or what the forge "
        "generates.",
        choices=("changelog", "commits", "generated"),
        metavar="SOURCE",
        anywhere=True,
    )
    assets: str = option(
        "checksums",
        "The files to attach: checksums and manifest, sdists and wheels as well, or none.",
        choices=("checksums", "all", "none"),
        metavar="FILES",
        anywhere=True,
    )
    draft: bool = option(False, "Leave the release a draft, for a person to publish.", anywhere=True)


RELEASE_STAGES = (
    *("check", "bump", "build-all", "verify-dist", "publish-test", "verify-test"),
    *("gate", "push", "publish", "verify", "forge-release"),
)
"""The names of the stages of `release`, in order."""


class ReleaseChainOptions(OutputOptions):
    """Options of `release`."""

    positional = ("part", "to")
    remote_tags = "always"

    part: str | None = BumpOptions.part
    pre: str | None = BumpOptions.pre
    to: str | None = BumpOptions.to
    package: tuple[str, ...] = _package_option("Release this package only")
    until: str | None = option(None, "Stop after this stage.", choices=RELEASE_STAGES, metavar="STAGE")
    index: str | None = PublishOptions.index
    test_index: str | None = option(
        None,
        "The index to publish to first, or none; by default testpypi for a release to pypi, and none otherwise.",
        metavar="NAME",
        anywhere=True,
    )
    forge_release: bool = option(
        True,
        "Make the release on GitHub or GitLab as well, if there is a token.",
        anywhere=True,
    )
    dist: str = _DIST
    yes: bool = option(False, "Push and publish without confirmation.")


class RehearseOptions(CommonOptions):
    """Options of `rehearse`."""

    positional = ("part", "to")

    part: str | None = BumpOptions.part
    pre: str | None = BumpOptions.pre
    to: str | None = BumpOptions.to
    package: tuple[str, ...] = _package_option("Rehearse the release of this package only")
    find_links: tuple[str, ...] = _FIND_LINKS
    python: tuple[str, ...] = _PYTHON


class CiOptions(OutputOptions):
    """Options of `ci`."""

    remote_tags = "if-none"

    check: bool = option(False, "Check that the files do what relnox would write, and write nothing.")
    lint: bool = option(False, "Check how present workflows release, and write nothing.")
    publishers: bool = option(False, "List what to register with each index for Trusted Publishing.")
    matrix: str | None = option(
        None,
        "Write a matrix of jobs to standard output, as JSON, for what is released at HEAD or else has changed; it "
        "is also the output matrix of the job.",
        choices=("wheels", "packages", "verify"),
        metavar="KIND",
    )
    prefer: str | None = option(
        None,
        "Where an edit of a file and relnox change the same lines, keep one of them.",
        choices=("edits", "generated"),
        metavar="WHAT",
    )

    @property
    def json(self) -> bool:
        """Whether standard output gets JSON only, which is so with `--matrix`."""
        return self.matrix is not None


class InitOptions(CommonOptions):
    """Options of `init`."""

    remote_tags = "if-none"

    nox: bool = option(True, "Write noxfile.py.", anywhere=True)
    invoke: bool = option(True, "Write tasks.py.", anywhere=True)
    update: bool = option(False, "Add proposed settings to an existing [tool.relnox].")


class Task(Record):
    """A task that users run.

    Attributes:
        summary: What the task does, in at most 60 characters, for lists of tasks.
        table: The table in `[tool.relnox]` that sets defaults of options; empty if there is none.
        alias: A second import name, or empty.
        sends: Whether the task pushes or uploads something by default. For a misspelled name, such a task is never
            suggested.
    """

    name: str
    summary: str
    options: type[CommonOptions]
    table: str = ""
    alias: str = ""
    sends: bool = False

    @property
    def import_name(self) -> str:
        """The import name in `relnox.sessions` and `relnox.tasks`, and of the module in `relnox.commands`."""
        return self.name.replace("-", "_")

    @property
    def import_names(self) -> tuple[str, ...]:
        """The import name of the task and, if it has one, its alias."""
        return (self.import_name, self.alias) if self.alias else (self.import_name,)


TASKS = {
    task.name: task
    for task in (
        Task("status", "List packages, versions, last tags and changes", StatusOptions, "status"),
        Task("check", "Check everything a release needs, as a list", CheckOptions, "check"),
        Task("bump", "Set new versions; commit, tag, push", BumpOptions, "bump", alias="version_bump"),
        Task("auto-tag", "Tag packages whose version changed, push the tags", AutoTagOptions, "tag", sends=True),
        Task("build-all", "Build and check every package from the last commit", BuildOptions, "build"),
        Task("collect", "Merge the files of many build jobs into one directory", CollectOptions, "collect"),
        Task(
            "publish-test",
            "Publish to a test index, install from there",
            PublishTestOptions,
            "publish",
            alias="testpypi",
            sends=True,
        ),
        Task("publish", "Publish the built files to PyPI or another index", PublishOptions, "publish", sends=True),
        Task("verify-install", "Install the published files, and check them", VerifyOptions, "verify"),
        Task(
            "forge-release",
            "Publish the release of a tag on GitHub or GitLab",
            ForgeReleaseOptions,
            "forge-release",
            sends=True,
        ),
        Task("release", "Bump, build, verify, ask, publish", ReleaseChainOptions, "release", sends=True),
        Task("rehearse", "Release a throw-away clone to a local index", RehearseOptions, "rehearse"),
        Task("ci", "Write the workflow files of CI", CiOptions),
    )
}
"""All tasks by name, in the order of a release."""

COMMANDS = {**TASKS, "init": Task("init", "Write noxfile, tasks file and settings", InitOptions)}
"""All tasks, and the commands that exist only as `relnox NAME`."""
