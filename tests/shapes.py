"""Projects of the shapes that break release tools, small, with the decoys that public repositories have.

Each `shape_NN` writes one into a new directory and makes it a git repository with its tags and a bare remote. All
names are invented; what the files look like is taken from what such projects keep in public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from projects import HATCHLING, commit_all, git, repository, write

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "INTEGRATIONS",
    "shape_01",
    "shape_02",
    "shape_03",
    "shape_04",
    "shape_05",
    "shape_06",
    "shape_07",
    "shape_08",
    "shape_09",
    "shape_10",
    "shape_11",
    "shape_12",
    "shape_13",
    "shape_14",
]


def _tagged(root: Path, *tags: str) -> Path:
    """Give the head these tags."""
    for tag in tags:
        git(root, "tag", tag)
    return root


# --- 1: two tracks in lockstep -------------------------------------------------------------------------


def _observer(name: str, path: str, version: str, *needs: str) -> dict[str, str]:
    """A package whose version is in `version.py`, in a namespace; `path` is that of its directory."""
    module = name.removeprefix("observer-").replace("-", "_")
    listed = "".join(f'  "{need}",\n' for need in needs)
    return {
        f"{path}/pyproject.toml": (
            f'{HATCHLING}\n[project]\nname = "{name}"\ndynamic = ["version"]\ndescription = "Part of Observer"\n'
            'authors = [\n  { name = "Observer Authors", email = "authors@example.invalid" },\n]\n'
            f"dependencies = [\n{listed}]\n\n"
            f'[tool.hatch.version]\npath = "src/observer/{module}/version.py"\n\n'
            '[tool.hatch.build.targets.wheel]\npackages = ["src/observer"]\n'
        ),
        f"{path}/src/observer/{module}/version.py": (
            f'# Copyright The Observer Authors\n\n__version__ = "{version}"\n'
        ),
        f"{path}/src/observer/{module}/__init__.py": f'"""Since {version}."""\n',
    }


def shape_01(root: Path) -> Path:
    """Two tracks in lockstep, spelled oddly: stable `1.45.0.dev`, the rest `0.66b0.dev`.

    Modelled on the two repositories of a telemetry standard for Python: some seventy hatchling packages, each with
    `version.py`, which pin each other with spaces; pins on names of the sister repository move with the track of
    their own; a template that is called `<REPLACE ME>`; packages that an older tool's list leaves out.
    """
    stable, beta = "1.45.0.dev", "0.66b0.dev"
    files = {
        "pyproject.toml": """\
            [tool.relnox]
            exclude = ["instrumentation/observer-inst-azure", "instrumentation/observer-inst-vertex"]
            versions = "independent"
            dependents = "none"

            [tool.relnox.dependency-updates]
            observer-exporter-prom = "observer-semconv"
            observer-propagator-b3 = "observer-api"

            [tool.relnox.groups]
            stable = { packages = ["observer-api", "observer-sdk"], kind = "fixed" }
            beta = { packages = ["observer-semconv", "observer-inst*"], kind = "fixed" }

            [tool.ruff]
            target-version = "py39"
            """,
        "eachdist.ini": f"[stable]\nversion={stable}\n\n[prerelease]\nversion={beta}\n",
        "CHANGELOG.md": f"## Unreleased\n\n## Version {stable}/{beta}\n",
        "_template/pyproject.toml": (
            f'{HATCHLING}\n[project]\nname = "<REPLACE ME>"\ndynamic = ["version"]\n'
            f'dependencies = [\n  "observer-api ~= 1.12",\n  "observer-inst == {beta}",\n]\n\n'
            '[tool.hatch.version]\npath = "src/observer/instrumentation/<REPLACE ME>/version.py"\n'
        ),
        "_template/version.py": f'__version__ = "{beta}"\n',
    }
    files |= _observer("observer-api", "observer-api", stable, "typing-extensions >= 4.5.0")
    files |= _observer(
        "observer-sdk",
        "observer-sdk",
        stable,
        f"observer-api == {stable}",
        f"observer-semconv == {beta}",
        f"observer-propagator-b3 == {stable}",
    )
    files |= _observer("observer-semconv", "observer-semconv", beta, f"observer-api == {stable}")
    inst = "instrumentation/observer-inst"
    files |= _observer(
        "observer-inst",
        inst,
        beta,
        "observer-api ~= 1.4",
        f"observer-semconv == {beta}",
        "packaging >= 18.0",
    )
    files |= _observer(
        "observer-inst-wsgi",
        f"{inst}-wsgi",
        beta,
        "observer-api ~= 1.12",
        f"observer-inst == {beta}",
        f"observer-semconv == {beta} ; python_version >= '3.9'",
        f"observer-exporter-prom == {beta}",
        "observer-elsewhere == 0.66b0.dev",
    )
    for excluded in ("azure", "vertex"):
        files |= _observer(f"observer-inst-{excluded}", f"{inst}-{excluded}", "2.0b0", f"observer-inst == {beta}")
    return repository(write(root, files))


# --- 2: tiers and date stamps --------------------------------------------------------------------------


def shape_02(root: Path) -> Path:
    """Tiers and date stamps: a stable base and root, siblings at `1.0.0b260730`, four backends, one uv workspace.

    Modelled on an agent framework's directory `python`. The base's extra `all` lists every sibling, each of which
    needs the base. The root is a published meta package although it says `[tool.uv] package = false`. The key of
    one table begins with a space, and one extra pins a release that cannot be installed any more.
    """
    files = {
        "pyproject.toml": """\
            [project]
            name = "steward"
            description = "Meta package of 1.11.0"
            authors = [{ name = "Steward", email = "steward@example.invalid" }]
            requires-python = ">=3.9"
            version = "1.11.0"
            urls.release_notes = "https://example.invalid/releases?q=tag%3Apython-1.11.0"
            dependencies = [
                "steward-core[all]==1.11.0",
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
            version = "1.11.0"
            requires-python = ">=3.9"
            dependencies = []

            [project.optional-dependencies]
            all = [
              "steward-azure",
              "steward-redis>=1.0.0b260101",
              "steward-devui",
            ]
            legacy = ["steward-redis==1.0.0b250101"]

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
        "packages/azure/pyproject.toml": """\
            [project]
            name = "steward-azure"
            version = "1.0.0b260730"
            requires-python = ">=3.9"
            dependencies = ["steward-core>=1.11.0,<2", "decoy>=1.11.0"]

            [build-system]
            requires = ["hatchling"]
            build-backend = "hatchling.build"
            """,
        "packages/azure/steward_azure/__init__.py": "",
        "packages/redis/pyproject.toml": """\
            [build-system]
            requires = ["setuptools>=77"]
            build-backend = "setuptools.build_meta"

            [project]
            name = 'steward-redis'
            version = '1.0.0b260730'
            requires-python = '>=3.9'
            dependencies = ['steward-core>=1.11.0,<2']
            """,
        "packages/redis/steward_redis/__init__.py": "",
        "packages/devui/pyproject.toml": """\
            [project]
            name = "steward-devui"
            version = "1.0.0a260601"
            requires-python = ">=3.9"
            dependencies = ["steward-core>=1.11.0,<2"]
            [build-system]
            requires = ["pdm-backend"]
            build-backend = "pdm.backend"
            """,
        "packages/devui/steward_devui/__init__.py": "",
        "packages/lab/pyproject.toml": '[project]\nname = "steward-lab"\nversion = "1.0.0b260730"\n',
        "uv.lock": _STEWARD_LOCK,
    }
    write(root, files)
    tags = ("steward-v1.11.0", "steward-core-v1.11.0", "steward-azure-v1.0.0b260730")
    return _tagged(repository(root), *tags)


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
version = "1.11.0"
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
version = "1.11.0"
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
version = "1.0.0b260730"
source = { editable = "packages/redis" }
dependencies = [
    { name = "steward-core" },
]

