"""Builds, with a backend that lives in the tree: real hooks in real environments, and nothing from outside."""

from __future__ import annotations

import json
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest
from backends import READING, in_tree
from projects import HATCHLING, repository, write
from running import run

from relnox.building.environments import Installer, find_interpreter
from relnox.errors import Blocked
from relnox.system import process
from relnox.system.process import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy


def workspace(root: Path, **needs: tuple[str, ...]) -> Path:
    """Packages that need one another, each with its own backend, in independent versions."""
    for name, requires in needs.items():
        in_tree(root / name, name, requires=requires)
    listed = ", ".join(f'"{name}"' for name in needs)
    write(root, {"pyproject.toml": f'[tool.relnox]\npackages = [{listed}]\nversions = "independent"\n'})
    return root


def archives(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "dist").iterdir() if path.suffix in (".whl", ".gz"))


def test_a_build_writes_archives_and_both_manifests(tmp_path: Path) -> None:
    root = repository(in_tree(tmp_path / "home"))
    run(root, "relnox", "build-all", code=0)
    assert archives(root) == ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]
    manifest = json.loads((root / "dist/manifest.json").read_text())
    text = (root / "dist/BUILD_MANIFEST.txt").read_text()
    for entry in manifest["artifacts"]:
        assert entry["name"] in text
        assert entry["hashes"]["sha256"] in text
        assert (root / "dist" / entry["path"]).stat().st_size == entry["size"]
    assert [path.name for path in (root / "dist").iterdir() if path.name.startswith(".")] == []


def test_the_wheel_is_built_from_the_sdist(tmp_path: Path) -> None:
    # a file that the sdist lacks cannot reach the wheel.
    in_tree(tmp_path, hook="assert not pathlib.Path('untracked.txt').exists(), 'built from the tree'")
    (tmp_path / "untracked.txt").write_text("")
    run(tmp_path, "relnox", "build-all", code=0)


def test_packages_are_built_after_their_build_requirements(tmp_path: Path) -> None:
    root = workspace(tmp_path, zeta=(), alpha=("zeta",), middle=("alpha>=1",))
    run(root, "relnox", "build-all", "--dry-run", "--plan", "plan.json", code=0)
    keys = [step["title"].split()[1] for step in json.loads((root / "plan.json").read_text())["steps"]][:3]
    assert keys == ["zeta", "alpha", "middle"]


def test_siblings_are_built_with_the_backend_that_was_just_built(tmp_path: Path) -> None:
    system = '[build-system]\nrequires = ["house>=2"]\nbuild-backend = "house"\n'
    own = system.replace('"house>=2"', "") + 'backend-path = ["."]\n'
    files = {"pyproject.toml": '[tool.relnox]\npackages = ["house", "home"]\nversions = "independent"\n'}
    for name, version, text in (("house", "2.0", own), ("home", "1.0", system)):
        files[f"{name}/pyproject.toml"] = f'[project]\nname = "{name}"\nversion = "{version}"\n{text}'
        files[f"{name}/{name}.py"] = READING if name == "house" else ""
    run(write(tmp_path, files), "relnox", "build-all", code=0)  # no index has house 2
    assert [name for name in archives(tmp_path) if "py3" in name] == [
        "home-1.0-py3-none-any.whl",
        "house-2.0-py3-none-any.whl",
    ]


def test_a_warning_of_a_backend_is_a_line_of_its_package(tmp_path: Path) -> None:
    in_tree(tmp_path, hook="import warnings; warnings.warn('old field')")
    ran = run(tmp_path, "relnox", "build-all", "--verbose", code=0)
    assert "build home | warning: old field" in ran.text
    assert "BuildBackendWarning" not in ran.text


def test_continue_on_error_records_the_rest_and_what_is_missing(tmp_path: Path) -> None:
    # an incomplete set is never taken for a complete one.
    root = workspace(tmp_path, bad=(), good=(), zero=())
    in_tree(root / "bad", "bad", hook="sys.exit(1)")
    run(root, "relnox", "build-all", code=2)
    assert not (root / "dist/manifest.json").exists()

    went_on = run(root, "relnox", "build-all", "--continue-on-error", "--clean", code=2)
    assert archives(root) == [
        *("good-1.0-py3-none-any.whl", "good-1.0.tar.gz", "zero-1.0-py3-none-any.whl", "zero-1.0.tar.gz"),
    ]
    assert "dist/manifest.json, without bad" in went_on.err
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert manifest["missing"] == ["bad"]
    assert [entry["name"] for entry in manifest["artifacts"]] == [
        *("good-1.0.tar.gz", "good-1.0-py3-none-any.whl", "zero-1.0.tar.gz", "zero-1.0-py3-none-any.whl"),
    ]
    assert "INCOMPLETE: without bad" in (root / "dist/BUILD_MANIFEST.txt").read_text()
    refused = run(root, "relnox", "publish", "--dry-run", code=1)
    assert "dist/manifest.json lacks files of bad (their builds" in refused.err
    assert "--package good --package zero" in refused.err


