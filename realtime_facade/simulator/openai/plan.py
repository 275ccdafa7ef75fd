"""What an answer on the OpenAI Realtime wire is made from, and its small print."""

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ...tools.definition import ToolDefinition
from .config import Configuration, Format, ResponseOptions
from .items import Conversation, Item, text_tokens, tokens_of
from .wire import AnyItem, explain

_TOKEN_LIMIT = 15_000_000
_ITEM: TypeAdapter[AnyItem] = TypeAdapter(AnyItem)


@dataclass(frozen=True, slots=True)
class Plan:
    """What one response is made from: the session's configuration with its own overrides."""

    items: tuple[Item, ...]
    """The context."""
    instructions: str
    tools: tuple[ToolDefinition, ...]
    modality: Literal["text", "audio"]
    audio_format: Format
    voice: str | dict[str, Any]
    max_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None
    in_conversation: bool
    filler: str | None
    """What is to be said while tools run: instructions of its own, and no tools to call."""

    @classmethod
    def of(
        cls, configuration: Configuration, options: ResponseOptions, items: Sequence[Item]
    ) -> "Plan":
        """Merge `response.create`'s overrides; `items` is the context it asked for."""
        session, output = configuration.session, options.audio.output
        tools = session.tools if options.tools is None else options.tools
        choice = options.tool_choice or session.tool_choice
        voice = output.voice or session.audio.output.voice
        return cls(
            items=tuple(items),
            instructions=options.instructions or session.instructions,
            tools=() if choice == "none" else tuple(tool.definition() for tool in tools),
            modality=(options.output_modalities or session.output_modalities)[0],
            audio_format=output.format or session.audio.output.format,
            voice=voice if isinstance(voice, str) else voice.model_dump(),
            max_tokens=options.max_output_tokens or session.max_output_tokens,
            metadata=options.metadata,
            in_conversation=options.conversation == "auto",
            filler=_filler(options, items),
        )


def _filler(options: ResponseOptions, items: Sequence[Item]) -> str | None:
    if options.tool_choice != "none" or not options.instructions:
        return None
    kinds = [(item.data["type"], item.data.get("call_id")) for item in items]
    called = {call_id for kind, call_id in kinds if kind == "function_call"}
    answered = {call_id for kind, call_id in kinds if kind == "function_call_output"}
    if called <= answered:
        return None
    # A model that does as it is told: "say this: ..." makes it say what follows.
    return options.instructions.partition(": ")[2] or options.instructions


def context(conversation: Conversation, options: ResponseOptions) -> list[Item]:
    """The items that a response reads: the conversation, or what `response.create` gave instead.

    Raises:
        WireError: If an item is not there, or wrong.
    """
    if options.input is None:
        return list(conversation.items)
    items: list[Item] = []
    for index, wanted in enumerate(options.input):
        if wanted.get("type") == "item_reference":
            items.append(conversation.find(str(wanted.get("id")), "retrieve"))
            continue
        try:
            item = _ITEM.validate_python(wanted)
        except ValidationError as error:
            raise explain(error, f"response.input[{index}]") from None
        items.append(conversation.build(item, beside=items))
    return items


def usage(plan: Plan, output: tuple[int, int], *, cached: bool) -> dict[str, Any]:
    """The bill of a response.

    Args:
        plan: What it read.
        output: Text tokens and audio tokens that it made.
        cached: Whether an earlier response has read the same: whole blocks of 64 tokens count.
    """
    text, audio = tokens_of(plan.items)
    text += text_tokens(plan.instructions)
    text += sum(text_tokens(tool.model_dump_json()) for tool in plan.tools)
    hit = text // 64 * 64 if cached else 0
    return {
        "total_tokens": text + audio + sum(output),
        "input_tokens": text + audio,
        "output_tokens": sum(output),
        "input_token_details": {
            "text_tokens": text,
            "audio_tokens": audio,
            "image_tokens": 0,
            "cached_tokens": hit,
            "cached_tokens_details": {"text_tokens": hit, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output[0], "audio_tokens": output[1]},
    }


def rate_limit(used: int) -> dict[str, Any]:
    """The one entry of `rate_limits.updated` that is seen."""
    return {
        "name": "tokens",
        "limit": _TOKEN_LIMIT,
        "remaining": _TOKEN_LIMIT - used,
        "reset_seconds": round(used / _TOKEN_LIMIT * 60, 3),
    }


def status_details(status: str, reason: str | None) -> dict[str, Any] | None:
    """Why a response is not complete; None where it is, or still runs."""
    if status in ("in_progress", "completed"):
        return None
    if status == "failed":
        return {
            "type": "failed",
            "error": {
                "type": "server_error",
                "code": "server_error",
                "message": "The server had an error while processing your request.",
            },
        }
    return {"type": status, "reason": reason}


_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def argument_pieces(arguments: dict[str, Any], whitespace: random.Random) -> list[str]:
    """JSON as models write it: in small pieces, with whitespace nobody asked for."""
    pieces: list[str] = []
    for word in _JSON_TOKEN.findall(json.dumps(arguments)):
        pieces += [word[start : start + 6] for start in range(0, len(word), 6)]
        if word != ":":
            pieces.append(whitespace.choice(["", " ", "  \n", " \n "]))
    return [piece for piece in pieces if piece]
