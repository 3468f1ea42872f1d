"""Hostile pyproject files: a bump changes the planned spans and no other byte."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from projects import HATCHLING, git, repository

from relnox.cli import main

if TYPE_CHECKING:
    from pathlib import Path

MARK = "\ufeff"

# In each of them «1.2.3» is what must become 1.3.0, and nothing else may change.
HOSTILE = {
    "comments everywhere": (
        '# version = "1.2.3"\n[project] # version = "1.2.3"\nname = "demo" # "1.2.3"\n'
        'version = "«1.2.3»" # was "1.2.2", not "1.2.3"\n# version = "1.2.3"\n' + HATCHLING
    ),
    "an inline table": 'project = { name = "demo", version = "«1.2.3»", description = "1.2.3" }\n' + HATCHLING,
    "dotted keys": 'project.name = "demo"\nproject . "version"="«1.2.3»"\nproject.description = "1.2.3"\n'
    + HATCHLING,
    "a quoted table": "[ 'project' ]\n\"name\" = 'demo'\n'version' = '«1.2.3»'\n" + HATCHLING,
    "no space at all": '[project]\nname="demo"\nversion="«1.2.3»"\n[build-system]\nrequires=["hatchling"]\n'
    'build-backend="hatchling.build"\n',
    "CRLF": ('[project]\nname = "demo"\nversion = "«1.2.3»"\n\n' + HATCHLING).replace("\n", "\r\n"),
    "a byte order mark": MARK + '[project]\nname = "demo"\nversion = "«1.2.3»"\n' + HATCHLING,
    "a byte order mark and CRLF": f'{MARK}[project]\r\nname = "demo"\r\nversion = "«1.2.3»"\r\n',
    "mixed line ends": '[project]\r\nname = "demo"\nversion = "«1.2.3»"\r\n' + HATCHLING,
    "tabs": '[project]\n\tname\t=\t"demo"\n\tversion\t=\t"«1.2.3»"\n' + HATCHLING,
    "not ASCII": '[project]\nname = "demo"\ndescription = "\xfcml\xe4ut \U0001f40d"\nversion = "«1.2.3»"\n'
    + HATCHLING,
    "no line end at the end": HATCHLING + '[project]\nname = "demo"\nversion = "«1.2.3»"',
    "multi-line quotes": '[project]\nname = "demo"\nversion = """\n«1.2.3»"""\n' + HATCHLING,
    "authors before the version": (
        '[project]\nname = "demo"\nauthors = [\n  { name = "version = 1.2.3", email = "a@example.invalid" },\n]\n'
        'version = "«1.2.3»"\n' + HATCHLING
    ),
    "decoys in other tables": (
        '[tool.other]\nversion = "1.2.3"\n[tool.ruff]\ntarget-version = "py311"\n[project]\nname = "demo"\n'
        'version = "«1.2.3»"\n[project.urls]\nversion = "1.2.3"\nOld = "https://example.invalid/1.2.3"\n'
        '[[tool.list]]\nversion = "1.2.3"\n[tool.project]\nversion = "1.2.3"\n' + HATCHLING
    ),
    "a text that looks like TOML": (
        '[tool.other]\ntext = """\n[project]\nversion = "1.2.3"\n"""\nmore = \'\'\'\nversion = "1.2.3"\n\'\'\'\n'
        '[project]\nname = "demo"\nversion = "«1.2.3»"\n' + HATCHLING
    ),
    "values that a parser reads otherwise": (
        "[tool.other]\nfloat = 1.20\nnan = nan\ndate = 1979-05-27 07:32:00Z\nhex = 0xDEAD_BEEF\nlist = [1,2,3,]\n"
        'escaped = "\\u00e9\\t"\n[project]\nname = "demo"\nversion = "«1.2.3»"\n' + HATCHLING
    ),
    "requirements in every style": (
        '[project]\nname = "demo"\nversion = "«1.2.3»"\n'
        'dependencies = ["demo[extra] == «1.2.3» ; python_version >= '
        "'3.8'\", # itself\n  'numpy>=1.2.3',\"demo-tools==1.2.3\"]\n[project.optional-dependencies]\n"
        "extra = ['demo ==«1.2.3»',]\n[dependency-groups]\n"
        'dev = [ {include-group = "x"}, "demo==«1.2.3»" ]\nx=[]\n' + HATCHLING
    ),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_only_the_planned_spans_change(tmp_path: Path, text: str) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    before, after = text.replace("«1.2.3»", "1.2.3"), text.replace("«1.2.3»", "1.3.0")
    assert tomllib.loads(before.removeprefix(MARK))
    (root / "pyproject.toml").write_bytes(before.encode())
    (root / ".gitattributes").write_bytes(b"* -text\n")
    repository(root)

    assert main(["bump", "--part", "minor", "--commit", "--tag", "--project", str(root)]) == 0

    assert (root / "pyproject.toml").read_bytes() == after.encode()
    assert git(root, "show", "--name-only", "--format=").splitlines() == ["pyproject.toml"]
    assert main(["bump", "--undo", "--project", str(root)]) == 0
    assert (root / "pyproject.toml").read_bytes() == before.encode()
