"""Gemini Live, spoken over its own WebSocket protocol."""

from .provider import GeminiProvider

__all__ = ["GeminiProvider"]
