"""git in one checkout: queries and changes, without a shell and by the full names of refs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning import fixes
from relnox.core.text import counted
from relnox.errors import Failed
from relnox.source.git import recovery
from relnox.source.git.environment import environment
from relnox.source.git.parsing import GitState, parse_refs, parse_status, parse_tags
from relnox.system import process
from relnox.system.files import make_private_folder
from relnox.system.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.core.bump.changes import Tag

__all__ = ["NETWORK_TIMEOUT", "Git"]

NETWORK_TIMEOUT = 10.0
"""Seconds to wait for a remote whose answer is useful but not required."""
_PACK_THRESHOLD = 20
"""How many files a commit must have for a pack to be worth one more process."""
_PATHSPECS_FROM_STDIN = ("--pathspec-from-file=-", "--pathspec-file-nul")


class Git:
    """git in one checkout.

    Args:
        root: Folder that paths are relative to: the checkout's top level or a folder in it.
        prefix: Path of `root` below the top level, empty or ending in a slash.
        private: Folder of relnox under git's own directory, if it is known already.
        shallow: Whether the clone is shallow, if it is known already.
    """

    def __init__(
        self, root: Path, prefix: str = "", *, private: Path | None = None, shallow: bool | None = None
    ) -> None:
        self.root = root
        self.prefix = prefix
        self._private = private
        self._shallow = shallow

    # --- processes

    def run(  # noqa: PLR0913 - the parameters of `process.run`
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        timeout: float | None = None,
        on_start: Callable[[int], None] | None = None,
        umask: int = -1,
        outlives: bool = True,
    ) -> process.Completed:
        """Run a git command in this checkout without checking how it ends. See `process.run`.

        Commands outlive relnox by default: most are quick, and one that changes the repository must not be killed
        halfway.
        """
        return process.run(
            ["git", *arguments],
            cwd=self.root,
            env=environment(),
            stdin=stdin,
            stderr=stderr,
            timeout=timeout,
            on_start=on_start,
            umask=umask,
            outlives=outlives,
        )

    def output(self, *arguments: str) -> str:
        """Run a git command and return what it prints, without surrounding white space.

        Raises:
            Failed: It fails.
        """
        return self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output.strip()

    def modify(self, *arguments: str, stdin: str | None = None) -> process.Completed:
        """Run a git command that changes the repository, and record its process until it has ended.

        If relnox is killed, git goes on and the next run waits for it. If git is killed, the record shows which
        lock files are stale.
        """
        record = self._process_record()
        make_private_folder(record.parent)
        completed = self.run(*arguments, stdin=stdin, on_start=lambda group: recovery.write_record(record, group))
        if completed.returncode < 0:
            self.recover()
        record.unlink(missing_ok=True)
        return completed

    def wait_for_leftover_process(self) -> None:
        """Wait for the git of a killed run, which goes on without that run.

        Raises:
            Failed: It does not end.
        """
        recovery.wait_for_process(self._process_record())

    def recover(self) -> None:
        """Wait for the git of a killed run, and remove the lock files that it left if it was killed as well.

        Raises:
            Failed: It does not end, or another git is running in this checkout.
        """
        self.wait_for_leftover_process()
        record = self._process_record()
        if record.exists():
            refs = self._git_path("refs")
            folders = {refs.parent, self._git_path("index").parent}  # they differ in a linked worktree
            recovery.remove_stale_locks(record, folders, refs, self.top_level())

    # --- the checkout

    def private_folder(self) -> Path:
        """Return the folder under git's own directory where relnox keeps what must outlive a run."""
        if self._private is None:
            self._private = self._git_path("relnox")
        return self._private

    def top_level(self) -> str:
        """Return the checkout's top folder."""
        return self.output("rev-parse", "--show-toplevel")

    def state(self) -> GitState:
        """Read the state of the checkout."""
        header, dirty, untracked = self._status()
        head = header.get("branch.oid", "(initial)")
        branch = header.get("branch.head", "(detached)")
        return GitState(
            head=None if head == "(initial)" else head,
            branch=None if branch == "(detached)" else branch,
            dirty=dirty,
            untracked=untracked,
            tags=self.tags(),
            shallow=self.is_shallow(),
            upstream=header.get("branch.upstream"),
            behind=-int(header.get("branch.ab", "+0 -0").split(" ")[1]),
        )

    def tracked_files(self) -> tuple[str, ...]:
        """List the files in the index and in those of submodules, relative to the root, sorted."""
        return tuple(sorted(filter(None, self._list_files("ls-files", "--recurse-submodules"))))

    def tracked_files_named(self, *names: str) -> tuple[str, ...]:
        """List tracked files of these names (globs) in the whole checkout, relative to the root."""
        files = self.run("ls-files", "-z", "--", *(f":(top,glob)**/{name}" for name in names), stderr=False).output
        return tuple(sorted(filter(None, files.split("\0"))))

    def ignored_files(self, files: Iterable[str]) -> set[str]:
        """Pick the files that git ignores."""
        ignored = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in ignored.output.split("\0") if name}

    def changed_files(self) -> tuple[str, ...]:
        """List files that differ from the current commit, untracked ones included."""
        _, dirty, untracked = self._status("--no-renames")
        return tuple(sorted({*dirty, *untracked}))

    def grep(self, expressions: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Find lines of tracked text files that match one of the expressions; yield file and line.

        Args:
            expressions: POSIX extended regular expressions.
            exclude: Globs of the names of files that are not searched.
        """
        patterns = [word for expression in expressions for word in ("-e", expression)]
        specs = [".", *(f":(exclude,glob)**/{name}" for name in exclude)]
        matches = self.run("grep", "--no-color", "-I", "-z", "-E", *patterns, "--", *specs, stderr=False)
        for match in matches.output.split("\n"):
            file, separator, line = match.partition("\0")
            if separator:
                yield file, line

    def head_has_files(self, files: Iterable[str]) -> bool:
        """Return whether these files in the checkout equal those of the current commit."""
        names = set(files)
        sample = next(iter(names), None)
        if (
            sample
            and self.run("diff", "--quiet", "HEAD", "--", f":(top,literal){self.prefix}{sample}").returncode == 1
        ):
            return False  # the others need not be read
        changed = self._list_files("diff", "--name-only", "--no-renames", "HEAD")
        return names.isdisjoint(changed) and not self._untracked(names)

    def commit_with(self, files: Iterable[str]) -> str | None:
        """Return the id of the current commit if these files in the checkout equal those of the commit, else None.

        The same as `head_has_files` and `head`, in fewer processes if nothing differs, as after a commit.

        Raises:
            Failed: There is no commit.
        """
        names = set(files)
        header, dirty, _ = self._status("--no-renames", "--untracked-files=no")
        head = header.get("branch.oid", "(initial)")
        if head == "(initial)":
            raise Failed("commit-missing", "git commit succeeded but made no commit", fix="git log -1")
        # Staged changes that the checkout does not have make a file dirty, but do not count.
        matches = not self._untracked(names) if names.isdisjoint(dirty) else self.head_has_files(names)
        return head if matches else None

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Return whether the index has these files as the current commit has them."""
        changed = self._list_files("diff", "--cached", "--name-only", "--no-renames", "HEAD")
        return set(files).isdisjoint(changed)

    def is_shallow(self) -> bool:
        """Return whether the clone is shallow: history ends at some of its commits."""
        if self._shallow is None:
            self._shallow = self.output("rev-parse", "--is-shallow-repository") == "true"
        return self._shallow

    def identity_error(self) -> str | None:
        """Return why git has no name and address for annotated tags; None if it has."""
        identity = self.run("var", "GIT_COMMITTER_IDENT")
        if identity.returncode == 0:
            return None
        return next((line for line in reversed(identity.output.splitlines()) if line.strip()), "git var failed")

    # --- commits

    def head(self) -> str | None:
        """Return the full id of the current commit, None before the first one."""
        return self._commit_id("HEAD^{commit}")

    def resolve(self, revision: str) -> str | None:
        """Return the full id of the commit that a revision names, None if this clone does not have it."""
        return self._commit_id(f"{revision}^{{commit}}")

    def position(self) -> tuple[str | None, str | None]:
        """Return the full id of the current commit and the full name of the current branch, or None."""
        return self.head(), self.run("symbolic-ref", "--quiet", "HEAD", stderr=False).output.strip() or None

    def modes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the modes of files in the current commit, such as `100755`, by path relative to the root."""
        output = self.run("ls-tree", "-z", "HEAD", "--", *names, stderr=False).output
        lines = (line.partition("\t") for line in filter(None, output.split("\0")))
        return {name: words.partition(" ")[0] for words, _, name in lines}

    def parent(self, commit: str = "HEAD") -> str | None:
        """Return the full id of a commit's first parent, None if it has none or is not in this clone."""
        return self._commit_id(f"{commit}^^{{commit}}")

    def read_file_at(self, commit: str, name: str) -> str | None:
        """Read a file of a commit, None if it is not in it."""
        content = self.run("cat-file", "blob", f"{commit}:{self.prefix}{name}", stderr=False)
        return content.output if content.returncode == 0 else None

    def subject(self) -> str:
        """Return the first line of the current commit's message."""
        return self.output("log", "-1", "--no-show-signature", "--format=%s")

    def count_commits(self, since: str | None) -> int:
        """Count the commits of HEAD that a tag does not contain; all of them without a tag."""
        excluded = (f"^refs/tags/{since}",) if since is not None else ()
        return int(self.output("rev-list", "--count", "HEAD", *excluded, "--"))

    def commit_time(self) -> int | None:
        """Return the current commit's time in seconds since 1970, None before the first commit."""
        time = self.run("log", "-1", "--no-show-signature", "--format=%ct", stderr=False)
        return int(time.output) if time.returncode == 0 else None

    def is_ancestor(self, commit: str, descendant: str = "HEAD") -> bool:
        """Return whether a commit is an ancestor of another one, or equal; False if it is not in this clone."""
        return self.run("merge-base", "--is-ancestor", commit, descendant).returncode == 0

    def files_changed_between(self, commit: str, other: str) -> tuple[str, ...] | None:
        """List files that differ between two commits, None if one of them is not in this clone."""
        changed = self.run(
            *("diff", "--name-only", "--no-renames", "--relative", "-z", commit, other, "--"), stderr=False
        )
        return tuple(filter(None, changed.output.split("\0"))) if changed.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """Look up the ids of files and folders in a commit (empty name: the top); None for those not in it."""
        names = list(names)
        revisions = "".join(f"{commit}:{self.prefix}{name}\n" for name in names)
        objects = self.run("cat-file", "--batch-check=%(objectname)", stdin=revisions, stderr=False)
        lines = objects.check("git cat-file").output.splitlines()
        return {name: None if line.endswith(" missing") else line for name, line in zip(names, lines, strict=True)}

    def commit(self, message: str, files: Iterable[str]) -> None:
        """Commit the present content of exactly these files.

        Raises:
            Failed: git or a hook rejected it.
        """
        names = list(files)
        if untracked := self._untracked(set(names)):
            pathspecs = self._pathspecs(untracked)
            self.modify("add", "--intent-to-add", *_PATHSPECS_FROM_STDIN, stdin=pathspecs).check("git add")
        if len(names) > _PACK_THRESHOLD:
            self._write_pack(names)
        options = ("--only", "--quiet", "--no-edit", f"--message={message}")
        self.modify("commit", *options, *_PATHSPECS_FROM_STDIN, stdin=self._pathspecs(names)).check(
            "git commit", fix="fix what git or the hook reports, then rerun the command"
        )

    def undo_commit(self, commit: str, tags: Iterable[str], files: Iterable[str]) -> None:
        """Move the branch to the parent of its last commit and delete tags, all or none; then reset the index.

        Args:
            commit: The commit to undo; the branch stays unless this is the current one.
            tags: Tags to delete.
            files: Files to reset in git's index.
        """
        refs = [f"delete refs/tags/{name}" for name in tags]
        if self.head() == commit:
            refs.append(f"update HEAD {self.output('rev-parse', f'{commit}^')} {commit}")
        self.update_refs(refs, "undoing the bump")
        self.reset_index(files)

    def reset_to(self, commit: str | None, files: Iterable[str]) -> None:
        """Move the branch to an earlier commit and unstage these files; the checkout stays as it is."""
        if commit is not None and self.head() != commit:
            self.modify("reset", "--quiet", "--soft", commit).check("git reset")
            self.reset_index(files)

    def reset_index(self, files: Iterable[str]) -> None:
        """Unstage these files."""
        names = list(files)
        if names:
            pathspecs = self._pathspecs(names)
            self.modify("reset", "--quiet", *_PATHSPECS_FROM_STDIN, "HEAD", stdin=pathspecs).check("git reset")

    # --- refs

    def tags(self) -> dict[str, str]:
        """Return every local tag and the commit it points to."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        return parse_tags(parse_refs(self.run("show-ref", "--tags", "--dereference", stderr=False).output, " "))

    def head_and_tags(self) -> tuple[str | None, dict[str, str]]:
        """Return what `head` and `tags` return, from one process."""
        refs = parse_refs(self.run("show-ref", "--head", "--tags", "--dereference", stderr=False).output, " ")
        return refs.get("HEAD"), parse_tags(refs)

    def tag_subject(self, name: str) -> str:
        """Return the first line of a tag's message."""
        return self.output("for-each-ref", "--format=%(contents:subject)", f"refs/tags/{name}")

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Return the tags of a commit and its ancestors."""
        return frozenset(self.output("tag", "--merged", commit).split())

    def local_refs(self) -> dict[str, str]:
        """Return every local branch and tag by full name; the id of an annotated tag is that of the tag object."""
        listing = self.output("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
        return dict(line.split(" ") for line in listing.splitlines())

    def remote_branches_with(self, commit: str) -> tuple[str, ...]:
        """List remote branches that contain a commit, as of the last fetch."""
        options = ("--format=%(refname:short)", f"--contains={commit}")
        return tuple(self.output("for-each-ref", *options, "refs/remotes").split())

    def create_tag(self, tag: Tag, commit: str) -> None:
        """Create an annotated tag; it must not exist. git signs it where `tag.gpgSign` is set.

        Raises:
            Failed: git could not create or sign it; there is no tag then.
        """
        message = ("--cleanup=whitespace", f"--message={tag.message}")
        self.modify("tag", "--annotate", *message, "--", tag.name, commit).check(f"git tag {tag.name}")
        if self._signs_tags() and "\n-----BEGIN " not in self.output("cat-file", "tag", f"refs/tags/{tag.name}"):
            # git 2.39 succeeds without a signature where the SSH key is missing.
            self.delete_tags([tag.name])
            raise Failed(
                "tag-not-signed",
                f"git created tag {tag.name} without a signature (tag.gpgSign is set)",
                fix='check that this signs: git tag --sign --message test "test-signature"',
            )

    def create_tags(self, tags: Sequence[Tag], commit: str) -> None:
        """Create annotated tags, all or none; none of them may exist. Signed tags are created one by one.

        Raises:
            Failed: git could not create them.
        """
        if len(tags) == 1 or self._signs_tags():
            created: list[str] = []
            try:
                for tag in tags:
                    self.create_tag(tag, commit)
                    created.append(tag.name)
            except BaseException:  # an interruption too must leave all of the tags or none
                self.delete_tags(created)
                raise
            return
        tagger = self.output("var", "GIT_COMMITTER_IDENT")
        private = self.private_folder()
        make_private_folder(private)
        with TemporaryFolder(private) as folder:
            paths = [folder.path / str(number) for number in range(len(tags))]
            for path, tag in zip(paths, tags, strict=True):
                header = f"object {commit}\ntype commit\ntag {tag.name}\ntagger {tagger}\n\n"
                path.write_bytes(f"{header}{tag.message}\n".encode())
            options = ("-t", "tag", "-w", "--no-filters", "--stdin-paths")
            objects = self.run("hash-object", *options, stdin="\n".join(map(str, paths)), stderr=False)
        ids = objects.check("git hash-object -t tag").output.split()
        refs = [f"create refs/tags/{tag.name} {object_id}" for tag, object_id in zip(tags, ids, strict=True)]
        self.update_refs(refs, f"creating {counted(len(tags), 'tag')}")

    def delete_tags(self, names: Iterable[str]) -> None:
        """Delete local tags, all or none; missing ones are ignored."""
        self.update_refs([f"delete refs/tags/{name}" for name in names], "deleting tags")

    def update_refs(self, commands: Iterable[str], action: str) -> None:
        """Change several refs in one transaction (`git update-ref --stdin`).

        Args:
            commands: Lines of its input.
            action: What this does, for an error message.

        Raises:
            Failed: One of the changes is not possible; none was made.
        """
        lines = "".join(f"{command}\n" for command in commands)
        if lines:
            self.modify("update-ref", "--stdin", stdin=lines).check(action)

    # --- remotes

    def remotes(self) -> tuple[str, ...]:
        """Return the names of the remotes."""
        return tuple(self.output("remote").split())

    def remote_refs(self, remote: str, timeout: float | None = None) -> dict[str, str]:
        """Return every branch and tag of a remote by full name; an annotated tag's commit is under `NAME^{}`.

        Raises:
            Failed: The remote cannot be reached, or does not answer within `timeout` seconds.
        """
        listing = self.run(
            "ls-remote", "--heads", "--tags", "--", remote, stderr=False, timeout=timeout, outlives=False
        )
        if listing.returncode != 0:
            raise Failed("remote-unreachable", f"git cannot reach remote {remote}", fix=f"git ls-remote {remote}")
        return parse_refs(listing.output, "\t")

    def remote_tags(self, remote: str) -> dict[str, str]:
        """Return every tag of a remote and the commit it points to."""
        return parse_tags(self.remote_refs(remote))

    def remote_url(self, remote: str) -> str:
        """Return the URL of a remote as it is in git's configuration; empty if there is none."""
        return self.run("config", "--get", f"remote.{remote}.url", stderr=False).output.strip()

    def remote_default_branch(self, remote: str) -> str | None:
        """Return the branch that a clone of a remote checks out; None if the remote does not say.

        Raises:
            Failed: The remote does not answer.
        """
        answer = self.run("ls-remote", "--symref", "--", remote, "HEAD", stderr=False, outlives=False)
        if answer.returncode != 0:
            raise Failed("remote-unreachable", f"git cannot reach remote {remote}", fix=f"git ls-remote {remote}")
        target = answer.output.partition("\tHEAD")[0]
        return target.removeprefix("ref: refs/heads/") if target.startswith("ref: refs/heads/") else None

    def fetch_objects(self, remote: str, *refs: str, timeout: float = NETWORK_TIMEOUT) -> None:
        """Fetch the objects of refs of a remote, if it has them; no local ref changes."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
        self.run("fetch", *options, "--", remote, *refs, timeout=timeout)

    def push(self, remote: str, branch: str, tags: Iterable[str]) -> None:
        """Push a branch and tags in one atomic transaction; the branch is empty for a detached head.

        To a remote without atomic pushes the branch goes first: a tag without its branch would be a release of a
        commit that is not there.

        Raises:
            Failed: The remote rejected it.
        """
        branches = [f"refs/heads/{branch}:refs/heads/{branch}"] if branch else []
        tag_refs = [f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags]
        completed = self._push("--atomic", remote, [*branches, *tag_refs])
        if completed.returncode != 0 and "does not support --atomic" in completed.output:
            for refs in filter(None, (branches, tag_refs)):
                completed = self._push("--no-atomic", remote, refs)
                if completed.returncode != 0:
                    break
        completed.check(
            f"git push to {remote}",
            fix="fix what the remote reports above and rerun the command, "
            f"or undo the bump: {fixes.command('bump', '--abort')}",
        )

    def push_new_tags(self, remote: str, tags: Sequence[str]) -> process.Completed:
        """Push tags that the remote must not have, all or none; to a remote without atomic pushes, one by one."""
        leases = {tag: f"--force-with-lease=refs/tags/{tag}:" for tag in tags}
        refs = [f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags]
        completed = self._push("--atomic", remote, refs, *leases.values())
        if completed.returncode != 0 and "does not support --atomic" in completed.output:
            for tag, ref in zip(tags, refs, strict=True):
                completed = self._push("--no-atomic", remote, [ref], leases[tag])
                if completed.returncode != 0:
                    break
        return completed

    # --- details

    def _push(self, atomic: str, remote: str, refs: Sequence[str], *options: str) -> process.Completed:
        # push.followTags would push tags that are not in the plan.
        return self.modify("push", atomic, "--no-follow-tags", "--porcelain", *options, "--", remote, *refs)

    def _commit_id(self, revision: str) -> str | None:
        commit = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return commit.output.strip() or None if commit.returncode == 0 else None

    def _git_path(self, name: str) -> Path:
        return self.root / self.output("rev-parse", "--git-path", name)

    def _process_record(self) -> Path:
        return self.private_folder() / "git-at-work"

    def _signs_tags(self) -> bool:
        setting = self.run("config", "--type=bool", "--get", "tag.gpgSign", stderr=False)
        return setting.output.strip() == "true"

    def _untracked(self, files: set[str]) -> set[str]:
        """Pick the files that exist and are not in the index."""
        return {name for name in files.difference(self._list_files("ls-files")) if (self.root / name).exists()}

    def _list_files(self, *arguments: str) -> list[str]:
        """Run a command that lists files, relative to the root."""
        relative = ("--relative",) if arguments[0] == "diff" else ()
        return self.output(*arguments, *relative, "-z").split("\0")

    def _status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Run `git status`; return its header, and the dirty and untracked files below the root."""
        output = self.output("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", *options)
        status = parse_status(output)
        return status.header, self._below_root(status.dirty), self._below_root(status.untracked)

    def _below_root(self, names: Iterable[str]) -> tuple[str, ...]:
        """Make names relative to the root; files of the checkout outside it do not belong to the project."""
        return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))

    def _pathspecs(self, files: Iterable[str]) -> str:
        """Write names for `--pathspec-from-file`, so that no character in them is special."""
        return "\0".join(f":(top,literal){self.prefix}{name}" for name in files)

    def _write_pack(self, files: Iterable[str]) -> None:
        """Write the objects that a commit of these files needs into one pack.

        Otherwise git writes a file for every blob and every tree: two for each package of a workspace, which takes
        longer than all the rest of the commit. It finds the objects in the pack instead. No ref points to the
        commit they come with; where a filter makes other objects of the files, git writes those as usual.
        """
        stream = [b"feature done\ncommit refs/relnox/objects\ncommitter relnox <> 0 +0000\ndata 0\nfrom HEAD^0\n"]
        for name in files:
            path = self.root / name
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                mode = b"100755" if path.stat().st_mode & 0o100 else b"100644"
                quoted = _quoted_path(f"{self.prefix}{name}")
                stream += b"M %s inline %s\ndata %d\n" % (mode, quoted, len(content)), content, b"\n"
        stream.append(b"reset refs/relnox/objects\nfrom %s\n\ndone\n" % (b"0" * 40))
        # The result is not checked: the pack only makes the commit faster.
        self.run("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", stdin=b"".join(stream))


def _quoted_path(name: str) -> bytes:
    """Quote a path for fast-import."""
    inside = name.encode("utf-8", "surrogateescape")
    for old, new in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        inside = inside.replace(old, new)
    return b'"%s"' % inside
