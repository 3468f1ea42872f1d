"""A year of a project with two release lines: random events, and what must hold after each of them.

The model is small: the tags of each line in the order in which they came, and the versions on the index. The rest
is read from the bare remote, as another person would see it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from fake_forge import GitHubServer, forge_server
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from projects import HATCHLING, commit_all, git, remote_of, repository, write
from releases import SimulatedClock, made_wheel, write_manifest
from running import run_in_process
from stops import stopped

from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from running import RunResult

BOUNDS = {"main": SpecifierSet(">=2"), "release/1.x": SpecifierSet("<2")}
SETTINGS = '[tool.relnox]\nbranch = { main = ">=2", "release/1.x" = "<2" }\n'
SUBJECTS = ("fix: a mistake", "fix: a mistake", "feat: a feature", "docs: a word")
RELEASE = ("--commit", "--tag", "--push")
KNOWN_PROBLEMS = (
    "[branch-behind]",
    "[version-outside-bounds]",
    "[release-not-tagged]",
    "[nothing-to-commit]",
    "[tag-exists]",
    "[bump-missing]",
    "[bump-missing]",
    "[branch-not-pushed]",
    "[version-not-higher]",
)
"""What an event may be answered with, since events do not look at what came before."""
CHANGES = 200
"""About as many changes as a release makes, of which one is the place of a kill."""


@contextmanager
def simulated_year(directory: Path, seed: int) -> Iterator[Year]:
    """A year on a fake forge, with its variables, and a clock by which pauses take no time."""
    year = Year(directory, seed)
    with forge_server(year.forge), pytest.MonkeyPatch.context() as patch:
        patch.setattr(retries, "CLOCK", SimulatedClock())
        for name, value in {**year.forge.environment, "GITHUB_RUN_NUMBER": "0"}.items():
            patch.setenv(name, value)
        yield year


class Year:
    """The project, its people, and the model.

    Args:
        directory: An empty directory.
        seed: The seed of all choices.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.choose = random.Random(seed)
        self.directory = directory
        self.tags: dict[str, str] = {}
        self.released: dict[str, list[Version]] = {line: [] for line in BOUNDS}
        self.published: set[Version] = set()
        self.log: list[str] = []
        self.runs = 0
        project = f'[project]\nname = "demo"\nversion = "1.0.0"\n\n{HATCHLING}\n{SETTINGS}'
        files = {"pyproject.toml": project, "src/demo/__init__.py": "", ".gitignore": "/dist/\n"}
        self.maintainer = repository(write(directory / "demo", files))
        self.bare = remote_of(self.maintainer)
        self.forge = GitHubServer(self.bare)
        git(self.maintainer, "tag", "v1.0.0")
        git(self.maintainer, "branch", "release/1.x")
        git(self.maintainer, "push", "--quiet", "origin", "release/1.x", "v1.0.0")
        write(self.maintainer, {"pyproject.toml": project.replace("1.0.0", "2.0.0")})
        commit_all(self.maintainer, "feat!: two")
        git(self.maintainer, "tag", "v2.0.0")
        git(self.maintainer, "push", "--quiet", "origin", "main", "v2.0.0")
        self.colleague, self.ci, self.publisher = (self._clone(name) for name in ("colleague", "ci", "publisher"))
        self._read_tags()

    @property
    def events(self) -> Mapping[Callable[[str], None], int]:
        """What happens, each with its frequency."""
        return {
            self.commit: 6,
            self.release: 6,
            self.killed_release: 3,
            self.rejected_push: 2,
            self.squash: 2,
            self.propose: 3,
            self.merge: 3,
            self.auto_tag: 3,
            self.version_by_hand: 2,
            self.undone_release: 2,
            self.publish: 4,
            self.publish_development_version: 2,
        }

    def pass_days(self, count: int) -> None:
        """Have random events, and check what must hold after each."""
        for _ in range(count):
            (event,) = self.choose.choices(list(self.events), list(self.events.values()))
            line = self.choose.choice(list(BOUNDS))
            self.log.append(f"{event.__name__} on {line}")
            event(line)
            self._read_tags()

    # --- events

    def commit(self, line: str) -> None:
        """Someone pushes a change."""
        root = self._on(self.choose.choice((self.maintainer, self.colleague)), line)
        self._change(root, self.choose.choice(SUBJECTS))
        git(root, "push", "--quiet", "origin", line)

    def release(self, line: str) -> None:
        """A release from the release branch."""
        self._try(self._on(self.maintainer, line), "bump", *self._bump())

    def killed_release(self, line: str) -> None:
        """A release that is killed somewhere, and then finished or reverted."""
        root = self._on(self.maintainer, line)
        options, at = self._bump(), self.choose.randrange(CHANGES // 3, CHANGES)
        code, output = stopped(root, ("bump", *options), at)
        self.log.append(f"  killed before change {at}: exit code {code}")
        assert code in (-signal.SIGKILL, 0, 1), output
        status = git(root, "status", "--porcelain", "--untracked-files=no")
        is_ahead = git(root, "rev-parse", "HEAD") != git(self.bare, "rev-parse", line)
        if is_ahead and self.choose.random() < 0.4:
            ran = self._try(root, "bump", "--undo")
            assert ran.code == 0, ran.text
            assert git(root, "status", "--porcelain", "--untracked-files=no") == "", ran.text
            assert git(root, "rev-parse", "HEAD") == git(self.bare, "rev-parse", line), ran.text
        elif is_ahead or status:
            ran = self._try(root, "bump", *options)
            assert ran.code == 0, ran.text

    def rejected_push(self, line: str) -> None:
        """A colleague pushes in the moment of a release: it is rebased, and the same command finishes it."""
        root, other = self._on(self.maintainer, line), self._on(self.colleague, line)
        self._change(other, self.choose.choice(SUBJECTS))
        hook = root / ".git/hooks/pre-push"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\nrm {hook}\nunset GIT_DIR\ngit -C {other} push --quiet origin {line}\n")
        hook.chmod(0o755)
        options = self._bump()
        ran = self._try(root, "bump", *options, codes=(0, 1, 2))
        if hook.exists():  # there was nothing to release
            hook.unlink()
            git(other, "push", "--quiet", "origin", line)
        if ran.code == 2:  # the push was rejected
            git(root, "pull", "--quiet", "--rebase", "origin", line)
            ran = self._try(root, "bump", *options)
            assert ran.code == 0, ran.text

    def squash(self, line: str) -> None:
        """The other line is merged as one commit, without its version."""
        root = self._on(self.maintainer, line)
        (other,) = BOUNDS.keys() - {line}
        git(root, "merge", "--quiet", "--squash", "--strategy-option=ours", f"origin/{other}")
        git(root, "checkout", "HEAD", "--", "pyproject.toml")
        git(root, "commit", "--quiet", "--allow-empty", f"--message=fix: from {other}")
        git(root, "push", "--quiet", "origin", line)

    def propose(self, line: str) -> None:
        """A job opens or updates the release pull request."""
        self._try(
            self._on(self.ci, line), "bump", self.choose.choice(("auto", "patch", "minor")), "--pull-request"
        )

    def merge(self, line: str) -> None:
        """The release pull request of a line is merged, if there is one without conflicts."""
        for number, pull in enumerate(self.forge.pull_requests, 1):
            repository = self.forge.repository
            base, head = (repository.ref(f"refs/heads/{name}") for name in (pull.base, pull.head))
            if pull.state == "open" and pull.base == line and base and head and repository.merged_tree(base, head):
                self.forge.merge(number, squash=self.choose.random() < 0.5)
                git(self.bare, "update-ref", "-d", f"refs/heads/{pull.head}")
                self.log.append(f"  merged {pull.title}")

    def auto_tag(self, line: str) -> None:
        """A job tags what was merged; some jobs are killed and run again."""
        root = self._on(self.ci, line)
        if self.choose.random() < 0.3:
            stopped(root, ("auto-tag", "--no-check-index"), self.choose.randrange(1, CHANGES // 3))
        self._try(root, "auto-tag", "--no-check-index")

    def version_by_hand(self, line: str) -> None:
        """Someone sets a version by hand, which may be a post release or outside the bounds."""
        root = self._on(self.colleague, line)
        present = Version(self._version(root, "HEAD"))
        major, minor, patch = (*present.release, 0, 0)[:3]
        version = self.choose.choice(
            (f"{major}.{minor}.{patch + 1}", f"{present.base_version}.post1", f"{major}.{minor + 1}")
        )
        if Version(version) > present:
            self._set_version(root, version)
            commit_all(root, f"chore: version {version}")
            git(root, "push", "--quiet", "origin", line)

    def undone_release(self, line: str) -> None:
        """A release that is not pushed is undone."""
        root = self._on(self.maintainer, line)
        before = git(root, "for-each-ref", "refs/heads", "refs/tags")
        options = [word for word in self._bump() if word != "--push"]
        if self._try(root, "bump", *options).code == 0:
            self._try(root, "bump", "--undo")
        assert git(root, "for-each-ref", "refs/heads", "refs/tags") == before

    def publish(self, line: str) -> None:
        """The last tag of a line that is not published yet is published."""
        waiting = [version for version in self.released[line] if version not in self.published]
        if waiting:
            version = waiting[-1]
            git(self.publisher, "fetch", "--quiet", "--tags", "origin")
            git(self.publisher, "switch", "--quiet", "--detach", f"v{version}")
            self._publish(version)

    def publish_development_version(self, line: str) -> None:
        """A job publishes a development version with the number of its run."""
        root = self._on(self.publisher, line)
        self.runs += 1
        ran = self._try(root, "bump", "dev", "--number", str(self.runs), "--commit")
        if ran.code == 0:
            version = Version(self._version(root, "HEAD"))
            assert version.is_devrelease, ran.text
            assert version not in self.published, ran.text
            assert version > max(self._contained(line, "HEAD")), ran.text
            self._publish(version)

    # --- the model

    def _read_tags(self) -> None:
        """Take up what was released, and check it against all that was released before."""
        lines = git(
            self.bare, "for-each-ref", "--format=%(refname:short) %(objectname) %(*objectname)", "refs/tags"
        ).splitlines()
        tags = {words[0]: words[-1] for words in map(str.split, lines)}
        for tag, commit in self.tags.items():
            assert tags.get(tag) == commit, (tag, self.story)
        for tag in sorted(tags.keys() - self.tags.keys(), key=Version):
            version = Version(tag)
            assert self._version(self.bare, tag) == str(version), (tag, self.story)
            (line,) = (line for line, bounds in BOUNDS.items() if bounds.contains(version.base_version))
            contained = git(self.bare, "merge-base", "--is-ancestor", tag, line)
            assert contained == "", (tag, self.story)
            others = self.released[line]
            assert all(version > other for other in others), (tag, others, self.story)
            others.append(version)
            self.log.append(f"  {line}: {tag}")
        self.tags = tags

    def check(self) -> None:
        """Check at the end: the index, the tags, and that `status` tells what is so on each line."""
        git(self.publisher, "switch", "--quiet", "--detach", "origin/main")
        (package,) = json.loads(run_in_process(self.publisher, "status", "--index", "embedded", "--json").out)[
            "packages"
        ]
        listed = {Version(text) for text in package["indexes"]["embedded"]}
        assert listed == self.published, self.story
        for version in listed:
            tags = [tag for tag in self.tags if Version(tag) == version]
            assert len(tags) == (not version.is_devrelease), (version, self.story)
        for line in BOUNDS:
            self._check_status(line)

    def _check_status(self, line: str) -> None:
        root = self._clone(f"reader-{len(list(self.directory.iterdir()))}")
        git(root, "switch", "--quiet", line)
        (package,) = json.loads(run_in_process(root, "status", "--json").out)["packages"]
        present = Version(self._version(root, "HEAD"))
        last = max(version for version in self._contained(line, "HEAD") if version <= present)
        assert (package["version"], package["tag"]) == (str(present), f"v{last}"), self.story
        log = git(root, "log", "--no-merges", "--format=%s", f"v{last}..HEAD", "--", ".").splitlines()
        changes = [subject for subject in log if not subject.startswith("Start development of ")]
        assert package["commits"] == len(changes), (changes, self.story)
        following = package["next"] and package["next"]["version"]
        assert following == self._expected(present, last, changes), (line, package, changes, self.story)

    @staticmethod
    def _expected(present: Version, last: Version, changes: list[str]) -> str | None:
        """Return the version that the changes lead to; None if they ask for no release."""
        if present > last and not present.is_devrelease:
            return str(present)
        major, minor, patch = (*present.release, 0, 0)[:3]
        if any(subject.startswith("feat") for subject in changes):
            is_started = present.is_devrelease and patch == 0
            return present.base_version if is_started else f"{major}.{minor + (not is_started)}.0"
        if any(subject.startswith("fix") for subject in changes):
            return present.base_version if present.is_devrelease else f"{major}.{minor}.{patch + 1}"
        return None

    @property
    def story(self) -> str:
        """All events, for messages."""
        return "\n".join(["", *self.log])

    # --- details

    def _clone(self, name: str) -> Path:
        root = self.directory / name
        git(self.directory, "clone", "--quiet", str(self.bare), str(root))
        git(root, "config", f"url.{self.bare}.insteadOf", self.forge.remote)
        git(root, "remote", "set-url", "origin", self.forge.remote)
        return root

    def _on(self, root: Path, line: str) -> Path:
        """Switch a clone to a line as the remote has it; jobs are detached."""
        git(root, "fetch", "--quiet", "--tags", "--prune", "origin")
        detach = ("--detach",) if root == self.ci else ("--force-create", line)
        git(root, "switch", "--quiet", "--discard-changes", *detach, f"origin/{line}")
        if root == self.publisher:
            shutil.rmtree(root / "dist", ignore_errors=True)
        return root

    def _bump(self) -> tuple[str, ...]:
        part = self.choose.choice(("auto", "auto", "patch", "minor"))
        return (part, *RELEASE, *(("--then-dev",) if self.choose.random() < 0.5 else ()))

    def _try(
        self,
        root: Path,
        *words: str,
        codes: tuple[int, ...] = (0, 1, 4),
        environment: Mapping[str, str] | None = None,
    ) -> RunResult:
        """Run a task; it succeeds, or says one of the known problems and changes nothing."""
        os.environ.update(environment or {})
        ran = run_in_process(root, *words)
        self.log.append(f"  {' '.join(words)}: {ran.code}")
        assert "Traceback" not in ran.err, (ran.text, self.story)
        assert ran.code in codes, (ran.text, self.story)
        assert ran.code in (0, 2) or any(problem in ran.err for problem in KNOWN_PROBLEMS), (ran.text, self.story)
        return ran

    def _change(self, root: Path, subject: str) -> None:
        write(root, {f"src/demo/m{len(list((root / 'src/demo').iterdir()))}_{self.choose.random()}.py": "\n"})
        commit_all(root, subject)

    def _version(self, root: Path, commit: str) -> str:
        return git(root, "show", f"{commit}:pyproject.toml").partition('version = "')[2].partition('"')[0]

    def _set_version(self, root: Path, version: str) -> None:
        file = root / "pyproject.toml"
        present = self._version(root, "HEAD")
        file.write_text(file.read_text().replace(f'version = "{present}"', f'version = "{version}"'))

    def _contained(self, line: str, commit: str) -> list[Version]:
        """Return the released versions of a line that a commit of the remote contains."""
        merged = set(git(self.bare, "tag", "--merged", line if commit == "HEAD" else commit).split())
        return [version for version in self.released[line] if f"v{version}" in merged]

    def _publish(self, version: Version) -> None:
        root = self.publisher
        wheel = made_wheel(root / "dist", "demo", version=str(version))
        write_manifest(root, [wheel], {}, commit=git(root, "rev-parse", "HEAD"))
        ran = run_in_process(root, "publish-test", "--index", "embedded", "--no-verify")
        assert ran.code == 0, (ran.text, self.story)
        assert version not in self.published
        self.published.add(version)
        shutil.rmtree(root / "dist")
