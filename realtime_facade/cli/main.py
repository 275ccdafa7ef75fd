"""Where the installed command starts; says what to install when the `cli` extra is missing."""

import sys

from ..errors import MissingExtra

_EXTRA = {"click", "rich", "typer"}


def app() -> None:
    """Run the command line in `sys.argv`; always ends with `SystemExit`."""
    try:
        from .commands import app as commands
    except ModuleNotFoundError as missing:
        if missing.name not in _EXTRA:
            raise
        advice = MissingExtra("The realtime-facade command", "cli", missing.name)
        sys.stderr.write(f"{advice}\n")
        raise SystemExit(1) from None
    commands()
