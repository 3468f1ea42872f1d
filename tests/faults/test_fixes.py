"""Each way of a fix is taken literally in the state that caused the problem, and the problem is gone.

`states` has the states. The ways of a fix are divided by semicolons. A way that is a command is run as it is
printed, one that names options changes the command, and settings are pasted into pyproject.toml. The rest is for a
person: the state does it. No way deletes a tag, a remote ref or a file.

The command that has the problem shows no token. If it is refused, or is a bump that fails before its push, it
leaves every file and ref as it was, and sends nothing.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import check_states
import pytest
import tomlkit
from projects import git, remote_of
from states import STATES, State, World

from relnox.cli import main
from relnox.core.settings.checklist import ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

PROGRAMS = "relnox|git|uv|pip|mkdir|mv|export|unset|nox|invoke|python"
COMMAND = re.compile(rf"(?:^|.*?: |run |or )((?:{PROGRAMS}) .+)", re.DOTALL)
OPTIONS = re.compile(r"(?:.*: )?(add|pass|remove|choose .*?:|write|or) ?(--.+)|.*?((?:: |^)--.+)", re.DOTALL)
WARNINGS = {"readme-invalid", "trusted-index-missing", "metadata-incomplete", "metadata-missing"}
"""What some of the packages are warned about as well."""
LOOK = re.compile(r"if |to (see|compare|find|reproduce)|look at|find the cause|see what|(check|compare)\b.*: ")
SETTINGS = re.compile(r"\[+tool\.relnox[^\]]*\]+ [a-z-]+ = .+")
TABLES = re.compile(r"^\[+tool\.relnox[^\]]*\]+$.*", re.DOTALL | re.MULTILINE)
OWN = re.compile(r"(^|/)(dist|\.git|[^/]+\.git|__pycache__|\.lock)(/|$)")
"""What a build made, or git keeps: the way of a fix may replace it."""

GIT = re.compile(r"(^|/)(\.git|[^/]+\.git|__pycache__)/")
SECRET = re.compile(r"(?<!^::add-mask::)(pypi-canary|token-of)|me:secret|password = ", re.MULTILINE)
"""Parts of the tokens and passwords of the states, which only GitHub's runner gets."""
CHANGING = {
    "forge-file-differs": "found when the files are attached",
    "hook-changed-files": "the hook edits a file",
    "served-content-differs": "found after the upload",
}
"""Why a command that has such a problem has changed something."""


class Printed(NamedTuple):
    """A problem as a user reads it."""

    code: str
    message: str
    fix: str


class Ran(NamedTuple):
    """A command that ended."""

    code: int
    text: str

    @property
    def problems(self) -> list[Printed]:
        """The problems that it printed."""
        found = []
        first = r"^( *)(?:error: |blocked: |warning: |- |)(.*) \[([a-z-]+)\]:?"
        rest = r"((?:\n\1 +(?! |fix: ).*)*)(?:\n\1 *fix: (.*(?:\n\1  +.*)*))?$"
        text = re.sub(r"^.* \[several-problems\]\n", "", self.text, flags=re.MULTILINE)
        for match in re.finditer(first + rest, text, re.MULTILINE):
            _, message, code, more, fix = match.groups()
            if code not in ("several-problems", "remote"):
                found.append(Printed(code, message + (more or ""), re.sub(r"\n +", "\n", fix or "")))
        return found + ([Printed("several-problems", self.text, "")] if "[several-problems]" in self.text else [])

    @property
    def codes(self) -> set[str]:
        return {problem.code for problem in self.problems}


def relnox(world: World, words: list[str]) -> Ran:
    """Run the command line in the project."""
    out = io.StringIO()
    before = dict(os.environ)
    with redirect_stdout(out), redirect_stderr(out), chdir(world.cwd):
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    assert "\nTraceback" not in out.getvalue(), out.getvalue()
    assert dict(os.environ) == before
    return Ran(code, out.getvalue())


