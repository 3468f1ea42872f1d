"""Small real projects that tests are made of: directories of files, and git repositories with a bare remote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'

NOXFILE = """\
# /// script
# dependencies = ["nox>=2025.2.9", "relnox"]
# ///
import nox
from relnox.sessions import *  # noqa: F403

if __name__ == "__main__":
    nox.main()
"""


class Everything(NamedTuple):
    """A checkout: contents of its files, its index, its refs and those of its remote."""

    files: dict[str, bytes]
    staged: str
    refs: str
    head: str
    remote: str


def everything(root: Path, remote: Path | None = None) -> Everything:
    """All of a checkout that a bump could change; its remote is beside it, unless another one is named."""
    remote = remote or remote_of(root)
    return Everything(
        files={
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and ".git" not in path.relative_to(root).parts
        },
        staged=git(root, "ls-files", "--stage"),
        refs=git(root, "for-each-ref"),
        head=git(root, "rev-parse", "HEAD") + git(root, "rev-parse", "--symbolic-full-name", "HEAD"),
        remote=git(remote, "for-each-ref") if remote.is_dir() else "",
    )


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files, dedented; names are relative to the root."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dedent(text).encode())
    return root


def shell(path: Path, script: str) -> Path:
    """Write a shell script that can be executed, such as a hook of git."""
    write(path.parent, {path.name: f"#!/bin/sh\n{script}\n"})
    path.chmod(0o755)
    return path


def git(root: Path, *words: str) -> str:
    """Run git in a directory and return what it printed."""
    return subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit_all(root: Path, message: str = "Change", *, push: bool = False) -> str:
    """Commit everything, push the branch if it is asked for, and return the commit."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", message)
    if push:
        git(root, "push", "--quiet")
    return git(root, "rev-parse", "HEAD")


def repository(root: Path, **core: str) -> Path:
    """Make a directory a git repository on main with its files committed, and a bare remote beside it.

    It is what `git init`, `git config`, `git remote add` and `git push` make, without their processes; `core` has
    values of that section of its settings.
    """
    remote = remote_of(root)
    config = {
        "core": {"bare": "false"} | core,
        "user": {"name": "Maintainer", "email": "maintainer@example.invalid"},
        "commit": {"gpgsign": "false"},
        'remote "origin"': {"url": str(remote), "fetch": "+refs/heads/*:refs/remotes/origin/*"},
        'branch "main"': {"remote": "origin", "merge": "refs/heads/main"},
    }
    _git_directory(root / ".git", config)
    commit = commit_all(root, "Start")
    write(root / ".git", {"refs/remotes/origin/main": f"{commit}\n"})
    _git_directory(remote, {"core": {"bare": "true"}})
    write(remote, {"refs/heads/main": f"{commit}\n"})
    shutil.copytree(root / ".git" / "objects", remote / "objects", dirs_exist_ok=True)
    return root


def _git_directory(path: Path, config: dict[str, dict[str, str]]) -> None:
    for name in ("hooks", "info", "objects", "refs/heads", "refs/tags"):
        (path / name).mkdir(parents=True, exist_ok=True)
    values = {"core": {"repositoryformatversion": "0"} | config.pop("core")} | config
    sections = [f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in own.items()) for name, own in values.items()]
    write(path, {"HEAD": "ref: refs/heads/main\n", "config": "".join(sections)})


def single(root: Path, version: str = "1.2.3", name: str = "demo") -> Path:
    """One hatchling package without any settings, with the noxfile and the tasks file of the documentation."""
    return write(
        root,
        {
            "pyproject.toml": f'[project]\nname = "{name}"\nversion = "{version}"  # the one place\n\n{HATCHLING}',
            f"src/{name}/__init__.py": "def greet():\n    return 'hello'\n",
            "noxfile.py": NOXFILE,
            "tasks.py": "from relnox.tasks import *  # noqa: F403\n",
            "README.md": "# demo\n",
            ".gitignore": "/dist/\n/.nox/\n__pycache__/\n",
        },
    )


def workspace(root: Path, settings: str = "", **versions: str) -> Path:
    """A repository with packages of these versions in `packages/`; settings are of `[tool.relnox]`."""
    top = f'[tool.relnox]\npackages = ["packages/*"]\n{settings}'
    set_versions(write(root, {"pyproject.toml": top, ".gitignore": "dist/\n"}), **versions)
    return repository(root)


def set_versions(root: Path, **versions: str) -> None:
    """Write packages of these versions into `packages/`, each with an empty module."""
    for name, version in versions.items():
        text = f'[project]\nname = "{name}"\nversion = "{version}"\n{HATCHLING}'
        write(root, {f"packages/{name}/pyproject.toml": text, f"packages/{name}/{name}.py": ""})


