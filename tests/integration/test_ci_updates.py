"""Generated workflow files that people and bots edit: `ci` keeps the edits, and `ci --check` names what counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from projects import commit_all, git, repository, single, write
from running import RunResult, open_project, run_in_process

from relnox.ci import github
from relnox.commands import ci

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relnox.ci.model import Workflow

    Generator = Callable[[Callable[[str], str]], None]

FILE = ".github/workflows/release.yml"
STEP = "      - run: echo mine\n"
UPLOAD = "      - uses: actions/upload-artifact"
NEWER = "1" * 40


class Release:
    """A project with committed workflows, one of which is looked at."""

    def __init__(self, root: Path, file: str = FILE) -> None:
        self.root = root
        self.path = root / file
        self.add_setting('[tool.relnox.ci]\nworkflows = ["release"]')
        for step in ci._requirement_lock_steps(open_project(root)):  # locking needs an index that has relnox
            write(root, {step.file: step._header_comment})
        self.ci(code=0)
        self.commit()

    def ci(self, *words: str, code: int) -> RunResult:
        """Run `relnox ci`."""
        return run_in_process(self.root, "ci", *words, code=code)

    def commit(self) -> None:
        """Commit everything."""
        commit_all(self.root)

    @property
    def text(self) -> str:
        """The content of the file."""
        return self.path.read_bytes().decode()

    def edit(self, old: str, new: str) -> None:
        """Replace the first occurrence of a text."""
        assert old in self.text
        self.path.write_bytes(self.text.replace(old, new, 1).encode())

    def add_setting(self, line: str) -> None:
        """Add a line to the settings, which end with `[tool.relnox.ci]`."""
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return Release(repository(single(tmp_path / "demo")))


@pytest.fixture
def newer_generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """Make relnox write other files from now on."""

    def change(function: Callable[[str], str]) -> None:
        render = github.render

        def rendered(workflow: Workflow) -> str:
            text = render(workflow)
            assert function(text) != text
            return function(text)

        monkeypatch.setattr(github, "render", rendered)

    return change


def job(text: str, name: str) -> str:
    """Return the lines of a job."""
    match = re.search(rf"^  {name}:.*\n(?:(?:    .*)?\n)*", text, re.MULTILINE)
    assert match
    return match[0]


# --- edits


def set_pin(text: str, commit: str, version: str) -> str:
    """Return a workflow with another version of an action."""
    return re.sub(r"(actions/checkout)@\w+ # \S+", rf"\1@{commit} # {version}", text)


class Edit(NamedTuple):
    """An edit that `ci` keeps: what is changed, what the file then has, and what `ci --check` notes."""

    old: str
    new: str
    note: str = ""


EDITS = {
    "an additional step": Edit(UPLOAD, STEP + UPLOAD),
    "an additional job": Edit("  gate:", f"  mine:\n    runs-on: ubuntu-latest\n    steps:\n{STEP}\n  gate:"),
    "another time limit": Edit("    timeout-minutes: 60", "    timeout-minutes: 90"),
    "another name": Edit("    name: Publish", "    name: To the index"),
    "a comment": Edit("jobs:\n", "# as agreed\njobs:\n"),
    "another option": Edit(
        "-r .github/requirements/nox.txt", "-r other.txt", "job build has another step python3"
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_survives_a_changed_setting_and_newer_generators(
    name: str, release: Release, newer_generator: Generator
) -> None:
    old, new, note = EDITS[name]
    release.edit(old, new)
    assert note in release.ci("--check", code=0).text
    release.commit()
    assert "are up to date" in release.ci(code=0).text

    release.add_setting('trigger = "release"')
    assert "release.yml:4: on of the workflow differs [workflow-outdated]" in release.ci("--check", code=1).text
    release.ci(code=0)
    assert new in release.text
    assert "types: [published]" in release.text
    release.ci("--check", code=0)
    release.commit()  # no commit has what relnox wrote without the edit

    newer_generator(lambda text: text.replace("retention-days: 30", "retention-days: 40"))
    release.ci(code=0)
    newer_generator(lambda text: text.replace("    timeout-minutes: 30\n", "    timeout-minutes: 31\n"))
    release.ci(code=0)  # the merge before is not committed
    assert new in release.text
    assert "retention-days: 40" in release.text
    assert "    timeout-minutes: 31\n" in release.text


def test_an_update_bot_and_relnox_only_raise_a_pin(release: Release, newer_generator: Generator) -> None:
    release.path.write_text(set_pin(release.text, NEWER, "v99.0.0"))
    assert "are up to date" in release.ci(code=0).text
    release.ci("--check", code=0)
    release.commit()
    newer_generator(
        lambda text: set_pin(text, "2" * 40, "v98.0.0").replace("retention-days: 30", "retention-days: 40")
    )
    release.ci(code=0)
    assert f"actions/checkout@{NEWER} # v99.0.0" in release.text
    assert "retention-days: 40" in release.text
    newer_generator(lambda text: set_pin(text, "3" * 40, "v100.0.0"))
    release.ci("--check", code=0)
    release.ci(code=0)
    assert f"actions/checkout@{'3' * 40} # v100.0.0" in release.text


def test_noise_is_no_difference(release: Release) -> None:
    text = release.text.replace("\n", "  \r\n").replace("tags: [", "tags:  [")
    release.path.write_bytes(text.encode())
    release.ci("--check", code=0)
    assert "are up to date" in release.ci(code=0).text
    release.add_setting('trigger = "release"')
    release.ci("--prefer", "generated", code=0)
    assert "types: [published]" in release.text
    assert release.text.count("\r\n") == release.text.count("\n")


def test_a_deleted_job_stays_deleted_unless_it_guards_what_is_published(release: Release) -> None:
    release.edit(job(release.text, "verify"), "")
    assert "job page needs job verify, which does not exist" in release.ci("--check", code=1).text
    release.edit("needs: [build, verify]", "needs: [build, publish]")
    assert "job verify is missing (an edit, which is kept)" in release.ci("--check", code=0).text
    assert "are up to date" in release.ci(code=0).text
    release.edit(job(release.text, "gate"), "")
    ran = release.ci("--check", code=1)
    assert "job gate is missing (it guards what is published) [workflow-unsafe]" in ran.text
    release.path.unlink()
    assert f"{FILE}: the file is missing [workflow-outdated]" in release.ci("--check", code=1).text
    release.ci(code=0)
    release.ci("--check", code=0)
    (release.root / github.RELNOX_REQUIREMENTS).unlink()
    assert f"{github.RELNOX_REQUIREMENTS}: the file is missing" in release.ci("--check", code=1).text


# --- conflicts


def test_a_conflict_is_shown_and_nothing_is_written(release: Release, newer_generator: Generator) -> None:
    release.edit("retention-days: 30", "retention-days: 10")
    release.commit()
    newer_generator(lambda text: text.replace("retention-days: 30", "retention-days: 40").replace("Publish", "Go"))
    before = release.text
    ran = release.ci(code=1)
    assert "was edited on lines that relnox changes as well [workflow-conflict]" in ran.text
    assert re.search(r"\n +-.*retention-days: 10.*\n +\+.*retention-days: 40", ran.text)
    assert "Go" not in ran.text
    assert release.text == before
    release.ci("--prefer", "edits", code=0)
    assert "retention-days: 10" in release.text
    assert "name: Go" in release.text
    release.ci("--check", code=0)
    newer_generator(lambda text: text.replace("retention-days: 40", "retention-days: 50"))
    release.ci("--prefer", "generated", code=0)
    assert "retention-days: 50" in release.text


def test_an_edited_file_whose_output_is_lost_is_not_replaced(release: Release, newer_generator: Generator) -> None:
    release.path.write_text(re.sub(r"sha256:\w+", f"sha256:{'0' * 16}", release.text))
    release.edit(UPLOAD, STEP + UPLOAD)
    newer_generator(lambda text: text.replace("retention-days: 30", "retention-days: 40"))
    assert "no commit of this clone has what relnox wrote before" in release.ci(code=1).text
    assert "\n-      - run: echo mine" in release.ci("--prefer", "generated", "--dry-run", code=0).text
    release.ci("--prefer", "edits", code=0)
    assert STEP in release.text
    assert "are up to date" in release.ci(code=0).text


def test_a_file_of_someone_else_is_not_replaced(release: Release) -> None:
    release.path.write_text("on: push\njobs: {}\n")
    assert "was not written by relnox" in release.ci(code=1).text
    release.ci("--prefer", "generated", code=0)
    release.ci("--check", code=0)
    release.path.write_bytes(b"\xff\n")
    for words in (), ("--check",), ("--prefer", "generated"):
        assert f"{FILE}:1: it is not UTF-8" in release.ci(*words, code=1).text


# --- dangers

DANGERS: dict[str, tuple[str, str, str]] = {
    "the gate is skipped": (
        "needs: [build, gate]",
        "needs: [build]",
        "needs of job publish is [build], not [build, gate]",
    ),
    "a permission": (
        "permissions: { contents: read }",
        "permissions: { contents: write }",
        "permission contents: write",
    ),
    "all permissions": ("permissions: {} #", "permissions: write-all #", "all jobs have permissions"),
    "a trigger": ("  workflow_dispatch:", "  pull_request_target:\n  workflow_dispatch:", "pull_request_target"),
    "a token in the checkout": (", persist-credentials: false", "", "leaves its token in the checkout"),
    "another upload": (
        "relnox publish --manifest",
        "relnox publish --dist dist #",
        "has another step $RUNNER_TEMP/relnox/bin/relnox",
    ),
    "a secret for the build": (
        STEP,
        "      - run: echo\n        env: { A: '${{ secrets.A }}' }\n",
        "gets a secret",
    ),
    "an old comment": ("# v7.0.1", "# v6.0.0", "has the comment v6.0.0 (that is v7.0.1)"),
    "another commit": (
        "checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        f"checkout@{NEWER}",
        "has the comment v7.0.1 (v7.0.1 is 3d3c",
    ),
}


@pytest.mark.parametrize("name", DANGERS)
def test_a_dangerous_edit_is_named_with_its_line(name: str, release: Release) -> None:
    old, new, message = DANGERS[name]
    release.edit(UPLOAD, STEP + UPLOAD)
    release.edit(old, new)
    ran = release.ci("--check", code=1)
    assert message in ran.text
    assert re.search(rf"{FILE}:\d+: .*\[workflow-unsafe\]", ran.text)


# --- GitLab

PIPELINE = ".gitlab-ci.yml"


@pytest.fixture
def pipeline(tmp_path: Path) -> Release:
    """A project on GitLab with a committed pipeline."""
    root = single(tmp_path / "demo")
    repository(root)
    git(root, "remote", "set-url", "origin", "git@gitlab.com:acme/demo.git")
    return Release(root, PIPELINE)


def test_edits_of_a_pipeline_survive_as_well(pipeline: Release) -> None:
    pipeline.edit("python:3.13-bookworm", f"python:3.13-bookworm@sha256:{'1' * 64}")
    pipeline.edit("build: #", "lint:\n  script: [ruff check]\n\nbuild: #")
    pipeline.edit("timeout: 60 minutes", "timeout: 90 minutes")
    pipeline.edit("-s build-all verify-install", "-s build-all")
    pipeline.edit("verify:" + pipeline.text.partition("\nverify:")[2].partition("page:")[0], "")
    assert "job page needs job verify, which does not exist" in pipeline.ci("--check", code=1).text
    pipeline.edit("needs: [build, verify]", "needs: [build, publish]")
    pipeline.commit()
    ran = pipeline.ci("--check", code=0)
    line = pipeline.text.count("\n", 0, pipeline.text.index("  script:", pipeline.text.index("\nbuild:"))) + 1
    assert f"{PIPELINE}:{line}: script of job build differs (an edit, which is kept)" in ran.text
    before = pipeline.text
    assert "are up to date" in pipeline.ci(code=0).text
    pipeline.add_setting('trigger = "release"')
    assert "rules of job build" in pipeline.ci("--check", code=1).text
    assert "\n  +verify: #" in pipeline.ci(code=1).text  # relnox changes its rules, too
    pipeline.ci("--prefer", "edits", code=0)
    assert pipeline.text.count("if: '$CI_COMMIT_TAG'") == before.count("if: '$CI_COMMIT_TAG =~")
    assert "lint:" in pipeline.text
    assert "\nverify:" not in pipeline.text
    assert f"@sha256:{'1' * 64}" in pipeline.text
    pipeline.ci("--check", code=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("needs: [requirements, build, gate]", "needs: [requirements, build]", "needs of job publish"),
        ("when: manual", "when: always", "rules of job gate"),
        ('GIT_STRATEGY: "empty"', 'GIT_STRATEGY: "fetch"', "variables of job"),
        (
            "    - ~/relnox/bin/relnox publish",
            "    - make\n    - ~/relnox/bin/relnox publish",
            "has more than relnox",
        ),
        ("  resource_group:", "  before_script: [make]\n  resource_group:", "has before_script as well"),
        ("  interruptible:", "  cache: { paths: [a] }\n  interruptible:", "job default has cache as well"),
    ],
)
def test_a_dangerous_edit_of_a_pipeline_is_named(pipeline: Release, old: str, new: str, message: str) -> None:
    pipeline.edit(old, new)
    ran = pipeline.ci("--check", code=1)
    assert re.search(rf"{PIPELINE}:\d+: .*{message}.*\[workflow-unsafe\]", ran.text), ran.text
