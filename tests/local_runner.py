"""Run generated workflows of GitHub on this machine: act on the host, without containers or a network.

The actions are stubs that do in the shell what the real ones do, `actions/` has them. Environments, permissions
and concurrency are beyond act: every job gets the identity and the token of the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import relnox
from relnox.ci.github import NOX_REQUIREMENTS, RELNOX_REQUIREMENTS, pins

if TYPE_CHECKING:
    from collections.abc import Mapping

ACTIONS = Path(__file__).parent / "actions"
_RUNNERS = ("ubuntu-24.04", "ubuntu-latest", "ubuntu-24.04-arm")
_JOB_LINE = re.compile(r"^\[(?P<workflow>[^/\]]+)/(?P<job>[^\]]+?)\s*\]\s*(?P<text>.*)$")

_PYTHON = """\
#!/bin/sh
# A copy of an environment is made in a tenth of the time that a new one takes.
if [ "$1 $2" != "-m venv" ]; then exec {python} "$@"; fi
for directory; do :; done
rm -rf "$directory"
cp -R {environment} "$directory"
sed -i "1s|^#!.*|#!$directory/bin/python3|" "$directory"/bin/pip*
"""


class Run(NamedTuple):
    """A run of a workflow: its exit code, its log, how each job ended, by name, and the outputs of its steps."""

    code: int
    log: str
    jobs: dict[str, str]
    outputs: dict[str, str]


class LocalRunner:
    """The machine on which workflows of a repository run.

    Args:
        directory: A new directory for what the runs need.
        remote: The bare repository that is the forge.

    Attributes:
        artifacts: The directory with the artifacts of the run, by name; another run needs another one.
    """

    def __init__(self, directory: Path, remote: Path) -> None:
        self.directory = directory
        self.remote = remote
        self.artifacts = directory / "artifacts"
        self.environments = directory / "environments"
        self.wheels = directory / "wheels"
        for path in (self.artifacts, self.environments, self.wheels, directory / "bin", directory / "home"):
            path.mkdir(parents=True)
        shutil.copy(ACTIONS / "gh", directory / "bin" / "gh")
        python = directory / "bin" / "python3"
        environment = directory.parents[1] / "environment"  # of all tests
        if not environment.exists():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python.write_text(_PYTHON.format(python=sys.executable, environment=environment), encoding="utf-8")
        python.chmod(0o755)
        self.add_environment("release-gate", reviewers=True)

    def add_environment(self, name: str, *, reviewers: bool) -> None:
        """Create an environment, as the API of GitHub describes it."""
        rules = [{"id": 1, "type": "required_reviewers", "reviewers": []}] if reviewers else []
        text = json.dumps({"id": 1, "name": name, "protection_rules": rules})
        (self.environments / f"{name}.json").write_text(text, encoding="utf-8")

    def requirements(self) -> dict[str, str]:
        """Return the locked requirements: relnox and nox by hash; what they import is that of the tests."""
        lines = [
            f"{wheel.name.split('-')[0]}=={wheel.name.split('-')[1]} --hash=sha256:{_sha256(wheel)}\n"
            for wheel in map(self._wheel, ("relnox", "nox"))
        ]
        return {RELNOX_REQUIREMENTS: lines[0], NOX_REQUIREMENTS: "".join(lines)}

    def stub(self, name: str, code: str) -> str:
        """Make a distribution that is a program, `python -m NAME`, and return its locked requirement."""
        path, info = self.wheels / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
        files = {
            f"{name}/__main__.py": code,
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = f"{info}/RECORD"
        with zipfile.ZipFile(path, "w") as archive:
            for member, text in (files | {record: "".join(f"{name},,\n" for name in (*files, record))}).items():
                archive.writestr(member, text)
        return f"{name}==1.0 --hash=sha256:{_sha256(path)}\n"

    def _wheel(self, name: str) -> Path:
        """Return a wheel with the programs of a distribution, whose modules are those of the tests."""
        installed = distribution(name)
        stem = f"{name}-{installed.version}"
        path = self.wheels / f"{stem}-py3-none-any.whl"
        info = Path(str(installed.locate_file(f"{stem}.dist-info")))
        files = {f"{info.name}/{part}": info / part for part in ("METADATA", "WHEEL", "entry_points.txt")}
        with zipfile.ZipFile(path, "w") as archive:
            for member, file in files.items():
                archive.write(file, member)
            paths = (Path(relnox.__file__).parents[1], sysconfig.get_paths()["purelib"])
            archive.writestr(f"{name}.pth", "".join(f"{path}\n" for path in paths))
            record = f"{info.name}/RECORD"
            archive.writestr(record, "".join(f"{member},,\n" for member in (*files, f"{name}.pth", record)))
        return path

    def run(
        self,
        event: str,
        ref: str,
        *,
        workflow: str = "release",
        job: str = "",
        variables: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        payload: Mapping[str, Any] | None = None,
        token: str = "",
        secrets: Mapping[str, str] | None = None,
        rerun: Run | None = None,
        kill_at: str = "",
    ) -> Run:
        """Run a workflow of the commit that a full ref of the remote names.

        Args:
            event: The event, such as `push`.
            ref: The ref, such as `refs/tags/v1.0`.
            workflow: The name of the file.
            job: Run this job and those it needs only.
            variables: The environment of all jobs.
            inputs: The inputs of a run that is started by hand.
            payload: More of the event.
            token: The token of the jobs.
            secrets: The secrets of the repository.
            rerun: An earlier run, whose failed jobs and those after them are run again.
            kill_at: A text in the log: the machine is switched off when it appears.
        """
        checkout = self.directory / "checkout"
        shutil.rmtree(checkout, ignore_errors=True)
        _git("clone", "-q", "--no-checkout", f"file://{self.remote}", str(checkout))
        _git("-C", str(checkout), "fetch", "-q", "origin", ref)
        _git("-C", str(checkout), "checkout", "-q", "--detach", "FETCH_HEAD")
        _git("-C", str(checkout), "remote", "set-url", "origin", "https://github.com/acme/demo.git")
        sha = _git("-C", str(checkout), "rev-parse", "HEAD")
        for file in (checkout / ".github" / "workflows").glob("*.yml"):  # act does not know it
            text = file.read_text("utf-8").replace(", queue: max", "")
            file.write_text(text if rerun is None else _without_finished_jobs(text, rerun), encoding="utf-8")
        event_file = self.directory / "event.json"
        document = {"ref": ref, "after": sha, "inputs": dict(inputs or {}), **(payload or {})}
        event_file.write_text(json.dumps(document), encoding="utf-8")
        own = {
            "TEST_REMOTE": str(self.remote),
            "TEST_ARTIFACTS": str(self.artifacts),
            "TEST_ENVIRONMENTS": str(self.environments),
            "GITHUB_REPOSITORY": "acme/demo",
            "GITHUB_REF_TYPE": "tag" if ref.startswith("refs/tags/") else "branch",
            "GITHUB_REF_NAME": ref.split("/", 2)[2],
            "GITHUB_SHA": sha,
            "PIP_REQUIRE_VIRTUALENV": "1",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PATH": f"{self.directory / 'bin'}:{os.environ['PATH']}",
            **(variables or {}),
        }
        words = [
            str(Path(sys.executable).with_name("act")),
            event,
            "-W",
            f".github/workflows/{workflow}.yml",
            "-e",
            str(event_file),
        ]
        words += [
            "--no-cache-server",
            "--no-skip-checkout",
            "--rm",
            *(word for name in _RUNNERS for word in ("-P", f"{name}=-self-hosted")),
            "--concurrent-jobs",
            "2",
        ]
        words += ["-s", f"GITHUB_TOKEN={token or 'ghs_0123456789abcdefghijklmnop'}", *(["-j", job] if job else [])]
        words += [
            f"--local-repository={name}@{pin.sha}={ACTIONS / name.split('/')[1]}"
            for name, pin in pins().items()
            if (ACTIONS / name.split("/")[1]).is_dir()
        ]
        words += [word for name, value in (secrets or {}).items() for word in ("-s", f"{name}={value}")]
        words += [f"--env={name}={value}" for name, value in own.items()]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("GITHUB", "NOX", "VIRTUAL"))
        }
        code, log = self._execute(words, checkout, environment | {"HOME": str(self.directory / "home")}, kill_at)
        jobs = dict(rerun.jobs) if rerun is not None else {}
        outputs = dict(rerun.outputs) if rerun is not None else {}
        for line in log.splitlines():
            if (match := _JOB_LINE.match(line)) is None:
                continue
            if result := re.search(r"Job (succeeded|failed)", match["text"]):
                jobs[match["job"]] = result[1]
            elif output := re.search(r"::set-output:: ([\w-]+)=(.*)", match["text"]):
                outputs[output[1]] = output[2]
        return Run(code, log, jobs, outputs)

    def _execute(
        self, words: list[str], checkout: Path, environment: Mapping[str, str], kill_at: str
    ) -> tuple[int, str]:
        """Run act, and return its exit code and its log."""
        lines = []
        with subprocess.Popen(
            words, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            limit = threading.Timer(900, self._kill, [process])
            limit.start()
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if kill_at and kill_at in line:
                    self._kill(process)
            limit.cancel()
        return process.returncode, "".join(lines)

    def _kill(self, process: subprocess.Popen[str]) -> None:
        """Kill act and everything that its jobs started, which all have the directory of artifacts in common."""
        process.kill()
        marker = f"TEST_ARTIFACTS={self.artifacts}\0".encode()
        for file in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # it has ended
                if marker in file.read_bytes():
                    os.kill(int(file.parent.name), signal.SIGKILL)


def _without_finished_jobs(text: str, run: Run) -> str:
    """Return a workflow without the jobs that succeeded in a run, and with their outputs as texts."""
    blocks = re.findall(r"(?m)^  ([\w-]+):.*\n((?:    .*\n|\n)+)", text[text.index("\njobs:\n") :])
    finished = [key for key, block in blocks if run.jobs.get(re.findall("name: (.*)", block)[0]) == "succeeded"]
    for key in finished:
        text = re.sub(rf"(?m)^  {key}:.*\n(?:    .*\n|\n)+", "", text)
        text = re.sub(rf"(needs: \[.*?)\b{key}\b(?:, )?", r"\1", text)
        text = re.sub(rf"needs\.{key}\.outputs\.([\w-]+)", lambda name: f"'{run.outputs.get(name[1], '')}'", text)
    return re.sub(r"(?m)^    needs: \[(?:, )?\]\n", "", text.replace(", ]", "]"))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout.strip()
