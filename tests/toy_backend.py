"""A build backend in two releases, and a helper: archives tell which release made them, and what it was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import releases

if TYPE_CHECKING:
    from pathlib import Path

PYPROJECT = """\
[project]
name = "{name}"
version = "1.0"

[build-system]
requires = ["toy-backend"]
build-backend = "toy_backend"

"""

_BACKEND = """\
import base64, hashlib, io, pathlib, tarfile, tomllib, zipfile


def _project():
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    return project["name"], project["version"]


def _module(settings):
    try:
        import toy_helper
        helper = toy_helper.RELEASE
    except ImportError:
        helper = None
    return f"backend = '{release}'\\nhelper = {{helper!r}}\\nsettings = {{settings or {{}}!r}}\\n"


def build_sdist(directory, config_settings=None):
    name, version = _project()
    stem = f"{{name}}-{{version}}"
    with tarfile.open(pathlib.Path(directory) / f"{{stem}}.tar.gz", "w:gz") as archive:
        def add(path, content):
            member = tarfile.TarInfo(f"{{stem}}/{{path}}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        add("PKG-INFO", f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n".encode())
        add("pyproject.toml", pathlib.Path("pyproject.toml").read_bytes())
    return f"{{stem}}.tar.gz"


def build_wheel(directory, config_settings=None, metadata_directory=None):
    name, version = _project()
    stem, record = f"{{name}}-{{version}}", []
    wheel = f"{{stem}}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory) / wheel, "w") as archive:
        def add(path, content):
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            record.append(f"{{path}},sha256={{digest}},{{len(content)}}")
            archive.writestr(zipfile.ZipInfo(path), content)
        add(f"{{name}}.py", _module(config_settings).encode())
        add(
            f"{{stem}}.dist-info/METADATA",
            f"Metadata-Version: 2.1\\nName: {{name}}\\nVersion: {{version}}\\n".encode(),
        )
        add(f"{{stem}}.dist-info/WHEEL", b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        record.append(f"{{stem}}.dist-info/RECORD,,")
        archive.writestr(zipfile.ZipInfo(f"{{stem}}.dist-info/RECORD"), "\\n".join(record) + "\\n")
    return wheel
"""


def releases_of(directory: Path) -> dict[str, Path]:
    """Wheels of two releases of the backend, and of the helper, by `NAME==RELEASE`."""
    found = {}
    for release in ("1.0", "2.0"):
        texts = {"toy-backend": _BACKEND.format(release=release), "toy-helper": f"RELEASE = {release!r}\n"}
        for name, text in texts.items():
            files = {f"{name.replace('-', '_')}.py": text}
            found[f"{name}=={release}"] = releases.made_wheel(directory, name, files, version=release)
    return found
