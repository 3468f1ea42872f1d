"""What is published can be installed: requirements are on an index that users install from, or in the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packed
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from plain_index import serving
from projects import write
from releases import made_wheel, project_of
from running import run_in_process
from trusting import trusting

from relnox.building.checks.requirements import can_apply

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plain_index import PlainIndex
    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy

TOKEN = "canary-0815"


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trusting]:
    """A production index."""
    monkeypatch.setenv("RELNOX_SHOP_TOKEN", TOKEN)
    with trusting() as index:
        index.passwords = {TOKEN}
        yield index


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[PlainIndex]:
    """Where other projects' packages come from."""
    directory = tmp_path / "others"
    with serving(
        made_wheel(directory, "third", version="1.5"), made_wheel(directory, "early", version="2.0b1")
    ) as index:
        yield index


def project(
    root: Path,
    shop: Trusting,
    trusted: str,
    *requires: str,
    settings: str = "",
    python: str = ">=3.8",
    tables: str = "",
) -> Path:
    root.mkdir(exist_ok=True)
    project_of(
        root,
        made_wheel(root / "dist", "demo", requires=requires, python=python),
        settings=f'trusted-index = "{trusted}"\n{settings}{shop.settings("shop", production=True)}{tables}',
    )
    return root


def publish(root: Path, *options: str) -> RunResult:
    return run_in_process(root, "publish", "--index", "shop", "--yes", *options)


def refuses(ran: RunResult, *messages: str) -> None:
    assert ran.code == 1, ran.text
    for text in messages:
        assert text in ran.err, ran.text


