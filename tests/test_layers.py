"""The house stands as CONTRIBUTING.md draws it: imports point down, and no files form a circle.

Every import counts, those inside functions and under TYPE_CHECKING too, and modules named in
strings: what a file names, it depends on.
"""

import ast
import re
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from rvec_merge import __file__ as here

PACKAGE = Path(here).parent
ONLY_IN = {"click": {"cli"}, "rich": {"cli"}, "lm_eval": {"experiment", "tasks"}}


def floors() -> list[list[str]]:
    """The rooms that CONTRIBUTING.md draws, floor by floor, from the top."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (drawn,) = re.findall(r"^```\n(cli/.*?)^```", text, re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^((?:\w+(?:/|\.py) +)+)", drawn, re.MULTILINE)
    return [re.findall(r"(\w+)(?:/|\.py)", head) for head in heads]


def modules() -> dict[str, Path]:
    """Every module by its name below ``rvec_merge``; a package is its ``__init__``."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = path
    return found


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The package's modules that a file names, in a string too."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                whole = f"{source}.{alias.name}"
                is_module = whole.removeprefix("rvec_merge.") in known
                named.add(whole if is_module else source)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.add(node.value)
    ours = {name.removeprefix("rvec_merge.") for name in named if name.startswith("rvec_merge.")}
    return ours & known.keys()


def edges() -> set[tuple[str, str]]:
    known = modules()
    return {
        (name, other)
        for name, path in known.items()
        for other in imports(path, known)
        if other != name
    }


def test_every_room_has_one_floor_and_no_file_is_long() -> None:
    drawn = [room for floor in floors() for room in floor]
    known = modules()
    assert sorted(drawn) == sorted({name.split(".")[0] for name in known if name})
    lines = {name: path.read_text(encoding="utf-8").count("\n") for name, path in known.items()}
    assert [f"{name}: {count}" for name, count in lines.items() if count > 300] == []
    rooms = Counter[str]()
    for name, count in lines.items():
        rooms[name.split(".")[0]] += count
    assert max(rooms.values()) <= 0.13 * sum(rooms.values()), rooms.most_common(3)


def test_no_function_is_long_and_what_is_public_says_what_it_does() -> None:
    long, public, silent = [], 0, []
    for name, path in modules().items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
                told = node.body[0] if ast.get_docstring(node) else None
                count = node.end_lineno - node.lineno + 1
                count -= 0 if told is None else (told.end_lineno or 0) - told.lineno + 1
                long += [f"{name}.{node.name}: {count}"] if count > 60 else []
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
                public += 1
                silent += [] if ast.get_docstring(node) else [f"{name}.{node.name}"]
    assert long == []
    assert len(silent) <= 0.1 * public, silent


def test_imports_point_down() -> None:
    height = {room: -n for n, floor in enumerate(floors()) for room in floor}
    up = {
        (one, other)
        for one, other in edges()
        if (a := one.split(".")[0]) != (b := other.split(".")[0]) and one and height[b] >= height[a]
    }
    assert up == set()


def test_no_room_imports_the_face_of_the_package() -> None:
    known = modules()
    found = {
        name
        for name, path in known.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Import) and "rvec_merge" in {a.name for a in node.names})
        or (
            isinstance(node, ast.ImportFrom)
            and (node.module == "rvec_merge" and not node.level)
            and any(alias.name not in known for alias in node.names)
        )
    }
    assert found == set()


def test_no_files_form_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in edges():
        graph.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle: {' -> '.join(error.args[1][::-1])}") from None


@pytest.mark.parametrize(("package", "rooms"), ONLY_IN.items())
def test_a_package_is_imported_in_its_rooms_alone(package: str, rooms: set[str]) -> None:
    pattern = rf"^\s*(?:import|from) {package}\b"
    found = {
        name.split(".")[0]
        for name, path in modules().items()
        if re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert found == rooms


def test_no_room_needs_the_packages_face() -> None:
    """But for the name of the checks of a stock run, which stand above the plugin's room."""
    pattern = re.compile(r"^\s*(?:from rvec_merge import|import rvec_merge$)", re.MULTILINE)
    found = {n for n, path in modules().items() if n and pattern.search(path.read_text("utf-8"))}
    assert found == {"mergekit_plugin.stock_run"}
