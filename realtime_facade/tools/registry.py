"""The tools of an application, in one place and under unique names."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel

from ..errors import ConfigurationError
from .definition import ToolDefinition
from .function import FunctionTool, Status
from .inject import can_be_found, missing

F = TypeVar("F", bound=Callable[..., Any])

ToolSource = Callable[..., Any] | FunctionTool | ToolDefinition | Iterable[Any]
"""What can be given as a tool: a function, a definition, or several of them, as in `Tools`."""


class Tools:
    """Tools by name. `tools=` takes it as it is, also together with functions and definitions.

        tools = Tools()

        @tools.action("Get the current weather for a city")
        async def get_weather(city: str) -> str: ...

    Raises:
        ConfigurationError: As `add` does.
    """

    def __init__(self, tools: Iterable[ToolSource] = ()) -> None:
        self._entries: dict[str, FunctionTool | ToolDefinition] = {}
        for tool in tools:
            self.add(tool)

    def action(
        self,
        description: str | None = None,
        *,
        name: str | None = None,
        param_model: type[BaseModel] | None = None,
        holding_instruction: str | None = None,
        result_instruction: str | None = None,
        response_instruction: str | None = None,
        status: Status | None = None,
        timeout: float | None = None,
        respond: bool = True,
    ) -> Callable[[F], F]:
        """Decorator: make a function a tool. The function itself stays as it is.

        Args:
            description: What it does, for the model; None: the docstring.
            name: Instead of the function's.
            param_model: Describes the parameters; the function gets one checked object of it.
            holding_instruction: What to say while it runs, such as "One moment, I am looking".
            result_instruction: How to present the result; told to the model together with it.
            response_instruction: The same as `result_instruction`.
            status: What to say while it runs, word by word, with `{field}` of `param_model`; or a
                function that makes it from the checked object.
            timeout: In seconds; None: `tool_timeout_s` of the configuration.
            respond: Whether the model should speak because of the result.

        Raises:
            ConfigurationError: If a model could not use it; see `FunctionTool.of`.
        """
        if description is not None and not isinstance(description, str):
            raise ConfigurationError(
                "action was given a function instead of a description",
                advice='write @tools.action("what it does")',
            )
        if result_instruction and response_instruction:
            raise ConfigurationError(
                "result_instruction and response_instruction say the same",
                advice="give one of them",
            )

        def register(function: F) -> F:
            self.add(
                FunctionTool.of(
                    function,
                    name=name,
                    description=description,
                    param_model=param_model,
                    holding_instruction=holding_instruction,
                    result_instruction=result_instruction or response_instruction,
                    status=status,
                    timeout=timeout,
                    respond=respond,
                )
            )
            return function

        return register

    def add(self, tool: ToolSource) -> None:
        """Add a function, a definition, or all of several.

        Raises:
            ConfigurationError: If a model could not use it, or its name is taken.
        """
        if isinstance(tool, FunctionTool | ToolDefinition):
            if tool.name in self._entries:
                raise ConfigurationError(
                    f"two tools are named {tool.name!r}", advice="rename one of them"
                )
            self._entries[tool.name] = tool
        elif callable(tool):
            self.add(FunctionTool.of(tool))
        elif isinstance(tool, Iterable) and not isinstance(tool, str | bytes):
            for one in tool:
                self.add(one)
        else:
            raise ConfigurationError(
                f"{tool!r} is no tool", advice="give a function, a ToolDefinition or a Tools"
            )

    def __iter__(self) -> Iterator[FunctionTool | ToolDefinition]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """The names, in the order in which they were added."""
        return list(self._entries)

    def function(self, name: str) -> FunctionTool | None:
        """The function of that name; None if there is none, or only a definition."""
        tool = self._entries.get(name)
        return tool if isinstance(tool, FunctionTool) else None

    def definitions(self, *, speaks_while_running: bool = True) -> tuple[ToolDefinition, ...]:
        """What a model is shown; see `FunctionTool.described`."""
        return tuple(
            tool.described(speaks_while_running=speaks_while_running)
            if isinstance(tool, FunctionTool)
            else tool
            for tool in self
        )

    def check_resources(self, resources: Sequence[object], later: Sequence[type] = ()) -> None:
        """See whether everything that is to be injected is there, or comes later.

        Raises:
            ConfigurationError: Names the tool and the type, and says how to provide it.
        """
        for tool in self:
            if isinstance(tool, FunctionTool):
                for kind in tool.injected.values():
                    if not can_be_found(kind, resources, later):
                        raise missing(kind, f"tool {tool.name!r}")
