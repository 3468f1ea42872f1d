from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.versions.semver_compat import Scheme
from relnox.core.versions.versioning import (
    Bump,
    Level,
    Part,
    Phase,
    explain_bump,
    may_result_from_bump,
    next_version,
    normalization_note,
    parse_version,
)
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEVELS: tuple[Level, ...] = get_args(Level)
PARTS: tuple[Part, ...] = get_args(Part)
PHASES: tuple[Phase, ...] = get_args(Phase)
NOVEMBER = date(2026, 11, 20)


def request(words: str) -> Bump:
    """A bump as a table writes it: `minor`, `alpha`, `minor + alpha`, `patch --always-increment`, `--to 1.2`."""
    given: dict[str, Any] = {}
    for word in words.replace(" + ", " ").replace("--to ", "--to=").split():
        flag, _, value = word.removeprefix("--").partition("=")
        if word.startswith("--"):
            given[flag.replace("-", "_")] = value or True
        else:
            assert word in (*PARTS, *PHASES)
            given["pre" if word in PHASES else "part"] = word
    return Bump(**given)


def check(version: str, words: str, expected: str, **settings: Any) -> None:
    """Expect a version in its very spelling, or `refuse: ` and a piece of the message."""
    if expected.startswith("refuse: "):
        with pytest.raises(Blocked) as refusal:
            next_version(parse_version(version), request(words), **settings)
        assert expected.removeprefix("refuse: ") in refusal.value.message
        assert refusal.value.fix
    else:
        assert str(next_version(parse_version(version), request(words), **settings)) == expected


def parsed(bumps: str) -> Iterator[tuple[str, str]]:
    """The pairs of words and expected versions in `minor = 1.3.0; patch = 1.2.4`."""
    for bump in bumps.split("; "):
        words, _, expected = bump.rpartition(" = ")
        yield words, expected


