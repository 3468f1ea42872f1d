"""What a project says of its builds: followed as `uv build` does, or named as not followed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from package_index import serving
from projects import commit_all, repository, write
from toy_backend import PYPROJECT, releases_of

from relnox.source.pyproject import read_toml
from relnox.source.uv_settings import read_build_settings
from relnox.source.version_files import read_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex


pytestmark = pytest.mark.heavy

UV = [sys.executable, "-m", "uv"]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The one index that uv, pip and relnox know: it has two releases of a backend and of a helper."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache/uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = releases_of(tmp_path / "index")
    with serving(*found.values()) as index:
        for name, path in found.items():
            index.times[path.name] = "2026-06-01T00:00:00Z" if name.endswith("2.0") else "2026-01-01T00:00:00Z"
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.simple_url)
        monkeypatch.setenv("PIP_INDEX_URL", index.simple_url)
        yield index


def ran(root: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=root, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )


def module_of(directory: Path, name: str = "home") -> dict[str, Any]:
    """What the backend wrote into a wheel: which release it was, which helper it found, what it was given."""
    found: dict[str, Any] = {}
    with zipfile.ZipFile(directory / f"{name}-1.0-py3-none-any.whl") as wheel:
        exec(wheel.read(f"{name}.py"), {}, found)  # of the backend of this test
    return found


def relnox(root: Path, *options: str, **variables: str) -> tuple[dict[str, Any], str]:
    """What relnox builds, and what it says."""
    done = ran(root, sys.executable, "-m", "relnox", "build-all", "--reporter=plain", *options, **variables)
    assert done.returncode == 0, done.stderr
    return module_of(root / "dist"), done.stderr


def by(root: Path, *words: str, **variables: str) -> dict[str, Any]:
    """What another tool builds; the last words are its option for the directory of archives."""
    output = root.parent / "other"
    done = ran(root, *words, str(output), **variables)
    assert done.returncode == 0, done.stderr
    return module_of(output)


def project(root: Path, settings: str = "", file: str = "pyproject.toml") -> Path:
    texts = {"pyproject.toml": PYPROJECT.format(name="home"), ".gitignore": "/dist/\n"}
    texts[file] = texts.get(file, "") + settings
    return repository(write(root, texts))


NEWEST: dict[str, Any] = {"backend": "2.0", "helper": None, "settings": {}}
OF_UV = {
    "nothing": ("", NEWEST, ""),
    "build constraints": (
        '[tool.uv]\nbuild-constraint-dependencies = ["toy-backend<2"]\n',
        {**NEWEST, "backend": "1.0"},
        "build-constraint-dependencies (pyproject.toml)",
    ),
    "constraints of the project's own environment": (
        '[tool.uv]\nconstraint-dependencies = ["toy-backend<2"]\noverride-dependencies = ["toy-backend==1.0"]\n',
        NEWEST,
        "",
    ),
    "more build requirements": (
        '[tool.uv.extra-build-dependencies]\nHome = ["toy-helper"]\nother = ["nothing-like-it"]\n',
        {**NEWEST, "helper": "2.0"},
        "extra-build-dependencies (pyproject.toml)",
    ),
    "an earlier time": (
        '[tool.uv]\nexclude-newer = "2026-03-01"\n',
        {**NEWEST, "backend": "1.0"},
        "exclude-newer (pyproject.toml)",
    ),
    "an earlier time for one package": (
        '[tool.uv]\nexclude-newer-package = { toy-backend = "2026-03-01T00:00:00Z" }\n',
        {**NEWEST, "backend": "1.0"},
        "exclude-newer-package (pyproject.toml)",
    ),
    "settings of the backend": (
        '[tool.uv]\nconfig-settings = { colour = "blue", flags = ["a", "b"] }\n',
        {**NEWEST, "settings": {"colour": "blue", "flags": ["a", "b"]}},
        "config-settings (pyproject.toml)",
    ),
    "settings of the package, which uv build takes on its command line alone": (
        '[tool.uv.config-settings-package]\nhome = { colour = "red" }\n',
        NEWEST,
        "",
    ),
}


@pytest.mark.parametrize(("settings", "expected", "said"), OF_UV.values(), ids=OF_UV)
def test_uv_settings_apply_as_in_uv_build(
    settings: str, expected: dict[str, Any], said: str, index: PackageIndex, tmp_path: Path
) -> None:
    root = project(tmp_path / "home", settings)
    assert by(root, *UV, "build", "--out-dir") == expected
    built, output = relnox(root)
    assert built == expected, output
    assert (f"note: builds follow {said}\n" in output) if said else ("builds follow" not in output)


def test_uv_toml_takes_precedence(index: PackageIndex, tmp_path: Path) -> None:
    root = project(tmp_path / "home", 'build-constraint-dependencies = ["toy-backend<2"]\n', "uv.toml")
    with (root / "pyproject.toml").open("a") as out:
        out.write('[tool.uv]\nbuild-constraint-dependencies = ["toy-backend>=2"]\n')
    commit_all(root)
    assert by(root, *UV, "build", "--out-dir")["backend"] == "1.0"
    built, output = relnox(root)
    assert built["backend"] == "1.0"
    assert "builds follow build-constraint-dependencies (uv.toml)" in output


def test_constraint_files_apply(index: PackageIndex, tmp_path: Path) -> None:
    root = project(tmp_path / "home")
    write(
        root, {"bounds.txt": "# for builds\n-c more.txt\n", "more.txt": "toy-backend<2\n", ".gitignore": "*.txt\n"}
    )
    commit_all(root)
    assert by(root, *UV, "build", "--out-dir", UV_BUILD_CONSTRAINT="bounds.txt")["backend"] == "1.0"
    built, output = relnox(root, UV_BUILD_CONSTRAINT="bounds.txt")
    assert built["backend"] == "1.0"
    assert "note: builds follow UV_BUILD_CONSTRAINT\n" in output


def test_settings_of_the_workspace_root_apply_to_members(index: PackageIndex, tmp_path: Path) -> None:
    root = repository(
        write(
            tmp_path / "home",
            {
                "pyproject.toml": """\
                    [tool.uv]
                    build-constraint-dependencies = ["toy-backend<2"]
                    [tool.uv.workspace]
                    members = ["libs/*"]
                    [tool.relnox]
                    packages = ["libs/*", "apart"]
                    versions = "independent"
                    """,
                "libs/one/pyproject.toml": PYPROJECT.format(name="one") + "[tool.uv]\nmanaged = true\n",
                "apart/pyproject.toml": PYPROJECT.format(name="apart")
                + '[tool.uv.extra-build-dependencies]\napart = ["toy-helper<2"]\n',
                ".gitignore": "/dist/\n",
            },
        )
    )
    done = ran(root, sys.executable, "-m", "relnox", "build-all", "--reporter=plain")
    assert done.returncode == 0, done.stderr
    assert module_of(root / "dist", "one")["backend"] == "1.0"
    assert module_of(root / "dist", "apart") == {**NEWEST, "helper": "1.0"}
    for name, directory in (("one", "libs/one"), ("apart", "apart")):
        output = tmp_path / "other"
        assert ran(root / directory, *UV, "build", "--out-dir", str(output)).returncode == 0
        assert module_of(output, name) == module_of(root / "dist", name)


HASHED = "toy-backend==1.0 --hash=sha256:{backend}\ntoy-helper==2.0 --hash=sha256:{helper}\n"
REQUIRED_BY: dict[str, tuple[str, str, dict[str, str]]] = {
    "a setting of the project": ("[tool.uv]\nrequire-build-hashes = true\n", "", {}),
    "a setting of the user": ("", "require-build-hashes = true\n", {}),
    "a variable": ("", "", {"UV_REQUIRE_BUILD_HASHES": "1"}),
    "a variable against a setting": (
        "[tool.uv]\nrequire-build-hashes = false\n",
        "",
        {"UV_REQUIRE_BUILD_HASHES": "true"},
    ),
    "the variable for all hashes": ("", "", {"UV_REQUIRE_HASHES": "1"}),
}


def hashed(index: PackageIndex, path: Path, **others: str) -> Path:
    """A constraint file with the hashes of the backend and the helper, or others."""
    hashes = {name: index.hashes[f"toy_{name}-{release}-py3-none-any.whl"] for name, release in RELEASES.items()}
    path.write_text(HASHED.format(**{**hashes, **others}))
    return path


RELEASES = {"backend": "1.0", "helper": "2.0"}
TWO = '[tool.uv.extra-build-dependencies]\nhome = ["toy-helper"]\n'


@pytest.mark.parametrize("how", REQUIRED_BY)
def test_required_hashes_are_compared_as_in_uv_build(
    how: str, index: PackageIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, of_user, variables = REQUIRED_BY[how]
    root = project(tmp_path / "home", settings + TWO)
    write(tmp_path / "config", {"uv/uv.toml": of_user})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    bounds = hashed(index, tmp_path / "bounds.txt")
    expected = {"backend": "1.0", "helper": "2.0", "settings": {}}
    assert by(root, *UV, "build", "--out-dir", UV_BUILD_CONSTRAINT=str(bounds)) == expected
    assert relnox(root, UV_BUILD_CONSTRAINT=str(bounds))[0] == expected

    for other in ("", HASHED.partition("\n")[0].format(backend=index.hashes["toy_backend-1.0-py3-none-any.whl"])):
        bounds.write_text(other)
        refused(root, bounds, "in `--require-hashes` mode")
    hashed(index, bounds, helper="0" * 64)
    refused(root, bounds, "hash mismatch")


def refused(root: Path, bounds: Path, reason: str) -> None:
    """Neither uv nor relnox builds with these constraints, and relnox says why."""
    variables = {"UV_BUILD_CONSTRAINT": str(bounds)}
    assert ran(root, *UV, "build", "--out-dir", str(root.parent / "no"), **variables).returncode != 0
    done = ran(root, sys.executable, "-m", "relnox", "build-all", "--reporter=plain", **variables)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr.lower(), done.stderr
    assert "--generate-hashes" in done.stderr
    assert not (root / "dist/manifest.json").exists()


def test_a_variable_switches_required_hashes_off(index: PackageIndex, tmp_path: Path) -> None:
    root = project(tmp_path / "home", "[tool.uv]\nrequire-build-hashes = true\n")
    variables = {"UV_REQUIRE_BUILD_HASHES": "0"}
    assert by(root, *UV, "build", "--out-dir", **variables) == NEWEST
    assert relnox(root, **variables)[0] == NEWEST


def test_hashes_of_constraints_in_settings_are_compared(index: PackageIndex, tmp_path: Path) -> None:
    entry = '{{ requirement = "toy-backend==1.0", hashes = ["{}"] }}'
    constraint = f"[tool.uv]\nbuild-constraint-dependencies = [{entry}]\n"
    good = f"sha256:{index.hashes['toy_backend-1.0-py3-none-any.whl']}"
    root = project(tmp_path / "home", constraint.format(good) + "require-build-hashes = true\n")
    assert relnox(root)[0] == {**NEWEST, "backend": "1.0"}
    for more in ("require-build-hashes = true\n", ""):
        bad = constraint.format(f"sha256:{'0' * 64}")
        write(root, {"pyproject.toml": PYPROJECT.format(name="home") + bad + more})
        commit_all(root)
        done = ran(root, sys.executable, "-m", "relnox", "build-all", "--reporter=plain")
        assert done.returncode == 2, done.stderr
        assert "hash mismatch" in done.stderr.lower()


def test_a_sibling_needs_no_hash(index: PackageIndex, tmp_path: Path) -> None:
    of_user = PYPROJECT.format(name="user").replace('["toy-backend"]', '["toy-backend", "base"]')
    root = repository(
        write(
            tmp_path / "home",
            {
                "pyproject.toml": '[tool.uv]\nrequire-build-hashes = true\n[tool.relnox]\npackages = ["*"]\n',
                "base/pyproject.toml": PYPROJECT.format(name="base"),
                "user/pyproject.toml": of_user,
                ".gitignore": "/dist/\n",
            },
        )
    )
    done = ran(
        *(root, sys.executable, "-m", "relnox", "build-all"),
        UV_BUILD_CONSTRAINT=str(hashed(index, tmp_path / "bounds.txt")),
    )
    assert done.returncode == 0, done.stderr
    assert module_of(root / "dist", "user")["backend"] == "1.0"


def test_unsupported_settings_are_reported(index: PackageIndex, tmp_path: Path) -> None:
    root = project(
        tmp_path / "home",
        """\
