from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.packages import Dependency, requirement_name
from relnox.core.requirements import (
    parse_clauses,
    requirement_allows,
    requires_later_release,
    rewrite_requirement,
    transitive_dependencies_among,
)
from relnox.core.versions.semver_compat import to_semver
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable

    from relnox.core.packages import Syntax
    from relnox.core.settings.config import UpdatePolicy


def is_requirement(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def need(text: str, syntax: Syntax = "pep508") -> Dependency:
    return Dependency(name="pkg", text=text, table="runtime", syntax=syntax)


def written(version: Version) -> str:
    """A version as a project writes it that has its own way."""
    return re.sub(r"dev0$", "dev", str(version))


# --- what the metadata of built packages needs


@pytest.mark.parametrize(
    ("requires", "needed"),
    [
        ({"app": ["slim[evals]==1.0"], "slim": ['evals==1.0; extra == "evals"'], "evals": ["slim"]}, "slim evals"),
        ({"app": ["slim"], "slim": ['evals==1.0; extra == "evals"'], "evals": []}, "slim"),
        (
            {"app": ["slim[All]"], "slim": ["slim[a_b]; extra == 'all'", "evals; extra == 'a-b'"], "evals": []},
            "slim evals",
        ),
        ({"app": ['slim[x]; extra == "y"'], "slim": []}, ""),
        ({"app": ["app[own]", "evals; python_version > '3'; extra"], "slim": [], "evals": []}, ""),
        ({"app": ["app[own]", 'slim; os_name != "nt" and extra == "own"'], "slim": []}, "slim"),
    ],
)
def test_a_package_needs_what_the_extras_that_it_requires_need(
    requires: dict[str, list[str]], needed: str
) -> None:
    assert transitive_dependencies_among(requires)["app"] == {*needed.split()}


# --- requirements that ask for what is not there yet ---------------------------------------------------


@pytest.mark.parametrize(
    ("text", "syntax", "version", "expected"),
    [
        ("a>=3.0", "pep508", "2.1.0", True),
        ("a==3.0.*,<4", "pep508", "2.1.0", True),
        ("a>=3.0", "pep508", "3.0rc1", False),  # a prerelease of what it asks for
        ("a>1.4.0", "pep508", "1.4.0.post1", True),  # PEP 440: > excludes post releases of that version
        ("a>1.4", "pep508", "1.4.0", True),
        ("a>1.4.0,<2", "pep508", "1.4.1", False),
        ("a>1.4.0", "pep508", "1.5.0rc1", False),
        ("a<1.5.0rc1", "pep508", "1.5.0rc1", False),
        ("a===foobar", "pep508", "1.0", False),  # any text is valid after ===
        ("a>=1.0,==1.2.*,<3,!=9", "pep508", "1.1", True),
        ("a!=9,<=8", "pep508", "1.1", False),
        ("a", "pep508", "1.1", False),
        (">=2foo", "poetry", "1.1", False),
        ("^1.2", "poetry", "1.1", True),
        ("^1.2 || ^2", "poetry", "1.1", False),
        ("*", "poetry", "1.1", False),
        ("1.2", "cargo", "1.1.0", True),
    ],
)
def test_a_requirement_is_ahead_of_a_version_that_would_lower_it(
    text: str, syntax: Syntax, version: str, *, expected: bool
) -> None:
    assert requires_later_release(need(text, syntax), Version(version)) is expected


# --- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pkg", "pkg"),
        ("Some.Pkg_name[extra] (>=1.0) ; python_version < '3.12'", "some-pkg-name"),
        ("pkg @ https://example.org/pkg.whl", "pkg"),
        ("pkg=={{ version }}", None),
        ("<REPLACE ME>", None),
        ("{{ name }}", None),
        ("../pkg", None),
        ("pkg ^1.2", None),
        ("", None),
        ("pkg; " + "(" * 5000, "pkg"),
    ],
)
def test_the_name_of_a_requirement(text: str, name: str | None) -> None:
    assert requirement_name(text) == name


@settings(deadline=None)
@example("0_")
@given(st.text())
def test_the_name_of_any_text_does_not_raise(text: str) -> None:
    name = requirement_name(text)
    assert name is None or re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


