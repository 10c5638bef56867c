"""The shape of the source tree, as the design draws it; every rule holds for every file.

What a layer may import stands in one table. What is written here is about the text of the
modules: nothing is imported.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LIMIT, FUNCTION_LIMIT = 300, 50

LOWEST = {"errors", "refusals", "connection_settings", "config", "parsing", "logs", "ids", "core"}
LOWEST |= {"turns", "pulse", "scheduling", "sizes"}
BELOW_RUNTIME = LOWEST | {"store", "adapters"}
BELOW_SERVICES = BELOW_RUNTIME | {"periodic", "runtime"}
BELOW_API = BELOW_SERVICES | {"services"}

# Beside its own layer.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "refusals": {"errors"},
    "sizes": set(),
    "parsing": {"errors", "core", "sizes"},
    "connection_settings": {"parsing", "sizes"},
    "config": {"errors", "parsing", "sizes", "connection_settings", "core"},
    "logs": set(),
    "ids": set(),
    "pulse": set(),
    "turns": {"errors", "core"},
    "core": {"errors", "refusals"},
    "scheduling": {"errors", "core"},
    "front": {"errors", "refusals", "core"},
    "simulation": LOWEST,
    "embedded": LOWEST - {"core", "scheduling"} | {"listen", "procfile", "tree"},
    "store": LOWEST,
    "adapters": LOWEST,
    "periodic": {"errors"},
    "runtime": BELOW_RUNTIME,
    "services": BELOW_SERVICES,
    "worker": BELOW_SERVICES | {"services"},
    "api": BELOW_API | {"version"},
    "celery_app": BELOW_API | {"worker"},
    "version": set(),
    "tree": set(),
    "procfile": {"errors"},
    "client": {"version"},
    "cli": {"client", "core"},
    # Entry points: each is a process, nobody imports them.
    "serving": {"config", "parsing", "front"},
    "wsgi": BELOW_API | {"api"},
    "listen": {"core"},
    "policy": {"cli", "client"},
    "commands": BELOW_API | {"simulation", "listen", "procfile", "tree"},
    "__main__": {"errors", "version"},  # it loads one command's module, whichever is given
    "migrations": {"errors", "config", "parsing", "store"},
}

# Clocks, chance, network, database, threads: what a rule never touches.
OUTSIDE = {
    "asyncio", "celery", "flask", "gevent", "kombu", "logging", "os", "psycopg", "random",
    "requests", "select", "socket", "sqlalchemy", "subprocess", "threading", "time", "urllib3",
}  # fmt: skip

SEES_ENVIRONMENT = {"config", "serving", "embedded", "migrations", "cli", "celery_app"}

IGNORE = re.compile(r"#\s*(type:\s*ignore|noqa)(?P<codes>\[[\w, -]+\]|:\s*[A-Z]+\d+[A-Z\d, ]*)?")


@cache
def sources(*packages: str) -> dict[str, Path]:
    """Every module of these packages: its dotted name and its file."""
    files = (path for package in packages for path in sorted((ROOT / package).rglob("*.py")))
    return {_module_name(path): path for path in files}


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def product() -> dict[str, Path]:
    return sources("foreman", "celery_app", "migrations")


def pure() -> dict[str, Path]:
    """The modules that decide and do nothing else."""
    worker = sources("foreman/worker")
    decides = {f"foreman.worker.{name}" for name in ("state", "events", "effects", "step")}
    pure_worker = {
        name: path
        for name, path in worker.items()
        if name in decides or name.startswith("foreman.worker.steps")
    }
    return sources("foreman/core", "foreman/scheduling") | pure_worker


def whole_tree() -> dict[str, Path]:
    return sources("foreman", "celery_app", "migrations", "tests")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def layer_of(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "foreman" and rest else first


def imports(path: Path) -> Iterator[tuple[str, str, int]]:
    """What a file imports: module, name ("" for the module itself), line."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or ".", alias.name, node.lineno) for alias in node.names)


