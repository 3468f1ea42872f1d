"""Repositories of shapes that break release tools, small, with the decoys that public repositories have.

All names are invented; what the files look like is taken from what such projects keep in public. A `Shape` is a
template: `<<key>>` stands where a bump writes, and everything else must be the same afterwards, byte for byte.
"""

from __future__ import annotations

import re
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

from projects import git, repository

if TYPE_CHECKING:
    from pathlib import Path


MARKER = re.compile(r"<<([a-z_]+)>>")


class Shape(NamedTuple):
    """A repository.

    Attributes:
        files: Templates of its files, by name.
        values: What `<<key>>` stands for before a bump.
        tags: Tags of its only commit.
    """

    files: dict[str, str]
    values: dict[str, str]
    tags: tuple[str, ...] = ()

    def contents(self, **changed: str) -> dict[str, bytes]:
        """Contents of the files, with other values for some keys."""
        values = self.values | changed
        return {
            name: MARKER.sub(lambda marker: values[marker[1]], dedent(text)).encode()
            for name, text in self.files.items()
        }

    def write(self, root: Path) -> Path:
        """Make a repository of it, with a bare remote."""
        for name, content in self.contents().items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        repository(root)
        for tag in self.tags:
            git(root, "tag", tag)
        return root


def steward() -> Shape:
    """Tiers and date stamps: a stable base and root, siblings at `1.0.0b260730`, four backends, one uv workspace.

    Modeled on an agent framework's directory `python`. The base's extra `all` lists every sibling, each of which
    needs the base. The root is a published meta package although it says `[tool.uv] package = false`. The key of
    one table begins with a space, and one extra pins a release that cannot be installed any more.
    """
    build = '[build-system]\nrequires = ["{}"]\nbuild-backend = "{}"\n'
    needs = 'requires-python = ">=3.9"\ndependencies = ["steward-core>=1.11.0,<2"{}]\n\n'
    files = {
        "pyproject.toml": """\
            [project]
            name = "steward"
            description = "Meta package of 1.11.0"
            requires-python = ">=3.9"
            version = "<<stable>>"
            urls.release_notes = "https://example.invalid/releases?q=tag%3Apython-1.11.0"
            dependencies = [
                "steward-core[all]==<<stable>>",
            ]

            [tool.uv]
            package = false
            environments = ["sys_platform == 'linux'"]

            [tool.uv.workspace]
            members = [ "packages/*" ]
            exclude = [ "packages/lab" ]

            [tool.uv.sources]
             steward-core = { workspace = true }
            steward-azure = { workspace = true }
            steward-redis = { workspace = true }
            steward-devui = { workspace = true }

            [tool.relnox]
            versions = "independent"

            [tool.relnox.groups]
            released = { packages = ["steward", "steward-core"], kind = "fixed" }
            beta = { packages = ["steward-azure", "steward-redis"], kind = "linked" }

            [tool.poe.tasks." version"]
            cmd = "echo 1.11.0"

            [tool.flit.module]
            name = "steward_meta"

            [build-system]
            requires = ["flit-core >= 3.11,<4.0"]
            build-backend = "flit_core.buildapi"
            """,
        "steward_meta.py": '"""Nothing but requirements."""\n\n__version__ = "0.0.0"\n',
        "packages/core/pyproject.toml": """\
            [project]
            name = "steward-core"
            description = "Steward 1.11.0"
            version = "<<stable>>"
            requires-python = ">=3.9"
            dependencies = []

            [project.optional-dependencies]
            all = [
              "steward-azure",
              "steward-redis>=1.0.0b260101",
              "steward-devui",
            ]
            legacy = ["steward-redis==<<legacy>>"]

            [tool.uv.sources]
            steward-azure = { workspace = true }

            [tool.flit.module]
            name = "steward_core"

            [build-system]
            requires = ["flit-core >= 3.11,<4.0"]
            build-backend = "flit_core.buildapi"
            """,
        "packages/core/steward_core/__init__.py": (
            'import importlib.metadata\n\ntry:\n    __version__ = importlib.metadata.version("steward-core")\n'
            'except importlib.metadata.PackageNotFoundError:\n    __version__ = "0.0.0"  # 1.11.0\n'
        ),
        "packages/azure/pyproject.toml": (
            '[project]\nname = "steward-azure"\nversion = "1.0.0b260730"\n'
            + needs.format(', "decoy>=1.11.0"')
            + build.format("hatchling", "hatchling.build")
        ),
        "packages/azure/steward_azure/__init__.py": "",
        "packages/redis/pyproject.toml": (
            build.format("setuptools>=77", "setuptools.build_meta")
            + "\n[project]\nname = 'steward-redis'\nversion = '<<redis>>'\n"
            + needs.format("")
        ),
        "packages/redis/steward_redis/__init__.py": "",
        "packages/devui/pyproject.toml": (
            '[project]\nname = "steward-devui"\nversion = "1.0.0a260601"\n'
            + needs.format("")
            + build.format("pdm-backend", "pdm.backend")
        ),
        "packages/devui/steward_devui/__init__.py": "",
        "packages/lab/pyproject.toml": '[project]\nname = "steward-lab"\nversion = "1.0.0b260730"\n',
        "uv.lock": _STEWARD_LOCK,
    }
    values = {"stable": "1.11.0", "redis": "1.0.0b260730", "legacy": "1.0.0b250101"}
    return Shape(files, values, ("steward-v1.11.0", "steward-core-v1.11.0", "steward-azure-v1.0.0b260730"))