PIECES = ["a", "b-", "_c", ".", "==", "=", ">=", "<", "~=", "!=", "1", ".2", "rc1", ",", " ", "1.0", "*", ";", "x"]


@settings(deadline=None, max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("a~=1")
@example("a~=1. 2")
@example("a~=1.2, <2")
@example("a==1,")
def test_requirements_are_valid_and_have_clauses_as_packaging_says(text: str) -> None:
    if not is_requirement(text):
        with pytest.raises(Blocked, match="not a valid requirement"):
            parse_clauses(text, "pep508")
        return
    clauses = parse_clauses(text, "pep508")
    assert {f"{clause.operator}{clause.version_text}" for clause in clauses} == {
        str(clause).replace(" ", "") for clause in Requirement(text).specifier
    }


def check(text: str, syntax: Syntax, policy: UpdatePolicy, changes: str, form: Callable[[Version], str]) -> None:
    """Compare the new texts of a requirement with changes such as `2.0 -> pkg>=2.0 | 1.0 -> -`, where it stays."""
    for change in changes.split(" | "):
        new, _, expected = change.partition(" -> ")
        result = rewrite_requirement(need(text, syntax), Version(new), policy=policy, format_version=form)
        assert result == (None if expected == "-" else expected), new


# --- rewriting -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "policy", "changes"),
    [
        ("pkg", "out-of-range", "2.0 -> -"),
        ("pkg ()", "out-of-range", "2.0 -> -"),
        ("pkg[extra] ; python_version < '3'", "out-of-range", "2.0 -> -"),
        ("pkg>=1.2", "out-of-range", "2.0 -> -"),
        ("pkg>=1.2,<3", "out-of-range", "2.0a1 -> -"),
        ("pkg==1.2", "out-of-range", "1.2.0 -> - | 1.3.0 -> pkg==1.3.0"),
        ("pkg~=1.2", "out-of-range", "1.9.1 -> - | 2.0.0 -> pkg~=2.0 | 2.3.1 -> pkg~=2.3"),
        ("pkg~=1.2", "out-of-range", "2.0.0a1 -> pkg~=2.0a1 | 2.0.0rc1.dev2 -> pkg~=2.0rc1.dev2"),
        ("pkg~=1.2", "out-of-range", "2.3.0a1 -> pkg~=2.3a1 | 2.3.1a1 -> pkg~=2.3 | 2.3.1.post2 -> pkg~=2.3"),
        ("pkg~=1.2", "out-of-range", "1!1.2.0 -> pkg~=1!1.2"),
        ("pkg @ https://example.org/pkg-1.0.whl", "out-of-range", "2.0 -> -"),
        ("pkg @ git+https://example.org/pkg@v1.0 ; python_version>'3'", "out-of-range", "2.0 -> -"),
        ("pkg!=1.3", "out-of-range", "1.4 -> -"),
        ("pkg==1.2.0", "out-of-range", "1.3.0 -> pkg==1.3.0 | 1.3.0+cu118 -> pkg==1.3.0 | 2!1.0 -> pkg==2!1.0"),
        ("pkg===1.2.0", "out-of-range", "1.3.0 -> pkg===1.3.0"),
        ("pkg===1.2", "out-of-range", "1.2.0 -> pkg===1.2.0"),
        ("pkg===weekly,!=1", "out-of-range", "1.2.0 -> pkg===1.2.0,!=1"),
        ("pkg==1.2.0+cu118", "out-of-range", "1.3.0 -> pkg==1.3.0"),
        ("pkg==1.2.*", "out-of-range", "1.3.4 -> pkg==1.3.* | 2 -> pkg==2.0.* | 2.0.0a1 -> pkg==2.0.*"),
        ("pkg==1.2.*,>=1.2.3,!=1.2.5", "out-of-range", "1.3.0 -> pkg==1.3.*,>=1.3.0,!=1.2.5"),
        ("pkg~=1.2.3", "out-of-range", "2 -> pkg~=2.0.0 | 1.3.0 -> pkg~=1.3.0"),
        ("pkg>=1.2,<2", "out-of-range", "2.1.0 -> pkg>=2.1.0,<3"),
        ("pkg<2,>=1.2", "out-of-range", "2.1.0 -> pkg<3,>=2.1.0"),
        ("pkg>=1.2,<2.0", "out-of-range", "2.1.0 -> pkg>=2.1.0,<3.0"),
        ("pkg>=1.2,<2.0.0", "out-of-range", "2.1.0 -> pkg>=2.1.0,<3.0.0"),
        ("pkg>=1.2,<1.3", "out-of-range", "2.1.0 -> pkg>=2.1.0,<2.2"),
        ("pkg>=1.2,<1.3.0", "out-of-range", "2.1 -> pkg>=2.1,<2.2.0"),
        ("pkg>=1.2,<1.2.5", "out-of-range", "2.1 -> pkg>=2.1,<2.1.1"),
        ("pkg>=0.3.1,<0.4", "out-of-range", "0.4.0 -> pkg>=0.4.0,<0.5"),
        ("pkg>=0.66b0,<0.67b0", "out-of-range", "0.67b0 -> pkg>=0.67b0,<0.68b0"),
        ("pkg>=1.0,<2", "out-of-range", "2.0.0a1 -> pkg>=2.0.0a1,<3 | 1!1.5 -> pkg>=1!1.5,<1!2"),
        ("pkg>=1.0,<2.0.dev0", "out-of-range", "2.0.0a1 -> pkg>=2.0.0a1,<3.0.dev0"),
        ("pkg>=1.0,<V2.0a0", "out-of-range", "2.0.0 -> pkg>=2.0.0,<3.0a0"),
        ("pkg>=1.0,<0", "out-of-range", "1.5 -> pkg>=1.5,<2"),
        ("pkg>=1.2,<=1.9", "out-of-range", "2.1.0 -> pkg>=2.1.0,<=2.1.0"),
        ("pkg>1.2,<2", "out-of-range", "2.1.0 -> pkg>=2.1.0,<3"),
        ("pkg<2", "out-of-range", "2.1.0 -> pkg<3"),
        ("pkg<=1.9", "out-of-range", "2.1.0 -> pkg<=2.1.0"),
        ("pkg~=1.2,<1.5", "out-of-range", "1.6.2 -> pkg~=1.6,<1.7"),
        ("pkg>=2.0,<3", "out-of-range", "1.5.0 -> pkg>=1.5.0,<3"),
        ("pkg>=2.0", "out-of-range", "2.0.0a1 -> pkg>=2.0.0a1"),
        ("pkg>1.7", "out-of-range", "1.7.post1 -> pkg>=1.7.post1 | 1.7+local -> pkg>=1.7"),
        (
            "Pkg[a, b] (>=1.0 , < 2) ; extra == '<2'",
            "out-of-range",
            "2.1 -> Pkg[a, b] (>=2.1 , < 3) ; extra == '<2'",
        ),
        (" pkg\t==  1.0 ;python_version<'3'  ", "out-of-range", "2.0 ->  pkg\t==  2.0 ;python_version<'3'  "),
        ("pkg>=1.0,<2,", "out-of-range", "2.0 -> pkg>=2.0,<3,"),
        ("pkg==v1.0", "out-of-range", "2.0 -> pkg==2.0"),
        ("pkg<1.5.0rc1", "out-of-range", "1.5.0rc0 -> - | 1.5.0rc1 -> pkg<1.6.0rc1"),
        ("pkg>1.4.0,<1.5.0a0", "out-of-range", "1.5.0 -> pkg>=1.5.0,<1.6.0a0"),
        ("pkg<=1.4.0.post1", "out-of-range", "1.4.0.post2 -> pkg<=1.4.0.post2"),
        ("pkg", "always", "2.0 -> -"),
        ("pkg>=1.2", "always", "2.0 -> pkg>=2.0"),
        ("pkg>=1.2,<3", "always", "2.0 -> pkg>=2.0,<3"),
        ("pkg>=1.2,<2", "always", "2.0 -> pkg>=2.0,<3"),
        ("pkg > 1.2", "always", "2.0 -> pkg >= 2.0"),
        ("pkg<=3,>=2.0", "always", "2.0.0 -> -"),
        ("pkg==2.0", "always", "2.0.0 -> -"),
        ("pkg==2.0.dev", "always", "2.0.dev0 -> -"),
        ("pkg~=1.2", "always", "1.4.2 -> pkg~=1.4 | 1.2.5 -> -"),
        ("pkg~=2.0.dev", "always", "2.0.dev0 -> -"),
        ("pkg==1.2.*", "always", "1.2.9 -> -"),
        ("pkg!=1.2,<2", "always", "1.4 -> -"),
        ("pkg==1.2+cu118", "always", "1.2+cu118 -> -"),
        ("pkg @ https://example.org/pkg.whl", "always", "2.0 -> -"),
        ("pkg", "exact", "2.0 -> -"),
        ("pkg>=1.2", "exact", "2.0 -> pkg==2.0"),
        ("pkg[x] ( >= 1.2 , <3, !=1.5 ) ; os_name=='nt'", "exact", "2.0 -> pkg[x] ( == 2.0 ) ; os_name=='nt'"),
        ("pkg~=2.0", "exact", "2.0 -> pkg==2.0"),
        ("pkg==2.0.*", "exact", "2.0 -> pkg==2.0"),
        ("pkg==2.0,>=1", "exact", "2.0 -> pkg==2.0"),
        ("pkg==2.0", "exact", "2.0.0 -> -"),
        ("pkg===2.0", "exact", "2.0 -> -"),
        ("pkg @ https://example.org/pkg.whl", "exact", "2.0 -> -"),
        ("pkg==1.0", "never", "2.0 -> -"),
        ("pkg!=2.0", "never", "2.0 -> -"),
        ("pkg=={{ version }}", "never", "2.0 -> -"),
        ("pkg == 0.66b0.dev", "out-of-range", "0.67b0.dev0 -> pkg == 0.67b0.dev"),
    ],
)
def test_a_requirement_is_rewritten(text: str, policy: UpdatePolicy, changes: str) -> None:
    check(text, "pep508", policy, changes, written)


