"""Writes the reference tables into the built pages, from the classes themselves.

A line `<!-- fields: realtime_facade/events.py -->` becomes one section per public class of that
file: its docstring, and a table of its own fields with types, defaults and meanings.
"""

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_MARK = re.compile(r"^<!-- fields: (?P<file>\S+) -->$", re.MULTILINE)

_BOUNDS = re.compile(r"Annotated\[(\w+), Field\(([^)]*)\)\]")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return _MARK.sub(lambda mark: describe(ROOT / mark["file"]), markdown)


def describe(file: Path) -> str:
    """Markdown sections for the public classes of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return "\n\n".join(_section(node) for node in classes if not node.name.startswith("_"))


def _section(node: ast.ClassDef) -> str:
    parts = [f"### `{node.name}`", ast.get_docstring(node) or ""]
    rows = [
        _row(field, node.body[i + 1 : i + 2])
        for i, field in enumerate(node.body)
        if isinstance(field, ast.AnnAssign | ast.Assign) and not _hidden(field)
    ]
    if rows:
        head = ["| field | type | default | meaning |", "| --- | --- | --- | --- |"]
        parts.append("\n".join([*head, *rows]))
    return "\n\n".join(parts)


def _name(field: ast.AnnAssign | ast.Assign) -> str:
    return ast.unparse(field.target if isinstance(field, ast.AnnAssign) else field.targets[0])


def _hidden(field: ast.AnnAssign | ast.Assign) -> bool:
    name = _name(field)
    if isinstance(field, ast.AnnAssign) and ast.unparse(field.annotation).startswith("ClassVar"):
        return True
    return name in {"model_config", "type"} or name.startswith("_")


def _row(field: ast.AnnAssign | ast.Assign, after: list[ast.stmt]) -> str:
    kind = ast.unparse(field.annotation) if isinstance(field, ast.AnnAssign) else ""
    kind = _BOUNDS.sub(r"\1 (\2)", kind)
    default = ast.unparse(field.value) if field.value is not None else "required"
    if default.startswith("Field("):
        default = _default_of_field(field.value)
    meaning = ""
    if after and isinstance(after[0], ast.Expr) and isinstance(after[0].value, ast.Constant):
        meaning = " ".join(str(after[0].value.value).split())
    cells = [f"`{_name(field)}`", _code(kind), _code(default), meaning.replace("|", "\\|")]
    return "| " + " | ".join(cells) + " |"


def _default_of_field(call: ast.expr | None) -> str:
    assert isinstance(call, ast.Call)
    if call.args:
        return ast.unparse(call.args[0])
    for keyword in call.keywords:
        if keyword.arg == "default":
            return ast.unparse(keyword.value)
        if keyword.arg == "default_factory":
            return "computed" if "_" in ast.unparse(keyword.value) else "made anew"
    return "required"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""
