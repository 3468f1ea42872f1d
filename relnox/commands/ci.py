"""Write the workflow files of CI: jobs that build, check, publish and verify.

The jobs follow from the packages, the form of their tags, and the settings `[tool.relnox.ci]`. Each runs a nox
session that also runs here; the job that publishes runs relnox alone, and no code of the project.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import cast

from packaging.version import Version

from relnox.ci import github, gitlab, matrices, sets
from relnox.ci.compare import PIPELINE_RULES, WORKFLOW_RULES
from relnox.ci.lint import release_problems
from relnox.ci.publishers import (
    PENDING_DAYS,
    pending_publisher_form_url,
    publisher_form_url,
    publishing_environments,
)
from relnox.ci.sets import ProjectFacts
from relnox.ci.updates import GeneratedFile, generated_file_problems, merge_edits, missing_file_problem, read_stamp
from relnox.ci.workflows import IDENTITY, decode_utf8, parse_workflow
from relnox.commands.options import CiOptions as Options
from relnox.commands.shared import releases
from relnox.core.bump.release_history import changes_since_release
from relnox.core.fixes import task_command
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Problem, TryLater
from relnox.forges.remotes import repository_location
from relnox.indexes import targets
from relnox.project import Project
from relnox.reporters import outputs
from relnox.source.git import remotes
from relnox.source.history import file_contents_in_history
from relnox.steps.edit_files import EditFiles
from relnox.steps.locks import LockRequirements

_OWN_VERSION = version("relnox")
_INDEX_TIMEOUT = 10.0
"""The time limit for all queries of one index, in seconds."""
_ONLY_FOR_SESSIONS = ("argcomplete", "build", "invoke", "keyring", "nox", "pyyaml", "uv")
"""Requirements of relnox that publishing, tagging and pull requests do not import."""


def plan(options: Options, project: Project) -> Plan:
    """Plan to write the workflow files that are missing or differ, or to do what another option asks for.

    The other options list problems (`--check`, `--lint`), publishers to register, or a matrix, and write no files.
    """
    new = PlanBuilder("ci")
    if options.lint:
        _lint_workflows(new, project)
    elif options.publishers:
        _list_publishers(new, project)
    elif options.matrix is not None:
        new.outputs["matrix"] = document(options, project).strip()
    else:
        _plan_workflow_files(new, options, project)
    return new.build()


def _plan_workflow_files(new: PlanBuilder, options: Options, project: Project) -> None:
    """Add steps that write workflow files and the locked requirements of jobs.

    With `--check`, add problems instead, for workflow files that differ and for files that are missing.
    """
    facts = read_project_facts(project)
    new.problems += project.tag_format_problems(project.workspace.packages)
    if project.git is not None and (prefix := project.git.prefix.rstrip("/")):
        new.problems.append(
            Blocked(
                "project-not-found",
                f"the project is in {prefix}, but workflows belong to the top of the repository",
                fix=f'write a pyproject.toml at the top with [tool.relnox] packages = ["{prefix}"]',
            )
        )
    events = [event for event in project.config.hooks.by_event if event.endswith("-publish")]
    if events and facts.publish_job == "relnox":
        new.problems.append(
            Blocked(
                "setting-invalid",
                f"hooks of {join_names(events)} cannot run in the job that publishes (it has no checkout)",
                fix='[tool.relnox.ci] publish-job = "nox"',
            )
        )
    if not facts.branches and (facts.trigger == "merge" or "release-pull-request" in facts.workflows):
        new.problems.append(
            Blocked(
                "branch-unknown",
                "the workflows run when a release branch changes, but [tool.relnox] branch is not set",
                fix='[tool.relnox] branch = "main"',
            )
        )
    texts = _render_workflow_files(facts, project)
    locks = tuple(_requirement_lock_steps(project))
    contents = project.read_files([*texts, *(lock.file for lock in locks)])
    files = [_generated_file(name, text, contents.get(name), project) for name, text in texts.items()]
    if options.check:
        _add_problems_and_notes(
            new, (problem for file in files for problem in project.once(_generated_file_problems, file))
        )
        _add_problems_and_notes(
            new, (missing_file_problem(lock.file) for lock in locks if lock.file not in contents)
        )
        return
    new.problems += _renamed_workflow_problems(files, project)
    edits = []
    for file in files:
        try:
            after = project.once(merge_edits, file, options.prefer).encode()
        except Blocked as problem:
            new.problems.append(problem)
        else:
            edits.append(Edit(file=file.file, before=contents.get(file.file), after=after))
    if edits := [edit for edit in edits if edit.before != edit.after]:
        new.add(EditFiles(edits=tuple(edits)))
    elif not new.problems:
        new.notes.append("the workflow files are up to date")
    new.add(*locks)


def document(options: Options, project: Project) -> str:
    """Return the matrix of `--matrix` as JSON on one line.

    It has the packages that are tagged at HEAD. If there are none, it has those that changed since their last
    release or, without a git history, all.
    """
    tagged_packages = releases.packages_tagged_here(project)
    histories = project.history
    changed_packages = {name for name, own in histories.items() if own.tag is None or changes_since_release(own)}
    names = tagged_packages or (changed_packages if histories else project.workspace.by_name.keys())
    rows = matrices.matrix(
        cast("matrices.Kind", options.matrix),
        [
            package.name
            for package in project.select(())
            if package.name in names and not (package.is_private and options.matrix == "verify")
        ],
        settings=project.config.wheels,
        pythons=project.pythons,
    )
    return f"{json.dumps(rows, separators=(',', ':'))}\n"


def _requirement_lock_steps(project: Project) -> Iterator[LockRequirements]:
    """Yield steps that lock what jobs install: those with nox sessions, with credentials, and with cibuildwheel.

    Jobs with credentials install only what relnox imports there. In relnox's own project, jobs run the code that
    they release, so that only its requirements are locked, not relnox.
    """
    own_package = project.workspace.by_name.get("relnox")
    requirements = (
        (f"relnox=={_OWN_VERSION}",)
        if own_package is None
        else tuple(dependency.text for dependency in own_package.dependencies if dependency.table == "runtime")
    )
    provider = gitlab if _is_on_gitlab(project) else github
    yield LockRequirements(
        file=provider.NOX_REQUIREMENTS, purpose="For jobs that run nox sessions", requirements=requirements
    )
    yield LockRequirements(
        file=provider.RELNOX_REQUIREMENTS,
        purpose="For jobs with credentials",
        requirements=requirements,
        without=_ONLY_FOR_SESSIONS,
    )
    if any(project.config.wheels.values()) and provider is github:
        yield LockRequirements(
            file=github.WHEELS_REQUIREMENTS,
            purpose="For jobs that build platform wheels",
            requirements=("cibuildwheel",),
        )


def _render_workflow_files(facts: ProjectFacts, project: Project) -> dict[str, str]:
    """Return the texts of workflow files by path: for GitLab if the remote is there, else for GitHub Actions.

    Raises:
        Blocked: The project has platform wheels, and its remote is on GitLab, where no jobs can be written for
            them.
    """
    workflows = sets.workflows(facts)
    if _is_on_gitlab(project):
        if facts.has_platform_wheels:
            raise Blocked(
                "workflow-conflict",
                "no jobs can be written for the platform wheels of [tool.relnox.wheels] on GitLab (its runners "
                "differ by project)",
                fix="write them by hand; docs/builds.md shows how their files are collected and published",
            )
        return {gitlab.FILE: gitlab.render(workflows, outputs.variable_name)}
    return {github.workflow_path(workflow): github.render(workflow) for workflow in workflows}


def _is_on_gitlab(project: Project) -> bool:
    """Return whether the remote is on GitLab; False as well without a remote or a known forge."""
    try:
        git, _, _ = project.require_commit()
        url = project.once(remotes.read_remote_url, git, project.config.remote)
        return repository_location(url, os.environ).kind == "gitlab"
    except Problem:  # no remote, or one on no forge
        return False


def _generated_file(name: str, output: str, content: bytes | None, project: Project) -> GeneratedFile:
    """Return a file to generate: `output` is its new content, and `content` its present one (None: missing).

    Its history is read only if a merge needs it.
    """
    present = decode_utf8(content, name) if content is not None else None
    file = GeneratedFile(file=name, output=output, present=present, version=_OWN_VERSION)
    if not file.needs_history or project.git is None:
        return file
    return replace(file, history=project.once(file_contents_in_history, project.git, name))


def _generated_file_problems(file: GeneratedFile) -> tuple[Problem, ...]:
    """Return the problems of a generated file: what `relnox ci` would change in it, and what makes it unsafe.

    Edits that `relnox ci` keeps are problems of the level `note`.
    """
    return tuple(generated_file_problems(file, PIPELINE_RULES if file.file == gitlab.FILE else WORKFLOW_RULES))


def _add_problems_and_notes(new: PlanBuilder, findings: Iterable[Problem]) -> None:
    """Add findings to the plan: those of the level `note` to its notes, all others to its problems."""
    for problem in findings:
        if problem.level != "note":
            new.problems.append(problem)
            continue
        fix = f"\n  fix: {problem.fix}" if problem.fix else ""
        new.notes.append(f"{problem.file}: {problem.message}{fix}")


def _lint_workflows(new: PlanBuilder, project: Project) -> None:
    """Add the problems of all GitHub workflow files, also of those written by hand, and a note on their number."""
    contents = project.once(_read_workflow_files, project)
    workflows = [parse_workflow(name, content) for name, content in contents.items()]
    findings = list(release_problems(workflows))
    _add_problems_and_notes(new, findings)
    new.notes.append(
        f"{format_count(len(workflows), 'workflow file')} checked: {format_count(len(findings), 'finding')}"
    )


def _read_workflow_files(project: Project) -> dict[str, bytes]:
    """Return the content of the GitHub workflow files at the top of the repository, by path from there."""
    depth = 0 if project.git is None else len(Path(project.git.prefix).parts)
    top = project.root.joinpath(*[".."] * depth)
    files = sorted(file for file in top.glob(f"{github.DIRECTORY}/*.y*ml") if file.suffix in (".yml", ".yaml"))
    names = {os.path.relpath(file, project.root): file.relative_to(top).as_posix() for file in files}
    return {names[name]: content for name, content in project.read_files(names).items()}


def _renamed_workflow_problems(files: Iterable[GeneratedFile], project: Project) -> Iterator[Problem]:
    """Yield a problem if a publishing workflow would be added although one by relnox has another file name.

    The index accepts uploads only from the file name that is registered with it.
    """
    new_files = [file.file for file in files if file.present is None and IDENTITY in file.output]
    names = {file.file for file in files}
    for name, content in project.once(_read_workflow_files, project).items():
        text = content.decode("utf-8", "replace")
        if new_files and name not in names and IDENTITY in text and read_stamp(text) is not None:
            yield Blocked(
                "workflow-conflict",
                f"not writing {new_files[0]}: the workflow {name} exists, and the index accepts uploads only from "
                "the file name of its registered publisher",
                f"git mv {name} {new_files[0]}; to see what to register: {task_command('ci', '--publishers')}",
            )


def _list_publishers(new: PlanBuilder, project: Project) -> None:
    """Add a table of what to register with each index, so that it trusts the job that publishes.

    Projects that an index lacks need a pending publisher. If an index does not answer, all are taken for existing,
    with a note.
    """
    git, _, _ = project.require_commit()
    location = repository_location(project.once(remotes.read_remote_url, git, project.config.remote), os.environ)
    owner, _, repository = location.path.rpartition("/")
    facts = read_project_facts(project)
    names = tuple(package.name for package in project.workspace.packages if not package.is_private)
    trusting_indexes = [index for index in facts.indexes if index not in facts.tokens]
    rows = []
    is_gitlab = location.kind == "gitlab"
    for key, index, environment in publishing_environments(
        sets.workflows(facts), trusting_indexes, on_gitlab=is_gitlab
    ):
        target = targets.find_target(index, project.config)
        try:
            versions = project.versions_on(index, names, seconds=_INDEX_TIMEOUT, fix="rerun the command later")
        except TryLater as error:
            new.notes.append(f"{error.message}; a project that does not exist needs a pending publisher")
            versions = dict.fromkeys(names, frozenset((Version("0"),)))
        for name in names:
            identity = owner, repository, gitlab.FILE if is_gitlab else f"{key}.yml"
            kind, form = "pending publisher", pending_publisher_form_url(target.simple_url)
            if versions[name]:
                kind = "publisher"
                form = publisher_form_url(target.simple_url, name, location.kind, identity, environment)
            rows.append((name, index, *identity, environment, kind))
            if target.public_name is not None:
                new.notes.append(f"{name} on {index}: {form}")
    if any(row[-1] == "pending publisher" for row in rows):
        new.notes.append(
            f"PyPI and TestPyPI remove a pending publisher that is not used within {PENDING_DAYS} days"
        )
    columns = ("project", "index", "owner", "repository", "workflow", "environment", "register as")
    new.tables.append(Table(title="Publishers", columns=columns, rows=tuple(rows)))


def read_project_facts(project: Project) -> ProjectFacts:
    """Return what decides the content of a project's workflows; raise `Blocked` if tokens name unknown indexes."""
    config = project.config
    for name in config.ci.tokens:
        targets.find_target(name, config)  # raises an error if there is no such index
    formats = dict.fromkeys(project.tag_formats[package.name] for package in project.workspace.packages)
    patterns = (f"{tag_format.prefix}[0-9]*{tag_format.suffix}" for tag_format in formats)
    own_indexes = tuple(dict.fromkeys(config.targets.values()))
    names = (*own_indexes, targets.PRODUCTION, targets.TEST, *config.indexes)
    makes_pull_requests = "release-pull-request" in config.ci.workflows
    return ProjectFacts(
        trigger=config.ci.trigger or ("merge" if makes_pull_requests or len(formats) > 1 else "tag"),
        workflows=config.ci.workflows,
        branches=tuple(line.branch for line in config.branch),
        tag_patterns=tuple(dict.fromkeys(patterns)),
        index="" if len(own_indexes) > 1 else "".join(own_indexes) or targets.PRODUCTION,
        indexes=tuple(dict.fromkeys(names)),
        tokens=config.ci.tokens,
        publish_job=config.ci.publish_job,
        has_platform_wheels=any(config.wheels.values()),
        python=config.ci.python or "",
        is_relnox="relnox" in project.workspace.by_name,
    )