def shell(world: World, command: str) -> Ran:
    """Run a command as it is printed; that of relnox alone in this process, which is faster."""
    command = world.fill(command)
    words = shlex.split(command)
    if words[0] == "relnox" and not {"&&", ";", "|"} & set(words):
        return relnox(world, words[1:])
    if words[0] in ("export", "unset"):
        for word in words[1:]:
            name, _, value = word.partition("=")
            world.patch.setenv(name, value) if value else world.patch.delenv(name)
        return Ran(0, "")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command, shell=True, cwd=world.cwd, env=os.environ | {"PATH": path}, text=True, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return Ran(ran.returncode, ran.stdout)


# --- ways


def ways_of(fix: str) -> list[str]:
    """Return the ways of a fix, which a person may choose from; a way may have more than one step."""
    parts = re.split(rf"; (?:or )?|, or (?={PROGRAMS}|add |remove |pass |--|set )", fix)
    return [re.sub(r",? then rerun the command$|^or ", "", part) for part in parts]


def take(
    world: World, way: str, words: list[str], then: tuple[str, ...], *, instead: bool
) -> tuple[list[str], Ran | None] | None:
    """Do what a way says; return the words of the command that is run again, or None if it is for a person.

    A command of the same task is run in place of the first one: its result is returned, too.
    """
    if " and add --" in way:
        first, second = re.split(",? and (?=add)", way)
        words, _ = take(world, first, words, then, instead=False) or (words, None)
        return take(world, second, words, then, instead=False)
    if (match := COMMAND.fullmatch(way)) and not way[: match.start(1)].endswith(", then: "):
        return run_steps(world, match[1], words, then, instead=instead)
    file, lines, tables = world.cwd / "pyproject.toml", SETTINGS.findall(way), TABLES.search(way)
    if lines or tables:
        for line in lines:
            paste(file, world.fill(line))
        if tables:
            file.write_text(f"{file.read_text(encoding='utf-8')}\n{world.fill(tables[0])}\n", encoding="utf-8")
        if (world.cwd / ".git").exists():
            git(world.cwd, "commit", "--quiet", "--message", "Settings", "pyproject.toml")
        return words, None
    if match := OPTIONS.fullmatch(way):
        text = world.fill((match[2] or match[3].lstrip(": ")).split(" (")[0])
        options = shlex.split(re.split(r", | to \w| and (?!--)", text)[0].replace(" and --", " --"))
        if match[1] == "remove":
            return without(words, options), None
        first = options[0]
        if first == "--to":
            words = without(words, ["--part", "--pre"])
        return [*without(words, [first] if len(options) > 1 else []), *options], None
    return None


def run_steps(
    world: World, commands: str, words: list[str], then: tuple[str, ...], *, instead: bool
) -> tuple[list[str], Ran | None] | None:
    """Run the commands of a way, one after the other; None if a program is not installed here."""
    steps = re.split(r",? then:? (?=[a-z])|, and (?=commit it)", commands)
    result = None
    for step in steps:
        result = shell(world, 'git commit -m "Change"' if step == "commit it" else step)
        if "is not a git command" in result.text:
            return None
        assert result.code == 0 or result.codes & {*then}, f"{step}: {result.text}"
    same = shlex.split(steps[-1])[:2] == ["relnox", words[0]]
    return words, result if same or instead else None


def without(words: list[str], options: list[str]) -> list[str]:
    """Return a command without options and their values."""
    kept, removing = [], False
    for word in words:
        removing = word in options or (removing and not word.startswith("--"))
        if not removing:
            kept.append(word)
    return kept


def paste(path: Path, line: str) -> None:
    """Add `[table] key = value` to pyproject.toml, with all that follows it."""
    table, text = re.split(r"\]\s", line.lstrip("["), maxsplit=1)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    here = document
    for key in table.split("."):
        here = here.setdefault(key.strip('"'), tomlkit.table(is_super_table=False))
    here.update(tomlkit.parse(text))
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


