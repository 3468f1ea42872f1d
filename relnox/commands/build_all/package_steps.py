"""The steps that build packages: shared build environments, builds, and tests of archives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox import core, steps
from relnox.core.planning.step import after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.build_all.snapshot import Snapshot
    from relnox.commands.options import BuildOptions as Options
    from relnox.core.packages import Package
    from relnox.core.planning.step import Step
    from relnox.core.settings.build_settings import Constraints


def environment_steps(snapshot: Snapshot) -> Iterator[Step]:
    """Yield a step that prepares each build environment shared by packages with the same build requirements."""
    from relnox.building.known_backends import SHAREABLE_BACKENDS

    sharing: dict[tuple[tuple[str, ...], Constraints], list[Package]] = {}
    for package in snapshot.packages:
        settings = snapshot.settings[package.name]
        requirements = {dependency.text for dependency in package.dependencies if dependency.table == "build"}
        requires = tuple(sorted(requirements | set(settings.extra_requires)))
        if (
            package.backend.partition(":")[0] in SHAREABLE_BACKENDS
            and requires
            and package.name not in snapshot.config.build.commands
            and not package.required_names("build") & snapshot.needs.keys()
        ):
            sharing.setdefault((requires, settings.constraints), []).append(package)
    for (requires, constraints), packages in sharing.items():
        yield steps.PrepareBuildEnvironment(
            requires=requires,
            backend=packages[0].backend.partition(":")[0],
            epoch=snapshot.epoch,
            constraints=constraints,
        )


def build_steps(builds: Mapping[str, steps.Build], snapshot: Snapshot, options: Options) -> Iterator[Step]:
    """Yield the builds, each followed by the steps that check its reproducibility and run tests, if requested."""
    test = snapshot.config.test
    for package, build in builds.items():
        yield build
        if options.reproducible:
            yield steps.CheckReproducibility(build=build, needs=after(build))
        if options.test:
            siblings = [builds[name] for name in sorted(snapshot.needs[package] & builds.keys())]
            for python in _requested_pythons(options) or ("",):
                yield steps.RunTests(
                    package=package,
                    python=python,
                    directory=build.directory,
                    output=build.output,
                    command=test.command,
                    requires=test.requires,
                    environment=tuple(sorted(test.env.items())),
                    siblings=tuple(sibling.package for sibling in siblings),
                    needs=after(build, *siblings),
                )


def build_step(
    package: Package, snapshot: Snapshot, options: Options, *, needs: tuple[str, ...] = ()
) -> steps.Build:
    """Return the step that builds a package; `needs` has the keys of the steps that must succeed first."""
    siblings = siblings_for_build(package, snapshot)
    return steps.Build(
        package=package.name,
        version=package.version,
        directory=package.directory,
        output=options.output,
        epoch=snapshot.epoch,
        strict=options.strict,
        pythons=_requested_pythons(options),
        wheels=_use_of_wheels(package, snapshot, options),
        requires=core.requirements.requires_dist(package),
        private=package.is_private or snapshot.commit is None or package.name in snapshot.untagged_packages,
        declarative=package.name in snapshot.declarative,
        command=snapshot.config.build.commands.get(package.name, ()),
        tags=snapshot.tags.get(package.name),
        settings=snapshot.settings[package.name],
        may_be_empty=snapshot.config.is_metadata_only(package.name),
        optional_extensions=snapshot.config.has_optional_extensions(package.name),
        siblings=tuple(siblings),
        needs=needs,
    )


def _use_of_wheels(package: Package, snapshot: Snapshot, options: Options) -> Literal["release", "check", "skip"]:
    """Return what the build does with wheels; other jobs build those of the settings, unless Pythons are given."""
    settings = snapshot.config.wheels
    if core.wheels.has_no_wheels(package.name, settings):
        return "check"
    return "skip" if package.name in settings and not options.python else "release"


def siblings_for_build(package: Package, snapshot: Snapshot) -> list[str]:
    """Return the names of the packages of this plan that must be built and installed to build a package."""
    direct = package.required_names("build") & snapshot.needs.keys()
    return sorted(direct.union(*(snapshot.needs[name] & snapshot.needs.keys() for name in direct)))


def _requested_pythons(options: Options) -> tuple[str, ...]:
    """Return the versions given with `--python`, without duplicates."""
    return tuple(dict.fromkeys(options.python))
