from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.version import Version

from relnox.core.bump.release_history import ReleaseHistory, current_versions
from relnox.core.bump.version_bumps import (
    BumpRequest,
    inconsistent_version_problems,
    resolve_bumps,
)
from relnox.core.packages import Dependency, Package, VersionSource
from relnox.core.settings.config import Config, GroupConfig
from relnox.core.version_groups import find_version_groups
from relnox.core.versions.versioning import LEVELS, Bump
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from relnox.core.packages import DependencyTable
    from relnox.core.versions.versioning import Level, Part

TODAY = date(2026, 11, 21)
PUBLISHED = ("runtime", "extra")


def package(name: str, version: str | None, *needs: str, private: bool = False, kind: str = "") -> Package:
    """Make a package in a directory of its name; a requirement may start with its table: `group: a==1`."""
    dependencies = []
    for index, text in enumerate(needs):
        table, _, requirement = text.rpartition(": ")
        dependencies.append(
            Dependency(
                name=Requirement(requirement).name,
                text=requirement,
                table=_table_of_bumps(table),
                key=("needs", index),
            )
        )
    source: Any = {"kind": kind or ("toml" if version else "tags"), "text": version or "setuptools-scm"}
    return Package(
        name=name,
        directory=name,
        version=Version(version) if version else None,
        source=VersionSource(file=f"{name}/pyproject.toml", **source),
        backend="hatchling.build",
        dependencies=tuple(dependencies),
        is_private=private,
    )


def _table_of_bumps(name: str) -> DependencyTable:
    match name:
        case "extra" | "group" | "build" as table:
            return table
        case _:
            return "runtime"


def requested(part: Part, *names: str, **more: Any) -> dict[str, BumpRequest]:
    """Make the same request for several packages."""
    return {name: BumpRequest(Bump(part=part, **more), f"requested {part}") for name in names}


def named(version: str, *names: str, allow_lower: bool = False) -> dict[str, BumpRequest]:
    """Make a request for one version."""
    return {name: BumpRequest(Bump(to=version, allow_lower=allow_lower), f"--to {version}") for name in names}


def bumped(
    packages: Sequence[Package],
    bump_requests: Mapping[str, BumpRequest],
    released: Mapping[str, str] | None = None,
    own: Mapping[str, BumpRequest] | None = None,
    **config: Any,
) -> dict[str, str]:
    """Return the new versions by package."""
    settings = Config(**({"versions": "independent"} | config))
    history = {name: ReleaseHistory("v1", Version(text), ()) for name, text in (released or {}).items()}
    bumps, _ = resolve_bumps(
        Workspace(tuple(packages)),
        bump_requests,
        current_versions=current_versions(packages, history),
        config=settings,
        today=TODAY,
        own_changes=own or {},
    )
    assert all(bump.reason for bump in bumps)
    return {bump.package.name: str(bump.after) for bump in bumps}


def rewritten(
    packages: Sequence[Package], bump_requests: Mapping[str, BumpRequest], **config: Any
) -> dict[str, list[str]]:
    """Return the new texts of requirements by package."""
    settings = Config(**({"versions": "independent"} | config))
    _, updates = resolve_bumps(
        Workspace(tuple(packages)),
        bump_requests,
        current_versions=current_versions(packages, {}),
        config=settings,
        today=TODAY,
    )
    return {name: [changed for _, changed in needs] for name, needs in updates.items()}


def group(*names: str, kind: Any = "fixed") -> dict[str, GroupConfig]:
    return {"both": GroupConfig(packages=names, kind=kind)}


def blocked(packages: Sequence[Package], bump_requests: Mapping[str, BumpRequest], **config: Any) -> Blocked:
    with pytest.raises(Blocked) as caught:
        bumped(packages, bump_requests, **config)
    return caught.value


def pkgs(text: str) -> list[Package]:
    """Make packages from a line such as `a 1.0; b 1.0 (group: a==1.0, extra: c); d -`, where d has no version."""
    packages = []
    for part in text.split("; "):
        name, version, *needs = part.replace(" (", "|").replace(" ", "|", 1).removesuffix(")").split("|")
        is_private = version.endswith("!")
        texts = needs[0].split(" & ") if needs else []
        packages.append(package(name, version.strip("!") if version != "-" else None, *texts, private=is_private))
    return packages


