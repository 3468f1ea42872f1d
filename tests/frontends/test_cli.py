"""The command line: help, fixes, exit codes, and the files that `init` writes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schemas
from projects import commit_all, git, repository, single, write
from running import run, run_process

from relnox.commands import COMMANDS
from relnox.commands.init import NOXFILE, TASKS_FILE
from relnox.core.release.manifest import Manifest

if TYPE_CHECKING:
    from running import RunResult


def relnox(root: Path, *words: str, code: int | None = None, **variables: str) -> RunResult:
    return run(root, "relnox", *words, code=code, **variables)


def settings(root: Path, text: str) -> Path:
    """Add to pyproject.toml."""
    path = root / "pyproject.toml"
    path.write_bytes(path.read_bytes() + f"\n{text}\n".encode())
    return root


def planned(root: Path, *words: str, **variables: str) -> dict[str, Any]:
    """The plan of a dry run."""
    plan = root / "dist" / "plan.json"  # a directory that git does not look into
    plan.parent.mkdir(exist_ok=True)
    relnox(root, *words, "--dry-run", "--plan", str(plan), **variables, code=0)
    found: dict[str, Any] = json.loads(plan.read_bytes())
    return found


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """One package outside git, without anything of relnox's."""
    root = single(tmp_path / "demo")
    for name in ("noxfile.py", "tasks.py", ".gitignore"):
        (root / name).unlink()
    return root


# help and hints


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("--help", "bump")])
def test_help_lists_every_task(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = relnox(tmp_path, *words)

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    for task, definition in COMMANDS.items():
        assert f"  {task.ljust(14)}  {definition.summary}" in lines


def test_version_is_the_distributions(tmp_path: Path) -> None:
    assert relnox(tmp_path, "--version").out == f"relnox {version('relnox')}\n"


@pytest.mark.parametrize(
    ("words", "error", "fix"),
    [
        ("bmp", "unknown task bmp [task-unknown]", "did you mean bump?"),
        ("publsh", "unknown task publsh [task-unknown]", f"choose one of {', '.join(COMMANDS)}"),
        ("publish-tst", "unknown task publish-tst [task-unknown]", f"choose one of {', '.join(COMMANDS)}"),
        ("upload", "unknown task upload [task-unknown]", "relnox publish"),
        (
            "version",
            "unknown task version [task-unknown]",
            "relnox status shows versions, relnox bump sets them, relnox --version shows relnox's own",
        ),
        (
            "--dry-run bump",
            "the task is missing (the command line begins with --dry-run) [task-unknown]",
            "write the task first: relnox TASK [options]; relnox --help lists the tasks",
        ),
        (
            "bump minro",
            (
                "relnox bump PART = 'minro' is not one of major, minor, patch, release, pre, phase, post, dev, "
                "auto [value-invalid]"
            ),
            "did you mean minor?",
        ),
        (
            "bump minor --part major",
            "relnox bump: minor cannot be used with --part [options-conflict]",
            "remove --part",
        ),
        (
            "bump minor major --commit",
            "relnox bump: unrecognized arguments: major [option-unknown]",
            "remove major",
        ),
        (
            "status demo",
            "relnox status: unrecognized arguments: demo [option-unknown]",
            "relnox status --package demo",
        ),
        (
            "status --plan= --dry-run",
            "--plan = '' is not valid: it names no file [value-invalid]",
            "name a file, or - for standard output",
        ),
        (
            "bump minor --report  ",
            "relnox bump: argument --report: expected one argument [option-invalid]",
            "to see the options: relnox bump --help",
        ),
        (
            "bump --parts minor",
            "relnox bump: unrecognized arguments: --parts [option-unknown]",
            "did you mean --part?",
        ),
        (
            "bump --part",
            "relnox bump: argument --part: expected one argument [option-invalid]",
            "to see the options: relnox bump --help",
        ),
        ("bump --pre alpa", "--pre = 'alpa' is not one of alpha, beta, rc [value-invalid]", "did you mean alpha?"),
        (
            "status --dry",
            "relnox status: unrecognized arguments: --dry [option-unknown]",
            "did you mean --dry-run?",
        ),
        (
            "completion tcsh",
            "relnox completion needs the name of a shell: bash, zsh, fish [option-invalid]",
            "",
        ),
        (
            "verify-install --wait -1",
            "--wait = '-1' is not a whole number [value-invalid]",
            "set --wait to a whole number",
        ),
    ],
)
def test_a_typing_error_gets_a_fix(project: Path, words: str, error: str, fix: str) -> None:
    done = relnox(project, *words.split())

    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"error: {error}\nfix: {fix}")
    assert done.err.count("\n") == 2


