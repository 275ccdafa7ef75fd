"""Gemini Live (Developer API) from the provider's side."""

from .dialect import GeminiDialect as GeminiDialect
from .dialect import refuse as refuse
from .door import GeminiService as GeminiService
from .door import check as check
from .session import GeminiSession as GeminiSession