@pytest.mark.parametrize(
    ("version", "bumps"),
    [
        ("1.2.3", "patch = 1.2.4; minor = 1.3.0; major = 2.0.0; alpha = 1.2.4a0; rc = 1.2.4rc0"),
        ("1.2.3", "post = 1.2.3.post1; dev = 1.2.4.dev1; minor + alpha = 1.3.0a0; major + rc = 2.0.0rc0"),
        ("1.2.3", "pre + alpha = 1.2.4a0; --to v2.0.0-rc.1 = 2.0.0rc1; --to 1!0.1 = 1!0.1"),
        ("1.2.3", "--to 1.2.2 --allow-lower = 1.2.2; --to 2.0.0 --allow-lower = 2.0.0"),
        ("1.2.3a1", "patch = 1.2.3; minor = 1.3.0; major = 2.0.0; release = 1.2.3; alpha = 1.2.3a2"),
        ("1.2.3a1", "beta = 1.2.3b0; rc = 1.2.3rc0; pre = 1.2.3a2; phase = 1.2.3b0; dev = 1.2.3a2.dev1"),
        ("1.2.3a1", "minor + alpha = 1.3.0a0; post --always-increment = 1.2.3a1.post1"),
        ("1.3.0a1", "minor = 1.3.0; patch = 1.3.0; minor --always-increment = 1.4.0; minor + alpha = 1.3.0a2"),
        ("1.3.0a1", "minor + beta = 1.3.0b0; minor + alpha --always-increment = 1.4.0a0"),
        ("2.0.0b2", "major = 2.0.0; minor = 2.0.0"),
        ("1.2.3rc1", "rc = 1.2.3rc2; release = 1.2.3; patch = 1.2.3; pre = 1.2.3rc2; phase = 1.2.3"),
        ("1.2.3rc1", "pre + alpha = 1.2.3rc2"),
        ("1.2.3rc9", "rc = 1.2.3rc10"),
        ("1.2.3a0", "alpha = 1.2.3a1; release = 1.2.3"),
        ("0.0.0", "patch = 0.0.1"),
        ("0.4.2", "major = 1.0.0"),
        ("1.2", "patch = 1.2.1; minor = 1.3; dev = 1.2.1.dev1"),
        ("1", "major = 2; patch = 1.0.1; minor = 1.1; alpha = 1.0.1a0"),
        ("1.2.3.4", "patch = 1.2.4.0; minor = 1.3.0.0; alpha = 1.2.4.0a0"),
        ("2026.11", "minor = 2026.12"),
        ("1.2.3.dev1", "dev = 1.2.3.dev2; patch = 1.2.3; release = 1.2.3; alpha = 1.2.3a0"),
        ("1.2.3.dev1", "patch --always-increment = 1.2.4; pre + beta = 1.2.3b0; phase = 1.2.3a0"),
        ("1.2.3a1.dev2", "alpha = 1.2.3a1; dev = 1.2.3a1.dev3"),
        ("1.2.3.post1", "post = 1.2.3.post2; alpha = 1.2.4a0; pre + rc = 1.2.4rc0; dev = 1.2.4.dev1"),
        ("1!1.2.3", "patch = 1!1.2.4"),
        ("1!1.2.3a1", "release = 1!1.2.3"),
        ("1.2.3+cu118", "patch = 1.2.4; post = 1.2.3.post1"),
        ("v1.2.3", "patch = 1.2.4"),
        ("1.2.3-alpha.1", "alpha = 1.2.3a2; patch = 1.2.3"),
        ("1.0.0-1", "patch = 1.0.1"),
        ("1.2a1", "patch = 1.2"),
        ("1.2.3.4a1", "patch = 1.2.4.0; release = 1.2.3.4"),
        ("0.0.0.dev0", "patch = 0.0.0; minor = 0.1.0; major = 1.0.0"),
        ("0a1", "major = 1"),
        ("2.0.0a1", "minor + alpha = 2.0.0a2"),
        ("1.3.0.dev4", "minor + alpha = 1.3.0a0"),
        ("1.2.3b2", "patch + alpha --always-increment = 1.2.4a0"),
        ("1.2.3b1.dev1", "phase = 1.2.3rc0"),
        ("1.2.3.post1.dev2", "release = 1.2.3.post1; post = 1.2.3.post1"),
        ("1.2.3.post1.dev2", "post --always-increment = 1.2.3.post2; dev = 1.2.3.post1.dev3; patch = 1.2.4"),
        ("1.2.3.post1.dev2", "alpha = 1.2.4a0; patch + alpha = 1.2.4a0"),
        ("1.2.3.post0", "post = 1.2.3.post1"),
        ("1.2.3a1.post2", "post --always-increment = 1.2.3a1.post3; release = 1.2.3; patch = 1.2.3"),
        ("1.2.3a1.post2", "alpha = 1.2.3a2; dev = 1.2.3a2.dev1"),
        ("1.2.3a1.post2.dev3+l", "alpha = 1.2.3a2; dev = 1.2.3a1.post2.dev4; beta = 1.2.3b0; release = 1.2.3"),
        ("1.2.3a1+cu118", "release = 1.2.3"),
        ("1!0.2+cu118", "minor = 1!0.3"),
        ("1.2.0", "minor = 1.3.0"),
        ("01.02.03", "patch = 1.2.4"),
    ],
)
def test_next_versions(version: str, bumps: str) -> None:
    for words, expected in parsed(bumps):
        check(version, words, expected)


