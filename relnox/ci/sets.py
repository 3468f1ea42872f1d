"""The workflows that a project gets: which jobs, in which order, with what permissions.

The rules of all sets: a job that runs code of the project has no credentials and no permission but to read; a job
with credentials runs nothing of the project (`Job.runs_project_code`). Files go from one to the other with the
hash of their manifest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from relnox.ci import model
from relnox.core.records import Record, replace

GATE = "release-gate"
"""The environment whose reviewers approve what becomes public."""
RELEASE = "release"
"""The name of the workflow that publishes: publishers are registered with its file, so that it does not change."""

_NO_PROJECT_CODE = "runs no code of the project"
_READ = model.Permission("contents", "read", "to check out the commit")
_MANIFEST_HASH = model.Output("build", "manifest-sha256")
_COMMIT = model.Input("commit")
_DRY_RUN = model.Input("dry-run")
_COMMITTER = {
    "GIT_COMMITTER_NAME": "github-actions[bot]",
    "GIT_COMMITTER_EMAIL": "41898282+github-actions[bot]@users.noreply.github.com",
}


class ProjectFacts(Record, kw_only=True):
    """The facts and settings (`[tool.relnox.ci]`) of a project on which its workflows depend.

    Attributes:
        trigger: What starts a release: a pushed tag, a published release page, or a merge.
        workflows: The keys of the workflows that the project gets.
        branches: The release branches; empty for any.
        tag_patterns: Globs for the tags of releases, such as `v*`.
        index: The index that releases go to; empty if the tag decides (`[tool.relnox.targets]`).
        indexes: The indexes that a run by hand may publish to.
        tokens: Maps each index that takes a token to the name of the secret with it; others trust the identity of
            the job (Trusted Publishing).
        publish_job: Whether `relnox` alone runs in the job that publishes, or the project's nox session.
        has_platform_wheels: Whether there are wheels to build on each platform, in other jobs.
        python: The Python that the jobs run on; empty for that of the runner.
        is_relnox: Whether the project is relnox itself; see `Workflow.is_relnox`.
    """

    trigger: Literal["tag", "release", "merge"]
    workflows: tuple[str, ...]
    branches: tuple[str, ...]
    tag_patterns: tuple[str, ...]
    index: str
    indexes: tuple[str, ...]
    tokens: Mapping[str, str]
    publish_job: Literal["relnox", "nox"]
    has_platform_wheels: bool = False
    python: str = ""
    is_relnox: bool = False

    @property
    def index_of_run(self) -> model.Expression:
        """The index that a run publishes to: one typed in by a person, else `index`, else the tag's index."""
        return model.Input("index", self.index or model.Output("build", "index"))

    @property
    def uses_trusted_publishing(self) -> bool:
        """Whether at least one index takes no token, but trusts the identity of the job."""
        return not self.tokens.keys() >= set(self.indexes)


def workflows(facts: ProjectFacts) -> tuple[model.Workflow, ...]:
    """Return the workflows that the settings of a project select."""
    every = {
        "release": _release_workflow,
        "checks": _pull_request_checks_workflow,
        "release-pull-request": _release_pull_request_workflow,
        "verify-public": _verify_public_workflow,
    }
    selected = [make(facts) for name, make in every.items() if name in facts.workflows]
    return tuple(replace(workflow, python=facts.python, is_relnox=facts.is_relnox) for workflow in selected)


# --- a release


def _release_workflow(facts: ProjectFacts) -> model.Workflow:
    """Return the workflow that releases what a tag names, or the versions that a merge changed."""
    fields = [model.InputField(name="index", help="Where to publish", choices=facts.indexes)]
    if not facts.index:
        fields = [model.InputField(name="index", help="Where to publish; by default where the tag belongs")]
    if facts.trigger == "merge":
        trigger: model.Trigger = model.OnMerge(facts.branches)
        about = "A merge that changes versions is tagged, built, checked, approved and published."
    else:
        fields.append(model.InputField(name="commit", help="The full id of the tagged commit to release"))
        fields.append(model.InputField(name="dry-run", help="Build and check only", is_switch=True))
        trigger = model.OnPublishedRelease() if facts.trigger == "release" else model.OnTag(facts.tag_patterns)
        what = "published release page" if facts.trigger == "release" else "pushed tag"
        about = f"A {what} is built, checked, approved and published."
    jobs = [
        *([_tag_job()] if facts.trigger == "merge" else []),
        *_build_jobs(facts),
        _approval_job(facts),
        _publish_job(facts),
        _verify_job(facts),
        _forge_release_job(facts),
    ]
    return model.Workflow(
        key=RELEASE,
        name="Release",
        about=(f"{about} Rerun a failed job: it continues.",),
        triggers=(trigger, model.ByHand(tuple(fields))),
        jobs=tuple(jobs),
        queue="release",
    )


