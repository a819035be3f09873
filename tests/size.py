"""What the house weighs: lines and modules of each room, exceptions from the linter, circles (``make size``)."""

import ast
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = "flows", "tasks", "sepcore"


def python_files(folder: Path) -> list[Path]:
    """The Python files of a folder, at any depth."""
    return sorted(folder.rglob("*.py"))


def room(file: Path) -> str:
    """The folder of a layer that a file lies in, or the layer itself."""
    parts = file.relative_to(ROOT).parts
    return "/".join(parts[:2]) if len(parts) > 2 else parts[0]


def exceptions() -> Counter[str]:
    """How often each rule of the linter is switched off."""
    found: Counter[str] = Counter()
    for layer in LAYERS:
        for file in python_files(ROOT / layer):
            for rules in re.findall(r"# noqa: ([A-Z0-9, ]+)", file.read_text("utf-8")):
                found.update(rule.strip() for rule in rules.split(",") if rule.strip())
    return found


def imports() -> dict[str, set[str]]:
    """Which modules of the product each module imports, inside of functions too."""
    names = {module_name(file) for layer in LAYERS for file in python_files(ROOT / layer)}
    found: dict[str, set[str]] = {}
    for layer in LAYERS:
        for file in python_files(ROOT / layer):
            wanted = set()
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    wanted |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            found[module_name(file)] = (wanted & names) - {module_name(file)}
    return found


def module_name(file: Path) -> str:
    """As Python imports it."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others."""
    reach = {name: _reachable(name, graph) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def _reachable(name: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        if (one := waiting.pop()) not in seen:
            seen.add(one)
            waiting += graph[one]
    return seen


def report() -> list[str]:
    """All of it, a line each."""
    lines: list[str] = []
    total_lines = total_modules = 0
    for layer in (*LAYERS, "tests"):
        files = python_files(ROOT / layer)
        rooms = Counter(room(file) for file in files)
        weights: Counter[str] = Counter()
        for file in files:
            weights[room(file)] += len(file.read_text("utf-8").splitlines())
        lines += [f"{name:28} {weights[name]:7} lines {rooms[name]:4} modules" for name in sorted(rooms)]
        lines.append(f"{layer:28} {sum(weights.values()):7} lines {sum(rooms.values()):4} modules in all")
        if layer != "tests":
            total_lines, total_modules = total_lines + sum(weights.values()), total_modules + len(files)
    found = exceptions()
    rules = ", ".join(f"{rule} {number}" for rule, number in found.most_common()) or "none"
    groups = circles(imports())
    lines.append(f"{'product':28} {total_lines:7} lines {total_modules:4} modules")
    lines.append(f"exceptions from the linter: {rules}")
    lines.append(f"circles: {'; '.join(' - '.join(group) for group in groups) or 'none'}")
    lines.append(f"README: {len((ROOT / 'README.md').read_bytes())} bytes")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
