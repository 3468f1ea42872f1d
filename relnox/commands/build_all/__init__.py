"""Build every package: its sdist, and its wheel from that sdist, in dependency order, checked and recorded.

The current commit is exported and built, so that uncommitted changes cannot be released. Packages are built in
isolated environments, several at a time. Archives are checked before they move to the output directory. An earlier
manifest is removed first; the new one is written last: dist/manifest.json and dist/BUILD_MANIFEST.txt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal

from relnox.building.build_environments import SHAREABLE_BACKENDS
from relnox.commands.build_all import preconditions
from relnox.commands.build_all.preconditions import OutputDirectory
from relnox.commands.options import BuildOptions as Options
from relnox.commands.shared import checks, consistency, hooks, policies, releases
from relnox.core import fixes, tag_versions
from relnox.core.packages import Package
from relnox.core.planning.events import Outcome, Status
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import keys_of
from relnox.core.release import wheels
from relnox.core.requirements import requires_dist, unbounded_sibling_warnings
from relnox.core.settings.build_settings import BuildSettings, Constraints
from relnox.core.tag_versions import CommitTags
from relnox.errors import Blocked
from relnox.project import Project
from relnox.steps.build import Build, CheckReproducibility, Export
from relnox.steps.build_environments import PrepareBuildEnvironment
from relnox.steps.built_archives import CleanDirectory, read_manifest_if_valid
from relnox.steps.manifest import WriteManifest
from relnox.steps.run_tests import RunTests


def plan(options: Options, project: Project) -> Plan:
    """Plan to build packages of the current commit, `--commit` or the working tree, and to write the manifest."""
    if options.commit is not None:
        return project.once(_plan_build_of_commit, options, project)
    return _plan_build(options, project, project)


def _plan_build_of_commit(options: Options, checkout: Project) -> Plan:
    """Plan the build of `--commit`, in a temporary checkout of it."""
    if options.from_tree:
        raise Blocked(
            "options-conflict",
            "--commit cannot be used with --from-tree (which builds the files of the checkout)",
            fix="remove --commit or --from-tree",
        )
    with checkout.at_commit(str(options.commit)) as project:
        return _plan_build(options, project, checkout)


def _plan_build(options: Options, project: Project, checkout: Project) -> Plan:
    """Plan to build the packages of `project`, and to write them to the output directory of `checkout`.

    `project` is `checkout` itself, or its files at another commit.
    """
    new = PlanBuilder("build-all", continue_on_error=options.continue_on_error)
    request = releases.read_release_request(options, options.package, project, tagged=options.tagged)
    packages = request.packages(project)
    names = tuple(package.name for package in packages)
    if options.test and not project.config.test.command:
        raise Blocked(
            "setting-invalid",
            "--test needs a test command ([tool.relnox.test] command is not set)",
            fix='[tool.relnox] test = { command = ["python", "-m", "pytest"], requires = ["pytest"] }',
        )

    state = project.state
    head = state.head if state is not None else None
    commit = None if options.from_tree else head
    tags = [tag for tag, tagged in state.tags.items() if tagged == head] if state is not None else []
    untagged_names = _untagged_packages(packages, project, tags)
    is_private = commit is None or not project.config.follows_public_rules
    output = OutputDirectory(checkout.root / options.output, checkout)
    version_problems, version_notes = consistency.compare_versions(request, project, names)
    tag_problems, tag_notes = consistency.compare_commit_with_tags(packages, project, commit, request.tag)
    settings, settings_notes = preconditions.read_build_settings(packages, project)
    submodule_problems, submodule_notes = preconditions.submodule_problems_and_notes(packages, checkout, commit)
    changed_files = preconditions.uncommitted_files(project, options.output)

    new.problems += checks.missing_python_problems(options.python, project)
    new.problems += preconditions.source_consistency_problems(packages, project, commit, options.expect_commit)
    new.problems += output.clean_problems() if options.clean else ()
    new.problems += submodule_problems
    new.add_problems((*version_problems, *tag_problems), options)
    new.problems += preconditions.uncommitted_version_file_problems(packages, project, commit)
    new.notes += project.workspace.warnings
    new.notes += [
        f"{name} has no tag on this commit: its build backend derives a development version, which is not for "
        "publishing"
        for name in untagged_names
    ]
    new.notes += unbounded_sibling_warnings(packages, project.workspace)
    new.notes += (*version_notes, *tag_notes, *settings_notes, *submodule_notes)
    new.notes += preconditions.uncommitted_file_notes(changed_files, commit)
    new.notes += output.foreign_file_notes(options.output)

    # A build that fails must not leave the manifest of an earlier one, which could be published.
    if files_to_remove := output.removable_files if options.clean else output.manifest_files:
        new.add(CleanDirectory(directory=options.output, files=files_to_remove))
    export = Export(commit=commit) if commit is not None else None
    new.add(*([export] if export is not None else []))
    versions = {package.name: package.version for package in packages}
    generators = new.add(*hooks.hook_steps("before-build", "build-all", versions, project, needs=keys_of(export)))
    epoch = project.once(project.git.commit_time, head or "HEAD") if project.git is not None else None
    needs = {package.name: project.workspace.runtime_dependencies(package) for package in packages}
    new.add(*_environment_steps(packages, settings, project, epoch))
    commit_tags = _commit_tags_by_package(packages, project, tags) if commit is not None else {}
    builds: dict[str, Build] = {}
    for package in packages:
        direct = package.required_names("build") & needs.keys()  # installed for the build, with what they need
        siblings = sorted(direct.union(*(needs[name] & needs.keys() for name in direct)))
        builds[package.name] = Build(
            package=package.name,
            version=package.version,
            directory=package.directory,
            output=options.output,
            epoch=epoch,
            strict=options.strict,
            pythons=tuple(dict.fromkeys(options.python)),
            wheels=_wheel_purpose(package, options, project),
            requires=requires_dist(package),
            private=is_private or package.is_private or package.name in untagged_names,
            command=project.config.build.commands.get(package.name, ()),
            tags=commit_tags.get(package.name),
            settings=settings[package.name],
            may_be_empty=package.name in project.metadata_only_packages,
            optional_extensions=project.config.has_optional_extensions(package.name),
            fake_secrets=project.config.fake_secrets,
            ignored_imports=project.untracked_imports([package], ignored=True),
            siblings=tuple(siblings),
            needs=keys_of(export, *generators, *(builds[name] for name in siblings)),
        )
    work = new.add(*_build_and_test_steps(builds, needs, options, project))
    new.add(
        WriteManifest(
            output=options.output,
            commit=head,
            dirty=commit is None and bool(changed_files),
            policy=policies.publishing_policy(project, commit),
            dependencies=tuple((name, tuple(sorted(needs[name] & needs.keys()))) for name in names),
            # With --continue-on-error, successful builds are recorded although others failed.
            needs=() if options.continue_on_error else keys_of(*work),
        )
    )
    new.outputs |= releases.outputs_of_build(packages, project)
    words = ("--from", "dist", *releases.directory_option(options.output, checkout))
    new.next_command = fixes.task_command("verify-install", *words)
    return new.build()


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the packages: the result of each build, and its numbers of files and warnings."""
    builds = [(result, result.step) for result in outcome.results if isinstance(result.step, Build)]
    if not builds:
        return ()
    manifest = read_manifest_if_valid(directory / builds[0][1].output)
    rows = []
    for result, step in builds:
        is_success = result.status in (Status.SUCCESS, Status.SKIPPED)
        files = manifest.files_of(step.package) if manifest is not None and is_success else ()
        version = files[0].version if files else step.version
        failed_later = is_success and manifest is not None and step.package in manifest.missing
        status = Status.FAILED if failed_later else result.status
        counts = (str(count or "-") for count in (len(files), len(result.warnings)))
        rows.append((step.package, str(version or "-"), status.value, *counts))
    columns = ("package", "version", "build", "files", "warnings")
    return (Table(title="", columns=columns, rows=tuple(rows)),)