def asked(text: str) -> dict[str, BumpRequest]:
    """Make requests from words such as `minor a, --to=2.0 b c`."""
    requests: dict[str, BumpRequest] = {}
    for part in text.split(", "):
        word, *names = part.split()
        bump = named(word.removeprefix("--to="), *names) if word.startswith("--to=") else None
        requests |= bump or requested(cast("Part", word), *names)
    return requests


GROUP = {"groups": group("a", "b")}
LINKED = {"groups": group("a", "b", "c", kind="linked")}
SISTER = {"dependency_updates": {"sister-x": "a"}}
DIAMOND = "a 1; b 1 (a<2); c 1 (a<2); d 1 (b<=1 & c<=1)"
DEPENDENTS = {"patch": "b 1.2.4", "minor": "b 1.3.0", "major": "b 2.0.0", "none": ""}
POLICIES = [
    ("a>=1.0,<2", "out-of-range", ""),
    ("a>=1.0,<2", "always", "a>=1.1.0,<2"),
    ("a>=1.0,<2", "exact", "a==1.1.0"),
    ("a", "always", ""),
    ("a", "exact", ""),
    ("a<1.1", "out-of-range", "a<1.2"),
    ("a~=1.0.0", "out-of-range", "a~=1.1.0"),
    ("a>=1.0,<2", "never", ""),
    ("group: a==1.0.0", "never", ""),
]


