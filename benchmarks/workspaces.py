"""Workspaces for the benchmarks: uv workspaces of any size, and one with a long history.

Run as a program it writes one in lockstep.

    python -m benchmarks.workspaces DIRECTORY PACKAGES
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

__all__ = [
    "BACKENDS",
    "VERSION",
    "Backend",
    "commit",
    "compile_relnox",
    "environment",
    "generate",
    "generate_sources",
    "history",
    "import_name",
    "names",
    "requirements",
]

VERSION = "1.2.3"
"""Every generated package's version. Its text stands in no file but as a version of these packages."""

_EARLIER = 3
"""How many earlier packages each package requires, from the first that has so many."""

_ROOT = """\
# The workspace: every directory of packages/ is a package, and one environment holds all of them.
[tool.uv.workspace]
members = ["packages/*"]

[tool.relnox]
versions = "{versions}"
"""

_PACKAGE = """\
[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
description = "The part of the product that deals with {name}"
readme = {{ text = "What {name} is for.", content-type = "text/plain" }}
requires-python = ">=3.11"
license = "MIT"
authors = [
  {{ name = "Ada Example", email = "ada@example.org" }},
  {{ name = "The product's developers" }}, # the list is in AUTHORS
]
keywords = ["example", "workspace"]
classifiers = [
  "Development Status :: 5 - Production/Stable",
  "Intended Audience :: Developers",
  "Operating System :: OS Independent",
  "Programming Language :: Python :: 3",
  "Programming Language :: Python :: 3.11",
  "Programming Language :: Python :: 3.12",
  "Programming Language :: Python :: 3.13",
  "Typing :: Typed",
]
{requires}
[project.urls]
Homepage = "https://example.org/{name}"
Changelog = "https://example.org/{name}/changes"

{sources}[tool.hatch.build.targets.wheel]
packages = ["src/{module}"]

# The rest is for the tools that look at the code.
[tool.ruff]
line-length = 100

[tool.ruff.lint]
select = ["E", "F", "I", "UP"] # more when the old modules are gone
"""


class Backend(NamedTuple):
    """A build backend.

    Attributes:
        requirement: What a package that uses it requires for its build.
        module: What `build-backend` names.
    """

    requirement: str
    module: str


BACKENDS = {
    "hatchling": Backend("hatchling>=1.26", "hatchling.build"),
    "flit-core": Backend("flit-core>=3.12", "flit_core.buildapi"),
    "poetry-core": Backend("poetry-core>=2.2", "poetry.core.masonry.api"),
    "setuptools": Backend("setuptools>=77", "setuptools.build_meta"),
    "pdm-backend": Backend("pdm-backend>=2.4", "pdm.backend"),
}
"""Backends by their distribution's name; each finds a package in src/ by itself, and license files by pattern."""

_SOURCES_PACKAGE = """\
[build-system]
requires = ["{requirement}"]
build-backend = "{backend}"

[project]
name = "{name}"
version = "{version}"
description = "The part of the product that deals with {name}"
readme = "README.md"
requires-python = ">=3.11"
license = "MIT"
license-files = ["LICENSE"]
authors = [{{ name = "Ada Example", email = "ada@example.org" }}]
keywords = ["example", "workspace"]
classifiers = [
  "Development Status :: 5 - Production/Stable",
  "Programming Language :: Python :: 3",
  "Programming Language :: Python :: 3.11",
  "Typing :: Typed",
]
dependencies = [{dependencies}]

[project.urls]
Homepage = "https://example.org/{name}"
{sources}"""

_LICENSE = """\
MIT License

Copyright (c) 2024 Ada Example

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED.
"""

_FUNCTION = """\


def {module}_{number}(values: list[int], offset: int = {number}) -> dict[str, int]:
    \"\"\"Tell the smallest, the largest and the sum of some values, each raised by {number} at first.\"\"\"
    raised = [value + offset for value in values]
    if not raised:
        raise ValueError("there are no values")
    return {{"smallest": min(raised), "largest": max(raised), "sum": sum(raised)}}
"""


def names(packages: int) -> list[str]:
    """Return the packages' names in order, from pkg-001."""
    return [f"pkg-{number:03}" for number in range(1, packages + 1)]


def import_name(name: str) -> str:
    """Return the module of a package."""
    return name.replace("-", "_")