[package.metadata]
requires-dist = [{ name = "steward-core", editable = "packages/core" }]
"""


# --- 3: one release, ten places, two grammars ----------------------------------------------------------


def _crate(name: str, version: str, *, template: bool = False) -> str:
    name = "swift-runtime-{{%SIZE%}}" if template else name
    return (
        f'[package]\nname = "{name}"\nversion = "{version}"\nedition = "2021"\nrust-version = "1.80"\n\n'
        '[lib]\nname = "_swift_runtime"\ncrate-type = ["cdylib"]\n\n'
        '[dependencies]\nswift-core = { version = "1.35.0-beta.1", path = "../../../crates/swift-core" }\n'
        'pyo3 = { version = "0.26", features = ["abi3-py39"] }\n'
    )


def _runtime(name: str) -> str:
    return (
        '[build-system]\nrequires = ["maturin>=1.3.2"]\nbuild-backend = "maturin"\n\n'
        f'[project]\nname = "{name}"\ndescription = "The runtime, first in 1.35.0b1"\n'
        'authors = [\n  { name = "A", email = "a@example.invalid" },\n]\n'
        'version = "1.35.0b1"\nrequires-python = ">=3.9"\n\n[tool.maturin]\ninclude = []\n'
    )


def shape_03(root: Path) -> Path:
    """One release, ten places, two grammars: pyproject `1.35.0b1`, Cargo.toml `1.35.0-beta.1`.

    Modelled on a data frame library: a pure Python package that pins the runtimes it may be used with, one crate
    for each of them, a template that more are made of and whose name is no requirement, a constant that the
    package compares at run time, and the crates' own version beside all of them. Notes on deprecation and calls
    that name versions must stay.
    """
    files = {
        "pyproject.toml": """\
            [tool.relnox]
            packages = ["py-swift", "py-swift/runtime/*"]
            exclude = ["py-swift/runtime/template"]
            versions = "lockstep"
            tag-format = "py-{version}"

            [[tool.relnox.version-files]]
            file = "py-swift/runtime/template/Cargo.toml"

            [[tool.relnox.version-files]]
            file = "py-swift/runtime/template/pyproject.toml"
            pattern = '^version = "(?P<version>[^"]+)"'

            [[tool.relnox.version-files]]
            file = "py-swift/src/swift/_runtime.py"
            pattern = '^EXPECTED_RUNTIME = "(?P<version>[^"]+)"'
            scheme = "semver"
            """,
        "Cargo.toml": (
            '[workspace]\nresolver = "2"\nmembers = [\n  "crates/*",\n  "py-swift/runtime/swift-runtime-32",\n'
            '  "py-swift/runtime/swift-runtime-64",\n]\nexclude = ["py-swift/runtime/template"]\n\n'
            '[workspace.package]\nversion = "1.35.0-beta.1"\nedition = "2021"\n'
        ),
        "crates/swift-core/Cargo.toml": '[package]\nname = "swift-core"\nversion.workspace = true\n',
        "Cargo.lock": _SWIFT_LOCK,
        "py-swift/pyproject.toml": """\
            [build-system]
            requires = ["setuptools>=77"]
            build-backend = "setuptools.build_meta"

            [project]
            name = "swift-frames"
            version = "1.35.0b1"
            dependencies = ["swift-runtime-32 == 1.35.0b1"]

            [project.optional-dependencies]
            rt64 = ["swift-runtime-64 == 1.35.0b1"]
            numpy = ["numpy >= 1.35.0"]
            all = ["swift-frames[numpy]"]

            [project.urls]
            Changelog = "https://example.invalid/releases/py-1.35.0b1"

            [tool.ruff]
            target-version = "py39"

            [dependency-groups]
            dev = ["swift_runtime_64==1.35.0-beta.1 ; platform_machine == 'x86_64'"]
            """,
        "py-swift/src/swift/__init__.py": "from swift._runtime import EXPECTED_RUNTIME\n",
        "py-swift/src/swift/_runtime.py": (
            '# EXPECTED_RUNTIME = "1.34.0"\nEXPECTED_RUNTIME = "1.35.0-beta.1"\nOLDEST_RUNTIME = "1.35.0-beta.1"\n'
        ),
        "py-swift/src/swift/frame.py": '''\
            def melt(frame):
                """Unpivot.

                .. versionadded:: 1.35.0b1
                .. deprecated:: 1.43.2
                """
                deprecated("use unpivot", version="1.43.2")
                deprecated("use unpivot", version="1.35.0b1")
            ''',
        "py-swift/runtime/template/pyproject.toml": _runtime("swift-runtime-{{%SIZE%}}"),
        "py-swift/runtime/template/Cargo.toml": _crate("", "1.35.0-beta.1", template=True),
    }
    for size in ("32", "64"):
        name = f"swift-runtime-{size}"
        files[f"py-swift/runtime/{name}/pyproject.toml"] = _runtime(name)
        files[f"py-swift/runtime/{name}/Cargo.toml"] = _crate(name, "1.35.0-beta.1")
        files[f"py-swift/runtime/{name}/src/lib.rs"] = 'const V: &str = env!("CARGO_PKG_VERSION"); // 1.35.0\n'
    return _tagged(repository(write(root, files)), "py-1.34.0", "py-1.35.0-beta.1", "rs-0.51.0")


_SWIFT_LOCK = """\
# This file is automatically @generated by Cargo.
# It is not intended for manual editing.
version = 4