@pytest.mark.parametrize(
    ("constraint", "policy", "changes"),
    [
        ("*", "out-of-range", "2.0 -> -"),
        (" * ", "out-of-range", "2.0 -> -"),
        ("^1.2", "out-of-range", "1.9.9 -> - | 2.0.0 -> ^2.0 | 2.0.0a1 -> ^2.0a1"),
        ("^1.2.3", "out-of-range", "2.1 -> ^2.1.0"),
        ("^ 1", "out-of-range", "2.5.1 -> ^ 2"),
        ("^0.2", "out-of-range", "0.2.9 -> - | 0.3.1 -> ^0.3"),
        ("^0.2.3", "out-of-range", "0.3.1 -> ^0.3.1"),
        ("^0.0.3", "out-of-range", "0.0.4 -> ^0.0.4 | 0.0.3.1 -> -"),
        ("^0.0.0.4", "out-of-range", "0.0.0.9 -> -"),
        ("^0.0", "out-of-range", "0.0.9 -> - | 0.1 -> ^0.1"),
        ("^0", "out-of-range", "0.9 -> - | 1.0 -> ^1"),
        ("^1.0-alpha.1", "out-of-range", "1.0 -> -"),
        ("~1", "out-of-range", "1.9 -> - | 2.1 -> ~2"),
        ("~1.2", "out-of-range", "1.2.9 -> - | 1.3.0 -> ~1.3"),
        ("~1.2.3", "out-of-range", "1.2.9 -> - | 1.3.0 -> ~1.3.0"),
        ("~1.2.3.4", "out-of-range", "1.3.0 -> ~1.3.0.0"),
        ("~=1.2", "out-of-range", "2.0.1 -> ~=2.0"),
        ("1.2.3", "out-of-range", "1.3.0 -> 1.3.0"),
        ("=1.2.3", "out-of-range", "1.3.0 -> =1.3.0"),
        ("==1.2.3", "out-of-range", "1.3.0 -> ==1.3.0"),
        ("1.2.*", "out-of-range", "1.2.5 -> - | 1.3.5 -> 1.3.*"),
        ("==1.2.*", "out-of-range", "2.0 -> ==2.0.*"),
        (">=1,<2", "out-of-range", "2.1.0 -> >=2.1.0,<3"),
        (">=1.0 <2.0", "out-of-range", "2.1.0 -> >=2.1.0 <3.0"),
        (">= 1.0, < 2.0", "out-of-range", "2.1.0 -> >= 2.1.0, < 3.0"),
        ("^1.2,!=1.3.0", "out-of-range", "2.0.0 -> ^2.0,!=1.3.0"),
        ("^1.2 || ^2.0", "out-of-range", "2.4 -> -"),
        ("1.2|1.3", "out-of-range", "1.3 -> -"),
        ("*", "always", "2.0 -> -"),
        ("^1.2", "always", "1.4.1 -> ^1.4"),
        ("^1.4", "always", "1.4.1 -> -"),
        (">=1.2,<3", "always", "2.0 -> >=2.0,<3"),
        ("1.2|1.3", "always", "1.3 -> -"),
        ("*", "exact", "2.0 -> -"),
        ("^1.2", "exact", "1.4.1 -> ==1.4.1"),
        ("^1.2 || ^2.0", "exact", "3.0 -> ==3.0"),
        ("1.4", "exact", "1.4.0 -> -"),
        (">=0.66b0.dev,<0.67", "out-of-range", "0.67b0.dev0 -> >=0.67b0.dev,<0.68"),
        ("^{{ version }}", "never", "2.0 -> -"),
    ],
)
def test_a_poetry_constraint_is_rewritten(constraint: str, policy: UpdatePolicy, changes: str) -> None:
    check(constraint, "poetry", policy, changes, written)


