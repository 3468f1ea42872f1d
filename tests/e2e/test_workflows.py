"""Generated workflows, executed: each job in a directory of its own, with files and outputs between them."""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import running
from backends import READING
from fake_forge import GitHubServer, forge_server
from local_runner import LocalRunner
from projects import commit_all, git, remote_of, repository, write
from trusting import REQUEST_TOKEN, Trusting

from relnox.ci import github, merge, sets
from relnox.commands.ci import read_facts
from relnox.commands.init import NOXFILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_runner import Run

pytestmark = pytest.mark.heavy

ACTION = ".github/actions/relnox/action.yml"
PACKAGE = """
[project]
name = "{name}"
version = "{version}"
dependencies = {needs}

[build-system]
requires = []
build-backend = "own"
backend-path = ["backend"]
"""
SEVEN = {
    "acme-core": [],
    "acme-text": ["acme-core"],
    "acme-net": ["acme-core"],
    "acme-web": ["acme-net", "acme-text"],
    "acme-cli": ["acme-core"],
    "acme-lab": [],
    "acme-all": ["acme-web", "acme-cli"],
}


CIBUILDWHEEL = """
import base64, hashlib, os, pathlib, sys, tarfile, zipfile

words = sys.argv[1:]
output = pathlib.Path(words[words.index("--output-dir") + 1])
sdist = pathlib.Path(next(word for word in words if word.endswith(".tar.gz")))
stem = sdist.name.removesuffix(".tar.gz")
with tarfile.open(sdist) as archive:
    metadata = archive.extractfile(f"{stem}/PKG-INFO").read()
    module = archive.extractfile(f"{stem}/demo.py").read()
output.mkdir()
for identifier in os.environ["CIBW_BUILD"].split():
    python, platform = identifier.split("-")
    tag = f"{python}-{python}-{platform.replace('manylinux', 'manylinux_2_28')}"
    header = f"Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {tag}\\n".encode()
    files = {"demo.py": module, f"{stem}.dist-info/METADATA": metadata, f"{stem}.dist-info/WHEEL": header}
    record = ""
    with zipfile.ZipFile(output / f"{stem}-{tag}.whl", "w") as wheel:
        for name, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record += f"{name},sha256={digest},{len(content)}\\n"
            wheel.writestr(zipfile.ZipInfo(name), content)
        wheel.writestr(zipfile.ZipInfo(f"{stem}.dist-info/RECORD"), f"{record}{stem}.dist-info/RECORD,,\\n")
"""
"""A program that takes the options of cibuildwheel, and builds wheels whose only platform is in their names."""


class Repository:
    """A repository with generated workflows, an index that trusts its jobs, and the forge that it is on."""

    def __init__(self, root: Path, index: Trusting, forge: GitHubServer) -> None:
        self.root = root
        self.index = index
        self.forge = forge
        self.runner = LocalRunner(root.parent / "runner", remote_of(root))

    def create(self, files: dict[str, str]) -> None:
        """Write the files, with the settings of the index and all workflows, commit and push."""
        write(self.root, {".gitignore": "dist/\n.nox/\n", "noxfile.py": NOXFILE, **files})
        write(self.root, self.runner.requirements())
        with (self.root / "pyproject.toml").open("a", encoding="utf-8") as file:
            file.write(self.index.settings(production=True))
        for workflow in sets.workflows(read_facts(running.open_project(self.root))):
            text = merge.stamp(github.render(workflow), version("relnox"))
            write(self.root, {github.path(workflow): text})
        repository(self.root)

    def push(self, *refs: str) -> None:
        git(self.root, "push", "--quiet", "origin", *refs)

    def run(self, event: str, ref: str, **more: Any) -> Run:
        variables = {
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": REQUEST_TOKEN,
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.index.origin}/identity?api-version=2",
            "RELNOX_ATTESTATIONS": "off",  # the signing service is public
            "GITHUB_API_URL": self.forge.url,
        }
        return self.runner.run(event, ref, variables=variables, token=self.forge.token, **more)

    @property
    def public(self) -> list[str]:
        """The names of all files on the index, sorted."""
        return sorted(name for files in self.index.files.values() for name in files)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Repository]:
    root = tmp_path / "project"
    forge = GitHubServer(remote_of(root))
    with Trusting() as index, forge_server(forge):
        yield Repository(root, index, forge)


