"""The decision of a new bump: which packages are selected, and which version each package gets."""

from __future__ import annotations

from typing import Any

from relnox.commands.bump.options import command_line_words, requested_bump
from relnox.commands.bump.project_state import Observation
from relnox.commands.bump.snapshot import Decision
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import version_groups
from relnox.core.bump import release_history, version_bumps
from relnox.core.bump.version_bumps import BumpRequest
from relnox.core.fixes import CREATE_REPOSITORY
from relnox.core.packages import Package
from relnox.core.settings.config import Config
from relnox.core.tagging import tag_proposals
from relnox.core.versions import version_locations, versioning
from relnox.errors import Blocked


def select_packages(options: Options, project: Project) -> tuple[Package, ...]:
    """Return the packages that the options select; with `--part auto`, the packages that may be bumped.

    Raises:
        Blocked: No packages are selected, one of them is unknown, or the settings do not allow the selection.
    """
    packages, config = project.workspace.packages, project.config
    if config.managed_by is not None:
        raise Blocked(
            "version-managed-elsewhere",
            f"versions are managed by {config.managed_by}",
            fix=f"bump with {config.managed_by}; relnox builds and publishes what it tags",
        )
    if config.versions == "lockstep":
        if options.package:
            raise Blocked(
                "packages-in-lockstep",
                f"--package cannot select single packages (the {len(packages)} packages are bumped in lockstep)",
                fix='remove --package, or set [tool.relnox] versions = "independent"',
            )
        return packages
    if options.package:
        return project.workspace.select(options.package)
    is_one_group = len(version_groups.find_version_groups(project.workspace, config)) == 1
    if options.all or is_one_group or options.part == "auto":
        return packages
    raise Blocked(
        "packages-not-selected",
        f"no packages selected ({len(packages)} in this workspace)",
        fix=_how_to_select(packages, config),
    )


def _how_to_select(packages: tuple[Package, ...], config: Config) -> str:
    """Return a fix that lists the options that select packages, or suggests lockstep if all versions are equal."""
    options = f"name them: --package {packages[0].name}; or use --all, or --part auto"
    versions = {package.version for package in packages}
    if len(versions) > 1 or config.versions is not None:
        return options
    settings = tag_proposals.as_toml({"versions": "lockstep"})
    return f"{options}; or, to bump all of them together, add to pyproject.toml:\n{settings}"


def decide(observation: Observation, options: Options) -> Decision:
    """Decide which version each package gets, and which requirements change with it, without reading any files.

    Raises:
        Blocked: The options contradict each other or the checkout, or a version cannot be bumped as requested.
    """
    if options.number is not None and options.part != "dev":
        raise Blocked("option-missing", f"--number {options.number} needs --part dev", fix="add --part dev")
    _check_usage(options, observation)
    never_tagged = _never_tagged(observation, options)
    released_versions = {
        name: history.version for name, history in observation.history.items() if history.version is not None
    }
    bump_requests = _bump_requests(observation, options, never_tagged)
    bumps, updates = version_bumps.resolve_bumps(
        observation.workspace,
        bump_requests,
        released_versions=released_versions,
        config=observation.config,
        today=observation.today,
        dev_number=options.number,
        own_changes=_own_changes(observation, options),
    )
    if options.to is None:  # --to corrects locations that differ
        version_bumps.check_version_locations_agree(bumps)
    return Decision(bumps, updates, never_tagged)


def _check_usage(options: Options, observation: Observation) -> None:
    """Check that the options fit each other and the state of the checkout.

    Raises:
        Blocked: They do not.
    """
    state = observation.state
    tags_only = all(package.source.kind == "tags" for package in observation.selected)
    if (options.tag or options.push) and not (options.commit or (tags_only and options.tag)):
        flag = "--tag" if options.tag else "--push"
        raise Blocked("option-missing", f"{flag} needs --commit", fix="add --commit")
    if tags_only and options.pull_request:
        raise Blocked(
            "nothing-to-commit",
            f"--pull-request has nothing to commit here (the version comes from tags: "
            f"{observation.selected[0].source.text})",
            fix="remove --pull-request, and add --tag",
        )
    if tags_only and not options.tag:
        provider = observation.selected[0].source.text
        raise Blocked(
            "option-missing", f"a bump needs --tag here (the version comes from tags: {provider})", fix="add --tag"
        )
    if (options.commit or options.tag) and (state is None or state.head is None):
        raise Blocked(
            "not-a-git-repository",
            "--commit and --tag need a git repository with a commit",
            fix=f"{CREATE_REPOSITORY}; or remove --commit and --tag",
        )
    if options.part == "auto" and state is None:
        raise Blocked(
            "not-a-git-repository",
            "--part auto needs a git repository (it reads the commit history)",
            fix="use --part major, --part minor or --part patch",
        )
    if options.part == "auto" and (options.to or options.always_increment):
        raise Blocked(
            "options-conflict",
            "--part auto takes neither --to nor --always-increment",
            fix="remove --to and --always-increment",
        )
    needs_history = options.part == "auto" or any(
        package.source.kind == "tags" for package in observation.selected
    )
    if needs_history and state is not None and state.is_shallow:
        raise Blocked(
            "clone-shallow",
            "this clone is shallow (its history and tags are incomplete)",
            fix="git fetch --unshallow --tags",
        )
    if needs_history and state is not None and not state.tags and observation.remote.tags:
        remote, count = observation.config.remote, len(observation.remote.tags)
        raise Blocked(
            "clone-shallow",
            f"this clone has no tags, but {remote} has {count} (the last releases are not known)",
            fix=f"git fetch --tags {remote}",
        )


def _bump_requests(
    observation: Observation, options: Options, never_tagged: tuple[Package, ...]
) -> dict[str, BumpRequest]:
    """Return the requested bump of each package; with `--part auto`, only of packages with changes to release."""
    if options.part != "auto":
        reason = " ".join(command_line_words(options, ("part", "pre", "to", "number", "always_increment")))
        left_out = {package.name for package in never_tagged}
        realigned_packages = {package.name for package in observation.selected if _realigns(package, options)}
        return {
            package.name: BumpRequest(
                None if package.name in realigned_packages else requested_bump(options),
                reason,
            )
            for package in observation.selected
            if package.name not in left_out
        }
    phase: Any = options.pre
    names = {package.name for package in observation.selected}
    bump_requests = release_history.requests_from_changes(
        observation.workspace,
        observation.history,
        observation.config,
        phase,
        names if options.package else (),
    )
    return {name: bump_request for name, bump_request in bump_requests.items() if name in names}


def _own_changes(observation: Observation, options: Options) -> dict[str, BumpRequest]:
    """Return the levels that the commits of packages ask for, in case they are bumped because of others."""
    if options.part != "auto":
        return {}
    return release_history.requests_for_bumped_packages(
        observation.workspace, observation.history, observation.config
    )


def _never_tagged(observation: Observation, options: Options) -> tuple[Package, ...]:
    """Return the packages that `--all` skips because their versions come from tags and they have no tag yet."""
    if not options.all or options.to is not None:
        return ()
    packages = tuple(
        package
        for package in observation.selected
        if package.source.kind == "tags"
        and package.version is None
        and ((history := observation.history.get(package.name)) is None or history.version is None)
    )
    return packages if len(packages) < len(observation.selected) else ()


def _realigns(package: Package, options: Options) -> bool:
    """Return whether `--to` names the current version of a package, to correct locations that differ from it."""
    if options.to is None or package.version is None:
        return False
    target = versioning.parse(options.to, where="--to")
    return target == package.version and not version_locations.locations_agree(package, target)