@pytest.mark.parametrize("origin", ["setting", "variable", "option"])
@pytest.mark.parametrize(
    "command", ["publish --index embedded", "publish-test --index embedded", "verify-install --from dist"]
)
def test_one_setting_names_the_directory_of_archives_for_all_tasks(
    project: Path, command: str, origin: str
) -> None:
    variables = {"RELNOX_OUTPUT": "out"} if origin == "variable" else {}
    words = (*command.split(), *(("--dist", "out") if origin == "option" else ()))
    if origin == "setting":
        settings(project, '[tool.relnox.build]\noutput = "out"')
    done = relnox(project, *words, code=1, **variables)
    assert "out/manifest.json does not exist: nothing was built" in done.err


def test_paths_on_the_command_line_are_relative_to_the_working_directory(project: Path) -> None:
    below = project / "src" / "deep"
    below.mkdir(parents=True)
    (project / "other").mkdir()
    repository(project)
    plan = project.parent / "plan.json"

    def steps(directory: Path, *words: str, **variables: str) -> Any:
        relnox(directory, "build-all", "--dry-run", "--plan", str(plan), *words, **variables, code=0)
        return json.loads(plan.read_bytes())

    expected = steps(project, "--output", "other")
    assert expected == steps(below, "--output", "../../other")
    assert expected == steps(below, RELNOX_OUTPUT="other")
    assert expected == steps(project.parent, "--project", "demo", "--output", "demo/other")
    assert steps(project) == steps(below)
    assert steps(below, "--output", "out") == steps(project, "--output", "src/deep/out")
    outside = steps(project, "--output", str(project.parent / "out"))
    assert steps(below, "--output", "../../../out") == outside
    for words in (
        ("collect", "--from", "../../nowhere"),
        ("publish", "--index", "embedded", "--dist", "../../nowhere"),
        ("verify-install", "--dist", "../../nowhere"),
    ):
        done = relnox(below, *words, code=1)
        assert re.search(r"(?<![\w./])nowhere(/manifest\.json does not exist| is not a directory)", done.err)


