import json

import pytest
from typer.testing import CliRunner

from realtime_facade import available_providers
from realtime_facade.cli.commands import app


def test_programs_get_one_object_per_provider(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    result = CliRunner().invoke(app, ["providers", "--json"])
    assert result.exit_code == 0
    rows = {row["name"]: row for row in map(json.loads, result.output.splitlines())}
    assert list(rows) == available_providers()
    assert rows["gemini"]["configured"]
    assert not rows["openai"]["configured"]
    for row in rows.values():
        assert row["models"][:1] == ([row["default_model"]] if row["default_model"] else [])
        assert len(set(row["models"])) == len(row["models"])


def test_people_see_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a secret")
    result = CliRunner().invoke(app, ["providers"], env={"COLUMNS": "140"})
    assert result.exit_code == 0
    assert "set GEMINI_API_KEY or" in result.output
    assert "none needed" in result.output
    assert "a secret" not in result.output
