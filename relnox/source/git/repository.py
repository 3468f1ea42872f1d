"""git in one checkout: queries and changes, without a shell and by the full names of refs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.errors import Failed
from relnox.source.git.environment import environment
from relnox.source.git.parsing import GitState, parse_refs, parse_status, parse_tags
from relnox.system import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path


class Git:
    """git in one checkout; paths are relative to a folder in it.

    Args:
        root: The folder.
        prefix: Its path below the checkout's top level, empty or ending in a slash.
        private: The result of `private_folder`, if it is known already.
        shallow: The result of `is_shallow`, if it is known already.
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

        Commands outlive relnox by default: one that changes the repository must not be killed halfway.
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
            newlines="-z" not in arguments,
        )

    def output(self, *arguments: str) -> str:
        """Run a git command and return what it prints, without surrounding white space.

        Raises:
            Failed: It fails.
        """
        return self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output.strip()

    def names(self, *arguments: str) -> list[str]:
        """Run a git command that lists refs or remotes by name, and return the names: they have no line ends.

        They may contain other white space than ASCII's.

        Raises:
            Failed: It fails.
        """
        listing = self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output
        return [name for name in listing.split("\n") if name]

    def entries(self, command: str, *arguments: str) -> list[str]:
        """Run a git command that lists files, as `output` does, and return its entries."""
        listing = self.run(command, "-z", *arguments, stderr=False).check(f"git {command}").output
        return [entry for entry in listing.split("\0") if entry]

    # --- the checkout

    def private_folder(self) -> Path:
        """Return the folder under git's own directory where relnox keeps what must outlive a run."""
        if self._private is None:
            self._private = self.git_path("relnox")
        return self._private

    def git_path(self, name: str) -> Path:
        """Return where git keeps something in its own directory; linked worktrees share some of it."""
        return self.root / self.output("rev-parse", "--git-path", name)

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
        return tuple(sorted(self.entries("ls-files", "--recurse-submodules")))

    def tracked_files_named(self, *names: str) -> tuple[str, ...]:
        """List tracked files of these names (globs) in the whole checkout, relative to the root."""
        return tuple(sorted(self.entries("ls-files", "--", *(f":(top,glob)**/{name}" for name in names))))

    def ignored_files(self, files: Iterable[str]) -> set[str]:
        """Pick the files that git ignores."""
        ignored = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in ignored.output.split("\0") if name}

    def changed_files(self) -> tuple[str, ...]:
        """List files that differ from the current commit, untracked ones included."""
        _, dirty, untracked = self._status("--no-renames")
        return tuple(sorted({*dirty, *untracked}))

    def grep(self, expressions: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Find lines of tracked text files that match one of the POSIX extended expressions; yield file and line.

        Files whose names match a glob of `exclude` are not searched.
        """
        patterns = [word for expression in expressions for word in ("-e", expression)]
        specs = [".", *(f":(exclude,glob)**/{name}" for name in exclude)]
        matches = self.run("grep", "--no-color", "-I", "-z", "-E", *patterns, "--", *specs, stderr=False)
        # Each line has a file name before it, which ends in NUL and may contain line ends.
        file, *rest = matches.output.split("\0")
        for text in rest:
            line, _, following = text.partition("\n")
            yield file, line.removesuffix("\r")
            file = following

    def head_has_files(self, files: Iterable[str]) -> bool:
        """Return whether these files in the checkout equal those of the current commit."""
        names = set(files)
        for sample in list(names)[:1]:  # if it differs, the others need not be read
            if self.run("diff", "--quiet", "HEAD", "--", f":(top,literal){self.prefix}{sample}").returncode == 1:
                return False
        changed = self.entries("diff", "--relative", "--name-only", "--no-renames", "HEAD")
        return names.isdisjoint(changed) and not self.untracked(names)

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
        matches = not self.untracked(names) if names.isdisjoint(dirty) else self.head_has_files(names)
        return head if matches else None

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Return whether the index has these files as the current commit has them."""
        changed = self.entries("diff", "--relative", "--cached", "--name-only", "--no-renames", "HEAD")
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
        return self._object_id("HEAD^{commit}")

    def resolve(self, revision: str) -> str | None:
        """Return the full id of the commit that a revision names, None if this clone does not have it."""
        return self._object_id(f"{revision}^{{commit}}")

    def position(self) -> tuple[str | None, str | None]:
        """Return the full id of the current commit and the full name of the current branch, or None."""
        return self.head(), self.run("symbolic-ref", "--quiet", "HEAD", stderr=False).output.strip() or None

    def modes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the modes of files in the current commit, such as `100755`, by path relative to the root."""
        entries = (entry.partition("\t") for entry in self.entries("ls-tree", "HEAD", "--", *names))
        return {name: words.partition(" ")[0] for words, _, name in entries}

    def parent(self, commit: str = "HEAD") -> str | None:
        """Return the full id of a commit's first parent, None if it has none or is not in this clone."""
        return self._object_id(f"{commit}^^{{commit}}")

    def read_file_at(self, commit: str, name: str) -> str | None:
        """Read a file of a commit, None if it is not in it."""
        content = self.run("cat-file", "blob", f"{commit}:{self.prefix}{name}", stderr=False)
        return content.output if content.returncode == 0 else None

    def has_content(self, commit: str, name: str, content: bytes) -> bool:
        """Return whether a file of a commit is what git makes of a content, with its filters and line ends."""
        path = f"--path={self.prefix}{name}"
        blob = self.run("hash-object", path, "--stdin", stdin=content, stderr=False).output.strip()
        return self.object_ids(commit, [name])[name] == blob

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
        options = ("--name-only", "--no-renames", "--relative", "-z")
        changed = self.run("diff", *options, commit, other, "--", stderr=False)
        return tuple(filter(None, changed.output.split("\0"))) if changed.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """Look up the ids of files and folders in a commit (empty name: the top); None for those not in it."""
        revisions = {name: f"{commit}:{self.prefix}{name}" for name in names}
        lines = {name: revision for name, revision in revisions.items() if "\n" not in revision}
        revision_lines = "".join(f"{revision}\n" for revision in lines.values())
        objects = self.run("cat-file", "--batch-check=%(objectname)", stdin=revision_lines, stderr=False)
        answers = objects.check("git cat-file").output.split("\n")[: len(lines)]
        ids = {
            name: None if answer.endswith(" missing") else answer
            for name, answer in zip(lines, answers, strict=True)
        }
        return ids | {name: self._object_id(revisions[name]) for name in revisions.keys() - ids.keys()}

    # --- refs

    def tags(self) -> dict[str, str]:
        """Return every local tag and the commit it points to."""
        return self.head_and_tags()[1]

    def head_and_tags(self) -> tuple[str | None, dict[str, str]]:
        """Return what `head` and `tags` return, from one process."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        refs = parse_refs(self.run("show-ref", "--head", "--tags", "--dereference", stderr=False).output, " ")
        return refs.get("HEAD"), parse_tags(refs)

    def tag_subject(self, name: str) -> str:
        """Return the first line of a tag's message."""
        return self.output("for-each-ref", "--format=%(contents:subject)", f"refs/tags/{name}")

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Return the tags of a commit and its ancestors."""
        return frozenset(self.names("tag", "--merged", commit))

    def local_refs(self) -> dict[str, str]:
        """Return every local branch and tag by full name; the id of an annotated tag is that of the tag object."""
        lines = self.names("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
        return parse_refs("\n".join(lines), " ")

    def remote_branches_with(self, commit: str) -> tuple[str, ...]:
        """List remote branches that contain a commit, as of the last fetch."""
        options = ("--format=%(refname)", f"--contains={commit}")  # a short name is longer if a tag has it, too
        return tuple(
            name.removeprefix("refs/remotes/") for name in self.names("for-each-ref", *options, "refs/remotes")
        )

    # --- details

    def _object_id(self, revision: str) -> str | None:
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return answer.output.strip() or None if answer.returncode == 0 else None

    def untracked(self, files: set[str]) -> set[str]:
        """Pick the files that exist and are not in the index."""
        return {name for name in files.difference(self.entries("ls-files")) if (self.root / name).exists()}

    def _status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Run `git status`; return its header, and the dirty and untracked files below the root."""
        output = self.output("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", *options)
        status = parse_status(output)
        return status.header, self._below_root(status.dirty), self._below_root(status.untracked)

    def _below_root(self, names: Iterable[str]) -> tuple[str, ...]:
        """Make names relative to the root; files of the checkout outside it do not belong to the project."""
        return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))