@pytest.mark.parametrize(
    ("config", "case"),  # packages | requests | new versions | new requirements
    [
        # A fixed group is bumped together by the highest level, a linked one where something is requested.
        (GROUP, "a 1.4.2; b 1.4.2 | patch a, minor b | a 1.5.0, b 1.5.0 | "),
        ({"versions": "lockstep"}, "a 1.4.2; b 1.4.2 | minor b | a 1.5.0, b 1.5.0 | "),
        (GROUP, "a 1.0.0; b 1.0.0; c 7.0.0 | minor a | a 1.1.0, b 1.1.0 | "),
        (GROUP, "a 1.0.0; b 1.0.1 | --to=1.1.0 a | a 1.1.0, b 1.1.0 | "),
        (LINKED, "a 1.0.0; b 1.3.0; c 1.2.0 | patch a | a 1.3.1 | "),
        (LINKED, "a 1.0.0; b 1.3.0; c 1.2.0 | patch a, minor c | a 1.4.0, c 1.4.0 | "),
        (LINKED, "a 1.0.0; b 1.3.0; c 1.2.0 | --to=2.0.0 a b | a 2.0.0, b 2.0.0 | "),
        (LINKED, "a 1.0.0; b 1.3.0 (a==1.0.0); c 1.2.0 | patch a | a 1.3.1, b 1.3.1 | a==1.3.1"),
        # Dependents, and theirs.
        ({}, "a 1.0.0; b 1.0.0 (a==1.0.0); c 1.0.0 (b>=1) | major a | a 2.0.0, b 1.0.1 | a==2.0.0"),
        ({}, "a 1.0.0; b 1.0.0 (a<2); c 1.0.0 (b==1.0.0) | major a | a 2.0.0, b 1.0.1, c 1.0.1 | a<3, b==1.0.1"),
        ({}, f"{DIAMOND} | major a | a 2, b 1.0.1, c 1.0.1, d 1.0.1 | a<3, a<3, b<=1.0.1, c<=1.0.1"),
        ({}, "a 1.0 (extra: b==1.0); b 1.0 (a==1.0) | minor a | a 1.1, b 1.0.1 | b==1.0.1, a==1.1"),
        ({}, "a 1.0.0; b 1.0.0 (group: a==1.0.0) | minor a | a 1.1.0 | a==1.1.0"),
        ({}, "a 1.0.0; b 1.0.0 (build: a==1.0.0) | minor a | a 1.1.0 | a==1.1.0"),
        ({}, "a 1.0.0; b 1.0.0! (a==1.0.0) | minor a | a 1.1.0 | a==1.1.0"),  # b is private
        ({}, "a 1.0.0; b - (a==1.0.0) | minor a | a 1.1.0 | a==1.1.0"),
        ({}, "a 1.0.0; b 1.0.0 (a==1.0.0) | minor a, major b | a 1.1.0, b 2.0.0 | a==1.1.0"),
        (
            {"groups": group("b", "c")},
            "a 1.0.0; b 3.0.0 (a==1.0.0); c 3.0.0 | minor a | a 1.1.0, b 3.0.1, c 3.0.1 | a==1.1.0",
        ),
        ({}, "a 1.1.0a0; b 1.0.0 (a==1.1.0a0) | pre a | a 1.1.0a1, b 1.0.1 | a==1.1.0a1"),
        ({}, "a 1.1.0a0; b 1.0.1.dev1 (a==1.1.0a0) | pre a | a 1.1.0a1, b 1.0.1.dev2 | a==1.1.0a1"),
        ({"scheme": "semver"}, "a 1.0a0; b 1.0 (a==1.0a0) | pre a | a 1.0a1, b 1.0.1 | a==1.0-alpha.1"),
        # Settings.
        *(
            ({"dependents": level}, f"a 1.0.0; b 1.2.3 (extra: a<1.1) | minor a | a 1.1.0, {after} | a<1.2")
            for level, after in DEPENDENTS.items()
        ),
        *(
            (
                {"update_requirements": policy},
                f"a 1.0.0; b 2 ({need}) | minor a | a 1.1.0, {'b 2.0.1' * bool(after)} | {after}",
            )
            for need, policy, after in POLICIES
        ),
        (
            SISTER,
            "a 1.0.0; b 1.0.0 (sister-x==1.0.0 & other==1.0.0) | minor a | a 1.1.0, b 1.0.1 | sister-x==1.1.0",
        ),
        (SISTER, "a 1.0.0; b 1.0.0 (sister-x==1.0.0) | minor b | b 1.1.0 | "),
    ],
)
def test_bumps_of_groups_and_dependents(config: dict[str, Any], case: str) -> None:
    workspace, requests, versions, requirements = case.split(" | ")
    packages, bump_requests = pkgs(workspace), asked(requests)
    after = bumped(packages, bump_requests, **config)
    assert ", ".join(f"{name} {version}" for name, version in after.items()) == versions.removesuffix(", ")
    updates = rewritten(packages, bump_requests, **config)
    assert ", ".join(text for name in sorted(updates) for text in updates[name]) == requirements


def test_a_version_that_was_set_by_hand_is_released_as_it_is() -> None:
    assert bumped([package("a", "1.0.0")], {"a": BumpRequest(None, "no tag yet")}) == {"a": "1.0.0"}


def test_a_version_from_tags_is_bumped_from_the_last_tag() -> None:
    released = {"a": "1.0.0", "b": "1.0.0"}
    for versions in ("lockstep", "independent"):  # their backends read the same tags
        after = bumped(pkgs("a -; b -"), requested("minor", "a"), released, versions=versions)
        assert after == {"a": "1.1.0", "b": "1.1.0"}


# --- version groups ------------------------------------------------------------------------------------


def test_lockstep_is_one_group_of_all_packages() -> None:
    packages = (package("a", "1.0"), package("b", "1.0"))
    (lockstep,) = find_version_groups(Workspace(packages), Config(versions="lockstep"))
    assert (lockstep.kind, lockstep.packages) == ("fixed", packages)
    alone = find_version_groups(Workspace(packages), Config(versions="independent"))
    assert [(item.kind, item.packages) for item in alone] == [("alone", packages[:1]), ("alone", packages[1:])]


def test_group_members_match_globs_in_any_spelling() -> None:
    packages = tuple(package(name, "1.0") for name in ("acme-core", "acme-web", "other"))
    config = Config(versions="independent", groups=group("Acme_*"))
    found = {
        item.name: [each.name for each in item.packages]
        for item in find_version_groups(Workspace(packages), config)
    }
    assert found == {"both": ["acme-core", "acme-web"], "other": ["other"]}