[[package]]
name = "decoy"
version = "1.35.0-beta.1"
source = "registry+https://example.invalid/index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"

[[package]]
name = "swift-core"
version = "1.35.0-beta.1"

[[package]]
name = "swift-runtime-32"
version = "1.34.0"
source = "registry+https://example.invalid/index"
checksum = "1111111111111111111111111111111111111111111111111111111111111111"

[[package]]
name = "swift-runtime-32"
version = "1.35.0-beta.1"
dependencies = [
 "swift-core",
]

[[package]]
name = "swift-runtime-64"
version = "1.35.0-beta.1"
dependencies = [
 "decoy",
 "swift-core",
]
"""


# --- 4: dependencies only in a build hook --------------------------------------------------------------


def _hooked(name: str, hook: str, more: str = "") -> str:
    return (
        '[build-system]\nrequires = ["hatchling", "uv-dynamic-versioning>=0.7.0"]\n'
        'build-backend = "hatchling.build"\n\n'
        '[tool.hatch.version]\nsource = "uv-dynamic-versioning"\n\n'
        '[tool.uv-dynamic-versioning]\nvcs = "git"\nstyle = "pep440"\nbump = true\n\n'
        f'[project]\nname = "{name}"\ndynamic = ["version", "dependencies", "optional-dependencies"]\n'
        f'requires-python = ">=3.10"\n{more}\n'
        f"[tool.hatch.metadata.hooks.uv-dynamic-versioning]\ndependencies = [{hook}]\n"
    )


def shape_04(root: Path) -> Path:
    """Dependencies only in a build hook: `pkg=={{ version }}` in its table, and every version from the tags.

    Modelled on a framework whose meta package is an empty wheel with a console script that a sibling's module
    provides. What is written down shows no package of the workspace that needs another.
    """
    script = '[project.scripts]\nquill = "quill_slim._cli:main"\n'
    private = 'classifiers = ["Private :: Do Not Upload"]\n'
    files = {
        "pyproject.toml": (
            _hooked("quill", '"quill-slim[openai]=={{ version }}"', script)
            + "\n[tool.hatch.metadata.hooks.uv-dynamic-versioning.optional-dependencies]\n"
            'evals = ["quill-evals=={{ version }}"]\n'
            "linux = [\"quill-slim[jit]=={{ version }}; platform_system == 'Linux'\"]\n\n"
            "[tool.hatch.build.targets.wheel]\nbypass-selection = true\n\n"
            '[tool.uv.workspace]\nmembers = ["quill_slim", "quill_evals", "quill_graph", "samples"]\n\n'
            '[tool.relnox]\nversions = "lockstep"\n\n[tool.ruff]\ntarget-version = "py310"\n'
        ),
        "quill_slim/pyproject.toml": _hooked("quill-slim", '"quill-graph=={{ version }}", "httpx>=0.27"'),
        "quill_slim/quill_slim/__init__.py": "from importlib.metadata import version\n",
        "quill_slim/quill_slim/_cli.py": "def main() -> None: ...\n",
        "quill_graph/pyproject.toml": _hooked("quill-graph", '"typing-inspection>=0.4"'),
        "quill_graph/quill_graph/__init__.py": "",
        "quill_evals/pyproject.toml": _hooked("quill-evals", '"quill-slim=={{ version }}"'),
        "quill_evals/quill_evals/__init__.py": "",
        "samples/pyproject.toml": _hooked("quill-samples", '"quill-slim=={{ version }}"', private),
        "samples/quill_samples/__init__.py": "",
        "README.md": "quill 1.4.0, install quill==1.4.0\n",
    }
    _tagged(repository(write(root, files)), "v0.9.0", "v1.4.0", "docs-v7", "nightly")
    commit_all(write(root, {"README.md": "quill 1.4.0, install quill>=1.4\n"}))
    return root


# --- 5: a hundred independent versions from tags -------------------------------------------------------

INTEGRATIONS = ("chroma", "amazon-bedrock", "amazon", *(f"store-{number}" for number in range(97)))
"""Directories of shape 5."""


def shape_05(root: Path) -> Path:
    """A hundred independent versions from tags in one namespace: `integrations/NAME-vX`, a pattern per package.

    Modelled on the integrations of a search framework. The directory is `chroma`, the distribution `chroma-stack`,
    the import `stack_integrations.chroma`. Some old tags are malformed, one name begins with another, and a later
    version was tagged on a branch of its own.
    """
    files = {"pyproject.toml": '[tool.ruff]\ntarget-version = "py39"\n'}
    for name in INTEGRATIONS:
        directory = f"integrations/{name}"
        files[f"{directory}/pyproject.toml"] = (
            '[build-system]\nrequires = ["hatchling", "hatch-vcs"]\nbuild-backend = "hatchling.build"\n\n'
            f'[project]\nname = "{name}-stack"\ndynamic = ["version"]\ndescription = ""\n'
            'authors = [{ name = "A", email = "a@example.invalid" }]\ndependencies = ["stack-ai>=2.0.0"]\n\n'
            '[tool.hatch.build.targets.wheel]\npackages = ["src/stack_integrations"]\n\n'
            '[tool.hatch.version]\nsource = "vcs"\n'
            f"tag-pattern = 'integrations\\/{name}-v(?P<version>.*)'\n\n"
            '[tool.hatch.version.raw-options]\nroot = "../.."\n'
            f"git_describe_command = 'git describe --tags --match=\"integrations/{name}-v[0-9]*\"'\n"
        )
        files[f"{directory}/src/stack_integrations/{name.replace('-', '_')}.py"] = '"""Since 1.0.0."""\n'
    repository(write(root, files))
    _tagged(root, *(f"integrations/{name}-v1.0.{number}" for number, name in enumerate(INTEGRATIONS)))
    malformed = ("chroma-v1", "integrations/chroma-v", "integrations/chroma-2.0.0", "integrations/chroma-vNEXT")
    _tagged(root, *malformed, "integrations/chroma/v3.0.0", "v9.0.0")
    git(root, "switch", "--quiet", "--create", "next")
    commit_all(write(root, {"integrations/chroma/NEXT.md": "next\n"}))
    _tagged(root, "integrations/chroma-v2.0.0")
    git(root, "switch", "--quiet", "main")
    return root


# --- 6: namespace packages -----------------------------------------------------------------------------


def _loom(name: str, version: str, needs: str, more: str = "") -> str:
    return (
        f'{HATCHLING}\n[project]\nname = "{name}"\nversion = "{version}"\nauthors = []\n'
        f"license-files = ['LICENSE']\ndependencies = [\n{needs}]\n{more}\n"
        '[tool.hatch.build.targets.wheel]\ninclude = ["loom"]\n\n'
        '[tool.mypy]\npython_version = "3.10"\n'
    )


def shape_06(root: Path) -> Path:
    """Namespace packages without `__init__`, tags like `checkpointpostgres==3.1.2`, circles among groups.

    Modelled on the libraries of a graph framework: ranges with upper bounds among siblings, development groups in
    which they name each other in a circle, and several applications of one name among the examples.
    """
    files = {
        "pyproject.toml": """\
            [tool.relnox]
            packages = ["libs/*"]
            versions = "independent"
            tag-format = "{tag-name}=={version}"

            [tool.relnox.tag-names]
            loom-checkpoint = "checkpoint"
            loom-checkpoint-postgres = "checkpointpostgres"
            loom-checkpoint-sqlite = "checkpointsqlite"
            loom-prebuilt = "prebuilt"
            loom-cli = "cli"
            loom-sdk = "sdk"
            """,
        "libs/checkpoint/pyproject.toml": _loom(
            "loom-checkpoint",
            "3.0.1",
            '  "orjson>=3.0.1",\n',
            '\n[dependency-groups]\ndev = ["loom-checkpoint-postgres", "loom"]\n',
        ),
        "libs/checkpoint/loom/checkpoint/base.py": '"""Since 3.0.1."""\n',
        "libs/checkpoint-postgres/pyproject.toml": _loom(
            "loom-checkpoint-postgres",
            "3.1.2",
            '  "loom-checkpoint>=2.1.2,<4.0.0",\n  "psycopg>=3.1.2",\n',
            '\n[tool.uv.sources]\nloom-checkpoint = { path = "../checkpoint", editable = true }\n',
        ),
        "libs/checkpoint-postgres/loom/checkpoint/postgres.py": "",
        "libs/checkpoint-sqlite/pyproject.toml": _loom(
            "loom-checkpoint-sqlite", "3.0.1", '  "loom-checkpoint>=3,<5.0.0",  # both\n  "sqlite-vec>=0.1.6",\n'
        ),
        "libs/checkpoint-sqlite/loom/checkpoint/sqlite.py": "",
        "libs/prebuilt/pyproject.toml": _loom(
            "loom-prebuilt",
            "1.0.6",
            "  'Loom_Checkpoint >= 2.1.0, < 4.0.0',\n",
            '\n[dependency-groups]\ndev = ["loom", "loom-checkpoint-sqlite"]\n',
        ),
        "libs/prebuilt/loom/prebuilt/tool.py": "",
        "libs/loom/pyproject.toml": _loom(
            "loom",
            "1.0.6",
            '  "loom-checkpoint>=2.1.0,<5.0.0",\n  "loom-prebuilt>=1.0.6,<1.1.0",\n',
            '\n[dependency-groups]\ntest = ["loom-checkpoint==3.0.1", "loom-cli[inmem]"]\n'
            'dev = [{ include-group = "test" }]\n',
        ),
        "libs/loom/loom/graph.py": "",
        "libs/cli/pyproject.toml": _loom(
            "loom-cli",
            "0.4.11",
            '  "click>=8.1.7",\n',
            "\n[project.optional-dependencies]\ninmem = [\"loom-checkpoint-postgres==3.1.2 ; os_name != 'nt'\"]\n",
        ),
        "libs/cli/loom_cli/__init__.py": '__version__ = "0.4.11"\n',
        "libs/sdk/pyproject.toml": _loom(
            "loom-sdk", "0.4.11", "", '\n[dependency-groups]\ndev = ["loom-cli==0.4.11"]\n'
        ),
        "libs/sdk/loom_sdk/__init__.py": "",
    }
    for number in ("one", "two"):
        for directory in (f"examples/{number}", f"libs/cli/examples/{number}"):
            files[f"{directory}/pyproject.toml"] = (
                '[project]\nname = "agent"\nversion = "0.0.1"\ndependencies = ["loom-checkpoint==3.0.1"]\n'
            )
    tags = (
        "checkpoint==3.0.1",
        "checkpointpostgres==3.1.2",
        "checkpointsqlite==3.0.1",
        "prebuilt==1.0.6",
        "1.0.6",
    )
    return _tagged(repository(write(root, files)), *tags)


# --- 7: drift ------------------------------------------------------------------------------------------


def shape_07(root: Path) -> Path:
    """Drift: pyproject says 2.3.0, a bump tool's settings 2.2.9, `__version__` 2.3.1, without any check.

    Modelled on several: a pin that excludes the tree's own version (the workspace's sources drop specifiers), a
    workspace that lists two of its four published packages, and a tag of the JavaScript client where the next
    version should go.
    """
    files = {
        "pyproject.toml": """\
            [tool.uv.workspace]
            members = ["libs/core", "libs/http"]

            [tool.uv.sources]
            drift-core = { workspace = true }

            [tool.bumpversion]
            current_version = "2.2.9"
            search = 'current_version = "2.2.9"'

            [tool.relnox]
            versions = "lockstep"

            [[tool.relnox.version-files]]
            file = "libs/core/src/drift_core/__init__.py"

            [[tool.relnox.version-files]]
            file = "pyproject.toml"
            pattern = '^current_version = "(?P<version>[^"]*)"'
            """,
        "libs/core/pyproject.toml": f'{HATCHLING}\n[project]\nname = "drift-core"\nversion = "2.3.0"\n',
        "libs/core/src/drift_core/__init__.py": (
            '"""Drift 2.3.1."""\n\n__version__ = \'2.3.1\'\n__api_version__ = \'2.3.1\'\n'
        ),
        "libs/http/pyproject.toml": (
            f'{HATCHLING}\n[project]\nname = "drift-http"\nversion = "2.3.0"\n'
            'dependencies = ["drift-core>=1.0,<2", "h2>=2.3.0"]\n'
        ),
        "libs/http/src/drift_http/__init__.py": "",
        "libs/aws/pyproject.toml": (
            f'{HATCHLING}\n[project]\nname = "drift-aws"\nversion = "2.3.0"\n'
            'dependencies = ["drift-core==2.3.0"]\n'
        ),
        "libs/gcp/pyproject.toml": f'{HATCHLING}\n[project]\nname = "drift-gcp"\nversion = "2.3.0"\n',
        "js/package.json": '{ "name": "drift", "version": "2.4.0" }\n',
    }
    return _tagged(repository(write(root, files)), "v2.3.0", "v2.4.0", "v2.4.0-js")


# --- 8: maturin ----------------------------------------------------------------------------------------


def shape_08(root: Path) -> Path:
    """maturin: one package states its version twice, one in Cargo.toml alone, one has that of the Cargo workspace.

    Modelled on a linter, on a validation core (indented keys, single quotes), and on crates that share one
    version.
    """
    build = '[build-system]\nrequires = ["maturin>=1,<2"]\nbuild-backend = "maturin"\n\n'
    authors = "authors = [\n    {name = 'A', email = 'a@example.invalid'}\n]\n"
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["python/*"]\nversions = "independent"\n',
        "Cargo.toml": (
            '[workspace]\nmembers = ["python/*", "crates/*"]\n\n[workspace.package]\nedition = "2021"\n'
            'rust-version = "1.80.0"  # version = "0.3.0"\nversion = "0.3.0"  # all crates\n\n'
            '[workspace.dependencies]\nserde = { version = "0.3.0" }\n'
            'crab-util = { path = "crates/crab-util" }\n'
        ),
        "crates/crab-util/Cargo.toml": "[package]\nname = 'crab-util'\nversion = { workspace = true }\n",
        "python/ferro/pyproject.toml": (
            f'{build}[project]\nname = "ferro"\ndescription = "A linter, 0.9.0"\nversion = "0.9.0"\n\n'
            '[project.urls]\nversion = "https://example.invalid/0.9.0"\n\n[tool.maturin]\nbindings = "bin"\n'
        ),
        "python/ferro/Cargo.toml": (
            '[package]\nname = "ferro"\nversion = "0.9.0"\nedition.workspace = true\n\n'
            '[dependencies]\nclap = { version = "0.9.0", features = ["derive"] }\nregex = "0.9.0"\n\n'
            '[package.metadata.dist]\nversion = "0.9.0"\n'
        ),
        "python/ferro/src/main.rs": 'fn main() { println!("{}", env!("CARGO_PKG_VERSION")); } // 0.9.0\n',
        "python/ferro/python/ferro/__init__.py": "from ._ferro import __version__\n",
        "python/crab/pyproject.toml": (
            f"{build}[project]\nname = 'crab_core'\n{authors}dynamic = [\n    'license',\n    'version'\n]\n\n"
            "[tool.maturin]\nmodule-name = 'crab_core._crab_core'\n"
        ),
        "python/crab/Cargo.toml": (
            "[package]\n  name = 'crab-core'\n  edition = '2021'\n  version = '2.41.5'\n  license = 'MIT'\n\n"
            "[dependencies]\n  pyo3 = { version = '0.26', features = ['abi3'] }\n  smallvec = '2.41.5'\n\n"
            "  [dependencies.jiter]\n    version = '2.41.5'\n"
        ),
        "python/plugin/pyproject.toml": (
            f"{build}[project]\nname = 'crab-plugin'\n{authors}dynamic = ['version']\n"
            "dependencies = ['crab-core>=2.41.5,<2.42', 'ferro==0.9.0']\n"
        ),
        "python/plugin/Cargo.toml": '[package]\nname = "crab-plugin"\nversion.workspace = true\n',
        "Cargo.lock": _CRAB_LOCK,
    }
    tags = ("ferro-v0.9.0", "crab-core-v2.41.5", "crab-plugin-v0.3.0")
    return _tagged(repository(write(root, files)), *tags)


_CRAB_LOCK = """\
version = 4