_STEWARD_LOCK = """\
version = 1
revision = 5
requires-python = ">=3.9"
resolution-markers = [
    "sys_platform == 'linux'",
]
supported-markers = [
    "sys_platform == 'linux'",
]

[manifest]
members = [
    "steward",
    "steward-azure",
    "steward-core",
    "steward-devui",
    "steward-redis",
]

[[package]]
name = "decoy"
version = "1.11.0"
source = { registry = "https://example.invalid/simple" }
wheels = [
    { url = "https://example.invalid/decoy-1.11.0-py3-none-any.whl" },
]

[[package]]
name = "steward"
version = "<<stable>>"
source = { virtual = "." }
dependencies = [
    { name = "steward-core", extra = ["all"] },
]

[package.metadata]
requires-dist = [{ name = "steward-core", extras = ["all"], editable = "packages/core" }]

[[package]]
name = "steward-azure"
version = "1.0.0b260730"
source = { editable = "packages/azure" }
dependencies = [
    { name = "decoy" },
    { name = "steward-core" },
]

[package.metadata]
requires-dist = [
    { name = "decoy", specifier = ">=1.11.0" },
    { name = "steward-core", editable = "packages/core" },
]

[[package]]
name = "steward-core"
version = "<<stable>>"
source = { editable = "packages/core" }

[package.optional-dependencies]
all = [
    { name = "steward-azure" },
    { name = "steward-devui" },
    { name = "steward-redis" },
]
legacy = [
    { name = "steward-redis" },
]

[package.metadata]
requires-dist = [
    { name = "steward-azure", marker = "extra == 'all'", editable = "packages/azure" },
    { name = "steward-devui", marker = "extra == 'all'", editable = "packages/devui" },
    { name = "steward-redis", marker = "extra == 'all'", editable = "packages/redis" },
    { name = "steward-redis", marker = "extra == 'legacy'", editable = "packages/redis" },
]
provides-extras = ["all", "legacy"]

[[package]]
name = "steward-devui"
version = "1.0.0a260601"
source = { editable = "packages/devui" }
dependencies = [
    { name = "steward-core" },
]

[package.metadata]
requires-dist = [{ name = "steward-core", editable = "packages/core" }]

[[package]]
name = "steward-redis"
version = "<<redis>>"
source = { editable = "packages/redis" }
dependencies = [
    { name = "steward-core" },
]

[package.metadata]
requires-dist = [{ name = "steward-core", editable = "packages/core" }]
"""


