"""Items that the forge knows: CI of the commit, and the protection of the environments that publish."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

from relnox.commands.check.context import CheckContext, Finding, NotCheckable
from relnox.commands.shared.forge_releases import forge_of
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.forges import Forge

T = TypeVar("T")

_DEFAULT_ENVIRONMENT = "pypi"
_REJECTED_REQUESTS = ("forge-token-missing", "forge-rejected", "forge-unknown")
"""The codes of errors that say nothing about an item."""


def check_ci_green(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if CI of the commit failed; raise `NotCheckable` if it is not finished or did not run.

    The CI job that runs this check does not count.
    """
    _, _, commit = context.git
    forge = _require_forge(context)
    own_runs = [f"/runs/{os.environ.get('GITHUB_RUN_ID')}/", f"/pipelines/{os.environ.get('CI_PIPELINE_ID')}"]
    runs = [
        run
        for run in _call_forge(context, forge.check_runs, commit)
        if not (run.state == "pending" and any(part in f"{run.url}/" for part in own_runs))
    ]
    failed_runs = [run for run in runs if run.state == "failed"]
    pending_runs = [run for run in runs if run.state == "pending"]
    if failed_runs:
        yield Blocked(
            "ci-failed",
            f"CI of {commit[:10]} failed: {join_names(run.name for run in failed_runs)}",
            f"fix what failed, and push; to see it: {failed_runs[0].url or forge.location.path}",
        )
    elif pending_runs:
        raise NotCheckable(f"CI of {commit[:10]} is not finished: {join_names(run.name for run in pending_runs)}")
    elif not runs:
        raise NotCheckable(f"{forge.name} has no CI result of {commit[:10]} (not pushed, or no CI)")


def check_environments(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem for each publishing environment that does not exist, or that no other person has to approve.

    `NotCheckable` is raised if the forge does not say who may approve, or if the settings name no environments and
    the default one does not exist.
    """
    forge, names = _require_forge(context), context.project.config.check.environments
    unclear_names = []
    for name in names or (_DEFAULT_ENVIRONMENT,):
        environment = _call_forge(context, forge.environment, name)
        if environment is None and not names:
            raise NotCheckable(
                f"there is no environment {name}; name those that publish: [tool.relnox.check] environments"
            )
        reason = "it does not exist, and a job that names it gets one without rules"
        if environment is not None:
            unclear_names += [name] if environment.prevents_self_review is None else []
            rules = {
                "it has no required reviewers": environment.has_reviewers,
                "reviewers may approve their own runs": environment.prevents_self_review is not False,
            }
            reason = "; ".join(text for text, holds in rules.items() if not holds)
        if reason:
            yield Blocked(
                "environment-unprotected",
                f"environment {name} of {forge.location.path} is not protected ({reason})",
                forge.environment_fix.format(name=name),
            )
    if unclear_names:
        names_in_text = join_names(unclear_names)
        raise NotCheckable(
            f"{forge.name} does not say whether reviewers may approve their own runs: {names_in_text}"
        )


def _require_forge(context: CheckContext) -> Forge:
    """Return the forge of the remote; raise `NotCheckable` without one that is supported."""
    try:
        return forge_of(context.project)
    except Problem as error:
        raise NotCheckable(error.message) from error


def _call_forge(context: CheckContext, method: Callable[[str], T], argument: str) -> T:
    """Return what a method of the forge returns for `argument`; raise `NotCheckable` if the forge rejects it."""
    try:
        return context.project.once(method, argument)
    except Problem as error:
        if error.code in _REJECTED_REQUESTS:
            raise NotCheckable(error.message) from error
        raise
