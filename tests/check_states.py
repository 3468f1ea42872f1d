"""States in which `check` finds a problem; see `states`."""

from __future__ import annotations

import tomllib

from backends import READING
from checked import committed, healthy
from releases import made_wheel, write_manifest
from states import PUBLISH, World, _forge, made, own, run, state

from relnox.core.lock_hashes import poetry_hash


def listed(world: World, item: str, settings: str = "") -> str:
    """A project in which nothing is wrong yet, with an index and a token; the command that checks an item."""
    healthy(world.root, "in-tree", settings + own(world, production=True))
    world.write({"backend/house.py": READING})
    committed(world.root)
    return f"check --index own --only {item}"


@state("secret-tracked")
def pypirc_in_git(world: World) -> str:
    command = listed(world, "secrets")
    world.write({"config/.pypirc": "[pypi]\npassword = secret\n"})
    world.commit()
    return command


@state("secret-tracked", lambda world: world.write({"src/demo/more.py": "token = None\n"}))
def token_in_a_module(world: World) -> str:
    command = listed(world, "secrets")
    world.write({"src/demo/more.py": f'token = "ghp_{"aB3dE6gH9j" * 4}"\n'})
    world.commit()
    return command


def _with_right_hash(world: World) -> None:
    text = (world.root / "pyproject.toml").read_text(encoding="utf-8")
    lock = f'[metadata]\ncontent-hash = "{poetry_hash(tomllib.loads(text))}"\n'
    world.write({"poetry.lock": lock})


@state("lock-outdated", _with_right_hash)
def poetry_lock_of_other_requirements(world: World) -> str:
    command = listed(world, "lock-files")
    world.write({"poetry.lock": '[metadata]\ncontent-hash = "0815"\n'})
    world.commit()
    return command


@state("lock-outdated")
def uv_lock_of_other_pythons(world: World) -> str:
    command = listed(world, "lock-files", "[tool.uv]\nno-index = true\n")
    world.write({"uv.lock": 'version = 1\nrequires-python = ">=3.12"\n'})
    world.commit()
    world.patch.delenv("RELNOX_OWN_TOKEN")
    return command


@state("import-unused")
def import_that_a_linter_removes(world: World) -> str:
    command = listed(world, "noxfile-imports")
    world.write({"noxfile.py": "from relnox.sessions import bump\n"})
    return command


URLS = 'urls = { Repository = "https://example.org/demo" }'


@state("metadata-incomplete", lambda world: world.edit("pyproject.toml", "keywords =", f"{URLS}\nkeywords ="))
def no_urls(world: World) -> str:
    command = listed(world, "metadata")
    world.edit("pyproject.toml", URLS, "")
    return command


@state("readme-invalid", lambda world: world.write({"README.md": "# demo\n"}))
def no_readme(world: World) -> str:
    command = listed(world, "readme")
    (world.root / "README.md").unlink()
    return command


@state("license-file-missing", lambda world: world.write({"LICENSE": "MIT\n"}))
def no_license(world: World) -> str:
    command = listed(world, "license")
    (world.root / "LICENSE").unlink()
    return command


@state("changelog-missing", lambda world: world.write({"CHANGELOG.md": "# Changelog\n\n## 1.0.0\n\n- All.\n"}))
def no_changelog(world: World) -> str:
    command = listed(world, "changelog")
    (world.root / "CHANGELOG.md").unlink()
    return command


@state("changelog-missing")
def changes_without_a_version(world: World) -> str:
    command = listed(world, "changelog")
    world.git("tag", "--delete", "v1.0.0")
    world.git("push", "--quiet", "origin", ":refs/tags/v1.0.0")
    world.write({"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- It says hello.\n"})
    world.commit()
    world.git("push", "--quiet")
    return f"{command} --profile before-publish"


@state("package-unlisted")
def package_that_no_setting_names(world: World) -> str:
    command = listed(world, "packages-listed", '[tool.relnox]\npackages = ["."]\n')
    world.write(
        {"more/pyproject.toml": '[project]\nname = "more"\nversion = "1.0"\n[build-system]\nrequires = []\n'}
    )
    world.commit()
    return command


@state("storage-low")
def storage_used_up(world: World) -> str:
    command = listed(world, "index-storage", "[tool.relnox.check]\nstorage-limit = 0\n")
    world.server.files = {"demo": {"demo-0.1.tar.gz": b"x"}}
    world.server.times = {"demo-0.1.tar.gz": "2026-01-01T00:00:00Z"}
    return command


@state("project-not-allowed", lambda world: world.edit("pyproject.toml", 'name = "demo"', 'name = "other"'))
def project_of_another_account(world: World) -> str:
    command = listed(world, "index-name")
    world.server.files = {"demo": {"demo-0.1.tar.gz": b"x"}}
    world.server.times = {"demo-0.1.tar.gz": "2026-01-01T00:00:00Z"}
    return command


@state("file-not-listed", instead=True)
def not_on_the_test_index(world: World) -> str:
    command = listed(world, "test-index", '[tool.relnox.check]\ntest-index = "test"\n')
    test = world.index()
    world.settings(
        f'[tool.relnox.indexes.test]\nupload = "{test.upload_url}"\nsimple = "{test.simple_url}"\n'
        "production = false\n"
    )
    world.patch.setenv("RELNOX_TEST_TOKEN", "pypi-canary-0816")
    world.edit("pyproject.toml", 'license-files = ["LICENSE"]', "")
    world.commit()
    run(world, "build-all")
    return command


@state("release-not-tagged")
def tag_not_on_the_remote(world: World) -> str:
    command = listed(world, "tags")
    world.git("push", "--quiet", "origin", ":refs/tags/v1.0.0")
    return command


