"""Query the remotes of a repository, fetch from them, and push to them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence

from relnox.core import fixes
from relnox.errors import Blocked, Failed
from relnox.source.git.repository import Git, commits_of_tags, parse_refs
from relnox.system import process

NETWORK_TIMEOUT = 10.0
"""The time in seconds to wait for a remote whose response is useful but not required."""
_MAX_REASON = 200
_MAX_OUTPUT_LINES = 12


class Remote:
    """A remote whose refs are read once, when first used; outside git (`git` is None), there is none.

    Attributes:
        error: Why the refs could not be read, or None.
    """

    def __init__(self, git: Git | None, name: str) -> None:
        self.name = name
        self.error: str | None = None
        self._git = git
        self._refs: Mapping[str, str] | None = None

    @property
    def refs(self) -> Mapping[str, str] | None:
        """The object id of each branch and tag by full name; `NAME^{}` is the commit of an annotated tag.

        None if there is no such remote, or if it cannot be reached within ten seconds; then `error` says why.
        """
        if (
            self._refs is None
            and self.error is None
            and self._git is not None
            and self.name in remote_names(self._git)
        ):
            try:
                self._refs = read_refs(self._git, self.name, timeout=NETWORK_TIMEOUT)
            except Failed as error:
                self.error = error.message
        return self._refs

    def require_refs(self, needed_by: str) -> Mapping[str, str]:
        """Return `refs`, waiting for the remote as long as git does.

        `needed_by` names the option or action that needs them, for the error. Raise `Blocked` if there is no such
        remote, and `Failed` if it does not answer.
        """
        if self._refs is None:
            if self._git is None or self.name not in remote_names(self._git):
                raise Blocked(
                    "remote-missing",
                    f"git remote {self.name} does not exist ({needed_by} needs it)",
                    fix=f'git remote add {self.name} URL; or set [tool.relnox] remote = "NAME"',
                )
            self._refs, self.error = read_refs(self._git, self.name), None
        return self._refs

    @property
    def tags(self) -> Mapping[str, str]:
        """The commit of each tag by its short name; empty if `refs` is None."""
        return commits_of_tags(self.refs or {})

    @property
    def branches(self) -> Mapping[str, str]:
        """The commit of each branch by its short name; empty if `refs` is None."""
        prefix = "refs/heads/"
        refs = self.refs or {}
        return {name.removeprefix(prefix): commit for name, commit in refs.items() if name.startswith(prefix)}


def remote_names(git: Git) -> frozenset[str]:
    """Return the names of a repository's remotes, such as `origin`."""
    remote_keys = (name for name in git.config if name.startswith("remote.") and name.count(".") > 1)
    return frozenset(name.removeprefix("remote.").rpartition(".")[0] for name in remote_keys)


def read_remote_url(git: Git, remote: str) -> str:
    """Return the URL of a remote as written in git's configuration, or an empty string if none is set."""
    return git.run("config", "--get", f"remote.{remote}.url", stderr=False).output.strip()


def read_refs(git: Git, remote: str, timeout: float | None = None) -> dict[str, str]:
    """Ask a remote for its branches and tags, and return their object ids by full name, such as `refs/heads/main`.

    The commit of an annotated tag is under the name of the tag with `^{}` at its end. If the remote cannot be
    reached, or does not respond within `timeout` seconds, `Failed` is raised.
    """
    return parse_refs(_run_ls_remote(git, remote, "--heads", "--tags", timeout=timeout), "\t")


def read_push_refs(git: Git, remote: str) -> dict[str, str]:
    """Ask a remote for its refs, as `read_refs` does, but at the URL for pushes if it has one of its own.

    If there are several such URLs, only the refs that are the same at all of them are returned.
    """
    settings = git.config
    if f"remote.{remote}.pushurl" not in settings and not any(key.endswith(".pushinsteadof") for key in settings):
        return read_refs(git, remote)
    listings = [read_refs(git, url) for url in git.read_lines("remote", "get-url", "--push", "--all", remote)]
    common = set.intersection(*(set(refs.items()) for refs in listings))
    return dict(common)


def default_branch(git: Git, remote: str) -> str | None:
    """Ask a remote for its default branch; return its short name, or None if it has none.

    Raise `Failed` if the remote cannot be reached.
    """
    target = _run_ls_remote(git, remote, "--symref", pattern="HEAD").partition("\tHEAD")[0]
    return target.removeprefix("ref: refs/heads/") if target.startswith("ref: refs/heads/") else None


