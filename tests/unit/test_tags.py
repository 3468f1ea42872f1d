from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.core.packages import Package, VersionSource
from relnox.core.settings.config import Config
from relnox.core.settings.config_tables import GroupConfig
from relnox.core.tagging.tags import TagFormat, tag_formats
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.versions.semver_compat import Scheme


def workspace(*names: str, directories: Mapping[str, str] | None = None) -> Workspace:
    """Packages of these names, in `packages/NAME` or the directory that is given."""
    return Workspace(
        tuple(
            Package(
                name=canonicalize_name(name),
                directory=(directories or {}).get(name, f"packages/{name}"),
                version=None,
                source=VersionSource(kind="dynamic", file="pyproject.toml"),
                backend="hatchling.build",
            )
            for name in names
        )
    )


def formats(*names: str, tag_format: str | None = None, **more: Mapping[str, str]) -> Mapping[str, TagFormat]:
    """The formats of independent packages."""
    config = Config(versions="independent", tag_format=tag_format, tag_names=more.get("tag_names", {}))
    return tag_formats(workspace(*names, directories=more.get("directories")), config)


VERSIONS = st.builds(
    lambda epoch, release, suffix: Version(f"{epoch}{'.'.join(map(str, release))}{suffix}"),
    st.sampled_from(["", "", "1!"]),
    st.lists(st.integers(0, 2030), min_size=1, max_size=4),
    st.sampled_from(["", "a0", "b2", "rc10", ".post1", ".dev3", "rc1.dev2", "a1.post2.dev3"]),
)
AROUND = st.text("abv1.-_/=+", max_size=6)


@settings(deadline=None)
@given(AROUND, AROUND, VERSIONS, st.sampled_from(["pep440", "semver", "calver"]))
def test_a_rendered_tag_parses_to_its_version(before: str, after: str, version: Version, scheme: Scheme) -> None:
    format_ = TagFormat(before, after, scheme)
    assert format_.parse(format_.render(version)) == version


@settings(deadline=None)
@given(st.text(max_size=12))
def test_parsing_any_text_does_not_raise(text: str) -> None:
    found = TagFormat("v", "", "pep440").parse(text)
    assert found is None or text.startswith("v")


@pytest.mark.parametrize(
    ("names", "versions", "expected"),
    [
        (("demo",), None, ["v1.0"]),
        (("demo",), "independent", ["v1.0"]),
        (("a", "b"), "lockstep", ["v1.0", "v1.0"]),
        (("a", "b"), "independent", ["a-v1.0", "b-v1.0"]),
        (("a", "b"), None, ["a-v1.0", "b-v1.0"]),
    ],
)
def test_tags_without_any_setting(names: tuple[str, ...], versions: str | None, expected: list[str]) -> None:
    config = Config.parse({} if versions is None else {"versions": versions})
    found = tag_formats(workspace(*names), config)
    assert [found[name].render(Version("1.0")) for name in names] == expected


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{version}", "2.1rc1"),
        ("v{version}", "v2.1rc1"),
        ("{name}-v{version}", "name-space-x-v2.1rc1"),
        ("integrations/{directory}-v{version}", "integrations/x_1-v2.1rc1"),
        ("{tag-name}=={version}", "checkpointpostgres==2.1rc1"),
        ("release-{version}+{name}", "release-2.1rc1+name-space-x"),
    ],
)
def test_tag_format_fields(text: str, tag: str) -> None:
    found = formats(
        "Name.Space_X",
        tag_format=text,
        directories={"Name.Space_X": "integrations/x_1"},
        tag_names={"name-space-x": "checkpointpostgres"},
    )["name-space-x"]
    assert found.render(Version("2.1rc1")) == tag
    assert found.parse(tag) == Version("2.1rc1")


@pytest.mark.parametrize("text", ["v", "{name}", "{version}{version}", "v{versoin}", "{name}-{version}-{}"])
def test_an_invalid_format_is_blocked(text: str) -> None:
    with pytest.raises(Blocked, match=r"must contain \{version\} once"):
        formats("demo", tag_format=text)


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("core-v1.2.3", "1.2.3"),
        ("core-v1.2.3-rc.1", "1.2.3rc1"),  # another spelling of the same version
        ("core-v01.2", "1.2"),
        ("core-v1.2.3-beta.4", "1.2.3b4"),
        ("core-vv1", None),
        ("core-v", None),
        ("core-1", None),
        ("core-v1.x", None),
        ("core-v1-v2", None),
        ("score-v1", None),
        ("core-v 1", None),
    ],
)
def test_tags_of_one_package_among_others(tag: str, version: str | None) -> None:
    found = formats("core", "other")["core"].parse(tag)
    assert found == (Version(version) if version else None)


