"""Siblings that a release requires are in the same run, or public at a version that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import packed
import pytest
from package_index import serving
from releases import made_wheel, project_of, write_manifest
from running import run_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from package_index import PackageIndex
    from running import RunResult
    from trusting import Trusting

pytestmark = pytest.mark.heavy


@pytest.fixture
def trusted(tmp_path: Path) -> Iterator[PackageIndex]:
    """Where other projects' packages come from."""
    directory = tmp_path / "others"
    with serving(
        made_wheel(directory, "third", version="1.5"), made_wheel(directory, "early", version="2.0b1")
    ) as index:
        yield index


def publish(root: Path, *options: str, code: int | None = None) -> RunResult:
    return run_in_process(root, "publish", "--index", "shop", "--yes", *options, code=code)


def refuses(ran: RunResult, *messages: str) -> None:
    assert ran.code == 1, ran.text
    for text in messages:
        assert text in ran.err, ran.text


def siblings(root: Path, shop: Trusting, trusted: str, *requires: str, production: bool = True) -> Path:
    root.mkdir()
    wheels = [
        made_wheel(root / "dist", "core", version="1.2"),
        made_wheel(root / "dist", "top", version="1.2", requires=requires),
    ]
    settings = f'trusted-index = "{trusted}"\n{shop.settings("shop", production=production)}'
    project_of(root, *wheels, settings=settings, needs={"top": ["core"]})
    return root


def test_a_package_alone_needs_its_sibling_on_the_index(
    shop: Trusting, trusted: PackageIndex, tmp_path: Path
) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "core>=1.2")
    ran = publish(root, "--package", "top")
    refuses(
        ran,
        "top 1.2 requires core>=1.2, which cannot be installed (core is not on shop",
        f"relnox publish --project {root} --index shop --package top --package core",
    )
    assert not shop.hashes
    assert not any("core" in path for path in trusted.asked)  # its name is not disclosed to other indexes
    assert publish(root, "--package", "core").code == 0
    assert publish(root, "--package", "top").code == 0


def test_a_sibling_of_the_same_run_at_a_version_that_does_not_fit(
    shop: Trusting, trusted: PackageIndex, tmp_path: Path
) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "core>=1.3")
    refuses(
        publish(root),
        "top 1.2 requires core>=1.3, which cannot be installed",
        "(core is not on shop, and this run publishes 1.2)",
    )


def test_an_old_version_of_a_sibling_on_the_index_is_not_enough(
    shop: Trusting, trusted: PackageIndex, tmp_path: Path
) -> None:
    old = made_wheel(tmp_path / "old", "core", version="1.1")
    shop.add(old)
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "core>=1.2")
    refuses(
        publish(root, "--package", "top"),
        "top 1.2 requires core>=1.2, which cannot be installed (only 1.1 on shop",
    )


def test_a_sibling_that_is_private_is_not_proposed(shop: Trusting, trusted: PackageIndex, tmp_path: Path) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "core>=1.2")
    with (root / "core" / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('classifiers = ["Private :: Do Not Upload"]\n')
    refuses(publish(root), "(core is not on shop", "remove the Private :: classifier of core")


def test_an_sdist_without_wheels_is_looked_into(shop: Trusting, trusted: PackageIndex, tmp_path: Path) -> None:
    root = tmp_path / "demo"
    (root / "dist").mkdir(parents=True)
    metadata = "Metadata-Version: 2.2\nName: demo\nVersion: 1.0\nRequires-Dist: core>=9\n\n"
    sources = {"PKG-INFO": metadata, "pyproject.toml": ""}
    path = packed.sdist(root / "dist", sources, name="demo-1.0.tar.gz", top="demo-1.0")
    core = made_wheel(root / "dist", "core", version="1.2")
    project_of(
        root,
        path,
        core,
        settings=f'trusted-index = "{trusted.simple_url}"\n{shop.settings("shop", production=True)}',
    )
    refuses(publish(root), "demo 1.0 requires core>=9")


def test_what_an_earlier_run_began_is_finished(shop: Trusting, trusted: PackageIndex, tmp_path: Path) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "core>=9")
    second = made_wheel(root / "dist", "top", version="1.2", requires=["core>=9"], tag="cp311-none-any")
    wheels = sorted((root / "dist").glob("*.whl"))
    write_manifest(root, wheels, {"top": ["core"]})
    first = next(path for path in wheels if path.name.startswith("top-") and path != second)
    shop.add(first)
    assert publish(root).code == 0


def test_requirements_of_extras_and_of_other_projects_are_not_looked_up(
    shop: Trusting, trusted: PackageIndex, tmp_path: Path
) -> None:
    requirements = ("no-such-project>=9", 'core>=9; extra == "more"')
    assert publish(siblings(tmp_path / "demo", shop, trusted.simple_url, *requirements)).code == 0
    assert not any("no-such-project" in path for path in [*trusted.asked, *shop.requests])


def test_a_sibling_on_the_trusted_index_is_enough_for_a_test_index(
    shop: Trusting, trusted: PackageIndex, tmp_path: Path
) -> None:
    root = siblings(tmp_path / "demo", shop, trusted.simple_url, "third>=1", production=False)
    (root / "third").mkdir()
    (root / "third" / "pyproject.toml").write_text('[project]\nname = "third"\nversion = "1.5"\n')
    path = root / "pyproject.toml"
    path.write_text(path.read_text().replace('"core", ', '"core", "third", '))
    words = ("publish-test", "--index", "shop", "--no-verify", "--package", "top")
    run_in_process(root, *words, code=0)
