from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
import semver
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.versions.semver_compat import (
    Scheme,
    format_version,
    from_semver,
    semver_obstacle,
    semver_order_warning,
    to_semver,
)
from relnox.core.versions.versioning import Bump, next_version
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.versions.versioning import Part

# --- SemVer and PEP 440 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pep440", "written"),
    [
        # Exact pairs, both ways.
        ("2.0.0", "2.0.0", "2.0.0"),
        ("2.0.1-alpha.0", "2.0.1a0", "2.0.1-alpha.0"),
        ("2.0.1-beta.2", "2.0.1b2", "2.0.1-beta.2"),
        ("2.0.1-rc.1", "2.0.1rc1", "2.0.1-rc.1"),
        ("2.0.1-dev.4", "2.0.1.dev4", "2.0.1-dev.4"),
        ("1.0.0+abc.5", "1.0.0+abc.5", "1.0.0+abc.5"),
        ("1.0.0-rc.1+abc.5", "1.0.0rc1+abc.5", "1.0.0-rc.1+abc.5"),
        # Accepted, and rewritten.
        ("2.0.1-alpha", "2.0.1a0", "2.0.1-alpha.0"),
        ("2.0.1-dev", "2.0.1.dev0", "2.0.1-dev.0"),
        ("2.0.1-a.1", "2.0.1a1", "2.0.1-alpha.1"),
        ("2.0.1-alpha1", "2.0.1a1", "2.0.1-alpha.1"),
        ("2.0.1-alpha-1", "2.0.1a1", "2.0.1-alpha.1"),
        ("2.0.1-b3", "2.0.1b3", "2.0.1-beta.3"),
        ("2.0.1-rc1", "2.0.1rc1", "2.0.1-rc.1"),
        ("2.0.1-rc10", "2.0.1rc10", "2.0.1-rc.10"),
        ("2.0.1-RC1", "2.0.1rc1", "2.0.1-rc.1"),
        ("1.0.0+Abc-5", "1.0.0+abc.5", "1.0.0+abc.5"),
    ],
)
def test_versions_that_semver_and_pep_440_can_express(text: str, pep440: str, written: str) -> None:
    version = from_semver(text)
    assert str(version) == pep440
    assert to_semver(version) == written
    assert from_semver(written) == version


FOREIGN = (
    "pre.1",
    "preview.3",
    "c",
    "alpha.1.dev.2",
    "rc1.dev",
    "1",
    "0",
    "post.1",
    "r1",
    "alpha.1.2",
    "SNAPSHOT",
)
NO_SEMVER = ("2.0", "2.0.0.1", "v2.0.0", "2.0.0a1", "01.0.0", "1.0.0-alpha.01", "")


@pytest.mark.parametrize(
    ("text", "reason", "fix"),
    [
        *((f"2.0.1-{word}", "PEP 440 has no prerelease", "-alpha.N") for word in (*FOREIGN, "alpha-", "-")),
        ("1.0.0+a--b", "its build metadata", "single dots"),
        ("1.0.0-alpha" + "9" * 5000, "PEP 440 has no prerelease", "-alpha.N"),
        ("1.0.0+" + "9" * 5000, "build metadata", "digits"),
        ("9" * 5000 + ".0.0", "not a valid version (SemVer", "1.2.3"),
        *((text, "not a valid version (SemVer", "1.2.3") for text in NO_SEMVER),
    ],
    ids=lambda text: text[:20],
)
def test_versions_that_only_semver_can_express(text: str, reason: str, fix: str) -> None:
    with pytest.raises(Blocked) as refusal:
        from_semver(text)
    assert reason in refusal.value.message
    assert refusal.value.fix is not None
    assert fix in refusal.value.fix


@pytest.mark.parametrize(
    ("pep440", "reason"),
    [
        ("2.0.1.post1", "no post releases"),
        ("2.0.1.post1.dev1", "no post releases"),
        ("2.0.1a1.post1", "no post releases"),
        ("1!2.0.1", "no epochs"),
        ("2.0.1.4", "3 numbers, not 4"),
        ("2.0.1a1.dev2", "a dev release of a prerelease"),
        (f"2.0.{2**53}", f"up to {2**53 - 1}"),
    ],
)
def test_versions_that_only_pep_440_can_express(pep440: str, reason: str) -> None:
    with pytest.raises(Blocked) as refusal:
        to_semver(Version(pep440))
    assert f"{pep440} cannot be written as SemVer" in refusal.value.message
    assert reason in refusal.value.message
    assert refusal.value.fix


# --- scheme and place ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "pep440", "python", "semver_file"),
    [
        ("pep440", "2.0.1a0", "2.0.1a0", "2.0.1-alpha.0"),
        ("semver", "2.0.1a0", "2.0.1-alpha.0", "2.0.1-alpha.0"),
        ("calver", "2026.11.3", "2026.11.3", "2026.11.3"),
        ("calver", "2026.11.3a0", "2026.11.3a0", "2026.11.3-alpha.0"),
        ("semver", "2.0.1.dev4", "2.0.1-dev.4", "2.0.1-dev.4"),
        ("semver", "2", "2", "2.0.0"),
        ("semver", "2.1", "2.1", "2.1.0"),
        ("semver", "2.1b1", "2.1-beta.1", "2.1.0-beta.1"),
        ("semver", "2.0.1rc1+abc.5", "2.0.1-rc.1+abc.5", "2.0.1-rc.1+abc.5"),
    ],
)
def test_formats_by_scheme_and_file(scheme: Scheme, pep440: str, python: str, semver_file: str) -> None:
    assert format_version(Version(pep440), scheme) == python
    assert to_semver(Version(pep440)) == semver_file


