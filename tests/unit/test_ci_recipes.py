"""The recipes of docs/ci-recipes.md are valid files of their providers, and about ten lines long."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "ci-recipes.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (\w+).*?\n```\w+\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
SCHEMAS = {"Buildkite": "buildkite", "CircleCI": "circle-ci", "Azure": "azure-pipelines"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_recipe_is_valid(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    file.write_text(RECIPES[name], encoding="utf-8")
    words = ["--builtin-schema", f"vendor.{SCHEMAS[name]}", "--regex-variant", "python"]
    words += ["--data-transform", "azure-pipelines"] if name == "Azure" else []
    command = [sys.executable, "-m", "check_jsonschema", *words, str(file)]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize("name", [*SCHEMAS, "Jenkins"])
def test_a_recipe_is_short_and_publishes_without_a_checkout(name: str) -> None:
    recipe = RECIPES[name]
    assert len(recipe.splitlines()) <= 15
    assert "relnox publish --manifest dist/manifest.json --yes" in recipe
    assert recipe.count("--no-deps --require-hashes") == 2