def test_a_part_is_not_published_for_the_whole_project(tmp_path: Path) -> None:
    root = workspace(tmp_path / "home", alpha=(), beta=(), gamma=())
    private = root / "gamma/pyproject.toml"
    version = 'version = "1.0"\n'
    private.write_text(private.read_text().replace(version, f"{version}classifiers = ['Private :: Local']\n"))
    write(root, {".gitignore": "dist/\njobs/\n"})
    repository(root)
    publish = ("relnox", "publish", "--index", "embedded")
    for number, names in enumerate((("alpha",), ("beta", "gamma")), 1):
        packages = [word for name in names for word in ("--package", name)]
        run(root, "relnox", "build-all", *packages, "--output", f"jobs/{number}", code=0)
    path = root / "jobs/1/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "missing": ["beta", "gamma"]}))

    blocked = run(root, *publish, "--dist", "jobs/1", code=1)

    assert "jobs/1/manifest.json lacks files of beta (their builds" in blocked.err
    assert "relnox collect --from DIR; or publish only the others: --package alpha" in blocked.err
    run(root, *publish, "--dist", "jobs/1", "--package", "alpha", "--dry-run", code=0)
    # What only a private package lacks is complete for publishing.
    run(root, "relnox", "build-all", "--package", "alpha", "--package", "beta", code=0)
    document = json.loads((root / "dist/manifest.json").read_text())
    assert "missing" not in document
    (root / "dist/manifest.json").write_text(json.dumps({**document, "missing": ["gamma"]}))
    run(root, *publish, "--dry-run", code=0)

    run(root, "relnox", "collect", "--from", "jobs", code=0)
    assert "missing" not in json.loads((root / "dist/manifest.json").read_text())
    published = run(root, *publish, code=0)
    assert "alpha 1.0" in published.text
    assert "beta 1.0" in published.text


def test_a_readme_that_cannot_be_rendered_fails_the_build_of_its_package(tmp_path: Path) -> None:
    root = workspace(tmp_path, bad=(), good=())
    house = root / "bad/backend/house.py"
    broken = "'Metadata-Version: 2.1\\nName: bad\\nVersion: 1.0\\n"
    assert broken in house.read_text()
    body = "Description-Content-Type: text/x-rst\\n\\n.. unknown:: x\\n\\n" + "A long line of text. " * 20
    house.write_text(house.read_text().replace(broken, broken + body + "\\n"))
    repository(root)

    ran = run(root, "relnox", "build-all", "--continue-on-error", code=2)

    (line_of_bad,) = [line for line in ran.err.splitlines() if line.strip().startswith("bad-1.0")]
    assert line_of_bad.strip().startswith("bad-1.0.tar.gz, bad-1.0-py3-none-any.whl: readme cannot be rendered: ")
    assert 'Unknown directive type "unknown"' in line_of_bad
    assert archives(root) == ["good-1.0-py3-none-any.whl", "good-1.0.tar.gz"]
    manifest = json.loads((root / "dist/manifest.json").read_text())
    assert manifest["missing"] == ["bad"]
    rows = [line.split() for line in ran.out.splitlines() if line]
    assert rows[1:] == [["bad", "1.0", "failed", "-", "2"], ["good", "1.0", "success", "2", "2"]]


@pytest.mark.network
def test_strict_accepts_the_gitignore_that_hatchling_copies(tmp_path: Path) -> None:
    files = {
        ".gitignore": "/dist/\n",
        "pyproject.toml": '[tool.relnox]\npackages = ["libs/*"]\nversions = "lockstep"\n',
    }
    for name in ("one", "two"):
        files[f"libs/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "1.0"\nreadme = "README.md"\ndescription = "{name}"\n'
            f'requires-python = ">=3.11"\nauthors = [{{ name = "We" }}]\nlicense = "MIT"\n'
            f'classifiers = ["Topic :: Utilities"]\nurls = {{ Home = "https://example.invalid" }}\n\n{HATCHLING}'
        )
        files |= {f"libs/{name}/{name}/__init__.py": "", f"libs/{name}/README.md": f"# {name}\n"}
    root = repository(write(tmp_path / "home", files))

    run(root, "relnox", "build-all", "--strict", code=0)
    with tarfile.open(root / "dist/one-1.0.tar.gz") as archive:
        assert "one-1.0/.gitignore" in archive.getnames()


