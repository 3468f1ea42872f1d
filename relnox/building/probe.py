"""Runs inside an environment that is verified, by its own Python (3.8 or newer), isolated.

Called as `python -I probe.py REQUEST ANSWER`, two paths of JSON files. The request names either a package, the
modules to import and the extras that its scripts may need, or an expression to evaluate. The answer grows line by
line, so that it tells how far it came when an import never ends or ends the interpreter. `relnox.building.probing`
asks.
"""

import ast
import base64
import hashlib
import importlib
import importlib.metadata
import json
import os
import re
import sys
import sysconfig
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

EXPRESSION = "<smoke>"


class Answer:
    """What is told, line by line, into a file that is open before anything foreign runs."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._process = os.getpid()

    def tell(self, **line: Any) -> None:
        """Write a line; a copy of the process that an import made by forking ends here."""
        if os.getpid() != self._process:
            os._exit(0)
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def fault(self, message: str, **more: Any) -> None:
        """Write down what is wrong."""
        self.tell(fault=message, **more)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say what is tried; whatever is raised is a fault."""
        self.tell(doing=what)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - whatever foreign code does is to be told
            told = f": {error}" if str(error) else ""
            self.fault(
                f"{what} fails: {type(error).__name__}{told}",
                lacks=getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None,
                where=place_of(error),
            )


def main(request_path: str, answer_path: str) -> None:
    """Answer a request."""
    request: Dict[str, Any] = json.loads(Path(request_path).read_text(encoding="utf-8"))
    answer = Answer(answer_path)
    sys.argv[:] = ["-c"]
    if "expression" in request:
        with answer.doing(request["expression"]):
            evaluate(request["expression"])
    else:
        examine(request, answer)
    answer.tell(done=True)


def examine(request: Dict[str, Any], answer: Answer) -> None:
    """Look at what is installed, import the modules, look for what the scripts call."""
    answer.tell(standard=sorted(getattr(sys, "stdlib_module_names", ())))
    installed = {canonical(each.metadata["Name"] or ""): each for each in importlib.metadata.distributions()}
    answer.tell(
        installed={name: [each.version, each.read_text("direct_url.json")] for name, each in installed.items()}
    )
    package = installed.get(request["package"])
    if package is None:
        return
    for name, record in request["records"].items():
        for fault in record_faults(installed[name], record) if name in installed else ():
            answer.fault(f"{name}: {fault}")
    for name in request["modules"]:
        import_module(name, answer)
    for entry in package.entry_points if request["scripts"] else ():
        if entry.group in ("console_scripts", "gui_scripts"):
            look_for(entry, request["extras"], answer)
    for name, place in loaded_from(request["root"]):
        answer.fault(f"{name} is loaded from {place}: that is the source tree")


def import_module(name: str, answer: Answer) -> None:
    """Import a module, and see where it is and which version it states."""
    with answer.doing(f"import {name}"):
        module = importlib.import_module(name)
        stated = getattr(module, "__version__", None)
        answer.tell(imported=name, states=stated if isinstance(stated, str) else None)
        for place in places(module):
            if not is_inside(place):
                answer.fault(f"import {name} takes it from {place}, which is not in the environment")


def loaded_from(folder: str) -> Iterator[Tuple[str, str]]:
    """Loaded modules of a folder with their places; an environment or a Python that is in there is none of it."""
    for name, module in sorted(sys.modules.items()):
        for place in places(module):
            if is_below(place, folder) and not any(is_below(place, own) for own in (sys.prefix, sys.base_prefix)):
                yield name, place


def record_faults(package: importlib.metadata.Distribution, wheel: Dict[str, str]) -> Iterator[str]:
    """Installed files that are not as RECORD tells them, the installed one or the wheel's own."""
    listed = {
        str(file): f"{file.hash.mode}={file.hash.value}" if file.hash else "" for file in package.files or ()
    }
    for name, expected in {**listed, **wheel}.items():
        path = Path(str(package.locate_file(name)))
        if not path.exists():
            yield f"{name} is in RECORD, but not installed"
        elif expected and not name.endswith(".pyc"):
            mode, _, digest = expected.partition("=")
            found = hashlib.new(mode, path.read_bytes()).digest()
            if base64.urlsafe_b64encode(found).decode().rstrip("=") != digest.rstrip("="):
                yield f"{name} is not the file that RECORD tells of"


def look_for(entry: Any, extras: List[str], answer: Answer) -> None:
    """See that the function of a script is there, unless it needs an extra that is not installed."""
    target, _, needed = entry.value.partition("[")
    missing = {canonical(each) for each in needed.rstrip("] ").split(",") if each.strip()} - {
        canonical(each) for each in extras
    }
    if missing:
        answer.tell(left_out=entry.name, extras=sorted(missing))
        return
    with answer.doing(f"the script {entry.name} ({target.strip()})"):
        found = entry.load()
        if callable(found):
            answer.tell(script=entry.name)
        else:
            answer.fault(f"the script {entry.name} calls {target.strip()}, which is no function")


def evaluate(expression: str) -> None:
    """Evaluate an expression in which modules are named by their full names; a status of 0 is a good end."""
    names: Dict[str, Any] = {}
    for node in ast.walk(ast.parse(expression, mode="eval")):
        for dotted in dotted_names(node):
            import_if_module(dotted, names)
    try:
        eval(compile(expression, EXPRESSION, "eval"), names)  # noqa: S307 - the project's own configuration
    except SystemExit as error:
        if error.code not in (None, 0):
            raise


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


def places(module: Any) -> List[str]:
    """The file of a module; the folders of a namespace package."""
    try:
        file = getattr(module, "__file__", None)
        return [file] if isinstance(file, str) else [str(each) for each in getattr(module, "__path__", ())]
    except Exception:  # noqa: BLE001 - modules may be objects of any kind
        return []


def is_inside(place: str) -> bool:
    """Whether a file is among the installed ones."""
    return any(is_below(place, sysconfig.get_path(name)) for name in ("purelib", "platlib"))


def is_below(place: str, folder: str) -> bool:
    """Whether a file is in a folder; `<frozen …>` and the like are no files."""
    return Path(place).is_absolute() and Path(folder).resolve() in Path(place).resolve().parents


def place_of(error: BaseException) -> Optional[str]:
    """Where an error came from: the last line of installed code on its way."""
    inside = [frame for frame in traceback.extract_tb(error.__traceback__) if is_inside(frame.filename)]
    if not inside:
        return None
    name = inside[-1].filename
    for scheme in ("purelib", "platlib"):
        if is_below(name, sysconfig.get_path(scheme)):
            name = str(Path(name).resolve().relative_to(Path(sysconfig.get_path(scheme)).resolve()))
    return f"{name}, line {inside[-1].lineno}"


def canonical(name: str) -> str:
    """A name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


if __name__ == "__main__":
    main(*sys.argv[1:])
