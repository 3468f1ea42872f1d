"""Build every package: its sdist, and its wheel from that sdist, in dependency order, checked and recorded.

The current commit is exported and built, so that uncommitted changes cannot be released. Packages are built in
isolated environments, several at a time. Archives are checked before they move to the output directory. An earlier
manifest is removed first; the new one is written last: dist/manifest.json and dist/BUILD_MANIFEST.txt.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.core.planning.step import after
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.build_all.snapshot import Snapshot
    from relnox.commands.options import BuildOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.planning.step import Step


def observe(options: Options, project: Project) -> Snapshot:
    """Read the packages, the state of the checkout, the build settings, and the output directory."""
    from relnox.commands.build_all import observation

    return observation.observe(options, project)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to build every package, and to write the manifest.

    Raises:
        Blocked: `--test` is given, but no tests are configured.
    """
    from relnox.commands.build_all import package_steps, preflight

    if options.test and not snapshot.config.test.command:
        raise Blocked(
            "setting-invalid",
            "--test needs a test command ([tool.relnox.test] command is not set)",
            fix='add [tool.relnox.test] command = ["python", "-m", "pytest"] and requires = ["pytest"]',
        )
    if options.matrix is not None:
        matrix = core.wheels.github_matrix([package.name for package in snapshot.packages], snapshot.config.wheels)
        text = json.dumps(matrix, separators=(",", ":"))
        return core.plan.Plan(task="build-all", steps=(steps.WriteMatrix(file=options.matrix, text=text),))
    preparation: list[Step] = []
    # A build that fails must not leave the manifest of an earlier one, which could be published.
    if files_to_remove := snapshot.removable_files if options.clean else snapshot.manifest_files:
        preparation.append(steps.CleanDirectory(directory=options.output, files=files_to_remove))
    export = steps.Export(commit=snapshot.commit) if snapshot.commit is not None else None
    if export is not None:
        preparation.append(export)
    versions = {package.name: package.version for package in snapshot.packages}
    participants = snapshot.hooks.describe_packages(versions)
    generators = snapshot.hooks.hook_steps("before-build", "build-all", participants, needs=after(export))
    preparation += generators
    preparation += package_steps.environment_steps(snapshot)
    builds: dict[str, steps.Build] = {}
    for package in snapshot.packages:
        siblings = [builds[name] for name in package_steps.siblings_for_build(package, snapshot)]
        needs = after(export, *generators, *siblings)
        builds[package.name] = package_steps.build_step(package, snapshot, options, needs=needs)
    work = tuple(package_steps.build_steps(builds, snapshot, options))
    # With --continue-on-error, successful builds are recorded although others failed.
    successful = () if options.continue_on_error else after(*work)
    order = tuple((name, tuple(sorted(snapshot.needs[name] & versions.keys()))) for name in versions)
    state = snapshot.state
    manifest = steps.WriteManifest(
        output=options.output,
        commit=state.head if state is not None else None,
        dirty=snapshot.commit is None and bool(preflight.uncommitted_files(snapshot, options)),
        order=order,
        needs=successful,
    )
    return core.plan.Plan(
        task="build-all",
        steps=(*preparation, *work, manifest),
        notes=(*snapshot.warnings, *preflight.notes(snapshot, options)),
        problems=(
            *snapshot.problems,
            *(() if options.allow_mismatch else snapshot.mismatches),
            *preflight.uncommitted_problems(snapshot),
        ),
        continue_on_error=options.continue_on_error,
    )


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return a table of the packages: the result of each build, and its numbers of files and warnings."""
    from relnox.steps.built_archives import read_manifest_if_valid

    builds = [(result, result.step) for result in outcome.results if isinstance(result.step, steps.Build)]
    if not builds:
        return ()
    manifest = read_manifest_if_valid(directory / builds[0][1].output)
    rows = []
    for result, step in builds:
        is_success = result.status in (core.events.Status.SUCCESS, core.events.Status.SKIPPED)
        files = manifest.files_of(step.package) if manifest is not None and is_success else ()
        version = files[0].version if files else step.version
        failed_later = is_success and manifest is not None and step.package in manifest.missing
        status = core.events.Status.FAILED if failed_later else result.status
        counts = (str(count or "-") for count in (len(files), len(result.warnings)))
        rows.append((step.package, str(version or "-"), status.value, *counts))
    columns = ("package", "version", "build", "files", "warnings")
    return (core.plan.Table(title="", columns=columns, rows=tuple(rows)),)