@pytest.mark.parametrize(
    ("requirement", "state"),
    [
        ("third>=2", "requires third>=2, which cannot be installed (only 1.5 on shop and 127.0.0.1:"),
        ("no-such-project", "which cannot be installed (no-such-project is not on shop and 127.0.0.1:"),
        ('third<1; sys_platform == "win32"', "(only 1.5 on"),
        ("early<2.0b1", "(only 2.0b1 on"),
    ],
)
def test_a_requirement_that_cannot_be_installed_blocks_the_uploads(
    requirement: str, state: str, shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    root = project(tmp_path / "demo", shop, trusted.url, requirement)
    ran = publish(root)
    refuses(ran, "demo 1.0 requires", state, "unchecked-requirements = [")
    assert not shop.files
    assert publish(root, "--no-check-requirements").code == 0


@pytest.mark.parametrize(
    "requirement",
    [
        "third",
        "third>=1,<2",
        "early",
        "early>=2.0b1",
        'gone; python_version < "3.8"',  # no Python that the package is for
        'gone; python_version < "3.8" and sys_platform == "win32"',
        "demo[more]",
    ],
)
def test_what_can_be_installed_is_published(
    requirement: str, shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    ran = publish(project(tmp_path / "demo", shop, trusted.url, requirement))
    assert ran.code == 0, ran.text


def test_an_extra_that_cannot_be_installed_is_a_warning(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    ran = publish(project(tmp_path / "demo", shop, trusted.url, 'gone>=3; extra == "more"'))
    assert ran.code == 0, ran.text
    assert (
        'an extra of demo 1.0 requires gone>=3; extra == "more", which cannot be installed (gone is not on shop'
        in ran.text
    )


def test_a_yanked_version_counts_only_where_it_is_pinned(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    trusted.yanked.update(trusted.files)
    refuses(publish(project(tmp_path / "one", shop, trusted.url, "third>=1")), "(only yanked versions on")
    assert publish(project(tmp_path / "two", shop, trusted.url, "third==1.5")).code == 0


def test_settings_name_further_indexes_and_what_is_not_asked_for(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    with serving(made_wheel(tmp_path / "more", "inner", version="3")) as more:
        extra = f'[tool.relnox.publish]\nextra-indexes = ["{more.url}"]\n'
        ran = publish(project(tmp_path / "one", shop, trusted.url, "inner>=3", tables=extra))
        assert ran.code == 0, ran.text
        assert not any("inner" in path for path in trusted.asked)  # it was found before
        shop.files.clear()
        named = f'[tool.relnox.indexes.more]\nupload = "{more.url}"\nsimple = "{more.url}"\n'
        named += '[tool.relnox.publish]\nextra-indexes = ["more"]\n'
        ran = publish(project(tmp_path / "two", shop, trusted.url, "inner>=4", tables=named))
        refuses(ran, "(only 3 on")
    shop.files.clear()
    unchecked = '[tool.relnox.publish]\nunchecked-requirements = ["Inner_*"]\n'
    ran = publish(project(tmp_path / "three", shop, trusted.url, "inner-secret>=4", tables=unchecked))
    assert ran.code == 0, ran.text
    assert not any("inner-secret" in path for path in [*trusted.asked, *shop.requests])


def test_an_extra_index_that_is_none_is_refused(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    tables = '[tool.relnox.publish]\nextra-indexes = ["shpo"]\n'
    refuses(publish(project(tmp_path / "demo", shop, trusted.url, tables=tables)), "did you mean shop?")


def test_an_index_that_does_not_answer_is_not_one_that_lacks_something(shop: Trusting, tmp_path: Path) -> None:
    ran = publish(project(tmp_path / "demo", shop, "http://127.0.0.1:9/simple/", "third", "fourth"))
    assert ran.code == 0, ran.text
    assert "fourth, third" in ran.text
    assert "not checked" in ran.text


def test_each_project_is_asked_for_once(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    wheels = [made_wheel(root / "dist", name, requires=["third>=1"]) for name in ("one", "two", "three")]
    project_of(root, *wheels, settings=f'trusted-index = "{trusted.url}"\n{shop.settings("shop")}')
    assert run_in_process(root, "publish", "--index", "shop").code == 0
    assert [path for path in trusted.asked if "third" in path] == ["/simple/third/"]
    assert shop.requests.count("GET /simple/third/") == 1


# --- packages of the same checkout


def siblings(root: Path, shop: Trusting, trusted: str, *requires: str, core: str = "1.2") -> Path:
    root.mkdir()
    wheels = [
        made_wheel(root / "dist", "core", version=core),
        made_wheel(root / "dist", "top", version="1.2", requires=requires),
    ]
    settings = f'trusted-index = "{trusted}"\n{shop.settings("shop", production=True)}'
    project_of(root, *wheels, settings=settings, needs={"top": ["core"]})
    return root


def test_a_package_alone_needs_its_sibling_on_the_index(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.url, "core>=1.2")
    ran = publish(root, "--package", "top")
    refuses(
        ran,
        "top 1.2 requires core>=1.2, which cannot be installed (core is not on shop",
        f"relnox publish --project {root} --index shop --package top --package core",
    )
    assert not shop.files
    assert not any("core" in path for path in trusted.asked)  # its name is not disclosed to other indexes
    assert publish(root, "--package", "core").code == 0
    assert publish(root, "--package", "top").code == 0


def test_both_in_one_run_are_published(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    ran = publish(siblings(tmp_path / "demo", shop, trusted.url, "core>=1.2"))
    assert ran.code == 0, ran.text


def test_a_sibling_of_the_same_run_at_a_version_that_does_not_fit(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.url, "core>=1.3")
    refuses(
        publish(root),
        "top 1.2 requires core>=1.3, which cannot be installed",
        "(core is not on shop, and this run publishes 1.2)",
    )


def test_an_old_version_of_a_sibling_on_the_index_is_not_enough(
    shop: Trusting, trusted: PlainIndex, tmp_path: Path
) -> None:
    old = made_wheel(tmp_path / "old", "core", version="1.1")
    shop.files[old.name] = old.read_bytes()
    root = siblings(tmp_path / "demo", shop, trusted.url, "core>=1.2")
    refuses(
        publish(root, "--package", "top"),
        "top 1.2 requires core>=1.2, which cannot be installed (only 1.1 on shop",
    )


def test_a_sibling_that_is_private_is_not_proposed(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.url, "core>=1.2")
    with (root / "core" / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('classifiers = ["Private :: Do Not Upload"]\n')
    refuses(publish(root), "(core is not on shop", "remove the Private :: classifier of core")


def test_an_sdist_without_wheels_is_looked_into(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    (root / "dist").mkdir(parents=True)
    metadata = "Metadata-Version: 2.2\nName: demo\nVersion: 1.0\nRequires-Dist: third>=9\n\n"
    sources = {"PKG-INFO": metadata, "pyproject.toml": ""}
    path = packed.sdist(root / "dist", sources, name="demo-1.0.tar.gz", top="demo-1.0")
    project_of(root, path, settings=f'trusted-index = "{trusted.url}"\n{shop.settings("shop", production=True)}')
    write(root, {})
    refuses(publish(root), "demo 1.0 requires third>=9")


def test_what_an_earlier_run_began_is_finished(shop: Trusting, trusted: PlainIndex, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    first = made_wheel(root / "dist", "demo", requires=["third>=9"])
    second = made_wheel(root / "dist", "demo", requires=["third>=9"], tag="cp311-none-any")
    project_of(
        root, first, second, settings=f'trusted-index = "{trusted.url}"\n{shop.settings("shop", production=True)}'
    )
    shop.files[first.name] = first.read_bytes()
    assert publish(root).code == 0


@pytest.mark.parametrize(
    ("requirement", "pythons", "expected"),
    [
        ("a", "", True),
        ('a; python_version < "3.10"', ">=3.9", True),
        ('a; python_version < "3.10"', ">=3.10", False),
        ('a; python_version >= "3.8"', ">=3.13", True),
        ('a; python_full_version < "3.11.4"', ">=3.11", True),
        ('a; python_version < "3.11" and sys_platform == "win32"', ">=3.11", False),
        ('a; platform_system == "Windows" or python_version < "3.8"', ">=3.11", True),
        ('a; implementation_name == "pypy"', ">=3.11", True),
        ('a; extra == "more"', "", False),
        ('a; python_version > "3.50"', "", True),
    ],
)
def test_whether_a_requirement_can_apply(requirement: str, pythons: str, *, expected: bool) -> None:
    assert can_apply(Requirement(requirement), SpecifierSet(pythons), extras=False) is expected