@pytest.mark.parametrize(
    ("constraint", "policy", "changes"),
    [
        ("1.4", "out-of-range", "1.9.0 -> - | 2.0.0 -> 2.0 | 1.5.0a0 -> 1.5.0-alpha.0"),
        ("0.4.1", "out-of-range", "0.5.0 -> 0.5.0"),
        ("^1.4.0", "always", "1.5.0 -> ^1.5.0"),
        ("~1.4", "out-of-range", "1.5.0 -> ~1.5 | 2.0.0b1 -> ~2.0.0-beta.1"),
        ("=1.4.0", "out-of-range", "1.5.0 -> =1.5.0"),
        ("1.*", "out-of-range", "1.9.0 -> - | 1.5.0rc1 -> 1.5.0-rc.1"),
        ("1.4.*", "out-of-range", "1.5.2 -> 1.5.*"),
        (">=1.4, <2", "out-of-range", "2.1.0 -> >=2.1.0, <3 | 1.5.0rc1 -> >=1.5.0-rc.1, <2"),
        ("*", "out-of-range", "2.0.0 -> -"),
        ("1.5.0-rc.1", "out-of-range", "1.5.0rc2 -> - | 1.5.0 -> -"),
        ("=1.5.0-rc.1", "out-of-range", "1.5.0 -> =1.5.0"),
    ],
)
def test_a_requirement_of_cargo_is_rewritten(constraint: str, policy: UpdatePolicy, changes: str) -> None:
    # Cargo takes a prerelease only where prereleases of that very release are named.
    check(constraint, "cargo", policy, changes, to_semver)