[tool.uv]
no-build-isolation-package = ["Home"]
sources = { toy-backend = { path = "../elsewhere" } }
extra-build-dependencies = { home = [{ requirement = "toy-helper", match-runtime = true }] }
""",
    )
    _, output = relnox(root, UV_OVERRIDE=os.devnull, PIP_NO_BUILD_ISOLATION="0", PIP_CONSTRAINT=os.devnull)
    for said in (
        "no-build-isolation-package: relnox always isolates builds, with [build-system] requires",
        "sources of toy-backend: relnox uses the index",
        "match-runtime of toy-helper: relnox uses any matching release",
        "UV_OVERRIDE (uv build ignores it too)",
        "PIP_NO_BUILD_ISOLATION (relnox builds in isolated environments)",
        "PIP_CONSTRAINT (uv installs build requirements: set UV_BUILD_CONSTRAINT)",
    ):
        assert f"note: not honored: {said}" in output


def test_unsupported_sources_are_reported_if_uv_reads_no_settings(tmp_path: Path) -> None:
    root = project(tmp_path / "home", '[tool.uv]\nsources = { toy-backend = { path = "../elsewhere" } }\n')
    package = read_package(read_toml(root, "pyproject.toml"), ".", root)
    (message,) = read_build_settings(root, package, {"UV_NO_CONFIG": "1"}).ignored_settings
    assert message.startswith("sources of toy-backend: ")
    assert message.endswith(" (pyproject.toml)")


def test_constraints_with_addresses_are_rejected_with_a_pinned_index(index: PackageIndex, tmp_path: Path) -> None:
    root = project(tmp_path / "home", f'[tool.relnox]\ntrusted-index = "{index.simple_url}"\n')
    bounds = tmp_path / "bounds.txt"
    bounds.write_text("toy-backend<2\n")
    assert relnox(root, UV_BUILD_CONSTRAINT=str(bounds))[0]["backend"] == "1.0"
    bounds.write_text(
        "# from https://example.invalid\nsix>=1  # as in six @ 1\n-i https://example.invalid\n"
        "toy-backend @ https://elsewhere.example.invalid/toy_backend-9-py3-none-any.whl\n"
    )
    done = ran(root, sys.executable, "-m", "relnox", "build-all", UV_BUILD_CONSTRAINT=str(bounds))
    assert done.returncode == 1, done.stderr
    assert (
        "only one index (trusted-index): -i https://example.invalid, toy-backend @ https://elsewhere"
        in done.stderr
    )
    assert "six" not in done.stderr
    assert "fix: remove the addresses from UV_BUILD_CONSTRAINT" in done.stderr
