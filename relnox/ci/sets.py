"""The workflows that a project gets: which jobs, in which order, with what permissions.

The rules of all sets: a job that runs code of the project has no credentials and no permission but to read; a job
with credentials runs nothing of the project (`Job.runs_project_code`). Files go from one to the other with the
hash of their manifest.
"""

from __future__ import annotations

from typing import Literal

from relnox.ci.model import (
    ByHand,
    Command,
    Input,
    InputField,
    Job,
    OnPublishedRelease,
    OnTag,
    Output,
    Permission,
    Secret,
    Trigger,
    Workflow,
)
from relnox.core.records import Record

PRODUCTION = "pypi"
GATE = "release-gate"
"""The environment whose reviewers approve what becomes public."""
RELEASE_FILE = "release"
"""The name of the workflow file that publishes: publishers are registered with it, so that it does not change."""

_READ = Permission("contents", "read", "to check out the commit")
_LOCKED = Permission("contents", "read", "to read the locked requirements")
_DRY_RUN = Input("dry-run")


class ProjectFacts(Record, kw_only=True):
    """What the sets depend on: facts of the project, and the settings `[tool.relnox.ci]`.

    Attributes:
        tag_patterns: Globs for the tags of releases, such as `v*`.
        indexes: The names of the indexes that a run by hand may publish to, the default one first.
        token_variables: Maps each index that takes a token to the name of the secret with it; others trust the
            identity of the job (Trusted Publishing).
        publish_with: Whether `relnox` alone runs in the job that publishes, or the project's nox session.
        trigger: What starts a release.
    """

    tag_patterns: tuple[str, ...]
    indexes: tuple[str, ...]
    token_variables: dict[str, str]
    publish_with: Literal["relnox", "nox"] = "relnox"
    trigger: Literal["tag", "release", "merge"] = "tag"


def workflows(facts: ProjectFacts) -> tuple[Workflow, ...]:
    """Return the workflows of a project."""
    return (_single_package(facts),)


def _single_package(facts: ProjectFacts) -> Workflow:
    """Return the workflow that releases the package of a tag."""
    by_hand = ByHand(
        (
            InputField(name="index", help="Where to publish", choices=facts.indexes),
            InputField(name="commit", help="The full id of the tagged commit to release"),
            InputField(name="dry-run", help="Build and check only", is_switch=True),
        )
    )
    start: Trigger = OnPublishedRelease() if facts.trigger == "release" else OnTag(facts.tag_patterns)
    what = "A published release page" if facts.trigger == "release" else "A pushed tag"
    return Workflow(
        key=RELEASE_FILE,
        name="Release",
        about=(f"{what} is built, checked, approved and published. Rerun a failed job: it continues.",),
        triggers=(start, by_hand),
        jobs=(_build(), _gate(), _publish(facts), _verify()),
        queue="release",
    )


def _build() -> Job:
    return Job(
        key="build",
        name="Build, check and install",
        command=Command(
            tasks=("build-all", "verify-install"),
            variables={"RELNOX_EXPECT_COMMIT": Input("commit"), "RELNOX_FROM": "dist"},
        ),
        checkout="history",
        permissions=(_READ,),
        keeps="dist",
        outputs=("manifest-sha256",),
    )


def _gate() -> Job:
    return Job(
        key="gate",
        name="Wait for approval",
        about=f"fails if the environment {GATE} has no reviewers",
        command=None,
        checkout="none",
        needs=("build",),
        unless=_DRY_RUN,
        permissions=(Permission("actions", "read", "to read the rules of the environment"),),
        environment=GATE,
        minutes=5,
    )


def _publish(facts: ProjectFacts) -> Job:
    """Return the job that uploads: no code of the project runs in it, unless the project's settings say so."""
    variables = {name: Secret(name) for name in facts.token_variables.values()}
    identity = Permission("id-token", "write", "to publish as this workflow (Trusted Publishing)")
    trusts_identity = not facts.token_variables.keys() >= set(facts.indexes)
    manifest = () if facts.publish_with == "nox" else ("--manifest", "dist/manifest.json")
    words = (*manifest, "--manifest-sha256", "$MANIFEST_SHA256", "--index", "$INDEX", "--yes")
    return Job(
        key="publish",
        name="Publish",
        about="runs no code of the project: relnox publishes what the manifest lists",
        command=Command(
            tasks=("publish",),
            words=words,
            variables={
                "MANIFEST_SHA256": Output("build", "manifest-sha256"),
                "INDEX": Input("index"),
                **variables,
            },
        ),
        runs_project_code=facts.publish_with == "nox",
        checkout="history" if facts.publish_with == "nox" else "none",
        needs=("build", "gate"),
        permissions=(_LOCKED, *((identity,) if trusts_identity else ())),
        environment=Input("index"),
        takes=("dist",),
        minutes=60,
    )


def _verify() -> Job:
    return Job(
        key="verify",
        name="Install from the index",
        command=Command(
            tasks=("verify-install",), words=("--index", "$INDEX"), variables={"INDEX": Input("index")}
        ),
        needs=("build", "publish"),
        permissions=(_READ,),
        takes=("dist",),
    )