@pytest.mark.parametrize(
    ("version", "words", "expected"),
    [
        ("1.2.3", "release", "refuse: already final"),
        ("1.2.3", "pre", "refuse: not an alpha, beta or rc"),
        ("1.2.3a1", "post", "refuse: is a prerelease"),
        ("1.2.3b2", "alpha", "refuse: is past alpha"),
        ("1.2.3rc1", "alpha", "refuse: is past alpha"),
        ("1.2.3.post1", "release", "refuse: already final"),
        ("1.2.3+cu118", "release", "refuse: already final"),
        ("1.0.0-foo.1", "patch", "refuse: '1.0.0-foo.1' is not a valid version (PEP 440)"),
        ("1.3.0b1", "minor + alpha", "refuse: is past alpha"),
        ("1.2.3.dev1", "pre", "refuse: not an alpha, beta or rc"),
        ("1.2.3", "phase", "refuse: not an alpha, beta or rc"),
        ("1.2.3.post1.dev2", "phase", "refuse: not an alpha, beta or rc"),
        ("1.2.3a1.post2", "post", "refuse: is a prerelease"),
        ("1.2.3.dev1", "post", "refuse: has no post releases"),
        ("1.2.3.dev1", "post --always-increment", "refuse: has no post releases"),
        ("1.2.3a1.dev1", "post --always-increment", "refuse: has no post releases"),
        ("1.2.3", "--to 1.2.3", "refuse: is already 1.2.3"),
        ("1.2", "--to 1.2.0 --allow-lower", "refuse: is already 1.2"),
        ("1.2.3", "--to 1.2.3rc1", "refuse: 1.2.3rc1 is lower than the current version 1.2.3"),
        ("1.2.3+cu118", "--to 1.2.3", "refuse: 1.2.3 is lower than the current version 1.2.3+cu118"),
        ("1.2.3", "--to 2.0+cu118", "refuse: local segment"),
        ("1.2.3", "--to next", "refuse: --to: 'next' is not a valid version (PEP 440)"),
    ],
)
def test_blocked_versions(version: str, words: str, expected: str) -> None:
    check(version, words, expected)


@pytest.mark.parametrize(
    ("version", "bumps"),
    [
        ("1.2.3", "alpha = 1.2.4a1; minor + rc = 1.3.0rc1; dev = 1.2.4.dev1; post = 1.2.3.post1"),
        ("1.2.3a1", "beta = 1.2.3b1"),
        ("1.2.3b0", "phase = 1.2.3rc1"),
    ],
)
def test_phases_may_start_at_1(version: str, bumps: str) -> None:
    for words, expected in parsed(bumps):
        check(version, words, expected, prerelease_start=1)


@pytest.mark.parametrize(
    ("version", "bumps"),
    [
        # Year, month and number; a year may have two digits.
        ("2026.10.2", "patch = 2026.11.0; alpha = 2026.11.0a0"),
        ("2026.11.0", "patch = 2026.11.1; minor = 2026.11.1; dev = 2026.11.1.dev1; post = 2026.11.0.post1"),
        ("2025.12.7", "major = 2026.11.0"),
        ("2026.11.0a1", "patch = 2026.11.0; patch --always-increment = 2026.11.1"),
        ("2026.10.0a1", "patch = 2026.11.0; release = 2026.10.0"),
        ("2026.11.0a0", "patch + alpha = 2026.11.0a1"),
        ("2026.10.0a0", "patch + alpha = 2026.11.0a0"),
        ("2026.10.2.1", "patch = 2026.11.0.0"),
        ("1!2026.10.2", "patch = 1!2026.11.0"),
        ("1.2.3", "patch = 2026.11.0"),
        ("26.10.2", "patch = 26.11.0"),
        ("26.11.0", "minor = 26.11.1"),
        ("25.12.7", "alpha = 26.11.0a0"),
        ("2026.12.0a1", "release = 2026.12.0"),
        ("2026.12.0", "--to 2026.12.1 = 2026.12.1"),
        # Year and number.
        ("2026.3", "minor = 2026.4"),
        ("2025.9", "minor = 2026.0"),
        ("2026", "minor = 2026.1"),
        ("26.3", "minor = 26.4"),
        ("25.9", "minor = 26.0"),
        ("26", "minor = 26.1"),
        ("1!26.3", "minor = 1!26.4"),
        ("9.9", "minor = 2026.0"),
        # The number of a prerelease may be a date.
        ("1.0.0b260730", "beta = 1.0.0b261120; pre = 1.0.0b261120; rc = 1.0.0rc0; release = 1.0.0"),
        ("1.0.0b20260730", "beta = 1.0.0b20261120"),
        ("1.0.0b260730.dev1", "beta = 1.0.0b261120"),
        ("1.0.0b261120.dev1", "beta = 1.0.0b261120"),
        ("1.0.0.dev20260730", "dev = 1.0.0.dev20261120"),
        ("1.0.0b261399", "beta = 1.0.0b261400"),
        ("1.0.0b9", "beta = 1.0.0b10"),
        ("1.0.0b261120", "beta = refuse: today's date (2026-11-20) or a later one"),
        # Versions of the future.
        ("26.12.0", "patch = refuse: is not higher than the current version 26.12.0"),
        ("2026.12.0", "patch = refuse: is not higher than the current version 2026.12.0"),
        ("2026.12.0a1", "patch = refuse: is not higher than the current version 2026.12.0a1"),
    ],
)
def test_calendar_versions(version: str, bumps: str) -> None:
    for words, expected in parsed(bumps):
        check(version, words, expected, scheme="calver", today=NOVEMBER)


