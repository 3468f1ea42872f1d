"""The bare repository of a fake forge: everything is done by git."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

__all__ = ["Repository"]

IDENTITY = {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "forge[bot]"), ("EMAIL", "bot@forge.invalid"))
}


class Repository:
    """A bare git repository.

    Args:
        path: Its directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *words: str, content: bytes | None = None, **variables: str) -> str:
        """Run git and return its output; CalledProcessError where it fails."""
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            input=content,
            check=True,
            capture_output=True,
            env={**os.environ, **IDENTITY, **variables},
        )
        return done.stdout.decode().strip()

    def succeeds(self, *words: str) -> bool:
        try:
            self.git(*words)
        except subprocess.CalledProcessError:
            return False
        return True

    def ref(self, name: str) -> str | None:
        """The object that a ref points to, which may be a tag; None if there is no such ref."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", name) or None
        except subprocess.CalledProcessError:
            return None

    def commit_of(self, name: str) -> str | None:
        return self.ref(f"{name}^{{commit}}")

    def kind(self, object_id: str) -> str | None:
        try:
            return self.git("cat-file", "-t", object_id)
        except subprocess.CalledProcessError:
            return None

    def set_ref(self, name: str, target: str, old: str | None = None) -> None:
        self.git("update-ref", name, target, *([] if old is None else [old]))

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", content=content)

    def file(self, commit: str, path: str) -> bytes | None:
        """The content of a file of a commit; None if it has none of that name."""
        done = subprocess.run(
            ["git", "-C", str(self.path), "cat-file", "blob", f"{commit}:{path}"], check=False, capture_output=True
        )
        return None if done.returncode else done.stdout

    def mode(self, commit: str, path: str) -> str:
        """The mode of a file of a commit; empty if it has none of that name."""
        return self.git("ls-tree", commit, path).partition(" ")[0]

    def tree(self, base: str, entries: list[tuple[str, str, str | None]]) -> str:
        """A tree with some files changed: mode, path, and blob or None to delete the file."""
        with tempfile.TemporaryDirectory() as directory:
            index = str(Path(directory) / "index")
            self.git("read-tree", base, GIT_INDEX_FILE=index)
            for mode, path, blob in entries:
                line = f"0 {'0' * 40}\t{path}\n" if blob is None else f"{mode} {blob}\t{path}\n"
                self.git("update-index", "--index-info", content=line.encode(), GIT_INDEX_FILE=index)
            return self.git("write-tree", GIT_INDEX_FILE=index)

    def commit(self, tree: str, parents: list[str], message: str) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *words, content=message.encode())

    def parents(self, commit: str) -> list[str]:
        return self.git("rev-parse", f"{commit}^@").split()

    def tree_of(self, commit: str) -> str:
        return self.git("rev-parse", f"{commit}^{{tree}}")

    def message(self, commit: str) -> str:
        return self.git("log", "-1", "--format=%B", commit)

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether a commit is an ancestor of another, or the same."""
        return self.succeeds("merge-base", "--is-ancestor", ancestor, commit)

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of a merge; None if there are conflicts."""
        try:
            return self.git("merge-tree", "--write-tree", base, head).split("\n")[0]
        except subprocess.CalledProcessError:
            return None