[[package]]
name = "crab-core"
version = "2.41.5"
dependencies = [
 "smallvec",
]

[[package]]
name = "crab-plugin"
version = "0.3.0"
dependencies = [
 "crab-util",
]

[[package]]
name = "crab-util"
version = "0.3.0"

[[package]]
name = "ferro"
version = "0.9.0"
dependencies = [
 "regex",
]

[[package]]
name = "regex"
version = "0.9.0"
source = "registry+https://example.invalid/index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"

[[package]]
name = "smallvec"
version = "2.41.5"
source = "registry+https://example.invalid/index"
checksum = "1111111111111111111111111111111111111111111111111111111111111111"
"""


# --- 9: path dependencies of Poetry --------------------------------------------------------------------


def _poem(name: str, version: str, needs: str) -> str:
    return (
        f'[tool.poetry]\nname = "{name}"\nauthors = [\n    "A <a@example.invalid>",\n]\n'
        f'version = "{version}"\ndescription = "First in {version}"\n'
        f'packages = [{{ include = "{name.replace("-", "_")}" }}]\n\n'
        f'[tool.poetry.dependencies]\npython = "^3.9"\n{needs}\n'
        '[build-system]\nrequires = ["poetry-core>=1.0.0"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )


def shape_09(root: Path) -> Path:
    """Path dependencies of Poetry: what is built from them says `pkg @ file:///…`; some are from git.

    Modelled on several repositories of libraries that were split from one application.
    """
    files = {
        "pyproject.toml": (
            '[tool.poetry]\npackage-mode = false\n\n[tool.poetry.dependencies]\npython = "^3.9"\n'
            'poem-app = { path = "app", develop = true }\n\n'
            '[tool.relnox]\npackages = ["app", "cli", "kit", "lib"]\nversions = "independent"\n'
        ),
        "app/pyproject.toml": _poem(
            "poem-app",
            "0.4.2",
            'poem-lib = { path = "../lib", develop = true }\n'
            'forked = { git = "https://example.invalid/forked.git", tag = "0.4.2" }\n\n'
            '[tool.poetry.group.dev.dependencies]\npoem-kit = { path = "../kit", extras = ["x"] }\n',
        ),
        "app/poem_app/__init__.py": "",
        "cli/pyproject.toml": _poem(
            "poem-cli",
            "1.0.0",
            'Poem_Lib = "^0.4.1"  # the published one\n'
            'poem-kit = { version = ">=0.4,<0.5", optional = true }\n'
            'click = "^0.4.2"\n\n[tool.poetry.extras]\nkit = ["poem-kit"]\n\n'
            '[tool.poetry.dev-dependencies]\npoem-app = "0.4.2"\n',
        ),
        "cli/poem_cli/__init__.py": '__version__ = "1.0.0"\n',
        "kit/pyproject.toml": _poem("poem-kit", "0.4.2", ""),
        "kit/poem_kit/__init__.py": "",
        "lib/pyproject.toml": _poem("poem-lib", "0.4.2", 'httpx = ">=0.4.2"\n'),
        "lib/poem_lib/__init__.py": "",
    }
    return repository(write(root, files))


# --- 10: versions from tags that are not there ---------------------------------------------------------


def shape_10(root: Path) -> Path:
    """A version from the tags in a checkout that has none: everything would build as `0.1.dev1+gabc`.

    Modelled on what a service for continuous integration fetches. The tags that are there are of other things.
    """
    files = {
        "pyproject.toml": """\
            [build-system]
            requires = ["setuptools>=64", "setuptools_scm[toml]>=8"]
            build-backend = "setuptools.build_meta"

            [project]
            name = "hollow"
            dynamic = ["version"]
            authors = [{ name = "A" }]

            [tool.setuptools_scm]
            version_file = "src/hollow/_version.py"
            """,
        "src/hollow/__init__.py": """\
            try:
                from hollow._version import version
            except ImportError:
                version = "0"
            """,
        ".gitignore": "_version.py\n/dist/\n",
        "README.md": "hollow\n",
    }
    return _tagged(repository(write(root, files)), "latest", "docs-1.0")


# --- 11: three version systems in one repository -------------------------------------------------------


def _by_versioningit(name: str) -> str:
    return (
        '[build-system]\nrequires = ["hatchling>=1.21.0", "versioningit"]\nbuild-backend = "hatchling.build"\n\n'
        f'[project]\nname = "{name}"\ndynamic = ["version"]\ndependencies = ["httpx>=0.23"]\n\n'
        '[tool.hatch.version]\nsource = "versioningit"\n\n'
        '[tool.versioningit.vcs]\nmatch = ["[0-9]*.[0-9]*.[0-9]*", "[0-9]*.[0-9]*.[0-9]*.dev[0-9]*"]\n'
        'default-tag = "0.0.0"\n\n'
        '[tool.versioningit.format]\ndistance = "{base_version}+{distance}.{vcs}{rev}"\n'
    )


def _by_setuptools_scm(name: str) -> str:
    return (
        '[build-system]\nrequires = ["setuptools>=45", "setuptools_scm[toml]>=6.2"]\n'
        'build-backend = "setuptools.build_meta"\n\n'
        f'[project]\nname = "{name}"\ndynamic = ["version"]\ndependencies = ["flow>=3.6.0"]\n\n'
        '[tool.setuptools_scm]\nversion_file = "_version.py"\nroot = "../../.."\n'
        f"tag_regex = '^{name}-(?P<version>\\d+\\.\\d+\\.\\d+(?:[a-zA-Z0-9]+(?:\\.[a-zA-Z0-9]+)*)?)$'\n"
        'fallback_version = "0.0.0"\n'
        f"git_describe_command = 'git describe --dirty --tags --long --match \"{name}-*[0-9]*\"'\n"
    )


def shape_11(root: Path) -> Path:
    """Three version systems in one repository, many tag namespaces, a package made of another's pruned copy.

    Modeled on a workflow server: the server and its client by versioningit from plain tags (`3.6.1`), sixteen
    integrations by setuptools-scm (`flow-aws-0.5.1`), the interface's assets by the version in package.json.
    The client's directory holds no code: a script copies the server and removes what servers need.
    """
    names = "aws aws-batch azure bitbucket dask dbt docker email gcp github gitlab kubernetes ray shell slack snow"
    integrations = [f"flow-{name}" for name in names.split()]
    settings = (
        '\n[tool.relnox]\npackages = [".", "client", "ui", "src/integrations/*"]\nversions = "independent"\n\n'
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
              "version": "2.1.0"
            }
            """,
        "ui/flow_ui/__init__.py": "",
    }
    for name in integrations:
        files[f"src/integrations/{name}/pyproject.toml"] = _by_setuptools_scm(name)
        files[f"src/integrations/{name}/{name.replace('-', '_')}/__init__.py"] = ""
    repository(write(root, files))
    _tagged(root, "3.6.0", "3.6.1", "v0.1", "helm-9.0.0", "flow-ui-v2.1.0", "flow-aws-batch-9.9.9")
    return _tagged(root, *(f"{name}-0.{number}.0" for number, name in enumerate(integrations)))