def test_a_calendar_needs_a_date() -> None:
    check("2026.10.2", "patch", "refuse: needs a date", scheme="calver")


@pytest.mark.parametrize(
    ("version", "words", "expected"),
    [
        ("1.2.3", "minor + alpha", "1.3.0a0"),
        ("1.2.3", "dev", "1.2.4.dev1"),
        ("1.2", "minor", "1.3"),
        ("1.2.3.post1", "patch", "1.2.4"),
        ("1.2.3", "post", "refuse: no post releases"),
        ("1.2.3a1", "dev", "refuse: a dev release of a prerelease"),
        ("1!1.2.3", "patch", "refuse: no epochs"),
        ("1.2.3.4", "patch", "refuse: 3 numbers, not 4"),
        ("1.2.3", "--to 1.2.3-1", "refuse: no post releases"),
        ("1.2.3", "--to 2.0.0-rc.1", "2.0.0rc1"),
    ],
)
def test_semver_blocks_versions_that_it_cannot_express(version: str, words: str, expected: str) -> None:
    check(version, words, expected, scheme="semver")


@pytest.mark.parametrize(
    ("bump", "flags"),
    [
        (Bump(), ["--part", "--pre", "--to"]),
        (Bump(always_increment=True), ["--part", "--pre", "--to"]),
        (Bump(to="2.0", part="minor"), ["--to 2.0", "--part"]),
        (Bump(to="2.0", pre="rc", always_increment=True), ["--to 2.0", "--pre and --always-increment"]),
        (Bump(part="minor", allow_lower=True), ["--allow-lower", "--to"]),
        (Bump(part="release", pre="rc"), ["--part release", "--pre rc"]),
        (Bump(part="phase", pre="rc"), ["--part phase", "--pre rc"]),
        (Bump(part="post", pre="rc"), ["--part post", "--pre rc"]),
        (Bump(part="dev", pre="rc"), ["--part dev", "--pre rc"]),
        (Bump(pre="rc", always_increment=True), ["--always-increment", "--part"]),
        (Bump(part="release", always_increment=True), ["--always-increment", "--part"]),
    ],
    ids=str,
)
def test_contradicting_options_are_blocked_with_their_names(bump: Bump, flags: list[str]) -> None:
    with pytest.raises(Blocked) as refusal:
        next_version(Version("1.2.3"), bump)
    message = f"{refusal.value.message}\n{refusal.value.fix}"
    assert [flag for flag in flags if flag not in message] == []


