"""What git does to a checkout: commits, tags, pushes, and taking them back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import fixes
from relnox.errors import Failed
from relnox.files import TemporaryFolder, make_private
from relnox.source.git.queries import NETWORK_TIMEOUT, Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox import process
    from relnox.core.steps import Tag

__all__ = ["Git"]

_MANY = 20
"""How many files a commit must have to be worth a process more."""
_FROM_INPUT = ("--pathspec-from-file=-", "--pathspec-file-nul")


class Git(Reader):
    """One checkout, what git knows of it, and what it does to it."""

    def commit(self, message: str, files: Iterable[str]) -> str:
        """Commit the present content of exactly these files, and return the commit's id.

        Raises:
            Failed: git, or a hook, refused; the last lines are told.
        """
        names = list(files)
        if unknown := self._unknown(set(names)):
            self.change("add", "--intent-to-add", *_FROM_INPUT, stdin=self._pathspecs(unknown)).check("git add")
        if len(names) > _MANY:
            self._pack(names)
        argv = ("commit", "--only", "--quiet", "--no-edit", f"--message={message}", *_FROM_INPUT)
        self.change(*argv, stdin=self._pathspecs(names)).check(
            "git commit", fix="mend what git or the hook says, then type the same command again"
        )
        head = self.head()
        if head is None:
            raise Failed("todo", "git commit succeeded, but there is no commit", fix="git log -1")
        return head

    def create_tag(self, tag: Tag, commit: str) -> None:
        """Create an annotated tag on a commit; one of that name must not be there.

        `tag.gpgSign` is the user's choice and git honours it here.

        Raises:
            Failed: git refused, or could not sign the tag; there is none then.
        """
        message = ("--cleanup=whitespace", f"--message={tag.message}")
        self.change("tag", "--annotate", *message, "--", tag.name, commit).check(f"git tag {tag.name}")
        if self._signs_tags() and "\n-----BEGIN " not in self.ask("cat-file", "tag", f"refs/tags/{tag.name}"):
            # git 2.39 does so, and succeeds, where the SSH key is not there.
            self.delete_tags([tag.name])
            raise Failed(
                "todo",
                f"git made the tag {tag.name} without the signature that tag.gpgSign asks for",
                fix="does signing work? git tag --sign --message try try-signing",
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
            except BaseException:  # an interruption too leaves all of the tags or none
                self.delete_tags(made)
                raise
            return
        tagger = self.ask("var", "GIT_COMMITTER_IDENT")
        private = self.private_folder()
        make_private(private)
        with TemporaryFolder(private) as folder:
            paths = [folder.path / str(number) for number in range(len(tags))]
            for path, tag in zip(paths, tags, strict=True):
                head = f"object {commit}\ntype commit\ntag {tag.name}\ntagger {tagger}\n\n"
                path.write_bytes(f"{head}{tag.message}\n".encode())
            hashing = ("hash-object", "-t", "tag", "-w", "--no-filters", "--stdin-paths")
            asked = self.run(*hashing, stdin="\n".join(map(str, paths)), stderr=False)
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
            self.change("update-ref", "--stdin", stdin=lines).check(what)

    def push(self, remote: str, branch: str, tags: Iterable[str]) -> None:
        """Push a branch and tags in one atomic transaction; a detached head has no branch to push.

        To a remote that knows no atomic push the branch goes first: a tag without its branch would be a release
        of a commit that nobody has.

        Raises:
            Failed: The remote refused.
        """
        branches = [f"refs/heads/{branch}:refs/heads/{branch}"] if branch else []
        tag_refs = [f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags]
        pushed = self._push("--atomic", remote, [*branches, *tag_refs])
        if pushed.returncode != 0 and "does not support --atomic" in pushed.output:
            for refs in filter(None, (branches, tag_refs)):
                pushed = self._push("--no-atomic", remote, refs)
                if pushed.returncode != 0:
                    break
        pushed.check(
            f"git push to {remote}",
            fix="fix what the remote says above and rerun the command, "
            f"or undo the bump: {fixes.command('bump', '--abort')}",
        )

    def _push(self, atomic: str, remote: str, refs: Sequence[str]) -> process.Completed:
        # push.followTags would send tags along that nobody planned.
        return self.change("push", atomic, "--no-follow-tags", "--porcelain", "--", remote, *refs)

    def fetch_objects(self, remote: str, ref: str) -> None:
        """Get the objects of a ref of a remote, if it has them; no ref changes here."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head")
        self.run("fetch", *options, "--", remote, ref, timeout=NETWORK_TIMEOUT)

    def take_back(self, commit: str, tags: Iterable[str], files: Iterable[str]) -> None:
        """Let the branch lead to the parent of its last commit again, and delete tags, as one; then the index.

        Args:
            commit: The commit to take back; nothing happens unless it is the present one.
            tags: Tags to delete along with it.
            files: What the index is to hold as that parent does.
        """
        refs = [f"delete refs/tags/{name}" for name in tags]
        if self.head() == commit:
            refs.append(f"update HEAD {self.ask('rev-parse', f'{commit}^')} {commit}")
        self.update_refs(refs, "taking the bump back")
        self.reset_index(files)

    def reset_to(self, commit: str | None, files: Iterable[str]) -> None:
        """Take a commit of these files back without touching the checkout; what else is staged stays so."""
        if commit is not None and self.head() != commit:
            self.change("reset", "--quiet", "--soft", commit).check("git reset")
            self.reset_index(files)

    def reset_index(self, files: Iterable[str]) -> None:
        """Let the index hold these files as the present commit does."""
        names = list(files)
        if names:
            self.change("reset", "--quiet", *_FROM_INPUT, "HEAD", stdin=self._pathspecs(names)).check("git reset")

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
        self.run("-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", stdin=b"".join(stream))

    def _signs_tags(self) -> bool:
        asked = self.run("config", "--type=bool", "--get", "tag.gpgSign", stderr=False)
        return asked.output.strip() == "true"

    def _pathspecs(self, files: Iterable[str]) -> str:
        """Names as git takes them for nothing but names, for `--pathspec-from-file`."""
        return "\0".join(f":(top,literal){self.prefix}{name}" for name in files)


def _quoted(name: str) -> bytes:
    """A path as fast-import reads it, whatever is in it."""
    inside = name.encode("utf-8", "surrogateescape")
    for old, new in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        inside = inside.replace(old, new)
    return b'"%s"' % inside
