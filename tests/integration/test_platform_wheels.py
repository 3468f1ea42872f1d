"""Wheels for platforms: for each Python that needs its own, and those of other jobs."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import packed
import pytest
from backends import in_tree
from projects import commit_all, git, repository, write
from running import run

from relnox.building.environments import find_interpreter
from relnox.core.release.manifest import Manifest
from relnox.errors import Blocked

if TYPE_CHECKING:
    from running import RunResult

pytestmark = pytest.mark.heavy

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def build_all(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run(root, "relnox", "build-all", *options, code=code)


def archives(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.endswith((".whl", ".tar.gz")))


def manifest(directory: Path) -> Manifest:
    return Manifest.from_json((directory / "manifest.json").read_text(encoding="utf-8"), where=str(directory))


def two_pythons() -> tuple[str, str]:
    """Two that are there; the test fails where they are not."""
    found = []
    for version in ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14"):
        try:
            find_interpreter(version)
        except Blocked:
            continue
        found.append(version)
    assert len(found) > 1, f"only {', '.join(found)}: install another Python, by uv or pyenv"
    return found[0], found[-1]


def tag_of(version: str) -> str:
    return f"cp{version.replace('.', '')}"


def tagged(root: Path, tag: str) -> Path:
    """A package whose backend gives its wheel a tag: an expression of Python in which `cp` is the running one."""
    root.mkdir(parents=True, exist_ok=True)
    in_tree(root)
    backend = root / "backend/house.py"
    text = backend.read_text()
    name, line = (
        'f"{STEM}-py3-none-any.whl"',
        'b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"',
    )
    assert name in text
    assert line in text
    text = text.replace(name, 'f"{STEM}-{TAG}.whl"').replace(
        line, 'f"Wheel-Version: 1.0\\nTag: {TAG}\\n".encode()'
    )
    loop = "        for module in MODULES:\n"
    native = '        if not TAG.endswith("-any"):\n            add("_home.so", b"\\x7fELF")\n'
    assert loop in text
    text = text.replace(loop, f"{native}{loop}")
    cp = 'cp = "cp%s%s" % sys.version_info[:2]'
    backend.write_text(f"import sys\n{cp}\nTAG = {tag}\n{text}")
    return root


EACH = "f'{cp}-{cp}-macosx_11_0_arm64'"  # which nothing on any machine looks into


def test_a_duplicate_python_option_gives_one_wheel_and_one_run_of_the_tests(tmp_path: Path) -> None:
    root = tagged(tmp_path, EACH)
    ran = build_all(root, "--python", HERE, "--python", HERE, code=0)
    wheel = f"home-1.0-{tag_of(HERE)}-{tag_of(HERE)}-macosx_11_0_arm64.whl"
    assert archives(root / "dist") == [wheel, "home-1.0.tar.gz"]
    home = in_tree(tmp_path / "other")
    with (home / "pyproject.toml").open("a") as out:
        look = "import home, sys; print('on', *sys.version_info[:2])"
        out.write(f'\n[tool.relnox.test]\ncommand = ["python", "-Ic", "{look}"]\n')
    ran = build_all(home, "--test", "--python", HERE, "--python", HERE, "--verbose", code=0)
    assert ran.err.count(f"test home {HERE}: python -Ic") == 1
    assert f"| on {HERE.replace('.', ' ')}" in ran.err


@pytest.mark.parametrize("version", ["3.99", "nonsense", "3.13t"])
def test_an_invalid_python_is_rejected_before_any_build(version: str, tmp_path: Path) -> None:
    root = tagged(tmp_path, EACH)
    backend = root / "backend/house.py"
    backend.write_text(backend.read_text() + f"\nopen({str(tmp_path / 'at-work')!r}, 'w').close()\n")
    ran = build_all(root, "--python", version, code=1)
    assert version in ran.err
    assert not (tmp_path / "at-work").exists()


def test_a_python_that_is_not_installed_is_reported_before_any_build(tmp_path: Path) -> None:
    ran = build_all(tagged(tmp_path, EACH), "--python", HERE, "--python", "3.99", code=1)
    assert "uv python install 3.99" in ran.err
    assert not (tmp_path / "dist").exists()


@pytest.mark.native
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (EACH, ["{0}-{0}-macosx_11_0_arm64", "{1}-{1}-macosx_11_0_arm64"]),
        ("f'{cp}-abi3-macosx_11_0_arm64'", ["{0}-abi3-macosx_11_0_arm64"]),
        ("'py3-none-macosx_11_0_arm64'", ["py3-none-macosx_11_0_arm64"]),
        ("'py3-none-any'", ["py3-none-any"]),
    ],
)
def test_pythons_supported_by_an_earlier_wheel_get_no_wheel(tag: str, expected: list[str], tmp_path: Path) -> None:
    older, newer = two_pythons()
    root = tagged(tmp_path, tag)
    build_all(root, "--python", newer, "--python", older, code=0)  # in any order
    wheels = [f"home-1.0-{each.format(tag_of(older), tag_of(newer))}.whl" for each in expected]
    assert archives(root / "dist") == sorted([*wheels, "home-1.0.tar.gz"])
    assert [file.filename for file in manifest(root / "dist").distributions] == ["home-1.0.tar.gz", *wheels]


SDIST_ONLY = "\n[tool.relnox.wheels]\nhome = []\n"
PLATFORM_WHEELS = '\n[tool.relnox.wheels]\nhome = ["cp{313,314}-macosx_arm64"]\n'


def with_settings(root: Path, settings: str) -> Path:
    """Replace the settings of the package in `root`, and commit."""
    file = root / "pyproject.toml"
    write(root, {"pyproject.toml": file.read_text().partition("\n[tool.relnox")[0] + settings})
    commit_all(root, "chore: other settings")
    return root


def test_a_package_can_be_released_without_the_wheel_that_is_built_here(tmp_path: Path) -> None:
    # The platform tag would be rejected by the public index, but the wheel is not released.
    root = repository(tagged(tmp_path / "home", "f'{cp}-{cp}-linux_x86_64'"))
    for settings in (SDIST_ONLY, PLATFORM_WHEELS):
        ran = build_all(with_settings(root, settings), "--clean", code=0)
        assert archives(root / "dist") == ["home-1.0.tar.gz"]
        assert [file.filename for file in manifest(root / "dist").distributions] == ["home-1.0.tar.gz"]
    ran = build_all(root, "--python", HERE, code=2)  # which is asked for
    assert "platform tag linux_x86_64 is rejected" in ran.err


def test_an_sdist_from_which_no_wheel_can_be_built_is_not_released(tmp_path: Path) -> None:
    root = with_settings(repository(in_tree(tmp_path, hook="raise SystemExit('no header file')")), SDIST_ONLY)
    ran = build_all(root, code=2)
    assert "no header file" in ran.err
    assert archives(root / "dist") == []


def test_a_package_without_wheels_is_tested_published_and_verified(tmp_path: Path) -> None:
    test = '[tool.relnox.test]\ncommand = ["python", "-Ic", "import home; print(home.name)"]\n'
    root = with_settings(repository(in_tree(tmp_path / "home")), SDIST_ONLY + test)
    ran = build_all(root, "--test", code=0)
    ran = run(root, "relnox", "publish-test", "--index", "embedded", code=0)
    assert "uploading 1 file" in ran.err or "upload home-1.0.tar.gz" in ran.err
    assert "built from the sdist" in ran.err
    ran = run(root, "relnox", "collect", "--from", "dist", "--output", "collected", code=0)
    assert archives(root / "collected") == ["home-1.0.tar.gz"]


def test_a_package_that_needs_one_without_wheels_is_built_with_its_sdist(tmp_path: Path) -> None:
    in_tree(tmp_path / "home")
    in_tree(tmp_path / "app", "app", hook="import home; assert home.name == 'home'")
    pyproject = tmp_path / "app/pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("requires = []", 'requires = ["home"]'))
    settings = '[tool.relnox]\npackages = ["home", "app"]\n'
    root = repository(write(tmp_path, {"pyproject.toml": settings + SDIST_ONLY}))
    build_all(root, code=0)
    assert archives(root / "dist") == ["app-1.0-py3-none-any.whl", "app-1.0.tar.gz", "home-1.0.tar.gz"]


@pytest.mark.native
def test_tests_run_on_all_requested_pythons(tmp_path: Path) -> None:
    older, newer = two_pythons()
    in_tree(tmp_path)
    look = "import home, sys; print('on', *sys.version_info[:2])"
    pyproject = (tmp_path / "pyproject.toml").read_text()
    settings = '{}\n[tool.relnox.test]\ncommand = ["python", "-Ic", "{}"]\n'
    (tmp_path / "pyproject.toml").write_text(settings.format(pyproject, look))
    ran = build_all(tmp_path, "--test", "--python", older, "--python", newer, "--verbose", code=0)
    for each in (older, newer):
        assert f"| on {each.replace('.', ' ')}" in ran.err
    assert len(archives(tmp_path / "dist")) == 2
    failing = f"import sys; sys.exit(sys.version_info[:2] == ({newer.replace('.', ', ')}))"
    (tmp_path / "pyproject.toml").write_text(settings.format(pyproject, failing))
    ran = build_all(tmp_path, "--clean", "--test", "--python", older, "--python", newer, code=2)
    assert f"FAILED  test home {newer}" in ran.err
    assert not (tmp_path / "dist/manifest.json").exists()


LINUX = "f'{cp}-{cp}-linux_x86_64'"


COMPANY = '[tool.relnox.indexes.company]\nupload = "https://a.invalid/u/"\nsimple = "https://a.invalid/s/"\n'


@pytest.mark.parametrize(
    ("settings", "accepted"),
    [
        (COMPANY, True),
        (f'[tool.relnox.targets]\nfinal = "company"\n{COMPANY}', True),
        (f"{COMPANY}production = false\n", False),
        (f"{COMPANY}public-rules = true\n", False),
        (f'[tool.relnox.targets]\nfinal = "pypi"\n{COMPANY}', False),
        ("private", True),
    ],
)
def test_what_only_the_public_index_rejects_is_a_warning_if_releases_go_elsewhere(
    *, settings: str, accepted: bool, tmp_path: Path
) -> None:
    root = tagged(tmp_path / "home", LINUX)
    text = (root / "pyproject.toml").read_text()
    private = 'classifiers = ["Private :: Do Not Upload"]\ndependencies'
    text = text.replace("dependencies", private) if settings == "private" else f"{text}\n{settings}"
    (root / "pyproject.toml").write_text(text)
    ran = build_all(repository(root))
    assert ran.code == (0 if accepted else 2), ran.text
    assert "platform tag linux_x86_64 is rejected by the public index" in ran.err


def test_the_matrix_is_one_line(tmp_path: Path) -> None:
    root = with_settings(repository(in_tree(tmp_path / "home")), PLATFORM_WHEELS)
    assert run(root, "relnox", "ci", "--matrix", "wheels", code=0).out == (
        '{"include":[{"name":"home-macosx_arm64","package":"home","runner":"macos-15","emulated":false,'
        '"platform":"macos","sdist":"home-*.tar.gz",'
        '"archs":"arm64","build":"cp313-macosx_arm64 cp314-macosx_arm64"}]}\n'
    )


def test_an_sdist_and_wheels_of_other_tools_are_a_release(tmp_path: Path) -> None:
    root = with_settings(repository(in_tree(tmp_path / "home")), PLATFORM_WHEELS)
    ran = build_all(root, "--output", "jobs/sdist", code=0)
    assert archives(root / "jobs/sdist") == ["home-1.0.tar.gz"]
    with tarfile.open(root / "jobs/sdist/home-1.0.tar.gz") as sdist:
        content = {member.name: file.read() for member in sdist if (file := sdist.extractfile(member))}
        metadata, module = (content[f"home-1.0/{name}"].decode() for name in ("PKG-INFO", "home.py"))
    wheelhouse = root / "jobs/macos"
    wheelhouse.mkdir()
    wheels = [f"home-1.0-{python}-{python}-macosx_11_0_arm64.whl" for python in ("cp313", "cp314")]
    for name in wheels:
        packed.wheel(wheelhouse, {"home.py": module, "_home.so": b"\x7fELF"}, name=name, metadata=metadata)
        ran = run(root, "relnox", "collect", "--from", "jobs", "--output", "all")
        assert ran.code == (1 if name == wheels[0] else 0), ran.text
    assert archives(root / "all") == sorted(["home-1.0.tar.gz", *wheels])
    assert manifest(root / "all").commit == git(root, "rev-parse", "HEAD")
    other = metadata.replace("Version: 1.0", "Version: 1.1")
    packed.wheel(wheelhouse, {"home.py": module, "_home.so": b"\x7fELF"}, name=wheels[1], metadata=other)
    ran = run(root, "relnox", "collect", "--from", "jobs", "--output", "other", code=1)
    assert f"jobs/macos/{wheels[1]}: Version is '1.1' in the metadata, but 1.0 in the file name" in ran.err
