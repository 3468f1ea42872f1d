"""What is found inside archives: good ones of each kind, and one bad one per finding (FAILURES B)."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from relnox.building import archives, checks, modules
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: Demo-App\nVersion: 1.0\nRequires-Dist: six>=1\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
NAME = "demo_app-1.0-py3-none-any.whl"
INFO = "demo_app-1.0.dist-info"


def wheel(folder: Path, files: dict[str, str] | None = None, **options: str) -> Path:
    """A wheel; `options` replace parts of it: name, metadata, wheel, record, drop, after, before."""
    path = folder / options.get("name", NAME)
    content = {"demo_app/__init__.py": "x = 1\n"} if files is None else dict(files)
    content[f"{INFO}/METADATA"] = options.get("metadata", METADATA)
    content[f"{INFO}/WHEEL"] = options.get("wheel", WHEEL)
    record = "".join(f"{name},{_hash(text)},{len(text)}\n" for name, text in content.items())
    content[f"{INFO}/RECORD"] = options.get("record", record + f"{INFO}/RECORD,,\n")
    content.pop(options.get("drop", ""), None)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    path.write_bytes(options.get("before", "").encode() + path.read_bytes() + options.get("after", "").encode())
    return path


def sdist(folder: Path, *members: tarfile.TarInfo, top: str = "demo_app-1.0", metadata: str = METADATA) -> Path:
    path = folder / "demo_app-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in (("PKG-INFO", metadata), ("pyproject.toml", "")):
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in members:
            archive.addfile(member)
    return path


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def found(path: Path, name: str = "demo-app", version: str = "1.0") -> list[str]:
    findings = checks.verify(archives.read(path), name=name, version=Version(version))
    assert all(finding.file == path.name and finding.hint for finding in findings)
    return [f"{finding.level}: {finding.message}" for finding in findings]


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_good_archives_have_no_findings(tmp_path: Path) -> None:
    assert found(wheel(tmp_path)) == []
    assert found(sdist(tmp_path)) == []
    read = archives.read(tmp_path / NAME)
    assert (read.name, read.version, read.kind) == ("demo-app", Version("1.0"), "wheel")
    assert read.requires == ("six>=1",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata": METADATA.replace("Demo-App", "other")}, "metadata names 'other'"),
        ({"metadata": METADATA.replace("Version: 1.0", "Version: 2.0")}, "metadata says version '2.0'"),
        ({"record": f"{INFO}/RECORD,,\n"}, "demo_app/__init__.py is not in RECORD"),
        ({"drop": f"{INFO}/RECORD"}, "there is no RECORD"),
        ({"drop": f"{INFO}/WHEEL"}, "there is no WHEEL"),
        ({"drop": "demo_app/__init__.py"}, "is in RECORD, but not in the wheel"),
        ({"wheel": WHEEL.replace("py3", "cp311")}, "tags of its WHEEL file"),
        ({"after": "trailing"}, "bytes behind the archive"),
        ({"before": "#!/bin/sh\n"}, "bytes before the archive"),
    ],
)
def test_each_fault_of_a_wheel_has_its_own_finding(options: dict[str, str], said: str, tmp_path: Path) -> None:
    findings = found(wheel(tmp_path, None, **options))
    assert any(said in finding and finding.startswith("error") for finding in findings), findings


def test_a_changed_file_is_found_by_its_record(tmp_path: Path) -> None:
    # F42
    text = "x = 1\n"
    record = f"demo_app/__init__.py,{_hash('y = 2')},{len(text)}\n{INFO}/METADATA,{_hash(METADATA)},1\n"
    record += f"{INFO}/WHEEL,{_hash(WHEEL)},1\n{INFO}/RECORD,,\n"
    findings = found(wheel(tmp_path, record=record))
    assert any("demo_app/__init__.py is not the file that RECORD tells of" in finding for finding in findings)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.py", "a\\b.py"])
def test_names_that_lead_elsewhere_are_errors(name: str, tmp_path: Path) -> None:
    # F35
    findings = found(wheel(tmp_path, {"demo_app/__init__.py": "", name: ""}))
    assert any("would be unpacked elsewhere" in finding for finding in findings), findings


@pytest.mark.parametrize(
    ("member", "level"),
    [
        (link("demo_app-1.0/passwd", "/etc/passwd"), "error"),
        (link("demo_app-1.0/up", "../../outside"), "error"),
        (link("demo_app-1.0/beside", "pyproject.toml"), "warning"),
    ],
)
def test_links_out_of_an_sdist_are_errors(member: tarfile.TarInfo, level: str, tmp_path: Path) -> None:
    # F35
    assert any(finding.startswith(level) for finding in found(sdist(tmp_path, member)))


def test_another_name_or_version_than_planned_is_an_error(tmp_path: Path) -> None:
    findings = found(wheel(tmp_path), name="other", version="2.0")
    assert "error: it is called demo-app, but other was planned" in findings
    assert "error: its version is 1.0, but 2.0 was planned" in findings


def test_an_sdist_has_one_folder_of_its_name(tmp_path: Path) -> None:
    assert any("not the one folder" in finding for finding in found(sdist(tmp_path, top="src")))


def test_names_that_differ_by_case_are_a_warning(tmp_path: Path) -> None:
    findings = found(wheel(tmp_path, {"demo_app/__init__.py": "", "demo_app/a.py": "", "demo_app/A.py": ""}))
    assert sum("by case only" in finding for finding in findings) == 2


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
@pytest.mark.parametrize("make", [wheel, sdist])
def test_a_truncated_archive_cannot_be_read(make: Callable[..., Path], cut: int, tmp_path: Path) -> None:
    # F32
    path = make(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Failed, match=r"cannot be opened|metadata files"):
        archives.read(path)


@pytest.mark.parametrize("name", ["demo.zip", "demo-1.0.tar.bz2", "demo.whl", "notes.md"])
def test_other_names_are_no_archives(name: str, tmp_path: Path) -> None:
    # F13
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(Failed, match="no name of a wheel or an sdist"):
        archives.read(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["demo_app/__init__.py", "demo_app/inner.py"], ["demo_app"]),
        (["single.py", "_fast.cpython-311-x86_64-linux-gnu.so", "_abi.abi3.so"], ["_abi", "_fast", "single"]),
        (["google/cloud/demo/__init__.py", "google/cloud/other.py"], ["google.cloud.demo", "google.cloud.other"]),
        (["demo_app-stubs/__init__.pyi", "data/readme.txt"], []),
        ([f"{INFO[:-10]}.data/purelib/moved/__init__.py"], ["moved"]),
        ([f"{INFO[:-10]}.data/scripts/tool.py"], []),
        (["demo_app/__main__.py", "demo_app/class.py"], []),
        (["demo.pth", "demo_app/__init__.py"], ["demo_app"]),
    ],
)
def test_what_a_wheel_lets_one_import(files: list[str], names: list[str], tmp_path: Path) -> None:
    path = wheel(tmp_path, dict.fromkeys(files, ""))
    assert modules.import_names(archives.read(path)) == tuple(names)


def test_stated_import_names_count_before_what_is_found(tmp_path: Path) -> None:
    # PEP 794
    stated = METADATA.replace("2.1", "2.5") + "Import-Name: public\nImport-Name: _hidden ; private\n"
    path = wheel(tmp_path, metadata=stated)
    assert modules.import_names(archives.read(path)) == ("public",)


def test_scripts_are_read_with_their_case(tmp_path: Path) -> None:
    text = (
        "[console_scripts]\nRun-It = demo_app:main\n\n[gui_scripts]\nshow = demo_app.gui:main\n\n[other]\nx = y\n"
    )
    path = wheel(tmp_path, {"demo_app/__init__.py": "", f"{INFO}/entry_points.txt": text})
    assert modules.console_scripts(archives.read(path)) == {
        "Run-It": "demo_app:main",
        "show": "demo_app.gui:main",
    }


def test_digests_are_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 1_000_000)
    digests = archives.digests(path)
    assert digests.size == 3_000_000
    assert digests.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert digests.blake2b_256 == hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()
