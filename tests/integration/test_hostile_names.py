"""500 hostile texts as refs, titles, authors, packages and paths: nothing is executed or injected.

Programs on PATH whose names are in the texts record that they were started; a job has no other outputs.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, NamedTuple

import pytest
from fake_forge import GitHubServer, GitLabServer, remote_on_forge
from hostile_text import TEXTS
from job_outputs import NAMES, read_github
from projects import HATCHLING, copy_of, git, remote_of, repository, write
from running import RunResult, checked
from workflow_commands import commands

from relnox.cli import main
from relnox.core.settings import rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fake_forge import ForgeServer

pytestmark = [pytest.mark.heavy, pytest.mark.skipif("os.name != 'posix'", reason="names are bytes there")]

SHELL = [
    *("$(canary)", "`canary`", ";canary;", "|canary|", "&&canary", "\ncanary\n", "'$(canary)'", '"$(canary)"'),
    *("${IFS}canary", "--upload-pack=canary", "--exec=canary", "-c core.sshCommand=canary"),
    *("-ccore.fsmonitor=canary", "--output=canary", "ext::canary", "!canary", ">canary", "<(canary)"),
    *("%0Acanary", "${{ canary }}", "x=$(canary)", ":(exclude)canary", "@{canary}"),
    *("refs/heads/main:refs/heads/canary", "+refs/heads/*:refs/heads/canary"),
]
HOSTILE = [f"{text}{SHELL[number % len(SHELL)]}" if number % 2 else text for number, text in enumerate(TEXTS[::2])]
CHUNKS = 4
PROGRAMS = ("canary", "touch", "sh", "bash", "ssh", "id", "curl")
COMMANDS = {"add-mask", "group", "endgroup", "error", "warning", "stop-commands", "resume"}
"""Workflow commands that relnox itself writes, to standard error."""


class Job(NamedTuple):
    """A job on GitHub.

    Attributes:
        record: Where programs of the texts write that they were started.
        files: The files by which a step changes the steps after it.
        summary: Its summary.
    """

    record: Path
    files: tuple[Path, ...]
    summary: Path

    def check(self, text: object) -> None:
        """Check that nothing was executed, and nothing injected."""
        assert not self.record.exists(), (text, self.record.read_text())
        outputs, *others = self.files
        assert read_github(outputs.read_bytes().decode()).keys() <= NAMES | {"wheels", "index"}, text
        assert [path.read_bytes() for path in others] == [b""] * len(others), text
        check_output(self.summary.read_text(encoding="utf-8") if self.summary.exists() else "", text, set())


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose PATH begins with programs that record that they were started."""
    programs, record = tmp_path / "programs", tmp_path / "executed"
    programs.mkdir()
    for name in PROGRAMS:
        path = programs / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{record}"\n')
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    files = []
    for variable in ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE"):
        files.append(tmp_path / variable)
        files[-1].touch()
        monkeypatch.setenv(variable, str(files[-1]))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return Job(record, tuple(files), tmp_path / "summary.md")


def check_output(printed: str, text: object, allowed: set[str]) -> None:
    """Check that there are lines of printable characters, and no workflow commands but some."""
    for line in printed.split("\n"):
        assert line.isprintable(), (text, line)
    assert {command.name for command in commands(printed)} <= allowed, (text, printed)


