"""From a version bump to a verified install, as a maintainer runs it, with real backends and a real index."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import git, lockstep_workspace, mixed_workspace, repository, single, write
from running import FRONT_ENDS, run, run_front_end

pytestmark = pytest.mark.network

PACKAGES = ("acme-core", "acme-agents", "acme-vespa", "acme-runtime", "acme-dashboard")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "five"
    return repository(lockstep_workspace(root))


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_five_packages_are_released_through_each_front_end(front_end: str, workspace: Path) -> None:
    def task(name: str, *options: str) -> str:
        ran = run_front_end(front_end, workspace, name, *options, code=0)
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
def test_a_mixed_workspace_is_rehearsed(tmp_path: Path) -> None:
    # setuptools, flit, poetry-core without [project], pdm-backend; independent versions.
    root = repository(mixed_workspace(tmp_path / "mixed"))
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    head, refs = git(root, "rev-parse", "HEAD"), git(root, "for-each-ref")
    run(root, "relnox", "rehearse", "--report", str(tmp_path / "report.json"), code=0)
    files = json.loads((tmp_path / "report.json").read_text())["tables"][0]["rows"]
    versions = {name: version for name, version, *_ in files}
    assert versions == {
        "mixed-saddle": "1.4.0",
        "mixed-float": "0.9.0rc1",
        "mixed-pedal": "2026.11",
        "mixed-poem": "0.3.1",
    }
    assert files[0][0] == "mixed-saddle"  # the package that the others need comes first
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and ".git" not in path.parts}
    assert after == before
    assert (git(root, "rev-parse", "HEAD"), git(root, "for-each-ref")) == (head, refs)


@pytest.mark.heavy
def test_relnox_rehearses_its_own_release(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[2]
    run(checkout, "relnox", "rehearse", "--report", str(tmp_path / "report.json"), code=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert [step["status"] for step in report["steps"]] == ["success"] * 5


@pytest.mark.heavy
def test_a_wheel_that_lacks_a_module_fails_after_publishing(tmp_path: Path) -> None:
    # The source tree works; the wheel lacks a module that the package imports.
    root = single(tmp_path / "lacking")
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
    ran = run(root, "relnox", "publish-test", "--index", "embedded", code=2)
    assert "uploaded files stay on the index" in ran.err
    assert "import demo fails" in ran.err
    assert "forgotten" in ran.err


@pytest.mark.heavy
def test_an_unavailable_build_requirement_fails_the_build(tmp_path: Path) -> None:
    root = single(tmp_path / "unreachable")
    text = (root / "pyproject.toml").read_text().replace('"hatchling"]', '"hatchling", "relnox-no-such-thing==9"]')
    write(root, {"pyproject.toml": text})
    repository(root)
    ran = run(root, "relnox", "build-all", code=2)
    assert "relnox-no-such-thing" in ran.err
    assert not list((root / "dist").iterdir())
