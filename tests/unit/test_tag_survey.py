from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from relnox.core.packages import Package, VersionSource
from relnox.core.settings.config import Config
from relnox.core.tagging.known_tags import lockstep_reason, read_known_tags, split_tag, survey_tags
from relnox.core.tagging.tag_proposals import as_toml, directory_globs, format_problems, propose_settings
from relnox.core.tagging.tags import tag_formats
from relnox.core.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.packages import SourceKind


def package(name: str, version: str | None = "1.0.0", directory: str | None = None, *, reads: str = "") -> Package:
    """A package; without a version it comes from tags, those that begin with `reads` if that is given."""
    directory = f"libs/{name}" if directory is None else directory
    kind: SourceKind = "toml" if version is not None else "tags"
    return Package(
        name=name,
        directory=directory,
        version=None if version is None else Version(version),
        source=VersionSource(kind=kind, file="pyproject.toml", key=(reads,) if reads else ()),
        backend="hatchling.build",
    )


@pytest.mark.parametrize(
    ("tag", "before", "version"),
    [
        ("v1.2.3", "v", "1.2.3"),
        ("1.2.3", "", "1.2.3"),
        ("V2", "V", "2"),
        ("core-v1.2.3rc1", "core-v", "1.2.3rc1"),
        ("core==1.2.3", "core==", "1.2.3"),
        ("providers-amazon/9.1.0", "providers-amazon/", "9.1.0"),
        ("azure-core_1.2.3b4", "azure-core_", "1.2.3b4"),
        ("jaraco.functools-4.3", "jaraco.functools-", "4.3"),
        ("py-3-foo-1.0", "py-3-foo-", "1.0"),
        ("openai-v2==2.5b0", "openai-v2==", "2.5b0"),
    ],
)
def test_a_tag_is_split_into_prefix_and_version(tag: str, before: str, version: str) -> None:
    assert split_tag(tag) == (before, Version(version))


@pytest.mark.parametrize("tag", ["stable", "rel_1_4_0", "v1.x", "abc1", "", "1" * 300])
def test_tags_without_a_version(tag: str) -> None:
    assert split_tag(tag) is None


@given(st.text(max_size=30))
def test_a_survey_of_any_tag_does_not_raise(tag: str) -> None:
    survey_tags([package("a"), package("b")], [tag])


def test_prefixes_name_packages_by_name_directory_and_end_of_name() -> None:
    packages = [
        package("langgraph", directory="libs/langgraph"),
        package("langgraph-checkpoint-postgres", directory="libs/pg"),
        package("apache-airflow-providers-amazon", directory="providers/amazon"),
        package("langgraph-sdk", directory="libs/sdk-py"),
    ]
    tags = ["checkpointpostgres==2.1", "providers-amazon/9.1.0", "sdk==0.4", "langgraph-cli==1.0", "v3", "rel_1_4"]
    found = survey_tags(packages, tags)
    assert found.package_prefixes == {
        "langgraph-checkpoint-postgres": ("checkpointpostgres==",),
        "apache-airflow-providers-amazon": ("providers-amazon/",),
        "langgraph-sdk": ("sdk==",),
    }
    assert (found.plain_prefixes, found.unreadable) == (("v",), ("rel_1_4",))


def test_an_ambiguous_prefix_names_no_package() -> None:
    found = survey_tags([package("a-core", directory="a/x"), package("b-core", directory="b/y")], ["core-1.0"])
    assert found.package_prefixes == {}


# --- proposals -------------------------------------------------------------------------------------


