"""Runs inside an environment that is verified, by its own Python (3.8 or newer), isolated.

Called as `python -I probe.py REQUEST ANSWER`, two paths of JSON files. The request names the package, its
version, and either modules to import or an expression to evaluate. The answer is a list of faults.
"""

import ast
import base64
import hashlib
import importlib
import importlib.metadata
import json
import sys
import sysconfig
from pathlib import Path
from typing import Any, Dict, Iterator, List


def main(request_path: str, answer_path: str) -> None:
    """Answer a request."""
    request: Dict[str, Any] = json.loads(Path(request_path).read_text(encoding="utf-8"))
    if "expression" in request:
        faults = list(smoke_faults(request["expression"]))
    else:
        faults = [
            *record_faults(request["package"]),
            *module_faults(request["modules"], request["version"]),
            *script_faults(request["package"]),
        ]
    Path(answer_path).write_text(json.dumps(faults), encoding="utf-8")


def record_faults(package: str) -> Iterator[str]:
    """Installed files that are not as the wheel's RECORD tells them."""
    for file in importlib.metadata.distribution(package).files or ():
        path = Path(str(file.locate()))
        if not path.exists():
            yield f"{file} is in RECORD, but not installed"
        elif file.hash is not None and not str(file).endswith(".pyc"):
            digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != file.hash.value:
                yield f"{file} is not the file that RECORD tells of"


def module_faults(modules: List[str], version: str) -> Iterator[str]:
    """Modules that cannot be imported, come from elsewhere, or state another version."""
    inside = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
    for name in modules:
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an import does is a fault to tell
            yield f"import {name} fails: {type(error).__name__}: {error}"
            continue
        places = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", []))
        for place in places:
            if not any(folder in Path(str(place)).resolve().parents for folder in inside):
                yield f"import {name} takes it from {place}, which is not in the environment"
        stated = getattr(module, "__version__", version)
        if isinstance(stated, str) and not same_version(stated, version):
            yield f"{name}.__version__ is {stated!r}, but the release is {version}"


def script_faults(package: str) -> Iterator[str]:
    """Console and GUI scripts whose function is not there; scripts of an extra are left out."""
    for entry in importlib.metadata.distribution(package).entry_points:
        if entry.group in ("console_scripts", "gui_scripts") and "[" not in entry.value:
            try:
                entry.load()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
                told = f"{type(error).__name__}: {error}"
                yield f"the script {entry.name} does not resolve ({entry.value}): {told}"


def smoke_faults(expression: str) -> Iterator[str]:
    """Evaluate an expression in which modules are named by their full names."""
    names: Dict[str, Any] = {}
    try:
        for node in ast.walk(ast.parse(expression, mode="eval")):
            for dotted in dotted_names(node):
                import_if_module(dotted, names)
        eval(compile(expression, "<smoke>", "eval"), names)  # noqa: S307 - the project's own configuration
    except SystemExit as error:
        if error.code not in (None, 0):
            yield f"{expression} ended with status {error.code}"
    except Exception as error:  # noqa: BLE001 - whatever it raises is a fault to tell
        yield f"{expression} fails: {type(error).__name__}: {error}"


def dotted_names(node: ast.AST) -> Iterator[str]:
    """`a`, `a.b` and `a.b.c` for an expression `a.b.c`."""
    parts: List[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
        parts.reverse()
        for end in range(1, len(parts) + 1):
            yield ".".join(parts[:end])


def import_if_module(dotted: str, names: Dict[str, Any]) -> None:
    """Import `dotted` if it is a module; an attribute of one is no fault."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError as error:
        # Not a module itself; but what a real module lacks is told.
        if error.name is None or not (dotted == error.name or dotted.startswith(error.name + ".")):
            raise
        return
    root = dotted.partition(".")[0]
    names[root] = sys.modules[root]


def same_version(stated: str, version: str) -> bool:
    """Whether two spellings mean one version: PEP 440 where packaging is there, plain text otherwise."""
    if stated == version:
        return True
    try:
        from packaging.version import InvalidVersion, Version
    except ImportError:
        from re import sub

        plain = [
            sub(r"(?i)[-_.]?(alpha|a|beta|b|rc|c)[-_.]?", lambda m: m[1][0].lower(), v) for v in (stated, version)
        ]
        return plain[0].lstrip("v") == plain[1].lstrip("v")
    try:
        return Version(stated) == Version(version)
    except InvalidVersion:
        return True


if __name__ == "__main__":
    main(*sys.argv[1:])