@pytest.mark.parametrize("policy", ["out-of-range", "always", "exact"])
@pytest.mark.parametrize(
    ("text", "syntax"),
    [("pkg>=1.0,!=2.0.0", "pep508"), ("pkg != 2.0.*", "pep508"), ("pkg!=2,==1.0", "pep508"), ("^1,!=2", "poetry")],
)
def test_an_explicitly_excluded_version_is_blocked(text: str, syntax: Syntax, policy: UpdatePolicy) -> None:
    with pytest.raises(Blocked, match=r"excludes 2\.0\.0 \(!=") as caught:
        rewrite_requirement(need(text, syntax), Version("2.0.0"), policy=policy)
    assert caught.value.fix is not None
    assert "release another version" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "syntax", "message"),
    [
        *((text, "pep508", "not a valid requirement") for text in ("pkg=={{ version }}", "<REPLACE ME>")),
        *((text, "pep508", "not a valid requirement") for text in ("pkg >= 1.0 <2", "pkg; " + "(" * 5000)),
        ("pkg==" + "9" * 5000, "pep508", r"is not a valid (version range|requirement)"),
        ("^1.2 || ^2.0", "poetry", "does not allow"),
        *((text, "poetry", "not a valid Poetry version constraint") for text in ("", "latest", "^{{ version }}")),
        (">=1.0; python_version", "poetry", "not a valid Poetry version constraint"),
        (">=1.*", "poetry", "not a valid version range"),
        ("^1.0.0-SNAPSHOT", "poetry", "not a valid version range"),
        ("latest", "cargo", "not a valid Cargo version constraint"),
        ("1.0.0-nightly", "cargo", "not a valid version range"),
    ],
    ids=range(14),
)
def test_an_invalid_requirement_is_blocked(text: str, syntax: Syntax, message: str) -> None:
    with pytest.raises(Blocked, match=message):
        rewrite_requirement(need(text, syntax), Version("3.0"))


