"""The reference lists exactly what there is."""

import importlib.util
import re
from pathlib import Path

import pytest
import typer.main

import realtime_facade
from realtime_facade.cli.commands import app

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"


def test_all_is_sorted_and_every_name_exists():
    assert realtime_facade.__all__ == sorted(realtime_facade.__all__)
    assert [n for n in realtime_facade.__all__ if not hasattr(realtime_facade, n)] == []


def test_public_names_are_those_of_the_reference_and_of_its_examples():
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    prose = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    imported = {
        name.strip()
        for names in re.findall(r"^from realtime_facade import (\([^)]*\)|[^\n]*)", code, re.M)
        for name in names.strip("()").split(",")
        if name.strip()
    }
    public = set(realtime_facade.__all__)
    assert imported == public
    used = [name for name in public if len(re.findall(rf"\b{name}\b", code)) > 1]
    assert sorted(used) == sorted(public), "imported in the examples, but not used"
    listed = [name for name in public if re.search(rf"`{name}\b", prose)]
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize("kind", [realtime_facade.Session, realtime_facade.RealtimeVoice])
def test_every_method_of_a_conversation_is_in_the_reference(kind: type):
    page = (REFERENCE / "api.md").read_text(encoding="utf-8")
    section = page.split("## Conversations")[1].split("\n## ")[0]
    names = [name for name in dir(kind) if not name.startswith("_")]
    assert [name for name in names if not re.search(rf"`{name}\b", section)] == []


def test_every_option_is_in_the_command_line_reference():
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    missing = [
        f"{name} {option}"
        for name, command in group.commands.items()
        for parameter in command.params
        for option in parameter.opts
        if option not in page.split(f"## `realtime-facade {name}`")[1].split("\n## ")[0]
    ]
    assert not missing


def test_reference_tables_name_every_field():
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    page = (REFERENCE / "events.md").read_text(encoding="utf-8")
    built = hooks.on_page_markdown(page)
    section = built.split("### `Interrupted`")[1].split("###")[0]
    for field in realtime_facade.Interrupted.model_fields.keys() - {"type"}:
        assert f"| `{field}` |" in section
    assert "fields:" not in built
