"""Turns functions into tools: the signature is the schema, the docstring the description."""

import inspect
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import docstring_parser
from pydantic import BaseModel, ValidationError

from ..errors import ConfigurationError
from .definition import ToolDefinition
from .inject import find, missing
from .schema import Parameters

Status = str | Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionTool:
    """A function with its definition, the check of its arguments, and how it is to be used."""

    definition: ToolDefinition
    function: Callable[..., Any]
    """Sync, async, or an async generator: its last value is the result, the others progress."""
    parameters: Parameters | None = None
    """None: the function gets the model's arguments as they are, by name."""
    holding_instruction: str | None = None
    """What to say while it runs."""
    result_instruction: str | None = None
    """What the model is told together with the result."""
    status: Status | None = None
    """What to say while it runs, word by word: a template, or made from the checked model."""
    timeout_s: float | None = None
    """None: the configuration's."""
    respond: bool = True
    """Whether the model speaks because of the result."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        param_model: type[BaseModel] | None = None,
        holding_instruction: str | None = None,
        result_instruction: str | None = None,
        status: Status | None = None,
        timeout: float | None = None,
        respond: bool = True,
    ) -> "FunctionTool":
        """Describe `function`.

        Types come from annotations (`Annotated[str, "what it is"]` adds a description, as do the
        docstring's parameter sections); parameters without a default are required.

        Raises:
            ConfigurationError: If it cannot be called with named arguments, has no usable name, or
                the settings do not fit it.
        """
        name = name or getattr(function, "__name__", "")
        if not name or name == "<lambda>":
            raise ConfigurationError(
                f"a tool needs a name: {function!r} has none",
                advice="use a function made with def, or pass name=",
            )
        if inspect.isgeneratorfunction(inspect.unwrap(function)):
            raise ConfigurationError(
                f"tool {name!r} is a sync generator",
                advice="write it with async def to report progress, or return a list",
            )
        if timeout is not None and not timeout > 0:
            raise ConfigurationError(
                f"tool {name!r}: a timeout of {timeout} s is impossible",
                advice="give a positive number of seconds",
            )
        doc = docstring_parser.parse(inspect.getdoc(function) or "")
        described = {p.arg_name: p.description or "" for p in doc.params}
        parameters = Parameters.of(function, name, described, param_model)
        _check_status(status, param_model, name)
        if description is None:
            description = doc.description or ""
        try:
            definition = ToolDefinition(
                name=name, description=description, parameters=parameters.schema(name)
            )
        except ValidationError as error:
            raise ConfigurationError(
                f"{name!r} cannot be a tool's name",
                advice="use at most 64 of the characters a-z A-Z 0-9 _ and -",
            ) from error
        return cls(
            definition=definition,
            function=function,
            parameters=parameters,
            holding_instruction=holding_instruction,
            result_instruction=result_instruction,
            status=status,
            timeout_s=timeout,
            respond=respond,
        )

    @property
    def name(self) -> str:
        """What the model calls it."""
        return self.definition.name

    @property
    def injected(self) -> Mapping[str, Any]:
        """The parameters that have to be filled, with their types."""
        if self.parameters is None:
            return {}
        optional = self.parameters.optional
        return {p: kind for p, kind in self.parameters.injected.items() if p not in optional}

    def check(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with their annotated types.

        Raises:
            ToolFailed: If they do not fit; the text tells the model what to correct.
        """
        if self.parameters is None:
            return dict(arguments)
        return self.parameters.check(arguments, self.name)

    def inject(self, resources: Sequence[object]) -> dict[str, Any]:
        """What fills the parameters that the model does not see.

        Raises:
            ConfigurationError: If there is nothing of the type; says how to provide it.
        """
        filled: dict[str, Any] = {}
        if self.parameters is not None:
            for name, kind in self.parameters.injected.items():
                found = find(kind, resources)
                if found is not None:
                    filled[name] = found
                elif name not in self.parameters.optional:
                    raise missing(kind, f"tool {self.name!r}")
        return filled

    def announcement(self, arguments: Mapping[str, Any]) -> str | None:
        """Instructions for what to say while it runs; None: nothing.

        Raises:
            ToolFailed: If the arguments do not fit.
        """
        parts = []
        if self.holding_instruction:
            parts.append(f"Say this to the user, briefly: {self.holding_instruction}")
        if self.status is not None:
            [params] = self.check(arguments).values()
            text = (
                self.status.format_map(_Fields(params))
                if isinstance(self.status, str)
                else self.status(params)
            )
            parts.append(f"Say exactly this to the user, and nothing else: {text}")
        return "\n\n".join(parts) or None

    def described(self, *, speaks_while_running: bool) -> ToolDefinition:
        """The definition for a model that can speak while a tool runs, or for one that cannot.

        The latter is told to speak before it calls.
        """
        if speaks_while_running:
            return self.definition
        parts = [self.definition.description] if self.definition.description else []
        if self.holding_instruction:
            parts.append(
                f"Before you call this, say to the user, briefly: {self.holding_instruction}"
            )
        if isinstance(self.status, str):
            parts.append(
                "Before you call this, say exactly this to the user, with the arguments in place "
                f"of the names in braces: {self.status}"
            )
        return self.definition.model_copy(update={"description": "\n\n".join(parts)})


class _Fields(dict[str, Any]):
    """The fields of a model by name."""

    def __init__(self, params: BaseModel) -> None:
        super().__init__({name: getattr(params, name) for name in type(params).model_fields})


def _check_status(status: Status | None, model: type[BaseModel] | None, name: str) -> None:
    if status is None:
        return
    if model is None:
        raise ConfigurationError(
            f"tool {name!r} has a status and no param_model",
            advice="describe the parameters by a pydantic model, or use holding_instruction",
        )
    if not isinstance(status, str):
        return
    try:
        used = [field for _, field, _, _ in string.Formatter().parse(status) if field is not None]
    except ValueError as error:
        raise ConfigurationError(
            f"tool {name!r}: the status {status!r} is no template: {error}",
            advice="write {name} for a field, and {{ for a brace",
        ) from error
    unknown = [field for field in used if _head(field) not in model.model_fields]
    if unknown:
        raise ConfigurationError(
            f"tool {name!r}: the status has {{{unknown[0]}}}, which is no field of "
            f"{model.__name__}",
            advice=f"these are: {', '.join(model.model_fields) or 'none'}",
        )


def _head(field: str) -> str:
    return field.split(".")[0].split("[")[0]
