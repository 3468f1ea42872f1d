from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from relnox.core.fixes import settings_to_toml
from relnox.core.packages import Package, VersionSource
from relnox.core.records import replace
from relnox.core.setting_proposals import (
    directory_globs,
    propose_settings,
    unclear_tag_format_problems,
    version_group_notes,
)
from relnox.core.settings.config import Config, GroupConfig
from relnox.core.tags import TagFormat, detect_tag_formats, split_tag
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


def formats(
    *names: str, tag_format: str | None = None, directories: Mapping[str, str] | None = None
) -> Mapping[str, TagFormat]:
    """The formats of independent packages."""
    config = Config(versions="independent", tag_format=tag_format)
    return detect_tag_formats(workspace(*names, directories=directories), config).formats


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
    found = detect_tag_formats(workspace(*names), config).formats
    assert [found[name].render(Version("1.0")) for name in names] == expected


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("{version}", "2.1rc1"),
        ("v{version}", "v2.1rc1"),
        ("{name}-v{version}", "name-space-x-v2.1rc1"),
        ("integrations/{directory}-v{version}", "integrations/x_1-v2.1rc1"),
        ("release-{version}+{name}", "release-2.1rc1+name-space-x"),
    ],
)
def test_tag_format_fields(text: str, tag: str) -> None:
    found = formats(
        "Name.Space_X",
        tag_format=text,
        directories={"Name.Space_X": "integrations/x_1"},
    )["name-space-x"]
    assert found.render(Version("2.1rc1")) == tag
    assert found.parse(tag) == Version("2.1rc1")


@pytest.mark.parametrize(
    "text", ["v", "{name}", "{version}{version}", "v{versoin}", "{name}-{version}-{}", "{tag-name}-{version}"]
)
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
        (("a", "b"), "linked", '[tool.relnox.groups.one] kind = "fixed"'),
        (
            ("b", "c"),
            "fixed",
            '[tool.relnox.tag-formats]\na = "a-v{version}"\nb = "one-v{version}"\nc = "one-v{version}"',
        ),
        ((), "fixed", 'versions = "lockstep"'),
    ],
)
def test_the_fix_for_packages_with_the_same_tags_keeps_groups(
    packages: tuple[str, ...], kind: Literal["fixed", "linked"], fix: str
) -> None:
    config = Config(
        versions="independent",
        tag_format="v{version}",
        groups={"one": GroupConfig(packages=packages, kind=kind)} if packages else {},
    )
    with pytest.raises(Blocked, match="a and b the same tags") as caught:
        detect_tag_formats(workspace("a", "b", "c"), config)
    assert fix in (caught.value.fix or "")


def test_lockstep_packages_may_share_tags_but_not_ambiguous_ones() -> None:
    config = Config(versions="lockstep", tag_format="{name}-{version}")
    with pytest.raises(Blocked, match="core-1"):
        detect_tag_formats(workspace("core", "core-1"), config)


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


# --- existing tags ------------------------------------------------------------------------------


def package(name: str, version: str | None = "1.0.0", directory: str | None = None, *, reads: str = "") -> Package:
    """A package; without a version it comes from tags, those that begin with `reads` if that is given."""
    directory = f"libs/{name}" if directory is None else directory
    return Package(
        name=canonicalize_name(name),
        directory=directory,
        version=None if version is None else Version(version),
        source=VersionSource(
            kind="toml" if version is not None else "tags", file="pyproject.toml", key=(reads,) if reads else ()
        ),
        backend="hatchling.build",
    )


@pytest.mark.parametrize(
    ("tag", "parts"),
    [
        ("v1.2.3", ("v", "1.2.3")),
        ("1.2.3", ("", "1.2.3")),
        ("V2", ("V", "2")),
        ("core-v1.2.3rc1", ("core-v", "1.2.3rc1")),
        ("azure-core_1.2.3b4", ("azure-core_", "1.2.3b4")),
        ("py-3-foo-1.0", ("py-3-foo-", "1.0")),
        ("openai-v2==2.5b0", ("openai-v2==", "2.5b0")),
        *((tag, None) for tag in ("stable", "rel_1_4_0", "v1.x", "abc1", "", "1" * 300)),
    ],
)
def test_a_tag_is_split_into_prefix_and_version(tag: str, parts: tuple[str, str] | None) -> None:
    assert split_tag(tag) == (parts and (parts[0], Version(parts[1])))


ONE = [package("demo", "1.2.3", ".")]
TWO = [package("a", "1.0"), package("b", "2.0")]
SAME = [package("a", "1.0"), package("b", "1.0")]
READERS = [package("a", None), package("b", None), package("c", "1.0")]
MIXED = [package("g-core", "0.6", "py/core"), package("g-io", "0.6", "py/io"), package("g-rust", "0.1", "py/x")]