def requirements(index: int) -> list[int]:
    """Return the packages that the one at this index (from 0) requires: three earlier ones, from the fourth on."""
    return [0, index // 2, index - 1] if index >= _EARLIER else []


def environment() -> dict[str, str]:
    """Return variables for measured programs, without settings of this machine or user.

    Byte code may be written, git reads only the workspace's settings, and uv is offline.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith(("GIT_", "RELNOX_"))
    }
    return variables | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "UV_OFFLINE": "1"}


def compile_relnox() -> None:
    """Compile the byte code of the relnox that is installed, as an installer does."""
    code = "import compileall, relnox; compileall.compile_dir(relnox.__path__[0], quiet=1)"
    with tempfile.TemporaryDirectory() as elsewhere:  # in a checkout that one would be found first
        subprocess.run([sys.executable, "-c", code], cwd=elsewhere, env=environment(), check=True)


def generate(directory: Path, packages: int, *, git: bool = True, extra: Mapping[str, str] | None = None) -> None:
    """Write a uv workspace in lockstep, with a lock as uv writes it.

    Args:
        directory: Where to write it; created if it does not exist.
        packages: How many packages.
        git: Whether it is a git repository with one commit.
        extra: More files of the root, their text by name; they are committed as well.
    """
    every = names(packages)
    for name, text in {"pyproject.toml": _ROOT.format(versions="lockstep"), **(extra or {})}.items():
        _write(directory / name, text)
    _write(directory / ".gitignore", "__pycache__/\n.venv/\ndist/\n")
    _write(directory / "uv.lock", "".join(_lock(every)))
    for index, name in enumerate(every):
        needs = [every[earlier] for earlier in requirements(index)]
        place = directory / "packages" / name
        _write(place / "pyproject.toml", _pyproject(name, VERSION, needs, f"=={VERSION}"))
        _write(place / "src" / import_name(name) / "__init__.py", f'"""What {name} offers."""\n')
    if git:
        _init(directory)
        commit(directory, "feat: begin")


def generate_sources(directory: Path, packages: int, backends: Sequence[str]) -> None:
    """Write a uv workspace in lockstep whose packages are worth a build, as a git repository with one commit.

    Each package has four modules, a readme and a license.

    Args:
        directory: Where to write it; created if it does not exist.
        packages: How many packages.
        backends: Their build backends, of `BACKENDS`: the packages use them in turn.
    """
    every = names(packages)
    _write(directory / "pyproject.toml", _ROOT.format(versions="lockstep"))
    _write(directory / ".gitignore", "__pycache__/\n.venv/\nbuild/\ndist/\n*.egg-info/\n.pdm-build/\n")
    for index, name in enumerate(every):
        place = directory / "packages" / name
        backend = BACKENDS[backends[index % len(backends)]]
        needs = [every[earlier] for earlier in requirements(index)]
        _write(place / "pyproject.toml", _sources_pyproject(name, backend, needs))
        _write(
            place / "README.md",
            f"# {name}\n\nWhat {name} is for, and how it is used.\n\n- It needs no settings.\n",
        )
        _write(place / "LICENSE", _LICENSE)
        for module in ("__init__", "first", "second", "third"):
            functions = (_FUNCTION.format(module=module.strip("_"), number=number) for number in range(6))
            text = f'"""What {name} offers: {module}."""\n' + "".join(functions)
            _write(place / "src" / import_name(name) / f"{module}.py", text)
    _init(directory)
    commit(directory, "feat: begin")


def commit(directory: Path, message: str) -> None:
    """Commit all files that are not ignored."""
    _git(directory, "add", "--all")
    _git(directory, "commit", "--quiet", f"--message={message}")


def history(directory: Path, packages: int = 500, tags: int = 2000, commits: int = 20_000) -> None:
    """Write a workspace of independent packages whose repository has a long history; main is checked out.

    Each commit touches one or two files of one package. Releases are spread evenly: each sets a package's
    version in its pyproject.toml and is tagged `NAME-v1.2.K`.

    Args:
        directory: Where to write it; created if it does not exist.
        packages: How many packages.
        tags: How many releases.
        commits: How many commits, releases among them, after the first that writes the files.

    Raises:
        ValueError: There are more tags than commits.
    """
    if tags > commits:
        raise ValueError(f"{tags} tags need as many commits, not {commits}")
    directory.mkdir(parents=True, exist_ok=True)
    _init(directory)
    with tempfile.TemporaryFile() as stream:
        _write_history(stream, names(packages), tags, commits)
        stream.seek(0)
        subprocess.run(
            ["git", "fast-import", "--quiet"], cwd=directory, stdin=stream, env=environment(), check=True
        )
    _git(directory, "pack-refs", "--all")
    _git(directory, "reset", "--quiet", "--hard", "main")


def _pyproject(name: str, version: str, needs: Sequence[str], constraint: str) -> str:
    lines = "".join(f'  "{need}{constraint}",\n' for need in needs)
    requires = f"dependencies = [\n{lines}]\n\n[project.optional-dependencies]\nall = [\n{lines}]\n"
    sources = "[tool.uv.sources]\n" + "".join(f"{need} = {{ workspace = true }}\n" for need in needs) + "\n"
    return _PACKAGE.format(
        name=name,
        version=version,
        module=import_name(name),
        requires=requires if needs else "dependencies = []\n",
        sources=sources if needs else "",
    )


def _sources_pyproject(name: str, backend: Backend, needs: Sequence[str]) -> str:
    sources = "\n[tool.uv.sources]\n" + "".join(f"{need} = {{ workspace = true }}\n" for need in needs)
    return _SOURCES_PACKAGE.format(
        requirement=backend.requirement,
        backend=backend.module,
        name=name,
        version=VERSION,
        dependencies=", ".join(f'"{need}=={VERSION}"' for need in needs),
        sources=sources if needs else "",
    )


def _lock(every: Sequence[str]) -> Iterator[str]:
    """Yield the text of uv.lock, as uv writes it for packages without other requirements."""
    yield 'version = 1\nrevision = 5\nrequires-python = ">=3.11"\n\n[manifest]\nmembers = [\n'
    yield from (f'    "{name}",\n' for name in every)
    yield "]\n"
    for index, name in enumerate(every):
        needs = [every[earlier] for earlier in requirements(index)]
        yield f'\n[[package]]\nname = "{name}"\nversion = "{VERSION}"\n'
        yield f'source = {{ editable = "packages/{name}" }}\n'
        if not needs:
            continue
        lines = "".join(f'    {{ name = "{need}" }},\n' for need in needs)
        yield f"dependencies = [\n{lines}]\n\n[package.optional-dependencies]\nall = [\n{lines}]\n"
        yield "\n[package.metadata]\nrequires-dist = [\n"
        for need in needs:
            yield f'    {{ name = "{need}", editable = "packages/{need}" }},\n'
            yield f'    {{ name = "{need}", marker = "extra == \'all\'", editable = "packages/{need}" }},\n'
        yield ']\nprovides-extras = ["all"]\n'


def _write_history(stream: BinaryIO, every: Sequence[str], tags: int, commits: int) -> None:
    """Write the input of git fast-import."""
    chance = random.Random(0)
    first = {"pyproject.toml": _ROOT.format(versions="independent")}
    for index, name in enumerate(every):
        needs = [every[earlier] for earlier in requirements(index)]
        first[f"packages/{name}/pyproject.toml"] = _pyproject(name, "1.1.0", needs, ">=1.1")
        for file in _modules(name):
            first[file] = "REVISION = 0\n"
    _write_commit(stream, 0, "feat: begin", first)
    tagged = 0
    for number in range(1, commits + 1):
        if number * tags // commits > tagged:
            index, version = tagged % len(every), f"1.2.{tagged // len(every)}"
            name, needs = every[index], [every[earlier] for earlier in requirements(index)]
            text = _pyproject(name, version, needs, ">=1.1")
            subject = f"chore({name}): release {version}"
            _write_commit(stream, number, subject, {f"packages/{name}/pyproject.toml": text})
            _write_tag(stream, number, f"{name}-v{version}")
            tagged += 1
        else:
            name = chance.choice(every)
            files = chance.sample(_modules(name), chance.choice((1, 2)))
            kind, breaking = chance.choice(
                (("feat", ""), ("fix", ""), ("docs", ""), ("refactor", ""), ("feat", "!"))
            )
            subject = f"{kind}({name}){breaking}: change what it does, number {number}"
            _write_commit(stream, number, subject, dict.fromkeys(files, f"REVISION = {number}\n"))


def _modules(name: str) -> list[str]:
    return [f"packages/{name}/src/{import_name(name)}/{module}.py" for module in ("__init__", "first", "second")]


def _write_commit(stream: BinaryIO, number: int, message: str, files: Mapping[str, str]) -> None:
    stream.write(f"commit refs/heads/main\nmark :{number + 1}\n{_person('committer', number)}".encode())
    stream.write(_data(message))
    stream.writelines(f"M 100644 inline {name}\n".encode() + _data(text) for name, text in files.items())


def _write_tag(stream: BinaryIO, number: int, name: str) -> None:
    stream.write(f"tag {name}\nfrom :{number + 1}\n{_person('tagger', number)}".encode() + _data(name))


def _person(role: str, number: int) -> str:
    return f"{role} Ada Example <ada@example.org> {1_600_000_000 + 600 * number} +0000\n"


def _data(text: str) -> bytes:
    encoded = text.encode()
    return f"data {len(encoded)}\n".encode() + encoded + b"\n"


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8", newline="\n")


def _init(directory: Path) -> None:
    """Create a git repository with an author, without signatures and background maintenance."""
    _git(directory, "init", "--quiet", "--initial-branch=main")
    for setting in ("user.name Ada", "user.email ada@example.org", "commit.gpgsign false", "tag.gpgsign false"):
        _git(directory, "config", *setting.split())
    _git(directory, "config", "gc.auto", "0")


def _git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=directory, env=environment(), check=True)


if __name__ == "__main__":
    generate(Path(sys.argv[1]), int(sys.argv[2]))
