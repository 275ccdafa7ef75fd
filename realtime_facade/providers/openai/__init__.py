"""OpenAI's Realtime API, and servers that speak its protocol."""

from .provider import OpenAIProvider

__all__ = ["OpenAIProvider"]
