"""Archives made by hand: good ones, of which each part can be replaced by a bad one."""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

TOP = "demo_app-1.0"
INFO = f"{TOP}.dist-info"
NAME = f"{TOP}-py3-none-any.whl"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRIES = "[console_scripts]\nrun-demo = demo_app:main\n\n[demo.plugins]\nown = demo_app [fast]\n"
MODULES = {"demo_app/__init__.py": "def main(): ...\n", "demo_app/py.typed": ""}
PYPROJECT = '[project]\nname = "demo-app"\nreadme = "README.md"\nlicense-files = ["LICENSE"]\n'
METADATA = """\
Metadata-Version: 2.4
Name: Demo-App
Version: 1.0
Summary: A demonstration
Author-email: Demo Team <team@example.org>, ops@example.org
Maintainer-email: Demo Team <team@example.org>
License-Expression: MIT OR Apache-2.0
License-File: LICENSE
Keywords: demo,release
Classifier: Development Status :: 3 - Alpha
Classifier: Programming Language :: Python :: 3
Project-URL: Homepage, https://example.org/demo?a=b#c
Requires-Python: >=3.11
Requires-Dist: six>=1
Requires-Dist: attrs; extra == "fast"
Provides-Extra: fast
Description-Content-Type: text/markdown

# Demo
"""


def with_fields(*lines: str, drop: Iterable[str] = ()) -> str:
    """The good metadata with these lines, in the place of the fields that they set; `drop` names more of them."""
    head, _, body = METADATA.partition("\n\n")
    gone = {*drop, *(line.partition(":")[0] for line in lines)}
    kept = [line for line in head.splitlines() if line.partition(":")[0] not in gone]
    return "\n".join([*kept, *lines]) + f"\n\n{body}"


def digest(content: bytes) -> str:
    """A file's hash, as RECORD spells it."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def wheel(
    directory: Path,
    files: Mapping[str, str | bytes] | None = None,
    *,
    name: str = NAME,
    metadata: str = METADATA,
    record: str | None = None,
    drop: Iterable[str] = (),
    twice: Iterable[str] = (),
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """A wheel.

    Args:
        directory: Where to.
        files: Files beside those of the format, in the place of the good ones, which have a native module for a
            platform.
        name: Of the file.
        metadata: Content of METADATA.
        record: Content of RECORD.
        drop: Members that are left out after RECORD is written.
        twice: Members that are written again.
        compression: Of all members.
    """
    info = "-".join(name.split("-")[:2]) + ".dist-info"
    content: dict[str, str | bytes] = dict(MODULES if files is None else files)
    if files is None and not name.endswith("-any.whl"):
        content["demo_app/_native.so"] = b"\x7fELF"
    content = {
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": WHEEL.replace("py3-none-any", "-".join(name.removesuffix(".whl").split("-")[2:])),
        f"{info}/entry_points.txt": ENTRIES,
        f"{info}/licenses/LICENSE": "MIT\n",
        **content,
    }
    packed = {key: value.encode() if isinstance(value, str) else value for key, value in content.items()}
    rows = "".join(f'"{key}",{digest(value)},{len(value)}\n' for key, value in packed.items())
    packed[f"{info}/RECORD"] = (f"{rows}{info}/RECORD,,\n" if record is None else record).encode()
    for each in drop:
        del packed[each]
    with zipfile.ZipFile(directory / name, "w", compression) as archive:
        for key, value in packed.items():
            archive.writestr(zipfile.ZipInfo(key), value, compression)
        for key in twice:
            archive.writestr(zipfile.ZipInfo(key), packed[key], compression)
    return directory / name


def sdist(
    directory: Path,
    files: Mapping[str, str | bytes] | None = None,
    *members: tarfile.TarInfo,
    name: str = f"{TOP}.tar.gz",
    top: str = TOP,
    metadata: str = METADATA,
    drop: Iterable[str] = (),
) -> Path:
    """An sdist.

    Args:
        directory: Where to.
        files: Files below the top directory, in the place of the good modules.
        members: More members, without content.
        name: Of the file.
        top: The top directory.
        metadata: Content of PKG-INFO.
        drop: Files that are left out.
    """
    content: dict[str, str | bytes] = {f"src/{key}": text for key, text in MODULES.items()}
    content = {
        "PKG-INFO": metadata,
        "pyproject.toml": PYPROJECT,
        "README.md": "# Demo\n",
        "LICENSE": "MIT\n",
        **(content if files is None else files),
    }
    with tarfile.open(directory / name, "w:gz") as archive:
        for key, value in content.items():
            if key not in drop:
                packed = value.encode() if isinstance(value, str) else value
                member = tarfile.TarInfo(f"{top}/{key}")
                member.size = len(packed)
                archive.addfile(member, io.BytesIO(packed))
        for member in members:
            archive.addfile(member)
    return directory / name


BACKEND = """\
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{directory}/NAME-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("MODULE", "")
        wheel.writestr("NAME-1.0.dist-info/METADATA", open("PKG-INFO").read())
        tag = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("NAME-1.0.dist-info/WHEEL", tag)
        wheel.writestr("NAME-1.0.dist-info/RECORD", "".join(f"{name},,\\n" for name in wheel.namelist()))
    return "NAME-1.0-py3-none-any.whl"
"""


def buildable_sdist(directory: Path, name: str, module: str) -> Path:
    """An sdist, version 1.0, with a backend of its own, whose wheel has one module."""
    system = '[build-system]\nrequires = []\nbuild-backend = "own"\nbackend-path = ["."]\n'
    files = {"own.py": BACKEND.replace("NAME", name).replace("MODULE", module), "pyproject.toml": system}
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    return sdist(directory, files, name=f"{name}-1.0.tar.gz", top=f"{name}-1.0", metadata=metadata)
