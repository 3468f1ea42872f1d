"""A second build, elsewhere and under other conditions: proof that the archives depend on neither."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.building.comparison import HINTS, differences
from relnox.building.conditions import OTHER
from relnox.errors import Failed
from relnox.executor.building import build

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.core.steps import BuildAgain
    from relnox.executor.run import Run

__all__ = ["BuildingAgain"]

_MOST = 20
"""How many differences somebody reads."""


@dataclass
class BuildingAgain:
    """Builds a package again and compares the archives."""

    step: BuildAgain
    run: Run

    def check(self) -> str | None:
        """It is always built."""
        return None

    def do(self) -> None:
        """Build, compare."""
        again = self.run.new_folder("again")
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
        if found:
            told = [where for _, where in found[:_MOST]]
            told += [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
            listed = "\n".join(f"  {line}" for line in told)
            hints = "; ".join(dict.fromkeys(HINTS[what] for what, _ in found))
            raise Failed(f"{self.step.build.package} is not reproducible:\n{listed}", hint=hints)

    def prove(self) -> str:
        """That there was no difference is all there is to see."""
        files = len(self.run.built[self.step.build.package])
        return f"{files} archives are the same byte by byte"

    def _another_source(self, into: Path) -> Path:
        """The same files at another path, as old as this run: a clone of the commit, or a copy of the tree."""
        if self.run.export is not None and self.run.git is not None:
            return self.run.git.scratch_clone(into).root
        shutil.copytree(self.run.source, into / "checkout", symlinks=True, copy_function=shutil.copy)
        return into / "checkout"