@state("release-not-tagged")
def version_without_a_tag(world: World) -> str:
    command = listed(world, "tags")
    world.git("push", "--quiet", "origin", ":refs/tags/v1.0.0")
    world.git("tag", "--delete", "v1.0.0")
    return f"{command} --profile before-publish"


@state("version-tagged-elsewhere")
def changed_since_its_tag(world: World) -> str:
    command = listed(world, "version-new")
    world.write({"src/demo/more.py": ""})
    world.commit()
    return command


@state("clone-shallow")
def release_tag_only_on_the_remote(world: World) -> str:
    command = listed(world, "git-history")
    world.git("tag", "--delete", "v1.0.0")
    return command


@state("requirement-unbounded", lambda world: world.edit("top/pyproject.toml", '"demo"', '"demo>=1"'))
def sibling_without_a_version(world: World) -> str:
    command = listed(world, "siblings-bounded", '[tool.relnox]\npackages = [".", "top"]\n')
    world.write({"top/pyproject.toml": '[project]\nname = "top"\nversion = "1.0.0"\ndependencies = ["demo"]\n'})
    return command


@state("requirement-excludes-version", lambda world: world.edit("top/pyproject.toml", "demo<1", "demo<2"))
def sibling_excluded(world: World) -> str:
    command = listed(world, "siblings-satisfied", '[tool.relnox]\npackages = [".", "top"]\n')
    world.write({"top/pyproject.toml": '[project]\nname = "top"\nversion = "1.0.0"\ndependencies = ["demo<1"]\n'})
    return command


@state(
    "requirement-by-url", lambda world: world.edit("pyproject.toml", "dependencies = [", "dependencies = [] # [")
)
def requirement_from_a_page(world: World) -> str:
    command = listed(world, "public-requirements")
    world.edit(
        "pyproject.toml", "dependencies = []", 'dependencies = ["tool @ https://example.org/tool-1.tar.gz"]'
    )
    return command


def asked(world: World, item: str) -> str:
    """The command that asks a forge about a project."""
    command = listed(world, item)
    world.server = world.closing.enter_context(_forge(world))
    return command


@state("ci-failed", lambda world: world.server.checks.update(tests="success"))
def tests_failed_in_ci(world: World) -> str:
    command = asked(world, "ci-green")
    world.server.checks = {"tests": "failure"}
    return command


@state("environment-unprotected", lambda world: world.server.environments.update(pypi=(1, True)))
def environment_without_reviewers(world: World) -> str:
    command = asked(world, "environments")
    world.server.environments = {"pypi": (0, False)}
    return command


@state("storage-low")
def files_that_do_not_fit(world: World) -> str:
    made(world, production=True)
    world.settings("[tool.relnox.check]\nstorage-limit = 0\n")
    return PUBLISH


@state("tree-dirty", World.commit)
def readme_not_committed(world: World) -> str:
    command = listed(world, "git-clean")
    world.edit("README.md", "Says", "It says")
    return command


@state("branch-not-allowed")
def branch_of_a_feature(world: World) -> str:
    command = listed(world, "git-branch", '[tool.relnox]\nbranch = "main"\n')
    world.git("switch", "--quiet", "-c", "feature")
    return command


@state(
    "program-failed", lambda world: world.edit("src/demo/__init__.py", "__version__", "greet = print\n__version__")
)
def failing_test(world: World) -> str:
    command = listed(
        world, "tests-pass", '[tool.relnox.test]\ncommand = ["python", "-c", "import demo; demo.greet"]\n'
    )
    world.patch.delenv("RELNOX_OWN_TOKEN")
    return command


@state("version-locations-differ", then=("tree-dirty",))
def another_version_in_the_module(world: World) -> str:
    command = listed(world, "version-everywhere")
    world.edit("src/demo/__init__.py", "1.0.0", "1.0.1")
    world.commit()
    return command


@state("requirement-unavailable")
def sibling_with_changes(world: World) -> str:
    settings = (
        '[tool.relnox]\npackages = [".", "top"]\nversions = "independent"\ntag-format = "{name}-v{version}"\n'
    )
    command = listed(world, "siblings-released", settings)
    world.write({"top/pyproject.toml": '[project]\nname = "top"\nversion = "1.0.0"\ndependencies = ["demo>=1"]\n'})
    world.git("tag", "demo-v1.0.0")
    world.write({"src/demo/more.py": ""})
    world.commit()
    return command


@state("project-archived", lambda world: world.server.set_status("demo", "active"))
def archived_project(world: World) -> str:
    command = listed(world, "index-status")
    world.server.set_status("demo", "archived")
    return command


@state("archive-content")
def module_beside_the_package(world: World) -> str:
    command = listed(world, "release-diff")
    world.server.add(made_wheel(world.beside / "before", "demo", {"demo/__init__.py": ""}, version="0.9"))
    wheel = made_wheel(world.root / "dist", "demo", {"demo/__init__.py": "", "house.py": ""}, version="1.0.0")
    write_manifest(world.root, [wheel], {"demo": ()}, commit=world.git("rev-parse", "HEAD"))
    return f"{command} --profile before-publish"


@state("credentials-missing", lambda world: world.patch.setenv("RELNOX_OWN_TOKEN", "pypi-canary-0815"))
def checked_without_token(world: World) -> str:
    command = listed(world, "credentials")
    world.patch.delenv("RELNOX_OWN_TOKEN")
    return command


@state("tag-exists", then=("release-not-tagged",))
def tag_elsewhere_on_the_remote(world: World) -> str:
    command = listed(world, "tags")
    world.write({"src/demo/more.py": ""})
    world.commit()
    world.git("push", "--quiet", "--force", "origin", "HEAD:refs/tags/v1.0.0")
    return command