def _tag_job() -> model.Job:
    """Return the job that tags the versions that a merge changed."""
    return model.Job(
        key="tag",
        name="Tag changed versions",
        about=_NO_PROJECT_CODE,
        command=model.Command(tasks=("auto-tag",), variables={"GH_TOKEN": model.JobToken(), **_COMMITTER}),
        runs_project_code=False,
        checkout="history",
        permissions=(model.Permission("contents", "write", "to push tags"),),
        outputs=("released",),
        minutes=10,
    )


def _build_jobs(facts: ProjectFacts) -> list[model.Job]:
    """Return the jobs that build and install all packages: one, or four if there are platform wheels.

    The job `build` keeps all files as the artifact `dist`, and outputs the hash of their manifest. With platform
    wheels, it collects the files that `plan` (the sdists) and `wheels` built before, and `install` installs them
    afterwards.
    """
    is_merge = facts.trigger == "merge"
    needs = ("tag",) if is_merge else ()
    only_if = model.Output("tag", "released") if is_merge else None
    request: dict[str, model.Expression] = {"RELNOX_EXPECT_COMMIT": _COMMIT}
    if is_merge:
        request = {"RELNOX_TAGGED": "true"}
    outputs = ("manifest-sha256", *(() if facts.index else ("index",)))
    build = model.Job(
        key="build",
        name="Build, check and install",
        command=model.Command(tasks=("build-all", "verify-install"), variables={**request, "RELNOX_FROM": "dist"}),
        checkout="history",
        needs=needs,
        only_if=only_if,
        permissions=(_READ,),
        keeps="dist",
        outputs=outputs,
    )
    if not facts.has_platform_wheels:
        return [build]
    plan = model.Job(
        key="plan",
        name="Build the sdist, plan the wheels",
        command=model.Command(tasks=("build-all",), variables=request),
        checkout="history",
        needs=needs,
        only_if=only_if,
        permissions=(_READ,),
        keeps="part-sdist",
        outputs=("wheels",),
    )
    wheels = model.Job(
        key="wheels",
        name="Wheels",
        command=model.Command(
            tasks=("cibuildwheel",),
            words=("dist/$sdist",),
            variables={
                "SDIST": model.MatrixValue("sdist"),
                "CIBW_PLATFORM": model.MatrixValue("platform"),
                "CIBW_ARCHS": model.MatrixValue("archs"),
                "CIBW_BUILD": model.MatrixValue("build"),
            },
        ),
        needs=("plan",),
        matrix=model.Matrix(model.Output("plan", "wheels"), label="name", runner="runner"),
        permissions=(_READ,),
        takes=("part-sdist",),
        keeps="part",
        minutes=120,
    )
    collect = model.Job(
        key="build",
        name="Collect sdist and wheels",
        about="fails if a wheel is missing, or is not planned",
        command=model.Command(tasks=("collect",), words=("--from", "parts")),
        checkout="history",
        needs=("plan", "wheels"),
        permissions=(_READ,),
        takes=("part-*",),
        keeps="dist",
        outputs=outputs,
    )
    install = model.Job(
        key="install",
        name="Install what was built",
        command=model.Command(tasks=("verify-install",), words=("--from", "dist")),
        needs=("build",),
        permissions=(_READ,),
        takes=("dist",),
    )
    return [plan, wheels, collect, install]


def _approval_job(facts: ProjectFacts) -> model.Job:
    """Return the job between building and publishing that waits for the reviewers of the environment `GATE`."""
    return model.Job(
        key="gate",
        name="Wait for approval",
        about=f"fails if the environment {GATE} has no reviewers",
        command=None,
        checkout="none",
        needs=("build", "install") if facts.has_platform_wheels else ("build",),
        unless=_DRY_RUN if facts.trigger != "merge" else None,
        permissions=(model.Permission("actions", "read", "to read the rules of the environment"),),
        environment=GATE,
        minutes=5,
    )


def _publish_job(facts: ProjectFacts) -> model.Job:
    """Return the job that uploads the built files; it runs project code only if `facts.publish_job` is `nox`."""
    is_nox = facts.publish_job == "nox"
    manifest = () if is_nox else ("--manifest", "dist/manifest.json")
    read = model.Permission(
        "contents", "read", "to check out the commit" if is_nox else "to read the locked requirements"
    )
    identity = model.Permission("id-token", "write", "to publish as this workflow (Trusted Publishing)")
    return model.Job(
        key="publish",
        name="Publish",
        about=""
        if is_nox
        else f"{_NO_PROJECT_CODE}: relnox uploads the files that the manifest of the build lists",
        command=model.Command(
            tasks=("publish",),
            words=(*manifest, "--manifest-sha256", "$MANIFEST_SHA256", "--index", "$INDEX", "--yes"),
            variables={
                "MANIFEST_SHA256": _MANIFEST_HASH,
                "INDEX": facts.index_of_run,
                **{
                    f"RELNOX_{name.upper().replace('-', '_')}_TOKEN": model.Secret(key)
                    for name, key in facts.tokens.items()
                },
            },
        ),
        runs_project_code=is_nox,
        checkout="history" if is_nox else "none",
        needs=("build", "gate"),
        permissions=(read, *((identity,) if facts.uses_trusted_publishing else ())),
        environment=facts.index_of_run,
        takes=("dist",),
        minutes=60,
    )


