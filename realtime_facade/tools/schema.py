"""What a function wants to be called with, as a JSON schema and as a check of arguments."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from ..errors import ConfigurationError, ToolFailed
from .inject import check_injectable, injected_type

_PREFIX = "arg_"
"""Before the names of fields, so that a parameter may be called `json`, `copy` or `_id`."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one function."""

    model: type[BaseModel]
    """Checks what the model gives."""
    whole: str | None = None
    """The parameter that gets the checked model as one object; None: each gets its value."""
    injected: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that the model never sees, with the types to look for."""
    optional: frozenset[str] = frozenset()
    """Those of `injected` that have a default."""

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        name: str,
        described: Mapping[str, str],
        param_model: type[BaseModel] | None,
    ) -> "Parameters":
        """Read a signature. `described` has descriptions from elsewhere, by parameter.

        Raises:
            ConfigurationError: If the function cannot be called by name, or a type has no JSON
                form or cannot be found.
        """
        parameters = inspect.signature(function).parameters
        hints = _hints(function, name, parameters)
        injected: dict[str, Any] = {}
        for parameter in parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ConfigurationError(
                    f"tool {name!r}: parameter {parameter} cannot be given by name",
                    advice="use ordinary named parameters",
                )
            kind = injected_type(hints.get(parameter.name))
            if kind is not None:
                check_injectable(kind, f"tool {name!r}, parameter {parameter.name!r}")
                injected[parameter.name] = kind
        optional = frozenset(
            p for p in injected if parameters[p].default is not inspect.Parameter.empty
        )
        visible = [p for p in parameters.values() if p.name not in injected]
        if param_model is None:
            fields = {_PREFIX + p.name: _field(p, hints, described) for p in visible}
            model = _model(name, fields)
            return cls(model, None, injected, optional)
        if not (isinstance(param_model, type) and issubclass(param_model, BaseModel)):
            raise ConfigurationError(
                f"tool {name!r}: param_model is no pydantic model: {param_model!r}",
                advice="derive it from pydantic.BaseModel",
            )
        if len(visible) != 1:
            raise ConfigurationError(
                f"tool {name!r} has a param_model and {len(visible)} parameters for it",
                advice="give the function one parameter for the model, besides injected ones",
            )
        return cls(param_model, visible[0].name, injected, optional)

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema that a model is shown.

        Raises:
            ConfigurationError: If a type has no JSON form.
        """
        try:
            schema = self.model.model_json_schema()
        except Exception as error:
            raise ConfigurationError(
                f"tool {name!r}: a parameter's type has no JSON form: {error}",
                advice="use types that pydantic can describe",
            ) from error
        drop_titles(schema)
        return schema

    def check(self, arguments: Mapping[str, Any], name: str) -> dict[str, Any]:
        """What to call the function with, apart from what is injected.

        Raises:
            ToolFailed: If the arguments do not fit; the text tells the model what to correct.
        """
        try:
            model = self.model.model_validate(arguments)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()
            )
            raise ToolFailed(
                f"wrong arguments for {name}: {faults}", code="invalid_arguments"
            ) from None
        if self.whole is not None:
            return {self.whole: model}
        return {
            name.removeprefix(_PREFIX): getattr(model, name) for name in type(model).model_fields
        }


def _model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    try:
        return create_model(
            name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields
        )
    except Exception as error:
        raise ConfigurationError(
            f"tool {name!r}: its parameters cannot be described: {error}",
            advice="use types that pydantic can describe",
        ) from error


def _field(
    parameter: inspect.Parameter, hints: Mapping[str, Any], described: Mapping[str, str]
) -> tuple[Any, FieldInfo]:
    annotation = hints.get(parameter.name, Any)
    default = ... if parameter.default is parameter.empty else parameter.default
    marks = getattr(annotation, "__metadata__", ())
    texts = [mark for mark in marks if isinstance(mark, str)]
    if any(isinstance(mark, FieldInfo) and mark.description for mark in marks):
        return annotation, Field(default, alias=parameter.name)
    description = texts[0] if texts else described.get(parameter.name)
    return annotation, Field(default, alias=parameter.name, description=description)


def _hints(
    function: Callable[..., Any], name: str, parameters: Mapping[str, inspect.Parameter]
) -> dict[str, Any]:
    """The parameters' annotations; those that are text are looked up.

    What a function made inside a function refers to is not kept with it, unless its body uses it
    too: it is looked for among the variables of the enclosing functions, while they are running.
    """
    annotations = {p.name: p.annotation for p in parameters.values() if p.annotation is not p.empty}
    target: Any = function
    while isinstance(target, functools.partial):
        target = target.func
    target = inspect.unwrap(target)
    if not hasattr(target, "__code__"):  # an instance that can be called
        target = type(target).__call__
    known = getattr(target, "__globals__", {})
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=annotations),
            known,
            _enclosing_names(target, known),
            include_extras=True,
        )
    except NameError as error:
        raise ConfigurationError(
            f"tool {name!r}: the type {error.name!r} of a parameter cannot be found",
            advice="define or import it where the function can see it, at run time too",
        ) from error
    except (TypeError, SyntaxError, AttributeError) as error:
        raise ConfigurationError(
            f"tool {name!r}: an annotation cannot be understood: {error}",
            advice="annotate parameters with types",
        ) from error


def _enclosing_names(function: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The variables of the functions around `function`, as far as they can be had."""
    *around, _ = getattr(function, "__qualname__", "").split(".<locals>.")
    scopes = [".<locals>.".join(around[: depth + 1]) for depth in range(len(around))]
    names: dict[str, Any] = {}
    frame = inspect.currentframe() if scopes else None
    while frame is not None:
        if frame.f_globals is known and frame.f_code.co_qualname in scopes:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    code = getattr(function, "__code__", None)
    for name, cell in zip(
        getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=True
    ):
        with contextlib.suppress(ValueError):  # not assigned yet
            names[name] = cell.cell_contents
    return names


def drop_titles(schema: Any) -> None:
    """Take the titles out of a schema, in place."""
    # pydantic titles every field with its own name: tokens that tell a model nothing.
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for key, value in schema.items():
            # Under "properties" the keys are parameters' names; one may be called "title".
            for child in value.values() if key in ("properties", "$defs") else (value,):
                drop_titles(child)
    elif isinstance(schema, list):
        for child in schema:
            drop_titles(child)