# --- what no way may do


class Kept(NamedTuple):
    """What a checkout has and a fix must keep."""

    tags: set[str]
    remote: set[str]
    files: set[str]
    tracked: set[str]

    @classmethod
    def of(cls, world: World) -> Kept:
        """Look at a project, which may be no repository; git has the files that it tracks."""
        files = {
            path.relative_to(world.beside).as_posix() for path in world.beside.rglob("*") if not path.is_dir()
        }
        tracked: set[str] = set()
        if (world.cwd / ".git").exists():
            listed = git(world.cwd, "-c", "safe.directory=*", "ls-files").splitlines()
            tracked = {(world.cwd / name).relative_to(world.beside).as_posix() for name in listed}
        tags, heads = _refs(world.cwd), _refs(remote_of(world.root))
        return cls(
            {tag for tag in tags if "refs/tags/" in tag},
            {ref.split()[-1] for ref in heads},
            {file for file in files - tracked if not OWN.search(file)},
            tracked,
        )


def _refs(root: Path) -> list[str]:
    if not (root / ".git").exists() and not (root / "HEAD").exists():
        return []
    return subprocess.run(
        ["git", "-c", "safe.directory=*", "for-each-ref", "--format=%(objectname) %(refname)"],
        cwd=root, text=True, check=False, capture_output=True,
    ).stdout.splitlines()  # fmt: skip


# --- what a command that is refused may not do


def around(world: World) -> dict[str, object]:
    """All files but those of git, all refs and git's index, and what the server has."""
    found: dict[str, object] = {
        path.relative_to(world.beside).as_posix(): path.read_bytes()
        for path in world.beside.rglob("*")
        if path.is_file() and not GIT.search(path.relative_to(world.beside).as_posix())
    }
    if (world.cwd / ".git").exists():
        found["staged"] = git(world.cwd, "-c", "safe.directory=*", "ls-files", "--stage")
        found["branch"] = (world.cwd / ".git/HEAD").read_bytes()
    server = [getattr(world.server, name, None) for name in ("files", "changes")]
    return found | {"refs": (_refs(world.cwd), _refs(remote_of(world.root))), "server": deepcopy(server)}