def test_a_package_in_two_groups_is_blocked() -> None:
    groups = {"one": GroupConfig(packages=("a*",)), "two": GroupConfig(packages=("b", "ab"))}
    packages = (package("a", "1.0"), package("ab", "1.0"), package("b", "1.0"))
    with pytest.raises(Blocked, match="ab is in two groups: one and two"):
        find_version_groups(Workspace(packages), Config(groups=groups))


def test_a_package_that_matches_two_globs_of_a_group_is_in_it_once() -> None:
    packages = (package("a", "1.0"), package("ab", "1.0"))
    (item,) = find_version_groups(Workspace(packages), Config(groups=group("a*", "ab")))
    assert [each.name for each in item.packages] == ["a", "ab"]


def test_a_group_without_members_is_blocked() -> None:
    with pytest.raises(
        Blocked, match=r"group both has no package of this workspace \(packages is set to x, y-\*\)"
    ) as caught:
        find_version_groups(Workspace((package("a", "1.0"),)), Config(groups=group("x", "y-*")))
    assert "[tool.relnox.groups.both]" in (caught.value.fix or "")


# --- lockstep and groups -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"versions": "lockstep"}, "packages in lockstep have different versions"),
        ({"groups": group("a", "b")}, "packages of group both have different versions"),
    ],
)
def test_different_versions_in_a_fixed_group_are_listed(config: dict[str, Any], words: str) -> None:
    packages = [package("a", "1.0.0"), package("b", "1.0.1")]
    error = blocked(packages, requested("minor", "a"), **config)
    assert words in error.message
    assert "  1.0.0: a/pyproject.toml\n  1.0.1: b/pyproject.toml" in error.message
    assert "--to VERSION" in (error.fix or "")


def test_an_explicit_version_below_one_of_the_group_needs_allow_lower() -> None:
    packages = [package("a", "1.0.0"), package("b", "2.0.0")]
    assert "1.5.0 is lower than the current version 2.0.0" in (
        blocked(packages, named("1.5.0", "a"), groups=group("a", "b")).message
    )
    lower = named("1.5.0", "a", allow_lower=True)
    assert bumped(packages, lower, groups=group("a", "b")) == {"a": "1.5.0", "b": "1.5.0"}


def test_a_linked_dependent_in_an_older_prerelease_gets_the_version_of_its_group() -> None:
    # The group counts from its highest version, which is no prerelease: there is no phase to repeat.
    packages = [package("a", "1.0.0"), package("b", "1.0.0a1", "a==1.0.0"), package("c", "2.0.0")]
    found = bumped(packages, requested("minor", "a"), groups=group("b", "c", kind="linked"))
    assert found["a"] == "1.1.0"
    assert Version(found["b"]) > Version("2.0.0")


# --- versions that no file states ----------------------------------------------------------------------


def test_a_first_version_from_tags_must_be_given() -> None:
    error = blocked([package("a", None)], requested("minor", "a"))
    assert "a has no version yet (setuptools-scm reads tags" in error.message
    assert bumped([package("a", None)], named("0.1.0", "a")) == {"a": "0.1.0"}


@pytest.mark.parametrize("bump_requests", [requested("minor", "a"), named("0.1.0", "a")])
def test_a_version_that_only_the_backend_knows_cannot_be_bumped(
    bump_requests: dict[str, BumpRequest],
) -> None:
    # Nothing could be edited, and no tag would change what the backend says.
    error = blocked([package("a", None, kind="dynamic")], bump_requests)
    assert "a has no version in a file" in error.message


