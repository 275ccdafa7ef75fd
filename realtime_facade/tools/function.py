"""Turns plain functions into tools: the signature is the schema, the docstring the description."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from ..errors import ConfigurationError, ToolFailed
from .definition import ToolDefinition


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A function with its definition and the model that checks its arguments."""

    definition: ToolDefinition
    function: Callable[..., Any]
    parameters: type[BaseModel]

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "FunctionTool":
        """Describe `function`.

        Types come from annotations (`Annotated[str, "what it is"]` adds a description, as do the
        docstring's parameter sections); parameters without a default are required.

        Raises:
            ConfigurationError: If it cannot be called with named arguments or has no usable name.
        """
        name = getattr(function, "__name__", "")
        if not name.isidentifier():
            raise ConfigurationError(
                f"a tool needs a name: {function!r} has none",
                advice="use a function made with def",
            )
        doc = docstring_parser.parse(inspect.getdoc(function) or "")
        described = {p.arg_name: p.description or "" for p in doc.params}
        hints = get_type_hints(function, include_extras=True)
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigurationError(
                    f"tool {name!r}: parameter {parameter} cannot be given by name",
                    advice="use ordinary named parameters",
                )
            fields[parameter.name] = _field(parameter, hints, described)
        model = create_model(
            name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields
        )
        try:
            schema = model.model_json_schema()
        except Exception as error:
            raise ConfigurationError(
                f"tool {name!r}: a parameter's type has no JSON form: {error}",
                advice="use types that pydantic can describe",
            ) from error
        _drop_titles(schema)
        description = doc.description or ""
        return cls(
            ToolDefinition(name=name, description=description, parameters=schema), function, model
        )

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with their annotated types.

        Raises:
            ToolFailed: If they do not fit; the text tells the model what to correct.
        """
        try:
            model = self.parameters.model_validate(arguments)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()
            )
            raise ToolFailed(
                f"wrong arguments for {self.definition.name}: {faults}", code="invalid_arguments"
            ) from None
        return {name: getattr(model, name) for name in type(model).model_fields}


class ToolSet:
    """The tools of one session, by name."""

    def __init__(self, tools: Iterable[Callable[..., Any] | ToolDefinition]) -> None:
        self.functions: dict[str, FunctionTool] = {}
        definitions: dict[str, ToolDefinition] = {}
        for tool in tools:
            if isinstance(tool, ToolDefinition):
                definition = tool
            else:
                function = FunctionTool.of(tool)
                definition = function.definition
                self.functions[definition.name] = function
            if definition.name in definitions:
                raise ConfigurationError(
                    f"two tools are named {definition.name!r}", advice="rename one of them"
                )
            definitions[definition.name] = definition
        self.definitions = tuple(definitions.values())


def as_output(result: object) -> str:
    """What the model gets: text as it is, everything else as JSON."""
    if isinstance(result, str):
        return result
    return to_json(result, fallback=str).decode()


def _field(
    parameter: inspect.Parameter, hints: Mapping[str, Any], described: Mapping[str, str]
) -> tuple[Any, FieldInfo]:
    annotation = hints.get(parameter.name, Any)
    default = ... if parameter.default is parameter.empty else parameter.default
    texts = [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, str)]
    description = texts[0] if texts else described.get(parameter.name)
    return annotation, Field(default, description=description)


def _drop_titles(schema: Any) -> None:
    # pydantic titles every field with its own name: tokens that tell a model nothing.
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for key, value in schema.items():
            # Under "properties" the keys are parameters' names; one may be called "title".
            for child in value.values() if key in ("properties", "$defs") else (value,):
                _drop_titles(child)
    elif isinstance(schema, list):
        for child in schema:
            _drop_titles(child)
