"""Commit, tag and push, and undo it; git's refs tell what is done, so that the same command finishes a bump."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from relnox.core import fixes
from relnox.core.bump import release_history
from relnox.core.planning.step import Edit, NewTag, Step
from relnox.core.text import format_count, join_names
from relnox.errors import Conflict, ExitCode, Failed
from relnox.source import file_edits
from relnox.source.git import Git, commits, commits_of_tags, remotes
from relnox.steps.edit_files import EditFiles, edit_staging_directory, undo_edits_on_failure
from relnox.steps.run import Run

MAX_TAGS = 3
"""Tags in one push: GitHub creates no events for more."""


class Commit(Step):
    """Commit exactly the edits of the plan, whatever else is staged; undo it if a later local step fails.

    Attributes:
        files: The files to commit, relative to the root; the commit has the content that the planned edits give
            them.
        is_development: Whether the commit sets the next development version on top of the release commit.
    """

    atomic = True
    exclusive = True
    message: str
    files: tuple[str, ...]
    is_development: bool = False

    @property
    def key(self) -> str:
        """The name of the step in the plan, by which other steps need it: `commit` or `commit-development`."""
        return "commit-development" if self.is_development else "commit"

    @property
    def title(self) -> str:
        return f"commit {self.message.splitlines()[0]!r}"

    def apply(self, run: Run) -> str:
        """Commit the planned edits and update git's index; return the full id of the commit.

        Other staged changes stay staged, since the commit is made from a temporary index.

        Raises:
            Failed: git or a commit hook fails, git creates no commit, or a hook changes its content or its
                trailers.
        """
        git, edits = run.checkout, self._planned_edits(run)
        before = git.head()
        try:
            tree = commits.commit_edits(git, self.message, edits)
        finally:
            head = git.head()
            if before is not None and head not in (None, before):
                run.undo_on_failure(commits.reset_index, git, self.files)
                run.undo_on_failure(commits.move_branch, git, head, before)
        if head is None or head == before:
            raise Failed(
                "branch-changed",
                "git commit succeeded, but created no commit",
                fix="check the current commit: git log -1",
            )
        _check_commit(git, tree, self.files, self.message)
        commits.reset_index(git, self.files)
        return head

    def verify(self, run: Run, result: str) -> str:
        """Return the start of the commit's id and, if any, the names of committed files that changed since."""
        changed_files = [
            edit.file for edit in self._planned_edits(run) if not file_edits.are_edits_applied(run.root, (edit,))
        ]
        return (
            f"{result[:10]}, without later changes of {join_names(changed_files)}"
            if changed_files
            else result[:10]
        )

    def _planned_edits(self, run: Run) -> tuple[Edit, ...]:
        """Return the edits of the `EditFiles` step that belongs to this commit."""
        return next(
            step.edits
            for step in run.plan.steps
            if isinstance(step, EditFiles) and step.is_development == self.is_development
        )


def _check_commit(git: Git, tree: str, files: Collection[str], message: str | None = None) -> None:
    """Check that HEAD has the planned `tree` (an id), so that no commit hook changed the commit.

    The release trailers of its message must be those of `message`, unless that is None. `files` are the planned
    ones, which the error distinguishes from other files.

    Raises:
        Failed: A commit hook changed one of `files`, added another file, or removed a trailer.
    """
    paths = git.read_entries("diff-tree", "-r", "--name-only", "--no-renames", tree, "HEAD")
    names = [path.removeprefix(git.prefix) for path in paths]
    changed_files, added_files = (
        join_names(name for name in names if (name in files) == is_planned) for is_planned in (True, False)
    )
    keys, (commit,) = (release_history.RELEASE, release_history.DEVELOPMENT), git.commit_messages("-1")
    planned, actual = (
        [release_history.read_trailers(text, key) for key in keys]
        for text in (message or commit.message, commit.message)
    )
    actions = [
        f"changed the content of {changed_files} in the commit" if changed_files else "",
        f"added {added_files} to the commit" if added_files else "",
        f"removed trailers ({' or '.join(keys)}) from the commit message" if planned != actual else "",
    ]
    if any(actions):
        raise Failed(
            "hook-changed-files",
            f"a commit hook {' and '.join(filter(None, actions))}",
            fix="have the hook skip the release commit; if a release needs its changes, make them in "
            "[[tool.relnox.hooks.edit-bump]]",
        )