@pytest.mark.parametrize(
    ("built", "fix"),
    [("2.0", "in the file that the build backend reads"), ("1.0.dev0", "tag_build in its [egg_info]")],
)
def test_a_version_that_differs_from_the_plan_is_rejected(built: str, fix: str, tmp_path: Path) -> None:
    # what the backend makes is held against pyproject.toml.
    in_tree(tmp_path, version="1.0", says=built)
    ran = run(tmp_path, "relnox", "build-all", code=2)
    assert f"version is {built}, but 1.0 was planned" in ran.err
    assert fix in ran.err
    assert archives(tmp_path) == []


def test_source_date_epoch_is_the_time_of_the_commit(tmp_path: Path) -> None:
    root = tmp_path / "home"
    seen = tmp_path / "epoch"
    repository(in_tree(root, hook=f"pathlib.Path({str(seen)!r}).write_text(os.environ['SOURCE_DATE_EPOCH'])"))
    run(root, "relnox", "build-all", code=0)
    committed = process.run(["git", "log", "-1", "--format=%ct"], cwd=root).output.strip()
    assert seen.read_text() == committed


def test_the_configured_tests_run_on_the_built_wheel(tmp_path: Path) -> None:
    in_tree(tmp_path)
    with (tmp_path / "pyproject.toml").open("a") as out:
        out.write(
            "\n[tool.relnox.test]\n"
            'command = ["python", "-I", "-c", "import home, os; assert \'site-packages\' in home.__file__; '
            "print(os.environ['GREETING'], home.name)\"]\n"
            'env = { GREETING = "hello" }\n'
        )
    ran = run(tmp_path, "relnox", "build-all", "--test", "--verbose", code=0)
    assert "| hello home" in ran.err
    in_tree(tmp_path)
    missing = run(tmp_path, "relnox", "build-all", "--test", code=1)
    assert "--test needs a test command ([tool.relnox.test] command is not set)" in missing.err


def test_strict_turns_warnings_into_errors(tmp_path: Path) -> None:
    in_tree(tmp_path)
    run(tmp_path, "relnox", "build-all", code=0)
    (tmp_path / "dist" / "other-1.0.tar.gz").write_bytes(b"of another build")
    ran = run(tmp_path, "relnox", "build-all", "--strict", code=2)
    assert "metadata lacks description, readme, requires-python [metadata-missing]" in ran.err
    assert "failed, 1 warning (" in ran.err  # of the fields that only the page of a project shows
    assert not (tmp_path / "dist/manifest.json").exists()
    assert (tmp_path / "dist/other-1.0.tar.gz").read_bytes() == b"of another build"


def test_interpreters_are_verified_by_running_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The shim of an inactive version is on PATH and answers with an error.
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert process.run(
        [find_interpreter(version).path, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
    ).output == (f"{version}\n")
    shim = tmp_path / "python3.99"
    shim.write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(Blocked, match=r"Python 3\.99 is not installed"):
        find_interpreter("3.99")


def test_new_environments_have_no_other_packages(tmp_path: Path) -> None:
    made = Installer(clean_environment({})).create_environment(tmp_path / "env", find_interpreter("").path)
    listed = process.run(
        [made.python, "-I", "-c", "import importlib.metadata as m; print(list(m.distributions()))"]
    )
    assert listed.output == "[]\n"


def test_private_packages_are_built_and_not_published(tmp_path: Path) -> None:
    # Neither published nor waited for: a `Private ::` classifier keeps it off every index.
    root = workspace(tmp_path, public=(), tools=())
    text = (root / "tools/pyproject.toml").read_text()
    (root / "tools/pyproject.toml").write_text(
        text.replace("dependencies", 'classifiers = ["Private :: Do Not Upload"]\ndependencies')
    )
    run(root, "relnox", "build-all", code=0)
    for task in ("publish-test", "verify-install"):
        ran = run(root, "relnox", task, "--index", "embedded", code=0)
        assert "tools is private" in ran.err
        assert "public 1.0, requirements hold" in ran.err
        assert "tools-1.0" not in ran.err
