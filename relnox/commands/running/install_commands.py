"""Commands that install missing extras and programs in the project, for fixes."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from relnox.core.fixes import quote_requirement

_LOCK_FILE_COMMANDS = {
    "uv.lock": ("uv add --dev {}", "uv add --dev {} --upgrade-package {name}"),
    "poetry.lock": ("poetry add --group dev {}", "poetry add --group dev {}"),
    "pdm.lock": ("pdm add --dev {}", "pdm add --dev --update-all {}"),
    "Pipfile": ("pipenv install --dev {}", "pipenv upgrade --dev {}"),
}
"""Commands that add and that upgrade a development dependency, by the lock file at the root."""
_SCRIPT_HEADER = re.compile(r"^# /// script$.*?^# ///$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9._-]+")


class InstallCommands(NamedTuple):
    """Templates of the commands that install and upgrade: `{}` is the requirement, `{name}` its project."""

    install: str
    upgrade: str

    def command(self, requirement: str, upgrade: bool) -> str:  # noqa: FBT001 - as `fixes.show_commands` calls it
        """Return the command that installs a requirement, or upgrades it if `upgrade` is true."""
        name = _NAME.match(requirement)
        template = self.upgrade if upgrade else self.install
        return template.format(quote_requirement(requirement), name=name[0] if name is not None else requirement)


def install_commands(root: Path, *, in_nox: bool) -> InstallCommands:
    """Return the commands that install into the environment in which relnox runs.

    The lock file in the project's directory determines the tool; in nox, the noxfile may have the requirements
    itself (PEP 723).
    """
    prefix, has_uv = Path(sys.prefix), shutil.which("uv") is not None
    if in_nox and _has_script_header(root / "noxfile.py"):
        adding = "add {} to the dependencies in the script header of noxfile.py"
        if has_uv:
            adding = "uv add --script noxfile.py {}"
        return InstallCommands(adding, adding)
    if "archive-v0" in prefix.parts:  # of uvx, which has an environment for every command
        return InstallCommands(
            "uvx --with {} and the rest of this command", "uvx --refresh --with {} and the rest of this command"
        )
    if prefix.parts[-3:-1] == ("uv", "tools"):
        adding = f"uv tool install {prefix.name} --with {{}}"
        return InstallCommands(adding, f"{adding} --upgrade")
    if prefix.parts[-3:-1] == ("pipx", "venvs"):
        return InstallCommands(f"pipx inject {prefix.name} {{}}", f"pipx inject --force {prefix.name} {{}}")
    for lock, commands in _LOCK_FILE_COMMANDS.items():
        if (root / lock).is_file():
            return InstallCommands(*commands)
    has_pip = (prefix / "bin" / "pip").exists() or (prefix / "Scripts" / "pip.exe").exists()
    pip = "uv pip" if has_uv and not has_pip else "pip"
    return InstallCommands(f"{pip} install {{}}", f"{pip} install --upgrade {{}}")


def _has_script_header(noxfile: Path) -> bool:
    """Return whether a noxfile requires relnox in its script header."""
    try:
        header = _SCRIPT_HEADER.search(noxfile.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False
    return header is not None and re.search(r"['\"]relnox\b", header[0]) is not None
