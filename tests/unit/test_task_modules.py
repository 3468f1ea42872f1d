"""Every task fits the seam between tasks and the rest: mypy compares options and snapshots, the test the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relnox.commands import (
    COMMANDS,
    auto_tag,
    build_all,
    bump,
    collect,
    import_task_module,
    init,
    publish,
    publish_test,
    rehearse,
    status,
    suggest_task,
    verify_install,
)

if TYPE_CHECKING:
    from types import ModuleType

    from relnox.commands import TaskModule
    from relnox.commands.auto_tag.snapshot import Snapshot as AutoTag
    from relnox.commands.build_all.snapshot import Snapshot as Build
    from relnox.commands.bump.snapshot import Snapshot as Bump
    from relnox.commands.publish.inspection import Snapshot as Publish

    BUMP: TaskModule[bump.Options, Bump] = bump
    AUTO_TAG: TaskModule[auto_tag.Options, AutoTag] = auto_tag
    BUILD_ALL: TaskModule[build_all.Options, Build] = build_all
    PUBLISH: TaskModule[publish.Options, Publish] = publish
    PUBLISH_TEST: TaskModule[publish_test.Options, publish_test.Snapshot] = publish_test
    VERIFY_INSTALL: TaskModule[verify_install.Options, verify_install.Snapshot] = verify_install
    COLLECT: TaskModule[collect.Options, collect.Snapshot] = collect
    STATUS: TaskModule[status.Options, status.Snapshot] = status
    REHEARSE: TaskModule[rehearse.Options, rehearse.Snapshot] = rehearse
    INIT: TaskModule[init.Options, init.Snapshot] = init

MODULES: tuple[ModuleType, ...] = (
    *(status, bump, auto_tag, build_all, collect, publish_test, publish, verify_install, rehearse),
    init,
)


def test_every_task_is_compared() -> None:
    assert {import_task_module(name) for name in COMMANDS} == set(MODULES)


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