def test_a_requirement_that_cannot_allow_the_version_is_blocked() -> None:
    with pytest.raises(Blocked, match=r"excludes 2\.0, and so does 'pkg==9'"):
        rewrite_requirement(need("pkg==1.0"), Version("2.0"), format_version=lambda _: "9")
    with pytest.raises(Blocked, match=r"and so does 'pkg===2.0,==1.0'"):
        rewrite_requirement(need("pkg===1.0,==1.0"), Version("2.0"), format_version=lambda _: "1.0")


@pytest.mark.parametrize(
    ("constraint", "admitted"),
    [
        ("*", True),
        ("^3.9", True),
        (">=3.8,<4.0", True),
        ("~3.11", False),
        ("^2.7 || ^3.12", True),
        ("^2.7 | ~3.11", False),
        ("3.12.*", True),
        (">=3.8 !=3.12.*", False),
    ],
)
def test_poetry_constraints_allow(constraint: str, *, admitted: bool) -> None:
    assert requirement_allows(constraint, Version("3.12.99"), "poetry") is admitted


# --- for every requirement and every version ---------------------------------------------------------------

NUMBERS = st.one_of(st.integers(0, 3), st.integers(0, 2030))
RELEASES = st.lists(NUMBERS, min_size=1, max_size=4).map(lambda numbers: ".".join(map(str, numbers)))
EPOCHS = st.sampled_from(["", "", "", "", "1!"])
SUFFIXES = st.sampled_from(["", "", "", "", "a0", "b2", "rc1", ".dev0", "a1.dev2", ".post1", "rc1.post2.dev3"])
PUBLIC = st.builds("{}{}{}".format, EPOCHS, RELEASES, SUFFIXES)
VERSIONS = st.builds("{}{}".format, PUBLIC, st.sampled_from(["", "", "", "+cu118"])).map(Version)
SPACES = st.sampled_from(["", "", " ", "  "])
POLICIES: st.SearchStrategy[UpdatePolicy] = st.sampled_from(["out-of-range", "always", "exact"])
WILDCARDS = st.builds("{}{}.*".format, EPOCHS, RELEASES)
COMPATIBLE = PUBLIC.filter(lambda version: len(Version(version).release) > 1)


