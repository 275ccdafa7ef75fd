"""Makes `python -m realtime_facade.cli` the same as the installed command."""

from .main import app

app()