class ResetIndex(Step, key="index", title="bring git's index up to date with the commit"):
    """Update git's index to HEAD, if an earlier run was killed after its commit and before it updated the index.

    If a commit hook changed the content of that commit, the branch goes back to the commit's parent instead, and
    the step fails.

    Attributes:
        files: The files, relative to the root, that the index has as in the parent of HEAD.
    """

    atomic = True
    exclusive = True
    files: tuple[str, ...]

    def apply(self, run: Run) -> str:
        git = run.checkout
        head, parent, tree = git.head(), git.parent_commit(), commits.read_planned_tree(git)
        try:
            if tree is not None:
                _check_commit(git, tree, self.files)
        except Failed:
            if head is not None and parent is not None:
                commits.move_branch(git, head, parent)
            raise
        commits.reset_index(git, self.files)
        return format_count(len(self.files), "file")


class CreateTags(Step, key="tag"):
    """Create annotated tags, all or none; delete them again if a later local step fails.

    Attributes:
        commit: The commit to tag; None for HEAD.
    """

    atomic = True
    exclusive = True
    tags: tuple[NewTag, ...]
    commit: str | None = None

    @property
    def title(self) -> str:
        return f"tag {join_names([tag.name for tag in self.tags])}"

    def reason_to_skip(self, run: Run) -> str | None:
        return "the tags already exist on this commit" if not self._missing_tags(run.checkout) else None

    def apply(self, run: Run) -> None:
        git, missing = run.checkout, self._missing_tags(run.checkout)
        existing = git.tags()
        commits.delete_tags(git, [tag.name for tag in missing if tag.name in existing])
        commits.create_tags(git, missing, self._commit_to_tag(git))
        run.undo_on_failure(commits.delete_tags, git, [tag.name for tag in missing])

    def verify(self, run: Run, result: None) -> str:
        super().verify(run, result)
        return self.tags[0].name if len(self.tags) == 1 else format_count(len(self.tags), "tag")

    def _commit_to_tag(self, git: Git) -> str:
        return self.commit or git.head() or ""

    def _missing_tags(self, git: Git) -> list[NewTag]:
        """Return the tags to create: missing ones, and those to move since their commit was rebased or amended.

        Raises:
            Conflict: A tag exists on another commit.
        """
        commit = self._commit_to_tag(git)
        existing = git.tag_targets([tag.name for tag in self.tags])
        if any(existing.values()):
            existing = {**dict.fromkeys(existing), **git.tags()}
        missing = [tag for tag in self.tags if existing[tag.name] != commit]
        for tag in missing:
            tagged_commit = existing[tag.name]
            if tagged_commit is not None and not self._was_rebased(git, tagged_commit):
                raise Conflict(
                    "tag-exists",
                    f"tag {tag.name} already exists on another commit ({tagged_commit[:10]})",
                    fix=f"choose a higher version: --to VERSION; to see the tag: git show {tag.name}",
                )
        return missing

    def _was_rebased(self, git: Git, tagged_commit: str) -> bool:
        """Return whether a tagged commit, now on no branch, is the commit to tag before a rebase or amendment."""
        branches = ("refs/heads", "refs/remotes")
        if self.commit is None or git.read_lines("for-each-ref", f"--contains={tagged_commit}", *branches):
            return False
        versions, earlier_versions = (
            release_history.read_trailers(git.commit_messages("-1", commit)[0].message)
            for commit in (self.commit, tagged_commit)
        )
        return bool(versions) and versions == earlier_versions


