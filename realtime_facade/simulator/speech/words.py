"""Splits what was said or typed into words that can be compared."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:['\u2019.:/,-][^\W_]+)*")
_ALPHABETIC = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_MARK = re.compile(r"[%+*=]|(?<=\s)[-/](?=\s)")
_MARKS = {"%": "percent", "+": "plus", "-": "minus", "*": "times", "/": "divided by", "=": "equals"}


class Word(NamedTuple):
    """One word: as it is compared, and as it was written."""

    key: str
    text: str


def find_words(text: str) -> list[Word]:
    """The words of a sentence in lower case, without punctuation.

    `twenty-five` becomes two words; `10:30`, `2.5` and `2026-11-24` stay one; `1,200` loses its
    comma, `50%` becomes `50 percent`.
    """
    text = _MARK.sub(lambda mark: f" {_MARKS[mark[0]]} ", text)
    words = []
    for found in _WORD.finditer(text):
        written = found[0]
        if _ALPHABETIC.fullmatch(written):
            parts = written.split("-")
        elif _GROUPED.fullmatch(written):
            parts = [written.replace(",", "")]
        else:
            parts = written.split(",")
        words += [Word(part.lower().replace("\u2019", "'"), part) for part in parts]
    return words


def keys(text: str) -> list[str]:
    """Only what is compared of `find_words(text)`."""
    return [word.key for word in find_words(text)]


def name_words(name: str) -> list[str]:
    """The words in an identifier: `getWeather_for-city` has four."""
    return keys(_CAMEL.sub(" ", name).replace("_", " ").replace("-", " "))


def stem(word: str) -> str:
    """A word without its usual endings, so that `timers`, `timer's` and `timer` are the same."""
    word = word.removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            return word[: -len(ending)].removesuffix("e")
    return word.removesuffix("e") if len(word) > 3 else word


def position_of(part: Sequence[str], whole: Sequence[str], start: int = 0) -> int | None:
    """Where `part` occurs in `whole` as neighbours, from `start` on; None if nowhere."""
    if not part:
        return None
    for index in range(start, len(whole) - len(part) + 1):
        if list(whole[index : index + len(part)]) == list(part):
            return index
    return None


def listing(items: Iterable[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = list(items) or [""]
    return f"{', '.join(first)} {conjunction} {last}" if first else last
