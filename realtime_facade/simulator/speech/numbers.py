"""Reads numbers out of words and writes them as words."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_SMALL = {word: value for value, word in enumerate((*DIGITS, *TEENS))} | {"oh": 0}
_TENS = {word: value for value, word in zip(range(20, 100, 10), TENS, strict=True)}
_SCALES = {"thousand": 1_000, "million": 1_000_000}
_WRITTEN = re.compile(r"\d+(?:\.\d+)?")
_LARGEST = 999_999_999


class FoundNumber(NamedTuple):
    """A number and the words it was read from: `words[start:stop]`."""

    value: int | float
    start: int
    stop: int


def spoken_number(value: int) -> str:
    """An integer in words that `find_numbers` reads back: `-105` is `minus one hundred five`.

    Raises:
        ValueError: If it has more than nine digits.
    """
    if abs(value) > _LARGEST:
        raise ValueError(f"{value} has more than nine digits")
    if value < 0:
        return f"minus {spoken_number(-value)}"
    if value < 20:
        return (*DIGITS, *TEENS)[value]
    for size, name in ((1_000_000, "million"), (1_000, "thousand"), (100, "hundred")):
        if value >= size:
            rest = f" {spoken_number(value % size)}" if value % size else ""
            return f"{spoken_number(value // size)} {name}{rest}"
    return TENS[value // 10 - 2] + (f" {DIGITS[value % 10]}" if value % 10 else "")


def find_numbers(words: Sequence[str]) -> list[FoundNumber]:
    """Every number in lower-case words, spoken or in digits, in order.

    `two hundred and five`, `minus two point five` and `12.5` are one each; `three and five` two.
    """
    found: list[FoundNumber] = []
    index = 0
    while index < len(words):
        # "five minus three" subtracts: a minus right after a number is no sign.
        subtracts = words[index] == "minus" and bool(found) and found[-1].stop == index
        number = None if subtracts else _number_at(words, index)
        if number is None:
            index += 1
        else:
            found.append(number)
            index = number.stop
    return found


def parse_number(words: Sequence[str]) -> int | float | None:
    """The number that all of the words are; None if they are anything else."""
    number = _number_at(words, 0) if words else None
    return number.value if number and number.stop == len(words) else None


def join_digits(numbers: Sequence[FoundNumber]) -> FoundNumber | None:
    """Digits said one by one (`four two seven`) as one number; None if they are something else."""
    neighbours = all(a.stop == b.start for a, b in pairwise(numbers))
    if not numbers or not neighbours or not all(n.value in range(10) for n in numbers):
        return None
    joined = int("".join(str(number.value) for number in numbers))
    return FoundNumber(joined, numbers[0].start, numbers[-1].stop)


def _number_at(words: Sequence[str], start: int) -> FoundNumber | None:
    begin = start + (words[start] in ("minus", "negative"))
    whole = _whole_at(words, begin)
    if whole is None:
        return None
    value, stop = whole
    if isinstance(value, int) and stop < len(words) and words[stop] == "point":
        end = stop + 1
        while end < len(words) and _SMALL.get(words[end], 10) < 10:
            end += 1
        if end > stop + 1:
            decimals = "".join(str(_SMALL[word]) for word in words[stop + 1 : end])
            value, stop = float(f"{value}.{decimals}"), end
    return FoundNumber(-value if begin > start else value, start, stop)


def _whole_at(words: Sequence[str], start: int) -> tuple[int | float, int] | None:
    """The number without sign or decimals that begins at `start`, and where it ends."""
    if start >= len(words):
        return None
    if _WRITTEN.fullmatch(words[start]):
        value = float(words[start]) if "." in words[start] else int(words[start])
        if start + 1 < len(words) and words[start + 1] in _SCALES:
            return value * _SCALES[words[start + 1]], start + 2
        return value, start + 1
    total = 0
    limit = _LARGEST + 1
    index = start
    while (group := _hundreds_at(words, index)) is not None:
        value, stop = group
        scale = _SCALES.get(words[stop], 1) if stop < len(words) else 1
        if scale >= limit:
            break
        total += value * scale
        index = stop + (scale > 1)
        limit = scale
        if scale == 1:
            break
        if index < len(words) and words[index] == "and" and _below_hundred(words, index + 1):
            index += 1
    return (total, index) if index > start else None


def _hundreds_at(words: Sequence[str], start: int) -> tuple[int, int] | None:
    """A number below 1000."""
    first = _below_hundred(words, start)
    if first is None and words[start : start + 1] == ["a"]:
        first = (1, start + 1) if list(words[start + 1 : start + 2]) == ["hundred"] else None
    if first is None:
        return None
    value, stop = first
    if not 0 < value < 10 or list(words[stop : stop + 1]) != ["hundred"]:
        return first
    stop += 1
    rest = _below_hundred(words, stop)
    if rest is None and list(words[stop : stop + 1]) == ["and"]:
        rest = _below_hundred(words, stop + 1)
    if rest is None or rest[0] == 0:
        return value * 100, stop
    return value * 100 + rest[0], rest[1]


def _below_hundred(words: Sequence[str], start: int) -> tuple[int, int] | None:
    if start >= len(words):
        return None
    word = words[start]
    if word in _SMALL:
        return _SMALL[word], start + 1
    if word not in _TENS:
        return None
    unit = _SMALL.get(words[start + 1], 0) if start + 1 < len(words) else 0
    return (_TENS[word] + unit, start + 2) if 0 < unit < 10 else (_TENS[word], start + 1)
