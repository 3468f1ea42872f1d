"""Selection of the packages to bump, and the bumps that a request comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.core.settings.schema import fields_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.bump.version_bumps import BumpRequest, ResolvedBumps
    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.versions.versioning import Bump

__all__ = ["bump_of", "check_usage", "never_tagged", "request", "resolve", "select_packages"]

_REQUEST = (
    "part",
    "pre",
    "to",
    "package",
    "all",
    "always_increment",
    "allow_lower",
    "commit",
    "tag",
    "push",
    "lock",
    "force",
    "undo",
)


def select_packages(options: Options, project: Project) -> tuple[Package, ...]:
    """Return the selected packages; with `--part auto` those that may be bumped."""
    packages, config = project.workspace.packages, project.release_config
    if config.managed_by is not None:
        raise Blocked(
            "version-managed-elsewhere",
            f"versions are managed by {config.managed_by}",
            fix=f"bump with {config.managed_by}; relnox builds and publishes what it tags",
        )
    if config.versions == "lockstep":
        if options.package:
            why = project.lockstep_reason or f"the {len(packages)} packages are bumped in lockstep"
            raise Blocked(
                "packages-in-lockstep",
                f"--package cannot select single packages ({why})",
                fix='leave --package out, or set [tool.relnox] versions = "independent"',
            )
        return packages
    if options.package:
        return project.workspace.select(options.package)
    is_one_group = len(core.version_bumps.version_groups(project.workspace, config)) == 1
    if options.all or is_one_group or options.part == "auto":
        return packages
    raise Blocked(
        "packages-not-selected",
        f"no packages selected ({len(packages)} in this workspace)",
        fix=_how_to_select(packages, config),
    )


def _how_to_select(packages: tuple[Package, ...], config: Config) -> str:
    """Name the options that select packages, and the setting for packages that share one version."""
    options = f"name them: --package {packages[0].name}; or use --all, or --part auto"
    versions = {package.version for package in packages}
    if len(versions) > 1 or config.versions is not None:
        return options
    settings = core.tag_proposals.as_toml({"versions": "lockstep"})
    return f"{options}; or, to bump all of them together, add to pyproject.toml:\n{settings}"


def check_usage(options: Options, snapshot: Snapshot) -> None:
    """Check that the options agree with each other, and with the checkout."""
    tags_only = all(package.source.kind == "tags" for package in snapshot.selected)
    if (options.tag or options.push) and not (options.commit or (tags_only and options.tag)):
        flag = "--tag" if options.tag else "--push"
        raise Blocked("option-missing", f"{flag} needs --commit", fix="add --commit")
    if tags_only and not options.tag:
        provider = snapshot.selected[0].source.text
        raise Blocked(
            "option-missing", f"a bump needs --tag here (the version comes from tags: {provider})", fix="add --tag"
        )
    if (options.commit or options.tag) and (snapshot.state is None or snapshot.state.head is None):
        raise Blocked(
            "not-a-git-repository",
            "--commit and --tag need a git repository with a commit",
            fix="run git init and commit first, or leave --commit and --tag out",
        )
    if options.part == "auto" and snapshot.state is None:
        raise Blocked(
            "not-a-git-repository",
            "--part auto needs a git repository (it reads the history)",
            fix="--part major, minor or patch",
        )
    reads_tags = options.part == "auto" and not options.package and snapshot.state is not None
    if reads_tags and snapshot.state is not None and not snapshot.known_tags.prefixes:
        core.levels.check_tag_format_fits(snapshot.history, snapshot.state.tags)
    if options.part == "auto" and (options.to or options.always_increment):
        raise Blocked(
            "contradicting-options",
            "--part auto takes neither --to nor --always-increment",
            fix="leave --to and --always-increment out",
        )
    needs_history = options.part == "auto" or any(package.source.kind == "tags" for package in snapshot.selected)
    if needs_history and snapshot.state is not None and snapshot.state.shallow:
        raise Blocked(
            "clone-shallow",
            "this clone is shallow (its history and tags are incomplete)",
            fix="git fetch --unshallow --tags",
        )
    if needs_history and snapshot.state is not None and not snapshot.state.tags and snapshot.remote_tags:
        remote, count = snapshot.config.remote, len(snapshot.remote_tags)
        raise Blocked(
            "tags-not-fetched",
            f"this clone has no tags, but {remote} has {count} (the last releases are not known)",
            fix=f"git fetch --tags {remote}",
        )


def _bump_requests(snapshot: Snapshot, options: Options) -> dict[str, BumpRequest]:
    if options.part != "auto":
        reason = " ".join(word for word in request(options, ("part", "pre", "to", "always_increment")))
        bump = bump_of(options)
        realigned = {package.name for package in snapshot.selected if _realigns(package, options)}
        left_out = {package.name for package in never_tagged(snapshot, options)}
        return {
            package.name: core.version_bumps.BumpRequest(None if package.name in realigned else bump, reason)
            for package in snapshot.selected
            if package.name not in left_out
        }
    phase: Any = options.pre
    names = {package.name for package in snapshot.selected}
    bump_requests = core.levels.bump_requests(
        snapshot.workspace,
        snapshot.history,
        snapshot.fragments,
        snapshot.config,
        phase,
        names if options.package else (),
    )
    return {name: bump_request for name, bump_request in bump_requests.items() if name in names}


def never_tagged(snapshot: Snapshot, options: Options) -> tuple[Package, ...]:
    """Return the packages that --all leaves out: their versions come from tags, and they have no tag yet."""
    if not options.all or options.to is not None:
        return ()
    packages = tuple(
        package
        for package in snapshot.selected
        if package.source.kind == "tags"
        and package.version is None
        and ((history := snapshot.history.get(package.name)) is None or history.version is None)
    )
    return packages if len(packages) < len(snapshot.selected) else ()


def _realigns(package: Package, options: Options) -> bool:
    """Whether --to gives the version that a package has already, to correct a location with another one."""
    if options.to is None or package.version is None:
        return False
    target = core.versioning.parse(options.to, where="--to")
    return target == package.version and not core.version_bumps.locations_agree(package, target)


def resolve(snapshot: Snapshot, options: Options) -> ResolvedBumps:
    """Return the bumps that are requested, and the requirements that change with them."""
    released = {name: history.version for name, history in snapshot.history.items() if history.version is not None}
    resolved = core.version_bumps.plan_bumps(
        snapshot.workspace,
        _bump_requests(snapshot, options),
        released=released,
        config=snapshot.config,
        today=snapshot.today,
    )
    if options.to is None:  # --to corrects locations that differ
        core.version_bumps.check_locations_agree(resolved.bumps)
    return resolved


def bump_of(options: Options) -> Bump:
    """Return the version arithmetic that the options ask for."""
    values: Any = {
        name: getattr(options, name) for name in ("part", "pre", "to", "always_increment", "allow_lower")
    }
    return core.versioning.Bump(**values)


def request(options: Options, names: tuple[str, ...] = _REQUEST) -> tuple[str, ...]:
    """Return the options that determine what a bump does, as words of a command.

    Options that settings can give as well do not count for an undo.
    """
    words: list[str] = []
    for field in fields_of(type(options)):
        value = getattr(options, field.name)
        if field.name not in names or value in (field.default, None) or (options.undo and "file" in field.sources):
            continue
        if field.is_list:
            words += [word for name in value for word in (field.flag, name)]
        else:
            words += [field.flag] if value is True else [field.flag, str(value)]
    return tuple(words)