def flow() -> Shape:
    """Versions from tags: four version systems in one repository, and a package made of another's pruned copy.

    Modeled on a workflow server: the server and its client by versioningit from plain tags (`3.6.1`), integrations
    by setuptools-scm (`flow-aws-0.5.1`) and by hatch-vcs with a pattern for each (`integrations/chroma-v1.0.0`),
    the interface's assets by the version in package.json. One name begins with another, and some tags are
    malformed.
    """
    packages = '".", "client", "ui", "integrations/*"'
    settings = (
        f'\n[tool.relnox]\npackages = [{packages}]\nversions = "independent"\n\n'
        '[tool.relnox.groups]\nengine = { packages = ["flow", "flow-client"], kind = "fixed" }\n'
    )
    files = {
        "pyproject.toml": _by_versioningit("flow") + settings,
        "src/flow/__init__.py": "from flow._build_info import __version__\n",
        "client/pyproject.toml": _by_versioningit("flow-client"),
        "client/build_client.sh": "cp -R ../src ./src && rm -rf src/flow/server && python -m build\n",
        "ui/pyproject.toml": """\
            [build-system]
            requires = ["hatchling", "hatch-nodejs-version"]
            build-backend = "hatchling.build"

            [project]
            name = "flow-ui"
            dynamic = ["version"]

            [tool.hatch.version]
            source = "nodejs"
            """,
        "ui/package.json": """\
            {
              "name": "flow-ui",
              "engines": { "node": "2.1.0", "version": "2.1.0" },
              "dependencies": { "vue": "2.1.0", "version": "2.1.0" },
              "description": "\\"version\\": \\"2.1.0\\"",
              "version": "<<ui>>"
            }
            """,
        "ui/flow_ui/__init__.py": "",
    }
    for name in ("flow-aws", "flow-aws-batch", "flow-snow"):
        files[f"integrations/{name}/pyproject.toml"] = (
            '[build-system]\nrequires = ["setuptools>=45", "setuptools_scm[toml]>=6.2"]\n'
            'build-backend = "setuptools.build_meta"\n\n'
            f'[project]\nname = "{name}"\ndynamic = ["version"]\ndependencies = ["flow>=3.6.0"]\n\n'
            '[tool.setuptools_scm]\nversion_file = "_version.py"\nroot = "../.."\n'
            f"tag_regex = '^{name}-(?P<version>\\d+\\.\\d+\\.\\d+(?:[a-zA-Z0-9]+(?:\\.[a-zA-Z0-9]+)*)?)$'\n"
            'fallback_version = "0.0.0"\n'
            f"git_describe_command = 'git describe --dirty --tags --long --match \"{name}-*[0-9]*\"'\n"
        )
        files[f"integrations/{name}/{name.replace('-', '_')}/__init__.py"] = ""
    for name in ("chroma", "chroma-cloud"):
        files[f"integrations/{name}/pyproject.toml"] = (
            '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            f'[project]\nname = "{name}-flow"\ndynamic = ["version"]\ndependencies = ["flow>=2.0.0"]\n\n'
            '[tool.hatch.build.targets.wheel]\npackages = ["src/flow_integrations"]\n\n'
            f"[tool.hatch.version]\nsource = \"vcs\"\ntag-pattern = 'integrations\\/{name}-v(?P<version>.*)'\n\n"
            '[tool.hatch.version.raw-options]\nroot = "../.."\n'
            f"git_describe_command = 'git describe --tags --match=\"integrations/{name}-v[0-9]*\"'\n"
        )
        files[f"integrations/{name}/src/flow_integrations/{name.replace('-', '_')}.py"] = '"""Since 1.0.0."""\n'
    own = "flow-aws-0.0.0", "flow-aws-batch-9.9.9", "flow-snow-0.15.0", "flow-ui-v2.1.0"
    malformed = "chroma-v1", "integrations/chroma-v", "integrations/chroma-2.0.0", "integrations/chroma-vNEXT"
    patterned = "integrations/chroma-v1.0.0", "integrations/chroma-cloud-v1.0.2", "integrations/chroma/v3.0.0"
    return Shape(files, {"ui": "2.1.0"}, ("3.6.0", "3.6.1", "v0.1", "helm-9.0.0", *own, *malformed, *patterned))


def _by_versioningit(name: str) -> str:
    return (
        '[build-system]\nrequires = ["hatchling>=1.21.0", "versioningit"]\nbuild-backend = "hatchling.build"\n\n'
        f'[project]\nname = "{name}"\ndynamic = ["version"]\ndependencies = ["httpx>=0.23"]\n\n'
        '[tool.hatch.version]\nsource = "versioningit"\n\n'
        '[tool.versioningit.vcs]\nmatch = ["[0-9]*.[0-9]*.[0-9]*", "[0-9]*.[0-9]*.[0-9]*.dev[0-9]*"]\n'
        'default-tag = "0.0.0"\n\n'
        '[tool.versioningit.format]\ndistance = "{base_version}+{distance}.{vcs}{rev}"\n'
    )
