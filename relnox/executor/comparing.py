"""A second build, elsewhere and under other conditions: proof that the archives depend on neither."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.building.comparison import HINTS, differences
from relnox.building.conditions import OTHER
from relnox.errors import Failed
from relnox.executor.building import build
from relnox.source import exports
from relnox.source.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.steps import CheckReproducibility
    from relnox.executor.run import Run

__all__ = ["CheckingReproducibility"]

_MOST = 20
"""How many differences somebody reads."""
_exporting = threading.Lock()
"""Which checkouts there are is noted down in one file."""


@dataclass
class CheckingReproducibility:
    """Builds a package again and compares the archives."""

    step: CheckReproducibility
    run: Run

    def check(self) -> str | None:
        """It is always built."""
        return None

    def do(self) -> None:
        """Build, compare."""
        again = self.run.folder("again")
        source = self._another_source(again) / self.step.build.folder
        into = again / "archives"
        into.mkdir()
        made = {path.name: path for path in build(self.step.build, source, into, self.run, set(), OTHER)}
        found = []
        for built in self.run.built[self.step.build.package]:
            name, first = built.filename, self.run.root / self.step.build.output / built.filename
            if name in made:
                found += [(what, f"{name}: {where}") for what, where in differences(first, made[name])]
            else:
                found.append(("presence", f"{name} was not made again, but {', '.join(sorted(made))}"))
        before = {built.filename for built in self.run.built[self.step.build.package]}
        found += [("presence", f"{name} was not made at first") for name in sorted(made.keys() - before)]
        if found:
            told = [where for _, where in found[:_MOST]]
            told += [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
            listed = "\n".join(f"  {line}" for line in told)
            fixes = "; ".join(dict.fromkeys(HINTS[what] for what, _ in found))
            raise Failed("todo", f"{self.step.build.package} is not reproducible:\n{listed}", fix=fixes)

    def verify(self) -> str:
        """That there was no difference is all there is to see."""
        files = len(self.run.built[self.step.build.package])
        return f"{files} archives are the same byte by byte"

    def _another_source(self, into: Path) -> Path:
        """The same files elsewhere, of another time and umask: the commit checked out, or a copy of the tree."""
        checkout = into / "checkout"
        if self.run.commit is not None and self.run.git is not None:
            with _exporting:
                source = exports.export(self.run.git, self.run.commit, checkout)
        else:
            source = checkout
            with contextlib.suppress(shutil.Error):  # sockets, and what builds beside this one make and remove
                shutil.copytree(self.run.source, source, symlinks=True, ignore=self._ignored)
        for path in checkout.rglob("*"):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~OTHER.umask)
                os.utime(path)
        if self.run.git is not None:  # so that nothing takes the files for changed
            Git(source).run("update-index", "-q", "--refresh")
        return source

    def _ignored(self, folder: str, names: Iterable[str]) -> list[str]:
        """What of the tree is relnox's: the archives, and this copy."""
        ours = (self.run.root / self.step.build.output, self.run.scratch)
        return [name for name in names if Path(folder, name) in ours]
