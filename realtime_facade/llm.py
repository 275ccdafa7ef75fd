"""Asks a text model for its next step: an answer in words, or tools to be called."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from .errors import ConfigurationError, MissingExtra, RealtimeConnectionError, RealtimeError
from .providers.openai.faults import clean, explain_refusal
from .redaction import Redactor
from .tools.definition import ToolDefinition

if TYPE_CHECKING:
    from openai import APIStatusError


@dataclass(frozen=True, slots=True)
class ChatToolCall:
    """A tool that the model wants to be run."""

    call_id: str
    function_name: str
    arguments: str
    """As the model wrote them: JSON, if it made no mistake."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One entry of the conversation with a text model."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ChatToolCall, ...] = ()
    """Of the assistant: what it wants to be run."""
    call_id: str = ""
    """Of a tool: the call whose output `text` is."""


@runtime_checkable
class ChatModel(Protocol):
    """A text model that can call tools."""

    async def reply(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> ChatMessage:
        """The assistant's next message. Cancelling the call gives the request up.

        Raises:
            RealtimeError: If there is none: the model cannot be reached, or refuses.
        """
        ...


class ChatOpenAI:
    """A model behind OpenAI's chat completions, there or at a compatible server (extra `openai`).

    Args:
        model: Its name.
        base_url: Of a compatible server; None: `OPENAI_BASE_URL`, else OpenAI.
        api_key: None: `OPENAI_API_KEY`. With a `base_url` it may be missing.
        timeout_s: For each attempt.
        max_retries: After a lost connection, a rate limit or a server's failure, with growing
            pauses.
        options: Further fields of the request, such as `{"temperature": 0}`.

    One object may be used by several conversations at once. It holds no connection between two
    requests, so there is nothing to close.

    Raises:
        MissingExtra: If the package `openai` is not installed.
        ConfigurationError: If there is no key.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        max_retries: int = 2,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtra("ChatOpenAI", "openai", "openai") from error
        self.model = model
        self._options = dict(options or {})
        try:
            client = openai.AsyncOpenAI(
                base_url=base_url,
                api_key=api_key or os.environ.get("OPENAI_API_KEY") or (base_url and "none"),
                timeout=timeout_s,
                max_retries=max_retries,
                # A client of our own, which makes no task to close itself with when it is
                # collected; and no idle connection may outlive the conversation.
                http_client=openai.DefaultAsyncHttpxClient(headers={"Connection": "close"}),
            )
        except openai.OpenAIError as error:
            raise ConfigurationError(
                f"no key for the chat model {model!r}",
                cause="authentication",
                advice="set OPENAI_API_KEY, or pass api_key=",
            ) from error
        self._redactor = Redactor([client.api_key])
        # Looked up here, because it loads a part of the SDK: a running conversation would stall.
        # Raw, because the SDK does not check what it parses, and servers differ.
        self._completions = client.chat.completions.with_raw_response

    def __repr__(self) -> str:
        return f"ChatOpenAI({self.model!r})"

    async def reply(
        self, messages: Sequence[ChatMessage], tools: Sequence[ToolDefinition]
    ) -> ChatMessage:
        """The assistant's next message.

        Raises:
            RealtimeConnectionError: If the server cannot be reached or answers with an error.
            RealtimeError: If the model refuses (cause `policy`), or its reply makes no sense
                (cause `provider`).
        """
        import openai

        request: dict[str, Any] = {
            "model": self.model,
            "messages": [_wire_message(message) for message in messages],
        }
        if tools:
            request["tools"] = [
                {"type": "function", "function": tool.model_dump(mode="json")} for tool in tools
            ]
        try:
            response = await self._completions.create(**request, extra_body=self._options)
        except openai.APIStatusError as error:
            # Without a cause: what the server said may quote the key.
            raise self._refused(error) from None
        except openai.APIConnectionError as error:
            late = isinstance(error, openai.APITimeoutError)
            raise RealtimeConnectionError(
                f"the chat model {self.model!r} "
                + ("did not answer in time" if late else "cannot be reached"),
                retryable=True,
                advice="check the network and the base URL",
            ) from error
        return self._message(response.content)

    def _refused(self, error: "APIStatusError") -> RealtimeConnectionError:
        known = explain_refusal("", error.status_code, error.response.content)
        words = clean(self._redactor.text(str(_wording(error.body))))
        what = f"the chat model {self.model!r} is refused with HTTP {error.status_code}"
        return RealtimeConnectionError(
            f"{what}: {words}" if words else what,
            code=known.code,
            retryable=known.retryable,
            cause=known.cause,
            advice=known.advice,
        )

    def _message(self, body: bytes) -> ChatMessage:
        try:
            choice = _Completion.model_validate_json(body).choices[0]
        except ValidationError:
            raise RealtimeError(
                f"the reply of the chat model {self.model!r} made no sense",
                cause="provider",
                advice="check the base URL: does the server speak chat completions?",
            ) from None
        message = choice.message
        if message.refusal or choice.finish_reason == "content_filter":
            raise RealtimeError(
                f"the chat model {self.model!r} refuses: {clean(message.refusal) or 'a filter'}",
                code="refusal",
                cause="policy",
            )
        return ChatMessage(
            "assistant",
            message.content or "",
            tuple(
                ChatToolCall(call.id, call.function.name, call.function.arguments)
                for call in message.tool_calls or ()
            ),
        )


def _wire_message(message: ChatMessage) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        wire["content"] = message.text or None
        wire["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {
                    "name": call.function_name,
                    # Servers parse them again for the model's template and fail on nonsense.
                    "arguments": call.arguments if _is_object(call.arguments) else "{}",
                },
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        wire["tool_call_id"] = message.call_id
    return wire


def _is_object(text: str) -> bool:
    try:
        return isinstance(from_json(text), dict)
    except ValueError:
        return False


def _wording(body: object) -> object:
    # The SDK hands over the error object, or whatever else came instead.
    return body.get("message", "") if isinstance(body, dict) else body or ""


class _Wire(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _Function(_Wire):
    name: str
    arguments: str = ""


class _Call(_Wire):
    id: str = ""
    function: _Function


class _Message(_Wire):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(_Wire):
    message: _Message
    finish_reason: str | None = None


class _Completion(_Wire):
    choices: list[_Choice] = Field(min_length=1)
