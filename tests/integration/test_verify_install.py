"""`verify-install` of working and broken releases in real environments, with uv and pip."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Protocol

import acts
import pytest
from package_index import FILE, LISTING, Rule, serving
from packed import buildable_sdist
from releases import made_wheel, project_of
from running import RunResult
from warm import alive

from relnox.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex


pytestmark = pytest.mark.heavy

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


class Verify(Protocol):
    """Runs `verify-install --from dist` in the process of the test, which ends with this code."""

    def __call__(self, *options: str, code: int = 0) -> RunResult: ...


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    (directory / "dist").mkdir(parents=True)
    return directory


@pytest.fixture
def verify(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Verify:
    # Ports are reused: the installers' caches must not have files of another index at the same address.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "pip"))

    def call(*options: str, code: int = 0) -> RunResult:
        capsys.readouterr()
        source = () if "--index" in options else ("--from", "dist")
        ended = main(["verify-install", "--project", str(root), "--reporter", "plain", *source, *options])
        ran = RunResult(ended, *capsys.readouterr())
        assert ran.code == code, ran.text
        return ran

    return call


@pytest.fixture
def trusted() -> Iterator[PackageIndex]:
    with serving() as index:
        yield index


def wheel(root: Path, name: str = "demo", files: dict[str, str] | None = None, **options: object) -> Path:
    return made_wheel(root / "dist", name, files, **options)  # type: ignore[arg-type]


def table(ran: RunResult) -> dict[str, list[str]]:
    """The rows of the final table, by package."""
    lines = ran.out.partition("Installations\n")[2].splitlines()[1:]
    return {words[0]: words[1:] for words in map(str.split, lines) if words}


# --- releases that work


def test_a_release_is_verified_before_anything_is_published(
    root: Path, verify: Verify, trusted: PackageIndex
) -> None:
    third = made_wheel(root.parent / "elsewhere", "third")
    trusted.add(third)
    one = wheel(
        root,
        "one",
        {"one/__init__.py": "import third\n__version__ = '1.0'\n\ndef main(): ...\n"},
        requires=["third>=1"],
        entries="[console_scripts]\nrun-one = one:main\n\n[gui_scripts]\nshow-one = one:main\n",
    )
    two = wheel(root, "two", {"two.py": "from one import main\n"}, requires=["one>=1"])
    project_of(
        root,
        one,
        two,
        needs={"two": ["one"]},
        settings=(
            f'trusted-index = "{trusted.simple_url}"\n[tool.relnox.verify]\nsmoke = {{ two = ["two.main()"] }}\n'
        ),
    )
    ran = verify()
    assert "scripts run-one, show-one" in ran.err
    assert "two 1.0, requirements hold" in ran.err
    assert "ran two.main()" in ran.err
    assert table(ran) == {"one": ["1.0", "works"], "two": ["1.0", "works"]}
    # The release's own packages are never requested from the trusted index.
    assert {path.split("/")[2] for path in trusted.asked if path.startswith("/simple/")} == {"third"}


def test_a_dependency_may_have_metadata_that_is_not_utf_8(
    root: Path, verify: Verify, trusted: PackageIndex
) -> None:
    metadata = "Metadata-Version: 2.1\nName: third\nVersion: 1.0\nAuthor: André\n\n".encode("latin-1")
    trusted.add(made_wheel(root.parent, "third", {"third.py": "", "third-1.0.dist-info/METADATA": metadata}))
    demo = wheel(root, files={"demo.py": "import third\n"}, requires=["third>=1"])
    project_of(root, demo, settings=f'trusted-index = "{trusted.simple_url}"\n')
    assert table(verify()) == {"demo": ["1.0", "works"]}


def test_the_modules_of_a_wheel_are_found(root: Path, verify: Verify) -> None:
    suffix = "cpython-311-x86_64-linux-gnu.so" if os.name != "nt" else "pyd"
    project_of(
        root,
        wheel(root, "another-name", {"called/__init__.py": "", "tests/test_it.py": "import pytest_of_ours\n"}),
        wheel(root, "stated", {"a.py": "", "b.py": "raise SystemExit\n"}, fields=["Import-Name: a"]),
        wheel(root, "kept", {"c.py": "1/0\n", "d.py": ""}, fields=["Import-Name: c ; private", "Import-Name: d"]),
        wheel(root, "nothing", {f"nothing/data.{suffix}.txt": ""}, entries="[console_scripts]\n"),
        wheel(root, "flat", {"flat_one.py": "", "flat_two.py": ""}),
        wheel(root, "libs", {"libs-1.0.data/purelib/deep/__init__.py": ""}),
        settings="[tool.relnox.verify]\nmodules = { nothing = [] }\n",
    )
    ran = verify()
    assert "imported called\n" in ran.err
    assert "imported a\n" in ran.err
    assert "imported d\n" in ran.err
    assert "imported flat_one, flat_two" in ran.err
    assert "imported deep" in ran.err
    assert "nothing-1.0-py3-none-any.whl; nothing to import (according to [tool.relnox.verify] modules)" in ran.err


def test_a_package_with_nothing_to_import_fails(root: Path, verify: Verify) -> None:
    built = [
        wheel(root, "hollow", {}),
        wheel(root, "shared", {"shared/table.csv": "1,2\n"}),
        wheel(root, "full"),
    ]
    project_of(root, *built)
    ran = verify(code=2)
    assert table(ran) == {"hollow": ["1.0", "FAILED"], "shared": ["1.0", "FAILED"], "full": ["1.0", "works"]}
    assert "hollow-1.0-py3-none-any.whl has no module, no script and no data" in ran.err
    assert '[tool.relnox] metadata-only = ["hollow"]' in ran.err
    assert "shared-1.0-py3-none-any.whl has files, but no module and no script" in ran.err
    assert "modules = { shared = [] }" in ran.err
    project_of(  # as the messages propose
        root, *built, settings='metadata-only = ["Hollow"]\n[tool.relnox.verify]\nmodules = { shared = [] }\n'
    )
    ran = verify()
    assert "nothing to import (according to [tool.relnox] metadata-only)" in ran.err


def test_a_script_a_smoke_test_or_the_metadata_is_enough(root: Path, verify: Verify) -> None:
    full = wheel(root, "full", {"full.py": "def main(): ...\n"})
    caller = wheel(root, "caller", {}, requires=["full"], entries="[console_scripts]\ncall = full:main\n")
    tried = wheel(root, "tried", {}, requires=["full"])
    stated = wheel(root, "stated", {}, fields=["Import-Name:"])
    project_of(
        root,
        *(full, caller, tried, stated),
        settings='[tool.relnox.verify]\nsmoke = { tried = ["full.main()"] }\n',
        needs={"caller": ["full"], "tried": ["full"]},
    )
    ran = verify()
    assert "nothing to import (according to its metadata)" in ran.err


@pytest.mark.parametrize(
    "init",
    [
        "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        "from pkgutil import extend_path\n\n__path__ = extend_path(__path__, __name__)\n",
        "try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n    pass\n",
    ],
)
def test_members_of_older_namespace_packages_are_imported(init: str, root: Path, verify: Verify) -> None:
    files = {"space/__init__.py": init, "space/left/__init__.py": "", "space/left/more.py": "1/0\n"}
    project_of(root, wheel(root, "space-left", files))
    ran = verify()
    assert "imported space.left\n" in ran.err
    project_of(root, wheel(root, "space-left", files | {"space/left/__init__.py": "import not_there\n"}))
    ran = verify(code=2)
    assert "import space.left fails: ModuleNotFoundError: No module named 'not_there'" in ran.err


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("scripts/serve", "serve"),
        ("scripts/serve.sh", "serve.sh"),
        ("data/share/tools/table.csv", "table.csv"),
        ("data/etc/tools.conf", "tools.conf"),
    ],
)
def test_a_wheel_of_programs_or_data_is_what_it_installs(path: str, name: str, root: Path, verify: Verify) -> None:
    project_of(root, wheel(root, "tools", {f"tools-1.0.data/{path}": "#!/bin/sh\n"}))
    ran = verify()
    assert f"nothing to import; programs and data {name}\n" in ran.err


def test_siblings_share_a_namespace(root: Path, verify: Verify) -> None:
    # `import space` would succeed even if the wheel had no code.
    left = wheel(root, "space-left", {"space/left/__init__.py": "import space.right\n"}, requires=["space-right"])
    right = wheel(root, "space-right", {"space/right.py": ""}, fields=["Import-Namespace: space"])
    project_of(root, right, left, needs={"space-left": ["space-right"]})
    ran = verify()
    assert "imported space.left" in ran.err


@pytest.mark.parametrize(
    ("others", "settings", "code"),
    [
        ((), "", 2),
        (("newer",), "", 2),
        (("slow",), 'skip = { slow = "too slow" }', 2),
        (("slow",), 'skip = { slow = "too slow", new = "too new" }', 0),
        (("old",), "", 0),
    ],
)
def test_an_unsupported_python_is_skipped_but_not_if_it_is_all_there_is(
    root: Path, verify: Verify, others: tuple[str, ...], settings: str, code: int
) -> None:
    """Nothing was verified if every package was skipped, unless the settings ask for just that."""
    pythons = {"new": ">=3.99", "newer": ">=3.98"}
    project_of(
        root,
        *(wheel(root, name, python=pythons.get(name, ">=3.8")) for name in ("new", *others)),
        settings=f"[tool.relnox.verify]\n{settings}\n",
    )
    ran = verify("--python", HERE, code=code)
    assert ("nothing was verified, since everything was skipped: " in ran.err) == (code != 0)
    if "old" in others:
        assert f"new 1.0 requires Python >=3.99, and this is {sys.version.split()[0]}" in ran.err
        assert table(ran) == {"new": ["1.0", "skipped"], "old": ["1.0", "works"]}


def test_a_python_that_is_not_installed_is_an_error(root: Path, verify: Verify) -> None:
    project_of(root, wheel(root))
    ran = verify("--python", "3.77", code=1)
    assert ran.out == ""
    assert "Python 3.77 is not installed" in ran.err
    assert "uv python install 3.77" in ran.err
    verify("--python", "py3", code=1)


def test_the_sdist_is_built_without_a_compatible_wheel(root: Path, verify: Verify) -> None:
    source = buildable_sdist(root / "dist", "demo", "built/inner.py")
    project_of(root, source, wheel(root, tag="cp311-cp311-win_arm64"))
    ran = verify()
    assert "demo-1.0.tar.gz; built from the sdist (no compatible wheel); imported built.inner" in ran.err
    assert table(ran) == {"demo": ["1.0", "works", "(sdist)"]}
    assert f"package  version  Python {HERE}\n" in ran.out


# --- releases that do not work


ELSEWHERE = "termios" if sys.platform == "win32" else "msvcrt"
"""A module of the standard library of other systems."""
BROKEN = {
    "an undeclared dependency": (
        {"demo/__init__.py": "import undeclared\n"},
        "import demo fails: ModuleNotFoundError: No module named 'undeclared' (demo/__init__.py, line 1)",
        "add the distribution that has undeclared to the dependencies of demo",
    ),
    "an extra that the package asks for in words of its own": (
        {"demo.py": "try:\n import lost\nexcept ImportError as why:\n raise ImportError('add [cli]') from why\n"},
        "import demo fails: ImportError: add [cli] (demo.py, line 4)",
        'if an extra requires it: [tool.relnox.verify] extras = { demo = ["EXTRA"] }',
    ),
    "a module of the standard library that this Python lacks": (
        {"demo.py": f"import {ELSEWHERE}\n"},
        f"import demo fails: ModuleNotFoundError: No module named '{ELSEWHERE}' (demo.py, line 1)",
        f"correct requires-python of demo, or import {ELSEWHERE} only where it exists",
    ),
    "a module that only the source tree has": (
        {"demo/__init__.py": "from demo import forgotten\nimport demo.lost\n", "demo/forgotten.py": ""},
        "import demo fails: ModuleNotFoundError: No module named 'demo.lost'",
        "demo-1.0-py3-none-any.whl lacks demo.lost: have its build backend include it",
    ),
    "a file that only the source tree has": (
        {"demo.py": "open('demo/pyproject.toml')\n"},
        "import demo fails: FileNotFoundError: [Errno 2] No such file or directory: 'demo/pyproject.toml'",
        "correct the error; to import other modules: ",
    ),
    "another version": (
        {"demo.py": "__version__ = '1.0.post1'\n"},
        "demo.__version__ is '1.0.post1', but the release is 1.0",
        "correct the error; to import other modules: ",
    ),
    "an exit while it is imported": (
        {"demo.py": "import sys\nprint('printed before')\nsys.exit('no license')\n"},
        "(demo.py, line 3)\n          last output:\n          | printed before",
        "correct the error; to import other modules: ",
    ),
    "an interpreter that is ended": (
        {"demo.py": "import os\nprint('so long', flush=True)\nos._exit(0)\n"},
        "import demo ends the interpreter without an error (such as os._exit)",
        "correct the error; to import other modules: ",
    ),
    "a crash": (
        {"demo.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"},
        "import demo ends the interpreter with signal 11",
        "correct the error; to import other modules: ",
    ),
    "a thread that never ends": (
        {"demo.py": "import threading\nthreading.Thread(target=threading.Event().wait).start()\n"},
        "all checks ran, but Python's exit does not end within 2 s",
        "correct the error; to import other modules: ",
    ),
    "an import that never ends": (
        {"demo.py": "import time\nprint('waiting for the server')\ntime.sleep(600)\n"},
        "import demo does not end within 2 s",
        "correct the error; to import other modules: ",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_release_is_reported_with_a_fix(
    case: str, root: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relnox.steps.verify_install._TIME_LIMIT", 2)
    files, message, fix = BROKEN[case]
    project_of(root, wheel(root, files=files))
    ran = verify(code=2)
    assert f"demo 1.0 was installed on Python {sys.version.split()[0]}, but does not work" in ran.err
    assert message in ran.err
    assert fix in ran.err
    assert table(ran) == {"demo": ["1.0", "FAILED"]}


@pytest.mark.parametrize(
    ("missing", "fix"),
    [
        ("acme.core", "add the distribution that has acme.core to the dependencies of acme-agents"),
        (
            "acme.agents.lost",
            "acme_agents-1.0-py3-none-any.whl lacks acme.agents.lost: have its build backend include it",
        ),
    ],
)
def test_a_missing_requirement_in_a_shared_namespace_is_named(
    root: Path, verify: Verify, missing: str, fix: str
) -> None:
    core = wheel(root, "acme-core", {"acme/core/__init__.py": "", "tools.py": ""})
    agents = wheel(root, "acme-agents", {"acme/agents/__init__.py": f"import {missing}\n"})
    project_of(root, core, agents)

    ran = verify(code=2)

    assert f"ModuleNotFoundError: No module named '{missing}'" in ran.err
    assert fix in ran.err
    assert table(ran) == {"acme-core": ["1.0", "works"], "acme-agents": ["1.0", "FAILED"]}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("demo:absent", "the script run (demo:absent) fails: AttributeError"),
        ("demo:value", "the script run calls demo:value, which is not a function"),
        ("demo.cli:main", "the script run (demo.cli:main) fails: ModuleNotFoundError: No module named 'demo.cli'"),
    ],
)
def test_a_script_without_a_function_fails(root: Path, verify: Verify, target: str, message: str) -> None:
    entries = f"[console_scripts]\nrun = {target}\nmore = nowhere:main [cli]\n"
    project_of(
        root, wheel(root, files={"demo.py": "value = 1\n"}, entries=entries, fields=["Provides-Extra: cli"])
    )
    ran = verify(code=2)
    assert message in ran.err
    assert ("correct the error" if target.startswith("demo:") else "lacks demo.cli") in ran.err
    assert "nowhere" not in ran.err  # its extra is not installed

    project_of(root, root / "dist" / "demo-1.0-py3-none-any.whl", settings='verify.extras = { demo = ["CLI"] }\n')
    ran = verify(code=2)
    assert "the script more (nowhere:main) fails" in ran.err


def test_an_installed_file_that_differs_from_the_wheel_fails(root: Path, verify: Verify) -> None:
    # Two siblings with a module of the same name: the one that is installed last overwrites the other's.
    other = wheel(root, "other", {"demo.py": "stolen = True\n"})
    demo = wheel(root, "demo", {"demo.py": "mine = True\n"}, requires=["other"])
    project_of(root, other, demo, needs={"demo": ["other"]})
    ran = verify(code=2)
    assert ": demo.py differs from its hash in RECORD" in ran.err
    assert table(ran) == {"other": ["1.0", "works"], "demo": ["1.0", "FAILED"]}


def test_nothing_is_imported_from_the_source_tree(
    root: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The source tree is available in every possible way.
    (root / "demo").mkdir()
    (root / "demo" / "__init__.py").write_text("raise RuntimeError('this is the tree')\n", encoding="utf-8")
    (root / "demo" / "helper.py").write_text("", encoding="utf-8")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.setenv("PYTHONSTARTUP", str(root / "demo" / "__init__.py"))
    project_of(root, wheel(root, files={"demo.py": ""}))
    verify()

    sneaking = f"import sys\nsys.path.insert(0, {str(root / 'demo')!r})\nimport helper\n"
    project_of(root, wheel(root, files={"demo.py": sneaking}))
    ran = verify(code=2)
    assert f"helper is loaded from {root / 'demo' / 'helper.py'}, which is in the source tree" in ran.err


def test_an_import_may_change_the_process(root: Path, verify: Verify) -> None:
    # It changes directory, reads arguments, forks, closes streams and checks __name__.
    rude = (
        "import os, sys\n"
        "os.chdir('/')\n"
        "assert sys.argv == ['-c'], sys.argv\n"
        "if __name__ == '__main__': raise SystemExit('run as the program')\n"
        "assert os.listdir('.')\n"
        "sys.stdout = None\n"
        "os.fork()\n"
    )
    project_of(root, wheel(root, files={"demo.py": rude, "zebra.py": ""}))
    ran = verify()
    assert ran.err.count("imported demo, zebra") == 1


def test_processes_that_smoke_tests_start_are_ended(
    root: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relnox.steps.verify_install._TIME_LIMIT", 2)
    daemon = (
        "import os, subprocess, sys, time\n"
        "def start(path):\n"
        "    words = [sys.executable, '-c', 'import time; time.sleep(120)']\n"
        "    child = subprocess.Popen(words)\n"
        "    open(path, 'w').write(str(child.pid))\n"
        "def hang(path):\n"
        "    start(path)\n"
        "    time.sleep(120)\n"
    )
    pids = [root / "left", root / "hung"]
    smoke = [f"demo.start({str(pids[0])!r})", f"demo.hang({str(pids[1])!r})"]
    project_of(
        root,
        wheel(root, files={"demo.py": daemon}),
        settings=f"[tool.relnox.verify]\nsmoke = {{ demo = {json.dumps(smoke)} }}\n",
    )
    begin = time.monotonic()
    ran = verify(code=2)
    assert f"{smoke[1]} does not end within 2 s" in ran.err
    assert time.monotonic() - begin < 60
    for path in pids:
        assert not alive(int(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("expression", ["demo.no()", "1 / 0", "demo.leave(3)", "demo.inner.thing"])
def test_smoke_tests_that_raise_fail(root: Path, verify: Verify, expression: str) -> None:
    project_of(
        root,
        wheel(root, files={"demo.py": "import sys\nleave = sys.exit\n"}),
        settings=f'[tool.relnox.verify]\nsmoke = {{ demo = ["demo.leave(0)", "{expression}"] }}\n',
    )
    ran = verify(code=2)
    assert f"{expression} fails: " in ran.err


def test_an_unreachable_trusted_index_is_a_transient_error(
    root: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    project_of(root, wheel(root, requires=["third"]), settings='trusted-index = "http://127.0.0.1:9/simple/"\n')
    ran = verify(code=5)
    assert "rerun the command later (the trusted index does not respond)" in ran.err


# --- per package


def test_settings_of_packages_are_used(root: Path, verify: Verify) -> None:
    project_of(
        root,
        wheel(root, "heavy", {"heavy/__init__.py": "import enormous\n", "heavy_light.py": ""}),
        wheel(root, "meta", {}, requires=["enormous"]),
        wheel(root, "bare", {"bare.py": "1/0\n"}),
        settings=(
            "[tool.relnox.verify]\n"
            'modules = { heavy = ["heavy_light"], bare = [] }\n'
            'skip = { Meta = "eight minutes of dependencies" }\n'
        ),
    )
    ran = verify("--python", HERE)
    assert "eight minutes of dependencies" in ran.err
    assert table(ran) == {
        "heavy": ["1.0", "works"],
        "meta": ["1.0", "skipped"],
        "bare": ["1.0", "works"],
    }


# --- files that differ from the built ones


def test_files_on_disk_are_compared_before_they_are_installed(root: Path, verify: Verify) -> None:
    path = wheel(root)
    project_of(root, path)
    path.write_bytes(path.read_bytes() + b" ")
    ran = verify(code=4)
    assert "dist/demo-1.0-py3-none-any.whl differs from the file that was built" in ran.err
    assert table(ran) == {"demo": ["1.0", "not", "run"]}
    path.unlink()
    ran = verify(code=2)
    assert "is missing, although the manifest lists it" in ran.err


# --- from the index that was published to


def published(root: Path, mine: PackageIndex, trusted: PackageIndex, *paths: Path, **more: object) -> None:
    settings = (
        f'trusted-index = "{trusted.simple_url}"\n[tool.relnox.indexes.mine]\nupload = "{mine.simple_url}"\n'
        f'simple = "{mine.simple_url}"\nproduction = false\n'
    )
    project_of(root, *paths, settings=settings, **more)  # type: ignore[arg-type]


@pytest.fixture
def mine() -> Iterator[PackageIndex]:
    with serving() as index:
        yield index


def test_a_dependency_never_comes_from_two_indexes(  # noqa: PLR0917 - fixtures
    root: Path,
    verify: Verify,
    trusted: PackageIndex,
    mine: PackageIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An attacker has a newer package with a dependency's name on the index that was published to, and one with a
    # sibling's name on the trusted index. Neither may be installed, whatever settings there are.
    attack = {"third.py": "raise RuntimeError('the attacker was here')\n"}
    mine.add(made_wheel(tmp_path / "attacker", "third", attack, version="99.0"))
    trusted.add(made_wheel(tmp_path / "good", "third", {"third.py": "good = True\n"}))
    squatted = {"sibling.py": "raise RuntimeError('the attacker was here')\n"}
    trusted.add(made_wheel(tmp_path / "attacker", "sibling", squatted, version="99.0"))
    ours = wheel(root, "sibling", {"sibling.py": "ours = True\n"})
    demo = wheel(
        root,
        files={"demo.py": "from third import good\nfrom sibling import ours\n"},
        requires=["third>=1", "sibling>=1"],
    )
    mine.add(ours, demo)
    published(root, mine, trusted, ours, demo, needs={"demo": ["sibling"]})

    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "pip.conf").write_text(f"[global]\nextra-index-url = {mine.simple_url}\n", encoding="utf-8")
    (settings / "uv.toml").write_text(
        f'index-strategy = "unsafe-best-match"\n[[index]]\nurl = "{mine.simple_url}"\n', encoding="utf-8"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(settings / "pip.conf"))
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", mine.simple_url)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "attacker"))
    monkeypatch.setenv("UV_CONFIG_FILE", str(settings / "uv.toml"))
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", mine.simple_url)
    monkeypatch.setenv("UV_INDEX", f"mine={mine.simple_url}")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "attacker"))
    (root / "uv.toml").write_text((settings / "uv.toml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(root)

    verify("--index", "mine")
    assert not [path for path in mine.asked if "third" in path]
    assert not [path for path in trusted.asked if "99.0" in path or "sibling" in path]


def test_files_that_are_listed_or_served_late_are_retried(
    root: Path, verify: Verify, trusted: PackageIndex, mine: PackageIndex
) -> None:
    path = wheel(root)
    mine.add(path)
    published(root, mine, trusted, path)
    absent = acts.answers(404, "Not Found")
    mine.misbehave(Rule(absent, LISTING, tries=range(1, 4)), Rule(absent, FILE, tries=range(1, 3)))
    verify("--index", "mine")
    assert mine.hits == 5
    assert {request.headers.get("cache-control") for request in mine.log} == {"no-cache"}

    mine.misbehave(Rule(absent, FILE))
    ran = verify("--index", "mine", "--wait", "1", code=5)
    assert "demo-1.0-py3-none-any.whl is listed, but its download returned 404 Not Found" in ran.err

    mine.misbehave(Rule(absent, LISTING))
    ran = verify("--index", "mine", "--wait", "1", code=5)
    assert "demo 1.0 could not be verified on mine within 1 s" in ran.err
    assert "          not listed: demo-1.0" in ran.err


def test_a_download_with_another_hash_is_not_installed(
    root: Path, verify: Verify, trusted: PackageIndex, mine: PackageIndex, tmp_path: Path
) -> None:
    path = wheel(root)
    mine.add(path)
    published(root, mine, trusted, path)
    other = made_wheel(tmp_path / "other", "demo", {"demo.py": "other = True\n"}).read_bytes()
    mine.misbehave(Rule(acts.serves(lambda _: other), FILE))
    ran = verify("--index", "mine", code=4)
    assert "mine lists demo 1.0 with the built hashes, but serves different content" in ran.err
    assert table(ran) == {"demo": ["1.0", "not", "run"]}
