"""Whether a wheel has something to install, and the native modules that its source declares.

A build that finds no package, or no compiler, often ends well: what it made installs, and cannot be used.
"""

from __future__ import annotations

import ast
import re
import tomllib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeGuard

from packaging.utils import parse_wheel_filename

from relnox import syntax_trees
from relnox.building.archives import contents, path_of
from relnox.building.findings import error, few, warning
from relnox.building.modules import import_names, only_tests
from relnox.core import fixes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check", "check_extensions", "declared_extensions", "is_native"]

_VERBOSE = fixes.command("build-all", "--verbose")
_DOCUMENTS = re.compile(
    r"(readme|licen[cs]e|copying|notice|authors|contributors|change(s|log)|history|news|todo|requirements)[^/]*"
    r"|(pyproject\.toml|setup\.(py|cfg)|manifest\.in|tox\.ini|noxfile\.py|tasks\.py|conftest\.py|makefile)",
    re.IGNORECASE,
)
"""Files at the top of a wheel that belong to the source, and are installed by mistake."""
_MARKERS = frozenset({"py.typed"})
"""Files that say something of the modules beside them, and are nothing without one."""
_NATIVE = re.compile(r".*\.(so(\.\d+)*|pyd|dylib|dll)", re.IGNORECASE)
_BINARY = re.compile(r".*\.(exe|a|lib|wasm)", re.IGNORECASE)
_MAGIC = (
    *(b"\x7fELF", b"MZ", b"\0asm", b"!<arch>"),
    *(b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"),
)
"""How files of machine code begin: ELF, PE, WebAssembly, archives of objects, Mach-O."""
_LONGEST_MAGIC = 8
_SOURCE_LIMIT = 1 << 20
_EXTENSION_ARGUMENTS = ("ext_modules", "rust_extensions", "cffi_modules")
_HATCH_COMPILERS = ("cython", "mypyc")
_INCLUDE = (
    "let the build configuration include the modules: "
    '[tool.setuptools.packages.find] where = ["src"] (setuptools), '
    "[tool.hatch.build.targets.wheel] packages (hatchling), [tool.poetry] packages (poetry-core)"
)


class Extensions(NamedTuple):
    """Native modules that a source distribution declares.

    Attributes:
        where: The setting or the call that does.
        certain: Whether every build has to make them; False where code decides, or they are called optional.
    """

    where: str
    certain: bool


def check(archive: Archive, *, may_be_empty: bool = False, optional_extensions: bool = False) -> Iterator[Found]:
    """A wheel that installs nothing, or nothing but tests; one for a platform without anything native.

    Args:
        archive: A wheel.
        may_be_empty: Whether the package is one of requirements alone.
        optional_extensions: Whether it is released without its native modules as well.
    """
    if not any(_is_installed(member) for member in archive.members):
        if not may_be_empty:
            yield error(
                "todo",
                "is empty: it has no module, script or data",
                f"{_INCLUDE}; for a package of requirements alone: "
                f'[tool.relnox] metadata-only = ["{archive.name}"]',
            )
        return
    if only_tests(import_names(archive)):
        yield warning("todo", f"has no module but {few(import_names(archive))}", _INCLUDE)
    platforms = {tag.platform for tag in parse_wheel_filename(archive.path.name)[3]}
    if platforms != {"any"} and not optional_extensions and not _has_native_file(archive):
        yield error(
            "todo",
            f"is for {few(platforms)}, but has no native module or program",
            f"see that the build compiles them ({_VERBOSE}), or let it make a wheel for any "
            f"platform; if they are optional: {_optional(archive)}",
        )


def check_extensions(sdist: Archive, wheel: Archive) -> Iterator[Found]:
    """A wheel without the native modules that the source distribution declares it to have."""
    if any(is_native(member) for member in wheel.members):
        return
    if (declared := declared_extensions(sdist)) is None or _has_native_file(wheel):
        return
    optional = f"if they are optional: {_optional(wheel)}"
    if declared.certain:
        yield error(
            "todo",
            f"has no native module, although {declared.where}",
            f"see that the sdist has their sources, and that the build compiles them ({_VERBOSE}); {optional}",
        )
    else:
        yield warning("todo", f"has no native module, although {declared.where} (not in every build)", optional)


def declared_extensions(sdist: Archive) -> Extensions | None:
    """The native modules that a source distribution declares, in settings of its backend or in setup.py."""
    texts = {
        name: content
        for name, content in _top_files(sdist, ("pyproject.toml", "setup.py"))
        if len(content) < _SOURCE_LIMIT
    }
    try:
        document = tomllib.loads(texts.get("pyproject.toml", b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        document = {}
    if (where := _in_settings(document)) is not None:
        return Extensions(where, certain=True)
    backend = _table(document, "build-system").get("build-backend", "setuptools.build_meta")
    if not str(backend).startswith("setuptools") or "setup.py" not in texts:
        return None
    try:
        return _in_setup(syntax_trees.parse(texts["setup.py"]))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_native(member: str) -> bool:
    """Whether a member of a wheel is a library that Python, or a module, loads."""
    return _NATIVE.fullmatch(member) is not None


def _is_installed(member: str) -> bool:
    """Whether a member of a wheel is there for its users: modules, stubs, scripts, data, headers."""
    if member.endswith("/"):
        return False
    parts = path_of(member).parts
    if parts[0].endswith(".dist-info"):
        return False
    if parts[0].endswith(".data"):
        if len(parts) < 3 or parts[1] not in ("purelib", "platlib"):  # noqa: PLR2004 - NAME.data, scheme, file
            return len(parts) > 2  # noqa: PLR2004
        parts = parts[2:]
    name = parts[-1]
    if name in _MARKERS or name.startswith(".") or "__pycache__" in parts:
        return False
    return len(parts) > 1 or _DOCUMENTS.fullmatch(name) is None


def _has_native_file(archive: Archive) -> bool:
    """Whether something in a wheel is for a machine: by its name, or by its first bytes."""
    named = any(
        is_native(member) or _BINARY.fullmatch(member) or ".data/scripts/" in member for member in archive.members
    )
    return named or any(content.startswith(_MAGIC) for _, content in contents(archive, _LONGEST_MAGIC))


def _optional(archive: Archive) -> str:
    return f'[tool.relnox] optional-extensions = ["{archive.name}"]'


def _top_files(sdist: Archive, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Those of the files at the top of a source distribution that it has."""
    wanted = {member for member in sdist.members if member.count("/") == 1 and path_of(member).name in names}
    if wanted:
        for member, content in contents(sdist, _SOURCE_LIMIT):
            if member in wanted:
                yield path_of(member).name, content


def _in_settings(document: Mapping[str, Any]) -> str | None:
    """The settings of a backend that make native modules, whatever the code of the project does."""
    tool = _table(document, "tool")
    if _table(tool, "setuptools").get("ext-modules"):
        return "[tool.setuptools] ext-modules names some"
    if _table(tool, "setuptools-rust").get("ext-modules"):
        return "[tool.setuptools-rust] ext-modules names some"
    backend = _table(document, "build-system").get("build-backend")
    if backend == "maturin" and _table(tool, "maturin").get("bindings") != "bin":
        return "maturin builds it"
    build = _table(tool, "hatch", "build")
    for hooks in (_table(build, "hooks"), _table(build, "targets", "wheel", "hooks")):
        for name in _HATCH_COMPILERS:
            if isinstance(hook := hooks.get(name), dict) and hook.get("enable-by-default", True):
                return f"the build hook {name} of hatchling makes some"
    return None


def _table(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    inner: Any = document
    for key in keys:
        inner = inner.get(key) if isinstance(inner, dict) else None
    return inner if isinstance(inner, dict) else {}


def _in_setup(module: ast.Module) -> Extensions | None:
    """What setup.py passes to `setup()`.

    It is certain where the call and what it is given stand at the top of the file: a condition, a function or a
    `try` around them may leave the native modules out on purpose.
    """
    body = [inner for each in module.body for inner in (each.body if _is_main_guard(each) else [each])]
    plain = {id(each.value) for each in body if isinstance(each, ast.Expr)}
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or _name(node) != "setup":
            continue
        for keyword in node.keywords:
            if keyword.arg in _EXTENSION_ARGUMENTS and (made := _made(keyword.value, module, body)):
                # cffi makes a Python module of a description without C code.
                always = made == "always" and keyword.arg != "cffi_modules"
                certain = always and id(node) in plain and not _is_optional(module)
                return Extensions(f"setup.py passes {keyword.arg} to setup()", certain)
    return None


def _is_main_guard(statement: ast.stmt) -> TypeGuard[ast.If]:
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


def _made(value: ast.expr, module: ast.Module, body: Sequence[ast.stmt]) -> Literal["always", "perhaps"] | None:
    """Whether an expression stands for native modules; None for an empty list."""
    if isinstance(value, ast.List | ast.Tuple):
        return "always" if value.elts else None
    if isinstance(value, ast.Constant):
        return "always" if value.value else None
    if isinstance(value, ast.Call):
        return "always"
    if not isinstance(value, ast.Name):
        return "perhaps"
    values = list(_assigned(ast.walk(module), value.id))
    grows = any(_grows(node, value.id) for node in ast.walk(module))
    kinds = {_made(each, module, body) for each in values if not isinstance(each, ast.Name)}
    if kinds == {"always"} and len(values) == len(list(_assigned(body, value.id))) == 1:
        return "always"
    return None if kinds == {None} and not grows else "perhaps"


def _assigned(nodes: Iterable[ast.AST], name: str) -> Iterator[ast.expr]:
    for node in nodes:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value is not None:
            yield from (node.value for each in targets if isinstance(each, ast.Name) and each.id == name)


def _grows(node: ast.AST, name: str) -> bool:
    """Whether something is added to a list of that name: `name.append(…)`."""
    function = node.func if isinstance(node, ast.Call) else None
    of = function.value if isinstance(function, ast.Attribute) else None
    return isinstance(of, ast.Name) and of.id == name


def _is_optional(module: ast.Module) -> bool:
    """Whether a module may fail to compile without failing the build."""
    return any(
        isinstance(node, ast.keyword)
        and node.arg == "optional"
        and not (isinstance(node.value, ast.Constant) and not node.value.value)
        for node in ast.walk(module)
    )


def _name(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