# --- 12: a backend that builds itself ------------------------------------------------------------------


def _sibling(name: str, version: str, needs: str = "") -> str:
    return (
        '[build-system]\nrequires = ["anvil-backend>=1.27.0,<2"]\nbuild-backend = "anvil_backend"\n\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = [{needs}]\n'
    )


def shape_12(root: Path) -> Path:
    """A backend that builds itself, and siblings that need it when they are built.

    Modelled on a project manager and its build backend in one repository. The backend is a real one, of forty
    lines, so that the siblings can be built with what was just built of it.
    """
    settings = (
        '\n[tool.relnox]\npackages = [".", "backend", "plugins/*"]\nversions = "independent"\n'
        'exclude = ["plugins/draft"]\n'
    )
    files = {
        "pyproject.toml": _sibling("anvil", "1.16.0", '"anvil-backend>=1.27.0", "anvil-vcs>=0.5"') + settings,
        "anvil.py": '"""Since 1.16.0."""\n',
        "backend/pyproject.toml": (
            "[build-system]\nrequires = []\nbuild-backend = 'anvil_backend'\nbackend-path = ['src']\n\n"
            '[project]\nname = "anvil-backend"\ndynamic = ["version"]\ndependencies = []\n\n'
            "[tool.hatch.version]\npath = 'src/anvil_backend/__about__.py'\n"
        ),
        "backend/src/anvil_backend/__about__.py": "__version__ = '1.27.0'\n",
        "backend/src/anvil_backend/__init__.py": _ANVIL,
        "plugins/vcs/pyproject.toml": _sibling("anvil-vcs", "0.5.0"),
        "plugins/vcs/anvil_vcs.py": "",
        "plugins/draft/pyproject.toml": _sibling("anvil-draft", "0"),
        ".gitignore": "/dist/\n__pycache__/\n",
    }
    return _tagged(repository(write(root, files)), "anvil-v1.16.0", "anvil-backend-v1.27.0", "anvil-vcs-v0.5.0")