BY_HAND = """
name: By hand
on: push
jobs:
  build:
    name: Build by hand
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@{checkout}
        with: {{ fetch-depth: 0, persist-credentials: false }}
      - uses: ./.github/actions/relnox
        with:
          task: build-all
          options: |
            --expect-version
            1.2.3
            --quiet
"""


def single(project: Repository) -> None:
    workflows = ["release", "checks", "release-pull-request", "verify-public"]
    settings = (
        '[tool.relnox]\nbranch = "main"\ntargets = { final = "house" }\n'
        f"[tool.relnox.ci]\nworkflows = {json.dumps(workflows)}\n"
    )
    files = {
        "pyproject.toml": PACKAGE.format(name="demo", version="1.2.3", needs=[]) + settings,
        "backend/own.py": READING,
        "demo.py": "",
        ".github/workflows/by-hand.yml": BY_HAND.format(checkout=github.pins()["actions/checkout"].sha),
        ACTION: (Path(__file__).parents[2] / ACTION).read_text("utf-8"),
        "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-11-25\n\n- It greets.\n",
    }
    project.create(files)
    git(project.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    project.push("v1.2.3")


def test_a_tag_is_built_approved_published_verified_and_gets_a_page(project: Repository) -> None:
    single(project)
    run = project.run("push", "refs/tags/v1.2.3")
    assert run.code == 0, run.log[-8000:]
    assert list(run.jobs) == [
        "Build, check and install",
        "Wait for approval",
        "Publish",
        "Install from the index",
        "Publish the release page",
    ]
    assert set(run.jobs.values()) == {"succeeded"}
    assert project.public == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
    assert len(project.index.minted) == 1
    assert [(release.tag, release.draft) for release in project.forge.releases] == [("v1.2.3", False)]
    for token in (REQUEST_TOKEN, *project.index.minted, *project.index.identities):
        assert token not in run.log


def test_pull_requests_schedules_and_the_next_release_run_beside_it(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    single(project)
    project.index.passwords.add("password")
    with monkeypatch.context() as patch:
        patch.setenv("RELNOX_HOUSE_TOKEN", "password")
        running.run_in_process(project.root, "build-all", code=0)
        running.run_in_process(project.root, "publish", "--yes", "--attestations", "off", code=0)
    by_hand = project.run("push", "refs/tags/v1.2.3", workflow="by-hand")
    assert (by_hand.code, by_hand.jobs) == (0, {"Build by hand": "succeeded"}), by_hand.log[-5000:]
    assert by_hand.outputs["packages"] == '["demo"]'
    public = project.run("schedule", "refs/heads/main", workflow="verify-public")
    assert (public.code, public.jobs) == (0, {"Install what is public": "succeeded"}), public.log[-5000:]

    write(project.root, {"demo.py": "def greet() -> str:\n    return 'hello'\n"})
    commit_all(project.root, "feat: greet")
    project.push("main")
    payload = {"pull_request": {"head": {"ref": "greet"}, "base": {"ref": "main"}}}
    checks = project.run("pull_request", "refs/heads/main", workflow="checks", payload=payload)
    assert (checks.code, set(checks.jobs.values()), len(checks.jobs)) == (0, {"succeeded"}, 2), checks.log[-5000:]
    for text in ("feat", "Files of the archives", "demo.py"):
        assert text in checks.log, checks.log[-5000:]

    bump = project.run("push", "refs/heads/main", workflow="release-pull-request")
    assert (bump.code, set(bump.jobs.values())) == (0, {"succeeded"}), bump.log[-5000:]
    assert [pull.title for pull in project.forge.pull_requests] == ["Release 1.3.0"]


def test_a_published_page_is_released_by_the_session_of_the_project_with_a_token(project: Repository) -> None:
    settings = (
        '[tool.relnox]\nbranch = "main"\ntargets = { final = "house" }\n'
        '[[tool.relnox.hooks.before-publish]]\nrun = ["git", "log", "-1"]\n'
        '[tool.relnox.ci]\ntrigger = "release"\npublish-job = "nox"\ntokens = { house = "HOUSE_TOKEN" }\n'
    )
    files = {
        "pyproject.toml": PACKAGE.format(name="demo", version="1.2.3", needs=[]) + settings,
        "backend/own.py": READING,
        "demo.py": "",
    }
    project.create(files)
    git(project.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    project.push("v1.2.3")
    token = "pypi-a-token-of-the-house-0123456789"
    project.index.passwords.add(token)
    payload = {"action": "published", "release": {"tag_name": "v1.2.3"}}
    run = project.run("release", "refs/tags/v1.2.3", payload=payload, secrets={"HOUSE_TOKEN": token})
    assert (run.code, set(run.jobs.values()), len(run.jobs)) == (0, {"succeeded"}, 5), run.log[-8000:]
    assert project.public == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
    assert {password for _, password in project.index.logins} == {token}
    assert "before-publish" in run.log
    assert token not in run.log


def test_a_run_by_hand_needs_the_full_id_of_a_commit_and_may_only_build(project: Repository) -> None:
    single(project)
    tagged = git(project.root, "rev-parse", "HEAD")
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "Later")
    project.push("main")
    for commit, result in ((tagged, "succeeded"), ("main", "failed")):
        inputs = {"index": "house", "commit": commit, "dry-run": "true"}
        run = project.run("workflow_dispatch", "refs/heads/main", inputs=inputs)
        assert run.jobs == {"Build, check and install": result}, run.log[-5000:]
        assert ("commit-unexpected" in run.log) == (commit == "main")
    assert project.public == []


def test_nothing_is_published_without_reviewers_or_if_a_file_changed_between_jobs(project: Repository) -> None:
    single(project)
    project.runner.add_environment("release-gate", reviewers=False)
    run = project.run("push", "refs/tags/v1.2.3")
    assert run.jobs == {"Build, check and install": "succeeded", "Wait for approval": "failed"}, run.log[-5000:]

    # The same run, after the gate got reviewers; but an artifact is another one by then.
    project.runner.add_environment("release-gate", reviewers=True)
    built = project.runner.artifacts / "dist"
    copy = shutil.copytree(built, built.parent.parent / "copy")
    with (built / "demo-1.2.3.tar.gz").open("ab") as file:
        file.write(b"more")
    run = project.run("push", "refs/tags/v1.2.3", rerun=run)
    assert (run.jobs["Wait for approval"], run.jobs["Publish"]) == ("succeeded", "failed"), run.log[-5000:]
    assert "archive-changed" in run.log
    manifest = built / "manifest.json"
    text = manifest.read_text("utf-8")
    manifest.write_text(re.sub('"time": "[^"]*"', '"time": "2026-01-01T00:00:00+00:00"', text), encoding="utf-8")
    run = project.run("push", "refs/tags/v1.2.3", rerun=run)
    assert "manifest-changed" in run.log, run.log[-5000:]
    assert project.public == []

    # A rerun with what was built publishes.
    shutil.rmtree(built)
    copy.rename(built)
    run = project.run("push", "refs/tags/v1.2.3", rerun=run)
    assert (run.code, set(run.jobs.values())) == (0, {"succeeded"}), run.log[-5000:]
    assert project.public == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]


def test_a_merge_tags_builds_and_publishes_the_two_of_seven_packages_that_it_bumped(project: Repository) -> None:
    versions = dict.fromkeys(SEVEN, "1.0.0")
    settings = (
        '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\nversions = "independent"\n'
        'tag-format = "{name}-v{version}"\ntargets = { final = "house" }\n'
    )
    files = {"pyproject.toml": settings}
    for name, needs in SEVEN.items():
        files |= {
            f"libs/{name}/pyproject.toml": PACKAGE.format(name=name, version="1.0.0", needs=needs),
            f"libs/{name}/backend/own.py": READING,
            f"libs/{name}/{name.replace('-', '_')}.py": "",
        }
    project.create(files)
    for name in versions:
        git(project.root, "tag", "--annotate", "--message", name, f"{name}-v1.0.0")
    project.push("--tags")
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "Nothing to release")
    project.push("main")
    idle = project.run("push", "refs/heads/main")
    assert (idle.code, idle.jobs) == (0, {"Tag changed versions": "succeeded"}), idle.log[-5000:]

    for name in ("acme-core", "acme-lab"):
        path = project.root / "libs" / name / "pyproject.toml"
        path.write_text(path.read_text("utf-8").replace("1.0.0", "1.1.0"), encoding="utf-8")
    commit_all(project.root, "Bump core and lab")
    project.push("main")
    run = project.run("push", "refs/heads/main")
    assert (run.code, set(run.jobs.values()), len(run.jobs)) == (0, {"succeeded"}, 6), run.log[-8000:]
    new = {"acme-core-v1.1.0", "acme-lab-v1.1.0"}
    remote_tags = git(remote_of(project.root), "tag", "--points-at", "main").split()
    assert set(remote_tags) == new
    assert {name.rsplit("-1.1.0", 1)[0].replace("_", "-") for name in project.public if "1.1.0" in name} == {
        "acme-core",
        "acme-lab",
    }
    assert len(project.public) == 4
    assert {release.tag for release in project.forge.releases if not release.draft} == new

    # All jobs after the approval again: nothing is uploaded or created twice.
    uploads, releases = len(project.index.uploads), len(project.forge.releases)
    finished = {name: run.jobs[name] for name in list(run.jobs)[:3]}
    again = project.run("push", "refs/heads/main", rerun=run._replace(jobs=finished))
    assert (again.code, set(again.jobs.values()), len(again.jobs)) == (0, {"succeeded"}, 6), again.log[-5000:]
    assert (len(project.index.uploads), len(project.forge.releases)) == (uploads, releases)


