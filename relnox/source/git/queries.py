"""What git knows of a checkout: its state, its history, its refs and those of its remotes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record
from relnox.errors import Failed
from relnox.source.git.process import Program

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["NETWORK_TIMEOUT", "GitState", "Reader"]

NETWORK_TIMEOUT = 10.0
"""Seconds that a remote has to answer where its answer is useful and not needed."""


class GitState(Record, kw_only=True):
    """What a planner must know of a repository, read at one moment.

    Attributes:
        head: Full id of the present commit; None before the first one.
        branch: Name of the present branch; None when the head is detached.
        dirty: Tracked files that differ from the commit, relative to the root given to `Git`.
        untracked: Files git does not know and does not ignore.
        tags: All tags of this clone with the commit each leads to.
        shallow: Whether the history is cut off.
        upstream: The remote branch that the present one follows, such as `origin/main`; None without one.
        behind: How many commits that one has that the present one has not, as of the last fetch.
    """

    head: str | None
    branch: str | None
    dirty: tuple[str, ...]
    untracked: tuple[str, ...]
    tags: dict[str, str]
    shallow: bool
    upstream: str | None = None
    behind: int = 0


class Reader(Program):
    """One checkout, and what git knows of it.

    Args:
        root: Folder that paths are relative to; the checkout's top or a folder in it.
        prefix: Where `root` is below the top, empty or ending in a slash.
        private: Where relnox keeps what must outlive a run, if it is known.
        shallow: Whether the history is cut off, if it is known.
    """

    def __init__(
        self, root: Path, prefix: str = "", *, private: Path | None = None, shallow: bool | None = None
    ) -> None:
        super().__init__(root, prefix, private=private)
        self._shallow = shallow

    # --- the checkout

    def state(self) -> GitState:
        """Everything a planner asks of the repository."""
        header, dirty, untracked = self._status()
        head = header.get("branch.oid", "(initial)")
        branch = header.get("branch.head", "(detached)")
        if self._shallow is None:
            self._shallow = self.ask("rev-parse", "--is-shallow-repository") == "true"
        return GitState(
            head=None if head == "(initial)" else head,
            branch=None if branch == "(detached)" else branch,
            dirty=dirty,
            untracked=untracked,
            tags=self.tags(),
            shallow=self._shallow,
            upstream=header.get("branch.upstream"),
            behind=-int(header.get("branch.ab", "+0 -0").split(" ")[1]),
        )

    def tracked(self) -> tuple[str, ...]:
        """The files of the index and of those of its submodules, relative to the root, sorted."""
        return tuple(sorted(filter(None, self._listed("ls-files", "--recurse-submodules"))))

    def tracked_as(self, name: str) -> tuple[str, ...]:
        """Tracked files of this name in the whole checkout, relative to the root, which may be below the top."""
        listed = self.run("ls-files", "-z", "--", f":(top,glob)**/{name}", stderr=False).output
        return tuple(sorted(filter(None, listed.split("\0"))))

    def ignored(self, files: Iterable[str]) -> set[str]:
        """Those of the files that git ignores."""
        asked = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in asked.output.split("\0") if name}

    def lines_with(self, expressions: Iterable[str], without: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
        """Lines of tracked text files that one of the extended expressions matches, each after its file.

        Args:
            expressions: POSIX extended regular expressions.
            without: Globs of names of files that are not looked through.
        """
        patterns = [word for expression in expressions for word in ("-e", expression)]
        specs = [".", *(f":(exclude,glob)**/{name}" for name in without)]
        grep = self.run("grep", "--no-color", "-I", "-z", "-E", *patterns, "--", *specs, stderr=False)
        for found in grep.output.split("\n"):
            file, mark, line = found.partition("\0")
            if mark:
                yield file, line

    def changed_files(self) -> tuple[str, ...]:
        """Files that differ from the present commit, those that git does not know among them."""
        _, dirty, untracked = self._status("--no-renames")
        return tuple(sorted({*dirty, *untracked}))

    def matches_head(self, files: Iterable[str]) -> bool:
        """Whether these files are in the present commit just as they are in the checkout."""
        wanted = set(files)
        some = next(iter(wanted), None)
        if (
            some
            and self.run("diff", "--quiet", "HEAD", "--", f":(top,literal){self.prefix}{some}").returncode == 1
        ):
            return False  # the rest need not be read
        changed = self._listed("diff", "--name-only", "--no-renames", "HEAD")
        return wanted.isdisjoint(changed) and not self._unknown(wanted)

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Whether the index holds these files as the present commit does."""
        return set(files).isdisjoint(self._listed("diff", "--cached", "--name-only", "--no-renames", "HEAD"))

    def top(self) -> str:
        """The checkout's top folder."""
        return self.ask("rev-parse", "--show-toplevel")

    # --- commits

    def head(self) -> str | None:
        """Full id of the present commit, None before the first."""
        asked = self.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", stderr=False)
        return asked.output.strip() or None if asked.returncode == 0 else None

    def parent(self, commit: str = "HEAD") -> str | None:
        """Full id of the first parent of a commit, None for one that has none or is not here."""
        parent = self.run("rev-parse", "--verify", "--quiet", f"{commit}^^{{commit}}", stderr=False)
        return parent.output.strip() or None if parent.returncode == 0 else None

    def text_at(self, commit: str, name: str) -> str | None:
        """The text of a file in a commit, None for one that is not in it."""
        shown = self.run("cat-file", "blob", f"{commit}:{self.prefix}{name}", stderr=False)
        return shown.output if shown.returncode == 0 else None

    def subject(self) -> str:
        """The first line of the present commit's message."""
        return self.ask("log", "-1", "--no-show-signature", "--format=%s")

    def commit_time(self) -> int | None:
        """When the present commit was made, seconds since 1970; None before the first one."""
        asked = self.run("log", "-1", "--no-show-signature", "--format=%ct", stderr=False)
        return int(asked.output) if asked.returncode == 0 else None

    def contains(self, commit: str, where: str = "HEAD") -> bool:
        """Whether a commit contains another one; one that is not here is contained in none."""
        return self.run("merge-base", "--is-ancestor", commit, where).returncode == 0

    def changed_between(self, commit: str, other: str) -> tuple[str, ...] | None:
        """Files that differ between two commits; None where one of them is not in this clone."""
        asked = self.run(
            *("diff", "--name-only", "--no-renames", "--relative", "-z", commit, other, "--"), stderr=False
        )
        return tuple(filter(None, asked.output.split("\0"))) if asked.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """The ids of files and folders in a commit, of all of it for an empty name; None for what is not in it."""
        every = list(names)
        asked = "".join(f"{commit}:{self.prefix}{name}\n" for name in every)
        told = self.run("cat-file", "--batch-check=%(objectname)", stdin=asked, stderr=False)
        lines = told.check("git cat-file").output.splitlines()
        return {name: None if line.endswith(" missing") else line for name, line in zip(every, lines, strict=True)}

    # --- refs

    def tags(self) -> dict[str, str]:
        """Every local tag and the commit it leads to."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        listing = self.run("show-ref", "--tags", "--dereference", stderr=False).output
        return _tags(_refs(listing, " "))

    def tag_subject(self, name: str) -> str:
        """The first line of a tag's message."""
        return self.ask("for-each-ref", "--format=%(contents:subject)", f"refs/tags/{name}")

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Names of the tags whose commits a commit contains."""
        return frozenset(self.ask("tag", "--merged", commit).split())

    def local_refs(self) -> dict[str, str]:
        """Every local branch and tag by full name; an annotated tag is its own object here."""
        listing = self.ask("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
        return dict(line.split(" ") for line in listing.splitlines())

    def pushed_to(self, commit: str) -> tuple[str, ...]:
        """Remote branches, as of the last fetch, that contain a commit."""
        listing = self.ask("for-each-ref", "--format=%(refname:short)", f"--contains={commit}", "refs/remotes")
        return tuple(listing.split())

    def remotes(self) -> tuple[str, ...]:
        """Names of the remotes."""
        return tuple(self.ask("remote").split())

    def remote_refs(self, remote: str, timeout: float | None = None) -> dict[str, str]:
        """Every branch and tag of a remote by full name; an annotated tag's commit is under `NAME^{}`.

        Raises:
            Failed: The remote does not answer, or not within so many seconds.
        """
        asked = self.run(
            "ls-remote", "--heads", "--tags", "--", remote, stderr=False, timeout=timeout, outlives=False
        )
        if asked.returncode != 0:
            raise Failed(
                "todo",
                f"git cannot reach the remote {remote}",
                fix=f"git ls-remote {remote}",
            )
        return _refs(asked.output, "\t")

    def remote_tags(self, remote: str) -> dict[str, str]:
        """Every tag of a remote and the commit it leads to."""
        return self.tags_among(self.remote_refs(remote))

    @staticmethod
    def tags_among(refs: dict[str, str]) -> dict[str, str]:
        """The tags among refs by full name, by their short names, and the commit each leads to."""
        return _tags(refs)

    # --- in detail

    def _unknown(self, files: set[str]) -> set[str]:
        """Those of the files that are there, and not in the index."""
        return {name for name in files.difference(self._listed("ls-files")) if (self.root / name).exists()}

    def _listed(self, *words: str) -> list[str]:
        """Files that a command lists, relative to the root."""
        relative = ("--relative",) if words[0] == "diff" else ()
        return self.ask(*words, *relative, "-z").split("\0")

    def _status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Header, changed and untracked files of `git status --porcelain=v2 -z`."""
        entries = self.ask("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", *options).split(
            "\0"
        )
        header: dict[str, str] = {}
        dirty: list[str] = []
        untracked: list[str] = []
        waiting = iter(entries)
        for entry in waiting:
            match entry[:2]:
                case "# ":
                    name, _, value = entry[2:].partition(" ")
                    header[name] = value
                case "1 ":
                    dirty.append(entry.split(" ", 8)[8])
                case "2 ":
                    dirty.append(entry.split(" ", 9)[9])
                    next(waiting)  # the name it had before
                case "u ":
                    dirty.append(entry.split(" ", 10)[10])
                case "? ":
                    untracked.append(entry[2:])
                case _:
                    continue  # the empty end, and kinds that are not asked for
        return header, self._relative(dirty), self._relative(untracked)

    def _relative(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names relative to the root; files of the checkout outside the root are not this project's."""
        return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))


def _refs(listing: str, separator: str) -> dict[str, str]:
    """Lines of an id and a name, by name."""
    pairs = (line.split(separator, 1) for line in listing.split("\n") if separator in line)
    return {name: target for target, name in pairs}


def _tags(refs: dict[str, str]) -> dict[str, str]:
    """The tags among refs, and the commit that each leads to: `NAME^{}` of an annotated one."""
    names = [name for name in refs if name.startswith("refs/tags/") and not name.endswith("^{}")]
    return {name.removeprefix("refs/tags/"): refs.get(f"{name}^{{}}", refs[name]) for name in names}