class Push(Step, key="push"):
    """Push a branch and tags to a remote, atomically if the remote supports that.

    Attributes:
        branch: The short name of the branch; empty to push only tags.
    """

    remote = True
    atomic = True
    remote_name: str
    branch: str
    tags: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"push {join_names(filter(None, [self.branch, *self.tags]))} to {self.remote_name} atomically"

    def reason_to_skip(self, run: Run) -> str | None:
        return None if self._missing_refs(run.checkout) else f"{self.remote_name} is up to date"

    def apply(self, run: Run) -> None:
        """Push what the remote lacks; an error of git is ignored if the remote lacks nothing afterwards.

        Raises:
            Failed: The remote still lacks the branch or a tag; if it got the rest, the exit code is
                `PARTLY_PUBLIC`.
        """
        git = run.checkout
        before, ref = self._missing_refs(git), f"refs/heads/{self.branch}"
        branch, replaces = self.branch if ref in before else "", before.get(ref)
        if replaces is not None and not git.is_ancestor(replaces, ref):
            replaces = None  # git rejects the push
        try:
            remotes.push_branch_and_tags(git, self.remote_name, branch, self.tags, replaces)
        except Failed as error:  # an interrupted push may have arrived
            missing = self._missing_refs(git)
            if missing and missing.keys() != before.keys():
                error.exit_code = ExitCode.PARTLY_PUBLIC
                error.fix = "fix what the remote reports above, then rerun the command"
            if missing:
                raise

    def verify(self, run: Run, result: None) -> str:
        del result
        if missing := self._missing_refs(run.checkout):
            error = Failed(
                "push-rejected",
                f"{next(iter(missing))} is missing on {self.remote_name} after the push",
                fix=f"check the remote: git remote -v, git ls-remote {self.remote_name}; then rerun the command",
            )
            error.exit_code = ExitCode.PARTLY_PUBLIC  # git reported success
            raise error
        tags = [format_count(len(self.tags), "tag")] if self.tags else []
        branch = ["the branch"] if self.branch else []
        return f"{self.remote_name} has {' and '.join([*branch, *tags])}"

    def _missing_refs(self, git: Git) -> dict[str, str | None]:
        """Return the full names of refs that the remote lacks (None) or has with another object (its id there).

        A branch that has further commits on the remote is not one of them.
        """
        remote, local = remotes.read_push_refs(git, self.remote_name), git.local_refs()
        branch = f"refs/heads/{self.branch}"
        refs = [branch, *(f"refs/tags/{tag}" for tag in self.tags)]
        missing = {ref: remote.get(ref) for ref in refs if remote.get(ref) != local.get(ref)}
        if branch in missing and self._is_remote_ahead(git, missing[branch], local.get(branch)):
            del missing[branch]
        return missing

    def _is_remote_ahead(self, git: Git, remote: str | None, local: str | None) -> bool:
        """Return whether the remote's commit (fetched if missing) descends from the local one, and both exist."""
        if remote is None or local is None:
            return False
        if git.resolve_commit(remote) is None:
            remotes.try_to_fetch_objects(git, self.remote_name, f"refs/heads/{self.branch}")
        return git.is_ancestor(local, remote)


class PushTags(Step, key="push {self.tags[0][0]}"):
    """Push tags to a remote, atomically if it supports that; its refs decide on success, not git's exit status.

    Attributes:
        tags: Pairs of a tag's name and the id of its commit, at most `MAX_TAGS`.
        created: The tags that this plan creates. If the remote rejects a tag, those that it lacks are deleted from
            the local repository.
    """

    remote = True
    atomic = True
    makes_public = True
    remote_name: str
    tags: tuple[tuple[str, str], ...]
    created: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"push {join_names([tag for tag, _ in self.tags])} to {self.remote_name}"

    def reason_to_skip(self, run: Run) -> str | None:
        """Return a reason if the remote has all tags, perhaps pushed by other runs, else None.

        A local tag that this plan created is deleted if another run pushed a different one of that name: git would
        not fetch that one over it.

        Raises:
            Conflict: The remote has a tag on a commit that is neither an ancestor nor a descendant of the planned
                one.
        """
        missing, foreign = self._compare_with_remote(run)
        return None if missing else _describe_foreign_tags(foreign) or f"{self.remote_name} has the tags already"

    def apply(self, run: Run) -> frozenset[str]:
        """Push the tags that the remote lacks, and return the names of those that other runs pushed.

        Raises:
            Failed: The remote rejects a tag.
            Conflict: The remote has a tag on a commit of another line of history.
        """
        missing, foreign = self._compare_with_remote(run)
        while missing:
            completed = remotes.push_new_tags(run.checkout, self.remote_name, missing)
            tried = missing
            missing, foreign = self._compare_with_remote(run)
            if missing and (completed.returncode == 0 or missing == tried):
                refs = remotes.read_push_refs(run.checkout, self.remote_name)
                commits.delete_tags(run.checkout, [tag for tag in self.created if f"refs/tags/{tag}" not in refs])
                raise Failed(
                    "push-rejected",
                    f"{self.remote_name} rejected {join_names(missing)}:\n{remotes.quote_push_output(completed)}",
                    fix="allow this account or job to create tags (see docs/auto-tag.md), then rerun the command",
                )
        return foreign

    def verify(self, run: Run, result: frozenset[str]) -> str:
        del run
        count = len(self.tags)
        return (
            _describe_foreign_tags(result)
            or f"{self.remote_name} has {'the tag' if count == 1 else f'{count} tags'}"
        )

    def _compare_with_remote(self, run: Run) -> tuple[list[str], frozenset[str]]:
        """Return the tags that the remote lacks, and those that other runs pushed.

        Local tags of `created` are deleted if another run pushed a different tag, so that git can fetch that one.

        Raises:
            Conflict: The remote has a tag on a commit of another line of history.
        """
        git = run.checkout
        remote_refs, local_refs = remotes.read_push_refs(git, self.remote_name), git.local_refs()
        remote_tags = commits_of_tags(remote_refs)
        missing, foreign = [], set()
        for tag, commit in self.tags:
            ref = f"refs/tags/{tag}"
            if tag not in remote_tags:
                missing.append(tag)
            elif remote_tags[tag] != commit:
                self._check_same_history(run, tag, commit, remote_tags[tag])
                foreign.add(tag)
            elif tag in self.created and remote_refs[ref] != local_refs.get(ref):
                foreign.add(tag)
        # git would not fetch the remote's tag over another one of that name.
        refs = {tag: f"refs/tags/{tag}" for tag in sorted(foreign) if tag in self.created}
        outdated_tags = [tag for tag, ref in refs.items() if local_refs.get(ref, "") not in ("", remote_refs[ref])]
        commits.delete_tags(git, outdated_tags)
        return missing, frozenset(foreign)

    def _check_same_history(self, run: Run, tag: str, commit: str, other: str) -> None:
        """Raise `Conflict` if the tag's commit on the remote, `other`, is no ancestor or descendant of `commit`.

        A shallow clone, whose history is incomplete, raises nothing.
        """
        git = run.checkout
        if git.resolve_commit(other) is None:
            remotes.try_to_fetch_objects(git, self.remote_name, f"refs/tags/{tag}", timeout=60.0)
        is_related = git.is_ancestor(other, commit) or git.is_ancestor(commit, other)
        if not is_related and not git.is_shallow():
            raise Conflict(
                "tag-exists",
                f"tag {tag} must be on commit {commit[:10]}, but {self.remote_name} has it on {other[:10]} "
                "(on another branch)",
                fix=f"release a higher version: {fixes.task_command('bump', '--part', 'patch')}; to see the tag "
                f"of {self.remote_name}: git fetch {self.remote_name} refs/tags/{tag} && git show FETCH_HEAD",
            )


