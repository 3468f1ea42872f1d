"""`core` finds its modules by name, without their directories."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

from relnox import core

MODULES = {
    info.name.rpartition(".")[2]: info.name
    for info in pkgutil.walk_packages(core.__path__, "relnox.core.")
    if not info.ispkg
}


def test_no_two_modules_have_the_same_name() -> None:
    names = [info.name for info in pkgutil.walk_packages(core.__path__, "relnox.core.")]
    plain = [name.rpartition(".")[2] for name in names]
    assert sorted(plain) == sorted(set(plain))


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_is_an_attribute_of_core(name: str) -> None:
    assert getattr(core, name) is import_module(MODULES[name])


def test_an_unknown_module_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        core.nonexistent  # type: ignore[attr-defined]  # noqa: B018 - the access is the test
