"""Mistakes in workflows that release, which general linters of workflows do not look for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from relnox.ci.workflows import Job, Step, Table, Workflow
from relnox.core.text import join_names
from relnox.errors import Problem

_COMMAND = r"(?:^|[;&|(]\s*|\s-m\s+|[\s/])"
"""Matches what is before the name of a program."""
_UPLOAD = re.compile(
    _COMMAND + r"(?:twine\s+upload|maturin\s+(?:publish|upload)|setup\.py\s.*\bupload"
    r"|(?:uv|hatch|flit|pdm|poetry)\s+(?:-\S+\s+)*publish|relnox\s+publish|nox\s.*-s\s+(?:publish|testpypi))\b"
)
_UPLOAD_ACTION = "pypa/gh-action-pypi-publish"
_WHOLE_DIRECTORY = re.compile(
    r"(?:twine\s+upload|maturin\s+upload|(?:uv|hatch)\s+publish)\b[^|;&]*\*"
    r"|(?:uv|hatch)\s+publish(?=\s*(?:$|[|;&]|-))(?![^|;&]*\s(?![-'\"$])\S*[/.])"  # no file is named
    r"|pdm\s+publish\s.*--no-build"
)
_BUILD = re.compile(
    _COMMAND + r"(?:(?:uv|hatch|flit|pdm|poetry|maturin|npm|cargo)\s+(?:run\s+)?build"
    r"|(?:flit|pdm|maturin)\s+(?:-\S+\s+)*publish\b(?!.*--no-build)|poetry\s+publish\s.*--build\b"
    r"|-m\s+build\b|cibuildwheel|pyproject-build|pipx\s+run\s+(?:\S+\s+)*build|setup\.py\s+\w*(?:dist|wheel|build)"
    r"|pip\s+wheel|pip\s+install\s+(?:\S+\s+)*(?:-e\s|['\"]?\.(?:\[|['\"]|\s|$))|(?:pdm|poetry)\s+install"
    r"|uv\s+sync(?!.*--(?:only-group|no-install-project))|relnox\s+build-all"
    r"|nox\s(?!-s\s(?:publish|testpypi)\b)|(?:tox|make)(?:\s|$))"
    r"|(?:^|[;&|(]\s*)(?:(?:ba)?sh\s+|python\S*\s+)?(?:\./|scripts/|[\w/-]+\.(?:py|sh)\b)"  # of the checkout
)
"""Matches commands that run code of the project, or of what it requires to be built."""
_BUILD_ACTIONS = (
    *("pypa/cibuildwheel", "PyO3/maturin-action", "hynek/build-and-inspect-python-package"),
    "python-semantic-release/python-semantic-release",
)
_TOKEN = re.compile(r"\$\{\{\s*secrets\.(?!GITHUB_TOKEN\b)([\w-]+)")
_TOKEN_INPUTS = re.compile(r"password|\w*(?:_PASSWORD|_TOKEN|_AUTH)", re.ASCII)
"""Matches names of inputs and variables with which programs authenticate to an index."""
_PUSHES_TAG = re.compile(
    r"git\s+push\b.*(?:--tags|--follow-tags|refs/tags/|\$\{?\w*tag\w*|\stag\s|[\s\"']v[$\d]|\s\"?\$\{?version\b)"
    r"|semantic-release\s+(?:-\S+\s+)*(?:version|publish)\b",
    re.IGNORECASE,
)
_CREATES_RELEASE = re.compile(r"gh\s+release\s+create\b(?!.*--draft)")
_RELEASE_ACTIONS = ("softprops/action-gh-release", "ncipollo/release-action", "actions/create-release")
_TAG_ACTIONS = (
    *("anothrNick/github-tag-action", "mathieudutour/github-tag-action", "rickstaa/action-create-tag"),
    *("python-semantic-release/python-semantic-release", "googleapis/release-please-action"),
    "commitizen-tools/commitizen-action",
)


class _Upload(NamedTuple):
    """A step, or a command in it, that uploads to a package index.

    Attributes:
        line: The line of the command, or of the step if it is an action.
        command: The command; empty for `pypa/gh-action-pypi-publish`.
    """

    line: int
    job: Job
    step: Step
    command: str


def release_problems(workflows: Sequence[Workflow]) -> Iterator[Problem]:
    """Yield problems in how the workflows of a repository make releases, sorted by line in each file.

    Some have the level `note`.
    """
    for workflow in workflows:
        uploads = [upload for job in workflow.jobs for upload in _find_uploads(job)]
        checks = (
            *(_upload_problems(upload) for upload in uploads),
            _additional_index_problems(workflow, uploads),
            _called_workflow_problems(workflow, uploads),
            _cancellation_problems(workflow, uploads),
            _upload_job_problems(workflow, uploads),
            _default_token_problems(workflow, workflows),
        )
        problems = {(problem.file, problem.message): problem for check in checks for problem in check}
        yield from sorted(problems.values(), key=lambda problem: int(problem.file.rpartition(":")[2]))


def _find_uploads(job: Job) -> Iterator[_Upload]:
    """Yield the steps and commands of a job that upload to an index."""
    for step in job.steps:
        if step.action == _UPLOAD_ACTION:
            yield _Upload(step.line, job, step, "")
        elif step.action == "PyO3/maturin-action" and step.input("command") in ("publish", "upload"):
            yield _Upload(step.line, job, step, f"maturin {step.input('command')} {step.input('args')}")
        for line, command in step.commands:
            if _UPLOAD.search(command) and "--dry-run" not in command and not _only_prints(command):
                yield _Upload(line, job, step, command)


def _only_prints(command: str) -> bool:
    """Return whether a shell command is a single `echo` or `printf`."""
    return command.startswith(("echo ", "printf ")) and not re.search(r"[;&|]\s*\w", command)


def _upload_problems(upload: _Upload) -> Iterator[Problem]:
    """Yield problems of an upload that sends a whole directory, skips existing files, or uses a stored secret."""
    job, step, workflow = upload.job, upload.step, upload.job.workflow
    by_manifest = "upload what a manifest lists: relnox publish --manifest dist/manifest.json --yes"
    if _WHOLE_DIRECTORY.search(upload.command):
        yield workflow.problem(
            upload.line,
            f"job {job.name} uploads whatever is in a directory (a file too many or too few is not noticed)",
            f"{by_manifest}; or name each file",
        )
    elif step.action == _UPLOAD_ACTION and (download := _find_merging_download(upload)) is not None:
        yield workflow.problem(
            download.line,
            f"job {job.name} uploads all artifacts of the run that were merged into one directory (a missing or "
            "additional file is not noticed)",
            "merge them with relnox collect in a job before, and download the artifact of that job by name",
        )
    if "--skip-existing" in upload.command or step.input("skip-existing") in ("true", "True"):
        line = step.inputs.lines.get("skip-existing", step.inputs.lines.get("skip_existing", upload.line))
        yield workflow.problem(
            line,
            f"job {job.name} skips files that the index has (it may have a different file of that name)",
            "remove skip-existing; a rerun of relnox publish compares hashes",
        )
    if (token := _stored_token_of_upload(upload)) is not None:
        line, name = token
        yield workflow.problem(
            line,
            f"job {job.name} uploads with the token {name} (Trusted Publishing needs no stored secret)",
            "register the workflow with the index, which relnox ci --publishers shows, and remove the token",
            level="note",
        )


def _find_merging_download(upload: _Upload) -> Step | None:
    """Return the first step that merges several artifacts into the directory that is uploaded, or None."""
    directory = _normalize_directory(upload.step.input("packages-dir", "dist"))
    for step in upload.job.steps:
        if (
            step.action == "actions/download-artifact"
            and step.input("merge-multiple") == "true"
            and not {"name", "artifact-ids"} & step.inputs.keys()
            and _normalize_directory(step.input("path", ".")) == directory
        ):
            return step
    return None


def _normalize_directory(path: str) -> str:
    """Return a path without `./` at the beginning and slashes at the end; `.` if nothing is left."""
    return path.removeprefix("./").rstrip("/") or "."


def _stored_token_of_upload(upload: _Upload) -> tuple[int, str] | None:
    """Return the line and the name of the stored secret that an upload uses; None if it uses none.

    None is also returned for indexes other than PyPI and TestPyPI, and for poetry, which does not support Trusted
    Publishing.
    """
    if upload.command.startswith("poetry"):
        return None  # it knows no Trusted Publishing
    url = upload.step.input("repository-url")
    if url:
        from twine import utils  # slow to import

        public = (utils.DEFAULT_REPOSITORY, utils.TEST_REPOSITORY)
        if urlsplit(url).hostname not in {urlsplit(address).hostname for address in public}:
            return None
    elif re.search(r"--(?:repository-url|publish-url|index|repo|repository)\b|\s-r\s", upload.command):
        return None
    inputs = [upload.step.inputs] if not upload.command else []
    for table in (*inputs, *_variable_tables(upload.job, upload.step)):
        for name, value in table.items():
            if _TOKEN_INPUTS.fullmatch(name) and (match := _TOKEN.search(str(value))):
                return table.lines[name], match[1]
    if match := _TOKEN.search(upload.command):
        return upload.line, match[1]
    return None


def _additional_index_problems(workflow: Workflow, uploads: Sequence[_Upload]) -> Iterator[Problem]:
    """Yield problems for commands and variables that install from an additional index (`--extra-index-url`).

    In a workflow without uploads, only TestPyPI is a problem.
    """
    from twine import utils  # slow to import

    test_host = str(urlsplit(utils.TEST_REPOSITORY).hostname)  # each name is free for all there
    message = "installs from an additional index as well (the owner of a name there may provide the requirement)"
    fix = (
        "verify the release with relnox verify-install --index testpypi: requirements come from the trusted index"
    )
    for job in workflow.jobs:
        settings = [
            (table.lines[name], f"{name}={value}")
            for table in _variable_tables(job, *job.steps)
            for name, value in table.items()
        ]
        for line, text in (*settings, *(command for step in job.steps for command in step.commands)):
            if re.search(r"--extra-index-url|\b(?:PIP|UV)_EXTRA_INDEX_URL=", text) and (
                uploads or test_host in text
            ):
                yield workflow.problem(line, f"job {job.name} {message}", fix)


def _variable_tables(job: Job, *steps: Step) -> list[Table]:
    """Return the `env` tables of steps, of their job and of its workflow, in this order, if they have any."""
    tables = (*(step.table for step in steps), job.table, job.workflow.table)
    return [env for table in tables if isinstance(env := table.get("env"), Table)]


def _called_workflow_problems(workflow: Workflow, uploads: Sequence[_Upload]) -> Iterator[Problem]:
    """Yield problems for uploads by Trusted Publishing in a workflow that other workflows can call."""
    if "workflow_call" not in workflow.triggers:
        return
    for upload in uploads:
        if upload.job.has_identity or (not upload.command and "password" not in upload.step.inputs):
            yield workflow.problem(
                workflow.triggers.lines["workflow_call"],
                f"job {upload.job.name} uploads in a workflow that others call (an index checks the name of this "
                "file, an attestation that of the caller)",
                "move the job into the workflow that is started",
            )


def _cancellation_problems(workflow: Workflow, uploads: Sequence[_Upload]) -> Iterator[Problem]:
    """Yield problems for uploads that a newer run of the workflow cancels."""
    for upload in uploads:
        for table in (workflow.table.get("concurrency"), upload.job.table.get("concurrency")):
            if not isinstance(table, Table) or "github.run_id" in table.get("group", ""):
                continue
            if table.get("cancel-in-progress") == "true":
                yield workflow.problem(
                    table.lines["cancel-in-progress"],
                    f"a newer run cancels job {upload.job.name} (a part of the files may be public then)",
                    "set cancel-in-progress: false",
                )


def _upload_job_problems(workflow: Workflow, uploads: Sequence[_Upload]) -> Iterator[Problem]:
    """Yield problems for jobs that upload without a GitHub environment, or run project code with credentials.

    Such an environment can require a review. The credentials are those for uploads.
    """
    uploading = {upload.job.name for upload in uploads}
    for job in workflow.jobs:
        if job.name in uploading and not job.environment:
            yield workflow.problem(
                job.line,
                f"job {job.name} uploads outside of an environment (no review, and any branch may upload)",
                "add environment: pypi to the job, and register it with the index",
            )
        if not uploading or not (job.has_identity or job.name in uploading):
            continue
        line = next(project_code_lines(job), None)
        if line is not None and any(step.action == "actions/checkout" for step in job.steps):
            what = "uploads" if job.name in uploading else "has id-token: write"
            yield workflow.problem(
                line,
                f"job {job.name} runs the project's code and {what} (that code can use the credential)",
                "build in a job without id-token and secrets, and pass the files on as an artifact",
            )


def project_code_lines(job: Job) -> Iterator[int]:
    """Yield the lines on which a job runs code of the project or of its build requirements."""
    for step in job.steps:
        if step.action in _BUILD_ACTIONS and step.input("command") != "upload" and step.input("build") != "false":
            yield step.line
        for line, command in step.commands:
            if _BUILD.search(command) and not _only_prints(command):
                yield line


def _default_token_problems(workflow: Workflow, workflows: Sequence[Workflow]) -> Iterator[Problem]:
    """Yield problems for steps that make a tag or a release with the default token, which starts no workflow.

    Only steps whose tag or release should start another one of the repository's `workflows` are problems.
    """
    is_of_tag = _is_started_by_tag(workflow) and not {"workflow_dispatch", "schedule"} & workflow.triggers.keys()
    by_tag = [other.file for other in workflows if _is_started_by_tag(other)]
    by_release = [other.file for other in workflows if "release" in other.triggers]
    for job in workflow.jobs:
        checkouts = (step for step in job.steps if step.action == "actions/checkout")
        if any(_is_custom_token(step.input("token")) for step in checkouts):  # git pushes with it
            continue
        for step in job.steps:
            drafts = step.input("draft") == "true"
            makes_release = step.action in _RELEASE_ACTIONS and not drafts
            makes_tag = step.action in _TAG_ACTIONS
            line = step.line
            for number, command in step.commands:
                if _CREATES_RELEASE.search(command):
                    makes_release, line = True, number
                elif _PUSHES_TAG.search(command):
                    makes_tag, line = True, number
            waiting = by_release if makes_release else []
            condition = f"{job.table.get('if', '')} {step.table.get('if', '')}"
            has_tag = is_of_tag or "refs/tags/" in condition or "ref_type == 'tag'" in condition
            if (makes_tag or makes_release) and not has_tag:
                waiting = [*by_tag, *waiting]
            if (waiting := sorted({*waiting} - {workflow.file})) and not _uses_custom_token(step):
                yield workflow.problem(
                    line,
                    f"job {job.name} makes a tag or a release with the default token, which does not start "
                    f"{join_names(waiting)} (GitHub starts no run for it)",
                    "publish in the same run; or start the other one: gh workflow run NAME --ref TAG",
                )


def _is_started_by_tag(workflow: Workflow) -> bool:
    """Return whether a pushed tag starts the workflow."""
    push = workflow.triggers.get("push")
    return isinstance(push, Table) and "tags" in push


def _uses_custom_token(step: Step) -> bool:
    """Return whether a step has a token other than the default one of its job, as an input or variable."""
    env = step.table.get("env")
    values = [step.input("token"), step.input("github-token")]
    values += [str(value) for name, value in env.items() if "TOKEN" in name] if isinstance(env, Table) else []
    return any(map(_is_custom_token, values))


def _is_custom_token(value: str) -> bool:
    """Return whether a value is a token other than the default one: a secret, or the output of a step."""
    return bool(_TOKEN.search(value)) or "steps." in value
