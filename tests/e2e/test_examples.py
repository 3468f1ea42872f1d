"""The projects in examples/ with hooks, released as their readmes say.

They build with hatchling; here with a backend in the tree, so that nothing is downloaded.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import schemas
from backends import READING
from package_index import PackageIndex
from projects import commit_all, git, python, repository, write
from running import run, run_front_end

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.heavy

EXAMPLES = Path(__file__).parents[2] / "examples"
DOCS = (EXAMPLES.parent / "docs" / "hooks.md").read_text(encoding="utf-8")
BUILD_SYSTEM = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["backend"]\n'


def example(name: str, directory: Path, settings: str = "") -> Path:
    """Copy an example, as a repository, with another backend and more settings."""
    root = shutil.copytree(EXAMPLES / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", ".nox"))
    text = (root / "pyproject.toml").read_text()
    text = re.sub(r"\[build-system\]\n.*\n.*\n", lambda _: BUILD_SYSTEM, text, count=1)
    write(root, {"pyproject.toml": text + settings, "backend/backend.py": READING})
    return repository(root)


@contextmanager
def own_index(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PackageIndex, str]]:
    """An index, and its settings."""
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-secret-token")
    with PackageIndex() as index:
        yield (
            index,
            f'\n[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n',
        )


def test_code_is_generated_before_the_build(tmp_path: Path) -> None:
    root = example("generated-code", tmp_path)
    write(root, {"src/weather/stations.py": "STATIONS = 'stale'\n"})
    run_front_end("nox", root, "build-all", code=0)
    with zipfile.ZipFile(root / "dist" / "weather-1.0.0-py3-none-any.whl") as wheel:
        assert b"'Zugspitze': 2962" in wheel.read("weather/stations.py")
    assert (root / "src/weather/stations.py").read_text() == "STATIONS = 'stale'\n"
    assert git(root, "status", "--porcelain") == ""
    assert run(root, "relnox", "verify-install", "--from", "dist").code == 0


def test_the_docs_get_the_version_in_the_bump(tmp_path: Path) -> None:
    root = example("docs-version", tmp_path)
    before = git(root, "rev-parse", "HEAD")
    ran = run_front_end("invoke", root, "bump", "--part", "minor", "--dry-run", "--verbose", code=0)
    assert '+["1.1.0", "1.0.0", "0.9.0"]' in ran.out
    ran = run_front_end("invoke", root, "bump", "--part", "minor", "--commit", "--tag", code=0)
    assert git(root, "show", "v1.1.0:docs/versions.json") == '["1.1.0", "1.0.0", "0.9.0"]'
    assert git(root, "status", "--porcelain") == ""
    assert run_front_end("invoke", root, "bump", "--undo").code == 0
    assert (git(root, "rev-parse", "HEAD"), git(root, "tag")) == (before, "")


def test_a_check_of_the_project_stops_the_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_index(tmp_path, monkeypatch) as (index, settings):
        root = example("archive-check", tmp_path, settings)
        assert run_front_end("invoke", root, "build-all").code == 0
        ran = run_front_end("invoke", root, "publish", "--index", "own", "--yes", code=2)
        assert "weather-1.0.0-py3-none-any.whl has no py.typed" in ran.err
        assert "[hook-failed]" in ran.err
        assert list(index.uploads) == []
        backend = (root / "backend/backend.py").read_text().replace('rglob("*.py")', 'rglob("*.*")')
        write(root, {"backend/backend.py": backend})
        commit_all(root, "Data files are packaged", push=True)
        assert run_front_end("invoke", root, "build-all", "--clean").code == 0
        ran = run_front_end("invoke", root, "publish", "--index", "own", "--yes", code=0)
        assert len(index.uploads) == 2


def test_tests_must_pass_before_publishing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with own_index(tmp_path, monkeypatch) as (index, settings):
        root = example("tests-before-publish", tmp_path, settings)
        good = (root / "src/weather/__init__.py").read_text()
        write(root, {"src/weather/__init__.py": good.replace("+ 32", "+ 33")})
        commit_all(root, "Break it", push=True)
        assert run_front_end("nox", root, "build-all").code == 0
        ended = python(root, "-m", "nox", "-s", "publish", "--", "--index", "own", "--yes", code=1)
        assert "before-publish hook (nox -s tests) failed with status 1" in ended.stderr
        assert list(index.uploads) == []
        write(root, {"src/weather/__init__.py": good})
        commit_all(root, "Fix it", push=True)
        assert run_front_end("nox", root, "build-all", "--clean").code == 0
        run_front_end("nox", root, "publish", "--index", "own", "--yes", code=0)
        assert len(index.uploads) == 2


class Service(BaseHTTPRequestHandler):
    """Keeps what is posted, or fails; has the releases that were posted."""

    posted: ClassVar[list[dict[str, Any]]]
    is_down: bool

    def do_GET(self) -> None:
        tags = {message.get("tag_name") for message in self.posted}
        self._answer(200 if self.path.rpartition("/")[2] in tags else 404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.is_down:
            self.posted.append({"path": self.path, "authorization": self.headers["Authorization"], **body})
        self._answer(503 if self.is_down else 201)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def service() -> Iterator[tuple[type[Service], str]]:
    """A service that is down at first, and its address."""

    class Handler(Service):
        posted: ClassVar[list[dict[str, Any]]] = []
        is_down = True

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_release_is_announced(
    tmp_path: Path, service: tuple[type[Service], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, address = service
    monkeypatch.setenv("ANNOUNCE_URL", f"{address}/")
    monkeypatch.setenv("CHAT_TOKEN", "for-the-chat")
    monkeypatch.setenv("TWINE_PASSWORD", "not-for-the-chat")
    with own_index(tmp_path, monkeypatch) as (index, settings):
        root = example("announcement", tmp_path, settings)
        for code in (3, 0):
            python(root, "release.py", "own", code=code)
            assert len(index.uploads) == 2
            chat.is_down = False
    (message,) = chat.posted
    assert (message["text"], message["authorization"]) == ("weather 1.0.0 on own", "Bearer for-the-chat")
    assert set(message["files"]) == {"weather-1.0.0.tar.gz", "weather-1.0.0-py3-none-any.whl"}


def test_a_release_is_created_on_a_forge(
    tmp_path: Path, service: tuple[type[Service], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forge, address = service
    monkeypatch.setenv("FORGE_API", f"{address}/api/v1/repos/me/weather")
    monkeypatch.setenv("FORGE_TOKEN", "for-the-forge")
    with own_index(tmp_path, monkeypatch) as (_, settings):
        root = example("forge-release", tmp_path, settings)
        assert run(root, "relnox", "build-all").code == 0
        for code in (3, 0, 0):
            run(root, "relnox", "publish", "--index", "own", "--yes", code=code)
            forge.is_down = False
        manifest = json.loads((root / "dist/manifest.json").read_text())
    hashes = [f"{file['hashes']['sha256']}  {file['name']}" for file in manifest["artifacts"]]
    (release,) = forge.posted
    request = {"path": "/api/v1/repos/me/weather/releases", "authorization": "token for-the-forge"}
    assert release == {**request, "tag_name": "v1.0.0", "name": "weather 1.0.0", "body": "\n".join(hashes)}


def test_a_version_comes_from_other_files(tmp_path: Path) -> None:
    root = repository(shutil.copytree(EXAMPLES / "version-source", tmp_path / "version-source"))
    run_front_end("invoke", root, "bump", "--part", "minor", "--commit", "--tag", code=0)
    assert git(root, "show", "v1.1.0:include/weather.h") == '#define WEATHER_VERSION "1.1.0"'
    assert git(root, "show", "v1.1.0:CITATION.cff").splitlines()[-1] == "version: 1.1.0"
    assert git(root, "show", "--name-only", "--format=").split() == ["CITATION.cff", "include/weather.h"]
    write(root, {"CITATION.cff": (root / "CITATION.cff").read_text().replace("version: 1.1.0", "version: 1.0.9")})
    commit_all(root, "A wrong version")
    assert "CITATION.cff" in run_front_end("invoke", root, "bump", "--part", "minor").err


def test_the_event_file_of_the_page_is_one() -> None:
    (event,) = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    schemas.validate(json.loads(event), "hook-event")
