"""Rust crates with the version of a package: their manifests, requirements on them, and Cargo.lock."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from projects import git, repository, write

if TYPE_CHECKING:
    from pathlib import Path

    from running import Bump

pytestmark = pytest.mark.heavy

MATURIN = (
    '[build-system]\nrequires = ["maturin"]\nbuild-backend = "maturin"\n'
    '[project]\nname = "demo"\ndynamic = ["version"]\n'
)


def crate(name: str, version: str = "version.workspace = true", *more: str) -> str:
    lines = [f'[package]\nname = "{name}"\n{version}\nedition = "2021"', *more]
    return "\n".join([*lines, ""])


def own(version: str) -> str:
    return f'version = "{version}"'


def workspace(*members: str, more: str = "") -> str:
    listed = ", ".join(f'"{member}"' for member in members)
    return f'[workspace]\nmembers = [{listed}]\nresolver = "2"\n{more}\n[workspace.package]\nversion = "1.4.0"\n'


def cargo(root: Path, *words: str) -> None:
    """Run cargo in a directory, without an index; nothing where it is not installed."""
    if program := shutil.which("cargo"):
        command = [program, *words, "--offline", "--quiet"]
        ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr


def locked(root: Path, files: dict[str, str], *directories: str) -> Path:
    """Make a repository with crates, and lock files in these directories as cargo writes them."""
    sources = {f"{name.removesuffix('Cargo.toml')}src/lib.rs": "" for name in files if name.endswith("Cargo.toml")}
    write(root, {"pyproject.toml": MATURIN, **sources, **files})
    for directory in directories:
        if shutil.which("cargo") is None:
            pytest.skip("cargo writes these lock files")
        cargo(root / directory, "generate-lockfile")
    return repository(root)


def bumped(bump: Bump, root: Path, *options: str, lock: str = ".") -> dict[str, str]:
    """Bump, see that cargo finds nothing to change, and return the new contents of what is changed."""
    ran = bump(root, *options, "--commit")
    assert ran.code == 0, ran.text
    assert git(root, "status", "--porcelain") == ""
    cargo(root / lock, "metadata", "--locked", "--format-version=1")
    names = git(root, "show", "--format=", "--name-only").splitlines()
    return {name: (root / name).read_text() for name in names}


DEPENDENCY = '[dependencies]\ninner = { path = "crates/inner", version = "VERSION" }'
RENAMED = '[dev-dependencies.other]\npackage = "inner"\npath = "crates/inner"\nversion = "VERSION"'
OF_TARGET = "[target.'cfg(unix)'.build-dependencies]\ninner = { path = 'crates/inner', version = 'VERSION' }"
INHERITED = (
    "[dependencies]\ninner.workspace = true\n[workspace.dependencies]\n"
    'inner = { path = "crates/inner", version = "VERSION" }'
)


@pytest.mark.parametrize(
    ("table", "requirement", "expected"),
    [
        (DEPENDENCY, "1.4.0", ("1.4.1-rc.0", "1.5.0", "2.0.0")),  # the current version: it follows each bump
        (DEPENDENCY, "=1.4.0", ("=1.4.1-rc.0", "=1.5.0", "=2.0.0")),
        (DEPENDENCY, "1.4", ("1.4.1-rc.0", "1.4", "2.0")),
        (RENAMED, "^1", ("^1.4.1-rc.0", "^1", "^2")),
        (RENAMED, "~1.4", ("~1.4.1-rc.0", "~1.5", "~2.0")),
        (OF_TARGET, "1.*", ("1.4.1-rc.0", "1.*", "2.*")),
        (OF_TARGET, ">=1.2, <2", (">=1.4.1-rc.0, <2", ">=1.2, <2", ">=2.0.0, <3")),
        (INHERITED, "1.4", ("1.4.1-rc.0", "1.4", "2.0")),
        (INHERITED, "1.4.0", ("1.4.1-rc.0", "1.5.0", "2.0.0")),
    ],
)
def test_a_requirement_on_a_crate_of_the_package_follows_it(
    tmp_path: Path, bump: Bump, table: str, requirement: str, expected: tuple[str, str, str]
) -> None:
    text = crate("demo", "version.workspace = true", table, workspace("crates/*"))
    files = {"Cargo.toml": text.replace("VERSION", requirement), "crates/inner/Cargo.toml": crate("inner")}
    root = locked(tmp_path / "demo", files, ".")
    start = git(root, "rev-parse", "HEAD")
    bumps = {"rc": "1.4.1-rc.0", "minor": "1.5.0", "major": "2.0.0"}
    for (part, version), changed in zip(bumps.items(), expected, strict=True):
        git(root, "reset", "--quiet", "--hard", start)
        after = bumped(bump, root, "--pre" if part == "rc" else "--part", part)
        assert after["Cargo.toml"] == text.replace('"1.4.0"', f'"{version}"').replace("VERSION", changed)
        assert after["Cargo.lock"].count(f'version = "{version}"') == 2


MOTOR = {"motor/Cargo.toml": crate("motor", own("1.4.0"))}  # no crate of the package
NEEDS_MOTOR = '[dependencies]\nmotor = { path = "MOTOR" }'
AT_ROOT = {"Cargo.toml": workspace("demo"), "demo/Cargo.toml": crate("demo")}
MANIFEST = '[tool.maturin]\nmanifest-path = "{}"\n'


@pytest.mark.parametrize(
    ("files", "manifest", "lock"),
    [
        ({"Cargo.toml": crate("demo", own("1.4.0"))}, "Cargo.toml", "Cargo.lock"),
        (AT_ROOT, "demo/Cargo.toml", "Cargo.lock"),
        (  # a member is also what a member has a path to
            {
                "Cargo.toml": crate("demo", "version.workspace = true", DEPENDENCY, workspace()).replace(
                    "VERSION", "1.4"
                ),
                "crates/inner/Cargo.toml": crate("inner"),
            },
            "Cargo.toml",
            "Cargo.lock",
        ),
        (  # the workspace above excludes it, so it has a lock file of its own
            {
                "Cargo.toml": '[workspace]\nmembers = ["motor"]\nexclude = ["py/demo"]\nresolver = "2"\n',
                "py/demo/Cargo.toml": crate("demo", own("1.4.0"), NEEDS_MOTOR.replace("MOTOR", "../../motor")),
                **MOTOR,
            },
            "py/demo/Cargo.toml",
            "py/demo/Cargo.lock",
        ),
        (  # fuzz tests, a workspace of their own, take it from its directory
            {
                "Cargo.toml": crate("demo", own("1.4.0")),
                "fuzz/Cargo.toml": crate(
                    "fuzz", own("0.0.0"), '[dependencies]\ndemo = { path = ".." }', "[workspace]"
                ),
            },
            "Cargo.toml",
            "fuzz/Cargo.lock",
        ),
    ],
)
@pytest.mark.parametrize("declared", [False, True])
def test_every_lock_file_with_a_crate_of_the_package_gets_its_version(
    tmp_path: Path, bump: Bump, files: dict[str, str], manifest: str, lock: str, *, declared: bool
) -> None:
    pyproject = f"{MATURIN}{MANIFEST.format(manifest)}"
    if declared:  # of a backend that relnox does not know
        place = manifest if "workspace" not in files[manifest].split("[package]")[-1] else "Cargo.toml"
        pattern = 'pattern = "^version = .(?P<version>[0-9.]+)"'
        pyproject = pyproject.replace('"maturin"\n', '"own"\n')
        pyproject += f'[[tool.relnox.version-files]]\nfile = "{place}"\n{pattern}\n'
    root = locked(tmp_path / "demo", {**files, "pyproject.toml": pyproject}, lock.rpartition("/")[0])
    before = (root / lock).read_text()
    after = bumped(bump, root, "--part", "minor", lock=lock.rpartition("/")[0])
    assert after[lock] == before.replace('"1.4.0"', '"1.5.0"').replace(
        'name = "motor"\nversion = "1.5.0"', 'name = "motor"\nversion = "1.4.0"'
    )


def test_entries_of_other_crates_are_unchanged(tmp_path: Path, bump: Bump) -> None:
    entry = '\n[[package]]\nname = "demo"\nversion = "{}"\n{}'
    lock = "version = 4\n" + "".join(
        entry.format(*parts)
        for parts in [
            ("1.4.0", ""),
            ("1.3.0", ""),
            ("1.4.0", 'source = "registry+https://example.invalid/index"\n'),
        ]
    )
    files = {"pyproject.toml": MATURIN, "Cargo.toml": crate("demo", own("1.4.0")), "Cargo.lock": lock}
    samples = {"tests/data/Cargo.lock": lock, "src/lib.rs": ""}
    root = repository(write(tmp_path / "demo", files | samples))
    assert bump(root, "--part", "minor", "--commit").code == 0
    assert (root / "Cargo.lock").read_text() == lock.replace("1.4.0", "1.5.0", 1)
    assert (root / "tests/data/Cargo.lock").read_text() == lock
