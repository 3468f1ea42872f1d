"""A build backend that lives in the tree (PEP 517, `backend-path`): builds without any requirement, so offline.

`in_tree(root, name, version, hook)` writes a package with it; `hook` is Python that runs inside `build_wheel`.
`READING` is a backend that knows nothing but what it reads from the checkout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projects import write

if TYPE_CHECKING:
    from pathlib import Path

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


READING = """\
import base64, gzip, hashlib, io, pathlib, tarfile, tomllib, zipfile

PYPROJECT = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
MODULE = PROJECT["name"].replace("-", "_")
TOP = pathlib.Path("src") if pathlib.Path("src").is_dir() else pathlib.Path()


def facts():
    about = TOP / MODULE / "__about__.py"
    version = PROJECT.get("version") or about.read_text().split("'")[1]
    lines = ["Metadata-Version: 2.1", f"Name: {PROJECT['name']}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in PROJECT.get("dependencies", [])]
    return f"{MODULE}-{version}", ("\\n".join(lines) + "\\n").encode()


def modules():
    return sorted([*TOP.glob(f"{MODULE}.py"), *(TOP / MODULE).rglob("*.py")])


def build_sdist(directory, settings=None):
    stem, metadata = facts()
    backends = [pathlib.Path(path) for path in PYPROJECT["build-system"].get("backend-path", [])]
    sources = {pathlib.Path("pyproject.toml"), *modules()}
    sources |= {path for top in backends for path in top.rglob("*.py")}
    path = pathlib.Path(directory) / f"{stem}.tar.gz"
    with gzip.GzipFile(path, "wb", mtime=0) as out, tarfile.open(fileobj=out, mode="w") as archive:
        contents = {path.as_posix(): path.read_bytes() for path in sorted(sources)}
        for name, content in {"PKG-INFO": metadata, **contents}.items():
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"{stem}.tar.gz"


def build_wheel(directory, settings=None, metadata_directory=None):
    stem, metadata = facts()
    contents = {path.relative_to(TOP).as_posix(): path.read_bytes() for path in modules()}
    contents[f"{stem}.dist-info/METADATA"] = metadata
    contents[f"{stem}.dist-info/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = f"{stem}.dist-info/RECORD"
    rows = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{name},sha256={digest},{len(content)}\\n")
    contents[record] = "".join([*rows, f"{record},,\\n"]).encode()
    with zipfile.ZipFile(pathlib.Path(directory) / f"{stem}-py3-none-any.whl", "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return f"{stem}-py3-none-any.whl"
"""

SELF_BUILT = """
[project]
name = "demo"
version = "1.2.3"

[build-system]
requires = []
build-backend = "own"
backend-path = ["backend"]
"""
"""The pyproject.toml of a package with that backend in its tree, in `backend/own.py`."""


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
        root: The directory.
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
