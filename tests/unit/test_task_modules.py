"""Every task fits the seam between tasks and the rest: mypy compares options and snapshots, the test the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.commands import (
    COMMANDS,
    apply,
    auto_tag,
    build_all,
    bump,
    collect,
    init,
    load,
    publish,
    publish_test,
    rehearse,
    status,
    verify_install,
)

if TYPE_CHECKING:
    from types import ModuleType

    from relnox.commands import TaskModule
    from relnox.commands.auto_tag.observation import Snapshot as AutoTag
    from relnox.commands.build_all.snapshot import Snapshot as Build
    from relnox.commands.bump.snapshot import Snapshot as Bump
    from relnox.commands.publish.snapshot import Snapshot as Publish

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
    APPLY: TaskModule[apply.Options, apply.Snapshot] = apply

MODULES: tuple[ModuleType, ...] = (
    *(status, bump, auto_tag, build_all, collect, publish_test, publish, verify_install, rehearse),
    *(init, apply),
)


def test_every_task_is_compared() -> None:
    assert {load(name) for name in COMMANDS} == set(MODULES)