def _describe_foreign_tags(foreign: AbstractSet[str]) -> str:
    """Return `tagged by another run: NAMES`; an empty string if other runs pushed none of the tags."""
    return f"tagged by another run: {join_names(sorted(foreign))}" if foreign else ""


class UndoBump(Step, key="undo"):
    """Undo a release that was not pushed: its tags, its commits, and their edits.

    Attributes:
        commits: The commits to remove from the branch, the last one first.
        parent: The commit that the branch goes back to.
        tags: Maps each tag to delete to the object id that it must still have.
        edits: The edits that restore the files as they are in `parent`.
        files: The files that the commits changed, whether they are restored already or not.
    """

    atomic = True
    exclusive = True
    commits: tuple[str, ...]
    parent: str
    tags: Mapping[str, str]
    edits: tuple[Edit, ...]
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        tags = [f"tag {tag}" for tag in self.tags]
        commits = [f"commit {commit[:10]}" for commit in self.commits]
        return f"revert {join_names([*tags, *commits, *(f'the edit of {edit.file}' for edit in self.edits)])}"

    def apply(self, run: Run) -> str:
        """Restore the files, then git's index, and last the branch and tags; return the number of files as text.

        In this order, the same command can finish what a killed run has begun.

        Raises:
            Failed: The branch or a tag has moved since the step was planned.
        """
        git = run.checkout
        edits = file_edits.apply_edits(run.root, self.edits, edit_staging_directory(run))
        undo_edits_on_failure(run, edits)
        run.undo_on_failure(commits.reset_index, git, self.files, self.commits[0])
        commits.reset_index(git, self.files, self.parent)
        commits.move_branch(git, self.commits[0], self.parent, self.tags)
        return f"{format_count(len(self.files), 'file')} restored"


class UntrackFiles(Step, key="untrack"):
    """Remove files from git's index; they stay on the disk, and in the history.

    Attributes:
        files: The files, relative to the root, whose names are those of files with secrets.
    """

    exclusive = True
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"git rm --cached {join_names(self.files)}"

    def reason_to_skip(self, run: Run) -> str | None:
        tracked = run.checkout.read_entries("ls-files", "--", *self.files)
        return None if tracked else "git does not track them; revoke the secrets: the history has them"

    def apply(self, run: Run) -> None:
        run.checkout.run("rm", "--cached", "--quiet", "--", *self.files).check("git rm --cached")
