from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.release.manifest import Distribution, Manifest, PackageFacts, PublishingPolicy
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable

DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)
PACKAGES = st.sampled_from(["core", "a-b", "name-space-x1"])
DISTRIBUTIONS = st.builds(
    Distribution,
    package=PACKAGES,
    version=st.sampled_from(["1.0", "1!2.0rc1", "2026.11.post1", "0.1.dev3+g1234"]).map(Version),
    filename=st.from_regex(r"[A-Za-z0-9_]{1,8}-[0-9.]{1,5}(\.tar\.gz|-py3-none-any\.whl)", fullmatch=True),
    kind=st.sampled_from(["sdist", "wheel"]),
    size=st.integers(0, 2**40),
    sha256=DIGESTS,
    blake2b_256=DIGESTS,
)
FACTS = st.builds(
    PackageFacts,
    name=PACKAGES,
    directory=st.just("libs/core"),
    version=st.none() | st.just(Version("1.0")),
    is_private=st.booleans(),
    is_metadata_only=st.booleans(),
    tag_prefix=st.just("v"),
    tag_suffix=st.just(""),
)
MANIFESTS = st.builds(
    Manifest,
    distributions=st.lists(DISTRIBUTIONS, max_size=5, unique_by=lambda file: file.filename).map(tuple),
    commit=st.none() | st.text("0123456789abcdef", min_size=40, max_size=40),
    dirty=st.booleans(),
    time=st.just("2026-11-21T04:00:00+00:00"),
    policy=st.none()
    | st.builds(
        PublishingPolicy,
        settings=st.just('{"targets": {"rc": "testpypi"}}'),
        packages=st.lists(FACTS, max_size=3, unique_by=lambda package: package.name).map(tuple),
        tags=st.lists(st.just("v1.0")).map(tuple),
    ),
    needs=st.dictionaries(PACKAGES, st.lists(PACKAGES).map(tuple)).map(lambda needs: tuple(needs.items())),
)


def distribution(filename: str = "core-1.0.tar.gz", package: str = "core") -> Distribution:
    return Distribution(
        package=package,
        version=Version("1.0"),
        filename=filename,
        kind="wheel" if filename.endswith(".whl") else "sdist",
        size=12345,
        sha256="a" * 64,
        blake2b_256="b" * 64,
    )


def manifest(*files: Distribution) -> Manifest:
    return Manifest(
        distributions=files or (distribution(),),
        commit="c" * 40,
        dirty=False,
        time="2026-11-21T04:00:00+00:00",
        needs=(("core", ()), ("top", ("core",))),
    )


@settings(deadline=None)
@given(MANIFESTS)
def test_a_manifest_reads_back_as_written(written: Manifest) -> None:
    assert Manifest.from_json(written.to_json(), where="dist/manifest.json") == written


def test_the_json_form_has_the_keys_of_a_build_report() -> None:
    # The keys of `python -m build --report` (build 1.6), and relnox's own beside them.
    document = json.loads(manifest().to_json())
    assert document["version"] == "1.0"
    (artifact,) = document["artifacts"]
    build_says = {key: artifact[key] for key in ("name", "path", "kind", "size")}
    assert build_says == {
        "name": "core-1.0.tar.gz",
        "path": "core-1.0.tar.gz",
        "kind": "sdist",
        "size": 12345,
    }
    assert artifact["hashes"]["sha256"] == "a" * 64
    assert artifact["hashes"]["blake2b_256"] == "b" * 64


def test_the_text_form_lists_every_file_with_its_hashes() -> None:
    text = manifest(distribution(), distribution("core-1.0-py3-none-any.whl")).to_text()
    assert text.splitlines() == [
        f"Built 2026-11-21T04:00:00+00:00 from {'c' * 40}",
        "",
        "core 1.0",
        "  core-1.0.tar.gz  (sdist, 12,345 bytes)",
        f"    sha256      {'a' * 64}",
        f"    blake2b-256 {'b' * 64}",
        "  core-1.0-py3-none-any.whl  (wheel, 12,345 bytes)",
        f"    sha256      {'a' * 64}",
        f"    blake2b-256 {'b' * 64}",
    ]


def test_a_manifest_of_some_packages() -> None:
    both = manifest(distribution(), distribution("top-1.0.tar.gz", "top"))
    assert both.packages == ("core", "top")
    only = both.restricted_to(frozenset({"top"}))
    assert only.packages == ("top",)
    assert only.needs == (("top", ("core",)),)
    assert only.version_of("top") == Version("1.0")
    assert both.files_of("core") == (distribution(),)


def changed(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.update(changes)


def entry(**changes: Any) -> Callable[[dict[str, Any]], object]:
    return lambda document: document["artifacts"][0].update(changes)


NO_HASHES: tuple[Any, ...] = ({}, [], None, {"sha256": "a" * 64})
NO_FILES: tuple[Any, ...] = ({"x": 1}, [[]], "x", [3])
NO_NEEDS: tuple[Any, ...] = ({"../x": []}, {"core": ["\x1b[2J"]}, [1])
INVALID: list[Callable[[dict[str, Any]], object]] = [
    *(entry(name=name) for name in ("", ".", "..", "../core-1.0.tar.gz", "/etc/passwd", "a/b.whl", "..\\b.whl")),
    *(entry(name=name) for name in ("C:b.whl", "a\0.whl", "core-1.0.whl\n", "--repository", "x" * 256, "\u202e")),
    *(entry(name=name) for name in (7, None, ["x"])),
    *(entry(kind=kind) for kind in ("egg", "", 5)),
    *(entry(size=size) for size in ("12", -1, True, 1 << 60, 1.5, None)),
    *(entry(package=name) for name in ("../core", "Core", "", 5, "x\n::error::y")),
    *(entry(package_version=version) for version in ("one", "", 1, "9" * 5000)),
    *(entry(hashes=hashes) for hashes in NO_HASHES),
    entry(hashes={"sha256": "", "blake2b_256": "b" * 64}),
    entry(hashes={"sha256": "a" * 64, "blake2b_256": "../" + "b" * 61}),
    *(changed(artifacts=files) for files in NO_FILES),
    *(changed(commit=commit) for commit in ("--upload-pack=touch x", "x\n::add-mask::y")),
    *(changed(needs=needs) for needs in NO_NEEDS),
    changed(time="\x1b]0;x\x07"),
    changed(dirty="no"),
    lambda document: document.clear(),
    lambda document: document["artifacts"].append(document["artifacts"][0] | {"name": "CORE-1.0.tar.gz"}),
]


@pytest.mark.parametrize("change", INVALID)
def test_an_invalid_value_is_an_error_with_a_fix(change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(manifest().to_json())
    change(document)
    with pytest.raises(Blocked, match=r"somewhere\.json is not a valid manifest") as caught:
        Manifest.from_json(json.dumps(document), where="somewhere.json")
    assert not {"\x1b", "\0", "\u202e"} & set(caught.value.message)
    assert caught.value.fix == "rebuild: relnox build-all"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "5", "NaN", "9" * 10_000, "{" * 9, "[" * 100_000, '{"artifacts":' * 50_000],
    ids=range(9),
)
def test_a_text_that_is_no_manifest_is_an_error(text: str) -> None:
    with pytest.raises(Blocked, match=r"dist/manifest\.json is not a valid manifest"):
        Manifest.from_json(text, where="dist/manifest.json")


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["artifacts", "name", "hashes", "needs", "time"]), inner)
        ),
    )
)
def test_any_invalid_document_raises_blocked(document: Any) -> None:
    with pytest.raises(Blocked):
        Manifest.from_json(json.dumps(document), where="x")
