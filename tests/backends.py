"""A build backend that lives in the tree (PEP 517, `backend-path`): builds without any requirement, so offline.

`in_tree(root, name, version, hook)` writes a package with it; `hook` is Python that runs inside `build_wheel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projects import write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["in_tree"]

BACKEND = """\
import base64, hashlib, io, os, pathlib, sys, tarfile, zipfile

NAME, VERSION, MODULES, METADATA = {name!r}, {version!r}, {modules!r}, {metadata!r}
STEM = f"{{NAME.replace('-', '_')}}-{{VERSION}}"


def build_sdist(directory, settings=None):
    with tarfile.open(pathlib.Path(directory) / f"{{STEM}}.tar.gz", "w:gz") as archive:
        def add(name, content):
            member = tarfile.TarInfo(f"{{STEM}}/{{name}}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        add("PKG-INFO", METADATA.encode())
        for path in sorted(pathlib.Path().rglob("*.py")) + [pathlib.Path("pyproject.toml")]:
            if "dist" not in path.parts:
                add(path.as_posix(), path.read_bytes())
    return f"{{STEM}}.tar.gz"


def build_wheel(directory, settings=None, metadata_directory=None):
{hook}
    record = []
    wheel = f"{{STEM}}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / wheel, "w") as archive:
        def add(name, content):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record.append(f"{{name}},sha256={{digest}},{{len(content)}}")
            archive.writestr(zipfile.ZipInfo(name), content)
        for module in MODULES:
            add(module, pathlib.Path(module).read_bytes())
        add(f"{{STEM}}.dist-info/METADATA", METADATA.encode())
        add(f"{{STEM}}.dist-info/WHEEL", b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        record.append(f"{{STEM}}.dist-info/RECORD,,")
        archive.writestr(zipfile.ZipInfo(f"{{STEM}}.dist-info/RECORD"), "\\n".join(record) + "\\n")
    return wheel
"""


def in_tree(
    root: Path,
    name: str = "home",
    version: str = "1.0",
    *,
    hook: str = "pass",
    says: str = "",
    requires: tuple[str, ...] = (),
    code: str = "",
) -> Path:
    """Write a package with its own backend.

    Args:
        root: An existing directory.
        name: The package, and its one module.
        version: What pyproject.toml says.
        hook: Python that runs first in `build_wheel`.
        says: The version the backend gives the archives, if another.
        requires: Requirements.
        code: What the module holds.
    """
    module = name.replace("-", "_")
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {says or version}"]
    lines += [f"Requires-Dist: {each}" for each in requires]
    backend = BACKEND.format(
        name=name,
        version=says or version,
        modules=[f"{module}.py"],
        metadata="\n".join(lines) + "\n",
        hook="\n".join(f"    {line}" for line in hook.splitlines()),
    )
    listed = ", ".join(f'"{each}"' for each in requires)
    return write(
        root,
        {
            "pyproject.toml": (
                f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{listed}]\n\n'
                '[build-system]\nrequires = []\nbuild-backend = "house"\nbackend-path = ["backend"]\n'
            ),
            "backend/house.py": backend,
            f"{module}.py": code or f"name = {name!r}\n",
            ".gitignore": "dist/\n",
        },
    )
