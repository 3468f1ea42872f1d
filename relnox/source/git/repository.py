"""Run git in one checkout, and query its files, commits and refs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from relnox.core.records import Record, replace
from relnox.errors import Blocked
from relnox.system import process
from relnox.system.process import without_upload_credentials

_REMOVED_VARIABLES = frozenset(
    {
        # Set by git for its hooks: they make git use a repository other than that of the working directory.
        *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE"),
        *("GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE"),
        # Set by users: they change how git interprets paths, or which attributes files have.
        "GIT_ATTR_SOURCE",
        *("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS"),
    }
)
_POETRY_CREDENTIALS_PREFIX = "POETRY_HTTP_BASIC_"
"""The prefix of variables with credentials of indexes, which git and its hooks do not need."""
_TOKEN_VARIABLES = ("RELNOX_FORGE_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
"""The variables that may have the token of a job of GitHub Actions, by precedence."""
_SETTINGS = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "GIT_OPTIONAL_LOCKS": "0",  # a killed `git status` would leave its lock
    "GIT_NO_REPLACE_OBJECTS": "1",  # a replaced commit has other files than the commit of this id elsewhere
    "LC_ALL": "C.UTF-8",
    "LANGUAGE": "en",
}
"""Variables that make git run without prompts, editors, optional locks and replaced objects, in English."""
_OPERATIONS = {
    "rebase-merge": "rebase",
    "rebase-apply/applying": "am",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
}
"""The files in the `.git` directory that exist until a git command ends, by precedence, with the command."""


class GitState(Record, kw_only=True):
    """The state of a checkout at one moment.

    Attributes:
        head: The full id of the current commit, or None before the first commit.
        branch: The name of the current branch, or None if the head is detached.
        changed_files: Tracked files below `Git.root` that differ from the commit, relative to it.
        untracked_files: Files below `Git.root` that are neither tracked nor ignored, relative to it.
        tags: Maps each local tag to the commit that it points to.
        upstream: The upstream branch, such as `origin/main`, or None if there is none.
        upstream_remote: The remote of the upstream; `.` for a branch of this repository, None if there is none.
        commits_behind: The number of commits of the upstream that the branch lacks, as of the last fetch.
        operation: The git command that has begun and not ended, such as `merge`; None if there is none.
    """

    head: str | None
    branch: str | None
    changed_files: tuple[str, ...]
    untracked_files: tuple[str, ...]
    tags: dict[str, str]
    is_shallow: bool
    upstream: str | None = None
    upstream_remote: str | None = None
    commits_behind: int = 0
    operation: str | None = None


class CommitMessage(NamedTuple):
    """The full id and the message of a commit."""

    commit: str
    message: str


class TagMessage(NamedTuple):
    """The message of an annotated tag, and the id of the commit that it points to."""

    name: str
    commit: str
    message: str


class Git:
    """A checkout and its repository; paths are relative to `root`, a directory in the checkout.

    Args:
        root: The directory in which git is run.
        prefix: The path of `root` relative to the checkout's top level: empty, or ending in a slash.
        variables: Environment variables that are set in addition to those of relnox.
    """

    def __init__(self, root: Path, prefix: str = "", variables: Mapping[str, str] = MappingProxyType({})) -> None:
        self.root = root
        self.prefix = prefix
        self._own_variables = variables

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        """The environment variables of git commands."""
        return {**_git_variables(), **self._own_variables}

    def run(
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        timeout: float | None = None,
        umask: int = -1,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> process.CompletedProgram:
        """Run a git command in the root without checking its exit status.

        The result includes standard error if `stderr` is set. `stdin` is the standard input, None for none.
        `variables` are set in addition to the environment of all git commands. `umask` is that of the command (-1:
        that of relnox). Raise `Failed` if git takes longer than `timeout` seconds (None: no limit), or cannot be
        started.
        """
        return process.run(
            ["git", *arguments],
            cwd=self.root,
            env={**self._variables, **variables},
            stdin=stdin,
            stderr=stderr,
            timeout=timeout,
            umask=umask,
            newlines="-z" not in arguments,
        )

    def read_output(self, *arguments: str) -> str:
        """Run a git command and return its standard output, stripped; raise `Failed` if the command fails."""
        return self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output.strip()

    def read_lines(self, *arguments: str) -> list[str]:
        """Run a git command and return the lines that it prints, but no empty ones; raise `Failed` if it fails."""
        # Not splitlines: names of refs may contain other Unicode white space.
        listing = self.run(*arguments, stderr=False).check(f"git {arguments[0]}").output
        return list(filter(None, listing.split("\n")))

    def read_entries(self, command: str, *arguments: str) -> list[str]:
        """Run a git command with `-z`, and return the entries that it prints, such as paths, but no empty ones.

        Raise `Failed` if the command fails.
        """
        listing = self.run(command, "-z", *arguments, stderr=False).check(f"git {command}").output
        return list(filter(None, listing.split("\0")))

    def resolve_all(self, revisions: Sequence[str]) -> list[str | None]:
        """Return, for each revision, the full id of the object that it names, or None if this clone lacks it."""
        lines = [revision for revision in revisions if "\n" not in revision]
        ids: dict[str, str | None] = {}
        if lines:
            text = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
            completed = self.run("cat-file", "--batch-check=%(objectname)", stdin=text, stderr=False)
            answers = completed.check("git cat-file").output.split("\n")
            ids = {
                line: None if answer.endswith(" missing") else answer
                for line, answer in zip(lines, answers, strict=False)
            }
        return [ids[name] if name in ids else self.resolve(name) for name in revisions]

    def resolve(self, revision: str) -> str | None:
        """Return the full id of the object that a revision names, or None if this clone has no such object."""
        answer = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", revision, stderr=False)
        return answer.output.strip() or None if answer.returncode == 0 else None

    @cached_property
    def git_directory(self) -> Path:
        """The `.git` directory of the checkout; a linked worktree has its own."""
        return self.root / self.read_output("rev-parse", "--absolute-git-dir")

    def private_directory(self) -> Path:
        """Return the directory inside `.git` where relnox keeps files between runs; it need not exist."""
        return self.git_directory / "relnox"

    def top_level(self) -> str:
        """Return the path of the checkout's top-level directory."""
        return self.read_output("rev-parse", "--show-toplevel")

    def at_top(self) -> Git:
        """Return the same checkout and repository, with the top-level directory as the root."""
        return Git(Path(self.top_level()), variables=self._own_variables)

    @cached_property
    def config(self) -> Mapping[str, str | None]:
        """Git's configuration: values by name, such as `remote.origin.url`.

        Sections and keys are in lowercase; subsections, such as the names of remotes, are as written. The value of
        a setting without `=` is None.
        """
        listing = self.run("config", "-z", "--list", stderr=False)
        replace(listing, output="").check("git config")  # the output may have credentials
        entries = (entry.partition("\n") for entry in listing.output.split("\0") if entry)
        return {name: value if separator else None for name, separator, value in entries}

    def read_state(self) -> GitState:
        """Return the state of the checkout at this moment."""
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
            upstream_remote=self.config.get(f"branch.{branch}.remote"),
            commits_behind=-int(header.get("branch.ab", "+0 -0").split(" ")[1]),
            operation=self._operation_in_progress(),
        )

    def tracked_files(self) -> tuple[str, ...]:
        """Return the tracked files below the root, sorted and relative to it, including those of submodules."""
        return tuple(sorted(self.read_entries("ls-files", "--recurse-submodules")))

    def index_states(self) -> dict[str, str]:
        """Map each tracked file of the whole checkout, relative to `Git.root`, to its letter in `git ls-files -v`.

        Paths outside the root begin with `../`. The letter says how git treats the file: `S` and `s` for
        skip-worktree, lowercase ones for assume-unchanged, `H` for most files.
        """
        return {entry[2:]: entry[0] for entry in self.read_entries("ls-files", "-v", "--", ":/")}

    def filter_ignored(self, files: Iterable[str]) -> set[str]:
        """Return the files, of these, that git ignores."""
        completed = self.run("check-ignore", "-z", "--stdin", stdin="\0".join(files), stderr=False)
        return {name for name in completed.output.split("\0") if name}

    def changed_and_untracked_files(self) -> tuple[str, ...]:
        """Return the files that differ from HEAD, or are untracked and not ignored.

        Only files below the root are returned, sorted and relative to it.
        """
        _, changed_files, untracked_files = self._read_status("--no-renames")
        return tuple(sorted({*changed_files, *untracked_files}))

    def grep(self, expression: str) -> Iterator[tuple[str, str]]:
        """Yield the file and the text of each matching line in the tracked text files below the root.

        `expression` is a POSIX extended regular expression; files are relative to the root.
        """
        options = ("--no-color", "-I", "-z", "-E", "-e", expression)
        listing = self.run("grep", *options, "--", ".", stderr=False)
        # A file name is before each line; it ends in NUL, and may contain line ends.
        file, *rest = listing.output.split("\0")
        for text in rest:
            line, _, following = text.partition("\n")
            yield file, line.removesuffix("\r")
            file = following

    def is_shallow(self) -> bool:
        """Return whether the clone is shallow, which means that it lacks a part of the history."""
        return self.read_output("rev-parse", "--is-shallow-repository") == "true"

    def identity_error(self, role: Literal["AUTHOR", "COMMITTER"] = "COMMITTER") -> str | None:
        """Return git's message if the name or email address for this role is missing or invalid, else None."""
        identity = self.run("var", f"GIT_{role}_IDENT")
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

    def commit_time(self, commit: str = "HEAD") -> int | None:
        """Return the time of a commit in seconds since 1970, or None if there is no such commit."""
        time = self.run("log", "-1", "--no-show-signature", "--format=%ct", commit, "--", stderr=False)
        return int(time.output) if time.returncode == 0 else None

    def is_ancestor(self, commit: str, descendant: str = "HEAD") -> bool:
        """Return whether `commit` is `descendant` or an ancestor of it; False if this clone lacks one of them."""
        return self.run("merge-base", "--is-ancestor", commit, descendant).returncode == 0

    def files_changed_between(self, commit: str, other: str) -> tuple[str, ...] | None:
        """Return the files below the root that differ between two commits; None if this clone lacks a commit."""
        options = ("--name-only", "--no-renames", "--relative", "-z")
        completed = self.run("diff", *options, commit, other, "--", stderr=False)
        return tuple(filter(None, completed.output.split("\0"))) if completed.returncode == 0 else None

    def files_staged_since(self, commit: str) -> set[str]:
        """Return the files below the root whose content in git's index differs from that in a commit."""
        options = ("--cached", "--name-only", "--no-renames", "--relative", commit)
        return set(self.read_entries("diff-index", *options))

    def files_differing_from(self, commit: str, files: Iterable[str]) -> set[str]:
        """Return those of the files whose content, as git would store it, differs from that in a commit.

        A file that is missing in one of the two differs, and a symbolic link always does. Unlike `git diff`, this
        ignores bits of the index that hide changes (skip-worktree, assume-unchanged).
        """
        ids = self.object_ids(commit, files)
        paths = {name: self.root / name for name in ids}
        regular = [name for name, path in paths.items() if path.is_file() and not path.is_symlink()]
        lines = b"".join(quote_path(f"{self.prefix}{name}") + b"\n" for name in regular)
        hashes = self.run("hash-object", "--stdin-paths", stdin=lines, stderr=False).check("git hash-object")
        present: dict[str, str | None] = dict(zip(regular, hashes.output.split(), strict=True))
        return {
            name
            for name, object_id in ids.items()
            if present.get(name) != object_id or (object_id is None and os.path.lexists(paths[name]))
        }

    def object_ids(self, commit: str, names: Iterable[str]) -> dict[str, str | None]:
        """Map files and directories ("" is the root) to their object ids in a commit, or None if not in it."""
        names = list(names)
        ids = self.resolve_all([f"{commit}:{self.prefix}{name}" for name in names])
        return dict(zip(names, ids, strict=True))

    def tags(self) -> dict[str, str]:
        """Map each local tag to the commit that it points to."""
        # Not for-each-ref: until git 2.45 it follows a tag of a tag one step only.
        return commits_of_tags(
            parse_refs(self.run("show-ref", "--tags", "--dereference", stderr=False).output, " ")
        )

    def tag_targets(self, names: Sequence[str]) -> dict[str, str | None]:
        """Map each tag to the id of the object that it points to, usually a commit; None if there is no such tag.

        For a missing tag NAME, git may find another ref whose name ends with `refs/tags/NAME`.
        """
        return dict(zip(names, self.resolve_all([f"refs/tags/{name}^{{}}" for name in names]), strict=True))

    def commit_messages(self, *revisions: str) -> list[CommitMessage]:
        """Return the commits that arguments of `git log` select, along first parents, the newest first."""
        options = ("--first-parent", "--no-show-signature", "--no-color", "--encoding=UTF-8", "--format=%H%n%B")
        entries = (entry.partition("\n") for entry in self.read_entries("log", *options, *revisions, "--"))
        return [CommitMessage(commit, message.strip()) for commit, _, message in entries]

    def tag_messages(self, *conditions: str) -> list[TagMessage]:
        """Return the annotated tags that options of `git for-each-ref` select (default: all), newest first."""
        fields = "%(refname:strip=2)%00%(objecttype)%00%(*objectname)%00%(contents)%00"
        options = ("--sort=-creatordate", f"--format={fields}", *conditions)
        values = self.read_output("for-each-ref", *options, "refs/tags").split("\0")
        tags = zip(values[::4], values[1::4], values[2::4], values[3::4], strict=False)
        return [
            TagMessage(name.lstrip(), at, message.strip()) for name, kind, at, message in tags if kind == "tag"
        ]

    def merged_tags(self, commit: str = "HEAD") -> frozenset[str]:
        """Return the tags that point to a commit or its ancestors."""
        return frozenset(self.read_lines("tag", "--merged", commit))

    def local_refs(self) -> dict[str, str]:
        """Map the full names of local branches and tags to object ids: of the tag itself if it is annotated."""
        options = ("--format=%(objectname) %(refname)", "refs/heads", "refs/tags")
        return parse_refs(self.read_output("for-each-ref", *options), " ")

    def remote_branches_containing(self, commit: str) -> tuple[str, ...]:
        """Return the remote branches, such as `origin/main`, that contain a commit, as of the last fetch."""
        options = ("--format=%(refname)", f"--contains={commit}")  # a short name is longer if a tag has it, too
        refs = self.read_lines("for-each-ref", *options, "refs/remotes")
        return tuple(ref.removeprefix("refs/remotes/") for ref in refs)

    def _operation_in_progress(self) -> str | None:
        """Return the git command that has begun and not ended, such as `merge`, or None."""
        operations = _OPERATIONS.items()
        return next((command for file, command in operations if (self.git_directory / file).exists()), None)

    def _read_status(self, *options: str) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
        """Run `git status`; return the result of `_parse_status`, with only the files below the root, sorted."""
        header, changed_files, untracked_files = _parse_status(
            self.read_output("status", "--porcelain=v2", "--branch", "-z", "--untracked-files=all", *options)
        )

        def below_root(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(sorted(name.removeprefix(self.prefix) for name in names if name.startswith(self.prefix)))

        return header, below_root(changed_files), below_root(untracked_files)


def find_repository(directory: Path) -> Git | None:
    """Return the checkout that contains a directory, which becomes `Git.root`; None outside of checkouts.

    Raises:
        Blocked: git refuses to work in the checkout because another user owns it.
    """
    path = directory.resolve()
    if not path.is_dir() or not any((parent / ".git").exists() for parent in (path, *path.parents)):
        return None
    # Warnings on standard error must not be parsed as the answer.
    answer = Git(directory).run("rev-parse", "--is-inside-work-tree", "--show-prefix", stderr=False)
    if answer.returncode != 0:
        if "dubious ownership" in Git(directory).run("rev-parse", "--is-inside-work-tree").output:
            raise Blocked(
                "repository-not-trusted",
                f"git refuses to use the repository {directory} (it belongs to another user)",
                fix=f"git config --global --add safe.directory {directory}",
            )
        return None
    inside, _, prefix = answer.output.partition("\n")
    return Git(directory, prefix.removesuffix("\n")) if inside == "true" else None


def _git_variables() -> dict[str, str]:
    """Return the environment of relnox without credentials of indexes, adapted for git commands.

    Variables that make git use another repository, such as `GIT_DIR`, are removed. Others are set so that git
    never asks for input, and can use the token of a GitHub Actions job.
    """
    return {
        name: value
        for name, value in without_upload_credentials(os.environ).items()
        if not name.startswith(_POETRY_CREDENTIALS_PREFIX) and name not in _REMOVED_VARIABLES
    } | {**_SETTINGS, **_job_token_variables(os.environ)}


def _job_token_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return variables that let git log in with the token of a GitHub Actions job; none elsewhere.

    The checkout of such a job may have no credentials (`persist-credentials: false`). The token is neither on a
    command line nor in a file. git uses it only for the server of the job.
    """
    server = environment.get("GITHUB_SERVER_URL", "").rstrip("/")
    token = next((name for name in _TOKEN_VARIABLES if environment.get(name)), "")
    if environment.get("GITHUB_ACTIONS") != "true" or not server or not token or "GIT_ASKPASS" in environment:
        return {}
    count = environment.get("GIT_CONFIG_COUNT", "0")
    return {
        "GIT_CONFIG_COUNT": str(int(count) + 1),
        f"GIT_CONFIG_KEY_{count}": f"credential.{server}.helper",
        f"GIT_CONFIG_VALUE_{count}": f'!f() {{ echo username=x-access-token; echo "password=${token}"; }}; f',
    }


def _parse_status(output: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Parse the output of `git status --porcelain=v2 --branch -z`.

    Returns:
        The values of the header lines by name, such as `branch.head`, the tracked files that differ from the
        commit, and the files that are neither tracked nor ignored; all paths are relative to the top level.
    """
    header: dict[str, str] = {}
    changed_files: list[str] = []
    untracked_files: list[str] = []
    entries = iter(output.split("\0"))
    for entry in entries:
        match entry[:2]:
            case "# ":
                name, _, value = entry[2:].partition(" ")
                header[name] = value
            case "1 ":
                changed_files.append(entry.split(" ", 8)[8])
            case "2 ":
                changed_files.append(entry.split(" ", 9)[9])
                next(entries)  # the old name of a renamed file
            case "u ":
                changed_files.append(entry.split(" ", 10)[10])
            case "? ":
                untracked_files.append(entry[2:])
            case _:
                continue  # the empty string behind the last NUL, and kinds that no option asks for
    return header, changed_files, untracked_files


def quote_path(name: str) -> bytes:
    """Return a path in double quotes, escaped for git's standard input where it expects one path on each line."""
    inside = name.encode("utf-8", "surrogateescape")
    for old, new in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        inside = inside.replace(old, new)
    return b'"%s"' % inside


def parse_refs(listing: str, separator: str) -> dict[str, str]:
    """Parse lines of an object id, the separator and a ref; return the ids by the full name of the ref."""
    pairs = (line.split(separator, 1) for line in listing.split("\n") if separator in line)
    return {name: object_id for object_id, name in pairs}


def commits_of_tags(refs: Mapping[str, str]) -> dict[str, str]:
    """Return the commit that each tag points to, by tag name.

    `refs` are object ids by the full names of refs; the commit of an annotated tag is under the name with `^{}`.
    """
    names = [name for name in refs if name.startswith("refs/tags/") and not name.endswith("^{}")]
    return {name.removeprefix("refs/tags/"): refs.get(f"{name}^{{}}", refs[name]) for name in names}
