"""What a bump is asked for: which packages, by how much; and the moves that come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import core
from relnox.core.options import options_of
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.packages import Package
    from relnox.core.version_bumps import BumpRequest, DependencyUpdates, VersionBump
    from relnox.core.versioning import Bump

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = ["bump_of", "check_usage", "never_tagged", "request", "resolve", "select_packages"]

_REQUEST = (
    "part",
    "pre",
    "to",
    "package",
    "all",
    "exact",
    "allow_lower",
    "commit",
    "tag",
    "push",
    "lock",
    "force",
    "undo",
)


def select_packages(options: Options, project: Project) -> tuple[Package, ...]:
    """The packages that are asked for; with `--part auto` those that may move."""
    every, config = project.workspace.packages, project.release_config
    if config.managed_by is not None:
        raise Blocked(
            "todo",
            f"the versions belong to {config.managed_by}, which moves and tags them",
            fix=f"bump with {config.managed_by}; relnox builds and publishes what it tags",
        )
    if config.versions == "lockstep":
        if options.package:
            why = project.lockstep_reason or f"the {len(every)} packages move in lockstep"
            raise Blocked(
                "todo",
                f"{why}: --package would part them",
                fix='leave --package out, or set [tool.relnox] versions = "independent"',
            )
        return every
    if options.package:
        return project.workspace.select(options.package)
    together = len(core.version_bumps.version_groups(project.workspace, config)) == 1
    if options.all or together or options.part == "auto":
        return every
    raise Blocked(
        "todo",
        f"there are {len(every)} packages, and it is not said which to move",
        fix=_which_to_move(every, config),
    )


def _which_to_move(every: tuple[Package, ...], config: Config) -> str:
    """How to say which packages move: options, and the setting for packages that have one version."""
    options = f"name them: --package {every[0].name}; or use --all, or --part auto"
    versions = {package.version for package in every}
    if len(versions) > 1 or config.versions is not None:
        return options
    settings = core.tag_proposals.as_toml({"versions": "lockstep"})
    return f"{options}; or, if all of them move together, add to pyproject.toml:\n{settings}"


def check_usage(options: Options, snapshot: Snapshot) -> None:
    """Refuse options that contradict each other, or what there is to work with."""
    of_tags_alone = all(package.source.kind == "tags" for package in snapshot.selected)
    if (options.tag or options.push) and not (options.commit or (of_tags_alone and options.tag)):
        flag = "--tag" if options.tag else "--push"
        raise Blocked(
            "todo", f"{flag} needs --commit: there would be nothing to {flag[2:]}", fix=f"add --commit to {flag}"
        )
    if of_tags_alone and not options.tag:
        provider = snapshot.selected[0].source.text
        raise Blocked("todo", f"the version comes from tags ({provider}): to move it is to tag", fix="add --tag")
    if (options.commit or options.tag) and (snapshot.state is None or snapshot.state.head is None):
        raise Blocked(
            "todo",
            "this is no git checkout with a commit: there is nothing to commit to or to tag",
            fix="git init and commit first, or leave --commit and --tag out",
        )
    if options.part == "auto" and snapshot.state is None:
        raise Blocked("todo", "--part auto reads git's history, and this is no git checkout", fix="name the part")
    reads_tags = options.part == "auto" and not options.package and snapshot.state is not None
    if reads_tags and snapshot.state is not None and not snapshot.known_tags.forms:
        core.levels.check_tag_format_fits(snapshot.history, snapshot.state.tags)
    if options.part == "auto" and (options.to or options.exact):
        raise Blocked("todo", "--part auto decides alone", fix="leave --to and --exact out")
    needs_history = options.part == "auto" or any(package.source.kind == "tags" for package in snapshot.selected)
    if needs_history and snapshot.state is not None and snapshot.state.shallow:
        raise Blocked(
            "todo",
            "this clone is shallow: its history is cut off, and with it the tags that count",
            fix="git fetch --unshallow --tags",
        )
    if needs_history and snapshot.state is not None and not snapshot.state.tags and snapshot.remote_tags:
        remote, count = snapshot.config.remote, len(snapshot.remote_tags)
        raise Blocked(
            "todo",
            f"this clone has no tags, and {remote} has {count}: what was released cannot be read from the history",
            fix=f"git fetch --tags {remote}",
        )


def _wishes(snapshot: Snapshot, options: Options) -> dict[str, BumpRequest]:
    if options.part != "auto":
        reason = " ".join(word for word in request(options, ("part", "pre", "to", "exact")))
        bump = bump_of(options)
        mends = {package.name for package in snapshot.selected if _mends(package, options)}
        left_out = {package.name for package in never_tagged(snapshot, options)}
        return {
            package.name: core.version_bumps.BumpRequest(None if package.name in mends else bump, reason)
            for package in snapshot.selected
            if package.name not in left_out
        }
    phase: Any = options.pre
    chosen = {package.name for package in snapshot.selected}
    found = core.levels.bump_requests(
        snapshot.workspace,
        snapshot.history,
        snapshot.fragments,
        snapshot.config,
        phase,
        chosen if options.package else (),
    )
    return {name: bump_request for name, bump_request in found.items() if name in chosen}


def never_tagged(snapshot: Snapshot, options: Options) -> tuple[Package, ...]:
    """Packages that --all leaves out: their versions come from tags, and they have none that could be raised."""
    if not options.all or options.to is not None:
        return ()
    found = tuple(
        package
        for package in snapshot.selected
        if package.source.kind == "tags"
        and package.version is None
        and ((stands := snapshot.history.get(package.name)) is None or stands.version is None)
    )
    return found if len(found) < len(snapshot.selected) else ()


def _mends(package: Package, options: Options) -> bool:
    """Whether --to names the version that a package has, for the sake of a place that states another one."""
    if options.to is None or package.version is None:
        return False
    named = core.versioning.parse(options.to, where="--to")
    return named == package.version and not core.version_bumps.locations_agree(package, named)


def resolve(snapshot: Snapshot, options: Options) -> Decided:
    """The moves that come of what is asked, and the requirements that follow."""
    released = {name: each.version for name, each in snapshot.history.items() if each.version is not None}
    moved, follow = core.version_bumps.plan_bumps(
        snapshot.workspace,
        _wishes(snapshot, options),
        released=released,
        config=snapshot.config,
        today=snapshot.today,
    )
    if options.to is None:  # a version that is named mends places that do not agree
        core.version_bumps.check_locations_agree(moved)
    return moved, follow


def bump_of(options: Options) -> Bump:
    """The arithmetic that the options ask for."""
    values: Any = {name: getattr(options, name) for name in ("part", "pre", "to", "exact", "allow_lower")}
    return core.versioning.Bump(**values)


def request(options: Options, names: tuple[str, ...] = _REQUEST) -> tuple[str, ...]:
    """The options that choose what a bump does, as words of a command; settings have no say in an undo."""
    words: list[str] = []
    for each in options_of(type(options)):
        value = getattr(options, each.name)
        if each.name not in names or value in (each.default, None) or (options.undo and each.anywhere):
            continue
        if each.kind is tuple:
            words += [word for name in value for word in (each.flag, name)]
        else:
            words += [each.flag] if value is True else [each.flag, str(value)]
    return tuple(words)
