"""OpenAI Realtime from the provider's side."""

from .dialect import OpenAIDialect as OpenAIDialect
from .dialect import refuse as refuse
from .door import check as check
from .door import choose_subprotocol as choose_subprotocol
from .session import OpenAISession as OpenAISession