# --- dependents ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("workspace", "words", "config", "own", "reasons"),
    [
        ("a 1.0.0; b 1.0.0", "minor b", GROUP, {}, ["bumped with b (both)", "requested minor"]),
        (
            "a 1.0.0; b 1.0.0; c 1.0.0 (a==1.0.0 & b==1.0.0 & extra: a==1.0.0)",
            "minor a b",
            {},
            {},
            ["requested minor", "requested minor", "its requirement on a, b changes"],
        ),
        (
            "a 1.0.0; b 1.0.0 (a==1.0.0)",
            "minor a",
            {},
            {"b": BumpRequest(Bump(part="minor"), "minor: feat: x")},
            ["requested minor", "minor: feat: x; its requirement on a changes"],
        ),
    ],
)
def test_reasons_name_each_cause_once(
    workspace: str, words: str, config: dict[str, Any], own: dict[str, BumpRequest], reasons: list[str]
) -> None:
    packages = pkgs(workspace)
    found, _ = resolve_bumps(
        Workspace(tuple(packages)),
        asked(words),
        current_versions=current_versions(packages, {}),
        config=Config(**({"versions": "independent"} | config)),
        today=TODAY,
        own_changes=own,
    )
    assert [move.reason for move in found] == reasons


@pytest.mark.parametrize("table", PUBLISHED)
def test_an_excluding_requirement_under_never_is_blocked(table: str) -> None:
    error = blocked(
        [package("a", "1.0.0"), package("b", "1.0.0", f"{table}: a==1.0.0")],
        requested("minor", "a"),
        update_requirements="never",
    )
    assert "b/pyproject.toml: 'a==1.0.0' excludes a 1.1.0" in error.message
    assert 'update-requirements = "out-of-range"' in (error.fix or "")


@pytest.mark.parametrize(
    ("present", "bump_request", "expected"),
    [
        ("1.2.3", Bump(part="minor", pre="alpha"), "1.2.4a0"),  # what is final must not need a prerelease
        ("1.2.3", Bump(part="minor", pre="rc"), "1.2.4rc0"),
        ("1.2.3", Bump(part="dev"), "1.2.4.dev1"),
        ("1.3.0b2", Bump(part="minor"), "1.3.0b3"),  # it goes on in its own prerelease
        ("1.3.0b2", Bump(part="minor", pre="alpha"), "1.3.0b3"),
        ("1.3.0.dev2", Bump(part="minor"), "1.3.0"),  # it is finished
        ("1.3.1.dev2", Bump(part="minor"), "1.3.1"),
        ("1.3.0.dev2", Bump(part="minor", pre="alpha"), "1.3.0.dev3"),
        ("1.3.0.dev2", Bump(part="dev"), "1.3.0.dev3"),
        ("1.3.0a1.dev2", Bump(part="minor"), "1.3.0a1"),
    ],
)
def test_a_dependent_and_prereleases(present: str, bump_request: Bump, expected: str) -> None:
    packages = [package("a", "1.0.0"), package("b", present, "a==1.0.0")]
    assert bumped(packages, {"a": BumpRequest(bump_request, "requested")})["b"] == expected


@pytest.mark.parametrize(
    ("present", "bump_request", "own", "expected"),
    [
        ("1.2.3", Bump(part="minor"), "minor", "1.3.0"),
        ("1.2.3", Bump(part="minor"), "patch", "1.2.4"),
        ("1.2.3", Bump(part="minor", pre="rc"), "minor", "1.3.0rc0"),
        ("1.2.3", Bump(part="dev"), "minor", "1.2.4.dev1"),  # a development version has no level
        ("1.2.4.dev1", Bump(part="minor"), "minor", "1.3.0"),
        ("1.3.0b2", Bump(part="minor"), "minor", "1.3.0b3"),  # the prerelease has the level already
        ("1.2.4b2", Bump(part="minor"), "minor", "1.3.0b0"),
        ("1.2.4b2", Bump(part="minor"), "patch", "1.2.4b3"),
    ],
)
def test_a_dependent_gets_the_level_of_its_own_changes_if_that_is_higher(
    present: str, bump_request: Bump, own: Part, expected: str
) -> None:
    packages = [package("a", "1.0.0"), package("b", present, "a==1.0.0")]
    assert bumped(packages, {"a": BumpRequest(bump_request, "requested")}, own=requested(own, "b")) == {
        "a": str(bumped(packages[:1], {"a": BumpRequest(bump_request, "requested")})["a"]),
        "b": expected,
    }