def now_only(*_: object) -> bool:
    """The files had no other versions than those that they have."""
    return False


@pytest.mark.parametrize(
    ("packages", "settings", "tags", "prefixes"),
    [
        (ONE, "", "v1.2.2 v1.2.3", "v"),
        (ONE, "", "1.2.3", ""),
        (ONE, "", "demo==1.2.3", "demo=="),
        (ONE, "", "v1.2.3 stable", "v"),  # a tag without a number is not that of a release
        (ONE, "", "v1.2.3 v9.0", "v"),  # nor is a stray one a new line
        (ONE, 'tag-format = "{version}"', "v1.2.3", ""),
        (TWO, "", "a-v1.0 b-v2.0", "a-v b-v"),
        (TWO, "", "a==1.0", "a== b=="),
        (TWO, "", "a/1.0 b@2.0", "a/ b@"),
        (TWO, 'tag-formats = { b = "b{version}" }', "a@1.0 b0.1", "a@ b"),
        (SAME, 'versions = "lockstep"', "1.0", " "),
        ([package("x", "1.0", "libs/core"), package("b", "1.0")], "", "core/1.0 b/1.0", "core/ b/"),
        (READERS, "", "v1.0 c-v1.0", "v v c-v"),
        ([package("flow", None, ".", reads="flow-"), TWO[0]], "", "flow-3.0 a-v1.0", "flow- a-v"),
        ([package("flow", None, ".", reads="flow-"), TWO[0]], "", "flow-v3.0 a-v1.0", "flow-v a-v"),
        ([package("flow", None, ".", reads="v"), package("ui", None, reads="ui-")], "", "v3.0", "v ui-"),
    ],
)
def test_the_usual_form_of_all_tags_needs_no_setting(
    packages: list[Package], settings: str, tags: str, prefixes: str
) -> None:
    config = Config.parse(tomllib.loads(settings))
    forms = detect_tag_formats(Workspace(tuple(packages)), config, tags.split(), now_only)
    assert [each.prefix for each in forms.proposals.values()] == prefixes.split(" ")
    assert forms.unclear == {}


UNCLEAR: Mapping[str, tuple[list[Package], str, dict[str, object], str]] = {
    "an unusual form": (ONE, "release-1.2.2 release-1.2.3", {"tag-format": "release-{version}"}, ""),
    "two forms": (ONE, "demo-1.2.2 demo-1.2.3 v5.0.0", {"tag-format": "demo-{version}"}, ""),
    "an older line": (ONE, "v1.2.3 0.9", {"tag-format": "v{version}"}, ""),
    "no version in any tag": (ONE, "rel_1_2_2 rel_1_2_3", {"tag-format": "v{version}"}, "demo"),
    "plain tags of a crate": (ONE, "v2.9 v2.8", {"tag-format": "demo-v{version}"}, "demo"),
    "named tags of a crate": (ONE, "demo-v2.9", {"tag-format": "v{version}"}, "demo"),
    "one tag for all packages": (SAME, "v1.0", {"versions": "lockstep", "tag-format": "v{version}"}, ""),
    "a root with plain tags": (
        [package("root", "3.0", "."), package("a", "0.1")],
        "v2.9 v3.0",
        {"tag-formats": {"root": "v{version}", "a": "a-v{version}"}},
        "a",
    ),
    "tags with parts of the names": (
        [package("lg", "1.2"), package("lg-pg", "2.1"), package("lg-sdk", "0.4"), package("lg-new", "0.1")],
        "1.1 1.2 pg==2.1 lg-sdk==0.4 0.1",
        {"tag-formats": {"lg": "{version}", "lg-pg": "pg=={version}", "lg-new": "lg-new=={version}"}},
        "lg-new",
    ),
    "a plain tag for some packages": (
        [package("a", "0.6"), package("b", "0.6"), package("x", "1.0")],
        "v0.6 x==1.0",
        {"groups": {"main": {"packages": ["a", "b"]}}, "tag-formats": {"a": "v{version}", "b": "v{version}"}},
        "",
    ),
    "tags of a crate with a package's short name": (
        MIXED,
        "py-v0.6 rust-v0.6 rust-v0.8",
        {
            "groups": {"main": {"packages": ["g-core", "g-io"]}},
            "tag-formats": {
                "g-core": "py-v{version}",
                "g-io": "py-v{version}",
                "g-rust": "g-rust-v{version}",
            },
        },
        "g-rust",
    ),
    "a form with the directory": (
        [package("x-a", "1.0", "libs/a"), package("x-b", "2.0", "libs/b"), package("x-c", "2.0", "libs/c")],
        "python-a-1.0 python-b-2.0 java-2.0",
        {"tag-formats": {f"x-{name}": f"python-{name}-{{version}}" for name in "abc"}},
        "x-c",
    ),
    "a version tagged in another form": (
        TWO,
        "a-v0.9 b-v2.0 a/1.0",
        {"tag-formats": {"a": "a/{version}"}},
        "",
    ),
    "no example for many packages": (
        [package("root", "3.0", "."), *(package(name, "0.1") for name in "abc")],
        "v3.0",
        {"tag-format": "{name}-v{version}", "tag-formats": {"root": "v{version}"}},
        "a b c",
    ),
}


