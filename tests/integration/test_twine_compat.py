"""The names of twine that uploads rely on, with the lowest and the newest twine that relnox installs with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import packed
import pytest

from relnox.building.archives import hash_file

pytestmark = [pytest.mark.heavy, pytest.mark.network]

CHECKOUT = Path(__file__).parents[2]
ASK = """\
import importlib.metadata, json, pathlib, sys
from relnox.indexes import uploads
from twine.package import PackageFile
from twine.repository import Repository
forms = {}
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    with path.open("rb") as content:
        form = uploads.upload_form(uploads.form_fields(path), path.name, content)
        forms[path.name] = {
            "fields": uploads.form_fields(path), "type": form.content_type, "size": form.len,
            "body": form.read().decode("latin-1"),
            "fields of twine": [*Repository._convert_metadata_to_list_of_tuples(
                PackageFile.from_filename(name, None).metadata_dictionary()
            )],
        }
print(json.dumps([importlib.metadata.version("twine"), forms]))
"""


@pytest.mark.parametrize("resolution", ["lowest-direct", "highest"])
def test_uploads_are_the_same_with_each_twine(resolution: str, tmp_path: Path) -> None:
    files = [packed.wheel(tmp_path), packed.sdist(tmp_path)]
    environment = tmp_path / "environment"
    uv: list[str | Path] = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, environment], check=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [*uv, "pip", "install", "-q", "--python", python, "--resolution", resolution]
    subprocess.run([*install, "-r", CHECKOUT / "pyproject.toml"], check=True)
    asked = subprocess.run(
        [python, "-c", ASK, *files],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=True,
        capture_output=True,
        text=True,
    )
    version, forms = json.loads(asked.stdout)
    assert version.startswith("7.0.") or resolution == "highest"
    for path, kind, tag in zip(files, ["bdist_wheel", "sdist"], ["py3", "source"], strict=True):
        said = forms[path.name]
        assert said["fields"][:-2] == said["fields of twine"]
        fields: dict[str, list[str]] = {}
        for name, value in said["fields"]:
            fields.setdefault(name, []).append(value)
        assert {name: fields[name] for name in EXPECTED} == EXPECTED
        assert (fields["filetype"], fields["pyversion"]) == ([kind], [tag])
        assert fields["sha256_digest"] == [hash_file(path).sha256]
        assert fields["blake2_256_digest"] == [hash_file(path).blake2b_256]
        assert said["type"].startswith("multipart/form-data; boundary=")
        assert len(said["body"]) == said["size"]
        assert path.read_bytes().decode("latin-1") in said["body"]
        assert f'name="content"; filename="{path.name}"' in said["body"]


EXPECTED = {
    ":action": ["file_upload"],
    "protocol_version": ["1"],
    "metadata_version": ["2.4"],
    "name": ["Demo-App"],
    "version": ["1.0"],
    "summary": ["A demonstration"],
    "license_expression": ["MIT OR Apache-2.0"],
    "license_file": ["LICENSE"],
    "classifiers": ["Development Status :: 3 - Alpha", "Programming Language :: Python :: 3"],
    "project_urls": ["Homepage, https://example.org/demo?a=b#c"],
    "keywords": ["demo, release"],
    "requires_python": [">=3.11"],
    "requires_dist": ["six>=1", 'attrs; extra == "fast"'],
    "provides_extra": ["fast"],
    "description_content_type": ["text/markdown"],
}
