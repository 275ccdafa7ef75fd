"""What a tool returns, as the text that the model gets."""

from pydantic_core import PydanticSerializationError, to_json

from ..errors import ToolFailed


def as_output(result: object, function_name: str = "the tool") -> str:
    """Text as it is, everything else as JSON.

    Raises:
        ToolFailed: If it has no JSON form.
    """
    if isinstance(result, str):
        return result
    if isinstance(result, bytes | bytearray | memoryview):
        raise ToolFailed(
            f"{function_name} gave binary data, which cannot be put into words",
            code="no_text",
            advice="return text, or something that has a JSON form",
        )
    try:
        return to_json(result, fallback=str, inf_nan_mode="strings").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise ToolFailed(
            f"{function_name} gave a result that has no JSON form: {error}",
            code="no_text",
            advice="return text, or something that has a JSON form",
        ) from error


def bounded(output: str, limit: int) -> str:
    """At most about `limit` characters; a text that was cut says so."""
    if len(output) <= limit:
        return output
    return f"{output[:limit]}\n\n[cut: the first {limit} of {len(output)} characters]"
