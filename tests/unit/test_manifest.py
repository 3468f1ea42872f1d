from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.release.manifest import Distribution, Manifest
from relnox.errors import Blocked

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
MANIFESTS = st.builds(
    Manifest,
    distributions=st.lists(DISTRIBUTIONS, max_size=5, unique_by=lambda file: file.filename).map(tuple),
    commit=st.none() | st.text("0123456789abcdef", min_size=40, max_size=40),
    dirty=st.booleans(),
    time=st.just("2026-11-21T04:00:00+00:00"),
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
    assert only.version("top") == Version("1.0")
    assert both.files_of("core") == (distribution(),)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../core-1.0.tar.gz",
        "/etc/passwd",
        "a/b.whl",
        "..\\b.whl",
        "C:b.whl",
        "a\0.whl",
        "core-1.0.whl\n",
        "--repository",
        7,
        None,
    ],
)
def test_a_file_name_with_a_directory_or_an_option_is_invalid(name: object) -> None:
    document = json.loads(manifest().to_json())
    document["artifacts"][0]["name"] = name
    with pytest.raises(Blocked, match=r"somewhere\.json is not a valid manifest"):
        Manifest.from_json(json.dumps(document), where="somewhere.json")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "egg"),
        ("size", "12"),
        ("size", -1),
        ("size", True),
        ("package", "../core"),
        ("package", "Core"),
        ("package_version", "one"),
        ("hashes", {"sha256": "a" * 64}),
        ("hashes", {"sha256": "", "blake2b_256": "b" * 64}),
        ("hashes", {"sha256": "a" * 64, "blake2b_256": "../" + "b" * 61}),
    ],
)
def test_an_invalid_entry_is_an_error(key: str, value: Any) -> None:
    document = json.loads(manifest().to_json())
    document["artifacts"][0][key] = value
    with pytest.raises(Blocked):
        Manifest.from_json(json.dumps(document), where="dist/manifest.json")


def test_two_entries_of_one_file_are_an_error() -> None:
    document = json.loads(manifest().to_json())
    document["artifacts"] *= 2
    with pytest.raises(Blocked, match=r"core-1\.0\.tar\.gz is listed twice"):
        Manifest.from_json(json.dumps(document), where="dist/manifest.json")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"version": "1.0", "artifacts": []}', '{"artifacts": [3]}', "{" * 9, "[" * 100_000],
    ids=range(8),
)
def test_an_invalid_document_is_an_error_with_a_fix(text: str) -> None:
    with pytest.raises(Blocked) as caught:
        Manifest.from_json(text, where="dist/manifest.json")
    assert "dist/manifest.json" in caught.value.message
    assert caught.value.fix == "rebuild: relnox build-all"


def test_text_that_is_not_json_is_named_so() -> None:
    with pytest.raises(Blocked, match=r"not a valid manifest \(it is not JSON: line 2, column 1\)"):
        Manifest.from_json('{"artifacts":\n', where="dist/manifest.json")


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