@pytest.mark.parametrize("pep440", ["2.0.1.post1", "1!2.0.1a1", "2.0.1.4", "2.0.1a1.dev2"])
def test_versions_that_semver_cannot_express_keep_their_form_in_python_files(pep440: str) -> None:
    assert format_version(Version(pep440), "semver") == pep440


@pytest.mark.parametrize(
    ("before", "after", "inverted"),
    [
        ("2.0.1.dev4", "2.0.1a0", True),
        ("2.0.dev4", "2.0.0b1", True),
        ("2.0.1.dev4", "2.0.1rc0", False),
        ("2.0.1.dev4", "2.0.2a0", False),
        ("2.0.1.dev4", "2.0.1", False),
        ("2.0.1.dev4", "2.0.1.dev5", False),
        ("2.0.1a0", "2.0.1b0", False),
        ("1!2.0.1.dev4", "1!2.0.1a0", False),
        ("2.0.1.dev4", "2.0.1a0.post1", False),
    ],
)
def test_dev_before_alpha_gives_a_warning(before: str, after: str, *, inverted: bool) -> None:
    assert (semver_order_warning(Version(before), Version(after)) is not None) == inverted


# --- properties ----------------------------------------------------------------------------------------

NUMBERS = st.integers(0, 3) | st.integers(0, 10**20)


@st.composite
def versions(draw: Any, *, public: bool = False) -> Version:
    """Any version of PEP 440, many of which SemVer can say."""
    text = f"{draw(st.sampled_from([0, 0, 0, 1]))}!" + ".".join(
        map(str, draw(st.lists(NUMBERS, min_size=1, max_size=4)))
    )
    for words, chance in ((("a", "b", "rc"), 2), ((".post",), 4), ((".dev",), 3)):
        if draw(st.integers(1, chance)) == chance:
            text += draw(st.sampled_from(words)) + str(draw(NUMBERS))
    local = None if public else draw(st.none() | st.from_regex(r"[a-z0-9]{1,3}(\.[a-z0-9]{1,3})?", fullmatch=True))
    return Version(text if local is None else f"{text}+{local}")


@settings(deadline=None)
@given(versions(), st.sampled_from(get_args(Scheme)))
def test_every_format_parses_to_the_same_version(version: Version, scheme: Scheme) -> None:
    read = Version(format_version(version, scheme))
    assert read == version
    assert read.release == version.release


@settings(deadline=None)
@given(versions())
def test_semver_output_is_valid_and_parses_back(version: Version) -> None:
    try:
        text = to_semver(version)
    except Blocked:
        assert semver_obstacle(version) is not None
        return
    assert semver.Version.is_valid(text)
    assert from_semver(text) == version


@settings(deadline=None)
@given(versions(public=True), versions(public=True))
def test_a_different_order_gives_a_warning(one: Version, other: Version) -> None:
    before, after = sorted((one, other))
    try:
        lower, higher = to_semver(before), to_semver(after)
    except Blocked:
        return
    assert (_precedence(lower) <= _precedence(higher)) == (semver_order_warning(before, after) is None)


def _precedence(text: str) -> tuple[Any, ...]:
    """A key that sorts as section 11 of SemVer 2.0.0 says."""
    release, hyphen, prerelease = text.partition("+")[0].partition("-")
    words = [(0, int(word), "") if word.isdigit() else (1, 0, word) for word in prerelease.split(".")]
    return (*map(int, release.split(".")), not hyphen, words)


@settings(deadline=None)
@given(
    st.tuples(*[st.integers(0, 3)] * 3).filter(any),  # `major` of 0.0.0.dev1 is 1.0.0 to relnox
    st.none() | st.tuples(st.sampled_from(["a", "b", "rc"]), st.integers(0, 3)),
    st.sampled_from(["major", "minor", "patch"]),
)
def test_levels_are_those_of_the_semver_package(
    release: tuple[int, int, int], pre: tuple[str, int] | None, part: Part
) -> None:
    version = Version(".".join(map(str, release)) + ("" if pre is None else f"{pre[0]}{pre[1]}"))
    after = next_version(version, Bump(part=part), scheme="semver")
    assert to_semver(after) == str(semver.Version.parse(to_semver(version)).next_version(part))


PHASES = ("alpha", "a", "beta", "b", "rc", "c", "dev", "pre", "preview", "RC")
WORDS = st.sampled_from([*PHASES, "post", "rev", "r", "foo", "", "-", "0", "1"])


@settings(deadline=None)
@given(
    st.text()
    | st.builds("1.2.3-{}".format, st.lists(WORDS, max_size=5).map(".".join))
    | st.builds("1.2.3-{}".format, st.lists(WORDS, max_size=5).map("".join))
    | st.from_regex(r"1\.2\.3(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?", fullmatch=True)
)
def test_parsing_any_semver_text_gives_a_writable_version_or_is_blocked(text: str) -> None:
    try:
        version = from_semver(text)
    except Blocked as refusal:
        assert refusal.fix  # noqa: PT017 - a refusal is an answer here, not a failure
        return
    assert from_semver(to_semver(version)) == version
    assert Version(text) == version  # PEP 440 reads the very text as the same version
