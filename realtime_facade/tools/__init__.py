"""Functions that a model may call."""

from .context import ToolContext

__all__ = ["ToolContext"]
