"""The layering rule of the house, read from the imports of every file."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# The stages of the job, highest first: a room imports from its own stage and from those behind it.
STAGES = [
    {"release"},
    {"evaluation"},
    {"training"},
    {"dataset"},
    {"batch"},
    {"separator"},
    {"stem_files", "wiener_stream", "shifts", "separator_settings"},
    {"export"},
    {"engines"},
    {"provider"},
    {"networks"},
    {"page"},
    {"signal"},
    {
        "config",
        "config_file",
        "config_network",
        "config_separation",
        "config_dataset",
        "config_training",
        "config_table",
        "cores",
        "ordered_map",
        "prefetch",
        "output_folder",
        "printable",
        "errors",
        "system_errors",
        "atomic",
        "file_lock",
        "retries",
        "archive_reader",
        "foreign",
        "urls",
    },
]
STAGE_OF = {room: number for number, rooms in enumerate(STAGES) for room in rooms}


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement that runs: those under ``if TYPE_CHECKING`` do not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from statements(child)


def imported_modules(file: Path) -> set[str]:
    modules = set()
    for node in statements(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            # A name may be a module itself: `from sepcore import errors`.
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


def room_of(module: str) -> str | None:
    """The room of sepcore that a module name leads into; None for other packages and for sepcore's own names."""
    parts = module.split(".")
    return parts[1] if parts[0] == "sepcore" and len(parts) > 1 and parts[1] in STAGE_OF else None


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", python_files("sepcore"), ids=name_of)
def test_a_room_of_the_library_imports_only_from_those_below_it(file):
    room = file.relative_to(ROOT / "sepcore").parts[0].removesuffix(".py")
    if room == "__init__":
        return  # the library's front door opens on every room
    assert room in STAGE_OF, f"{room} has no place in the order of the rooms yet"
    upward = {
        module
        for module in imported_modules(file)
        if (other := room_of(module)) is not None and STAGE_OF[other] < STAGE_OF[room]
    }
    assert not upward, f"{name_of(file)} imports from above: {sorted(upward)}"


@pytest.mark.parametrize(
    ("folder", "banned"),
    [
        ("sepcore", {"prefect", "mlflow", "tasks", "flows", "tests"}),
        ("tasks", {"flows", "tests"}),
        ("flows", {"tests"}),
    ],
)
def test_a_layer_does_not_know_those_above_it(folder, banned):
    found = {
        name_of(file): sorted(module for module in imported_modules(file) if module.split(".")[0] in banned)
        for file in python_files(folder)
    }
    assert not {file: modules for file, modules in found.items() if modules}


def test_type_checking_imports_do_not_count_and_those_inside_functions_do(tmp_path):
    file = tmp_path / "sample.py"
    file.write_text("if TYPE_CHECKING:\n    import above\n\ndef f():\n    from sepcore import errors\n")
    assert imported_modules(file) == {"sepcore", "sepcore.errors"}