def lockstep_workspace(root: Path, version: str = "2.0.0") -> Path:
    """Five hatchling packages in lockstep: core <- agents, vespa <- runtime <- dashboard (the shape of S3)."""
    needs = {
        "core": "dependencies = []",
        "agents": f'dependencies = ["acme-core=={version}"]',
        "vespa": 'dependencies = [\n  "acme_core ~= 2.0",  # compatible\n]',
        "runtime": "dependencies = [\n  'acme-agents>=2.0,<3',\n"
        "  'acme-vespa >= 2.0 ; python_version >= \"3.8\"',\n]",
        "dashboard": (
            f'dependencies = ["acme-runtime[fast]=={version}"]\n'
            f'optional-dependencies.all = ["acme-core=={version}", "acme-vespa=={version}"]'
        ),
    }
    files = {
        "pyproject.toml": (
            '[tool.uv.workspace]\nmembers = ["packages/*"]\n\n'
            '[tool.relnox]\nversions = "lockstep"\nbranch = "main"\n\n'
            '[tool.relnox.verify.smoke]\nacme-core = ["acme_core.greet()"]\n'
        ),
        "noxfile.py": NOXFILE,
        "tasks.py": "from relnox.tasks import *  # noqa: F403\n",
        ".gitignore": "/dist/\n/.nox/\n__pycache__/\n",
    }
    for short, dependencies in needs.items():
        extras = "\noptional-dependencies.fast = []" if short == "runtime" else ""
        head = f'[project]\nname = "acme-{short}"\nversion = "{version}" # {short}\n'
        files[f"packages/{short}/pyproject.toml"] = f"{head}{dependencies}{extras}\n\n{HATCHLING}"
        files[f"packages/{short}/src/acme_{short}/__init__.py"] = (
            f"def greet():\n    return 'hello from {short}'\n"
        )
        files[f"packages/{short}/README.md"] = f"# acme-{short}\n"
    return write(root, files)


def mixed_workspace(root: Path) -> Path:
    """Independent versions, four backends: setuptools, flit, poetry-core, pdm-backend."""
    backends = {
        "saddle": ("setuptools>=77", "setuptools.build_meta"),
        "float": ("flit_core>=3.11", "flit_core.buildapi"),
        "pedal": ("pdm-backend", "pdm.backend"),
    }
    files = {
        "pyproject.toml": (
            '[tool.relnox]\npackages = ["saddle", "float", "poem", "pedal"]\nversions = "independent"\n'
            'tag-format = "{name}-v{version}"\n'
        ),
        "poem/pyproject.toml": """\
            [tool.poetry]
            name = "mixed-poem"
            version = '0.3.1'
            description = "Poetry metadata only"
            authors = ["A <a@example.org>"]
            packages = [{ include = "mixed_poem" }]

            [tool.poetry.dependencies]
            python = ">=3.8"
            mixed-saddle = "^1.4"

            [build-system]
            requires = ["poetry-core>=2"]
            build-backend = "poetry.core.masonry.api"
            """,
        "poem/mixed_poem/__init__.py": "import mixed_saddle\n",
        ".gitignore": "/dist/\n*.egg-info/\nbuild/\n",
    }
    versions = {"saddle": "1.4.0", "float": "0.9.0rc1", "pedal": "2026.11"}
    for short, (requires, backend) in backends.items():
        dependencies = "[]" if short == "saddle" else '["mixed-saddle>=1.4"]'
        files[f"{short}/pyproject.toml"] = (
            f'[build-system]\nrequires = ["{requires}"]\nbuild-backend = "{backend}"\n\n'
            f'[project]\nname = "mixed-{short}"\ndescription = "{short}"\n'
            f"version = '{versions[short]}'\ndependencies = {dependencies}\n"
        )
        files[f"{short}/mixed_{short}/__init__.py"] = f'"""The {short}."""\n'
    return write(root, files)


def python(root: Path, *words: str, code: int | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in a directory: in the environment of the tests, with plain text and no terminal.

    It must end with this code, if one is given.

    What a nox that runs the tests has chosen for itself does not choose for the one that is tested.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("NOX", "FORCE_COLOR"))}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env=inherited | {"NO_COLOR": "1", "COLUMNS": "200"} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert code in (None, done.returncode), done.stdout + done.stderr
    return done


def remote_of(root: Path) -> Path:
    """The bare remote that `repository` made beside a directory."""
    return root.parent / f"{root.name}.git"


def is_released(root: Path, version: str) -> bool:
    """Whether HEAD is the tagged release of a version, here and on the remote, and no file is changed."""
    remote, head = remote_of(root), git(root, "rev-parse", "HEAD")
    refs = git(remote, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)").split()
    return (
        git(root, "log", "-1", "--format=%s") == f"Release {version}"
        and refs[:3] == ["refs/heads/main", head, f"refs/tags/v{version}"]
        and refs[4:] == [head]
        and git(root, "status", "--porcelain", "--untracked-files=all") == ""
    )


def pair(root: Path, version: str = "2.0.0") -> Path:
    """The smallest lockstep workspace in which a requirement moves along: top needs base."""
    needs = {"base": "[]", "top": f'["pair-base=={version}"]'}
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "lockstep"\nbranch = "main"\n'
    }
    for short, dependencies in needs.items():
        head = f'[project]\nname = "pair-{short}"\nversion = "{version}"  # {short}\n'
        files[f"packages/{short}/pyproject.toml"] = f"{head}dependencies = {dependencies}\n\n{HATCHLING}"
        files[f"packages/{short}/pair_{short}.py"] = ""
    return write(root, files)


def copy_of(template: Path, root: Path) -> Path:
    """Copy a project of `repository` and its remote, which is faster than creating them again."""
    shutil.copytree(template, root, symlinks=True)
    shutil.copytree(remote_of(template), remote_of(root), symlinks=True)
    config = root / ".git" / "config"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(str(remote_of(template)), str(remote_of(root))), encoding="utf-8")
    return root
