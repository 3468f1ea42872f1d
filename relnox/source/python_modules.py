"""Python modules of packages: their names, and imports of modules that git does not track."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from relnox.core.packages import Package
from relnox.errors import Blocked
from relnox.source.git import Git
from relnox.system import syntax_trees
from relnox.system.files import read_project_file

SOURCE_DIRECTORIES = ("lib", "python", "src")
_FOREIGN_DIRECTORIES = frozenset(
    {
        *("_vendor", "benchmarks", "build", "dist", "doc", "docs", "example", "examples", "node_modules"),
        *("scripts", "templates", "test", "tests", "third_party", "tools", "vendor", "vendored"),
    }
)
"""Directories with files that are not the package's own. Others, such as `template`, may be in a package."""
_CAUGHT_EXCEPTIONS = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


def full_module_name(root: Path, file: str, package: Package) -> str | None:
    """Return the importable name of a file (relative to the root), or None if it is no module of the package."""
    if package.directory != "." and not file.startswith(f"{package.directory}/"):
        return None
    inside = file if package.directory == "." else file[len(package.directory) + 1 :]
    in_source, parts = False, inside.split("/")
    if parts[0] in SOURCE_DIRECTORIES:
        in_source, parts = True, parts[1:]
    name = package.name.replace("-", "_")
    if len(parts) == 1:
        return name if parts[0] == f"{name}.py" else None
    if any(part != name and (part.lower() in _FOREIGN_DIRECTORIES or part[0] == ".") for part in parts[:-1]):
        return None
    if not in_source and not (root / package.directory / parts[0] / "__init__.py").is_file():
        return None
    return ".".join(parts).removesuffix(".py").removesuffix(".__init__")


def find_imports_of_untracked_modules(
    git: Git, untracked_files: Iterable[str], packages: Iterable[Package], root: Path
) -> tuple[tuple[str, str], ...]:
    """Return pairs of paths: a tracked module, and an untracked module of the same package that it imports.

    `untracked_files` are those to look for, whether git ignores them or not. Imports whose ImportError is caught
    do not count, since they may be of modules that the build generates. All paths are relative to the root.
    """
    pairs: dict[tuple[str, str], None] = {}
    for package in packages:
        modules = {
            path: file
            for file in untracked_files
            if file.endswith(".py") and (path := full_module_name(root, file, package)) is not None
        }
        if not modules:
            continue
        names = {path.rpartition(".")[2] for path in modules}
        for file in dict.fromkeys(file for file, _ in git.grep("|".join(map(re.escape, sorted(names))))):
            importing = full_module_name(root, file, package) if file.endswith(".py") else None
            if importing is not None:
                is_package = posixpath.basename(file) == "__init__.py"
                for name in _imported_names(root, file, importing, is_package=is_package):
                    if name in modules:
                        pairs[file, modules[name]] = None
    return tuple(pairs)


def _imported_names(root: Path, file: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Yield the full name of everything that a module imports; nothing if its file cannot be parsed.

    Imports with a caught ImportError, or for type checkers only, are left out. `module` is the full name of the
    module in `file`, and `is_package` says whether this is an `__init__.py`: relative imports depend on both.
    """
    try:
        nodes: list[ast.AST] = [syntax_trees.parse(read_project_file(root, file))]
    except (OSError, SyntaxError, ValueError, Blocked):
        return
    while nodes:
        node = nodes.pop()
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=name, names=names, level=level):
                parts = module.split(".")
                parts = parts[: len(parts) - level + is_package] if level else []
                base = ".".join([*parts, *([name] if name else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Try(handlers=handlers, body=body) if any(
                _catches_import_error(handler) for handler in handlers
            ):
                nodes += (child for child in ast.iter_child_nodes(node) if child not in body)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                nodes += node.orelse
            case _:
                nodes += ast.iter_child_nodes(node)


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    """Return whether a handler catches `ImportError`, by its name or that of a wider class."""
    names = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(name is None or (isinstance(name, ast.Name) and name.id in _CAUGHT_EXCEPTIONS) for name in names)
