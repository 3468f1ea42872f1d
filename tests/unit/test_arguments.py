"""Words of a command line: suggestions for tasks, and what a parser makes of options."""

from __future__ import annotations

import pytest

from relnox.commands import COMMANDS, find_task
from relnox.errors import Blocked


def suggested(word: str) -> str:
    with pytest.raises(Blocked, match=r"^unknown task ") as caught:
        find_task(word)
    return caught.value.fix


@pytest.mark.parametrize("task", ["auto-tag", "publish-test", "publish"])
def test_a_misspelled_task_that_sends_something_is_never_suggested(task: str) -> None:
    for name in (task, *COMMANDS[task].import_names):
        words = {name[:position] + name[position + 1 :] for position in range(len(name))}
        words |= {f"{name[:position]}x{name[position:]}" for position in range(len(name))}
        names = {spelling.replace("_", "-") for known in COMMANDS.values() for spelling in known.import_names}
        for word in words:
            if word.replace("_", "-") not in names:
                fix = suggested(word)
                assert fix.startswith(("choose one of ", "did you mean ")), word
                assert fix not in {f"did you mean {name}?" for name in (task, *COMMANDS[task].import_names)}


def test_other_misspelled_tasks_are_suggested() -> None:
    assert suggested("rehearsee") == "did you mean rehearse?"