def _untagged_packages(packages: tuple[Package, ...], project: Project, tags: Collection[str]) -> list[str]:
    """Return the names of the packages whose versions come from tags, but that have none of these tags."""
    return [
        package.name
        for package in packages
        if package.source.kind == "tags" and project.tag_formats[package.name].latest_tag(tags) is None
    ]


def _commit_tags_by_package(
    packages: tuple[Package, ...], project: Project, tags: list[str]
) -> dict[str, CommitTags]:
    """Map packages to the tags of the commit that is built, each to its own tag and the others.

    `tags` are all tags of the commit. Only packages whose build backend computes the version are included.
    """
    formats = project.tag_formats
    by_package = {}
    for package in packages:
        if package.source.kind in ("tags", "dynamic"):
            derives = package.source.kind == "tags"
            remedy = ""
            if derives:
                settings = tag_versions.settings_for_own_tags(package, formats[package.name].prefix)
                remedy = f"make the build backend use the package's own tags; add to the named file:\n{settings}"
            by_package[package.name] = tag_versions.classify_tags_of_commit(
                package.name, tags, formats, is_version_derived=derives, remedy=remedy
            )
    return by_package


def _wheel_purpose(package: Package, options: Options, project: Project) -> Literal["release", "check", "skip"]:
    """Return what the wheel of a package is built for.

    `release`: it is released. `check`: it is built only as a check. `skip`: it is not built here, but by other
    jobs.
    """
    if wheels.has_no_wheels(package.name, project.config.wheels):
        return "check"
    return "skip" if package.name in project.config.wheels and not options.python else "release"


