"""What changes since the last release of a package: in `publish`, on GitHub, in the release pull request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import acts
import pytest
from fake_forge import GitHubServer, remote_on_forge
from package_index import FILE, Rule, serving
from packaging.version import Version
from packed import sdist
from projects import git, remote_of, repository, single
from releases import made_wheel, project_of, write_manifest
from running import RunResult, run_in_process

from relnox.indexes.listings import IndexFile, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex


@dataclass
class DryRun:
    """A project with an index; a call runs `publish --dry-run` with these archives, which ends with this code.

    Attributes:
        root: The project.
        index: The index, with its last releases.
        dist: Where archives are built.
        old: Where archives of the last release are.
    """

    root: Path
    index: PackageIndex

    @property
    def dist(self) -> Path:
        return self.root / "dist"

    @property
    def old(self) -> Path:
        return self.root.parent / "old"

    @property
    def settings(self) -> str:
        """The settings of the index."""
        addresses = f'upload = "{self.index.upload_url}"\nsimple = "{self.index.simple_url}"\n'
        return f"[tool.relnox.indexes.own]\n{addresses}"

    def __call__(
        self, *paths: Path, settings: str = "", options: tuple[str, ...] = (), code: int = 0
    ) -> RunResult:
        project_of(self.root, *paths, settings=f"{self.settings}{settings}")
        return run_in_process(self.root, "publish", "--index", "own", "--dry-run", *options, code=code)


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DryRun]:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "pypi-canary-0815")
    with serving() as index:
        yield DryRun(tmp_path / "project", index)


def source(directory: Path, version: str, files: dict[str, str]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n"
    return sdist(directory, files, name=f"demo-{version}.tar.gz", top=f"demo-{version}", metadata=metadata)


def rows(ran: RunResult) -> list[str]:
    """The rows of the table, without the aligning spaces."""
    lines = ran.out.partition("Changes since the last release on own\n")[2].partition("\n\n")[0].splitlines()[1:]
    return [" ".join(line.split()) for line in lines]


def test_everything_that_changes_for_users_is_a_line(publish: DryRun) -> None:
    publish.index.add(
        made_wheel(
            publish.old,
            "demo",
            {"demo/__init__.py": "", "demo/gone.py": ""},
            requires=["Six>=1", "attrs"],
            entries="[console_scripts]\ndemo = demo:main\n",
            fields=["License: MIT"],
        ),
        source(publish.old, "1.0", {"demo/__init__.py": "", "setup.py": ""}),
    )
    ran = publish(
        made_wheel(
            publish.dist,
            "demo",
            {"demo/__init__.py": "", **{f"demo/new_{number}.py": "" for number in range(5)}},
            version="1.1",
            requires=["six >= 1", "attrs>=23"],
            entries="[console_scripts]\ndemo=demo:run\n",
            fields=["License-Expression: Apache-2.0"],
            python=">=3.10",
        ),
        source(publish.dist, "1.1", {"demo/__init__.py": ""}),
    )
    first, *others = rows(ran)
    assert first.startswith("demo 1.0 1.1 size wheel ")
    assert ", sdist " in first
    assert others == [
        "files in sdist -setup.py",
        "files in wheel +demo/new_0.py, +demo/new_1.py, +demo/new_2.py and 2 more; -demo/gone.py",
        "requirements +attrs>=23; -attrs",
        "entry points +[console_scripts] demo = demo:run; -[console_scripts] demo = demo:main",
        "Requires-Python >=3.8 → >=3.10",
        "license MIT → Apache-2.0",
    ]
    assert "files in wheel +demo/new_4.py" in rows(publish(*publish.dist.glob("demo*"), options=("--verbose",)))


def test_little_that_changes_is_one_line_and_a_first_release_none(publish: DryRun) -> None:
    new = made_wheel(publish.dist, "demo", version="1.1"), made_wheel(publish.dist, "first")
    publish.index.add(made_wheel(publish.old, "demo"))
    (row,) = rows(publish(*new))
    assert row.startswith("demo 1.0 1.1 size wheel ")
    publish.index.add(*new)
    assert rows(publish(*new)) == []  # nothing is left to publish


def test_wheels_and_sdists_that_appear_or_vanish_are_named_by_their_tags(publish: DryRun) -> None:
    module = {"demo/__init__.py": "", "demo/fast.so": "\x7fELF"}
    tags = [f"cp3{minor}-cp3{minor}-win_amd64" for minor in range(10, 15)]
    publish.index.add(
        source(publish.old, "1.0", {}), *(made_wheel(publish.old, "demo", module, tag=tag) for tag in tags[:4])
    )
    ran = publish(*(made_wheel(publish.dist, "demo", module, version="1.1", tag=tag) for tag in tags[1:]))
    size, archives = rows(ran)
    assert size.startswith("demo 1.0 1.1 size cp311-cp311-win_amd64 ")
    assert size.endswith(" and 1 more")
    assert archives == "archives +cp314-cp314-win_amd64; -cp310-cp310-win_amd64, -sdist"
    assert len([path for path in publish.index.asked if path.startswith("/files/")]) == 1


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("", ""),
        ('max-growth = "1 MB"', ""),
        ('max-growth = "9000%"', ""),
        ('max-growth = "10%"', "largest new files: demo/data.txt (10 kB)"),
        ('max-growth = "2.5 kB"', "demo-1.1-py3-none-any.whl has "),
        ('max-growth = "much"', "it is no growth of a file"),
    ],
)
def test_files_may_grow_by_a_budget(budget: str, message: str, publish: DryRun) -> None:
    files = {"demo/__init__.py": ""}
    publish.index.add(made_wheel(publish.old, "demo", files))
    new = made_wheel(publish.dist, "demo", {**files, "demo/data.txt": "x" * 10_000}, version="1.1")
    ran = publish(new, settings=f"[tool.relnox.diff]\n{budget}\n", code=1 if message else 0)
    assert message in ran.text


@pytest.mark.parametrize(
    ("name", "files", "allowed", "new"),
    [
        ("demo", {"demo/more.py": ""}, "", ""),
        ("demo", {"demo.libs/libz.so": "", "0123456789abcdef0123__mypyc.py": ""}, "", ""),
        ("demo", {"tests/__init__.py": ""}, "", "tests"),
        ("demo", {"renamed.py": "", "demo-1.1.data/data/share/x.txt": ""}, "", "data/share, renamed"),
        ("demo", {"demo-1.1.data/purelib/inner/x.py": ""}, "", "inner"),
        ("demo", {"renamed.py": ""}, '"renamed"', ""),
        ("demo", {"renamed.py": "", "tests/x.py": ""}, '"renamed"', "tests"),
    ],
)
def test_nothing_new_is_installed_at_the_top_level(
    name: str, files: dict[str, str], allowed: str, new: str, publish: DryRun
) -> None:
    publish.index.add(made_wheel(publish.old, name, {"demo/__init__.py": ""}))
    settings = f"[tool.relnox.diff]\ntop-level = [{allowed}]\n"
    built = made_wheel(publish.dist, name, {"demo/__init__.py": "", **files}, version="1.1")
    ran = publish(built, settings=settings, code=1 if new else 0)
    assert (f"installs {new} at the top level" in ran.out) == bool(new)
    if new:
        names = ", ".join(filter(None, [allowed, *(f'"{part}"' for part in new.split(", "))]))
        assert f"[tool.relnox.diff] top-level = [{names}]" in ran.out
        publish(built, settings=settings.replace(f"[{allowed}]", f"[{names}]"))
        publish(built, settings="production = false\n")  # on a test index, it is only shown


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (acts.answers(404, "Not Found"), "its download returned 404"),
        (acts.serves(lambda content: content + b"more"), "it has the hash "),
        (None, "it has 1.35 kB, the limit is 1 kB"),
    ],
)
def test_a_last_release_that_cannot_be_read_is_a_note(
    rule: acts.Act | None, reason: str, publish: DryRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.index.add(made_wheel(publish.old, "demo"))
    if rule is None:
        monkeypatch.setattr("relnox.commands.shared.release_diffs._MAX_FILE_SIZE", 1000)
    else:
        publish.index.misbehave(Rule(rule, FILE))
    ran = publish(
        made_wheel(publish.dist, "demo", version="1.1"), settings='[tool.relnox.diff]\nmax-growth = "1%"\n'
    )
    assert "note: not compared: demo 1.1 with 1.0 on own (demo-1.0-py3-none-any.whl: " in ran.out
    assert reason in ran.out
    assert rows(ran)[0].startswith("demo 1.0 1.1 size wheel ")  # the listing has the sizes


@pytest.mark.parametrize(
    ("built", "public", "yanked", "last"),
    [
        ("1.0", [], [], None),
        ("1.0", ["1.0", "2.0"], [], None),
        ("2.0", ["1.9", "1.10", "1.11rc1"], [], "1.10"),
        ("1.9.1", ["1.9", "1.10", "2.0"], [], "1.9"),
        ("2.0", ["1.0", "1.1"], ["1.1"], "1.0"),
        ("2.0", ["1.0"], ["1.0"], "1.0"),
        ("2.0rc2", ["1.0", "2.0rc1", "2.0.dev1"], [], "2.0rc1"),
        ("2.0rc1", ["1.0", "1.1a1"], [], "1.0"),
        ("1.0", ["1.0a1", "1.0b2"], [], "1.0b2"),
        (None, ["1.0", "1.1.post1", "2.0a1"], [], "1.1.post1"),
        (None, ["2.0a1"], [], "2.0a1"),
    ],
)
def test_which_release_is_the_last_one(
    built: str | None, public: list[str], yanked: list[str], last: str | None
) -> None:
    files = [
        IndexFile(filename=f"demo-{name}.tar.gz", url="", sha256=None, yanked=name in yanked) for name in public
    ]
    strange = ("../../demo-1.0.tar.gz", "demo-0.9-py3-none-any/../../x.whl", "demo.tar.gz", "demo-1.0.exe")
    listing = Listing([*files, *(IndexFile(filename=name, url="", sha256=None) for name in strange)])
    newest = listing.newest_release(None if built is None else Version(built))
    assert newest == (None if last is None else Version(last))


def test_the_summary_of_a_job_has_the_table(
    publish: DryRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    publish.index.add(made_wheel(publish.old, "demo", requires=["six"]))
    publish(made_wheel(publish.dist, "demo", version="1.1"), options=("--reporter", "github"))
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "#### Changes since the last release on own" in summary
    assert "|  |  |  | requirements | -six |" in summary


def test_a_pull_request_has_the_changes_of_archives_of_its_commit(
    publish: DryRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = single(tmp_path / "demo")
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n{publish.settings}[tool.relnox.targets]\nfinal = "own"\n')
    repository(root)
    git(root, "tag", "--annotate", "--message", "1.2.3", "v1.2.3")
    git(root, "push", "--quiet", "--tags")
    commit = git(root, "rev-parse", "HEAD")
    publish.index.add(made_wheel(publish.old, "demo", version="1.2.3"))
    wheel = made_wheel(root / "dist", "demo", version="1.2.3", requires=["six"])
    write_manifest(root, [wheel], {"demo": ()}, commit=commit)
    forge = GitHubServer(remote_of(root))
    with remote_on_forge(forge, root, monkeypatch.setenv):
        run_in_process(root, "bump", "minor", "--pull-request", code=0)
        (request,) = forge.pull_requests
        assert "**Archives of `demo` compared with `1.2.3 on own`**" in (request.body or "")
        assert "| requirements | `+six` |" in (request.body or "")
        write_manifest(root, [wheel], {"demo": ()}, commit="0" * 40)
        run_in_process(root, "bump", "minor", "--pull-request", code=0)
        (request,) = forge.pull_requests
        assert "Archives of" not in (request.body or "")
