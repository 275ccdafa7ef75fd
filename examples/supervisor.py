"""Let a supervisor do long work behind the voice: it looks, asks the user, and books.

python examples/supervisor.py "I would like a table, please." "By the window."

`Clerk` stands for a text model, so that this runs without one; with a key, take
`ChatOpenAI(model="gpt-4o-mini")` instead.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

from realtime_facade import (
    ChatMessage,
    ChatToolCall,
    RealtimeConfig,
    RealtimeVoice,
    Supervisor,
    SupervisorAsked,
    SupervisorFinished,
    SupervisorStarted,
    ToolDefinition,
    Tools,
    TurnEnded,
)

tools = Tools()


@tools.action("Find free tables")
async def find_tables() -> list[str]:
    await asyncio.sleep(0.2)  # as a real service would take its time
    return ["by the window", "by the door"]


@tools.action("Book a table")
async def book_table(table: str) -> str:
    return f"booked {table}"


class Clerk:
    """Does what a text model would do, by rule."""

    async def reply(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> ChatMessage:
        outputs = [message.text for message in messages if message.role == "tool"]
        match outputs:
            case []:
                return call("find_tables")
            case [found]:
                return call("clarify", question=f"Which of these: {', '.join(json.loads(found))}?")
            case [_, answer]:
                return call("book_table", table=answer)
            case _:
                return call("done", result=f"It is done: {outputs[-1]}.")


def call(name: str, **arguments: str) -> ChatMessage:
    return ChatMessage("assistant", tool_calls=(ChatToolCall("1", name, json.dumps(arguments)),))


async def main(sentences: list[str]) -> None:
    supervisor = Supervisor(
        description="Books restaurant tables on behalf of the user.",
        instructions="Find the tables, ask which one, and book it.",
        llm=Clerk(),
        tools=tools,
        holding_instruction="I am looking for a table, just a moment.",
    )
    voice = RealtimeVoice(config=RealtimeConfig(tools=[supervisor]))

    @voice.on(SupervisorStarted, SupervisorAsked, SupervisorFinished)
    async def log(event: SupervisorStarted | SupervisorAsked | SupervisorFinished) -> None:
        print(event)

    async with voice.connect() as session:
        for sentence in sentences:
            events = session.events()
            await session.send_text(sentence)
            async for event in events:
                if isinstance(event, TurnEnded):
                    break
    print(session.history.format())


asyncio.run(main(sys.argv[1:]))