def _environment_steps(
    packages: tuple[Package, ...], settings: Mapping[str, BuildSettings], project: Project, epoch: int | None
) -> Iterator[PrepareBuildEnvironment]:
    """Yield a step for each build environment that packages with the same build requirements can share.

    `settings` is by package name. `epoch` is the time of files in archives, in seconds since 1970; None outside
    git.
    """
    names = {package.name for package in packages}
    backends: dict[tuple[tuple[str, ...], Constraints], str] = {}
    for package in packages:
        requirements = {dependency.text for dependency in package.dependencies if dependency.table == "build"}
        requires = tuple(sorted(requirements.union(settings[package.name].extra_requires)))
        backend = package.backend.partition(":")[0]
        needs_own_environment = (
            package.name in project.config.build.commands or package.required_names("build") & names
        )
        if backend in SHAREABLE_BACKENDS and requires and not needs_own_environment:
            backends.setdefault((requires, settings[package.name].constraints), backend)
    for (requires, constraints), backend in backends.items():
        yield PrepareBuildEnvironment(requires=requires, backend=backend, epoch=epoch, constraints=constraints)


def _build_and_test_steps(
    builds: Mapping[str, Build], needs: Mapping[str, frozenset[str]], options: Options, project: Project
) -> Iterator[Build | CheckReproducibility | RunTests]:
    """Yield each build and, if the options request them, the steps that repeat and test it.

    `builds` is by package name; `needs` has the names of the packages that each package requires at run time.
    """
    test = project.config.test
    for package, build in builds.items():
        yield build
        if options.reproducible:
            yield CheckReproducibility(build=build, needs=keys_of(build))
        siblings = [builds[name] for name in sorted(needs[package] & builds.keys())]
        for python in (build.pythons or ("",)) if options.test else ():
            yield RunTests(
                package=package,
                python=python,
                directory=build.directory,
                output=build.output,
                command=test.command,
                requires=test.requires,
                environment=tuple(sorted(test.env.items())),
                siblings=tuple(sibling.package for sibling in siblings),
                needs=keys_of(build, *siblings),
            )