def run(job: Job, root: Path, text: object, *words: str, code: int | None = None) -> RunResult:
    """Run relnox, and check that nothing was executed or injected."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        ended = main([words[0], "--project", str(root), *words[1:]])
    check_output(out.getvalue(), text, set())
    check_output(err.getvalue(), text, COMMANDS)
    assert "Traceback" not in err.getvalue(), (text, err.getvalue())
    job.check(text)
    return checked(RunResult(ended, out.getvalue(), err.getvalue()), code)


def as_ref(text: str) -> str | None:
    """The text as a part of the name of a ref, without what git rejects; None if nothing remains of it."""
    name = "".join(char for char in text if ord(char) > 0x20 and char not in "\x7f~^:?*[\\")
    name = name.encode(errors="ignore").decode()[:50]
    while name != (
        name := name.replace("..", ".").replace("@{", "@").replace("//", "/").replace("/.", "/").strip("/.")
    ):
        pass
    return name if name and rules.ref_name_violation(f"x{name}x") is None and not name.endswith(".lock") else None


def as_path(text: str) -> str:
    """The text as the name of a file."""
    name = text.replace("/", "\u2215").replace("\0", "").encode(errors="ignore")[:150].decode(errors="ignore")
    return name if name not in ("", ".", "..") and name.lower() != ".git" else f"x{name}"


def as_toml(text: str) -> str:
    return json.dumps(text.encode(errors="ignore").decode())


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\n'
        'tag-format = "{name}-v{version}"\n',
        "CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n- A change\n\n## [1.0.0] - 2026-01-01\n\n- Start\n",
    }
    for name in ("core", "util"):
        files[f"libs/{name}/pyproject.toml"] = f'[project]\nname = "acme-{name}"\nversion = "1.0.0"\n{HATCHLING}'
        files[f"libs/{name}/acme_{name}.py"] = ""
    root = repository(write(tmp_path_factory.mktemp("hostile") / "acme", files))
    for name in ("core", "util"):
        git(root, "tag", "--annotate", "--message", "x", f"acme-{name}-v1.0.0")
    git(root, "push", "--quiet", "--tags")
    return root


def commit_as(root: Path, author: str, title: str, file: str = "libs/core/acme_core.py") -> None:
    """Commit a change with a hostile title, author and address."""
    (root / file).write_text(f"# {len(title)} {os.urandom(4).hex()}\n")
    person = "".join(char for char in author if char not in "<>\n\0").encode(errors="ignore").decode()[:200]
    variables = {
        "GIT_AUTHOR_NAME": f"x{person}",
        "GIT_AUTHOR_EMAIL": f"{person}@example.invalid",
        "PATH": os.environ["PATH"].partition(os.pathsep)[2],
    }
    message = title.replace("\0", "").encode(errors="ignore")
    words = ["git", "commit", "--all", "--quiet", "--cleanup=verbatim", "--no-verify", "--file=-"]
    subprocess.run(
        words, cwd=root, input=message, env={**os.environ, **variables}, check=True, capture_output=True
    )


def create_refs(root: Path, names: Sequence[str]) -> None:
    """Create refs at HEAD by their full names, as others can push them."""
    head = git(root, "rev-parse", "HEAD")
    lines = "".join(f"create {name}\0{head}\0" for name in names)
    subprocess.run(["git", "update-ref", "-z", "--stdin"], cwd=root, input=lines.encode(), check=True)


def refs_of(root: Path) -> set[str]:
    output = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)"], cwd=root, check=True, capture_output=True
    ).stdout.decode()
    return set(output.split("\n")) - {""}


def hostile_refs(texts: Sequence[str]) -> list[str]:
    """Tags and branches of all kinds that git allows."""
    names: dict[str, None] = {}
    for number, text in enumerate(texts):
        if (part := as_ref(text)) is not None:
            forms = (
                part,
                f"acme-core-v1.1.0{part}",
                f"{part}-v9.9.9",
                f"acme-core-v{part}",
                f"-{part}",
                f"{part}\u2003acme-core-v9.9.9",
            )
            kind = "heads/" if number % 4 == 3 else "tags/"
            names[f"refs/{kind}{forms[number % len(forms)]}{'' if number % len(forms) else f'.{number}'}"] = None
    return [
        name
        for name in names
        if rules.ref_name_violation(name) is None
        and not any(other != name and other.startswith(f"{name}/") for other in names)
    ]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_each_text_alone(
    template: Path, tmp_path: Path, job: Job, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text is a variable of a job or the name of the branch; all other places are in `crowd`."""
    root = copy_of(template, tmp_path / "acme")
    for number, text in list(enumerate(HOSTILE))[chunk::CHUNKS]:
        name = text.replace("\0", "").encode(errors="ignore").decode() or "x"
        if number // CHUNKS % 2:
            variable = {"GITHUB_REF_TYPE": "tag", "GITHUB_REF_NAME": name}
            with monkeypatch.context() as patch:
                for key, value in (
                    variable if number % 2 else {"GITLAB_CI": "true", "CI_COMMIT_TAG": name}
                ).items():
                    patch.setenv(key, value)
                assert run(job, root, text, "build-all", "--dry-run").code == 0
                assert run(job, root, text, "build-all", "--dry-run", "--expect-version", name).code == 1
        elif (part := as_ref(text)) is not None:
            git(root, "symbolic-ref", "HEAD", f"refs/heads/{part}")
            git(root, "update-ref", f"refs/heads/{part}", "refs/heads/main")
            assert run(job, root, text, "bump", "--part", "minor", "--all", "--commit", "--dry-run").code == 1
            git(root, "symbolic-ref", "HEAD", "refs/heads/main")
            git(root, "update-ref", "-d", f"refs/heads/{part}")


