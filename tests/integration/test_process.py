"""Running programs: output line by line, time limits and leftover processes."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest
from warm import alive, all_end

from relnox.errors import Failed
from relnox.system import process

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 30
DAEMON = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep({SECONDS})"])
print(child.pid, flush=True)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_all_kinds_of_line_ends_end_lines() -> None:
    lines: list[str] = []
    ran = process.run(python(r"import sys; sys.stdout.buffer.write(b'a\r\nb\rc\n\xc3\xbc')"), on_line=lines.append)
    assert lines == ["a", "b", "c", "ü"]
    assert ran.output == "a\nb\nc\nü"


def test_much_output_comes_whole() -> None:
    ran = process.run(python("print('\\n'.join(map(str, range(200_000))))"))
    assert ran.output.splitlines() == [str(number) for number in range(200_000)]


@pytest.mark.skipif(os.name != "posix", reason="process groups as POSIX has them")
@pytest.mark.parametrize("own_session", [False, True])
def test_leftover_processes_that_print_do_not_block(*, own_session: bool) -> None:
    code = f"""
import subprocess, sys
loud = "print(1, flush=True)\\nwhile True: print('loud' * 1000)"
child = subprocess.Popen([sys.executable, "-c", loud], start_new_session={own_session})
print("pid", child.pid, flush=True)
"""
    ran = process.run(python(code))
    os.kill(int(ran.output.partition("pid ")[2].split()[0]), 9)
    assert ran.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="process groups as POSIX has them")
def test_leftover_processes_do_not_block() -> None:
    begin = time.monotonic()
    pid = int(process.run(python(DAEMON)).output)
    assert time.monotonic() - begin < SECONDS / 2
    assert alive(pid)  # git's own helpers go on
    os.kill(pid, 9)


@pytest.mark.skipif(os.name != "posix", reason="process groups as POSIX has them")
def test_what_is_left_running_ends_where_nothing_may_be_left() -> None:
    pid = int(process.run(python(DAEMON), kill_leftovers=True).output)
    assert all_end([pid])


def test_files_that_a_program_makes_have_the_permissions_that_are_asked_for(tmp_path: Path) -> None:
    process.run(python("open('made', 'w').close()"), cwd=tmp_path, umask=0o077)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o600


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(Failed, match=r"timed out after 0\.2 s"):
        process.run(python(f"import time; time.sleep({SECONDS})"), timeout=0.2)
