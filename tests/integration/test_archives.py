"""What is read from archives, good and broken ones; what is not right about them is in test_checks.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version
from packed import INFO, sdist, wheel, with_fields

from relnox.building import archive_contents, archives
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_reading_an_archive_returns_name_and_version(tmp_path: Path) -> None:
    read = archives.read_archive(wheel(tmp_path))
    assert (read.name, read.version, read.kind) == ("demo-app", Version("1.0"), "wheel")
    assert read.requires == ("six>=1", 'attrs; extra == "fast"')
    assert (read.fields["license_files"], read.fields["description"]) == (["LICENSE"], "# Demo\n")
    assert archives.read_archive(sdist(tmp_path)).fields == read.fields


@pytest.mark.parametrize("make", [wheel, sdist])
def test_contents_are_read_in_one_pass_up_to_the_limit(make: Callable[..., Path], tmp_path: Path) -> None:
    read = dict(
        archives.iter_files(
            archives.read_archive(make(tmp_path, {"demo_app/a.py": "long text", "empty.py": ""})), 4
        )
    )
    by_name = {name.rpartition("/")[2]: content for name, content in read.items()}
    assert (by_name["a.py"], by_name["empty.py"], by_name["LICENSE"]) == (b"long", b"", b"MIT\n")


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
@pytest.mark.parametrize("make", [wheel, sdist])
def test_a_truncated_archive_cannot_be_read(make: Callable[..., Path], cut: int, tmp_path: Path) -> None:
    path = make(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Failed, match=r"cannot be read|is truncated|is not a zip file"):
        archives.read_archive(path)


@pytest.mark.parametrize("name", ["demo.zip", "demo-1.0.tar.bz2", "demo.whl", "notes.md"])
def test_invalid_file_names_are_rejected(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(Failed, match="not a valid file name of a wheel or an sdist"):
        archives.read_archive(tmp_path / name)


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
def test_import_names_of_a_wheel(files: list[str], names: list[str], tmp_path: Path) -> None:
    path = wheel(tmp_path, dict.fromkeys(files, ""))
    assert archive_contents.importable_modules(archives.read_archive(path)) == tuple(names)


def test_import_names_of_the_metadata_take_precedence(tmp_path: Path) -> None:
    # PEP 794
    stated = with_fields("Metadata-Version: 2.5", "Import-Name: public", "Import-Name: _hidden ; private")
    path = wheel(tmp_path, metadata=stated)
    assert archive_contents.importable_modules(archives.read_archive(path)) == ("public",)


def test_script_names_are_case_sensitive(tmp_path: Path) -> None:
    path = tmp_path / "entry_points.txt"
    assert archive_contents.read_scripts(path) == {}
    path.write_text(
        "[console_scripts]\nRun-It = demo_app:main\n\n[gui_scripts]\nshow = demo_app.gui:main [x, y]\n\n"
        "[other]\nx = y\n",
        encoding="utf-8",
    )
    assert archive_contents.read_scripts(path) == {
        "Run-It": ("demo_app:main", ()),
        "show": ("demo_app.gui:main", ("x", "y")),
    }