def compared(operators: list[str], versions: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{}{}{}".format, st.sampled_from(operators), SPACES, versions)


PEP508_CLAUSES = st.one_of(
    compared([">=", "<", "<=", ">", "==", "===", "!="], PUBLIC),
    compared(["==", "!="], WILDCARDS),
    compared(["~="], COMPATIBLE),
)
POETRY_CLAUSES = st.one_of(
    compared(["^", "~", ">=", "<", "<=", ">", "==", "=", "!=", ""], PUBLIC),
    compared(["==", ""], WILDCARDS),
)
COMMAS = st.builds("{},{}".format, SPACES, SPACES)
AFTER = ["", " ;python_version<'3.12'", " ; extra == '>=1.0'"]
AROUND = st.one_of(
    st.tuples(st.sampled_from(["pkg", "Some.Pkg[a,b] "]), st.sampled_from(AFTER)),
    st.tuples(st.just("pkg ("), st.sampled_from([f"){after}" for after in AFTER])),
)


def excludes_by_name(clauses: list[str], new: Version) -> bool:
    return any(not SpecifierSet(clause).contains(new, prereleases=True) for clause in clauses if "!=" in clause)


def kinds(specifier: str, comma: str) -> list[str]:
    """What is left of each clause without its numbers; a lower end may come to include the new version."""
    return [re.sub(r"[\w.!+]", "", clause).replace(">=", ">") for clause in specifier.split(comma)]


@settings(deadline=None)
@given(AROUND, st.lists(PEP508_CLAUSES, max_size=3), COMMAS, VERSIONS, POLICIES)
def test_a_requirement_is_rewritten_for_any_version(
    around: tuple[str, str], clauses: list[str], comma: str, new: Version, policy: UpdatePolicy
) -> None:
    before, after = around
    text = before + comma.join(clauses) + after
    assume(is_requirement(text))  # a comma right behind === belongs to it
    if excludes_by_name(clauses, new):
        with pytest.raises(Blocked, match=r"\(!="):
            rewrite_requirement(need(text), new, policy=policy)
        return
    admitted = Requirement(text).specifier.contains(new, prereleases=True)
    result = rewrite_requirement(need(text), new, policy=policy)
    if policy == "out-of-range":
        assert (result is None) == admitted
    if result is None:
        assert admitted
        return
    assert Requirement(result).specifier.contains(new, prereleases=True)
    assert result.startswith(before)
    assert result.endswith(after)
    assert rewrite_requirement(need(result), new, policy=policy) is None, "a second time nothing is left to do"
    assert rewrite_requirement(need(result), new) is None
    specifier = result[len(before) : len(result) - len(after)]
    if policy == "exact":
        assert re.fullmatch(r"== *" + re.escape(new.public), specifier)
    else:
        assert kinds(specifier, comma) == kinds(comma.join(clauses), comma)


@settings(deadline=None)
@given(st.lists(POETRY_CLAUSES, min_size=1, max_size=3), COMMAS, VERSIONS, POLICIES)
def test_a_poetry_constraint_is_rewritten_for_any_version(
    clauses: list[str], comma: str, new: Version, policy: UpdatePolicy
) -> None:
    constraint = comma.join(clauses)
    if excludes_by_name(clauses, new):
        with pytest.raises(Blocked, match=r"\(!="):
            rewrite_requirement(need(constraint, "poetry"), new, policy=policy)
        return
    result = rewrite_requirement(need(constraint, "poetry"), new, policy=policy)
    if result is not None:
        assert rewrite_requirement(need(result, "poetry"), new, policy=policy) is None
        assert rewrite_requirement(need(result, "poetry"), new) is None


@settings(deadline=None)
@given(st.lists(PUBLIC.map(Version), min_size=2, max_size=2))
def test_poetry_carets_allow_up_to_the_leftmost_nonzero_number(versions: list[Version]) -> None:
    base, new = sorted(versions)
    assume(base.epoch == new.epoch)
    new = Version(new.base_version)  # what prereleases a caret admits is another matter
    assume(new >= base)
    version = str(base)
    padded = (*base.release, 0, 0)[:3]
    fixed = next((level for level, number in enumerate(padded) if number), 2)
    fixed = min(fixed, len(base.release) - 1)
    same_series = (*new.release, 0, 0)[: fixed + 1] == padded[: fixed + 1]
    assert (rewrite_requirement(need(f"^{version}", "poetry"), new) is None) == same_series


def test_an_invalid_alternative_of_a_poetry_constraint_is_an_error_even_if_another_one_allows_the_version() -> (
    None
):
    with pytest.raises(Blocked, match="not a valid Poetry version constraint"):
        requirement_allows("^3.9 || latest", Version("3.12"), "poetry")
