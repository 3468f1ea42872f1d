"""Release in one command: bump, build, verify, publish to a test index, ask, push, publish, verify.

Each stage is a task that you can also run alone. Nothing is pushed or published to a production index before the
gate, which asks on a terminal and needs --yes elsewhere. Without a version, the current commit is released as it
is. Rerunning the command finishes an interrupted release: each stage recognizes what is done already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.version import Version

from relnox.commands import bump
from relnox.commands.options import BumpOptions
from relnox.commands.options import ReleaseChainOptions as Options
from relnox.core import fixes
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.indexes import targets
from relnox.project import Project
from relnox.source.git import remotes
from relnox.steps.release_stages import BuildStage, Gate, SendingStage
from relnox.steps.stages import Stage

NO_INDEX = "none"


class Chain(Record, kw_only=True):
    """What a release consists of, decided before its first stage.

    Attributes:
        built: The packages that the build must have.
        released: The packages with their new versions, as texts.
        packages: The packages of the release, if they are a part of the workspace; else empty.
        dist: The directory of archives, relative to the root.
        bump: The options of the bump; empty if the commit is released as it is.
        tags: The tags of the release, as far as they are known.
        commit: The commit or tag to build; None for HEAD.
        test_index: The index to publish to first, or None.
        index: The index to publish to, or None for a rehearsal.
        is_production: Whether that index is a production index.
        remote: The remote that the commit and its tags are pushed to, or None.
        yes: Whether the command line confirms what becomes public.
        verify: Further options of `verify-install`.
    """

    built: tuple[str, ...]
    released: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    dist: str
    bump: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    commit: str | None = None
    test_index: str | None
    index: str | None = None
    is_production: bool = False
    remote: str | None = None
    yes: bool = False
    verify: Mapping[str, Any] = {}


def stages(chain: Chain) -> Iterator[Step]:
    """Yield the stages of a release, in order. Each runs if all before it succeeded, and is a task of its own."""
    dist, tags = chain.dist, join_names(chain.tags) or "the release"
    packages = {"package": chain.packages} if chain.packages else {}

    # The new versions are a commit and tags of this clone only, so that `bump --undo` reverts them.
    if chain.bump:
        purpose = f"set {join_names(chain.released)}; commit and tag it ({tags}), in this clone only"
        yield Stage(task="bump", options=_options(chain.bump), purpose=purpose)

    # The archives are built once, from that commit. All later stages use these files.
    commit = {"commit": chain.commit} if chain.commit is not None else {}
    yield BuildStage(
        task="build-all",
        options=_options({**commit, "output": dist, **packages}),
        packages=chain.built,
        directory=dist,
        commit=chain.commit,
        purpose=f"build and check the archives of {chain.commit or 'the current commit'}",
    )

    # What was built can be installed, before anything leaves this machine; a rehearsal sends nothing anyway.
    if chain.index is not None:
        yield Stage(
            name="verify-dist",
            task="verify-install",
            options=_options({"from_": "dist", "dist": dist, **packages}),
            purpose="install the built files in fresh environments, and check them",
        )

    # A test index accepts the files, and serves what can be installed.
    if chain.test_index is not None:
        target = {"index": chain.test_index, "dist": dist, **packages}
        yield Stage(
            task="publish-test",
            options=_options({**target, "verify": False}),
            purpose=f"publish the files to {chain.test_index}",
        )
        yield Stage(
            name="verify-test" if chain.index is not None else "",
            task="verify-install",
            options=_options({**target, **chain.verify}),
            purpose=f"install them from {chain.test_index}",
        )
    if chain.index is None:
        return

    # Everything up to here can be undone, and nothing after it.
    target = {"index": chain.index, "dist": dist, **packages}
    kind = SendingStage if chain.is_production else Stage
    push = _push_stage(chain)
    publish = kind(
        task="publish",
        options=_options({**target, "yes": True}),
        purpose=f"publish the files to {chain.index}, and compare what it serves",
    )
    yield Gate(stages=(push, publish), yes=chain.yes, purpose="check what becomes public, and ask")

    # The remote has the commit and its tags before the index has the files: a push can be rejected; files stay.
    yield push
    yield publish

    # What people install from now on works.
    yield Stage(
        name="verify",
        task="verify-install",
        options=_options(target),
        purpose=f"install them from {chain.index}",
    )


def _push_stage(chain: Chain) -> Stage:
    """Return the stage that pushes the commit and its tags, and tags first what has no tag yet."""
    tags, remote = join_names(chain.tags) or "the commit", chain.remote
    if chain.bump and remote is not None:
        options = {**{name: value for name, value in chain.bump.items() if name != "then_dev"}, "push": True}
        purpose = f"push the branch and {tags} to {remote}"
        return SendingStage(name="push", task="bump", options=_options(options), purpose=purpose)
    options = {"package": chain.built, "check_index": False, "push": remote is not None}
    purpose = f"tag {tags}, if it has no tag" + (f"; push the tags to {remote}" if remote is not None else "")
    kind = Stage if remote is None else SendingStage
    return kind(name="push", task="auto-tag", options=_options(options), purpose=purpose)


def _options(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(options.items())


def plan(options: Options, project: Project) -> Plan:
    """Plan the stages of a release, with the versions that it bumps to."""
    new = PlanBuilder("release")
    git, _, _ = project.require_commit()
    request = _bump_request(options, project)
    packages = project.select(options.package)
    released: Mapping[str, Version | None] = {package.name: package.version for package in packages}
    commit = None
    if request:
        bump_options = BumpOptions(**{**project.config.bump.options, **request})
        bump_plan = bump.plan(bump_options, project)
        new.problems += bump_plan.problems
        versions = project.once(bump.planned_versions, bump_options, project)
        if not versions and not new.problems:
            new.notes += bump_plan.notes
            return new.plan()
        released = versions
    tags = _tags(released, project)
    commit = tags[0] if request and tags else None
    is_part = len(released) < len(project.workspace.packages)
    index, test_index = _indexes(options, released, project)
    remote = project.config.remote
    chain = Chain(
        built=tuple(released),
        released=tuple(f"{name} {version}" for name, version in released.items()),
        packages=tuple(sorted(released)) if is_part else (),
        dist=options.dist,
        bump=request,
        tags=tags,
        commit=commit,
        test_index=test_index,
        index=index,
        is_production=project.indexes[index].production,
        remote=remote if remote in project.once(remotes.names, git) else None,
        yes=options.yes,
    )
    steps = list(stages(chain))
    names = [step.key for step in steps]
    if options.until is not None:
        if options.until not in names:
            raise Blocked(
                "options-conflict",
                f"--until {options.until}: this release has no such stage",
                f"choose one of {', '.join(names)}",
            )
        steps = steps[: names.index(options.until) + 1]
        words = [word for name in _REPEATED for word in fixes.option_words(name, getattr(options, name) or None)]
        new.next_command = fixes.task_command("release", *words)
    new.add(*steps)
    rows = tuple((step.key, step.purpose) for step in steps if isinstance(step, Stage | Gate))
    new.tables.append(Table(title="", columns=("stage", "what it does"), rows=rows))
    return new.plan()


_REPEATED = ("part", "pre", "to", "package", "index", "test_index")
"""The field names of options that another run for the same release needs as well."""


def _bump_request(options: Options, project: Project) -> dict[str, Any]:
    """Return the options of the bump; none if no version is asked for."""
    version = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    if not version:
        return {}
    selected = tuple(package.name for package in project.workspace.select(options.package))
    packages = {"package": selected} if selected else {}
    return {**version, **packages, "commit": True, "tag": True, "push": False, "then_dev": False}


def _tags(versions: Mapping[str, Version | None], project: Project) -> tuple[str, ...]:
    """Return the tags of packages in these versions."""
    formats = project.tag_formats
    tags = (formats[name].render(version) for name, version in versions.items() if version is not None)
    return tuple(dict.fromkeys(tags))


def _indexes(options: Options, versions: Mapping[str, Version | None], project: Project) -> tuple[str, str | None]:
    """Return the names of the index to publish to, and of the test index, or None.

    Only what is published to the public index is published to its test index by default.
    """
    config, index, test_index = project.config, options.index, options.test_index
    if index is None:
        formats = project.tag_formats
        tags = {
            name: (formats[name].render(version), version) if version is not None else None
            for name, version in versions.items()
            if not project.workspace.by_name[name].is_private
        }
        index = targets.select_by_tags(config, tags)
    project.indexes[index]  # an unknown index is reported first
    if test_index is None:
        test_index = {targets.PRODUCTION: targets.TEST, targets.EMBEDDED: targets.EMBEDDED}.get(index, NO_INDEX)
    return index, None if test_index == NO_INDEX else test_index


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the stages with their status and duration."""
    del directory
    if not outcome.results:
        return ()
    return (stage_table(outcome),)


def stage_table(outcome: Outcome) -> Table:
    """Return a table of the stages of a run, with the status and duration of each."""
    seconds = tuple((result.step.key, result.status.value, f"{result.seconds:.1f}") for result in outcome.results)
    return Table(title="Stages", columns=("stage", "status", "seconds"), rows=seconds)