def test_a_fixed_group_gets_the_highest_level_of_all_its_packages() -> None:
    packages = [package(name, "1.0.0") for name in "ab"]
    own = requested("minor", "b")
    assert bumped(packages, requested("patch", "a"), own=own, groups=group("a", "b")) == {
        "a": "1.1.0",
        "b": "1.1.0",
    }
    assert bumped(packages, requested("patch", "a"), own=own, groups=group("a", "b", kind="linked")) == {
        "a": "1.0.1"
    }


def test_the_group_of_a_dependent_gets_the_highest_level_and_keeps_the_phase() -> None:
    packages = [package("a", "1.0.0"), package("b", "3.0.0", "a==1.0.0"), package("c", "3.0.0")]
    own = requested("minor", "c")
    for kind, expected in {"fixed": {"b": "3.1.0rc0", "c": "3.1.0rc0"}, "linked": {"b": "3.0.1rc0"}}.items():
        groups = group("b", "c", kind=kind)
        found = bumped(packages, requested("minor", "a", pre="rc"), own=own, groups=groups)
        assert found == {"a": "1.1.0rc0", **expected}


def test_a_dependent_with_lower_changes_of_its_own_gets_the_configured_level() -> None:
    packages = [package("a", "1.0.0"), package("b", "1.2.3", "a==1.0.0")]
    own = requested("patch", "b")
    bump_requests = requested("minor", "a") | own
    assert bumped(packages, bump_requests, own=own, dependents="minor")["b"] == "1.3.0"
    assert bumped(packages, bump_requests, dependents="minor")["b"] == "1.2.4"  # it is asked for explicitly
    by_hand = {**bump_requests, "b": BumpRequest(None, "raised by hand")}
    assert bumped(packages, by_hand, own=own, dependents="minor")["b"] == "1.2.3"


@pytest.mark.parametrize(
    ("text", "kind", "own", "semver", "agree"),
    [
        ("0.9", "attribute", "1.0.0", False, False),
        ("1.0.0-alpha.1", "json", "1.0a1", True, True),  # another form of the same version
        ("1.0.0", "pattern", None, False, True),  # no version in pyproject.toml, but in tags
    ],
)
def test_different_versions_in_two_locations_are_listed(
    text: str, kind: Any, own: str | None, *, semver: bool, agree: bool
) -> None:
    place = VersionSource(kind=kind, file="a/other", key=("x: (?P<version>.*)",), text=text, semver=semver)
    demo = package("a", own)
    apart = Package(**{**vars(demo), "other_locations": (place,)})
    found = list(inconsistent_version_problems([(demo, demo.version), (apart, Version(own or text))]))
    lines = [problem.message.partition("\n")[2] for problem in found]
    assert lines == ([] if agree else [f"  {own}: a/pyproject.toml\n  {text}: a/other"])


# --- any workspace -------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "e")
VERSIONS = ("0.3.0", "1.0.0", "1.4.2", "2.0.0a1", "1.0.0.dev1", "1.0.0.post1", "2026.11")
SPECIFIERS = ("", "=={}", ">={}", "~={}", "<={}", ">={},<99", ">=0.1,<={}", ">0.1,<2026.12")
BUMPS = (
    Bump(part="major"),
    Bump(part="minor"),
    Bump(part="patch"),
    Bump(part="minor", pre="alpha"),
    Bump(part="patch", pre="rc"),
    Bump(part="dev"),
    Bump(to="3000.0"),
    None,
)


@st.composite
def workspaces(draw: st.DrawFn) -> list[Package]:
    """Draw up to five packages that require each other in any way, cycles included."""
    count = draw(st.integers(1, len(NAMES)))
    versions = {name: draw(st.sampled_from(VERSIONS)) for name in NAMES[:count]}
    packages = []
    for name, version in versions.items():
        needs = []
        for other in draw(st.lists(st.sampled_from(NAMES[:count]), unique=True)):
            table = draw(st.sampled_from(("runtime", "extra", "group", "build")))
            specifier = draw(st.sampled_from(SPECIFIERS)).format(versions[other])
            if table == "extra" or other != name:
                needs.append(f"{table}: {other}{specifier}")
        packages.append(package(name, version, *needs, private=draw(st.integers(0, 5)) == 0))
    return packages


