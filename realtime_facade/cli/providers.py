"""Lists what can be talked with, and what is missing for it."""

import json
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from ..providers.base import Provider
from ..providers.registry import available_providers, provider_class


def list_providers(*, as_json: bool, write: Callable[[str], None], console: Console) -> None:
    """Write one line per provider: as JSON to `write`, or as a table to `console`.

    Raises:
        ConfigurationError: If a registered provider cannot be loaded.
    """
    rows = [_row(name, provider_class(name)) for name in available_providers()]
    if as_json:
        for row in rows:
            write(json.dumps(row))
        return
    table = Table("Provider", "Key", Column("Models, default first", overflow="fold"), "Voices")
    for row in rows:
        table.add_row(
            row["name"],
            _key(row),
            "\n".join(row["models"]) or "any",
            ", ".join(row["voices"]) or "any",
        )
    console.print(table)


def _row(name: str, provider: type[Provider]) -> dict[str, Any]:
    default = provider.default_model
    return {
        "name": name,
        "configured": provider.is_configured(),
        "env_keys": list(provider.env_keys),
        "default_model": default,
        "models": list(dict.fromkeys(filter(None, [default, *provider.list_models()]))),
        "voices": provider.list_voices(),
    }


def _key(row: dict[str, Any]) -> str:
    if not row["env_keys"]:
        return "[green]none needed[/]"
    if row["configured"]:
        return "[green]set[/]"
    return f"[yellow]set {' or '.join(row['env_keys'])}[/]"
