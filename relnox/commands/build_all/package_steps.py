"""The steps that build packages: shared build environments, builds, and tests of the built archives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.core import serialization
from relnox.core.planning.step import after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relnox.commands.build_all import Options
    from relnox.commands.build_all.snapshot import Snapshot
    from relnox.core.packages import Package
    from relnox.core.planning.step import Step
    from relnox.core.settings.build_settings import Constraints
    from relnox.core.settings.config_tables import TestConfig


def environment_steps(snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """Yield a step that prepares each build environment shared by packages with the same build requirements."""
    from relnox.building.known_backends import SHAREABLE_BACKENDS

    sharing: dict[tuple[tuple[str, ...], Constraints], list[Package]] = {}
    for package in snapshot.packages:
        settings = snapshot.settings[package.name]
        requirements = {need.text for need in package.dependencies if need.table == "build"}
        requires = tuple(sorted(requirements | set(settings.extra_requires)))
        if (
            options.isolation == "fast"
            and package.backend.partition(":")[0] in SHAREABLE_BACKENDS
            and requires
            and package.name not in snapshot.commands
            and not package.required_names("build") & snapshot.needs.keys()
        ):
            sharing.setdefault((requires, settings.constraints), []).append(package)
    for (requires, constraints), packages in sharing.items():
        yield steps.PrepareBuildEnvironment(
            requires=requires,
            backend=packages[0].backend.partition(":")[0],
            epoch=snapshot.epoch,
            installer=options.installer,
            keep=options.cache,
            output=options.output,
            inputs=tuple((package.name, _digest_inputs(package, snapshot, options)) for package in packages),
            pythons=_requested_pythons(options),
            constraints=constraints,
        )


def build_steps(builds: Mapping[str, steps.Build], snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """Yield the builds, each followed by the steps that check its reproducibility and run tests, if requested."""
    for package, build in builds.items():
        yield build
        if options.reproducible:
            yield steps.CheckReproducibility(build=build, needs=after(build))
        if options.test:
            siblings = [builds[name] for name in sorted(snapshot.needs[package] & builds.keys())]
            for python in _requested_pythons(options) or ("",):
                yield _test_step(build, python, siblings, snapshot.test)


def build_step(
    package: Package, snapshot: Snapshot, options: Options, *, needs: tuple[str, ...] = ()
) -> steps.Build:
    """Return the step that builds a package; `needs` has the keys of the steps that must succeed first."""
    siblings = siblings_for_build(package, snapshot)
    return steps.Build(
        package=package.name,
        version=package.version,
        folder=package.folder,
        output=options.output,
        epoch=snapshot.epoch,
        strict=options.strict,
        installer=options.installer,
        isolation=options.isolation,
        inputs=_digest_inputs(package, snapshot, options),
        keep_environments=options.cache,
        pythons=_requested_pythons(options),
        sdist_only=options.skip_platform_wheels and bool(core.wheels.plan_wheel_jobs(package, snapshot.wheels)),
        requires=core.requirements.requires_dist(package),
        private=package.is_private or snapshot.commit is None or package.name in snapshot.untagged_packages,
        declarative=package.name in snapshot.declarative,
        command=snapshot.commands.get(package.name, ()),
        tags=snapshot.tags.get(package.name),
        settings=snapshot.settings[package.name],
        may_be_empty=package.name in snapshot.metadata_only,
        optional_extensions=package.name in snapshot.optional_extensions,
        siblings=tuple(siblings),
        needs=needs,
    )


def _test_step(
    build: steps.Build, python: str, siblings: Sequence[steps.Build], test: TestConfig
) -> steps.RunTests:
    """Return the step that runs the project's tests against the built wheel of a package.

    Args:
        build: The step that builds the package.
        python: The version of Python to run the tests on; empty for the running one.
        siblings: The steps that build the other packages of the project that it needs.
        test: The settings of `[tool.relnox.test]`.
    """
    return steps.RunTests(
        package=build.package,
        python=python,
        folder=build.folder,
        output=build.output,
        command=test.command,
        requires=test.requires,
        environment=tuple(sorted(test.env.items())),
        siblings=tuple(sibling.package for sibling in siblings),
        installer=build.installer,
        needs=after(build, *siblings),
    )


def siblings_for_build(package: Package, snapshot: Snapshot) -> list[str]:
    """Return the names of the packages of this plan that must be built and installed to build a package."""
    direct = package.required_names("build") & snapshot.needs.keys()
    return sorted(direct.union(*(snapshot.needs[name] & snapshot.needs.keys() for name in direct)))


def _digest_inputs(package: Package, snapshot: Snapshot, options: Options) -> str | None:
    """Return a digest of the inputs of a package's build; None to build the package even if nothing changed."""
    digest = snapshot.inputs.get(package.name)
    if digest is None or not options.cache or siblings_for_build(package, snapshot):
        return None
    settings = snapshot.settings[package.name].config_settings
    return serialization.digest([digest, settings]) if settings else digest


def _requested_pythons(options: Options) -> tuple[str, ...]:
    """Return the versions given with `--python`, without duplicates."""
    return tuple(dict.fromkeys(options.python))
