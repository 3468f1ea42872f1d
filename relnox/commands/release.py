"""Release in one command: check, bump, build, verify, publish to a test index, ask, push, publish, verify.

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
from relnox.commands.shared.forge_releases import forge_of, forge_release_problems
from relnox.core import fixes
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, PlanBuilder, ReleasedPackage, Table
from relnox.core.planning.step import Step
from relnox.core.records import Record, replace
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.indexes import targets
from relnox.project import Project
from relnox.source.git import remotes
from relnox.steps.stages import BuildStage, Gate, SendingStage, Stage

NO_INDEX = "none"


class ReleaseChain(Record, kw_only=True):
    """What is decided about a release before its first stage.

    Attributes:
        releases: The packages; their versions and tags are empty if not known yet.
        is_part: Whether the packages are a part of the workspace, so that each stage has to name them.
        dist: The directory of archives, relative to the root.
        is_checked: Whether the task `check` comes first; it does not if changed files may be from an interrupted
            bump.
        bump: The options of the bump, by field name; empty if the commit is released as it is.
        commit: The tag to build, or None for HEAD.
        test_index: The name of the index to publish to first, or None.
        index: The name of the index to publish to, or None for a rehearsal.
        is_production: Whether `index` is a production index.
        remote: The name of the remote to push to, or None if there is none.
        has_forge_release: Whether a release is made on GitHub or GitLab as well.
        yes: Whether the command line has confirmed what becomes public.
        verify: Further options of `verify-install` with the test index, by field name.
    """

    releases: tuple[ReleasedPackage, ...]
    is_part: bool
    dist: str
    is_checked: bool = False
    bump: Mapping[str, Any]
    commit: str | None = None
    test_index: str | None
    index: str | None = None
    is_production: bool = False
    remote: str | None = None
    has_forge_release: bool = False
    yes: bool = False
    verify: Mapping[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the packages."""
        return tuple(release.package for release in self.releases)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the release that are known before its first stage, each once."""
        return tuple(dict.fromkeys(release.tag for release in self.releases if release.tag))


def release_stages(chain: ReleaseChain) -> Iterator[Step]:
    """Yield the stages of a release in order. Each is a task of its own, and runs if all before it succeeded."""
    dist, packages = chain.dist, {"package": tuple(sorted(chain.names))} if chain.is_part else {}

    # What can be decided now is decided before anything is changed.
    if chain.is_checked:
        # The bump makes the version new, with an entry in the changelog; the push makes the tags equal.
        skip = ("tags", "version-new", "changelog") if chain.bump else ("tags",)
        target = {"index": chain.index, **packages}
        yield Stage(
            task="check", options=_option_pairs({**target, "skip": skip}), purpose="check what can be checked now"
        )

    # The new versions are a commit and tags of this clone only, so that `bump --undo` reverts them.
    if chain.bump:
        versions = join_names(f"{release.package} {release.version}".strip() for release in chain.releases)
        tags = join_names(chain.tags) or "the release"
        purpose = f"set {versions}; commit and tag it ({tags}), in this clone only"
        yield Stage(task="bump", options=_option_pairs(chain.bump), purpose=purpose)

    # The archives are built once, from that commit. All later stages use these files.
    commit = {"commit": chain.commit} if chain.commit is not None else {}
    yield BuildStage(
        task="build-all",
        options=_option_pairs({**commit, "output": dist, **packages}),
        packages=chain.names,
        directory=dist,
        commit=chain.commit,
        purpose=f"build and check the archives of {chain.commit or 'the current commit'}",
    )

    # What was built can be installed, before anything leaves this machine; a rehearsal sends nothing anyway.
    if chain.index is not None:
        yield Stage(
            name="verify-dist",
            task="verify-install",
            options=_option_pairs({"from_": "dist", "dist": dist, **packages}),
            purpose="install the built files in fresh environments, and check them",
        )

    # A test index accepts the files, and serves what can be installed.
    if chain.test_index is not None:
        target = {"index": chain.test_index, "dist": dist, **packages}
        yield Stage(
            task="publish-test",
            options=_option_pairs({**target, "verify": False}),
            purpose=f"publish the files to {chain.test_index}",
        )
        yield Stage(
            name="verify-test" if chain.index is not None else "",
            task="verify-install",
            options=_option_pairs({**target, **chain.verify}),
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
        options=_option_pairs({**target, "yes": True}),
        purpose=f"publish the files to {chain.index}, and compare what it serves",
    )
    yield Gate(
        stages=(push, replace(publish, options=_option_pairs(target))),
        yes=chain.yes,
        purpose="check what becomes public, and ask",
    )

    # The remote has the commit and its tags before the index has the files: a push can be rejected; files stay.
    yield push
    yield publish

    # What people install from now on works.
    yield Stage(
        name="verify",
        task="verify-install",
        options=_option_pairs(target),
        purpose=f"install them from {chain.index}",
    )

    # A release page that people read says only what is true by now.
    if chain.has_forge_release:
        yield SendingStage(
            task="forge-release",
            options=_option_pairs(target),
            purpose=f"make the release of {join_names(chain.tags)} on the forge of {chain.remote}",
        )


def _push_stage(chain: ReleaseChain) -> Stage:
    """Return the stage that pushes the branch and the tags of a bump, or else tags what has no tag yet.

    In the second case, the new tags are pushed if there is a remote.
    """
    tags, remote = join_names(chain.tags) or "the commit", chain.remote
    if chain.bump and remote is not None:
        options = {**{name: value for name, value in chain.bump.items() if name != "then_dev"}, "push": True}
        purpose = f"push the branch and {tags} to {remote}"
        return SendingStage(name="push", task="bump", options=_option_pairs(options), purpose=purpose)
    options = {"package": chain.names, "check_index": False, "push": remote is not None}
    purpose = f"tag {tags}, if it has no tag" + (f"; push the tags to {remote}" if remote is not None else "")
    kind = Stage if remote is None else SendingStage
    return kind(name="push", task="auto-tag", options=_option_pairs(options), purpose=purpose)


def _option_pairs(options: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return the options of a task, given by field name, as pairs of field name and value."""
    return tuple(options.items())


