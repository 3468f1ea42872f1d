"""From a version bump to a verified install, as a maintainer runs it, with real backends and a real index."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from projects import commit_all, git, lockstep_workspace, mixed_workspace, repository, single, write
from running import FRONT_ENDS, run, run_front_end

pytestmark = pytest.mark.network

PACKAGES = ("acme-core", "acme-agents", "acme-vespa", "acme-runtime", "acme-dashboard")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "five"
    root.mkdir()
    return repository(lockstep_workspace(root))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_five_packages_are_released_through_each_front_end(front_end: str, workspace: Path) -> None:
    def task(name: str, *options: str) -> str:
        ran = run_front_end(front_end, workspace, name, *options)
        assert ran.code == 0, ran.text
        return ran.out + ran.err

    task("bump", "--part", "minor", "--commit", "--tag")
    assert git(workspace, "tag") == "v2.1.0"
    assert git(workspace, "status", "--porcelain") == ""
    task("build-all")
    manifest = json.loads((workspace / "dist/manifest.json").read_text())
    assert [file["package"] for file in manifest["artifacts"][::2]] == list(PACKAGES)
    assert {file["package_version"] for file in manifest["artifacts"]} == {"2.1.0"}
    assert manifest["commit"] == git(workspace, "rev-parse", "HEAD")
    task("publish-test", "--index", "embedded")
    verified = task("verify-install", "--index", "embedded")
    for name in PACKAGES:
        assert f"{name} 2.1.0, requirements hold" in verified
    assert "ran acme_core.greet()" in verified


@pytest.mark.heavy
def test_published_files_are_skipped_and_changed_files_are_a_conflict(workspace: Path) -> None:
    # Hashes decide, dist/ is never globbed, and nothing is uploaded before everything is checked.
    assert run(workspace, "relnox", "build-all").code == 0
    stale = workspace / "dist" / "acme_core-1.0.0-py3-none-any.whl"
    stale.write_bytes(b"stale")
    first = run(workspace, "relnox", "publish-test", "--index", "embedded", "--no-verify")
    assert first.code == 0, first.text
    manifest = json.loads((workspace / "dist/manifest.json").read_text())

    again = run(
        workspace, "relnox", "publish-test", "--index", "embedded", "--no-verify", "--report", "again.json"
    )
    assert again.code == 0, again.text
    uploads = [
        step for step in json.loads((workspace / "again.json").read_text())["steps"] if step["kind"] == "Upload"
    ]
    assert len(uploads) == len(manifest["artifacts"]) == 10
    hashes = {file["name"]: file["hashes"]["sha256"] for file in manifest["artifacts"]}
    for step in uploads:
        assert step["status"] == "skipped"
        assert hashes[step["key"].removeprefix("upload ")] in step["detail"]

    # A rebuild with other bytes under the same name, in the last package.
    write(workspace, {"packages/dashboard/src/acme_dashboard/more.py": "x = 1\n"})
    commit_all(workspace)
    assert run(workspace, "relnox", "build-all").code == 0
    other = run(workspace, "relnox", "publish-test", "--index", "embedded", "--report", "other.json")
    assert other.code == 4, other.text
    assert "has a different acme_dashboard-2.0.0" in other.err
    report = json.loads((workspace / "other.json").read_text())
    assert (report["exit_code"], report["steps"]) == (4, [])  # no step was run


@pytest.mark.heavy
def test_a_changed_byte_on_disk_stops_before_any_upload(workspace: Path) -> None:
    assert run(workspace, "relnox", "build-all").code == 0
    wheel = next((workspace / "dist").glob("acme_runtime-*.whl"))
    content = bytearray(wheel.read_bytes())
    content[-1] ^= 1
    wheel.write_bytes(content)
    ran = run(workspace, "relnox", "publish-test", "--index", "embedded", "--no-verify")
    assert ran.code == 4, ran.text
    assert f"{wheel.name} differs from the file that was built" in ran.err
    assert "archive-invalid" not in ran.err
    store = workspace / ".git" / "relnox" / "index" / "files"
    assert not store.exists() or list(store.iterdir()) == []


@pytest.mark.heavy
def test_the_rules_of_public_indexes_apply_to_the_embedded_index(tmp_path: Path) -> None:
    root = tmp_path / "local"
    root.mkdir()
    repository(single(root, version="1.0+mine"))
    assert run(root, "relnox", "build-all", "--from-tree").code == 0
    refused = run(root, "relnox", "publish-test", "--index", "embedded", "--no-verify")
    assert refused.code == 1
    assert "1.0+mine is a local version (rejected by the public index)" in refused.err
    assert "upload" not in refused.out


@pytest.mark.heavy
def test_a_mixed_workspace_is_rehearsed(tmp_path: Path) -> None:
    # setuptools, flit, poetry-core without [project], pdm-backend; independent versions.
    root = tmp_path / "mixed"
    root.mkdir()
    repository(mixed_workspace(root))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    head, refs = git(root, "rev-parse", "HEAD"), git(root, "for-each-ref")
    ran = run(root, "relnox", "rehearse", "--report", str(tmp_path / "report.json"))
    assert ran.code == 0, ran.text
    files = json.loads((tmp_path / "report.json").read_text())["tables"][0]["rows"]
    versions = {name: version for name, version, *_ in files}
    assert versions == {
        "mixed-saddle": "1.4.1a0",
        "mixed-float": "0.9.0rc2",
        "mixed-pedal": "2026.11.1a0",
        "mixed-poem": "0.3.2a0",
    }
    assert files[0][0] == "mixed-saddle"  # the package that the others need comes first
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before
    assert (git(root, "rev-parse", "HEAD"), git(root, "for-each-ref")) == (head, refs)


@pytest.mark.heavy
def test_relnox_rehearses_its_own_release(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    ran = run(checkout, "relnox", "rehearse", "--report", str(tmp_path / "report.json"))
    assert ran.code == 0, ran.text
    report = json.loads((tmp_path / "report.json").read_text())
    assert [step["status"] for step in report["steps"]] == ["success"] * 5


@pytest.mark.heavy
def test_a_wheel_that_lacks_a_module_fails_after_publishing(tmp_path: Path) -> None:
    # The source tree works; the wheel lacks a module that the package imports.
    root = tmp_path / "lacking"
    root.mkdir()
    single(root)
    write(
        root,
        {
            "src/demo/__init__.py": "from demo import forgotten\n",
            "src/demo/forgotten.py": "",
            "pyproject.toml": (root / "pyproject.toml").read_text()
            + '\n[tool.hatch.build]\nexclude = ["forgotten.py"]\n',
        },
    )
    repository(root)
    assert run(root, "relnox", "build-all").code == 0
    ran = run(root, "relnox", "publish-test", "--index", "embedded")
    assert ran.code == 2, ran.text
    assert "uploaded files stay on the index" in ran.err
    assert "import demo fails" in ran.err
    assert "forgotten" in ran.err


@pytest.mark.heavy
def test_an_unavailable_build_requirement_fails_the_build(tmp_path: Path) -> None:
    root = tmp_path / "unreachable"
    root.mkdir()
    single(root)
    text = (root / "pyproject.toml").read_text().replace('"hatchling"]', '"hatchling", "relnox-no-such-thing==9"]')
    write(root, {"pyproject.toml": text})
    repository(root)
    ran = run(root, "relnox", "build-all")
    assert ran.code == 2, ran.text
    assert "relnox-no-such-thing" in ran.err
    assert not list((root / "dist").iterdir())


@pytest.mark.heavy
def test_a_release_is_built_and_verified(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    repository(single(root))
    build = run(root, "relnox", "build-all")
    assert build.code == 0, build.text
    with tarfile.open(root / "dist" / "demo-1.2.3.tar.gz") as sdist:
        assert "demo-1.2.3/src/demo/__init__.py" in sdist.getnames()
    ran = run(root, "relnox", "publish-test", "--index", "embedded")
    assert ran.code == 0, ran.text
    shutil.rmtree(root / "src")
    again = run(root, "relnox", "verify-install", "--index", "embedded")
    assert again.code == 0, again.text
