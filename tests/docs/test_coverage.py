"""The page about coverage says what is true: every name, test and page that it names exists."""

import ast
import dataclasses
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main
from pydantic import BaseModel

import realtime_facade
from realtime_facade.cli.commands import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "coverage.md"
PROMISES = ROOT.parent / "shared" / "seeds" / "INVENTORY.md"

_ROW = re.compile(r"^\| (?P<id>\d{3}-\w+) \|(?P<cells>.*)\|$", re.MULTILINE)
_ID = re.compile(r"^\| (\d{3}-\w+) \|", re.MULTILINE)


class Row(NamedTuple):
    id: str
    promise: str
    name: str
    test: str
    page: str

    @property
    def is_kept(self) -> bool:
        return not self.name.startswith("not yet: ")


def read_rows(text: str) -> list[Row]:
    return [
        Row(match["id"], *[cell.strip() for cell in match["cells"].split("|")])
        for match in _ROW.finditer(text)
    ]


TEXT = PAGE.read_text(encoding="utf-8")
ROWS = read_rows(TEXT)
KEPT = [row for row in ROWS if row.is_kept]


def test_every_promise_has_one_row():
    ids = [row.id for row in ROWS]
    assert len(ids) == len(set(ids))
    if PROMISES.exists():
        assert ids == _ID.findall(PROMISES.read_text(encoding="utf-8"))
    for document in range(5):
        numbers = [i.split("-")[1] for i in ids if i.startswith(f"{document:03}")]
        plain = [number for number in numbers if number.isdecimal()]
        assert plain == [f"{n:02}" for n in range(1, len(plain) + 1)]
        assert numbers[len(plain) :] in ([], ["x1"])


def test_the_counts_are_right():
    missing = len(ROWS) - len(KEPT)
    total = f"{len(KEPT)} of {len(ROWS)} promises are kept, {missing} are not yet."
    assert total in TEXT
    for number, section in enumerate(TEXT.split("\n## ")[1:]):
        rows = read_rows(section)
        assert {row.id[:3] for row in rows} == {f"{number:03}"}
        assert f"\n{sum(row.is_kept for row in rows)} of {len(rows)} kept.\n" in section


def test_a_row_is_complete_or_says_not_yet():
    for row in ROWS:
        assert row.promise, row.id
        if row.is_kept:
            assert row.name, row.id
            assert row.test, row.id
            assert row.page, row.id
        else:
            assert (row.test, row.page) == ("", ""), row.id


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row.id)
def test_what_keeps_a_promise_exists(row: Row):
    names = re.findall(r"`([^`]+)`", row.name)
    assert names
    for name in names:
        check_name(name)
    check_test(row.test.strip("`"))
    link = re.fullmatch(r"\[[^\]]+\]\((?P<file>[^)#]+)(#(?P<anchor>[^)]+))?\)", row.page)
    assert link is not None, row.page
    check_page(PAGE.parent / link["file"], link["anchor"])


def check_name(name: str) -> None:
    if name.startswith("["):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert name.strip("[]") in project["optional-dependencies"], name
    elif name.startswith("realtime-facade "):
        check_command(name.split()[1:])
    elif re.fullmatch(r"[A-Z]+(_[A-Z]+)+", name):
        page = (PAGE.parent / "environment.md").read_text(encoding="utf-8")
        assert f"`{name}`" in page, name
    elif call := re.fullmatch(r"(?P<function>[\w.]+)\((?P<parameter>\w+)=\)", name):
        function = resolve(call["function"])
        assert call["parameter"] in inspect.signature(function).parameters, name
    else:
        resolve(name)


def check_command(words: list[str]) -> None:
    group = typer.main.get_command(app)
    command = group if words[0].startswith("-") else group.commands[words[0]]
    options = {option for parameter in command.params for option in parameter.opts}
    assert set(words) & options or words[-1] == "--help", words


def resolve(path: str) -> object:
    """What a dotted path below the package leads to; for a field, the type that has it."""
    first, *rest = path.split(".")
    if first in realtime_facade.__all__:
        value = getattr(realtime_facade, first)
    else:
        value = importlib.import_module(f"realtime_facade.{first}")
    for name in rest:
        if inspect.ismodule(value) and not hasattr(value, name):
            value = importlib.import_module(f"{value.__name__}.{name}")
        elif name in fields(value):
            return value
        else:
            value = getattr(value, name)
    return value


def fields(value: object) -> set[str]:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return set(value.model_fields)
    if isinstance(value, type) and dataclasses.is_dataclass(value):
        return {field.name for field in dataclasses.fields(value)}
    return set()


def check_test(path: str) -> None:
    file, _, name = path.partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    found = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    ]
    assert name in found, path


def check_page(file: Path, anchor: str | None) -> None:
    text = file.read_text(encoding="utf-8")
    if anchor is not None:
        prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
        headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
        assert anchor in [slug(heading) for heading in headings], f"{file.name}#{anchor}"


def slug(heading: str) -> str:
    """The anchor that MkDocs makes of a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


@pytest.mark.parametrize(
    "name",
    ["Nothing", "RealtimeAgent.nothing", "RealtimeAgent(nothing=)", "[nothing]", "NO_SUCH_KEY"],
)
def test_a_name_that_is_not_there_is_noticed(name: str):
    with pytest.raises((AssertionError, AttributeError, ModuleNotFoundError)):
        check_name(name)


def test_a_test_or_a_page_that_is_not_there_is_noticed():
    with pytest.raises(AssertionError):
        check_test("docs/test_coverage.py::test_nothing")
    with pytest.raises(AssertionError):
        check_page(PAGE, "nothing")
    check_test("docs/test_coverage.py::test_the_counts_are_right")
    check_page(PAGE.parent.parent / "howto" / "agent.md", "while-it-runs")
