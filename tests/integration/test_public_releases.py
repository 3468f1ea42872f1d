"""`verify-install --public`: the releases that an index has now, without a manifest."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Protocol

import acts
import pytest
from package_index import ANY, FILE, Rule, serving
from packed import buildable_sdist
from projects import write
from releases import made_wheel
from running import RunResult, run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex

pytestmark = pytest.mark.heavy

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
ELSEWHERE = "cp311-cp311-win_arm64" if sys.platform != "win32" else "cp311-cp311-macosx_11_0_arm64"


class Verify(Protocol):
    """Runs `verify-install --public` on a workspace with the packages `base` and `top`; it ends with this code."""

    def __call__(self, *options: str, code: int = 0) -> RunResult: ...


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    with serving() as running:
        yield running


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return tmp_path / "made"


@pytest.fixture
def verify(tmp_path: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> Verify:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))  # ports are reused
    root = write(
        tmp_path / "project",
        {
            "pyproject.toml": '[tool.relnox]\npackages = ["base", "top"]\nversions = "independent"\n'
            f'trusted-index = "{index.simple_url}"\n[tool.relnox.indexes.own]\n'
            f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\npublic-rules = true\n',
            "base/pyproject.toml": '[project]\nname = "base"\nversion = "9.0"\n',
            "top/pyproject.toml": '[project]\nname = "top"\nversion = "9.0"\ndependencies = ["base<2"]\n',
        },
    )

    def call(*options: str, code: int = 0) -> RunResult:
        return run_in_process(root, "verify-install", "--public", "--index", "own", *options, code=code)

    return call


def table(ran: RunResult, title: str) -> dict[str, str]:
    """The rows of a table, by package and version."""
    lines = ran.out.partition(f"{title}\n")[2].partition("\n\n")[0].splitlines()[1:]
    return {" ".join(line.split()[:2]): " ".join(line.split()[2:]) for line in lines}


def test_the_newest_final_release_is_verified_as_users_get_it(
    index: PackageIndex, made: Path, verify: Verify
) -> None:
    broken = {"base.py": "import nothing_has_this\n"}
    for version, files in (("1.9", None), ("1.10", {"base.py": "x = 1\n"}), ("2.0", {}), ("3.0rc1", broken)):
        index.add(made_wheel(made, "base", files, version=version))
    index.add(made_wheel(made, "top", {"top.py": "from base import x\n"}, version="1.0", requires=["base<2"]))
    index.yank("base-2.0-py3-none-any.whl")
    ran = verify()
    assert table(ran, "Installations") == {"base 1.10": "works", "top 1.0": "works"}
    assert "base 2.0 is yanked on own: installers choose 1.10 [file-yanked]" in ran.err
    assert table(ran, "Public releases")["base 1.10"].endswith("no provenance file-yanked")
    assert "top-1.0-py3-none-any.whl and 1 other; imported top" in ran.err  # base of the index, not of this run
    verify("--package", "base", "--package", "other", code=2)


def test_packages_of_the_workspace_come_from_an_index_that_is_not_the_trusted_one(
    index: PackageIndex, made: Path, verify: Verify
) -> None:
    index.add(made_wheel(made, "base"), made_wheel(made, "top", {"top.py": "import base\n"}, requires=["base<2"]))
    with serving() as trusted:
        settings = made.parent / "project" / "pyproject.toml"
        text = settings.read_text(encoding="utf-8")
        settings.write_text(text.replace(f'"{index.simple_url}"', f'"{trusted.simple_url}"', 1), encoding="utf-8")
        ran = verify()
        assert "install top 1.0 (with base of this release)" in ran.err
        assert "(No solution found" not in ran.err
        assert not [path for path in trusted.asked if "base" in path]
        installations = table(verify("--package", "top"), "Installations")
        assert installations == {"top 1.0": "works", "base 1.0": "works"}


def test_broken_releases_are_found_and_the_others_verified(
    index: PackageIndex, made: Path, verify: Verify
) -> None:
    index.add(
        made_wheel(made, "good"),
        made_wheel(made, "undeclared", {"undeclared.py": "import nothing_has_this\n"}),
        made_wheel(made, "elsewhere", tag=ELSEWHERE),
        made_wheel(made, "retired"),
        made_wheel(made, "taken"),
        made_wheel(made, "young", version="0.1a1"),
        made_wheel(made, "future", python=">=3.99"),
        made_wheel(made, "later", python=">=3.99", tag=ELSEWHERE),
        made_wheel(made, "bad", version="1.0"),
    )
    index.yank("retired-1.0-py3-none-any.whl")
    index.set_status("taken", "quarantined", "malware")
    index.set_status("good", "archived")
    index.misbehave(Rule(acts.serves(lambda content: content + b"more"), FILE, filename="bad-*"))
    names = ("good", "undeclared", "elsewhere", "retired", "taken", "young", "future", "later", "absent")
    ran = verify(*(word for name in names for word in ("--package", name)), code=2)
    assert table(ran, "Installations") == {
        "good 1.0": "works",
        "undeclared 1.0": "FAILED",
        "elsewhere 1.0": "FAILED",
        "retired 1.0": "FAILED",
        "taken -": "FAILED",
        "young 0.1a1": "works",
        "future 1.0": "skipped",
        "later 1.0": "skipped",
        "absent -": "FAILED",
    }
    problems = {name: text.split()[-1] for name, text in table(ran, "Public releases").items()}
    assert problems["good 1.0"] == "project-archived"
    assert problems["elsewhere 1.0"] == "wheels-missing"
    assert problems["retired 1.0"] == "file-yanked"
    assert problems["taken -"] == "project-quarantined"
    assert problems["absent -"] == "file-not-listed"
    assert "young has no final release on own" in ran.err
    assert "elsewhere: none of its files can be installed on this machine" in ran.err
    assert "fix: report it to the project" in ran.err  # no setting is for packages of others
    ran = verify("--package", "bad", code=4)
    assert "different" in ran.err


def test_a_version_is_named_and_may_be_old_or_yanked(index: PackageIndex, made: Path, verify: Verify) -> None:
    index.add(*(made_wheel(made, "base", version=version) for version in ("1.0", "1.1", "1.2")))
    index.yank("base-1.1-py3-none-any.whl")
    assert table(verify("--package", "Base==1.0"), "Installations") == {"base 1.0": "works"}
    assert "own lists base 1.1 as yanked" in verify("--package", "base==1.1", code=2).err
    assert "own lists no files of base 1.3" in verify("--package", "base==1.3", code=2).err
    assert "version-invalid" in verify("--package", "base==one", code=1).err
    assert "version-invalid" in verify("--package", "base==", code=1).err
    assert "options-conflict" in verify("--package", "base==1.0", "--package", "base==1.2", code=1).err
    assert "is not a version (PEP 440)" in verify("--package", f"base=={'9' * 5000}", code=1).err


def test_an_sdist_is_installed_where_no_wheel_fits(index: PackageIndex, made: Path, verify: Verify) -> None:
    made.mkdir()
    source = buildable_sdist(made, "base", "base.py")
    index.add(source, *(made_wheel(made, "base", tag=f"cp311-cp311-{name}") for name in ("win32", "win_arm64")))
    ran = verify("--package", "base")
    assert table(ran, "Installations") == {"base 1.0": "works (sdist)"}
    assert f"base 1.0 has no wheel for Python {HERE} on this machine, only for cp311-cp311-win32, cp311" in ran.err
    assert not [path for path in index.asked if "win_arm64" in path]  # only what is installed is downloaded


def test_provenance_must_be_valid(index: PackageIndex, made: Path, verify: Verify) -> None:
    pytest.importorskip("pypi_attestations", reason="the extra attest is not installed")
    index.add(made_wheel(made, "base"))
    index.provenance["base-1.0-py3-none-any.whl"] = b"{}"
    ran = verify("--package", "base", code=4)
    assert "provenance of 1 file" in ran.out
    assert "the provenance of base-1.0-py3-none-any.whl on own is not valid" in ran.err


def test_storage_that_is_nearly_used_up_is_a_warning(index: PackageIndex, made: Path, verify: Verify) -> None:
    index.add(made_wheel(made, "base"), made_wheel(made, "base", {"base.py": "#" * 950_000}, version="0.9"))
    assert "storage-low" not in verify("--package", "base").out
    settings = made.parent / "project" / "pyproject.toml"
    settings.write_text(settings.read_text() + "[tool.relnox.check]\nstorage-limit = 1\n", encoding="utf-8")
    assert "on own (the limit is 1 MB) [storage-low]" in verify("--package", "base").err


def test_an_index_that_is_down_is_another_exit_code(
    index: PackageIndex, made: Path, verify: Verify, tmp_path: Path
) -> None:
    assert "nothing-verified" in verify(code=2).err  # the workspace was never published
    index.add(made_wheel(made, "base"))
    assert "note: top is not on own" in verify().err
    index.misbehave(Rule(acts.answers(503, "Service Unavailable"), ANY))
    report = tmp_path / "report.json"
    verify("--wait", "1", "--report", str(report), code=5)
    assert "503" in json.loads(report.read_text(encoding="utf-8"))["problems"][0]["message"]


def test_public_needs_an_index(verify: Verify) -> None:
    assert "options-conflict" in verify("--from", "dist", code=1).err