def own_imports() -> Iterator[tuple[str, str, str]]:
    """Every import of the product by the product: importer, imported module, place."""
    modules = product()
    for importer, path in modules.items():
        for module, name, line in imports(path):
            full = f"{module}.{name}"
            imported = full if full in modules else module
            if imported.split(".")[0] in ("foreman", "celery_app", "migrations"):
                yield importer, imported, f"{path.relative_to(ROOT)}:{line}"


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_every_module_has_a_place_in_the_layers() -> None:
    layers = {layer_of(module) for module in product()}

    assert layers - {"foreman"} <= set(MAY_IMPORT)


def test_imports_only_go_down() -> None:
    wrong = [
        f"{place} {importer} imports {imported}"
        for importer, imported, place in own_imports()
        if layer_of(imported) != layer_of(importer)
        and layer_of(imported) not in MAY_IMPORT.get(layer_of(importer), set())
    ]

    assert wrong == []


def test_no_module_imports_itself_by_a_detour() -> None:
    graph: dict[str, set[str]] = {}
    for importer, imported, _ in own_imports():
        graph.setdefault(importer, set()).add(imported)

    TopologicalSorter(graph).prepare()  # CycleError names the circle


def test_what_is_imported_from_a_package_of_ours_is_a_module_of_it() -> None:
    modules = whole_tree()
    wrong = [
        f"{path.relative_to(ROOT)}:{line} from {module} import {name}"
        for path in modules.values()
        for module, name, line in imports(path)
        if module == "foreman" and name and f"{module}.{name}" not in modules
    ]

    assert wrong == []


def test_no_import_is_relative() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in whole_tree().values()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert wrong == []


def test_no_import_hides_in_a_function_or_behind_type_checking() -> None:
    inside = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in product().values()
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    behind = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in product().values()
        for module, name, line in imports(path)
        if (module, name) == ("typing", "TYPE_CHECKING")
    ]

    assert inside + behind == []


def test_what_begins_with_an_underscore_stays_in_its_module() -> None:
    modules = whole_tree()
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {module}.{name}"
        for path in modules.values()
        for module, name, line in imports(path)
        if module in modules and re.match(r"_(?!_)", name)
    ]

    assert wrong == []


def test_rules_touch_no_clock_network_or_database() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {module}"
        for path in pure().values()
        for module, _, line in imports(path)
        if module.split(".")[0] in OUTSIDE
    ]

    assert wrong == []


def test_the_only_sql_is_in_the_store() -> None:
    importers = {
        layer_of(importer)
        for importer, path in product().items()
        for module, _, _ in imports(path)
        if module.split(".")[0] == "sqlalchemy"
    }

    assert importers <= {"store", "migrations"}


def test_only_entry_points_see_the_environment() -> None:
    readers = {
        layer_of(module)
        for module, path in product().items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
        if isinstance(node.value, ast.Name) and node.value.id == "os"
    }

    assert readers <= SEES_ENVIRONMENT


def test_no_file_has_more_lines_than_the_limit() -> None:
    sizes = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for path in sources("foreman", "celery_app").values()
    }

    assert {path: size for path, size in sizes.items() if size > FILE_LIMIT} == {}


def test_no_function_has_more_lines_than_the_limit() -> None:
    # Not migrations: a table's definition is one statement, however many columns it has.
    sizes = {
        f"{path.relative_to(ROOT)}:{node.lineno}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources("foreman", "celery_app").values()
        for node in functions(path)
    }

    assert {place: size for place, size in sizes.items() if size > FUNCTION_LIMIT} == {}


def test_every_silenced_check_names_its_code_and_its_reason() -> None:
    wrong = []
    for path in whole_tree().values():
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            found = IGNORE.match(token.string) if token.type == tokenize.COMMENT else None
            rest = token.string[found.end() :] if found else ""
            if found and not (found["codes"] and re.search(r"#\s*\w", rest)):
                wrong.append(f"{path.relative_to(ROOT)}:{token.start[0]}")

    assert wrong == []
