"""git, asked through its porcelain for scripts; refs by their full names, never a shell."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import process
from relnox.core.records import Record
from relnox.errors import Failed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.core.steps import Tag

__all__ = ["Git", "GitState", "find"]

_PATIENCE = 10.0
_MANY = 20
"""How many files a commit must have to be worth a process more."""
_OTHER_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""Variables that lead git elsewhere than to the checkout it is started in; git sets them for its hooks."""
_FROM_INPUT = ("--pathspec-from-file=-", "--pathspec-file-nul")
_OTHER_PATHS = ("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS")
"""Variables that change what a path means."""


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


def find(folder: Path) -> Git | None:
    """The git checkout that `folder` is in, or None."""
    if not any((parent / ".git").exists() for parent in (folder.resolve(), *folder.resolve().parents)):
        return None
    # What git warns of goes to standard error and must not be taken for the answer.
    asking = (
        "rev-parse",
        "--is-inside-work-tree",
        "--is-shallow-repository",
        "--git-path",
        "relnox",
        "--show-prefix",
    )
    asked = Git(folder).run(*asking, stderr=False)
    if asked.returncode != 0:
        if "dubious ownership" in Git(folder).run("rev-parse", "--is-inside-work-tree").output:
            raise Refused(
                f"git does not trust {folder}, whose owner is somebody else",
                hint=f"git config --global --add safe.directory {folder}",
            )
        return None
    inside, shallow, private, prefix, *_ = [*asked.output.split("\n"), ""]
    return Git(folder, prefix, private=folder / private, shallow=shallow == "true") if inside == "true" else None