def test_the_wheels_of_a_matrix_are_collected_and_published_once(project: Repository) -> None:
    identifiers = "cp{311,312}-{manylinux_x86_64,manylinux_aarch64}"
    settings = (
        '[tool.relnox]\nbranch = "main"\ntargets = { final = "house" }\noptional-extensions = ["demo"]\n'
        f'[tool.relnox.wheels]\ndemo = ["{identifiers}"]\n'
    )
    files = {
        "pyproject.toml": PACKAGE.format(name="demo", version="1.2.3", needs=[]) + settings,
        "backend/own.py": READING,
        "demo.py": "",
        github.WHEELS_REQUIREMENTS: project.runner.stub("cibuildwheel", CIBUILDWHEEL),
    }
    project.create(files)
    git(project.root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    project.push("v1.2.3")
    run = project.run("push", "refs/tags/v1.2.3")
    assert (run.code, set(run.jobs.values())) == (0, {"succeeded"}), run.log[-8000:]
    assert len(run.jobs) == 9, run.jobs
    tags = [f"cp{python}-cp{python}" for python in ("311", "312")]
    platforms = ("manylinux_2_28_aarch64", "manylinux_2_28_x86_64")
    wheels = [f"demo-1.2.3-{tag}-{platform}.whl" for tag in tags for platform in platforms]
    assert project.public == [*wheels, "demo-1.2.3.tar.gz"]