@pytest.mark.parametrize(
    "text",
    ["", "1.0.0-foo.1", "1.0 beta", "latest", "1.2.x", "1..2", "\u0661.2", "9" * 5000],
    ids=lambda text: text[:12],
)
def test_an_invalid_version_is_blocked_with_its_location(text: str) -> None:
    with pytest.raises(Blocked, match=r"^pyproject\.toml:3: "):
        parse_version(text, where="pyproject.toml:3")


def test_an_invalid_version_without_location() -> None:
    with pytest.raises(Blocked, match=r"^'latest' is not"):
        parse_version("latest")


@pytest.mark.parametrize(
    ("text", "scheme", "note"),
    [
        ("1.2.3", "pep440", None),
        ("1.2", "calver", None),
        ("v1.2.3", "pep440", "v1.2.3 is normalized to 1.2.3"),
        ("1.2.3-alpha.1", "pep440", "1.2.3-alpha.1 is normalized to 1.2.3a1"),
        ("01.02.03", "pep440", "01.02.03 is normalized to 1.2.3"),
        ("1.0.0-1", "pep440", "1.0.0-1 is normalized to 1.0.0.post1"),
        (" 1.2\n", "pep440", r"' 1.2\n' is normalized to 1.2"),
        ("1.2.3-alpha.1", "semver", None),
        ("1.2.3-alpha", "semver", "1.2.3-alpha is normalized to 1.2.3-alpha.0"),
        ("1.2.3a1", "semver", "1.2.3a1 is normalized to 1.2.3-alpha.1"),
    ],
)
def test_normalization_is_noted(text: str, scheme: Scheme, note: str | None) -> None:
    assert normalization_note(text, scheme=scheme) == note


@pytest.mark.parametrize(
    ("version", "words", "scheme", "message"),
    [
        ("1.2.3", "patch", "pep440", ""),
        ("1.2.3a1", "alpha", "pep440", ""),
        ("1.2.3a1", "minor", "pep440", ""),
        ("1.2.3", "--to 2.0", "pep440", ""),
        ("1.2.3", "alpha", "pep440", "alpha on a final version implies patch"),
        ("1.2.3", "pre + rc", "pep440", "rc on a final version implies patch"),
        ("1.2.3.post1", "dev", "pep440", "dev on a post release implies patch"),
        ("2026.10.2", "beta", "calver", "beta on a final version implies the next calendar version"),
        ("2026.10.2", "major", "calver", "major means the next calendar version"),
        (
            "1.3.0a1",
            "patch",
            "pep440",
            "patch finishes this prerelease of 1.3.0; to bump further: --always-increment",
        ),
        (
            "1.3.0a1",
            "minor + beta",
            "pep440",
            "minor continues this prerelease of 1.3.0; to bump further: --always-increment",
        ),
        ("1.2.3+cu118", "patch", "pep440", "the local segment +cu118 is dropped"),
        (
            "1.2.3+cu118",
            "alpha",
            "pep440",
            "alpha on a final version implies patch; the local segment +cu118 is dropped",
        ),
        ("1.2.3.dev1", "alpha", "pep440", ""),
        (
            "1.2.3.dev1",
            "alpha",
            "semver",
            "SemVer sorts 1.2.3-alpha.0 before 1.2.3-dev.1; do not mix dev with alpha or beta",
        ),
    ],
)
def test_notes_explain_what_the_request_implies(version: str, words: str, scheme: Scheme, message: str) -> None:
    current, bump = Version(version), request(words)
    after = next_version(current, bump, scheme=scheme, today=NOVEMBER)
    assert explain_bump(current, bump, after, scheme=scheme) == message


NUMBERS = st.integers(0, 3) | st.integers(0, 10**30)