SHAPES: Mapping[str, tuple[list[Package], list[str], dict[str, object], dict[str, str]]] = {
    "the usual form needs no setting": (
        [package("a", "1.0"), package("b", "2.0")],
        ["a-v1.0", "b-v2.0"],
        {"versions": "independent", "tag-format": "{name}-v{version}"},
        {"a": "a-v", "b": "b-v"},
    ),
    "names of their own": (
        [
            package("lg", "1.2"),
            package("lg-checkpoint-pg", "2.1"),
            package("lg-sdk", "0.4"),
            package("lg-new", "0.1"),
        ],
        ["1.1", "1.2", "checkpointpg==2.1", "sdk==0.4", "0.1"],
        {
            "versions": "independent",
            "tag-format": "{tag-name}=={version}",
            "tag-names": {"lg-checkpoint-pg": "checkpointpg", "lg-sdk": "sdk"},
            "tag-formats": {"lg": "{version}"},
        },
        {"lg": "", "lg-checkpoint-pg": "checkpointpg==", "lg-sdk": "sdk==", "lg-new": "lg-new=="},
    ),
    "most by one plain tag, some by their own": (
        [
            package("o-a", "0.66b0.dev0"),
            package("o-b", "0.66b0.dev0"),
            package("o-c", "0.66b0.dev0", "distro"),
            package("o-x", "1.1.0.dev0", "libs/o-x"),
        ],
        ["v0.64b0", "v0.65b0", "v1.16.0", "o-x==1.0.1"],
        {
            "versions": "independent",
            "tag-format": "{name}=={version}",
            "groups": {"main": {"packages": ["distro", "libs/*", "!libs/o-x"], "tag-format": "v{version}"}},
        },
        {"o-a": "v", "o-b": "v", "o-c": "v", "o-x": "o-x=="},
    ),
    "a root with plain tags, others with none": (
        [package("root", "3.0", "."), package("a", "0.1"), package("b", "0.2")],
        ["v2.9", "v3.0"],
        {"versions": "independent", "tag-format": "{name}-v{version}", "tag-formats": {"root": "v{version}"}},
        {"root": "v", "a": "a-v", "b": "b-v"},
    ),
    "backends that look at tags of their own": (
        [package("flow", None, ".", reads="flow-"), package("flow-aws", None, reads="flow-aws-")],
        ["flow-3.0", "flow-aws-1.0"],
        {"versions": "independent", "tag-format": "{name}-{version}"},
        {"flow": "flow-", "flow-aws": "flow-aws-"},
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_proposed_settings_continue_the_existing_tags(shape: str) -> None:
    packages, tags, settings, forms = SHAPES[shape]
    workspace = Workspace(tuple(packages))
    known = read_known_tags(workspace, tags)
    found = propose_settings(workspace, Config(), known)
    assert found == settings
    pasted = Config.parse(tomllib.loads(as_toml(found))["tool"]["relnox"])
    formats = tag_formats(workspace, pasted, tags)
    assert {name: each.prefix for name, each in formats.items()} == forms
    assert list(format_problems(packages, workspace, pasted, formats, known)) == []
    assert {key for key in propose_settings(workspace, pasted, known) if key != "versions"} == set()


def test_a_new_package_gets_the_form_of_the_others() -> None:
    workspace = Workspace((package("a", "1.0"), package("b", "2.0"), package("new", "0.1.0")))
    known = read_known_tags(workspace, ["a==1.0", "b==2.0", "v0.0.9"])
    formats = tag_formats(workspace, Config(), known.tags)
    assert formats["new"].prefix == "new=="
    assert list(format_problems(workspace.packages, workspace, Config(), formats, known)) == []


def test_a_present_version_tagged_in_another_form_is_a_problem() -> None:
    workspace = Workspace((package("a", "2.0"), package("b", "1.0")))
    known = read_known_tags(workspace, ["a-v1.0", "b-v1.0", "a/2.0"])
    formats = tag_formats(workspace, Config(), known.tags)
    (problem,) = format_problems(workspace.packages, workspace, Config(), formats, known)
    assert problem.message == "next tag of a would be a-v2.0 (its tags are like a/2.0)"
    assert "relnox init --update" in problem.fix


# --- inference -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("versions", "tags", "settings", "inferred"),
    [
        (("1.2", "1.2"), ["v1.1", "v1.2"], "", True),
        (("1.2", "1.2"), ["1.1"], "", True),
        (("1.3.dev0", "1.3.dev0"), ["v1.2"], "", True),
        (("1.2", "1.3"), ["v1.2"], "", False),
        (("1.2", "1.2"), ["a-v1.2", "b-v1.2"], "", False),
        (("1.2", "1.2"), ["v1.2", "a-v1.2"], "", False),
        (("1.2", "1.2"), [], "", False),
        (("1.2", "1.2"), ["v1.2"], 'versions = "independent"', False),
        (("1.2", "1.2"), ["v1.2"], 'tag-format = "{name}-v{version}"', False),
        (("1.2", "1.2"), ["v1.2"], 'groups.x.packages = ["a"]', False),
        ((None, None), ["v1.2"], "", False),  # their backends make them move together anyway
        (("1.2", None), ["v1.2"], "", True),
    ],
)
def test_one_version_and_plain_tags_are_lockstep_without_settings(
    versions: tuple[str | None, str | None], tags: list[str], settings: str, *, inferred: bool
) -> None:
    workspace = Workspace((package("a", versions[0]), package("b", versions[1])))
    config = Config.parse(tomllib.loads(settings))
    why = lockstep_reason(workspace, config, read_known_tags(workspace, tags))
    assert (why is not None) is inferred
    if why is not None:
        assert 'versions = "independent"' in why


# --- patterns --------------------------------------------------------------------------------------


def test_directory_globs_match_exactly_these_packages() -> None:
    every = [package(name, directory=f"libs/{name}") for name in "abcd"] + [package("e", directory="tools/e")]
    assert directory_globs(every[:4], every) == ["libs/*"]
    assert directory_globs(every[:3], every) == ["libs/*", "!libs/d"]
    assert directory_globs([every[0], every[4]], every) == ["libs/a", "tools/e"]
    assert directory_globs([package("r", directory="."), *every[:4]], every) == [".", "libs/*"]
