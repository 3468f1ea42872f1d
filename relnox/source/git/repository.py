"""Query one checkout: its files, commits and refs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import replace
from relnox.source.git.parsing import GitState, parse_grep_output, parse_refs, parse_status, parse_tags
from relnox.source.git.runner import GitRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path


_STATUS: tuple[str, ...] = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all")
_REFS: tuple[str, ...] = ("show-ref", "--head", "--tags", "--dereference")
_CONFIG: tuple[str, ...] = ("config", "-z", "--list")
_INDEX: tuple[str, ...] = ("ls-files", "-v", "--", ":/")
_OPERATIONS = {
    "rebase-merge": "rebase",
    "rebase-apply/applying": "am",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""The files in the `.git` directory that exist until a git command ends, by precedence, with the command."""
_REF_FORMAT = "--format=%(objectname) %(refname)"


class Git(GitRunner):
    """A checkout and its repository; paths are relative to `root`, a directory in the checkout.

    Args:
        root: The directory in which git is run.
        prefix: The path of `root` relative to the checkout's top level: empty, or ending in a slash.
        private: The result of `private_directory`, if it is already known.
        shallow: The result of `is_shallow`, if it is already known.
    """

    def __init__(
        self, root: Path, prefix: str = "", *, private: Path | None = None, shallow: bool | None = None
    ) -> None:
        super().__init__(root)
        self.prefix = prefix
        self._private = private
        self._shallow = shallow
        self._config: dict[str, str | None] | None = None

    def private_directory(self) -> Path:
        """Return the directory inside the `.git` directory where relnox keeps files between runs."""
        if self._private is None:
            self._private = self.git_path("relnox")
        return self._private

    def git_path(self, name: str) -> Path:
        """Return the path of a file in the `.git` directory; linked worktrees share most of its files."""
        return self.root / self.read_output("rev-parse", "--git-path", name)

    def top_level(self) -> str:
        """Return the path of the checkout's top-level directory."""
        return self.read_output("rev-parse", "--show-toplevel")

    def config(self) -> Mapping[str, str | None]:
        """Return git's configuration, which is read once: values by name, such as `remote.origin.url`.

        Sections and keys are in lowercase; subsections, such as the names of remotes, are as written. The value of
        a setting without `=` is None.
        """
        if self._config is None:
            listing = self.run(*_CONFIG, stderr=False)
            replace(listing, output="").check("git config")  # the output may have credentials
            entries = (entry.partition("\n") for entry in listing.output.split("\0") if entry)
            self._config = {name: value if separator else None for name, separator, value in entries}
        return self._config

    def read_state(self) -> GitState:
        """Return the current commit and branch, the changed and untracked files, and the tags."""
        header, changed_files, untracked_files = self._read_status()
        head = header.get("branch.oid", "(initial)")
        branch = header.get("branch.head", "(detached)")
        return GitState(
            head=None if head == "(initial)" else head,
            branch=None if branch == "(detached)" else branch,
            changed_files=changed_files,
            untracked_files=untracked_files,
            tags=self.tags(),
            is_shallow=self.is_shallow(),
            upstream=header.get("branch.upstream"),
            upstream_remote=self.config().get(f"branch.{branch}.remote"),
            commits_behind=-int(header.get("branch.ab", "+0 -0").split(" ")[1]),
            operation=self._operation_in_progress(),
        )

    def tracked_files(self) -> tuple[str, ...]:
        """Return the tracked files below the root, sorted and relative to it, including those of submodules."""
        return tuple(sorted(self.read_entries("ls-files", "--recurse-submodules")))

    def index_states(self) -> dict[str, str]:
        """Map each tracked file of the whole checkout, relative to the root, to its letter in `git ls-files -v`.

        `S` and `s` stand for skip-worktree; lowercase letters stand for assume-unchanged.
        """
        return {entry[2:]: entry[0] for entry in self.read_entries(*_INDEX)}

    def filter_untracked(self, files: set[str]) -> set[str]:
        """Return those of the files that exist but are not in the index."""
        return {name for name in files.difference(self.read_entries("ls-files")) if (self.root / name).exists()}

    def filter_ignored(self, files: Iterable[str]) -> set[str]:
        """Return those of the files that git ignores."""
        completed = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in completed.output.split("\0") if name}

    def changed_files(self) -> tuple[str, ...]:
        """Return the files that differ from the current commit, including untracked files that are not ignored."""
        _, changed_files, untracked_files = self._read_status("--no-renames")
        return tuple(sorted({*changed_files, *untracked_files}))

    def grep(self, expressions: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Yield the file and text of each line in tracked text files that matches a POSIX extended expression.

        Files whose names match a glob in `exclude` are not searched.
        """
        return parse_grep_output(self.run(*grep_query(expressions, exclude), stderr=False).output)

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Return whether these files have the same content in the index as in the current commit."""
        staged_files = self.read_entries("diff", "--relative", "--cached", "--name-only", "--no-renames", "HEAD")
        return set(files).isdisjoint(staged_files)

    def is_shallow(self) -> bool:
        """Return whether the clone is shallow, which means that it lacks a part of the history."""
        if self._shallow is None:
            self._shallow = self.read_output("rev-parse", "--is-shallow-repository") == "true"
        return self._shallow

    def identity_error(self) -> str | None:
        """Return git's error if the committer's name or email address is missing or invalid, else None."""
        identity = self.run("var", "GIT_COMMITTER_IDENT")
        if identity.returncode == 0:
            return None
        return next((line for line in reversed(identity.output.splitlines()) if line.strip()), "git var failed")

    def head(self) -> str | None:
        """Return the full id of the current commit, or None before the first commit."""
        return self.resolve("HEAD^{commit}")

    def resolve_commit(self, revision: str) -> str | None:
        """Return the full id of the commit that a revision names, or None if this clone does not have it."""
        return self.resolve(f"{revision}^{{commit}}")

    def head_and_branch(self) -> tuple[str | None, str | None]:
        """Return the full id of the current commit and the full ref of the current branch.

        The commit is None before the first commit; the branch is None if the head is detached.
        """
        return self.head(), self.run("symbolic-ref", "--quiet", "HEAD", stderr=False).output.strip() or None

    def parent_commit(self, commit: str = "HEAD") -> str | None:
        """Return the full id of a commit's first parent, or None if this clone has no such parent."""
        return self.resolve(f"{commit}^^{{commit}}")

    def read_file_at(self, commit: str, name: str) -> str | None:
        """Return the text of a file in a commit, or None if there is no such file or commit."""
        content = self.run("cat-file", "blob", f"{commit}:{self.prefix}{name}", stderr=False)
        return content.output if content.returncode == 0 else None

    def file_has_content(self, commit: str, name: str, content: bytes) -> bool:
        """Return whether a file has this content in a commit, after git's filters are applied to the content."""
        blob = self.run("hash-object", f"--path={name}", "--stdin", stdin=content, stderr=False).output.strip()
        return self.resolve_all([f"{commit}:{self.prefix}{name}"]) == [blob]

    def head_time(self) -> int | None:
        """Return the time of the current commit in seconds since 1970, or None before the first commit."""
        time = self.run("log", "-1", "--no-show-signature", "--format=%ct", stderr=False)
        return int(time.output) if time.returncode == 0 else None

    def commits_changing(self, name: str, *, since: str | None) -> list[str]:
        """Return the ids of the commits on this branch that changed a file, the newest first.

        Only commits after `since` are listed, if it is given. A merge counts if the file differs from its first
        parent.
        """
        commits = ("HEAD",) if since is None else ("HEAD", f"^{since}")
        return self.read_lines("rev-list", "--first-parent", *commits, "--", f":(top,literal){self.prefix}{name}")

    def is_ancestor(self, commit: str, descendant: str = "HEAD") -> bool:
        """Return whether `commit` is `descendant` or an ancestor of it; False if this clone lacks one of them."""
        return self.run("merge-base", "--is-ancestor", commit, descendant).returncode == 0

    def files_changed_between(self, commit: str, other: str) -> tuple[str, ...] | None:
        """Return the files that differ between two commits, or None if this clone lacks one of the commits."""
        options = ("--name-only", "--no-renames", "--relative", "-z")
        completed = self.run("diff", *options, commit, other, "--", stderr=False)
        return tuple(filter(None, completed.output.split("\0"))) if completed.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """Map files and directories (an empty name is the root) to their object ids in a commit, or None."""
        names = list(names)
        ids = self.resolve_all([f"{commit}:{self.prefix}{name}" for name in names])
        return dict(zip(names, ids, strict=True))

    def tree_entries(self, commit: str) -> list[str]:
        """Return the entries of a whole commit as `MODE TYPE ID<tab>PATH`, with paths from the top level."""
        return self.read_entries("ls-tree", "-r", "--full-tree", commit)

    def tags(self) -> dict[str, str]:
        """Return the local tags, mapped to the commits that they point to."""
        return self.head_and_tags()[1]

    def head_and_tags(self) -> tuple[str | None, dict[str, str]]:
        """Return the results of `head` and `tags`, with one git process."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        refs = parse_refs(self.run(*_REFS, stderr=False).output, " ")
        return refs.get("HEAD"), parse_tags(refs)

    def tag_targets(self, names: Sequence[str]) -> dict[str, str | None]:
        """Map each tag to the id of the object that it points to, or to None if there is no such tag.

        For a missing tag NAME, git may find another ref whose name ends with `refs/tags/NAME`.
        """
        return dict(zip(names, self.resolve_all([f"refs/tags/{name}^{{}}" for name in names]), strict=True))

    def tag_subject(self, name: str) -> str:
        """Return the first line of a tag's message."""
        return self.read_output("for-each-ref", "--format=%(contents:subject)", f"refs/tags/{name}")

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Return the tags that point to a commit or its ancestors."""
        return frozenset(self.read_lines("tag", "--merged", commit))

    def local_refs(self) -> dict[str, str]:
        """Map the full names of local branches and tags to object ids; annotated tags have ids of their own."""
        return parse_refs(self.read_output("for-each-ref", _REF_FORMAT, "refs/heads", "refs/tags"), " ")

    def remote_branches_containing(self, commit: str) -> tuple[str, ...]:
        """Return the remote branches that contain a commit, such as `origin/main`, as of the last fetch."""
        options = ("--format=%(refname)", f"--contains={commit}")  # a short name is longer if a tag has it, too
        refs = self.read_lines("for-each-ref", *options, "refs/remotes")
        return tuple(ref.removeprefix("refs/remotes/") for ref in refs)

    def _operation_in_progress(self) -> str | None:
        """Return the git command that has begun and not ended, such as `merge`, or None."""
        directory = self.private_directory().parent
        return next((command for file, command in _OPERATIONS.items() if (directory / file).exists()), None)

    def _read_status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Run `git status`; return its header, and the changed and untracked files below the root, sorted."""
        header, changed_files, untracked_files = parse_status(self.read_output(*_STATUS, *options))

        def below_root(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))

        return header, below_root(changed_files), below_root(untracked_files)


def grep_query(expressions: Iterable[str], exclude: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the query of `Git.grep`, which has the same parameters."""
    patterns = [word for expression in expressions for word in ("-e", expression)]
    specs = [".", *(f":(exclude,glob)**/{name}" for name in exclude)]
    return ("grep", "--no-color", "-I", "-z", "-E", *patterns, "--", *specs)


def blob_id(content: bytes, like: str) -> str:
    """Return the object id of a blob with this content; `like` is an id with the same hash function."""
    import hashlib  # loads OpenSSL

    algorithm = "sha1" if len(like) == 40 else "sha256"  # noqa: PLR2004 - hexadecimal digits of SHA-1
    return hashlib.new(algorithm, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
