"""What a uv.lock decides about a package: its entry and those that it needs, and nothing else."""

from __future__ import annotations

import pytest

from relnox.core.bump.lock_entries import LockReader, needed_entries

REGISTRY = 'source = { registry = "https://example.invalid/simple" }'


def entry(name: str, version: str = "1.0", source: str = REGISTRY, more: str = "") -> str:
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\n{source}\n{more}\n'


def local(name: str, more: str = "", version: str = "1.0", kind: str = "editable") -> str:
    return entry(name, version, f'source = {{ {kind} = "libs/{name}" }}', more)


def requires(*items: str) -> str:
    return f"dependencies = [\n{''.join(f'    {{ {item} }},{chr(10)}' for item in items)}]\n"


CORE = requires('name = "http", extra = ["fast"]', 'name = "util"') + (
    '\n[package.optional-dependencies]\ncli = [\n    { name = "colors" },\n]\n'
    '\n[package.dev-dependencies]\ndev = [\n    { name = "tester" },\n]\n'
    '\n[package.metadata]\nrequires-dist = [{ name = "http", specifier = ">=1" }]\n'
)
HTTP = requires('name = "idna"') + (
    '\n[package.optional-dependencies]\nfast = [\n    { name = "loop" },\n]\n'
    'slow = [\n    { name = "sleep" },\n]\n'
)
ENTRIES = {
    "colors": entry("colors"),
    "core": local("core", CORE),
    "http": entry("http", more=HTTP),
    "idna": entry("idna"),
    "loop": entry("loop"),
    "other": local("other", requires('name = "idna"')),
    "sleep": entry("sleep"),
    "tester": entry("tester"),
    "util": local("util", requires('name = "words"')),
    "words": entry("words"),
}


def lock(**changes: str) -> str:
    head = 'version = 1\nrevision = 3\nrequires-python = ">=3.11"\n\n[manifest]\nmembers = ["core", "util"]\n\n'
    return head + "\n".join((ENTRIES | changes).values())


def needed(text: str, name: str = "core") -> object:
    return needed_entries(LockReader().read(text), name)


@pytest.mark.parametrize("name", ["colors", "http", "idna", "loop", "words"])
def test_a_new_version_of_what_a_package_needs_is_a_change(name: str) -> None:
    changed = ENTRIES[name].replace('version = "1.0"', 'version = "1.1"')
    assert needed(lock(**{name: changed})) != needed(lock())


@pytest.mark.parametrize("name", ["sleep", "tester", "other"])
def test_entries_that_a_package_does_not_need_are_none(name: str) -> None:
    assert needed(lock(**{name: ENTRIES[name].replace('version = "1.0"', 'version = "1.1"')})) == needed(lock())
    assert needed(lock(**{name: ""})) == needed(lock())


@pytest.mark.parametrize("name", ["core", "util"])
def test_versions_of_the_workspace_are_no_change(name: str) -> None:
    assert needed(lock(**{name: ENTRIES[name].replace('version = "1.0"', 'version = "2.0"')})) == needed(lock())


@pytest.mark.parametrize(
    ("name", "old", "new", "differs"),
    [
        ("core", 'extra = ["fast"]', 'extra = ["slow"]', True),
        ("core", '    { name = "util" },\n', "", True),
        ("core", '{ name = "colors" }', '{ name = "words" }', True),
        ("core", '{ name = "tester" }', '{ name = "words" }', False),
        ("core", 'specifier = ">=1"', 'specifier = ">=0.9"', False),
        ("idna", "example.invalid/simple", "example.invalid/mirror", False),
        ("idna", REGISTRY, 'source = { git = "https://example.invalid/idna#abc" }', True),
        ("idna", REGISTRY, f'{REGISTRY}\nwheels = [\n    {{ url = "idna.whl", hash = "sha256:0" }},\n]', False),
        ("http", '{ name = "idna" }', '{ name = "idna", marker = "sys_platform == \'win32\'" }', True),
        ("http", '{ name = "sleep" }', '{ name = "words" }', False),
    ],
)
def test_what_counts_in_an_entry(name: str, old: str, new: str, *, differs: bool) -> None:
    changed = ENTRIES[name].replace(old, new)
    assert changed != ENTRIES[name]
    assert (needed(lock(**{name: changed})) != needed(lock())) is differs


def test_a_required_version_selects_one_of_several_entries() -> None:
    both = ENTRIES["idna"] + entry("idna", "2.0")
    http = ENTRIES["http"].replace('{ name = "idna" }', '{ name = "idna", version = "1.0" }')
    later = both.replace('"2.0"', '"2.1"')
    assert needed(lock(idna=both, http=http)) == needed(lock(idna=later, http=http))
    assert needed(lock(idna=both)) != needed(lock(idna=later))


def test_packages_that_need_each_other_end() -> None:
    util = local("util", requires('name = "core"'))
    assert needed(lock(util=util)) != needed(lock())
    assert needed(lock(util=util), "util") is not None


@pytest.mark.parametrize("kind", ["editable", "virtual", "directory"])
def test_the_entry_of_a_package_is_a_directory(kind: str) -> None:
    assert needed(lock(core=local("core", CORE, kind=kind))) == needed(lock())
    assert needed(lock(), "idna") is None
    assert needed(lock(), "unknown") is None
    assert needed("version = 1\n") is None


def test_line_ends_do_not_matter() -> None:
    assert needed(lock().replace("\n", "\r\n")) == needed(lock())


@pytest.mark.parametrize(
    "text",
    [
        "name = 1 = 2\n",
        "version = '1'\n",
        "name = 'a'\ndependencies = 1\n",
        "name = 'a'\ndependencies = ['b']\n",
        "name = 'a'\ndependencies = [{ version = '1' }]\n",
        "name = 'a'\ndependencies = [{ name = 'b', extra = 1 }]\n",
        f"name = {'[' * 9_000}\n",
        "<<<<<<< HEAD\nname = 'a'\n",
    ],
)
def test_another_form_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LockReader().read(f"version = 1\n\n[[package]]\n{text}")