_ANVIL = """\
import base64, hashlib, io, pathlib, tarfile, tomllib, zipfile


def facts():
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    about = pathlib.Path("src/anvil_backend/__about__.py")
    version = project.get("version") or about.read_text().split("'")[1]
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {version}"]
    lines += [f"Requires-Dist: {each}" for each in project["dependencies"]]
    return f"{project['name'].replace('-', '_')}-{version}", ("\\n".join(lines) + "\\n").encode()


def modules():
    top = pathlib.Path("src") if pathlib.Path("src").is_dir() else pathlib.Path()
    found = sorted(top.glob("anvil*.py")) + sorted(top.glob("anvil*/*.py"))
    return [(path.relative_to(top).as_posix(), path) for path in found]


def build_sdist(directory, settings=None):
    stem, metadata = facts()
    contents = {"PKG-INFO": metadata, "pyproject.toml": pathlib.Path("pyproject.toml").read_bytes()}
    contents |= {path.as_posix(): path.read_bytes() for _, path in modules()}
    with tarfile.open(pathlib.Path(directory) / f"{stem}.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"{stem}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return f"{stem}.tar.gz"


def build_wheel(directory, settings=None, metadata_directory=None):
    stem, metadata = facts()
    info = f"{stem}.dist-info"
    contents = {name: path.read_bytes() for name, path in modules()} | {f"{info}/METADATA": metadata}
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    record = []
    for name, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        record.append(f"{name},sha256={digest},{len(content)}\\n")
    contents[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\\n"]).encode()
    with zipfile.ZipFile(pathlib.Path(directory) / f"{stem}-py3-none-any.whl", "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return f"{stem}-py3-none-any.whl"
"""


