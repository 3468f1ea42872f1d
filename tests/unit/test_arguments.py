"""Suggestions for words of a command line."""

from __future__ import annotations

import pytest

from relnox.commands import COMMANDS, suggest_task


@pytest.mark.parametrize("task", ["auto-tag", "publish-test", "publish"])
def test_a_misspelled_task_that_sends_something_is_never_suggested(task: str) -> None:
    for name in (task, *COMMANDS[task].import_names):
        words = {name[:position] + name[position + 1 :] for position in range(len(name))}
        words |= {f"{name[:position]}x{name[position:]}" for position in range(len(name))}
        for word in words - COMMANDS.keys():
            assert suggest_task(word).startswith(("choose one of ", "did you mean ")), word
            assert suggest_task(word) not in {
                f"did you mean {name}?" for name in (task, *COMMANDS[task].import_names)
            }


def test_other_misspelled_tasks_are_suggested() -> None:
    assert suggest_task("rehearsee") == "did you mean rehearse?"
