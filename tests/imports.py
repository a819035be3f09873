"""What is imported when a module of the product is loaded, told from its code: not what its functions import later."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.repository import ROOT

OWN = "flows", "tasks", "sepcore"


def imported_on_load(module: str) -> set[str]:
    """The modules that a module imports when it is loaded, each with what may be a module or a name in it."""
    file = _file_of(module)
    names = set()
    for node in _run_on_load(ast.parse(file.read_text("utf-8")).body) if file else ():
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages_on_load(module: str) -> set[str]:
    """The packages of others that are imported when a module is loaded, by it or by what it imports."""
    seen: set[str] = set()
    found, left = set(), [module]
    while left:
        name = left.pop()
        if name.partition(".")[0] not in OWN:
            found.add(name.partition(".")[0])
        elif name not in seen:
            seen.add(name)
            left += imported_on_load(name)
            left += [name.rpartition(".")[0]] if "." in name else []
    return found


def _file_of(module: str) -> Path | None:
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _run_on_load(statements: Iterable[ast.AST]) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _run_on_load(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _run_on_load(ast.iter_child_nodes(node))
