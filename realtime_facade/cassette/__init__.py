"""Recorded sessions: read them, run them through the codec again, or let them answer."""

from .cassette import Cassette
from .provider import CassetteProvider

__all__ = ["Cassette", "CassetteProvider"]