@st.composite
def versions(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Version:
    """Any version of PEP 440."""
    release = draw(st.lists(NUMBERS, min_size=1, max_size=5) | st.just([2026, 11, 0]))
    text = f"{draw(st.integers(0, 2))}!" + ".".join(map(str, release))
    segments = (("a", "b", "rc"), (".post",), (".dev",))
    for words in segments:
        if draw(st.booleans()):
            text += draw(st.sampled_from(words)) + str(draw(NUMBERS))
    local = draw(st.none() | st.from_regex(r"[a-z0-9]{1,3}(\.[a-z0-9]{1,3})?", fullmatch=True))
    return Version(text if local is None else f"{text}+{local}")


BUMPS = st.builds(
    Bump,
    part=st.none() | st.sampled_from(PARTS),
    pre=st.none() | st.sampled_from(PHASES),
    to=st.none() | st.none() | versions().map(str) | st.text(max_size=8),
    always_increment=st.booleans(),
    allow_lower=st.booleans(),
)
SETTINGS = st.fixed_dictionaries(
    {
        "scheme": st.sampled_from(get_args(Scheme)),
        "prerelease_start": st.sampled_from([0, 1]),
        "today": st.dates(),
    }
)
SOUND = st.builds(
    Bump, part=st.sampled_from(LEVELS), pre=st.none() | st.sampled_from(PHASES), always_increment=st.booleans()
) | (st.sampled_from([Bump(part=part) for part in PARTS] + [Bump(pre=phase) for phase in PHASES]))


@settings(deadline=None)
@given(versions(), BUMPS, SETTINGS)
def test_every_request_gives_a_greater_version_or_is_blocked(
    current: Version, bump: Bump, project: dict[str, Any]
) -> None:
    try:
        result = next_version(current, bump, **project)
    except Blocked as refusal:
        assert refusal.message  # noqa: PT017 - a refusal is an answer here, not a failure
        assert refusal.fix  # noqa: PT017
        return
    assert result > current or (bump.allow_lower and result < current)
    assert result.local is None
    assert isinstance(explain_bump(current, bump, result, scheme=project["scheme"]), str)
    assert may_result_from_bump(result, bump)  # or the same command would bump again, and not finish this bump


@settings(deadline=None)
@given(versions(), SOUND, SETTINGS)
def test_epoch_and_length_are_kept(current: Version, bump: Bump, project: dict[str, Any]) -> None:
    try:
        result = next_version(current, bump, **project)
    except Blocked:
        return
    assert result > current
    assert result.epoch == current.epoch
    assert len(result.release) >= len(current.release)
    assert len(result.release) <= max(3, len(current.release))


@settings(deadline=None)
@given(versions(), st.sampled_from(LEVELS), st.none() | st.sampled_from(PHASES))
def test_bumping_a_level_is_never_blocked(current: Version, level: Level, pre: Phase | None) -> None:
    raised = next_version(current, Bump(part=level, pre=pre, always_increment=True))
    place = LEVELS.index(level)
    before = (*current.release, 0, 0)[: place + 1]
    assert raised.release[: place + 1] == (*before[:-1], before[-1] + 1)
    assert not any(raised.release[place + 1 :])


@settings(deadline=None)
@given(versions(), st.sampled_from(LEVELS))
def test_without_exact_a_level_goes_no_further_than_with_it(current: Version, level: Level) -> None:
    assert next_version(current, Bump(part=level)) <= next_version(
        current, Bump(part=level, always_increment=True)
    )


@settings(deadline=None)
@given(st.text() | st.from_regex(r"[v ]?[0-9a-z.!+_-]+", fullmatch=True))
def test_parsing_any_text_gives_a_version_or_is_blocked(text: str) -> None:
    try:
        version = parse_version(text, where="x")
    except Blocked:
        return
    assert parse_version(str(version)) == version
    assert (normalization_note(text) is None) == (text == str(version))


@pytest.mark.parametrize("scheme", get_args(Scheme))
def test_a_number_with_too_many_digits_is_blocked(scheme: Scheme) -> None:
    longest = "9" * 4300  # sys.int_info.default_max_str_digits
    with pytest.raises(Blocked):
        next_version(Version(f"{longest}.0.{longest}"), Bump(part="major"), scheme=scheme, today=NOVEMBER)