# --- 13: a jungle of fixtures --------------------------------------------------------------------------


def shape_13(root: Path) -> Path:
    """A jungle of fixtures: ninety-six pyproject files beside the one of the package.

    Modelled on a backend's own repository: names that are one name only after normalisation, no name, an empty
    version, Jinja in paths and in TOML, files without `[project]`, and a file that is no TOML at all.
    """
    files = {
        "pyproject.toml": """\
            [build-system]
            requires = ["hatchling", "hatch-vcs"]
            build-backend = "hatchling.build"

            [project]
            name = "thicket-core"
            authors = [
              { name = "A", email = "a@example.invalid" },
            ]
            dynamic = ["version"]
            dependencies = ["packaging >=23.2"]

            [project.optional-dependencies]
            all = ["thicket_core[test]"]
            test = ["CMake.Example==0.0.1"]

            [tool.hatch]
            version.source = "vcs"
            build.hooks.vcs.version-file = "src/thicket_core/_version.py"
            """,
        "src/thicket_core/__init__.py": "",
        "src/thicket_core/resources/new/pyproject.toml": '[project]\nname = "<name>"\nversion = "0.0.1"\n',
        "tests/packages/dots/pyproject.toml": '[project]\nname = "CMake.Example"\nversion = "0.0.1"\n',
        "tests/packages/dashes/pyproject.toml": '[project]\nname = "cmake-example"\nversion = "0.0.1"\n',
        "tests/packages/nameless/pyproject.toml": '[project]\nversion = "0.0.1"\n',
        "tests/packages/empty/pyproject.toml": '[project]\nname = "empty"\nversion = ""\n',
        "tests/packages/no-toml/pyproject.toml": "[project\nname = broken\n",
        "tests/packages/{{cookiecutter.name}}/pyproject.toml": '[project]\nname = "{{ cookiecutter.name }}"\n',
        "docs/examples/{% if abi3 %}abi3{% endif %}/pyproject.toml": (
            '[project]\nname = "example"\nversion = "0.0.1"\n{% if abi3 %}\n[tool.x]\nversion = "1"\n{% endif %}\n'
        ),
    }
    for number in range(44):
        files[f"tests/packages/static_{number}/pyproject.toml"] = '[build-system]\nrequires = ["thicket-core"]\n'
        files[f"tests/packages/simple_{number}/pyproject.toml"] = (
            f'[project]\nname = "simple{number % 7}"\nversion = "0.0.1"\ndependencies = ["thicket-core"]\n'
        )
    return _tagged(repository(write(root, files)), "v0.10.9", "v0.11.0", "v0.11.0-docs")