# --- the test


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], World]]:
    """Make worlds, each of which begins from nothing."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho Change > "$1"\n', encoding="utf-8")
    editor.chmod(0o755)
    monkeypatch.setenv("GIT_EDITOR", str(editor))
    made: list[World] = []

    def make() -> World:
        for world in made:
            world.close()
        made.append(World(tmp_path / str(len(made))))
        return made[-1]

    yield make
    made[-1].close()


@pytest.mark.parametrize("name", STATES)
def test_every_way_of_a_fix_solves_the_problem(name: str, worlds: Callable[[], World]) -> None:
    state = STATES[name]
    by_hand: list[str | None] = [] if state.by_hand is None else [None]
    number, tried = 0, 0
    ways: list[str | None] = [None]
    while number < len(ways):
        world = worlds()
        words = shlex.split(state.make(world))
        kept = Kept.of(world)
        all_around = around(world)
        before = relnox(world, words)
        fails_undone = before.code == 2 and words[0] == "bump" and "--push" not in words
        if (before.code in (1, 4) or fails_undone) and state.code not in CHANGING:
            assert around(world) == all_around
        assert not SECRET.search(before.text)
        fix = only_problem(state, before).fix
        ways = [*(ways_of(fix) if fix else []), *by_hand]
        if not ways:
            break
        way = ways[number]
        number += 1
        if way is not None and LOOK.match(way):
            tried += look(world, way)
            continue
        taken: tuple[list[str], Ran | None] | None
        if way is None:
            assert state.by_hand is not None
            command = state.by_hand(world)
            changed = shlex.split(command) if isinstance(command, str) and " " in command else words
            taken = changed, None
        else:
            taken = take(world, way, words, state.then, instead=state.instead)
        if taken is not None:
            tried += 1
            again = shlex.split(state.again) if state.again and COMMAND.fullmatch(way or "") else taken[0]
            check(state, before, taken[1] or relnox(world, again), way or "by hand")
            if way is not None:
                check_kept(kept, Kept.of(world), way)
    assert tried or state.no_fix, f"no way was tried: {ways}"


def only_problem(state: State, ran: Ran) -> Printed:
    """Return the problem of a state, which has one message and no other problems beside it."""
    assert ran.codes >= {state.code}, ran.text
    beside = ran.codes - {state.code, *state.beside, "several-problems", *WARNINGS}
    assert not beside, ran.text
    (problem,) = [problem for problem in ran.problems if problem.code == state.code]
    return problem


def look(world: World, way: str) -> bool:
    """Run the commands with which a person looks at something: they change nothing."""
    match = COMMAND.fullmatch(way)
    if match is None:
        return False
    kept = Kept.of(world)
    for step in match[1].split("; "):
        assert shell(world, step).code in (0, 2, 5, 128), way  # what the user looks for
    assert Kept.of(world) == kept
    return True


def check(state: State, before: Ran, after: Ran, way: str) -> None:
    """The problem is gone, without a new one."""
    others = (before.codes - {state.code}) | {*state.then, *WARNINGS}
    others |= {"several-problems"} if state.then else set()
    assert after.codes <= others, f"{way}:\n{after.text}"


def check_kept(before: Kept, after: Kept, way: str) -> None:
    """What there was is there."""
    assert after.tags >= before.tags, way
    assert after.remote >= before.remote, way
    assert after.files | after.tracked >= before.files, way


WITHOUT_STATE = {
    "aborted": "the answer of a person",
    "attestation-invalid": "needs a signing service; tests/integration/test_attestations.py",
    "clone-failed": "an error of git, whose text is the message",
    "failed-after-publishing": "an error inside relnox",
    "file-exists": "two uploads to the embedded index at the same time",
    "forge-rejected": "the answer of a forge, which is the message",
    "identity-missing": "needs a CI job with an identity",
    "index-directory-not-usable": "an error of the file system, which is the message",
    "index-rules-old": "the rules of this relnox are as old as they are",
    "internal-error": "an error inside relnox",
    "interrupted": "the decision of a person",
    "metadata-missing": "a warning of every build of these states",
    "not-undone": "an error of git while another one is handled",
    "nothing-verified": "needs a second Python",
    "out-of-memory": "an error of the machine",
    "publisher-missing": "needs a CI job with an identity",
    "pull-request-changed": "an edit of a pull request in the same moment",
    "python-missing": "downloads a Python",
    "secret-in-archive": "a part of archive-invalid",
    "session-name-twice": "an error of a noxfile, before a command runs",
    "several-problems": "its problems have fixes",
    "signing-unavailable": "needs a signing service",
    "step-not-done": "an error inside relnox, or of a server that forgets",
    "system-error": "an error of the machine",
    "trusted-index-missing": "a warning about the configuration of uv",
    "upload-rejected": "the answer of the embedded index, which is the message",
    "url-invalid": "settings with such a URL are setting-invalid; else the answer of a server",
}
"""Why no command of these tests has a problem."""


def test_every_code_has_a_state_or_a_reason_for_having_none() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text(encoding="utf-8")
    codes = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))
    assert codes - {state.code for state in STATES.values()} == WITHOUT_STATE.keys()


def test_every_item_of_the_checklist_has_a_state() -> None:
    states = [state.make.__code__ for state in STATES.values() if state.make.__module__ == check_states.__name__]
    names = {name for code in states for name in code.co_consts if isinstance(name, str)}
    assert ITEMS.keys() - names == {"index-rules"}