def _verify_job(facts: ProjectFacts) -> model.Job:
    """Return the job that installs the published packages from the index, after the upload."""
    return model.Job(
        key="verify",
        name="Install from the index",
        command=model.Command(
            tasks=("verify-install",), words=("--index", "$INDEX"), variables={"INDEX": facts.index_of_run}
        ),
        needs=("build", "publish"),
        permissions=(_READ,),
        takes=("dist",),
    )


def _forge_release_job(facts: ProjectFacts) -> model.Job:
    """Return the job that publishes the release page on the forge.

    It is skipped if a person typed in another index than `facts.index`.
    """
    return model.Job(
        key="page",
        name="Publish the release page",
        about=f"{_NO_PROJECT_CODE}; skipped if another index than that of the release was typed in",
        command=model.Command(
            tasks=("forge-release",),
            words=("--index", "$INDEX"),
            variables={"INDEX": facts.index_of_run, "GH_TOKEN": model.JobToken()},
        ),
        runs_project_code=False,
        checkout="history",
        needs=("build", "verify"),
        only_value=(model.Input("index", facts.index), facts.index),
        permissions=(model.Permission("contents", "write", "to create the release"),),
        takes=("dist",),
    )


# --- beside releases


def _pull_request_checks_workflow(facts: ProjectFacts) -> model.Workflow:
    """Return the workflow that builds, checks and installs a pull request as if it were released."""
    build = model.Job(
        key="build",
        name="Show what is not released, build, check and install",
        command=model.Command(
            tasks=("status", "build-all", "verify-install"),
            variables={"RELNOX_FROM": "dist", "RELNOX_SHOW_FILES": "true"},
        ),
        checkout="history",
        permissions=(_READ,),
        keeps="dist",
    )
    drift = model.Job(
        key="workflows",
        name="Check the workflow files",
        command=model.Command(tasks=("ci",), words=("--check",)),
        checkout="history",
        permissions=(_READ,),
        minutes=10,
    )
    return model.Workflow(
        key="checks",
        name="Release checks",
        about=("A pull request is built, checked and installed like a release; nothing is published.",),
        triggers=(model.OnPullRequest(facts.branches),),
        jobs=(build, drift),
    )


def _release_pull_request_workflow(facts: ProjectFacts) -> model.Workflow:
    """Return the workflow that, after each merge, opens or updates a pull request with the next versions.

    If merges start releases, it tags merged versions first, since the next versions follow from the tags.
    """
    is_merge = facts.trigger == "merge"
    release = "; merging that releases" if is_merge else ""
    pushed = "tags and the branch" if is_merge else "the branch"
    job = model.Job(
        key="bump",
        name="Open or update the release pull request",
        about=f"{_NO_PROJECT_CODE}; the next versions follow from the tags of what was merged"
        if is_merge
        else _NO_PROJECT_CODE,
        command=model.Command(
            tasks=("auto-tag", "bump") if is_merge else ("bump",),
            words=("auto", "--pull-request"),
            variables={
                "GH_TOKEN": model.JobToken(),
                **_COMMITTER,
                **{name.replace("COMMITTER", "AUTHOR"): value for name, value in _COMMITTER.items()},
            },
        ),
        runs_project_code=False,
        checkout="history",
        permissions=(
            model.Permission("contents", "write", f"to push {pushed} of the pull request"),
            model.Permission("pull-requests", "write", "to open the pull request"),
        ),
        minutes=15,
    )
    return model.Workflow(
        key="release-pull-request",
        name="Release pull request",
        about=(f"Each merge updates a pull request with the next versions and changelogs{release}.",),
        triggers=(model.OnMerge(facts.branches),),
        jobs=(job,),
        queue="release-pull-request",
    )


def _verify_public_workflow(facts: ProjectFacts) -> model.Workflow:
    """Return the workflow that installs the newest public releases weekly, since dependencies may break them."""
    job = model.Job(
        key="verify",
        name="Install what is public",
        command=model.Command(
            tasks=("verify-install",),
            words=("--public", *(("--index", facts.index) if facts.index else ())),
        ),
        permissions=(_READ,),
    )
    return model.Workflow(
        key="verify-public",
        name="Verify what is public",
        about=(
            "Once a week, the newest releases are installed from the index: dependencies may have broken them.",
        ),
        triggers=(model.OnSchedule("23 4 * * 1"), model.ByHand()),
        jobs=(job,),
    )
