"""Items about the checkout: git's state, the branch, the history, the tests."""

from __future__ import annotations

from collections.abc import Iterator

from relnox.commands.check.context import CheckContext, Finding, NotCheckable
from relnox.commands.shared import checks, consistency
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.steps.run_tests import RunTestsOnCheckout


def check_git_clean(context: CheckContext) -> Iterator[Finding]:
    """Yield problems for uncommitted or hidden changes, unfinished operations and imports of untracked modules."""
    project, (_, state, _) = context.project, context.git
    yield from checks.unfinished_operation_problems(project)
    yield from checks.uncommitted_change_problems(state.changed_files, state.changed_files, ())
    yield from checks.hidden_change_problems(project.tracked_file_states, project)
    yield from checks.untracked_import_problems(context.packages, project)


def check_git_branch(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if the branch is not for releases, tracks another one, or lacks commits of the remote's.

    With the profile `before-publish`, yield one instead of the last if neither a release branch of the remote nor
    a release tag has the commit. `NotCheckable` is raised if there is no remote, or if it does not answer.
    """
    project, (_, state, commit) = context.project, context.git
    yield from checks.disallowed_branch_problems(project)
    yield from checks.upstream_mismatch_problems(project)
    context.require_remote()
    if context.profile == "before-publish":  # before that, the branch is pushed with the bump
        yield from consistency.release_branch_problems(commit, project)
    elif state.branch is not None and checks.head_contains_remote_branch(project) is False:
        yield checks.behind_remote_problem(project)


def check_git_history(context: CheckContext) -> Iterator[Finding]:
    """Yield a problem if the clone is shallow or lacks release tags; raise `NotCheckable` without a remote."""
    project, (_, state, _) = context.project, context.git
    remote = project.config.remote
    if state.is_shallow:
        yield Blocked(
            "clone-shallow",
            "the clone is shallow (changes since the last release are not seen)",
            f"git fetch --unshallow --tags {remote}",
        )
    context.require_remote()
    releases = {tag for tags in project.package_tags.values() for tag in tags}
    if missing_tags := releases - state.tags.keys():
        yield Blocked(
            "clone-shallow",
            f"the clone lacks release tags of {remote}: {join_names(sorted(missing_tags))}",
            f"git fetch --tags {remote}",
        )


def check_tests_pass(context: CheckContext) -> Iterator[Finding]:
    """Yield the step that runs the configured tests; without any, or with `--fix`, raise `NotCheckable`."""
    test = context.project.config.test
    if not test.command:
        raise NotCheckable("[tool.relnox.test] names no command")
    if context.options.fix:
        raise NotCheckable("tests do not run with --fix")
    yield RunTestsOnCheckout(
        packages=tuple((package.name, package.directory) for package in context.packages),
        command=test.command,
        requires=test.requires,
        environment=tuple(test.env.items()),
    )