def test_the_latest_tag_is_the_greatest_version_not_the_last_name() -> None:
    tags = ["v1.9", "v1.10", "v1.10rc1", "v0.2", "w2.0", "v2", "v1!0.1", "vx"]
    assert TagFormat("v", "", "pep440").latest_tag(tags) == ("v1!0.1", Version("1!0.1"))
    assert TagFormat("v", "", "pep440").latest_tag(tags[:3]) == ("v1.10", Version("1.10"))
    assert TagFormat("x", "", "pep440").latest_tag(tags) is None


# --- ambiguous tag formats ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("a", "b"), "v{version}"),
        (("core", "core-1"), "{name}-{version}"),  # core-1-2 is core 1.post2, and core-1 2
        (("core", "core1"), "{name}{version}"),  # core12 is core 12, and core1 2
        (("core", "core-1-rc"), "{name}-{version}"),  # core-1-rc-1 is core 1rc1, and core-1-rc 1
        (("core", "1-core"), "v{version}-{name}"),  # v2-1-core is core 2.post1, and 1-core 2
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_ambiguous_tag_formats_are_blocked(names: tuple[str, ...], text: str, *, reverse: bool) -> None:
    with pytest.raises(Blocked) as caught:
        formats(*(names[::-1] if reverse else names), tag_format=text)
    assert all(name in caught.value.message for name in names)


def test_equal_directory_names_make_a_format_ambiguous() -> None:
    with pytest.raises(Blocked, match="a and b the same tags"):
        formats("a", "b", tag_format="{directory}-v{version}", directories={"a": "x/core", "b": "y/core"})


@pytest.mark.parametrize(
    ("packages", "kind", "fix"),
    [
        (("a", "b"), "linked", '[tool.relnox.groups.one] tag-format = "{name}-v{version}", or kind = "fixed"'),
        (("b", "c"), "fixed", 'use {name} or {directory} in it: tag-format = "{name}-v{version}"'),
        (("c",), "fixed", 'versions = "lockstep"'),
    ],
)
def test_the_fix_for_packages_with_the_same_tags_keeps_groups(
    packages: tuple[str, ...], kind: Literal["fixed", "linked"], fix: str
) -> None:
    config = Config(
        versions="independent",
        tag_format="v{version}",
        groups={"one": GroupConfig(packages=packages, kind=kind)},
    )
    with pytest.raises(Blocked, match="a and b the same tags") as caught:
        tag_formats(workspace("a", "b", "c"), config)
    assert fix in (caught.value.fix or "")


def test_lockstep_packages_may_share_tags_but_not_ambiguous_ones() -> None:
    config = Config(versions="lockstep", tag_format="{name}-{version}")
    with pytest.raises(Blocked, match="core-1"):
        tag_formats(workspace("core", "core-1"), config)


def test_similar_names_are_not_ambiguous() -> None:
    # core-v1 is a package; core-v1-v2.0 is its tag and not one of core's.
    found = formats("core", "core-v1", "core-v1-v2", "a-b")
    tags = {name: found[name].render(Version("2.0")) for name in found}
    for name, format_ in found.items():
        assert [other for other, tag in tags.items() if format_.parse(tag) is not None] == [name]


LIKE = st.lists(st.sampled_from(["core", "a", "b", "v1", "1", "rc", "post", "0"]), min_size=1, max_size=3)


@settings(deadline=None)
@given(
    st.lists(LIKE.map("-".join), min_size=2, max_size=4, unique=True),
    st.sampled_from(
        ["{name}-v{version}", "{name}-{version}", "{name}{version}", "v{version}-{name}", "{name}/{version}"]
    ),
    VERSIONS,
)
def test_every_tag_of_a_valid_workspace_belongs_to_one_package(
    names: list[str], text: str, version: Version
) -> None:
    try:
        found = formats(*names, tag_format=text)
    except Blocked:
        return
    for name, format_ in found.items():
        tag = format_.render(version)
        assert [other for other, each in found.items() if each.parse(tag) is not None] == [name]
