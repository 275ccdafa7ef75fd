"""A conversation that goes on where it was left: python examples/continue_later.py "And then?"

It keeps itself in conversation.json. Needs OPENAI_API_KEY or GEMINI_API_KEY.
"""

import asyncio
import sys
from pathlib import Path

from realtime_facade import (
    ConversationHistory,
    ConversationSeed,
    RealtimeConfig,
    RealtimeVoice,
    TurnEnded,
)

FILE = Path("conversation.json")


async def talk(earlier: ConversationHistory, words: str) -> ConversationHistory:
    config = RealtimeConfig(
        instructions="Be brief.", conversation_seed=ConversationSeed.from_history(earlier)
    )
    async with RealtimeVoice(config=config).connect() as session:
        events = session.events()
        await session.send_text(words)
        async for event in events:
            if isinstance(event, TurnEnded):
                break
    return session.history


history = ConversationHistory.load(FILE) if FILE.exists() else ConversationHistory()
history = asyncio.run(talk(history, " ".join(sys.argv[1:]) or "Hello!"))
history.save(FILE)
print(history.format())
