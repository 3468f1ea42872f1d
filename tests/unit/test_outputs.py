"""Outputs for CI: GitHub and GitLab read back what was written, and nothing else, whatever is in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from job_outputs import NAMES, read_github, read_gitlab

from relnox.core.planning.plan import ReleasedPackage
from relnox.reporters import outputs

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = ("a\nreleased=true", "v1\nEOF\nreleased<<EOF\ntrue", "x\r\nPATH=/tmp", "v1$(id)", "v1 b", "v1\\n", "é")


@pytest.mark.parametrize("tag", HOSTILE)
def test_no_value_sets_another_output(tag: str, tmp_path: Path) -> None:
    release = ReleasedPackage(package="demo", version="1.0", tag=tag)
    values = outputs.output_values([release], None, "0" * 64, ["3.13"])
    for number in range(2):  # a second task of the same step
        outputs.add_github_outputs(tmp_path / "github", values | {"tags": f"{values['tags']}{number}", "raw": tag})
    assert values.keys() == NAMES
    read = read_github((tmp_path / "github").read_bytes().decode())
    assert read == values | {"tags": f"{values['tags']}1", "raw": "\n".join(tag.splitlines())}

    refused = outputs.update_dotenv(tmp_path / "dotenv", values | {"raw": tag})
    assert "RELEASED_RAW" in refused
    text = (tmp_path / "dotenv").read_text(encoding="utf-8")
    assert set(read_gitlab(text)) | set(refused) == {outputs.variable_name(name) for name in (*values, "raw")}
    assert read_gitlab(text)["RELEASED"] == "true"
    assert "" not in text.splitlines()


def test_a_second_task_of_a_job_keeps_the_other_variables(tmp_path: Path) -> None:
    file = tmp_path / "dotenv"
    file.write_text("OTHER=1\nRELEASED=false\n", encoding="utf-8")
    release = ReleasedPackage(package="demo", version="1.0", tag="v1.0")
    assert outputs.update_dotenv(file, outputs.output_values([release], None, None, ["3.13"])) == ()
    read = read_gitlab(file.read_text(encoding="utf-8"))
    assert read.pop("OTHER") == "1"
    assert read == {
        "RELEASED": "true",
        "RELEASED_PACKAGES": '["demo"]',
        "RELEASED_VERSIONS": '{"demo":"1.0"}',
        "RELEASED_TAGS": '["v1.0"]',
        "RELEASED_PYTHONS": '["3.13"]',
    }


def test_what_gitlab_would_reject_as_too_large_is_left_out(tmp_path: Path) -> None:
    releases = [ReleasedPackage(package=f"package-{number}", version="1.0") for number in range(500)]
    refused = outputs.update_dotenv(tmp_path / "dotenv", outputs.output_values(releases, None, "0" * 64, ["3.13"]))
    assert set(refused) == {"RELEASED_PACKAGES", "RELEASED_VERSIONS"}
    assert (tmp_path / "dotenv").stat().st_size <= outputs.DOTENV_LIMIT
    assert json.loads(read_gitlab((tmp_path / "dotenv").read_text(encoding="utf-8"))["RELEASED_PYTHONS"])
