"""How a project installs what relnox lacks, for hints: an extra that is missing, a program that is not there."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.fixes import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["InstallCommands", "install_commands"]

_LOCKS = {
    "uv.lock": ("uv add --dev {}", "uv add --dev {} --upgrade-package {name}"),
    "poetry.lock": ("poetry add --group dev {}", "poetry add --group dev {}"),
    "pdm.lock": ("pdm add --dev {}", "pdm add --dev --update-all {}"),
    "Pipfile": ("pipenv install --dev {}", "pipenv upgrade --dev {}"),
}
"""By a file at the root: how a project adds a development dependency, and how it takes a newer one."""
_HEADER = re.compile(r"^# /// script$.*?^# ///$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class InstallCommands(NamedTuple):
    """Commands with `{}` for the requirement and `{name}` for its project.

    Attributes:
        install: For something that is not there.
        upgrade: For something that is too old or broken.
    """

    install: str
    upgrade: str

    def command(self, requirement: str, upgrade: bool) -> str:  # noqa: FBT001 - as `hints.show` calls it
        """The command for a requirement."""
        name = _NAME.match(requirement)
        form = self.upgrade if upgrade else self.install
        return form.format(quoted(requirement), name=name[0] if name is not None else requirement)


def install_commands(root: Path, *, in_nox: bool) -> InstallCommands:
    """How to install something where this relnox runs.

    Args:
        root: The project's folder, whose lock file says which tool adds to its dependencies.
        in_nox: Whether nox runs it: then the noxfile may name what it needs (PEP 723).
    """
    return next(_candidates(root, Path(sys.prefix), in_nox=in_nox))


def _candidates(root: Path, prefix: Path, *, in_nox: bool) -> Iterator[InstallCommands]:
    if in_nox and _has_header(root / "noxfile.py"):
        adding = "uv add --script noxfile.py {}"
        if shutil.which("uv") is None:
            adding = "write {} into the dependencies at the head of noxfile.py"
        yield InstallCommands(adding, adding)
    if "archive-v0" in prefix.parts:  # of uvx, which makes an environment for each call
        yield InstallCommands(
            "uvx --with {} and the rest of this command", "uvx --refresh --with {} and the rest of this command"
        )
    if prefix.parts[-3:-1] == ("uv", "tools"):
        adding = f"uv tool install {prefix.name} --with {{}}"
        yield InstallCommands(adding, f"{adding} --upgrade")
    if prefix.parts[-3:-1] == ("pipx", "venvs"):
        yield InstallCommands(f"pipx inject {prefix.name} {{}}", f"pipx inject --force {prefix.name} {{}}")
    for lock, commands in _LOCKS.items():
        if (root / lock).is_file():
            yield InstallCommands(*commands)
    pip = "pip" if (prefix / "bin" / "pip").exists() or (prefix / "Scripts" / "pip.exe").exists() else "uv pip"
    if shutil.which("uv") is None:
        pip = "pip"
    yield InstallCommands(f"{pip} install {{}}", f"{pip} install --upgrade {{}}")


def _has_header(noxfile: Path) -> bool:
    """Whether a noxfile says itself that it needs relnox."""
    try:
        header = _HEADER.search(noxfile.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False
    return header is not None and re.search(r"['\"]relnox\b", header[0]) is not None