CONFIGS = st.builds(
    lambda together, kind, policy, dependents: Config(
        versions="independent",
        groups=group(*NAMES[:together], kind=kind) if together else {},
        update_requirements=policy,
        dependents=dependents,
    ),
    st.sampled_from([0, 0, 2, 3]),
    st.sampled_from(["fixed", "linked"]),
    st.sampled_from(["out-of-range", "always", "exact", "never"]),
    st.sampled_from(["patch", "minor", "major", "none"]),
)


@given(
    workspaces(),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(BUMPS), min_size=1),
    CONFIGS,
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(LEVELS)),
    st.randoms(use_true_random=False),
)
def test_after_any_bumps_the_workspace_is_consistent(
    packages: list[Package], bumps: dict[str, Bump | None], config: Config, own: dict[str, Level], chance: Any
) -> None:
    own_changes = {name: BumpRequest(Bump(part=level), "own") for name, level in own.items()}
    bump_requests = {
        name: BumpRequest(bump, "requested") for name, bump in bumps.items() if name in {p.name for p in packages}
    }
    assume(bump_requests)

    def resolve(order: Sequence[Package]) -> tuple[dict[str, Version], dict[tuple[str, Any], str]] | None:
        try:
            resolved, updates = resolve_bumps(
                Workspace(tuple(order)),
                bump_requests,
                current_versions=current_versions(order, {}),
                config=config,
                today=TODAY,
                own_changes=own_changes,
            )
        except Blocked:
            return None
        texts = {(name, need.key): changed for name, needs in updates.items() for need, changed in needs}
        return {bump.package.name: bump.after for bump in resolved}, texts

    shuffled = list(packages)
    chance.shuffle(shuffled)
    result = resolve(packages)
    assert resolve(shuffled) == result
    if result is None:
        return
    after, texts = result
    assert bump_requests.keys() <= after.keys()
    for each in packages:
        if each.name in after and each.version is not None:
            may_stay = (
                bump_requests.get(each.name, BumpRequest(Bump(), "")).bump is None or "both" in config.groups
            )
            assert after[each.name] > each.version or (may_stay and after[each.name] == each.version)
        changed = False
        for need in each.dependencies:
            text = texts.get((each.name, need.key), need.text)
            if need.name in after and need.table in PUBLISHED:
                changed |= text != need.text
                assert Requirement(text).specifier.contains(after[need.name], prereleases=True), (each.name, text)
        if changed and not each.is_private and config.dependents != "none":
            assert each.name in after  # or else its new requirement would never be published
    for version_group in find_version_groups(Workspace(tuple(packages)), config):
        versions = {after[each.name] for each in version_group.packages if each.name in after}
        assert len(versions) <= 1
        names = {each.name for each in version_group.packages}
        is_set_by_hand = any(bump_requests[name].bump is None for name in names & bump_requests.keys())
        assert version_group.kind != "fixed" or not versions or is_set_by_hand or names <= after.keys()


@given(
    workspaces(),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(BUMPS[:5]), min_size=1),
    st.dictionaries(st.sampled_from(NAMES), st.sampled_from(LEVELS)),
)
def test_packages_without_groups_are_blocked_by_version_arithmetic_only(
    packages: list[Package], bumps: dict[str, Bump | None], own: dict[str, Level]
) -> None:
    # A level and a dependent can always be bumped, in any phase.
    names = {each.name for each in packages}
    bump_requests = {name: BumpRequest(bump, "requested") for name, bump in bumps.items() if name in names}
    assume(bump_requests)
    own_changes = {name: BumpRequest(Bump(part=level), "own") for name, level in own.items()}
    assert bump_requests.keys() <= bumped(packages, bump_requests, own=own_changes).keys()
