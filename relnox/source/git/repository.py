"""Queries of one checkout: its files, commits and refs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox.core.records import replace
from relnox.errors import Failed
from relnox.source.git.parsing import GitState, parse_matches, parse_refs, parse_status, parse_tags
from relnox.source.git.runner import GitRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.source.git.runner import Query

_MANY_FILES = 100
_STATUS: Query = ("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all")
_REFS: Query = ("show-ref", "--head", "--tags", "--dereference")
_CONFIG: Query = ("config", "-z", "--list")


class Git(GitRunner):
    """Queries of one checkout; paths are relative to `root`, a directory in the checkout.

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
        """Return the path of a file in the `.git` directory, which may be shared with linked worktrees."""
        return self.root / self.read_output("rev-parse", "--git-path", name)

    def top_level(self) -> str:
        """Return the path of the checkout's top-level directory."""
        return self.read_output("rev-parse", "--show-toplevel")

    def config(self) -> Mapping[str, str | None]:
        """Return git's configuration: values by name, such as `remote.origin.url`; it is read once.

        Sections and keys are in lowercase, but not the part between them. The value of a setting without `=` is
        None.
        """
        if self._config is None:
            listing = self.run(*_CONFIG, stderr=False)
            replace(listing, output="").check("git config")  # the output may have credentials
            entries = (entry.partition("\n") for entry in listing.output.split("\0") if entry)
            self._config = {name: value if separator else None for name, separator, value in entries}
        return self._config

    def read_state(self) -> GitState:
        """Read the state of the checkout."""
        header, dirty, untracked_files = self._status()
        head = header.get("branch.oid", "(initial)")
        branch = header.get("branch.head", "(detached)")
        return GitState(
            head=None if head == "(initial)" else head,
            branch=None if branch == "(detached)" else branch,
            changed_files=dirty,
            untracked_files=untracked_files,
            tags=self.tags(),
            is_shallow=self.is_shallow(),
            upstream=header.get("branch.upstream"),
            commits_behind=-int(header.get("branch.ab", "+0 -0").split(" ")[1]),
        )

    def tracked_files(self) -> tuple[str, ...]:
        """Return the tracked files below the root, sorted and relative to it, including those of submodules."""
        return tuple(sorted(self.read_entries("ls-files", "--recurse-submodules")))

    def tracked_files_named(self, *names: str) -> tuple[str, ...]:
        """Return the tracked files in the whole checkout whose names match a glob, relative to the root."""
        return tuple(sorted(self.read_entries("ls-files", *_pathspecs(names))))

    def filter_untracked(self, files: set[str]) -> set[str]:
        """Return those of the files that exist and are not in the index."""
        return {name for name in files.difference(self.read_entries("ls-files")) if (self.root / name).exists()}

    def filter_ignored(self, files: Iterable[str]) -> set[str]:
        """Return those of the files that git ignores."""
        completed = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in completed.output.split("\0") if name}

    def changed_files(self) -> tuple[str, ...]:
        """Return the files that differ from the current commit, including untracked files."""
        _, dirty, untracked_files = self._status("--no-renames")
        return tuple(sorted({*dirty, *untracked_files}))

    def grep(self, expressions: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Return the file and text of each line in tracked text files that matches a POSIX extended expression.

        Files whose names match a glob in `exclude` are not searched.
        """
        return parse_matches(self.run(*grep_query(expressions, exclude), stderr=False).output)

    def head_has_same_files(self, files: Iterable[str]) -> bool:
        """Return whether these files are the same in the checkout and in the current commit."""
        names = set(files)
        for sample in list(names)[:1]:  # if it differs, the others need not be read
            if self.run("diff", "--quiet", "HEAD", "--", f":(top,literal){self.prefix}{sample}").returncode == 1:
                return False
        changed_files = self.read_entries("diff", "--relative", "--name-only", "--no-renames", "HEAD")
        return names.isdisjoint(changed_files) and not self.filter_untracked(names)

    def head_if_unchanged(self, files: Iterable[str]) -> str | None:
        """Return the id of the current commit if these files are the same in it and in the checkout, else None.

        This combines `head_has_same_files` and `head`, with one process for few files if none differs.

        Raises:
            Failed: The repository has no commit.
        """
        names = list(files)
        compared_names = names if len(names) < _MANY_FILES else []  # git looks for each in the tree
        ids = self.object_ids_of(["HEAD^{commit}", *(f"HEAD:{self.prefix}{name}" for name in compared_names)])
        head = ids.pop(0)
        if head is None:
            raise Failed(
                "commit-missing",
                "git commit succeeded, but created no commit",
                fix="check the current commit: git log -1",
            )
        # If git stores another content than that of the file, as with filters, git has to compare them.
        is_same = bool(compared_names) and all(map(self._is_blob, names, ids))
        return head if is_same or self.head_has_same_files(names) else None

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Return whether these files are the same in the index and in the current commit."""
        changed_files = self.read_entries("diff", "--relative", "--cached", "--name-only", "--no-renames", "HEAD")
        return set(files).isdisjoint(changed_files)

    def is_shallow(self) -> bool:
        """Return whether the clone is shallow, that is, lacks a part of the history."""
        if self._shallow is None:
            self._shallow = self.read_output("rev-parse", "--is-shallow-repository") == "true"
        return self._shallow

    def identity_error(self) -> str | None:
        """Return why git has no valid committer name and email address, or None if it has them."""
        identity = self.run("var", "GIT_COMMITTER_IDENT")
        if identity.returncode == 0:
            return None
        return next((line for line in reversed(identity.output.splitlines()) if line.strip()), "git var failed")

    def head(self) -> str | None:
        """Return the full id of the current commit, or None before the first commit."""
        return self.object_id_of("HEAD^{commit}")

    def resolve_commit(self, revision: str) -> str | None:
        """Return the full id of the commit that a revision names, or None if this clone does not have it."""
        return self.object_id_of(f"{revision}^{{commit}}")

    def head_and_branch(self) -> tuple[str | None, str | None]:
        """Return the full id of the current commit and the full name of the current branch; either may be None."""
        return self.head(), self.run("symbolic-ref", "--quiet", "HEAD", stderr=False).output.strip() or None

    def file_modes(self, names: Iterable[str]) -> dict[str, str]:
        """Return the modes of files in the current commit, such as `100755`, by path relative to the root."""
        entries = (entry.partition("\t") for entry in self.read_entries("ls-tree", "HEAD", "--", *names))
        return {name: words.partition(" ")[0] for words, _, name in entries}

    def parent_commit(self, commit: str = "HEAD") -> str | None:
        """Return the full id of a commit's first parent, or None if this clone has no such parent."""
        return self.object_id_of(f"{commit}^^{{commit}}")

    def read_file_at(self, commit: str, name: str) -> str | None:
        """Return the text of a file in a commit, or None if the commit does not contain the file."""
        content = self.run("cat-file", "blob", f"{commit}:{self.prefix}{name}", stderr=False)
        return content.output if content.returncode == 0 else None

    def blobs(self, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the object ids and texts of blobs, in their order.

        Raises:
            Failed: This clone lacks one of them.
        """
        contents = self.run("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in ids), stderr=False)
        text = contents.check("git cat-file").output
        # Sizes in headers count bytes before decoding. A blob cannot contain its own id: the id finds its header.
        for blob, following in zip(ids, [*ids[1:], None], strict=True):
            _, header, text = text.partition(f"{blob} blob ")
            if not header:
                raise Failed(
                    "object-missing", f"this clone lacks the object {blob}", fix="check the repository: git fsck"
                )
            _, _, text = text.partition("\n")
            end = len(text) - 1 if following is None else text.find(f"\n{following} ")
            yield blob, text[:end]
            text = text[end:]

    def file_has_content(self, commit: str, name: str, content: bytes) -> bool:
        """Return whether a file in a commit is what git would store for this content, after applying filters."""
        path = f"--path={self.prefix}{name}"
        blob = self.run("hash-object", path, "--stdin", stdin=content, stderr=False).output.strip()
        return self.object_ids(commit, [name])[name] == blob

    def head_subject(self) -> str:
        """Return the first line of the current commit's message."""
        return self.read_output("log", "-1", "--no-show-signature", "--format=%s")

    def count_commits(self, since: str | None) -> int:
        """Return the number of commits since a tag, or of all commits if `since` is None."""
        exclusions = (f"^refs/tags/{since}",) if since is not None else ()
        return int(self.read_output("rev-list", "--count", "HEAD", *exclusions, "--"))

    def head_time(self) -> int | None:
        """Return the time of the current commit in seconds since 1970, or None before the first commit."""
        time = self.run("log", "-1", "--no-show-signature", "--format=%ct", stderr=False)
        return int(time.output) if time.returncode == 0 else None

    def is_ancestor(self, commit: str, descendant: str = "HEAD") -> bool:
        """Return whether a commit is an ancestor of another or the same; False if this clone lacks one of them."""
        return self.run("merge-base", "--is-ancestor", commit, descendant).returncode == 0

    def files_changed_between(self, commit: str, other: str) -> tuple[str, ...] | None:
        """Return the files that differ between two commits, or None if this clone lacks one of the commits."""
        options = ("--name-only", "--no-renames", "--relative", "-z")
        completed = self.run("diff", *options, commit, other, "--", stderr=False)
        return tuple(filter(None, completed.output.split("\0"))) if completed.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """Map files and directories to their object ids in a commit, or to None if they are not in the commit.

        An empty name is the root.
        """
        names = list(names)
        return dict(
            zip(names, self.object_ids_of([f"{commit}:{self.prefix}{name}" for name in names]), strict=True)
        )

    def tags(self) -> dict[str, str]:
        """Return the local tags, mapped to the commits that they point to."""
        return self.head_and_tags()[1]

    def head_and_tags(self) -> tuple[str | None, dict[str, str]]:
        """Return the results of `head` and `tags`, running git only once."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        refs = parse_refs(self.run(*_REFS, stderr=False).output, " ")
        return refs.get("HEAD"), parse_tags(refs)

    def find_tags(self, names: Sequence[str]) -> dict[str, str | None]:
        """Map tags to the objects that they point to, or to None if they do not exist.

        A tag that does not exist may be taken for another ref whose name ends with `refs/tags/` and its name.
        """
        return dict(zip(names, self.object_ids_of([f"refs/tags/{name}^{{}}" for name in names]), strict=True))

    def tag_subject(self, name: str) -> str:
        """Return the first line of a tag's message."""
        return self.read_output("for-each-ref", "--format=%(contents:subject)", f"refs/tags/{name}")

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Return the tags that point to a commit or its ancestors."""
        return frozenset(self.read_lines("tag", "--merged", commit))

    def local_refs(self) -> dict[str, str]:
        """Return the object ids of local branches and tags by full name; annotated tags have their own ids."""
        lines = self.read_lines("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
        return parse_refs("\n".join(lines), " ")

    def remote_branches_containing(self, commit: str) -> tuple[str, ...]:
        """Return the remote branches that contain a commit, as of the last fetch."""
        options = ("--format=%(refname)", f"--contains={commit}")  # a short name is longer if a tag has it, too
        return tuple(
            name.removeprefix("refs/remotes/")
            for name in self.read_lines("for-each-ref", *options, "refs/remotes")
        )

    def _is_blob(self, name: str, object_id: str | None) -> bool:
        """Return whether an object is the content of a regular file, or both do not exist."""
        path = self.root / name
        if object_id is None or path.is_symlink() or not path.is_file():
            return object_id is None and not os.path.lexists(path)
        return blob_id(path.read_bytes(), object_id) == object_id

    def _status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Run `git status`; return its header, and the changed and untracked files below the root."""
        output = self.read_output(*_STATUS, *options)
        status = parse_status(output)
        return (
            status.header,
            self._filter_below_root(status.changed_files),
            self._filter_below_root(status.untracked_files),
        )

    def _filter_below_root(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the files below the root, sorted and relative to the root; files outside it are dropped."""
        return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))


def state_queries(*names: str) -> tuple[Query, ...]:
    """Return the queries of `Git.read_state`, `Git.config`, and `Git.tracked_files_named` for these names."""
    return _STATUS, _REFS, _CONFIG, ("ls-files", "-z", *_pathspecs(names))


def grep_query(expressions: Iterable[str], exclude: Iterable[str] = ()) -> Query:
    """Return the query of `Git.grep`."""
    patterns = [word for expression in expressions for word in ("-e", expression)]
    specs = [".", *(f":(exclude,glob)**/{name}" for name in exclude)]
    return ("grep", "--no-color", "-I", "-z", "-E", *patterns, "--", *specs)


def _pathspecs(names: Iterable[str]) -> tuple[str, ...]:
    """Return the arguments that select the files in the whole checkout whose names match a glob."""
    return ("--", *(f":(top,glob)**/{name}" for name in names))


def blob_id(content: bytes, like: str) -> str:
    """Return the object id of a blob with this content, using the same hash function as the id `like`."""
    import hashlib  # loads OpenSSL

    algorithm = "sha1" if len(like) == 40 else "sha256"  # noqa: PLR2004 - hexadecimal digits of SHA-1
    return hashlib.new(algorithm, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