@pytest.mark.parametrize("shape", UNCLEAR)
def test_any_other_form_is_a_problem_whose_settings_solve_it(shape: str) -> None:
    packages, text, settings, unknown = UNCLEAR[shape]
    space, tags = Workspace(tuple(packages)), dict.fromkeys(text.split(), "its commit")
    forms = detect_tag_formats(space, Config(), tags, now_only)
    assert forms.unclear.keys() - forms.confirmed == {*unknown.split()}
    (problem,) = unclear_tag_format_problems(space.by_name.keys(), forms, tags)
    assert problem.code == "tag-format-unknown"
    found = propose_settings(forms, tags, space.by_name.keys())
    assert found == settings
    assert settings_to_toml(found) in problem.fix
    pasted = detect_tag_formats(
        space, Config.parse(tomllib.loads(settings_to_toml(found))["tool"]["relnox"]), tags, now_only
    )
    assert pasted.unclear == {}
    assert pasted.formats == forms.proposals


def test_settings_without_a_tag_that_shows_them_are_not_written() -> None:
    space, tags = Workspace(tuple(MIXED)), dict.fromkeys(["py-v0.6", "rust-v0.8"], "a commit")
    found = propose_settings(detect_tag_formats(space, Config(), tags, now_only), tags)
    assert found["tag-formats"] == {"g-core": "py-v{version}", "g-io": "py-v{version}"}
    after = detect_tag_formats(space, Config.parse(found), tags, now_only)
    assert after.unclear.keys() == {"g-rust"}


def test_only_packages_whose_file_had_the_last_version_continue_a_tag() -> None:
    packages = Workspace((package("a", "2.dev1"), package("b", "2.dev1"), package("c", "0.2.dev1")))
    had = {"a": "1.5", "b": "1.5", "c": "0.1"}
    forms = detect_tag_formats(
        packages, Config(), ["v1.5", "v1.4"], lambda package, _, version: str(version) == had[package.name]
    )
    assert {name: forms.proposals[name].prefix for name in forms.confirmed} == {"a": "v", "b": "v"}


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ("a-v0.9:1 a-v1.0:2 b-v0.9:1 b-v1.0:2", "a, b"),
        ("a==0.9:1 a==1.0:2 b==0.9:1 b==1.0:2", "a, b"),
        ("a-v0.9:1 a-v1.0:2 b-v0.9:1 b-v1.0:3", ""),  # at another commit
        ("a-v0.9:1 a-v1.0:2 b-v1.0:2", ""),
        ("a-v1.0:2 b-v1.0:2", ""),  # once is not always
    ],
)
def test_packages_that_were_always_released_together_are_offered_as_a_group(tags: str, names: str) -> None:
    space = Workspace((*SAME, package("c", "3.0")))
    commits = dict(tag.split(":") for tag in f"{tags} c-v3.0:9".split())
    forms = detect_tag_formats(space, Config(), commits, now_only)
    notes = list(version_group_notes(forms, commits))
    assert [note.partition(" always")[0] for note in notes] == ([names] if names else [])
    assert not list(version_group_notes(replace(forms, config=Config(versions="independent")), commits))
    if names:
        settings = tomllib.loads(notes[0].partition("\n")[2])["tool"]["relnox"]
        assert settings == {"groups": {"main": {"packages": ["a", "b"]}}}
        assert detect_tag_formats(space, Config.parse(settings), commits, now_only).formats == forms.formats


@given(st.text(max_size=30))
def test_any_tag_is_read_without_an_error(tag: str) -> None:
    detect_tag_formats(Workspace(tuple(TWO)), Config(), [tag])


def test_directory_globs_match_exactly_these_packages() -> None:
    every = [package(name, directory=f"libs/{name}") for name in "abcd"] + [package("e", directory="tools/e")]
    assert directory_globs(every[:4], every) == ["libs/*"]
    assert directory_globs(every[:3], every) == ["libs/*", "!libs/d"]
    assert directory_globs([every[0], every[4]], every) == ["libs/a", "tools/e"]
    assert directory_globs([package("r", directory="."), *every[:4]], every) == [".", "libs/*"]