# --- 14: decoys ----------------------------------------------------------------------------------------


def shape_14(root: Path) -> Path:
    """Decoys: whatever looks like the version of a package beside the one place that is it.

    Modelled on what releases of well-known packages have changed by mistake.
    """
    tools = '[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n\n'
    dynamic = '[project]\nname = "{}"\ndynamic = ["version"]\n\n'
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["*"]\nversions = "independent"\n',
        "plain/pyproject.toml": """\
            [build-system]
            requires = ["flit_core>=3.2.0"]
            build-backend = "flit_core.buildapi"

            [project]
            name = "plain"
            authors = [
                { name = "version = '3.2.0.dev'", email = "a@example.invalid" },
            ]
            description = "version = 3.2.0.dev"
            version = "3.2.0.dev"  # not 3.2.0.dev1

            [project.urls]
            version = "https://example.invalid/3.2.0.dev"
            Changes = "https://example.invalid/3.2.0.dev/changes/#version-3.2.0.dev"

            [tool.black]
            target-version = ["py39"]

            [tool.other]
            target-version = "3.2.0.dev"
            version = "3.2.0.dev"
            """,
        "plain/plain/__init__.py": """\
            try:
                from plain._scm import version as __version__
            except ImportError:
                try:
                    __version__ = "3.2.0.dev"
                except NameError:
                    __version__ = "3.2.0.dev"
            """,
        "number/pyproject.toml": (
            f"{tools}{dynamic.format('number')}[tool.setuptools.dynamic]\n"
            'version = { attr = "number.__version__.__version__" }\n'
        ),
        "number/number/__init__.py": "from number.__version__ import __version__\n",
        "number/number/__version__.py": (
            '__title__ = "number 2.31.1"\n__version__ = "2.31.1"\n__build__ = 0x023101\n'
            '__cake__ = "\\u2728 2.31.1"\n'
        ),
        "epoch/pyproject.toml": (
            f'{tools}{dynamic.format("epoch")}[tool.setuptools.dynamic]\nversion = {{ file = "VERSION.txt" }}\n'
        ),
        "epoch/VERSION.txt": "1!0+dev\n",
        "epoch/epoch.py": "",
        "coded/pyproject.toml": (
            f'{HATCHLING}\n{dynamic.format("coded")}[tool.hatch.version]\nsource = "code"\n'
            'path = "coded/about.py"\nexpression = "RELEASE"\n'
        ),
        "coded/coded/about.py": '__version__ = "0.4.0"\nOLD_RELEASE = "0.4.0"\nRELEASE = "0.4.0"  # 0.4.0\n',
        "coded/coded/__init__.py": "",
        "mesonic/pyproject.toml": (
            '[build-system]\nrequires = ["meson-python>=0.15.0"]\nbuild-backend = "mesonpy"\n\n'
            f"{dynamic.format('mesonic')}"
        ),
        "mesonic/meson.build": """\
            # version: '1.4.0'
            project(
              'mesonic',
              'c', 'cython',
              meson_version: '>= 1.4.0',
              license: 'version: 1.4.0',
              version: '1.4.0',  # the one place
              default_options: ['c_std=c17', 'version=1.4.0'],
            )
            dep = dependency('other', version: '1.4.0')
            py = import('python').find_installation(pure: false)
            """,
        "regexp/pyproject.toml": """\
            [build-system]
            requires = ["scikit-build-core"]
            build-backend = "scikit_build_core.build"

            [project]
            name = "regexp"
            dynamic = ["version"]

            [tool.scikit-build]
            minimum-version = "0.8.1"

            [tool.scikit-build.metadata.version]
            provider = "scikit_build_core.metadata.regex"
            input = "include/regexp/version.h"
            regex = '#define REGEXP_VERSION "(?P<value>[^"]+)"'
            """,
        "regexp/include/regexp/version.h": (
            '#define REGEXP_ABI_VERSION "0.8.1"\n#define REGEXP_VERSION "0.8.1"\n'
            "#define REGEXP_VERSION_NUMBER 801\n"
        ),
    }
    return repository(write(root, files))
