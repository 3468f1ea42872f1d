"""Which packages a directory holds: shapes of real repositories, and files that only look like packages."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from projects import git, lockstep_workspace, repository, single, write
from running import open_project

from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.workspace import Workspace

BUILD = '\n[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'


def package(name: str, version: str = "1.0", more: str = "") -> str:
    """A pyproject.toml."""
    return f'[project]\nname = "{name}"\nversion = "{version}"\n{dedent(more)}{BUILD}'


def discover_in(at: Path, /, **files: str) -> Workspace:
    """Discover the packages in a directory with these pyproject.toml files, by directory (`root`: the top)."""
    files = {"root": "", **files}
    texts = {
        "pyproject.toml" if directory == "root" else f"{directory}/pyproject.toml": text
        for directory, text in files.items()
    }
    return open_project(write(at, texts)).workspace


def directories(workspace: Workspace) -> dict[str, str]:
    return {package.name: package.directory for package in workspace.packages}


# --- the project's root --------------------------------------------------------------------------------


def test_the_root_is_found_from_a_subdirectory(tmp_path: Path) -> None:
    root = repository(lockstep_workspace(tmp_path / "acme"))
    for start in (root, root / "packages", root / "packages/core", root / "packages/core/src/acme_core"):
        project = open_project(start)
        assert project.root == root
        assert len(project.workspace.packages) == 5


def test_the_root_is_found_without_git(tmp_path: Path) -> None:
    root = lockstep_workspace(tmp_path / "acme")
    project = open_project(root / "packages/core")
    assert project.root == root
    assert project.git is None
    assert project.persistent_directory == root / ".relnox"


def test_a_project_in_a_directory_of_the_checkout_stays_there(tmp_path: Path) -> None:
    top = write(tmp_path / "mono", {"README.md": "", "web/package.json": "{}"})
    single(top / "python")
    repository(top)
    project = open_project(top / "python" / "src")
    assert project.root == top / "python"
    assert project.git is not None
    assert project.git.prefix == "python/"


def test_directories_above_the_checkout_are_not_searched(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "[tool.relnox]\n"})
    write(tmp_path / "inner", {"lib/pyproject.toml": package("inner")})
    project = open_project(repository(tmp_path / "inner"))
    assert project.root == tmp_path / "inner"
    assert directories(project.workspace) == {"inner": "lib"}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"setup.cfg": "[metadata]\nname = x\n"}, "setup.cfg"),
        ({"setup.cfg": "[metadata]\nname = x\n", "setup.py": "setup()"}, "setup.cfg"),
        ({"setup.cfg": "[bdist_wheel]\nuniversal = 0\n", "setup.py": "setup(name='x')"}, "setup.py"),
        ({"setup.py": "setup(name='x')"}, "setup.py"),
    ],
)
def test_metadata_that_is_not_read_is_named(tmp_path: Path, files: dict[str, str], name: str) -> None:
    root = write(tmp_path, {**files, "pyproject.toml": BUILD})
    with pytest.raises(Blocked, match=f"relnox reads .project. of pyproject.toml, not {name}") as caught:
        _ = open_project(root).workspace
    assert caught.value.fix == f"move the metadata from {name} to [project] in pyproject.toml"
    inner = {f"old/{file}": text for file, text in {**files, "pyproject.toml": BUILD}.items()}
    write(tmp_path / "all", {**inner, "lib/pyproject.toml": package("lib"), "pyproject.toml": ""})
    for settings in ("", '[tool.relnox]\npackages = ["*"]\n'):
        workspace = discover_in(tmp_path / "all", root=settings)
        assert directories(workspace) == {"lib": "lib"}
        reason = f"its metadata is in {name}, not in [project] of pyproject.toml"
        assert workspace.warnings == (f"skipped old: {reason}",)


# --- one package ---------------------------------------------------------------------------------------


def test_a_root_that_is_a_package_is_the_only_one(tmp_path: Path) -> None:
    workspace = discover_in(tmp_path, root=package("Demo.Tool"), **{"plugins/extra": package("demo-extra")})
    assert directories(workspace) == {"demo-tool": "."}
    (only,) = workspace.packages
    assert (only.pyproject, only.source.file, only.source.key) == (
        "pyproject.toml",
        "pyproject.toml",
        ("project", "version"),
    )


@pytest.mark.parametrize(
    ("text", "kind", "key", "version"),
    [
        ('[project]\nname = "x"\nversion = "0.66b0.dev"\n', "toml", "project.version", "0.66b0.dev0"),
        ('\ufeff[project]\nname = "x"\nversion = "1.0"\n', "toml", "project.version", "1.0"),
        ("[project]\r\nname = 'x'\r\nversion = '1.0'\r\n", "toml", "project.version", "1.0"),
        ('[tool.poetry]\nname = "x"\nversion = "1.0"\n', "toml", "tool.poetry.version", "1.0"),
        (
            '[project]\nname = "x"\ndynamic = ["version"]\n[tool.poetry]\nversion = "1.1"\n',
            "toml",
            "tool.poetry.version",
            "1.1",
        ),
        (
            '[project]\nname = "x"\nversion = "1.2"\n[tool.poetry]\nversion = "1.1"\n',
            "toml",
            "project.version",
            "1.2",
        ),
        ('[project]\nname = "x"\ndynamic = ["version"]\n', "dynamic", "", "None"),
    ],
)
def test_where_a_version_lives(tmp_path: Path, text: str, kind: str, key: str, version: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text.encode())
    (only,) = open_project(tmp_path).workspace.packages
    assert (only.source.kind, ".".join(map(str, only.source.key)), str(only.version)) == (kind, key, version)


@pytest.mark.parametrize(
    ("more", "provider"),
    [
        ("", "the backend, setuptools.build_meta:__legacy__"),
        ('[build-system]\nbuild-backend = "maturin"\n', "the backend, maturin"),
        ('[tool.hatch.version]\npath = "x.py"\n', "hatch, from x.py (x.py does not exist)"),
        ('[tool.hatch.version]\nsource = "vcs"\n', "hatch-vcs"),
        ("[tool.setuptools_scm]\n", "setuptools-scm"),
        (
            '[tool.setuptools.dynamic]\nversion = { attr = "x.__version__.v" }\n',
            "setuptools, from x.__version__.v (src/x/__version__.py does not exist)",
        ),
        (
            '[tool.setuptools.dynamic]\nversion = { file = ["VERSION"] }\n',
            "setuptools, from ['VERSION'] (VERSION does not exist)",
        ),
    ],
)
def test_the_provider_of_a_dynamic_version(tmp_path: Path, more: str, provider: str) -> None:
    (only,) = discover_in(tmp_path, root=f'[project]\nname = "x"\ndynamic = ["version"]\n{more}').packages
    assert (only.version, only.source.text) == (None, provider)


@pytest.mark.parametrize(
    "members", [".", "./", "", "*", "**", "./crates/*", "crates/**/*", "../outside", "/", "[", "a**", "crates//x/"]
)
def test_every_glob_that_may_name_members_of_a_cargo_workspace(tmp_path: Path, members: str) -> None:
    crate = '[package]\nname = "x"\nversion = "1.2.0"\n'
    requirement = (
        '[package]\nname = "y"\nversion = "0.1.0"\n[dependencies]\nx = {path = "../..", version = "1.2.0"}\n'
    )
    write(
        tmp_path,
        {
            "Cargo.toml": f"{crate}[workspace]\nmembers = ['{members}']\n",
            "crates/x/Cargo.toml": requirement,
            "pyproject.toml": '[project]\nname = "x"\ndynamic = ["version"]\n'
            '[build-system]\nbuild-backend = "maturin"\n',
        },
    )
    (only,) = open_project(tmp_path).workspace.packages
    assert str(only.version) == "1.2.0"
    files = {dependency.file for dependency in only.dependencies}
    assert ("crates/x/Cargo.toml" in files) == (members in {"**", "./crates/*", "crates/**/*", "crates//x/"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[project]\nname = "x"\nversion = "1.0-SNAPSHOT"\n', "'1.0-SNAPSHOT' is not a valid version"),
        ('[project]\nname = "x"\nversion = ""\n', "'' is not a valid version"),
        ('[project]\nname = "x"\n', "has no version"),
        ('[project]\nversion = "1"\n', "has no package name"),
        ('[project]\nname = "a b"\nversion = "1"\n', "'a b' is not a valid package name"),
        ('[project]\nname = 3\nversion = "1"\n', "has no package name"),
        ('project = "x"\n', "has no package name"),
    ],
)
def test_a_root_with_an_invalid_package_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Blocked, match=rf"pyproject\.toml:? .*{message}"):
        discover_in(tmp_path, root=text)


@pytest.mark.parametrize(
    ("text", "private"),
    [
        ('classifiers = ["Private :: Do Not Upload"]', True),
        ('classifiers = ["Typing :: Typed", "Private :: internal"]', True),
        ('classifiers = ["Topic :: Private :: x"]', False),
        ('classifiers = "Private ::"', False),
        ("", False),
    ],
)
def test_a_private_package_is_recognized_by_its_classifier(tmp_path: Path, text: str, *, private: bool) -> None:
    (only,) = discover_in(tmp_path, root=package("x", more=text + "\n")).packages
    assert only.is_private is private


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ('requires-python = ">=3.9,<4"\n', ">=3.9,<4"),
        ('\n[tool.poetry.dependencies]\npython = "^3.9"\n', "^3.9"),
        ('requires-python = ">=3.9"\n\n[tool.poetry.dependencies]\npython = "^3.10"\n', ">=3.9"),
        ("requires-python = 3\n", ""),
        ("", ""),
    ],
)
def test_the_python_versions_of_a_package(tmp_path: Path, text: str, python: str) -> None:
    classifiers = 'classifiers = ["Programming Language :: Python :: 3.12"]\n'
    (only,) = discover_in(tmp_path, root=package("x", more=classifiers + text)).packages
    assert (only.requires_python, only.classifiers) == (python, ("Programming Language :: Python :: 3.12",))


def test_values_of_the_wrong_type_are_read_as_empty_tables(tmp_path: Path) -> None:
    workspace = discover_in(
        tmp_path,
        root="""\