@pytest.fixture
def crowd(template: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository with all texts at once: in refs (also of the remote), titles, authors, paths and packages."""
    root = copy_of(template, tmp_path / "acme")
    paths = {as_path(text) for text in HOSTILE}
    for number, name in enumerate(sorted(paths)):
        (root / "libs/core" / name).write_text("x")
        if number % 5 == 0:
            (root / "libs/util" / f"{name}.d").mkdir()
            (root / "libs/util" / f"{name}.d" / "a.py").write_text("")
    for text in HOSTILE[::3]:
        directory = root / "more" / as_path(text)
        directory.mkdir(parents=True, exist_ok=True)
        content = f'[project]\nname = {as_toml(text)}\nversion = "1"\n{HATCHLING}'
        (directory / "pyproject.toml").write_text(content)
    items = "\n".join(f"- {text}".replace("\n", "\n  ") for text in HOSTILE[::5])
    changelog = (root / "CHANGELOG.md").read_text().replace("- A change", items.encode(errors="ignore").decode())
    (root / "CHANGELOG.md").write_text(changelog)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "chore: all of them")
    for text in HOSTILE[::10]:
        commit_as(root, text, f"fix: {text}\n\nBREAKING CHANGE: {text}\n\nCo-authored-by: {text}")
    git(root, "push", "--quiet")
    names = hostile_refs(HOSTILE)
    create_refs(root, names)
    create_refs(remote_of(root), names)
    assert len(names) > len(HOSTILE) // 2
    return root, names


def test_all_texts_at_once(crowd: tuple[Path, list[str]], job: Job) -> None:
    """A whole release in their midst changes only its own refs."""
    root, _ = crowd
    before, here = refs_of(remote_of(root)), refs_of(root)
    for words in (("status",), ("status", "--json")):
        assert run(job, root, words, *words).code in (0, 1)
    ran = run(job, root, "auto", "bump", "--part", "auto", "--commit", "--tag", "--push")
    assert ran.code == 0, ran.text
    new = {"refs/tags/acme-core-v2.0.0", "refs/tags/acme-util-v1.0.1"}
    assert refs_of(root) - here <= new | {"refs/remotes/origin/main"}
    assert refs_of(remote_of(root)) - before <= new
    assert refs_of(remote_of(root)) - before
    assert refs_of(remote_of(root)) >= before


def merged_version(root: Path) -> tuple[Path, set[str]]:
    """Push a raised version; return the project, and the refs of its remote."""
    path = root / "libs/util/pyproject.toml"
    path.write_text(path.read_text().replace("1.0.0", "1.5.0"))
    commit_as(root, "x", "fix: x", "libs/util/acme_util.py")
    git(root, "push", "--quiet")
    return root, refs_of(remote_of(root))


def test_all_texts_at_once_around_a_merged_version(crowd: tuple[Path, list[str]], job: Job) -> None:
    root, before = merged_version(crowd[0])
    ran = run(job, root, "auto-tag", "auto-tag", "--no-check-index")
    assert ran.code == 0, ran.text
    assert refs_of(remote_of(root)) - before == {"refs/tags/acme-util-v1.5.0"}
    assert refs_of(remote_of(root)) >= before


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def forge(
    crowd: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[ForgeServer]:
    root, _ = crowd
    forge: ForgeServer = request.param(remote_of(root))
    if request.param is GitLabServer:
        monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with remote_on_forge(forge, root, monkeypatch.setenv):
        yield forge


def test_all_texts_at_once_around_a_pull_request(
    crowd: tuple[Path, list[str]], job: Job, forge: ForgeServer
) -> None:
    root, _ = crowd
    before = refs_of(remote_of(root))
    ran = run(job, root, "pull request", "bump", "--part", "auto", "--pull-request")
    assert ran.code == 0, ran.text
    (pull,) = forge.pull_requests
    assert (pull.head, pull.base) == ("relnox/release/main", "main")
    assert refs_of(remote_of(root)) - before == {"refs/heads/relnox/release/main"}
    body = pull.body or ""
    active = "\n".join(line for line in re.sub("`[^`\n]*`", "", body).split("\n") if not line.startswith("    "))
    for text in ("<", "@", "\n/"):  # HTML, mentions, quick actions of GitLab
        assert text not in active
    again = run(job, root, "again", "bump", "--part", "auto", "--pull-request")
    assert again.code == 0, again.text
    assert len(forge.pull_requests) == 1
    assert forge.violations == []