def _run_ls_remote(git: Git, remote: str, *options: str, pattern: str = "", timeout: float | None = None) -> str:
    """Return the output of `git ls-remote`, for the refs that match a pattern (empty: all).

    Raise `Failed` if the remote cannot be reached, or does not respond within `timeout` seconds (None: no limit).
    """
    command = ("ls-remote", *options, "--", remote, *filter(None, [pattern]))
    listing = git.run(*command, stderr=False, timeout=timeout)
    if listing.returncode != 0:
        # Not in the run above, where lines of standard error could split those of refs.
        reason = _failure_reason(git.run(*command, timeout=timeout))
        raise Failed(
            "remote-unreachable",
            f"git cannot connect to remote {remote}{reason}",
            fix=f"find the cause: git ls-remote {remote}",
        )
    return listing.output


def _failure_reason(completed: process.CompletedProgram) -> str:
    """Return the first line, except warnings, that a failed command printed, in parentheses after a space.

    Return an empty string if there is no such line, or the command succeeded.
    """
    lines = map(str.strip, completed.output.splitlines() if completed.returncode != 0 else ())
    reason = next((line for line in lines if line and not line.lower().startswith("warning:")), "")
    return f" ({reason.removeprefix('fatal: ')[:_MAX_REASON]})" if reason else ""


def try_to_fetch_objects(git: Git, remote: str, *refs: str, timeout: float = NETWORK_TIMEOUT) -> None:
    """Fetch the objects of a remote's refs, without changing local refs; failures and timeouts are ignored."""
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
    with contextlib.suppress(Failed):  # the time is over
        git.run("fetch", *options, "--", remote, *refs, timeout=timeout)


def push_branch_and_tags(
    git: Git, remote: str, branch: str, tags: Iterable[str], replaces: str | None = None
) -> None:
    """Push a branch (none, if it is empty) and new tags atomically; raise `Failed` if the remote rejects them.

    If the remote does not support atomic pushes, the branch is pushed first, so that the remote never has tags of
    commits that are not on its branch. `replaces` is the commit of the remote's branch that the push may
    overwrite, and the branch must still point to it; None allows only a fast-forward or a new branch.
    """
    lease = [f"--force-with-lease=refs/heads/{branch}:{replaces}"] if replaces is not None else []
    names = list(tags)
    groups = (
        (lease, [f"refs/heads/{branch}:refs/heads/{branch}"] if branch else []),
        (
            [f"--force-with-lease=refs/tags/{tag}:" for tag in names],
            [f"refs/tags/{tag}:refs/tags/{tag}" for tag in names],
        ),
    )
    completed = _push_refs(git, remote, [group for group in groups if group[1]])
    if completed.returncode != 0:
        raise Failed(
            "push-rejected",
            f"push to {remote} was rejected:\n{quote_push_output(completed)}",
            fix="fix what the remote reports above, then rerun the command; or undo the bump: "
            f"{fixes.task_command('bump', '--undo')}",
        )


def push_new_tags(git: Git, remote: str, tags: Iterable[str]) -> process.CompletedProgram:
    """Push tags that do not exist on the remote, atomically or, if the remote does not support that, one by one.

    Return the result of `git push`. No error is raised if it fails, such as for a tag that exists there by now.
    """
    refs = [f"refs/tags/{tag}" for tag in tags]
    return _push_refs(git, remote, [([f"--force-with-lease={ref}:"], [f"{ref}:{ref}"]) for ref in refs])


def push_commit(git: Git, remote: str, commit: str, branch: str, replaces: str | None) -> process.CompletedProgram:
    """Push a commit to a branch, if that still points to the commit `replaces`, or, for None, does not exist.

    Return the result of `git push`. No error is raised if it fails: the remote's refs tell what happened.
    """
    ref = f"refs/heads/{branch}"
    return _push_refs(git, remote, [([f"--force-with-lease={ref}:{replaces or ''}"], [f"{commit}:{ref}"])])


def quote_push_output(completed: process.CompletedProgram) -> str:
    """Return the last lines of the output of `git push`, each after `  | `, for an error message."""
    lines = [line for line in completed.output.splitlines() if line.strip() and not line.startswith("To ")]
    return "\n".join(f"  | {line}" for line in lines[-_MAX_OUTPUT_LINES:])


def _push_refs(
    git: Git, remote: str, groups: Sequence[tuple[Sequence[str], Sequence[str]]]
) -> process.CompletedProgram:
    """Push refs atomically or, if the remote does not support that, one group after another until one fails.

    Each group is a pair: options of `git push`, and refspecs. Return the result of the last command.
    """

    def run(atomic: str, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> process.CompletedProgram:
        options = [option for options, _ in groups for option in options]
        refs = [ref for _, refs in groups for ref in refs]
        # push.followTags would push tags that are not in the plan.
        return git.run("push", atomic, "--no-follow-tags", "--porcelain", *options, "--", remote, *refs)

    completed = run("--atomic", groups)
    if completed.returncode != 0 and "does not support --atomic" in completed.output:
        for group in groups:
            completed = run("--no-atomic", [group])
            if completed.returncode != 0:
                break
    return completed