tool.uv = "x"
dependency-groups = []
build-system = 1

[project]
name = "x"
version = "1.0"
dynamic = 3
classifiers = 4
dependencies = "a"
optional-dependencies = { all = "b", some = [1, "c>=1", "not a requirement!"] }
""",
    )
    assert [need.name for need in workspace.packages[0].dependencies] == ["c"]


def test_every_table_of_requirements_is_read_with_its_key(tmp_path: Path) -> None:
    text = """\
        [project]
        name = "x"
        version = "1.0"
        dependencies = ["Run_Time>=1 ; python_version >= '3.8'", "{{ template }}"]
        [project.optional-dependencies]
        "all in" = ["x[fast]", "extra @ https://example.invalid/extra.whl"]
        [dependency-groups]
        dev = [{ include-group = "other" }, "group==1"]
        [build-system]
        requires = ["backend"]
        [tool.poetry.dependencies]
        python = "^3.8"
        caret = "^1.2"
        table = { version = "~1", optional = true }
        several = [{ version = "1", python = "<3.9" }, { version = "2" }]
        beside = { path = "../beside", develop = true }
        [tool.poetry.group."my dev".dependencies]
        pdev = "*"
        """
    (only,) = discover_in(tmp_path, root=dedent(text)).packages
    assert {(need.name, need.table, need.key) for need in only.dependencies} == {
        ("run-time", "runtime", ("project", "dependencies", 0)),
        ("x", "extra", ("project", "optional-dependencies", "all in", 0)),
        ("extra", "extra", ("project", "optional-dependencies", "all in", 1)),
        ("group", "group", ("dependency-groups", "dev", 1)),
        ("backend", "build", ("build-system", "requires", 0)),
        ("caret", "runtime", ("tool", "poetry", "dependencies", "caret")),
        ("table", "extra", ("tool", "poetry", "dependencies", "table", "version")),
        ("several", "runtime", ("tool", "poetry", "dependencies", "several", 0, "version")),
        ("several", "runtime", ("tool", "poetry", "dependencies", "several", 1, "version")),
        ("beside", "runtime", ()),
        ("pdev", "group", ("tool", "poetry", "group", "my dev", "dependencies", "pdev")),
    }
    assert only.required_names("runtime", "extra", "group", "build").isdisjoint({"x", "python"})


# --- packages that the project lists -------------------------------------------------------------------


def test_listed_directories_without_the_excluded_ones(tmp_path: Path) -> None:
    workspace = discover_in(
        tmp_path,
        root='[tool.relnox]\npackages = ["libs/*", "./tools/cli/", "libs/a"]\n'
        'exclude = ["libs/old-*", "./libs/draft"]\nversions = "independent"\n',
        **{
            "libs/a": package("a"),
            "libs/b": package("b"),
            "libs/old-c": package("c"),
            "libs/draft": "not toml",
            "tools/cli": package("cli"),
            "tools/other": package("other"),
        },
    )
    assert directories(workspace) == {"a": "libs/a", "b": "libs/b", "cli": "tools/cli"}
    assert workspace.warnings == ()


@pytest.mark.parametrize(
    ("glob", "message"),
    [
        ("lib/*", "'lib/\\*' in \\[tool.relnox\\] packages matches no directory"),
        ("../elsewhere", "refers to a directory outside"),
        ("libs/../../elsewhere", "refers to a directory outside"),
        ("**libs", "is not a valid glob"),
    ],
)
def test_a_glob_in_packages_without_a_match_is_rejected(tmp_path: Path, glob: str, message: str) -> None:
    write(tmp_path, {"elsewhere/pyproject.toml": package("elsewhere"), "libs/a/pyproject.toml": package("a")})
    root = tmp_path / "root"
    with pytest.raises(Blocked, match=message):
        discover_in(root, root=f'[tool.relnox]\npackages = ["{glob}"]\n', **{"libs/a": package("a")})


def test_a_listed_directory_without_a_package_is_skipped_with_a_warning(tmp_path: Path) -> None:
    workspace = discover_in(
        tmp_path,
        root='[tool.relnox]\npackages = ["libs/*"]\n',
        **{"libs/a": package("a"), "libs/settings": "[tool.ruff]\nline-length = 100\n"},
    )
    assert directories(workspace) == {"a": "libs/a"}
    assert workspace.warnings == ("skipped libs/settings: pyproject.toml describes no package",)


@pytest.mark.parametrize("text", ["[project\n", package("b", version="x"), '[project]\nversion = "1"\n'])
def test_an_invalid_listed_package_is_rejected(tmp_path: Path, text: str) -> None:
    with pytest.raises(Blocked, match=r"libs/b/pyproject\.toml"):
        discover_in(
            tmp_path, root='[tool.relnox]\npackages = ["libs/*"]\n', **{"libs/a": package("a"), "libs/b": text}
        )


# --- uv workspaces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_package", "is_named"),
    [
        ('[project]\nname = "x"\nversion = "0"\n', False, True),
        ('[project]\nname = "x"\nversion = "0"\n[tool.uv]\npackage = false\n', False, False),
        ('[project]\nname = "x"\nversion = "0"\n[tool.uv]\npackage = true\n', True, False),
        (package("x", more="[tool.uv]\npackage = false\n"), True, False),
        (package("x", more="[tool.poetry]\npackage-mode = false\n"), False, False),
        (package("x", more="[tool.pdm]\ndistribution = false\n"), False, False),
    ],
)
@pytest.mark.parametrize("layout", ["root", "member", "search", "listed"])
def test_a_project_without_a_build_system_is_no_package_unless_it_is_listed(
    tmp_path: Path, text: str, layout: str, *, is_package: bool, is_named: bool
) -> None:
    workspace = '[tool.uv.workspace]\nmembers = ["libs/*"]\n'
    roots = {
        "root": text.replace("[tool.uv]\n", f"{workspace}[tool.uv]\n") if "tool.uv" in text else text + workspace,
        "member": workspace,
        "search": "",
        "listed": '[tool.relnox]\npackages = ["libs/*"]\n',
    }
    files = {"libs/a": package("a")} | ({} if layout == "root" else {"libs/x": text})
    found = discover_in(tmp_path / "some", root=roots[layout], **files)
    if is_package or is_named:
        assert directories(discover_in(tmp_path / "one", root=text)) == {"x": "."}
    else:
        with pytest.raises(Blocked, match=r"\[tool\.\w+\] [a-z-]+ = false in pyproject.toml"):
            discover_in(tmp_path / "one", root=text)
    assert ("x" in directories(found)) is (is_package or layout == "listed")
    assert len(found.warnings) == (is_named and layout != "listed")
    assert all("no [build-system]" in warning for warning in found.warnings)


@pytest.mark.parametrize("root", ["", package("x")], ids=["search", "root"])
@pytest.mark.parametrize("link", ["requirements/pyproject.toml", "a-link/pyproject.toml", "linked"])
def test_a_linked_project_is_no_second_package(tmp_path: Path, link: str, root: str) -> None:
    write(tmp_path, {"pyproject.toml": root, "lib/pyproject.toml": package("lib")})
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to("lib" if link == "linked" else "../lib/pyproject.toml")
    project = open_project(repository(tmp_path))
    assert directories(project.workspace) == ({"x": "."} if root else {"lib": "lib"})
    assert [package.directory for package in project.unlisted_packages] == (["lib"] if root else [])


# --- the careful walk ----------------------------------------------------------------------------------


def test_a_search_skips_fixtures_templates_and_examples(tmp_path: Path) -> None:
    # a jungle of fixtures of which one is a package.
    passed = [
        "tests/fixtures/demo",
        "tests/unit",
        "examples/one",
        "docs",
        "vendor/lib",
        "Templates/new",
        "{{cookiecutter.slug}}",
        "tool/{{ cookiecutter.name }}/inner",
        "{% if x %}y{% endif %}",
        ".hidden/x",
        ".venv/lib/site-packages/x",
        "node_modules/x",
        "build/lib",
        "dist/x",
    ]
    workspace = discover_in(
        tmp_path,
        **{
            "src/real": package("real"),
            "excluded/deep/down": package("excluded"),
            "root": '[tool.ruff]\nline-length = 100\n[tool.relnox]\nexclude = ["excluded"]\n',
        },
        **{directory: package(f"passed-{number}") for number, directory in enumerate(passed)},
    )
    assert directories(workspace) == {"real": "src/real"}
    assert workspace.warnings == ()


def test_a_search_skips_virtual_environments_of_any_name(tmp_path: Path) -> None:
    write(tmp_path, {"my-env/pyvenv.cfg": "home = x\n", "my-env/x/pyproject.toml": package("inside")})
    assert directories(discover_in(tmp_path, lib=package("lib"))) == {"lib": "lib"}


def with_submodule(directory: Path, settings: str = "") -> Path:
    """A checkout with a package, and a submodule that is a package."""
    inner = repository(write(directory / "inner", {"pyproject.toml": package("inner")}))
    files = {"lib/pyproject.toml": package("lib"), "pyproject.toml": settings}
    root = repository(write(directory / "outer", files))
    git(root, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub/inner")
    return root


def test_a_search_skips_submodules(tmp_path: Path) -> None:
    assert directories(open_project(with_submodule(tmp_path)).workspace) == {"lib": "lib"}


@pytest.mark.parametrize(
    "table", ['relnox]\npackages = ["lib", "sub/*"]', 'uv.workspace]\nmembers = ["lib", "sub/*"]']
)
def test_a_listed_package_in_a_submodule_is_rejected_until_it_is_excluded(tmp_path: Path, table: str) -> None:
    root = with_submodule(tmp_path, f"[tool.{table}\n")
    with pytest.raises(
        Blocked, match=r"inner is in another git repository or a submodule \(sub/inner\)"
    ) as caught:
        _ = open_project(root).workspace
    assert caught.value.code == "package-unknown"
    setting = (caught.value.fix or "").partition("[tool.relnox] ")[2]
    text = (root / "pyproject.toml").read_text(encoding="utf-8")
    head = "" if "[tool.relnox]" in text else "[tool.relnox]\n"
    (root / "pyproject.toml").write_text(f"{text}{head}{setting}\n", encoding="utf-8")
    assert directories(open_project(root).workspace) == {"lib": "lib"}


def test_a_search_skips_invalid_packages_with_a_warning(tmp_path: Path) -> None:
    workspace = discover_in(
        tmp_path,
        **{
            "a": package("good"),
            "b-invalid": "[project\nname = {{ slug }}\n",
            "c-nameless": '[project]\nversion = "1.0"\n',
            "d-name": '[project]\nname = "<REPLACE ME>"\nversion = "1.0"\n',
            "e-empty": package("empty", version=""),
            "f-versionless": f'[project]\nname = "versionless"\n{BUILD}',
            "g-settings": "[tool.black]\n",
            "h-no-backend": '[project]\nname = "no-backend"\nversion = "2.0"\n',
            "i-again": package("Good"),
            "j-bom": "\ufeff" + package("bom"),
            "k-empty-table": "[project]\n",
            "l-endless": "x = " + "[" * 10_000,
        },
    )
    assert directories(workspace) == {"good": "a", "bom": "j-bom"}
    assert [warning.partition(":")[0] for warning in workspace.warnings] == [
        "skipped b-invalid",
        "skipped c-nameless",
        "skipped d-name",
        "skipped e-empty",
        "skipped f-versionless",
        "skipped h-no-backend",
        "skipped i-again",
        "skipped l-endless",
    ]
    assert "a is named good as well" in workspace.warnings[6]
    assert str(tmp_path) not in "".join(workspace.warnings)


def test_of_two_packages_with_the_same_name_a_search_finds_the_one_nearer_the_root(tmp_path: Path) -> None:
    workspace = discover_in(tmp_path, **{"a/b/c": package("same"), "z": package("same")})
    assert directories(workspace) == {"same": "z"}


def test_a_search_does_not_follow_links(tmp_path: Path) -> None:
    root = write(tmp_path / "root", {"lib/pyproject.toml": package("lib")})
    outside = write(tmp_path / "outside", {"pyproject.toml": package("outside")})
    (root / "linked").symlink_to(outside, target_is_directory=True)
    (root / "circle").symlink_to(root, target_is_directory=True)
    repository(root)
    assert directories(open_project(root).workspace) == {"lib": "lib"}


def test_an_unreadable_directory_is_skipped_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A tree that is deeper than the system takes paths: entered step by step, as a runaway script makes it.
    discover_in(tmp_path, lib=package("lib"))
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        deeper = Path("deep" * 60)
        deeper.mkdir()
        os.chdir(deeper)
    monkeypatch.chdir(tmp_path)
    workspace = open_project(tmp_path).workspace
    assert directories(workspace) == {"lib": "lib"}
    (warning,) = workspace.warnings
    assert warning.startswith("skipped deep")
    assert warning.endswith(": File name too long")


# --- shapes of real repositories -----------------------------------------------------------------------


def test_path_dependencies_of_poetry_order_the_release(tmp_path: Path) -> None:
    def poetry(name: str, needs: str) -> str:
        return (
            f'[tool.poetry]\nname = "{name}"\nversion = "0.1"\n[tool.poetry.dependencies]\n{needs}\n'
            '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
        )

    workspace = discover_in(
        tmp_path,
        **{
            "a-app": poetry(
                "app",
                'lib = { path = "../lib", develop = true }\ntool = { git = "https://example.invalid/x.git" }',
            ),
            "lib": poetry("Lib", ""),
        },
    )
    assert [each.name for each in workspace.release_order()] == ["lib", "app"]
    assert {
        need.name: (need.text, need.key)
        for need in workspace.by_name["app"].dependencies
        if need.syntax == "poetry"
    } == {
        "lib": ("", ()),
        "tool": ("", ()),
    }