def plan(options: Options, project: Project) -> Plan:
    """Plan the stages of a release; problems of its bump block it."""
    new = PlanBuilder("release")
    project.require_commit()
    request = _bump_options(options, project)
    releases = tuple(_current_releases(options, project))
    if request:
        bump_plan = bump.plan(BumpOptions(**{**project.config.bump.options, **request}), project)
        new.problems += bump_plan.problems
        releases = bump_plan.releases
        if not releases:  # nothing to release, or nothing that can be released
            new.notes += bump_plan.notes
            return new.build()
    chain = _decide_chain(options, project, request, releases)
    if options.forge_release:
        note, problems = _forge_release_obstacles(chain, project)
        new.notes += note
        new.problems += problems
        chain = replace(chain, has_forge_release=not note)
    steps = list(release_stages(chain))
    names = [step.key for step in steps]
    if options.until is not None and options.until not in names:
        raise Blocked(
            "options-conflict",
            f"--until {options.until} is not a stage of this release",
            f"pass --until with one of {', '.join(names)}",
        )
    if options.until is not None:
        steps = steps[: names.index(options.until) + 1]
        words = [
            word for name in _REPEATED_OPTIONS for word in fixes.option_words(name, getattr(options, name) or None)
        ]
        new.next_command = fixes.task_command("release", *words)
    new.add(*steps)
    if any(step.key == "publish" for step in steps):
        new.releases += releases
    rows = tuple((step.key, step.purpose) for step in steps if isinstance(step, Stage | Gate))
    new.tables.append(Table(title="", columns=("stage", "what it does"), rows=rows))
    return new.build()


_REPEATED_OPTIONS = ("part", "pre", "to", "package", "index", "test_index")
"""The field names of options that another run for the same release needs as well."""


def _bump_options(options: Options, project: Project) -> dict[str, Any]:
    """Return the options of the bump by field name; empty without `--part`, `--pre` and `--to`."""
    version = {name: value for name in ("part", "pre", "to") if (value := getattr(options, name)) is not None}
    if not version:
        return {}
    selected_names = tuple(package.name for package in project.workspace.select(options.package))
    packages = {"package": selected_names} if selected_names else {}
    return {**version, **packages, "commit": True, "tag": True, "push": False, "then_dev": False}


def _current_releases(options: Options, project: Project) -> Iterator[ReleasedPackage]:
    """Yield the selected packages with current versions, and with the tags of these; both are empty if unknown."""
    for package in project.select(options.package):
        version = package.version
        tag = project.tag_formats[package.name].render(version) if version is not None else ""
        yield ReleasedPackage(package=package.name, version=str(version or ""), tag=tag)


def _decide_chain(
    options: Options, project: Project, request: Mapping[str, Any], releases: tuple[ReleasedPackage, ...]
) -> ReleaseChain:
    """Decide which indexes and which remote a release of `releases` uses, and what its stages need to know.

    `request` has the options of the bump by field name; it is empty if the current commit is released as it is.
    """
    config, (git, state, _) = project.config, project.require_commit()
    index, test_index = options.index, options.test_index
    if index is None:
        tags = {
            release.package: (release.tag, Version(release.version)) if release.tag else None
            for release in releases
            if not project.workspace.by_name[release.package].is_private
        }
        index = targets.select_index_by_tags(config, tags)
    is_production = project.indexes[index].production  # an unknown index is reported first
    if test_index is None:  # only what becomes public anyway goes to a public test index
        defaults = {targets.PRODUCTION: targets.TEST, targets.EMBEDDED: targets.EMBEDDED}
        test_index = defaults.get(index, NO_INDEX)
    return ReleaseChain(
        releases=releases,
        is_part=len(releases) < len(project.workspace.packages),
        dist=options.dist,
        is_checked=not (request and state.changed_files),
        bump=request,
        commit=releases[0].tag if request else None,
        test_index=None if test_index == NO_INDEX else test_index,
        index=index,
        is_production=is_production,
        remote=config.remote if config.remote in project.once(remotes.remote_names, git) else None,
        yes=options.yes,
    )


def _forge_release_obstacles(chain: ReleaseChain, project: Project) -> tuple[list[str], list[Problem]]:
    """Return notes on why no release is made on GitHub or GitLab, and problems that block it.

    At most one of the two has entries. Without any, the release is made.
    """
    if not chain.is_production:
        return [f"no release on the forge ({chain.index} is not a production index)"], []
    if chain.remote is None or not chain.tags:
        return ["no release on the forge (there is no remote, or the tags are not known yet)"], []
    try:
        forge_of(project).require_token()
    except Problem as error:
        return [f"no release on the forge ({error.message})\n  fix: {error.fix}"], []
    return [], list(forge_release_problems(project, dict.fromkeys(chain.tags)))


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the stages of a run, with the status and duration of each, or nothing if none ran.

    `directory` is not used.
    """
    del directory
    rows = tuple((result.step.key, result.status.value, f"{result.seconds:.1f}") for result in outcome.results)
    return (Table(title="Stages", columns=("stage", "status", "seconds"), rows=rows),) if rows else ()
