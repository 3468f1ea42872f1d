"""A bump is stopped anywhere, in any kind of project: the same command finishes it, and git takes it back.

A world is a directory with a project and all that it needs: its remote, an outer repository, a key. It is always
at the same path and all commits have the same time, so that a bump that was stopped and finished can be compared
with one that was not, down to the ids of its commits and tags.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from projects import Everything, everything, git, pair, remote_of, repository, shell, write
from running import run_in_process
from stops import count_stops, stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pytest
    from running import RunResult

RELEASE = ("bump", "--part", "minor", "--commit", "--tag", "--then-dev")
BUMP = (*RELEASE, "--push")
UNDO = ("bump", "--undo")
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143}
BASE, TOP = EDITED = ("packages/base/pyproject.toml", "packages/top/pyproject.toml")
TIME = "2026-01-02T03:04:05Z"
USER = "maintainer@example.invalid"
GPG = """\
#!/bin/sh
gpg --homedir {home} --faked-system-time '20260102T030405!' "$@"
status=$?
gpgconf --homedir {home} --kill gpg-agent
exit $status
"""
BESIDE = {"README.md": "# pair\n", "docs/guide.md": "# Guide\n", "docs/more.md": "# More\n"}


class Scene(NamedTuple):
    """A kind of project.

    Attributes:
        prepare: Makes it of the plain one, at the same place or another; returns the directory of the checkout.
        command: What is run, and stopped, and run again.
        said: What it fails with, if nothing stops it; such a bump leaves no commit and no ref.
        keeps: Files that a hook has changed, which the failed bump names and leaves.
    """

    prepare: Callable[[Path], Path] = lambda root: root
    command: tuple[str, ...] = BUMP
    said: str = ""
    keeps: tuple[str, ...] = ()


class State(NamedTuple):
    """A checkout with its remote, what git says of it, and what a killed run may leave."""

    checkout: Everything
    status: str
    left: tuple[str, ...]


# --- kinds of projects


def with_hook(root: Path, script: str, event: str = "pre-commit") -> Path:
    shell(root / ".git/hooks" / event, script)
    return root


def signed(root: Path) -> Path:
    """Commits and tags are signed, with a key whose signatures are the same each time."""
    key = root.parent / "key"
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maintainer", "-f", str(key)]
    subprocess.run(command, check=True)
    return signing(root, {"gpg.format": "ssh", "user.signingKey": f"{key}.pub"})


def signed_with_gpg(root: Path) -> Path:
    """As `signed`, with OpenPGP; the home of gpg is no part of the world, since its agent has sockets there."""
    home = root.parent.parent / "gnupg"
    home.mkdir(mode=0o700)
    program = write(root.parent, {"gpg": GPG.format(home=home)}) / "gpg"
    program.chmod(0o755)
    new_key = ("--batch", "--quiet", "--passphrase", "", "--quick-generate-key", USER, "ed25519", "sign", "never")
    subprocess.run([str(program), *new_key], check=True, capture_output=True)
    return signing(root, {"gpg.program": str(program), "user.signingKey": USER})


def signing(root: Path, settings: Mapping[str, str]) -> Path:
    for name, value in {**settings, "commit.gpgSign": "true", "tag.gpgSign": "true"}.items():
        git(root, "config", name, value)
    return root


def dirty(root: Path) -> Path:
    """Files beside those of the release are changed, new, staged, and staged and changed again."""
    write(
        root, {"README.md": "# staged\n", "docs/guide.md": "# staged\n", "packages/base/new.py": "staged = True\n"}
    )
    git(root, "add", "README.md", "docs/guide.md", "packages/base/new.py")
    return write(root, {"docs/guide.md": "# not staged\n", "docs/more.md": "# changed\n", "unknown.txt": "new\n"})


def worktree(root: Path) -> Path:
    git(root, "switch", "--quiet", "--detach")
    git(root, "worktree", "add", "--quiet", str(root.parent / "side"), "main")
    return root.parent / "side"


def submodule(root: Path) -> Path:
    outer = repository(write(root.parent / "outer", {"README.md": ""}))
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(remote_of(root)), "inner")
    git(outer / "inner", "config", "user.name", "Maintainer")
    git(outer / "inner", "config", "user.email", USER)
    return outer / "inner"


def line_ends(root: Path) -> Path:
    """Line ends are those of Windows in the checkout, and not in commits."""
    write(root, {".gitattributes": "*.toml text eol=crlf\n"})
    git(root, "add", ".gitattributes")
    git(root, "commit", "--quiet", "--message", "Line ends")
    git(root, "push", "--quiet")
    for path in root.rglob("*.toml"):
        path.unlink()
    git(root, "checkout", "--", ".")
    assert b"\r\n" in (root / BASE).read_bytes()
    return root


def sparse(root: Path) -> Path:
    git(root, "sparse-checkout", "set", "packages")
    assert not (root / "docs").exists()
    return root


def many(root: Path) -> Path:
    """With 500 packages more."""
    text = '[project]\nname = "more-{0}"\nversion = "2.0.0"\ndependencies = ["pair-base==2.0.0"]\n'
    write(root, {f"packages/more-{number}/pyproject.toml": text.format(number) for number in range(500)})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "More")
    git(root, "push", "--quiet")
    return root


def released(root: Path) -> Path:
    run_in_process(root, *RELEASE, code=0)
    return root


REFORMATS = f"sed -i 's/  #/ #/' {BASE} && git add {BASE}"
SCENES = {
    "plain": Scene(),
    "hook that reformats": Scene(
        lambda root: with_hook(root, REFORMATS), said=f"changed the content of {BASE}", keeps=(BASE,)
    ),
    "hook that refuses": Scene(lambda root: with_hook(root, "echo not today; exit 1"), said="not today"),
    "hook that adds to the message": Scene(
        lambda root: with_hook(root, 'echo "Change-Id: I1" >> "$1"', "commit-msg")
    ),
    "signed": Scene(signed),
    **({"signed with gpg": Scene(signed_with_gpg)} if shutil.which("gpg") else {}),
    "dirty": Scene(dirty, (*BUMP, "--allow-dirty")),
    "worktree": Scene(worktree),
    "submodule": Scene(submodule),
    "line ends": Scene(line_ends),
    "sparse": Scene(sparse),
    "undo": Scene(released, UNDO),
    "undo beside": Scene(lambda root: dirty(released(root)), UNDO),
}
MANY = Scene(many)


# --- the statement


class World:
    """A project of some kind in which a bump is stopped again and again.

    Args:
        directory: An empty directory.
        scene: The kind.
        patch: Sets the time of commits.
    """

    def __init__(self, directory: Path, scene: Scene, patch: pytest.MonkeyPatch) -> None:
        for name in ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"):
            patch.setenv(name, TIME)
        self.scene = scene
        self.path, self._start, self._aside = (directory / name for name in ("world", "start", "aside"))
        (directory / "temporary").mkdir()
        patch.setenv("TMPDIR", str(directory / "temporary"))
        self.path.mkdir()
        plain = repository(write(pair(self.path / "pair"), BESIDE))
        self._remote = remote_of(plain)
        self.root = scene.prepare(plain)
        self._before = self._state()
        _replace(self._start, self.path)
        self.stops = self.finish_undisturbed()
        self._seen: list[tuple[State, tuple[str, ...]]] = []

    @property
    def states(self) -> int:
        """In how many different states the project was found."""
        return len(self._seen)

    def finish_undisturbed(self) -> int:
        """Run the command to its end, keep what it leads to, and return where it could be stopped."""
        failed = bool(self.scene.said)
        stops = count_stops(self.root, self.scene.command, code=2 if failed else 0)
        self._final = self._state()
        assert self._final.left == ()
        assert _foreign(self._final.checkout) == _foreign(self._before.checkout)
        assert (self._refs(self._final) == self._refs(self._before)) is failed
        if failed:
            assert self.scene.said in self._printed
            restored = [name for name in EDITED if name not in self.scene.keeps]
            assert _files(self._final, restored) == _files(self._before, restored)
        elif self.scene.command != UNDO:
            commits = git(self.root, "log", "--format=%s", "--max-count=2").splitlines()
            assert commits == ["Start development of 2.1.1.dev1", "Release 2.1.0"]
            assert _tag(self._final) == "v2.1.0"
        return stops

    def reset(self) -> None:
        """Start again."""
        _replace(self.path, self._start)

    def stop_before(self, at: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Stop a run by a signal before its n-th change, and check the statement."""
        self.reset()
        code, output = stopped(self.root, self.scene.command, at, number)
        expected = {CODES[number]} if number == signal.SIGKILL else {CODES[number], 2 if self.scene.said else 0}
        assert code in expected, (at, number, output)
        if number != signal.SIGKILL:  # all undone, or kept for the push
            files = self._state().checkout.files
            assert files in (self._before.checkout.files, self._final.checkout.files), (at, number, output)
        self.check((at, number, output))

    def check(self, how: object) -> None:
        """Check what `status` tells, that the same command finishes the bump, and that git takes it back.

        A state that was checked before is not checked again.
        """
        found, names = self._state(), _names(self.path)
        if (found, names) in self._seen:
            return
        self._seen.append((found, names))
        self._tells_the_truth(found, how)
        _replace(self._aside, self.path)
        if found.left or found.checkout != self._final.checkout:
            self._is_finished(found, how)
        assert self._state().left == (), how
        _replace(self.path, self._aside)
        self._is_undone(found, how)

    def unlock(self) -> None:
        """Remove what a killed git leaves: a lock, which the next one names, and what `git gc` removes."""
        for path in _left_by_git(self.path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _is_finished(self, found: State, how: object) -> None:
        ran = self._run(*self.scene.command)
        if not self.scene.said:
            assert ran.code == 0, (how, ran.text)
            assert self._state() == self._final, (how, ran.text)
            return
        assert ran.code in (1, 2), (how, ran.text)
        assert any(words in ran.text for words in (self.scene.said, *self.scene.keeps)), (how, ran.text)
        # What fails again undoes what it did itself, and not what the killed run had edited.
        present = self._state()
        assert self._refs(present) == self._refs(self._before), (how, ran.text)
        assert _foreign(present.checkout) == _foreign(self._before.checkout), (how, ran.text)
        restored = [name for name in EDITED if name not in self.scene.keeps]
        assert _files(present, restored) in (_files(found, restored), _files(self._before, restored)), (
            how,
            ran.text,
        )
        if ran.code == 1:  # Blocked by what the killed run had edited: it changes nothing.
            git(self.root, "restore", "--staged", "--worktree", "--", *EDITED)
            ran = self._run(*self.scene.command)
            assert ran.code == 2, (how, ran.text)
            assert self._state() == self._final, (how, ran.text)

    def _tells_the_truth(self, found: State, how: object) -> None:
        """`relnox status` has the versions of the files, and the tag that there is."""
        texts = {name: (self.root / name).read_text(encoding="utf-8") for name in EDITED}
        versions = [
            match[1] for text in texts.values() if (match := re.search('^version = "(.+?)"', text, re.MULTILINE))
        ]
        ran = self._run("status", "--json")
        assert ran.code == 0, (how, ran.text)
        packages = json.loads(ran.out)["packages"]
        assert [package["version"] for package in packages if package["name"].startswith("pair-")] == versions, how
        tags = {package["tag"] for package in packages}
        assert tags == {_tag(found)}, (how, ran.text)

    def _is_undone(self, found: State, how: object) -> None:
        """`git restore` for what is not committed, `bump --undo` for the rest, as long as it is not pushed."""
        if self.scene.command == UNDO:
            return
        if found.checkout.remote != self._before.checkout.remote:
            git(self.root, "restore", "--staged", "--worktree", "--", ":(glob)packages/*/pyproject.toml")
            before = self._state()
            ran = self._run(*UNDO)
            assert ran.code == 1, (how, ran.text)
            assert "is already pushed to" in ran.text, how
            assert self._state() == before, how
            return
        git(self.root, "restore", "--staged", "--worktree", "--", ":(glob)packages/*/pyproject.toml")
        if found.checkout.head != self._before.checkout.head:
            ran = self._run(*UNDO)
            assert ran.code == 0, (how, ran.text)
        elif _tag(found):
            git(self.root, "tag", "--delete", _tag(found) or "")
        present = self._state()
        assert present.checkout == self._before.checkout, how

    def _run(self, *words: str) -> RunResult:
        return run_in_process(self.root, *words)

    @property
    def _printed(self) -> str:
        return (self.root.parent / f"{self.root.name}.printed").read_text(encoding="utf-8")

    def _refs(self, state: State) -> tuple[str, str, str]:
        return state.checkout.refs, state.checkout.head, state.checkout.remote

    def _state(self) -> State:
        private = (path for path in self.path.rglob("relnox/*") if path.name != "lock")
        left = (*private, *self.root.rglob("*.relnox"), *_left_by_git(self.path))
        return State(
            checkout=everything(self.root, self._remote),
            status=git(self.root, "status", "--porcelain", "--untracked-files=all"),
            left=tuple(sorted(path.relative_to(self.path).as_posix() for path in left)),
        )


def _left_by_git(directory: Path) -> Iterator[Path]:
    for pattern in ("*.lock", "objects/*/tmp_*", "objects/tmp_*", "tmp_objdir-*"):
        yield from list(directory.rglob(pattern))


def _names(directory: Path) -> tuple[str, ...]:
    """All files, also those of `.git`, without git's objects."""
    paths = (path.relative_to(directory) for path in directory.rglob("*"))
    return tuple(sorted(path.as_posix() for path in paths if "objects" not in path.parts))


def _replace(path: Path, by: Path) -> None:
    """Put a copy of a directory in the place of another."""
    if path.exists():
        shutil.rmtree(path)
    shutil.copytree(by, path, symlinks=True)


def _files(state: State, names: list[str]) -> Mapping[str, bytes | None]:
    return {name: state.checkout.files.get(name) for name in names}


def _foreign(checkout: Everything) -> tuple[Mapping[str, bytes], list[str]]:
    """What a bump leaves alone: other files, and what is staged of them."""
    files = {name: content for name, content in checkout.files.items() if not _is_edited(name)}
    return files, [line for line in checkout.staged.splitlines() if not _is_edited(line.partition("\t")[2])]


def _is_edited(name: str) -> bool:
    return name in EDITED or name.startswith("packages/more-")


def _tag(state: State) -> str | None:
    return "v2.1.0" if "refs/tags/v2.1.0" in state.checkout.refs else None
