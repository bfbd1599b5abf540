"""A test of a defence says what the defence is, so that `python -m tests.mutants` can take it out and see it fail."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Edit:
    """A change to one file of the product: `old`, found exactly once, becomes `new`."""

    file: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Change the file below `root`.

        Raises:
            ValueError: `old` is not there, or more than once.
        """
        place = root / self.file
        text = place.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: found {text.count(self.old)} times: {self.old!r}")
        place.write_text(text.replace(self.old, self.new))


def defence(*edits: tuple[str, str, str]) -> pytest.MarkDecorator:
    """Marks a test with the edits (file, old, new) that take its defence out; with them it must fail.

    Several of these on one test are several ways to break it. Files are named from the project's root, and all is
    written as literals or constants of the module: it is read without running the tests.
    """
    return pytest.mark.defence(*(Edit(*edit) for edit in edits))


@dataclass(frozen=True)
class Marked:
    """A test function as its source tells of it."""

    node: str
    name: str
    defences: tuple[tuple[Edit, ...], ...]
    options: tuple[str, ...]


def every_test() -> Iterator[Marked]:
    """All tests of the project."""
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        tree = ast.parse(file.read_text())
        known = _Constants(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                calls = [c for d in node.decorator_list for c in ast.walk(d) if isinstance(c, ast.Call)]
                yield Marked(
                    f"{file.relative_to(ROOT)}::{node.name}",
                    node.name,
                    tuple(tuple(Edit(*known.value(a)) for a in c.args) for c in calls if _called(c) == "defence"),
                    tuple(known.value(c.args[0]) for c in calls if _called(c) == "option"),
                )


class _Constants(ast.NodeTransformer):
    """The literals that a module gives names to."""

    def __init__(self, tree: ast.Module) -> None:
        self._known: dict[str, ast.expr] = {}
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._known[node.targets[0].id] = node.value

    def value(self, node: ast.expr) -> Any:
        """What an expression of literals and such names comes to."""
        return ast.literal_eval(self.visit(copy.deepcopy(node)))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._known.get(node.id, node)


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]
