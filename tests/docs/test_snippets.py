"""Every code block of the README and of the documentation runs, as it stands there.

Python blocks of one page share a namespace, in order; `await` is allowed at the top level. HTML
comments, invisible to readers, steer this:

    <!-- skip: reason -->         the next block is not run
    <!-- run -->                  the next bash block, one `realtime-facade` command a line, is run
    <!-- simulator: openai -->    a simulator speaks that protocol; the environment leads to it
    <!-- hidden                   code that is run here, but not shown
    -->
"""

import ast
import asyncio
import inspect
import re
import shlex
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGE_TIMEOUT_S = 45

_PARTS = re.compile(
    r"^<!-- skip: (?P<skip>.+?) -->$"
    r"|^<!-- (?P<run>run) -->$"
    r"|^<!-- simulator: (?P<simulator>\w+) -->$"
    r"|^<!-- hidden\n(?P<hidden>.*?)^-->$"
    r"|^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    language: str
    code: str
    line: int
    skip: str | None
    run: bool


class Page(NamedTuple):
    blocks: list[Block]
    simulator: str | None


def read_page(text: str) -> Page:
    blocks: list[Block] = []
    simulator: str | None = None
    skip, run = None, False
    for part in _PARTS.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        if part["skip"]:
            skip = part["skip"]
        elif part["run"]:
            run = True
        elif part["simulator"]:
            simulator = part["simulator"]
        elif part["hidden"] is not None:
            blocks.append(Block("python", part["hidden"], line, None, False))
        else:
            indent = part["indent"]
            code = "".join(row.removeprefix(indent) for row in part["code"].splitlines(True))
            blocks.append(Block(part["language"], code, line, skip, run))
            skip, run = None, False
    return Page(blocks, simulator)


def read_file(path: Path) -> Page:
    return read_page(path.read_text(encoding="utf-8"))


async def run_python(block: Block, page: Path, module: types.ModuleType) -> None:
    # The blank lines make a traceback point at the line of the page.
    source = "\n" * block.line + block.code
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, module.__dict__)  # noqa: S307 - the project's own pages
    if inspect.isawaitable(outcome):
        await outcome


async def run_commands(block: Block) -> None:
    for line in block.code.splitlines():
        name, *arguments = shlex.split(line.removeprefix("$ "), comments=True)
        assert name == "realtime-facade", f"only realtime-facade commands are run, not {line!r}"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "realtime_facade.cli", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, f"{line}\n{output.decode()}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
async def test_page(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, simulated):
    page = await asyncio.to_thread(read_file, path)
    monkeypatch.chdir(tmp_path)
    # A real module, because pydantic and dataclasses look their class's module up.
    module = types.ModuleType("page_" + re.sub(r"\W", "_", path.stem))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    simulated(page.simulator)
    async with asyncio.timeout(PAGE_TIMEOUT_S):
        for block in page.blocks:
            if block.skip:
                continue
            if block.language == "python":
                await run_python(block, path, module)
            elif block.run:
                await run_commands(block)


def test_a_failing_block_is_noticed_with_its_line():
    page = read_page("text\n\n```python\nx = 1\nassert x == 2\n```\n")
    with pytest.raises(AssertionError) as caught:
        asyncio.run(run_python(page.blocks[0], Path("a page"), types.ModuleType("page")))
    assert caught.traceback[-1].lineno + 1 == 5


def test_directives_hold_for_the_next_block_only():
    page = read_page(
        "<!-- simulator: gemini -->\n<!-- skip: needs a key -->\n```python\na\n```\n"
        "```python\nb\n```\n<!-- run -->\n```bash\nc\n```\n<!-- hidden\nd\n-->\n"
    )
    assert page.simulator == "gemini"
    assert [(b.code, b.skip, b.run) for b in page.blocks] == [
        ("a\n", "needs a key", False),
        ("b\n", None, False),
        ("c\n", None, True),
        ("d\n", None, False),
    ]