class Git:
    """One checkout.

    Args:
        root: Folder that paths are relative to; the checkout's top or a folder in it.
        prefix: Where `root` is below the top, empty or ending in a slash.
        private: Where relnox keeps what must outlive a run, if it is known.
        shallow: Whether the history is cut off, if it is known.
    """

    def __init__(
        self, root: Path, prefix: str = "", *, private: Path | None = None, shallow: bool | None = None
    ) -> None:
        self.root = root
        self.prefix = prefix
        self._private = private
        self._shallow = shallow

    def state(self) -> GitState:
        """Everything a planner asks of the repository."""
        header, dirty, untracked = self._status()
        head = header.get("branch.oid", "(initial)")
        branch = header.get("branch.head", "(detached)")
        if self._shallow is None:
            self._shallow = self._ask("rev-parse", "--is-shallow-repository") == "true"
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

    def remotes(self) -> tuple[str, ...]:
        """Names of the remotes."""
        return tuple(self._ask("remote").split())

    def commit_time(self) -> int | None:
        """When the present commit was made, seconds since 1970; None before the first one."""
        asked = self._run("log", "-1", "--no-show-signature", "--format=%ct", stderr=False)
        return int(asked.output) if asked.returncode == 0 else None

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """The ids of files and folders in a commit, of all of it for an empty name; None for what is not in it."""
        every = list(names)
        asked = "".join(f"{commit}:{self.prefix}{name}\n" for name in every)
        told = self._run("cat-file", "--batch-check=%(objectname)", stdin=asked, stderr=False)
        lines = told.check("git cat-file").output.splitlines()
        return {name: None if line.endswith(" missing") else line for name, line in zip(every, lines, strict=True)}

    def subject(self) -> str:
        """The first line of the present commit's message."""
        return self._ask("log", "-1", "--no-show-signature", "--format=%s")

    def head(self) -> str | None:
        """Full id of the present commit, None before the first."""
        asked = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", stderr=False)
        return asked.output.strip() or None if asked.returncode == 0 else None

    def tags(self) -> dict[str, str]:
        """Every local tag and the commit it leads to."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        listing = self._run("show-ref", "--tags", "--dereference", stderr=False).output
        return _tags(_refs(listing, " "))

    def remote_refs(self, remote: str) -> dict[str, str]:
        """Every branch and tag of a remote by full name; an annotated tag's commit is under `NAME^{}`.

        Raises:
            Failed: The remote does not answer.
        """
        asked = self._run("ls-remote", "--heads", "--tags", "--", remote, stderr=False)
        if asked.returncode != 0:
            raise Failed(
                f"git cannot reach the remote {remote}",
                hint=f"git ls-remote {remote}",
            )
        return _refs(asked.output, "\t")

    def remote_tags(self, remote: str) -> dict[str, str]:
        """Every tag of a remote and the commit it leads to."""
        return self.tags_among(self.remote_refs(remote))

    @staticmethod
    def tags_among(refs: dict[str, str]) -> dict[str, str]:
        """The tags among refs by full name, by their short names, and the commit each leads to."""
        return _tags(refs)

    def files_with(self, texts: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
        """Tracked files of these names that hold one of the texts as a word."""
        patterns = [word for text in texts for word in ("-e", text)]
        specs = [f":(glob)**/{name}" for name in names]
        asked = self._run("grep", "--files-with-matches", "-z", "-F", "-w", *patterns, "--", *specs, stderr=False)
        return tuple(name for name in asked.output.split("\0") if name)

    def tracked(self) -> tuple[str, ...]:
        """The files of the index and of those of its submodules, relative to the root, sorted."""
        return tuple(sorted(filter(None, self._listed("ls-files", "--recurse-submodules"))))

    def ignored(self, files: Iterable[str]) -> set[str]:
        """Those of the files that git ignores."""
        asked = self._run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in asked.output.split("\0") if name}

    def private_folder(self) -> Path:
        """The folder under git's own directory where relnox keeps what must outlive a run."""
        if self._private is None:
            self._private = self._git_path("relnox")
        return self._private

    def matches_head(self, files: Iterable[str]) -> bool:
        """Whether these files are in the present commit just as they are in the checkout."""
        wanted = set(files)
        some = next(iter(wanted), None)
        if (
            some
            and self._run("diff", "--quiet", "HEAD", "--", f":(top,literal){self.prefix}{some}").returncode == 1
        ):
            return False  # the rest need not be read
        changed = self._listed("diff", "--name-only", "--no-renames", "HEAD")
        return wanted.isdisjoint(changed) and not self._unknown(wanted)

    def index_matches_head(self, files: Iterable[str]) -> bool:
        """Whether the index holds these files as the present commit does."""
        return set(files).isdisjoint(self._listed("diff", "--cached", "--name-only", "--no-renames", "HEAD"))

    def _unknown(self, files: set[str]) -> set[str]:
        """Those of the files that are there, and not in the index."""
        return {name for name in files.difference(self._listed("ls-files")) if (self.root / name).exists()}

    def _listed(self, *words: str) -> list[str]:
        """Files that a command lists, relative to the root."""
        relative = ("--relative",) if words[0] == "diff" else ()
        return self._ask(*words, *relative, "-z").split("\0")

    def commit(self, message: str, files: Iterable[str]) -> str:
        """Commit the present content of exactly these files, and return the commit's id.

        Raises:
            Failed: git, or a hook, refused; the last lines are told.
        """
        names = list(files)
        if unknown := self._unknown(set(names)):
            self._change("add", "--intent-to-add", *_FROM_INPUT, stdin=self._pathspecs(unknown)).check("git add")
        if len(names) > _MANY:
            self._pack(names)
        argv = ("commit", "--only", "--quiet", "--no-edit", f"--message={message}", *_FROM_INPUT)
        self._change(*argv, stdin=self._pathspecs(names)).check(
            "git commit", hint="mend what git or the hook says, then type the same command again"
        )
        head = self.head()
        if head is None:
            raise Failed("git commit succeeded, but there is no commit", hint="git log -1")
        return head

    def _pack(self, files: Iterable[str]) -> None:
        """Put the objects that a commit of these files needs into one pack.

        Left to itself git writes a file for every blob and every tree: two for each package of a workspace, which
        takes longer than all the rest of the commit. It finds them in the pack instead. No ref leads to the commit
        they come with; where a filter makes other objects of the files, git writes those as ever.
        """
        stream = [b"feature done\ncommit refs/relnox/objects\ncommitter relnox <> 0 +0000\ndata 0\nfrom HEAD^0\n"]
        for name in files:
            path = self.root / name
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                mode = b"100755" if path.stat().st_mode & 0o100 else b"100644"
                stream.append(b"M %s inline %s\ndata %d\n" % (mode, _quoted(f"{self.prefix}{name}"), len(content)))
                stream += content, b"\n"
        stream.append(b"reset refs/relnox/objects\nfrom %s\n\ndone\n" % (b"0" * 40))
        # It is for speed alone: whether it works does not matter.
        self._run("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", stdin=b"".join(stream))

    def create_tag(self, tag: Tag, commit: str) -> None:
        """Create an annotated tag on a commit; one of that name must not be there.

        `tag.gpgSign` is the user's choice and git honours it here.

        Raises:
            Failed: git refused, or could not sign the tag; there is none then.
        """
        message = ("--cleanup=whitespace", f"--message={tag.message}")
        self._change("tag", "--annotate", *message, "--", tag.name, commit).check(f"git tag {tag.name}")
        if self._signs_tags() and "\n-----BEGIN " not in self._ask("cat-file", "tag", f"refs/tags/{tag.name}"):
            # git 2.39 does so, and succeeds, where the SSH key is not there.
            self.delete_tags([tag.name])
            raise Failed(
                f"git made the tag {tag.name} without the signature that tag.gpgSign asks for",
                hint="does signing work? git tag --sign --message try try-signing",
            )

    def create_tags(self, tags: Sequence[Tag], commit: str) -> None:
        """Create annotated tags on a commit, all or none; none of them must be there.

        Where the user wants tags signed (`tag.gpgSign`), git signs them one by one.

        Raises:
            Failed: git refused.
        """
        made: list[str] = []
        if len(tags) == 1 or self._signs_tags():
            try:
                for tag in tags:
                    self.create_tag(tag, commit)
                    made.append(tag.name)
            except BaseException:
                self.delete_tags(made)
                raise
            return
        tagger = self._ask("var", "GIT_COMMITTER_IDENT")
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / str(number) for number in range(len(tags))]
            for path, tag in zip(paths, tags, strict=True):
                head = f"object {commit}\ntype commit\ntag {tag.name}\ntagger {tagger}\n\n"
                path.write_bytes(f"{head}{tag.message}\n".encode())
            hashing = ("hash-object", "-t", "tag", "-w", "--no-filters", "--stdin-paths")
            asked = self._run(*hashing, stdin="\n".join(map(str, paths)), stderr=False)
        ids = asked.check("git hash-object -t tag").output.split()
        refs = [f"create refs/tags/{tag.name} {made}" for tag, made in zip(tags, ids, strict=True)]
        self.update_refs(refs, f"creating {len(tags)} tags")

    def delete_tags(self, names: Iterable[str]) -> None:
        """Delete local tags, all or none; those that are not there are passed over."""
        self.update_refs([f"delete refs/tags/{name}" for name in names], "deleting tags")

    def update_refs(self, commands: Iterable[str], what: str) -> None:
        """Carry several changes of refs out in one transaction (`git update-ref --stdin`).

        Raises:
            Failed: One of them is not possible; none was made.
        """
        lines = "".join(f"{command}\n" for command in commands)
        if lines:
            self._change("update-ref", "--stdin", stdin=lines).check(what)

    def _signs_tags(self) -> bool:
        asked = self._run("config", "--type=bool", "--get", "tag.gpgSign", stderr=False)
        return asked.output.strip() == "true"

    def take_back(self, commit: str, tags: Iterable[str], files: Iterable[str]) -> None:
        """Let the branch lead to the parent of its last commit again, and delete tags, as one; then the index.

        Args:
            commit: The commit to take back; nothing happens unless it is the present one.
            tags: Tags to delete along with it.
            files: What the index is to hold as that parent does.
        """
        refs = [f"delete refs/tags/{name}" for name in tags]
        if self.head() == commit:
            refs.append(f"update HEAD {self._ask('rev-parse', f'{commit}^')} {commit}")
        self.update_refs(refs, "taking the bump back")
        self.reset_index(files)

    def pushed_to(self, commit: str) -> tuple[str, ...]:
        """Remote branches, as of the last fetch, that contain a commit."""
        listing = self._ask("for-each-ref", "--format=%(refname:short)", f"--contains={commit}", "refs/remotes")
        return tuple(listing.split())

    def merged_tags(self) -> frozenset[str]:
        """Names of the tags whose commits the present one contains."""
        return frozenset(self._ask("tag", "--merged", "HEAD").split())

    def contains(self, commit: str, where: str = "HEAD") -> bool:
        """Whether a commit contains another one; one that is not here is contained in none."""
        return self._run("merge-base", "--is-ancestor", commit, where).returncode == 0

    def reset_to(self, commit: str | None, files: Iterable[str]) -> None:
        """Take a commit of these files back without touching the checkout; what else is staged stays so."""
        if commit is not None and self.head() != commit:
            self._change("reset", "--quiet", "--soft", commit).check("git reset")
            self.reset_index(files)

    def reset_index(self, files: Iterable[str]) -> None:
        """Let the index hold these files as the present commit does."""
        names = list(files)
        if names:
            self._change("reset", "--quiet", *_FROM_INPUT, "HEAD", stdin=self._pathspecs(names)).check("git reset")

    def wait_for_left_behind(self) -> None:
        """Wait until the git of a run that was killed has ended: it goes on without that run.

        Raises:
            Failed: It does not end.
        """
        note = self._note()
        deadline = time.monotonic() + _PATIENCE
        while (group := _noted(note)) is not None and _is_at_work(group):
            if time.monotonic() > deadline:
                raise Failed(
                    f"a git that an interrupted run started is still at work (process {group})",
                    hint=f"wait for it, or end it; if that process is no git, remove {note}",
                )
            time.sleep(0.02)

    def recover(self) -> None:
        """Wait for the git of a run that was killed, and remove the locks that it left if it was killed, too.

        Raises:
            Failed: It does not end.
        """
        self.wait_for_left_behind()
        note = self._note()
        if note.exists():
            since = note.stat().st_mtime
            for lock in (*self._git_path("index").parent.glob("*.lock"), *self._git_path("refs").rglob("*.lock")):
                with contextlib.suppress(FileNotFoundError):  # of a git that ends just now
                    # Locks that were there before are not its own; the note is a moment younger than it.
                    if lock.stat().st_mtime >= since - 1:
                        lock.unlink()
            note.unlink()

    def local_refs(self) -> dict[str, str]:
        """Every local branch and tag by full name; an annotated tag is its own object here."""
        listing = self._ask("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags")
        return dict(line.split(" ") for line in listing.splitlines())

    def push(self, remote: str, branch: str, tags: Iterable[str]) -> None:
        """Push a branch and tags in one atomic transaction.

        Raises:
            Failed: The remote refused; nothing arrived.
        """
        refs = [
            f"refs/heads/{branch}:refs/heads/{branch}",
            *(f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags),
        ]
        # push.followTags would send tags along that nobody planned.
        self._change("push", "--atomic", "--no-follow-tags", "--porcelain", "--", remote, *refs).check(
            f"git push to {remote}",
            hint="see what the remote says above; nothing was pushed (the push is all or none)",
        )

    def throw_away_clone(self, into: Path, commit: str, branch: str) -> Path:
        """Clone this repository into `into`: a bare remote, and a checkout of it at a commit.

        The objects are copied: nothing that happens there reaches this repository.

        Args:
            into: An existing folder.
            commit: What the checkout is at.
            branch: Name of the branch that it is on.

        Returns:
            The folder in the new checkout that `root` is in this one.
        """
        top = self._ask("rev-parse", "--show-toplevel")
        remote, checkout = into / "remote.git", into / "checkout"
        self._run("clone", "--quiet", "--no-hardlinks", "--bare", "--", top, str(remote)).check("git clone")
        Git(remote).set_branch(branch, commit)
        self._run(
            "clone", "--quiet", "--no-hardlinks", "--branch", branch, "--", str(remote), str(checkout)
        ).check("git clone")
        for key in ("user.name", "user.email"):
            if value := self._run("config", "--get", key, stderr=False).output.strip():
                Git(checkout).run("config", key, value).check("git config")
        return checkout / self.prefix if self.prefix else checkout

    def scratch_clone(self, into: Path) -> Git:
        """A clone at the present commit for programs that write; it borrows objects and is soon thrown away."""
        top, checkout = self._ask("rev-parse", "--show-toplevel"), into / "checkout"
        self._run("clone", "--quiet", "--shared", "--no-checkout", "--", top, str(checkout)).check("git clone")
        clone = Git(checkout / self.prefix if self.prefix else checkout, self.prefix)
        Git(checkout).run("checkout", "--quiet", "--detach", self.head() or "HEAD").check("git checkout")
        return clone

    def changed_files(self) -> tuple[str, ...]:
        """Files that differ from the present commit, those that git does not know among them."""
        _, dirty, untracked = self._status("--no-renames")
        return tuple(sorted({*dirty, *untracked}))

    def set_branch(self, branch: str, commit: str) -> None:
        """Let a branch lead to a commit, whatever it led to before; for repositories of one's own making."""
        self._run("update-ref", f"refs/heads/{branch}", commit).check("git update-ref")

    def run(self, *words: str, stderr: bool = True, umask: int = -1) -> process.Completed:
        """Any other git command, in this checkout; the result is not checked."""
        return self._run(*words, stderr=stderr, umask=umask)

    def _status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Header, changed and untracked files of `git status --porcelain=v2 -z`."""
        entries = self._ask("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", *options).split(
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

    def _pathspecs(self, files: Iterable[str]) -> str:
        """Names as git takes them for nothing but names, for `--pathspec-from-file`."""
        return "\0".join(f":(top,literal){self.prefix}{name}" for name in files)

    def _ask(self, *words: str) -> str:
        asked = self._run(*words, stderr=False)
        return asked.check(f"git {words[0]}").output.strip()

    def _change(self, *words: str, stdin: str | None = None) -> process.Completed:
        """Run a git that changes the repository.

        Its process is noted down until it has ended: if relnox is killed, git goes on, and the next run waits for
        it. If git is killed, nobody but relnox knows whose locks are left.
        """
        note = self._note()
        note.parent.mkdir(parents=True, exist_ok=True)
        ended = self._run(*words, stdin=stdin, on_start=lambda group: _write_note(note, group))
        if ended.returncode < 0:
            self.recover()
        note.unlink(missing_ok=True)
        return ended

    def _note(self) -> Path:
        return self.private_folder() / "git-at-work"

    def _git_path(self, name: str) -> Path:
        return self.root / self._ask("rev-parse", "--git-path", name)

    def _run(
        self,
        *words: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        on_start: Callable[[int], None] | None = None,
        umask: int = -1,
    ) -> process.Completed:
        return process.run(
            ["git", *words],
            cwd=self.root,
            env=_environment(),
            stdin=stdin,
            stderr=stderr,
            on_start=on_start,
            umask=umask,
        )


def _quoted(name: str) -> bytes:
    """A path as fast-import reads it, whatever is in it."""
    inside = name.encode("utf-8", "surrogateescape")
    for old, new in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        inside = inside.replace(old, new)
    return b'"%s"' % inside


def _refs(listing: str, separator: str) -> dict[str, str]:
    """Lines of an id and a name, by name."""
    pairs = (line.split(separator, 1) for line in listing.split("\n") if separator in line)
    return {name: target for target, name in pairs}


def _tags(refs: dict[str, str]) -> dict[str, str]:
    """The tags among refs, and the commit that each leads to: `NAME^{}` of an annotated one."""
    names = [name for name in refs if name.startswith("refs/tags/") and not name.endswith("^{}")]
    return {name.removeprefix("refs/tags/"): refs.get(f"{name}^{{}}", refs[name]) for name in names}


def _write_note(note: Path, group: int) -> None:
    note.write_text(str(group), encoding="ascii")


def _noted(note: Path) -> int | None:
    try:
        return int(note.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _is_at_work(group: int) -> bool:
    """Whether a process of the group is there; one that is dead and only not fetched by its parent is not."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
        state = Path(f"/proc/{group}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except (ProcessLookupError, PermissionError):
        return False
    except OSError:  # a leader that is gone before the others, or a system without /proc
        return True
    return state.split()[0] != "Z"


def _environment() -> dict[str, str]:
    """Keep git here, and keep it from asking, from opening an editor and from speaking another language.

    Nor does it lock anything to remember what it only looked at: killed, it would leave that lock.
    """
    here = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY + _OTHER_PATHS}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GIT_OPTIONAL_LOCKS": "0"}
    return here | quiet | {"LC_ALL": "C.UTF-8", "LANGUAGE": "en"}