def test_clean_removes_no_archives_of_a_directory_outside_the_checkout(project: Path) -> None:
    repository(project)
    other = write(project.parent / "out", {"demo-0.9.tar.gz": "x"})

    done = relnox(project, "build-all", "--output", "../out", "--clean", "--dry-run")

    assert "[output-outside-checkout]" in done.out
    assert done.code == 1
    relnox(project, "build-all", "--output", "../out", "--clean", code=1)
    assert (other / "demo-0.9.tar.gz").read_text() == "x"

    # A manifest there does not make those files removable that it does not list.
    manifest = Manifest(distributions=(), commit=None, dirty=False, time="2026-01-01T00:00:00+00:00", needs=())
    (other / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")
    assert "[output-outside-checkout]" in relnox(project, "build-all", "--output", "../out", "--clean", code=1).err
    assert (other / "demo-0.9.tar.gz").read_text() == "x"


def test_a_project_is_found_from_below_and_from_elsewhere(shared: Path, tmp_path: Path) -> None:
    here = relnox(shared, "status").out

    assert "acme-core" in here
    assert relnox(shared / "packages" / "core", "status", "--project", str(shared)).out == here
    assert relnox(tmp_path, "status", "--project", str(shared)).out == here


# exit codes and the report


def test_report_contains_steps_and_results(workspace: Path, tmp_path: Path) -> None:
    report, plan = tmp_path / "report.json", tmp_path / "plan.json"
    files = ("--report", str(report), "--plan", str(plan))

    relnox(workspace, "bump", "--part", "minor", "--commit", "--tag", *files, code=0)
    document = json.loads(report.read_bytes())
    assert (document["task"], document["exit_code"]) == ("bump", 0)
    assert document["plan"] == json.loads(plan.read_bytes())["digest"]
    assert [(step["kind"], step["status"], step["remote"]) for step in document["steps"]] == [
        ("EditFiles", "success", False),
        ("Commit", "success", False),
        ("CreateTags", "success", False),
    ]
    assert document["steps"][1]["detail"] == git(workspace, "rev-parse", "HEAD")[:10]
    assert document["tables"][0]["rows"][0] == ["acme-agents", "2.0.0", "2.1.0", "--part minor"]


@pytest.mark.parametrize("option", ["--plan", "--report"])
def test_a_file_that_cannot_be_written_is_an_error(shared: Path, tmp_path: Path, option: str) -> None:
    done = relnox(shared, "status", option, str(tmp_path / "nowhere" / "file.json"), code=1)

    assert done.err.startswith(f"error: the {option[2:]} cannot be written to ")


# where values come from


@pytest.mark.parametrize(
    ("file", "variables", "words", "expected"),
    [
        ("", {}, (), False),
        ("strict = true", {}, (), True),
        ("strict = true", {"RELNOX_STRICT": "0"}, (), False),
        ("strict = false", {"RELNOX_STRICT": "1"}, (), True),
        ("strict = true", {"RELNOX_STRICT": "0"}, ("--strict",), True),
        ("strict = true", {"RELNOX_STRICT": "1"}, ("--no-strict",), False),
        ("", {}, ("--no-strict", "--strict"), True),
    ],
)
def test_the_command_line_wins_then_the_environment_then_the_file(
    project: Path, file: str, variables: dict[str, str], words: tuple[str, ...], expected: object
) -> None:
    settings(project, f"[tool.relnox.build]\n{file}")

    plan = planned(project, "build-all", *words, **variables)

    assert plan["steps"][1]["strict"] is expected


# init


def test_init_puts_into_a_project_what_is_missing(bare: Path) -> None:
    before = (bare / "pyproject.toml").read_bytes()

    relnox(bare, "init", code=0)
    assert (bare / "noxfile.py").read_text(encoding="utf-8") == NOXFILE
    assert (bare / "tasks.py").read_text(encoding="utf-8") == TASKS_FILE
    assert (bare / ".gitignore").read_bytes() == b"/.nox/\n/dist/\n"
    after = (bare / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert tomllib.loads(after.decode())["tool"]["relnox"] == {}


def test_the_docs_show_what_init_writes() -> None:
    shown = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    assert f"```python\n# noxfile.py\n{NOXFILE}```" in shown
    assert f"```python\n# tasks.py\n{TASKS_FILE}```" in shown


def test_init_a_second_time_does_nothing(bare: Path) -> None:
    relnox(bare, "init")
    before = {path: path.read_bytes() for path in bare.rglob("*") if path.is_file()}

    done = relnox(bare, "init", "--dry-run")
    again = relnox(bare, "init")

    assert "nothing to do: all files exist already" in done.out
    assert again.code == 0
    assert {path: path.read_bytes() for path in bare.rglob("*") if path.is_file()} == before


def test_init_overwrites_nothing(bare: Path) -> None:
    own = {"noxfile.py": "import nox\n", "tasks.py": "# mine\n", ".gitignore": "dist\n/secret/"}
    write(bare, own)

    done = relnox(bare, "init", code=0)

    assert (bare / "noxfile.py").read_text(encoding="utf-8") == own["noxfile.py"]
    assert (bare / "tasks.py").read_text(encoding="utf-8") == own["tasks.py"]
    assert (bare / ".gitignore").read_text(encoding="utf-8") == "dist\n/secret/\n/.nox/\n"
    assert "noxfile.py exists and is not changed; add to it: from relnox.sessions import " in done.err
    assert "tasks.py exists and is not changed; add to it: from relnox.tasks import *" in done.err


def test_init_does_not_hide_a_package_of_tasks(bare: Path) -> None:
    write(bare, {"tasks/__init__.py": "# mine\n"})

    done = relnox(bare, "init", code=0)

    assert not (bare / "tasks.py").exists()
    assert "tasks/__init__.py exists and is not changed; add to it: from relnox.tasks import *" in done.err


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("end", [b"", b"\r\n"], ids=["no last newline", "last newline"])
def test_init_keeps_every_byte_before_its_own(bare: Path, mark: bytes, end: bytes) -> None:
    text = b'[project]\r\nname = "demo"   # ours\r\nversion = "1.2.3"\r\n\r\n[tool.other]\r\nkey = \'caf\xc3\xa9\''
    before = mark + text + end
    (bare / "pyproject.toml").write_bytes(before)
    (bare / ".gitignore").write_bytes(b"# caf\xe9 in latin-1\r\n")

    relnox(bare, "init", code=0)

    after = (bare / "pyproject.toml").read_bytes()
    assert after.startswith(before)
    assert after.removeprefix(before).replace(b"\r\n", b"\n").strip() == b"[tool.relnox]"
    assert after.count(b"\n") == after.count(b"\r\n")
    assert tomllib.loads(after.decode("utf-8-sig"))["tool"] == {"other": {"key": "café"}, "relnox": {}}
    assert (bare / ".gitignore").read_bytes() == b"# caf\xe9 in latin-1\r\n/.nox/\r\n/dist/\r\n"


def test_init_says_how_a_workspace_is_released(workspace: Path) -> None:
    pyproject = workspace / "pyproject.toml"
    pyproject.write_text('[tool.uv.workspace]\nmembers = ["packages/*"]\n', encoding="utf-8")
    git(workspace, "commit", "--quiet", "--all", "--message", "Without settings")
    git(workspace, "tag", "v2.0.0")

    relnox(workspace, "init")

    found = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["relnox"]
    assert found == {"versions": "lockstep", "tag-format": "v{version}", "branch": "main"}


def test_what_init_writes_works_at_every_front_end(bare: Path) -> None:
    repository(bare)
    relnox(bare, "init")

    expected = ["demo", "1.2.3", "-", "-", "1.2.3", "no", "tag", "yet"]
    for words in (("nox", "-s", "status"), ("invoke", "status"), ("relnox", "status")):
        done = run_process(bare, *words)
        assert done.out.splitlines()[1].split() == expected


# manners


@pytest.mark.parametrize(
    ("words", "version"),
    [
        ("bump minor", "1.3.0"),
        ("bump 1.4.0", "1.4.0"),
        ("version_bump --verbose minor", "1.3.0"),
        ("bump -nv major", "2.0.0"),
    ],
)
def test_bump_takes_a_part_or_a_version(project: Path, words: str, version: str) -> None:
    done = relnox(project, *words.split(), "--dry-run", code=0)

    assert done.out.splitlines()[1].split()[2] == version


@pytest.mark.parametrize(
    ("words", "task"),
    [("build -n --from-tree", "build-all"), ("build_all -n --from-tree", "build-all"), ("rehearse minor -n", "")],
)
def test_words_that_people_type_are_understood(project: Path, words: str, task: str) -> None:
    done = relnox(project, *words.split())

    assert (f"Plan of {task} " in done.out) if task else ("[not-a-git-repository]" in done.err)


def test_help_of_a_task_shows_its_word(project: Path) -> None:
    done = run_process(project, "relnox", "help", "bump")

    assert done.out.startswith("usage: relnox bump [PART|VERSION] [options]\n")
    assert "-n, --dry-run" in done.out


@pytest.mark.parametrize("option", ["--plan", "--report"])
def test_documents_go_to_standard_output(shared: Path, tmp_path: Path, option: str) -> None:
    file = tmp_path / "document.json"
    words = ("bump", "minor", "--dry-run") if option == "--plan" else ("status",)
    relnox(shared, *words, option, str(file), code=0)

    done = relnox(shared, *words, option, "-", code=0)

    assert (shared / "-").exists() is False
    written, expected = json.loads(done.out), json.loads(file.read_bytes())
    for document in (written, expected):
        document.pop("seconds", None)
    assert written == expected
    assert "acme-core" in done.err


def test_a_report_on_standard_output_has_the_error(project: Path) -> None:
    done = relnox(project, "publish", "--index", "embedded", "--report", "-", code=1)

    assert json.loads(done.out)["problems"][0]["code"] == "manifest-missing"
    assert "error: dist/manifest.json does not exist" in done.err


def test_status_as_json_has_typed_fields(workspace: Path) -> None:
    git(workspace, "tag", "v2.0.0")
    write(workspace, {"packages/core/new.py": "NEW = 1\n"})
    commit_all(workspace, "feat: new")

    done = relnox(workspace, "status", "--json", "--package", "core", "--index", "embedded")

    document = json.loads(done.out)
    schemas.validate(document, "status")
    assert document["packages"] == [
        {
            "name": "acme-core",
            "directory": "packages/core",
            "private": False,
            "version": "2.0.0",
            "tag": "v2.0.0",
            "commits": 1,
            "next": {"version": "2.1.0", "reason": document["packages"][0]["next"]["reason"]},
            "indexes": {"embedded": []},
        }
    ]
    assert isinstance(document["notes"], list)


def test_the_schema_of_status_has_what_is_not_known(tmp_path: Path) -> None:
    text = (
        '[project]\nname = "demo"\ndynamic = ["version"]\n[build-system]\nrequires = []\nbuild-backend = "own"\n'
    )
    lines = 'branch = { main = ">=2", "release/*" = "<2" }\n'
    repository(write(tmp_path / "demo", {"pyproject.toml": f"{text}[tool.relnox]\n{lines}"}))
    documents = [json.loads(relnox(tmp_path / "demo", "status", "--json").out)]
    git(tmp_path / "demo", "switch", "--quiet", "--create", "release/1.x")
    documents.append(json.loads(relnox(tmp_path / "demo", "status", "--json").out))

    for document in documents:
        schemas.validate(document, "status")
    assert [document["lines"] for document in documents] == [
        [{"branch": "main", "bounds": ">=2"}],
        [{"branch": "release/1.x", "bounds": "<2"}],
    ]
    (package,) = documents[0]["packages"]
    assert [package[name] for name in ("version", "tag", "commits", "next")] == [None] * 4
    assert documents[0]["notes"]


def test_quiet_shows_results_and_errors_only(workspace: Path) -> None:
    loud = relnox(workspace, "bump", "minor", "--commit")
    assert "ok " in loud.err
    quiet = relnox(workspace, "bump", "patch", "-q", "--commit", "--again")

    assert (quiet.code, quiet.err) == (0, "")
    assert "2.1.1" in quiet.out
    failed = relnox(workspace, "publish", "--quiet", code=1)
    assert failed.err.startswith("error: ")


def test_quiet_shows_failed_steps(project: Path) -> None:
    write(project, {"pyproject.toml": '[project]\nname = "demo"\nversion = "1"\n[build-system]\nrequires = []\n'})
    write(project, {"pyproject.toml": (project / "pyproject.toml").read_text() + 'build-backend = "nothing"\n'})

    done = relnox(project, "build-all", "--from-tree", "-q", code=2)

    assert "FAILED" in done.err
    assert "\nok " not in f"\n{done.err}"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_shells(tmp_path: Path, shell: str) -> None:
    done = relnox(tmp_path, "completion", shell)

    assert (done.code, done.err) == (0, "")
    assert "relnox" in done.out
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=done.out, text=True, check=True)


def test_bash_completes_tasks_flags_and_choices(tmp_path: Path) -> None:
    def completed(line: str) -> set[str]:
        code = f"""
            eval "$({sys.executable} -m relnox completion bash)"
            relnox() {{ {sys.executable} -m relnox "$@"; }}
            COMP_LINE={line!r} COMP_POINT={len(line)} COMP_TYPE=9
            _python_argcomplete relnox
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
        return set(done.stdout.split())

    assert completed("relnox re") == {"release", "rehearse"}
    assert {"--package", "--part"} <= completed("relnox bump --pa")
    assert {"major", "minor", "patch"} <= completed("relnox bump --part ")
    assert {"major", "minor", "patch"} <= completed("relnox bump ")
    assert {"--package", "--part"} <= completed("relnox version_bump --pa")
    assert "--strict" in completed("relnox build --str")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("relnox re", {"release", "rehearse"}),
        ("relnox bump --pa", {"--package", "--part"}),
        ("relnox bump --part mi", {"minor"}),
        ("relnox completion z", {"zsh"}),
    ],
)
def test_other_shells_get_their_completions(tmp_path: Path, shell: str, line: str, words: set[str]) -> None:
    """By what the code of `relnox completion` sets: zsh separates words from help by colons, fish by tabs."""
    file = tmp_path / "completions"
    variables = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": shell}
    assert "_ARGCOMPLETE_SHELL" in relnox(tmp_path, "completion", shell).out
    variables |= {"_ARGCOMPLETE_STDOUT_FILENAME": str(file), "COMP_LINE": line, "COMP_POINT": str(len(line))}
    run_process(tmp_path, "relnox", code=None, **variables)
    completions = file.read_text(encoding="utf-8").split("\v")
    assert {re.split(r"[:\t ]", completion)[0] for completion in completions} == words
