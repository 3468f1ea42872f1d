"""Versions that backends derive from tags, compared with the tags of the commit."""

from __future__ import annotations

import pytest
from packaging.version import Version

from relnox.core.tag_versions import classify_tags_of_commit, find_version_variable, version_mismatch_problem
from relnox.core.tags import TagFormat

FORMATS = {name: TagFormat(f"{name}-v", "", "pep440") for name in ("acme-a", "acme-b")}
REMEDY = "read its own tags"


def result(version: str, *tags: str, derives: bool = True) -> str:
    tags_there = classify_tags_of_commit("acme-b", tags, FORMATS, is_version_derived=derives, remedy=REMEDY)
    mismatch = version_mismatch_problem("acme-b", Version(version), tags_there)
    return "" if mismatch is None else f"{mismatch.level}: {mismatch.message} / {mismatch.fix}"


AGREES = [
    ("1.1.0", ["acme-b-v1.1.0"]),
    ("1.1.0", ["acme-b-v1.1.0", "acme-a-v2.0.0", "nightly"]),
    ("2.0.0", ["acme-b-v2.0.0", "acme-a-v2.0.0"]),
    ("2.0.1.dev3", ["acme-a-v2.0.0"]),
    ("2.0.1.dev3+g12ab", []),
]


@pytest.mark.parametrize(("version", "tags"), AGREES)
def test_versions_that_agree_with_the_tags(version: str, tags: list[str]) -> None:
    assert result(version, *tags) == ""


def test_the_version_of_a_sibling_is_an_error() -> None:
    assert result("2.0.0", "acme-a-v2.0.0") == (
        "error: its version is 2.0.0 (as tag acme-a-v2.0.0 of acme-a), but acme-b has no tag at this commit"
        f" / {REMEDY}"
    )
    assert result("2.0.0", "acme-a-v2.0.0", "acme-b-v1.1.0") == (
        "error: its version is 2.0.0 (as tag acme-a-v2.0.0 of acme-a), "
        f"but tag acme-b-v1.1.0 of this commit has 1.1.0 / {REMEDY}"
    )


def test_a_version_that_differs_from_its_own_tag_is_an_error() -> None:
    for derives in (True, False):
        found = result("1.1.1.dev0", "acme-b-v1.1.0", derives=derives)
        assert found.startswith(
            "error: its version is 1.1.1.dev0, but tag acme-b-v1.1.0 of this commit has 1.1.0 / set"
        )


def test_a_variable_that_sets_the_version_is_named_in_the_fix() -> None:
    variables = {
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_ACME_B": "v9.0",
        "SETUPTOOLS_SCM_DEBUG": "9.0",
        "PBR_VERSION": "?",
    }
    variable = find_version_variable(variables, Version("9.0"))
    assert variable == "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_ACME_B"
    assert find_version_variable(variables, Version("1.1.0")) == ""
    tags = classify_tags_of_commit("acme-b", ["acme-b-v1.1.0"], FORMATS, is_version_derived=True, remedy=REMEDY)
    mismatch = version_mismatch_problem("acme-b", Version("9.0"), tags, variable=variable)
    assert mismatch is not None
    assert mismatch.fix == f"unset {variable}"
    assert version_mismatch_problem("acme-b", Version("1.1.0"), tags, variable=variable) is None


def test_a_tag_of_no_package_is_a_warning() -> None:
    found = result("2.0.0", "v2.0.0")
    assert found.startswith(
        "warning: its version is 2.0.0 (as tag v2.0.0), but by tag-format that tag does not belong"
    )
    assert 'versions = "lockstep"' in found


def test_a_final_version_without_a_tag_is_a_warning() -> None:
    assert result("0.0.0").startswith("warning: its version is 0.0.0, but no tag of this commit has it / ")
    assert result("0.0.0", derives=False) == ""
