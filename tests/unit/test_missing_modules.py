"""Which requirement a missing module means."""

from __future__ import annotations

import pytest

from relnox.core.release.missing_modules import (
    candidate_modules,
    extra_providing,
    guess_distribution,
    missing_hatch_plugin,
)


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("yaml", "PyYAML"),
        ("Cython.Build", "Cython"),
        ("setuptools_scm", "setuptools-scm"),
        ("pkg_resources.extern", "setuptools<81"),
        ("poetry.core.masonry", "poetry-core"),
        ("google.protobuf.message", "protobuf"),
        ("own_helper.inner", "own-helper"),
    ],
)
def test_distributions_named_differently_from_their_module(module: str, distribution: str) -> None:
    assert guess_distribution(module) == distribution


def test_candidates_for_a_missing_namespace() -> None:
    lines = ["import acme.first", '  File "a.py", line 1', "    from acme.tools import (hammer)"]
    assert candidate_modules(lines, "acme") == ("acme.tools.hammer", "acme.tools", "acme")
    assert candidate_modules(["    import acme.core as core"], "acme") == ("acme.core", "acme")
    assert candidate_modules(["nothing"], "acme.core") == ("acme.core",)


@pytest.mark.parametrize(
    ("line", "plugin"),
    [
        ("ValueError: Unknown version source: vcs", "hatch-vcs"),
        (
            "UnknownPluginError: Unknown build hook: jupyter-builder",
            "hatch-jupyter-builder",
        ),
        ("ValueError: Unknown metadata hook: fancy-pypi-readme", "hatch-fancy-pypi-readme"),
        ("ValueError: Unknown version source: uv-dynamic-versioning", "uv-dynamic-versioning"),
        ("ValueError: Unknown file", None),
    ],
)
def test_plugins_of_hatchling(line: str, plugin: str | None) -> None:
    assert missing_hatch_plugin(line) == plugin


def test_extras_that_provide_a_module() -> None:
    requires = ("six>=1", 'attrs>=20; extra == "fast"', "PyYAML; python_version > '3' and extra == 'yaml'")
    assert extra_providing("attr.validators", requires) == "fast"
    assert extra_providing("yaml", requires) == "yaml"
    assert extra_providing("six", requires) is None
    assert extra_providing("nothing", requires) is None
