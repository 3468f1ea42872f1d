"""Tag and inputs of a CI job choose packages and version; real git, an index on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import releases
from backends import in_tree
from projects import HATCHLING, commit_all, git, repository, single, write
from running import run_in_process
from trusting import trusting

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two packages with tags by directory, as in a repository that releases each by its tag."""
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\ntag-format = "{directory}-v{version}"\n'}
    for name, version in (("core", "0.1.9"), ("util", "1.0")):
        files[f"libs/{name}/pyproject.toml"] = (
            f'[project]\nname = "acme-{name}"\nversion = "{version}"\n{HATCHLING}'
        )
        files[f"libs/{name}/acme_{name}.py"] = ""
    root = repository(write(tmp_path / "acme", {**files, ".gitignore": "dist/\n"}))
    git(root, "tag", "core-v0.1.9")
    return root


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A job on GitHub for a branch."""
    variables = {"CI": "true", "GITHUB_REF_TYPE": "branch", "GITHUB_REF_NAME": "main"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def run_for(job: pytest.MonkeyPatch, tag: str) -> None:
    job.setenv("GITHUB_REF_TYPE", "tag")
    job.setenv("GITHUB_REF_NAME", tag)


def dry_run(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run_in_process(root, "build-all", "--dry-run", *options, code=code)


def built(ran: RunResult) -> list[str]:
    return [line.split()[2] for line in ran.out.splitlines() if ". build " in line]


def test_the_tag_of_the_job_chooses_the_packages_and_the_source_is_printed(
    root: Path, job: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_for(job, "core-v0.1.9")
    ran = dry_run(root, "--plan", str(tmp_path / "plan.json"), code=0)
    assert built(ran) == ["acme-core"]
    note = "version from tag core-v0.1.9 (GITHUB_REF_NAME): acme-core 0.1.9, the same in the packages' files"
    assert note in ran.text
    assert note in json.loads((tmp_path / "plan.json").read_text())["notes"]


def test_gitlab_and_the_option_name_the_tag(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = dry_run(root, "--release-tag", "core-v0.1.9")
    assert (ran.code, built(ran)) == (0, ["acme-core"])
    assert "version from tag core-v0.1.9 (--release-tag)" in ran.text
    monkeypatch.setenv("CI_COMMIT_TAG", "core-v0.1.9")
    assert "version from tag core-v0.1.9 (CI_COMMIT_TAG)" in dry_run(root).text
    monkeypatch.setenv("RELNOX_RELEASE_TAG", "util-v1.0.0")  # the option precedes the job
    assert built(dry_run(root)) == ["acme-util"]


def test_a_branch_releases_all_packages_by_their_files(root: Path, job: pytest.MonkeyPatch) -> None:
    ran = dry_run(root)
    assert built(ran) == ["acme-core", "acme-util"]
    assert "version from the packages' files: acme-core 0.1.9, acme-util 1.0" in ran.text
    job.delenv("CI")
    assert "version from" not in dry_run(root).text


@pytest.mark.parametrize("text", ["1.0", "1.0.0", "v1.0.0", "util-v1.0"])
def test_versions_are_compared_by_pep_440(root: Path, job: pytest.MonkeyPatch, text: str) -> None:
    run_for(job, "util-v1.0.0")
    ran = dry_run(root, "--expect-version", text, code=0)
    assert "util-v1.0.0 (GITHUB_REF_NAME): acme-util 1.0.0, the same in --expect-version" in ran.text


CONTRADICTIONS = {
    "tag and file": (
        "core-v0.2.0",
        {},
        "tag core-v0.2.0 (GITHUB_REF_NAME) is 0.2.0",
        "libs/core/pyproject.toml has 0.1.9",
    ),
    "tag and input": (
        "core-v0.1.9",
        {"EXPECT": "2"},
        "tag core-v0.1.9 (GITHUB_REF_NAME) is 0.1.9",
        "--expect-version has 2",
    ),
    "input and file": ("", {"EXPECT": "0.2"}, "--expect-version is 0.2", "libs/core/pyproject.toml has 0.1.9"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_two_sources_that_differ_are_both_named(root: Path, job: pytest.MonkeyPatch, case: str) -> None:
    tag, inputs, first, second = CONTRADICTIONS[case]
    if tag:
        run_for(job, tag)
    for name, value in inputs.items():
        job.setenv(f"RELNOX_{name}_VERSION", value)
    options = () if tag else ("--package", "core")
    ran = dry_run(root, *options, code=1)
    assert f"{first}, but {second}" in ran.text
    assert "[release-version-differs]" in ran.text
    allowed = dry_run(root, *options, "--allow-mismatch", code=0)
    assert f"--allow-mismatch ignores: {first}, but {second}" in allowed.text


def test_an_input_for_several_versions_names_the_files_that_differ(root: Path, job: pytest.MonkeyPatch) -> None:
    ran = dry_run(root, "--expect-version", "0.1.9", code=1)
    assert "--expect-version is 0.1.9, but libs/util/pyproject.toml has 1.0 (acme-util)" in ran.text


def test_empty_inputs_are_none(root: Path, job: pytest.MonkeyPatch) -> None:
    run_for(job, "core-v0.1.9")
    job.setenv("RELNOX_EXPECT_VERSION", "")
    assert dry_run(root, "--release-tag", "").code == 0


@pytest.mark.parametrize("text", ["latest", "1..0", "$(touch x)", "core-vx", "1" * 5000])
def test_an_input_that_is_no_version_is_an_error(root: Path, text: str) -> None:
    ran = dry_run(root, "--expect-version", text, code=1)
    assert "[version-invalid]" in ran.text
    assert "--expect-version = " in ran.text


def test_a_tag_of_a_package_that_is_not_selected_is_an_error(root: Path, job: pytest.MonkeyPatch) -> None:
    run_for(job, "core-v0.1.9")
    assert built(dry_run(root, "--package", "core")) == ["acme-core"]
    ran = dry_run(root, "--package", "util", code=1)
    assert "tag core-v0.1.9 (GITHUB_REF_NAME) does not include acme-util (only acme-core)" in ran.text


def test_a_tag_of_no_package_is_a_note_for_a_build_and_an_error_if_it_is_named(
    root: Path, job: pytest.MonkeyPatch
) -> None:
    run_for(job, "nightly-2026")
    ran = dry_run(root)
    assert built(ran) == ["acme-core", "acme-util"]
    assert "tag nightly-2026 (GITHUB_REF_NAME) is not a release tag of this project" in ran.text
    named = dry_run(root, "--release-tag", "nightly-2026", code=1)
    assert "(its tags are like core-v1.2.0, util-v1.2.0) [tag-not-checked-out]" in named.text


def test_only_tagged_packages_are_built_as_tagged(root: Path) -> None:
    assert built(dry_run(root, "--tagged")) == ["acme-core"]
    commit_all(write(root, {"notes.md": ""}))
    assert "[package-not-tagged]" in dry_run(root, "--tagged", code=1).text


def test_a_shared_tag_releases_all_packages_of_its_group(tmp_path: Path, job: pytest.MonkeyPatch) -> None:
    settings = '[tool.relnox]\npackages = ["libs/*"]\ntag-format = "{name}-v{version}"\n'
    group = '[tool.relnox.groups.pair]\npackages = ["a", "b"]\n'
    group += '[tool.relnox.tag-formats]\na = "pair-{version}"\nb = "pair-{version}"\n'
    files = {"pyproject.toml": f"{settings}{group}"}
    for name in "abc":
        files[f"libs/{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "2.0"\n{HATCHLING}'
    root = repository(write(tmp_path / "demo", files))
    run_for(job, "pair-2.0")
    ran = dry_run(root, code=0)
    assert built(ran) == ["a", "b"]


@pytest.mark.parametrize("tag", ["1.2.3", "v1.2.3"])
def test_plain_tags_may_be_bare(tmp_path: Path, job: pytest.MonkeyPatch, tag: str) -> None:
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.2")
    run_for(job, tag)
    assert dry_run(root).code == 0
    (root / "pyproject.toml").write_text((root / "pyproject.toml").read_text().replace("1.2.3", "1.2.4"))
    commit_all(root)
    assert f"tag {tag} (GITHUB_REF_NAME) is 1.2.3, but pyproject.toml has 1.2.4" in dry_run(root).text


def test_a_tag_that_moves_with_every_release_states_no_version(tmp_path: Path, job: pytest.MonkeyPatch) -> None:
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.3")
    run_for(job, "v1")
    ran = dry_run(root, code=0)
    assert "version from the packages' files: demo 1.2.3" in ran.text


@pytest.mark.heavy
def test_a_job_builds_and_collects_only_the_packages_of_its_tag(tmp_path: Path, job: pytest.MonkeyPatch) -> None:
    root = repository(in_tree(tmp_path / "home"))
    version = next(line for line in (root / "pyproject.toml").read_text().splitlines() if "version" in line)
    run_for(job, f"v{version.split(chr(34))[1]}")
    report = tmp_path / "report.json"
    run_in_process(root, "build-all", "--report", str(report), code=0)
    assert any("version from tag" in note for note in json.loads(report.read_text())["notes"])
    collected = run_in_process(root, "collect", "--from", "dist", "--output", "all", code=0)
    assert "version from tag" in collected.text
    job.setenv("RELNOX_EXPECT_VERSION", "99")
    assert "[release-version-differs]" in run_in_process(root, "collect", "--from", "dist", "--output", "all2").err


@pytest.mark.heavy
def test_a_job_publishes_only_the_packages_of_its_tag(root: Path, job: pytest.MonkeyPatch) -> None:
    job.setenv("RELNOX_SHOP_TOKEN", "canary-0815")
    job.setenv("RELNOX_TRIAL_TOKEN", "canary-0815")
    with trusting("canary-0815") as shop, trusting("canary-0815") as trial:
        text = (root / "pyproject.toml").read_text()
        targets = '[tool.relnox.targets]\n"core-v*" = "shop"\n"util-v*" = "trial"\n'
        indexes = f"{shop.settings('shop', production=True)}\n{trial.settings('trial', production=False)}"
        (root / "pyproject.toml").write_text(f"{text}\n{targets}\n{indexes}")
        commit_all(root)
        git(root, "tag", "--delete", "core-v0.1.9")
        paths = [
            releases.made_wheel(root / "dist", f"acme-{name}", version=version)
            for name, version in (("core", "0.1.9"), ("util", "1.0"))
        ]
        releases.write_manifest(root, paths, {}, commit=git(root, "rev-parse", "HEAD"))

        run_for(job, "core-v9.9")
        ran = run_in_process(root, "publish", "--index", "shop", "--yes", code=1)
        assert "tag core-v9.9 (GITHUB_REF_NAME) is 9.9, but libs/core/pyproject.toml has 0.1.9" in ran.err
        run_for(job, "nightly")
        assert "[tag-not-checked-out]" in run_in_process(root, "publish", "--index", "shop", "--yes").err
        assert not shop.hashes

        run_for(job, "core-v0.1.9")  # the clone lacks the tag: its name still chooses the index
        ran = run_in_process(root, "publish", "--yes", code=0)
        assert [*shop.hashes] == ["acme_core-0.1.9-py3-none-any.whl"]
        assert not trial.hashes
        run_for(job, "util-v1.0")
        ran = run_in_process(root, "publish", "--yes", code=0)
        assert [*trial.hashes] == ["acme_util-1.0-py3-none-any.whl"]


@pytest.mark.heavy
@pytest.mark.network
def test_a_rehearsal_in_the_job_of_a_tag_is_of_the_next_version(tmp_path: Path, job: pytest.MonkeyPatch) -> None:
    root = repository(single(tmp_path / "demo"))
    git(root, "tag", "v1.2.3")
    run_for(job, "v1.2.3")
    job.setenv("RELNOX_EXPECT_VERSION", "1.2.3")
    ran = run_in_process(root, "rehearse", code=0)
    assert "demo-1.2.4" in ran.text
