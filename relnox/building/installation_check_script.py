"""A script that checks installed packages, run by the Python (3.8 or newer) of the environment to verify.

It is run as `python -I installation_check_script.py REQUEST RESULT` with the paths of two files. The request is a
Python literal: {"modules": NAMES, "scripts": {NAME: "module:attribute"}, "root": DIR}, where nothing may be loaded
from DIR; or {"expression": TEXT}, to evaluate it. The result file gets one literal per line as the checks run, so
that it shows what was running if an import hangs or ends the interpreter.

`relnox.building.installation_checks` runs this script. Few modules are imported here, to keep start-up fast.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_CAUSES = 9
SITE_PACKAGES = [path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages")]


class ResultFile:
    """The file that gets the results of the checks; it is opened before any code of the checked packages runs."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._process = os.getpid()

    def write_line(self, **line: object) -> None:
        """Write the keyword arguments as a line, which is the literal of a dict.

        If an import forked this process, end the fork instead.
        """
        if os.getpid() != self._process:
            os._exit(0)
        os.write(self._file, (ascii(line) + "\n").encode())

    def write_failure(self, task: str, error: BaseException) -> None:
        """Write that a task, such as `import demo`, failed with an exception."""
        message = f": {error}" if str(error) else ""
        cause: BaseException | None = error
        for _ in range(_MAX_CAUSES):  # such as ImportError("install demo[cli]") from ModuleNotFoundError
            if cause is None or isinstance(cause, ModuleNotFoundError):
                break
            cause = cause.__cause__
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        self.write_line(
            failure=f"{task} fails: {type(error).__name__}{message}",
            missing_module=missing,
            location=find_error_location(error),
        )


def main(request_path: str, result_path: str) -> None:
    """Run the checks in a request file, and write their results to the result file."""
    with open(request_path, encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        request = eval(file.read())  # noqa: S307 - relnox wrote it
    result = ResultFile(result_path)
    sys.argv[:] = ["-c"]
    tasks: list[tuple[str, Callable[..., None], tuple[str, ...]]] = []
    tasks += [(f"import {name}", check_import, (name,)) for name in request.get("modules", ())]
    for name, target in request.get("scripts", {}).items():
        tasks.append((f"the script {name} ({target})", check_script, (name, target)))
    if "expression" in request:
        tasks.append((request["expression"], evaluate_expression, (request["expression"],)))
    for title, task, arguments in tasks:
        result.write_line(running=title)
        try:
            task(*arguments, result)
        except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
            result.write_failure(title, error)
    for name, location in modules_loaded_from(request.get("root")):
        result.write_line(failure=f"{name} is loaded from {location}, which is in the source tree")
    result.write_line(done=True)


def check_import(name: str, result: ResultFile) -> None:
    """Import a module; write its version, and a failure if it is loaded from outside site-packages.

    What the import raises is not caught.
    """
    module = import_module(name)
    version = getattr(module, "__version__", None)
    result.write_line(imported=name, version=version if isinstance(version, str) else None)
    for location in module_locations(module):
        if not any(is_inside(location, directory) for directory in SITE_PACKAGES):
            result.write_line(failure=f"import {name} loads {location}, which is outside of the environment")


def check_script(name: str, target: str, result: ResultFile) -> None:
    """Write whether the target of a script (`module:attribute`) is callable; raise if it does not exist."""
    module, _, attributes = target.partition(":")
    entry_point: object = import_module(module.strip())
    for attribute in filter(None, attributes.strip().split(".")):
        entry_point = getattr(entry_point, attribute)
    if callable(entry_point):
        result.write_line(script=name)
    else:
        result.write_line(failure=f"the script {name} calls {target}, which is not a function")


def evaluate_expression(expression: str, _: ResultFile) -> None:
    """Evaluate an expression after importing the modules that it names; raise its errors, except `SystemExit(0)`.

    The value does not matter, and nothing is written.
    """
    import ast

    names: dict[str, object] = {}
    for node in ast.walk(ast.parse(expression, mode="eval")):
        if name := dotted_name(node):
            import_if_module(name, names)
    try:
        eval(compile(expression, "<smoke>", "eval"), names)  # noqa: S307 - the project's own configuration
    except SystemExit as error:
        if error.code not in (None, 0):
            raise


def dotted_name(node: object) -> str:
    """Return the dotted name (`a.b.c`) that a node of a syntax tree stands for; empty for any other expression."""
    parent = dotted_name(node.value) if hasattr(node, "attr") and hasattr(node, "value") else ""
    return f"{parent}.{node.attr}" if parent and hasattr(node, "attr") else getattr(node, "id", "")


def import_if_module(name: str, names: dict[str, object]) -> None:
    """Import a module if there is one with this name, and add its top-level package to `names`, by name.

    Raise an error if an import in it fails.
    """
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        # Raised by the lookup of the name itself, or by an import inside of a module, which is a failure.
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        return
    root = name.partition(".")[0]
    names[root] = sys.modules[root]


def modules_loaded_from(directory: str | None) -> list[tuple[str, str]]:
    """Return the name and location of each imported module that is in a directory; empty if `directory` is None.

    A Python installation or environment inside the directory does not count.
    """
    return [
        (name, location)
        for name, module in sorted(sys.modules.items())
        for location in module_locations(module)
        if directory is not None
        and is_inside(location, directory)
        and not any(is_inside(location, prefix) for prefix in (sys.prefix, sys.base_prefix))
    ]


def module_locations(module: object) -> list[str]:
    """Return the file of a module, or the directories of a namespace package; empty if unknown."""
    try:
        file = getattr(module, "__file__", None)
        return (
            [file] if isinstance(file, str) else [str(directory) for directory in getattr(module, "__path__", ())]
        )
    except Exception:  # noqa: BLE001 - modules may be objects of any kind
        return []


def is_inside(location: str, directory: str) -> bool:
    """Return whether a path is in a directory; False for pseudo files such as `<frozen …>`."""
    parent = os.path.join(os.path.realpath(directory), "")  # noqa: PTH118 - as above
    return os.path.isabs(location) and os.path.realpath(location).startswith(parent)  # noqa: PTH117


def find_error_location(error: BaseException) -> str | None:
    """Return the innermost line of installed code in a traceback (`FILE, line N`, in site-packages), or None."""
    location, frame = None, error.__traceback__
    while frame is not None:
        name = frame.tb_frame.f_code.co_filename
        for directory in SITE_PACKAGES:
            if is_inside(name, directory):
                relative = os.path.relpath(os.path.realpath(name), os.path.realpath(directory))
                location = f"{relative}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return location


if __name__ == "__main__":
    main(*sys.argv[1:])
