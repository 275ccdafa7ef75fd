"""A mind that asks a chat server, for answers that no rule has."""

import json
import logging
from collections.abc import Sequence
from typing import Any

from openai import AsyncOpenAI, OpenAIError

from ...tools.definition import ToolDefinition
from ..parts import Call, Entry, Message, Say, Step
from .chat_server import ChatServer

_logger = logging.getLogger(__name__)

_MANNER = (
    "You are heard, not read: answer in one or two short sentences, without lists, markup or "
    "emoji. The user's words come from speech recognition and may be wrong."
)
_FAILED = "I am sorry, I cannot think right now: {}."
_TIMEOUT_S = 30.0


class ChatMind:
    """Asks an OpenAI-compatible server; whatever goes wrong is said aloud and logged.

    Args:
        server: Whom to ask.
        timeout_s: For each request to it.
    """

    def __init__(self, server: ChatServer, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._model = server.model

    async def answer(
        self, conversation: Sequence[Entry], tools: Sequence[ToolDefinition], instructions: str
    ) -> Sequence[Step]:
        """The steps of the next response; see `Mind`."""
        messages = _messages(conversation, instructions)
        functions = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in tools
        ]
        try:
            return _steps(await self._ask(messages, functions))
        except OpenAIError as error:
            # The text of an HTTP error may quote the request, so only its kind is said.
            _logger.warning("the chat server failed: %s", type(error).__name__, exc_info=error)
            return [Say(_FAILED.format(_reason(error)))]
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            # The client does not check what it reads; a reply of another shape fails anywhere.
            _logger.warning("the chat server's reply made no sense", exc_info=error)
            return [Say(_FAILED.format("the chat server's reply made no sense"))]

    async def _ask(self, messages: list[Any], functions: list[Any]) -> Any:
        # A client per answer: nothing stays open when the session ends without notice.
        async with AsyncOpenAI(
            base_url=self._server.url,
            api_key=self._server.key or "none",
            timeout=self._timeout_s,
            max_retries=0,
        ) as client:
            if self._model is None:
                models = await client.models.list()
                self._model = models.data[0].id
            more: dict[str, Any] = {"tools": functions} if functions else {}
            return await client.chat.completions.create(
                model=self._model, messages=messages, **more
            )


def _messages(conversation: Sequence[Entry], instructions: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": f"{instructions}\n\n{_MANNER}".strip()}
    ]
    # Outputs that follow each other answer the calls of one message.
    calls: list[dict[str, Any]] | None = None
    for number, entry in enumerate(conversation):
        if isinstance(entry, Message):
            calls = None
            messages.append({"role": entry.role, "content": entry.text})
            continue
        if calls is None:
            calls = []
            messages.append({"role": "assistant", "content": None, "tool_calls": calls})
        call_id = f"call_{number}"
        function = {"name": entry.name, "arguments": json.dumps(entry.arguments)}
        calls.append({"id": call_id, "type": "function", "function": function})
        messages.append({"role": "tool", "tool_call_id": call_id, "content": entry.output})
    return messages


def _steps(completion: Any) -> list[Step]:
    message = completion.choices[0].message
    steps: list[Step] = []
    if message.content:
        steps.append(Say(str(message.content).strip()))
    for call in message.tool_calls or ():
        arguments = json.loads(call.function.arguments or "{}")
        if not isinstance(arguments, dict):
            raise TypeError("the arguments of a call are not an object")
        steps.append(Call(str(call.function.name), arguments))
    return steps or [Say(_FAILED.format("the chat server had no answer"))]


def _reason(error: OpenAIError) -> str:
    status = getattr(error, "status_code", None)
    if status in (401, 403):
        return "the chat server refused the key"
    if status:
        return f"the chat server answered with status {status}"
    return "the chat server cannot be reached"
