"""Understands days and times of day, spoken or typed."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple

from .numbers import DIGITS, TEENS, parse_number

MomentFormat = Literal["date", "time", "date-time", "words"]
"""How a tool wants it: ISO 8601, or `words` for what was said."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth", "twentieth", *(f"twenty {digit}" for digit in (
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")),
    "thirtieth", "thirty first",
)  # fmt: skip

_HOURS = {word: hour for hour, word in enumerate((*DIGITS, *TEENS)) if 0 < hour <= 12}
_MINUTES = ("ten", "fifteen", "twenty", "thirty", "forty", "forty five", "fifty")
_HALVES = {"am": 0, "pm": 12}
_HALF_PHRASES = (
    *((phrase, 0) for phrase in ("am", "a.m", "a m", "in the morning")),
    *((phrase, 12) for phrase in ("pm", "p.m", "p m", "in the afternoon", "in the evening")),
)
_NAMED_TIMES = {"noon": 12, "midnight": 0}
_PAST_AND_TO = (
    ("half past", 30),
    ("quarter past", 15),
    ("a quarter past", 15),
    ("ten past", 10),
    ("five past", 5),
    ("quarter to", -15),
    ("a quarter to", -15),
    ("ten to", -10),
    ("five to", -5),
)
_NEAR_DAYS = (
    ("the day after tomorrow", 2),
    ("day after tomorrow", 2),
    ("tomorrow", 1),
    ("today", 0),
    ("tonight", 0),
)
_CLOCK = re.compile(r"(\d{1,2})(?:[:.](\d\d))?(am|pm)?")
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NUMBERED_DAY = re.compile(r"(\d{1,2})(?:st|nd|rd|th)?")
_BETWEEN = frozenset({"at", "on", "for", "this", "next"})


class FoundMoment(NamedTuple):
    """A day, a time of day, or both, and the words they were read from."""

    day: date | None
    day_words: slice
    time: time | None
    time_words: slice

    @property
    def words(self) -> slice:
        """From the first word of either to the last."""
        parts = [part for part in (self.day_words, self.time_words) if part.stop]
        return slice(min(part.start for part in parts), max(part.stop for part in parts))

    def iso(self, form: Literal["date", "time", "date-time"], now: datetime) -> str | None:
        """In ISO 8601; None if the part that the form needs was not said.

        A time without a day is one of today.
        """
        if form == "date":
            return self.day.isoformat() if self.day else None
        if self.time is None:
            return None
        if form == "time":
            return self.time.isoformat(timespec="minutes")
        return datetime.combine(self.day or now.date(), self.time).isoformat(timespec="minutes")


def find_moment(words: Sequence[str], now: datetime) -> FoundMoment | None:
    """The first day, time of day, or both side by side, in lower-case words.

    Args:
        words: Such as `tomorrow at half past three`.
        now: Days like `monday` are the next one after it; today counts.
    """
    for start in range(len(words)):
        day_start = start
        day = _day_at(words, day_start, now.date())
        time_start = _skip(words, day[1]) if day else start
        clock = _time_at(words, time_start)
        if clock and not day:
            day_start = _skip(words, clock[1])
            day = _day_at(words, day_start, now.date())
        if day or clock:
            return FoundMoment(
                day[0] if day else None,
                slice(day_start, day[1]) if day else slice(0, 0),
                clock[0] if clock else None,
                slice(time_start, clock[1]) if clock else slice(0, 0),
            )
    return None


def _skip(words: Sequence[str], index: int) -> int:
    while index < len(words) and words[index] in _BETWEEN:
        index += 1
    return index


def _has(words: Sequence[str], index: int, phrase: str) -> bool:
    parts = phrase.split()
    return list(words[index : index + len(parts)]) == parts


def _day_at(words: Sequence[str], start: int, today: date) -> tuple[date, int] | None:
    for phrase, days in _NEAR_DAYS:
        if _has(words, start, phrase):
            return today + timedelta(days=days), start + len(phrase.split())
    if start >= len(words):
        return None
    word = words[start]
    if _ISO_DATE.fullmatch(word):
        try:
            return date.fromisoformat(word), start + 1
        except ValueError:  # looks like a date and is none, such as 2026-13-40
            return None
    if word in WEEKDAYS:
        return today + timedelta(days=(WEEKDAYS.index(word) - today.weekday()) % 7), start + 1
    if word in MONTHS:
        ordinal = _ordinal_at(words, start + 1 + _has(words, start + 1, "the"))
        return _in_year(word, ordinal, today, ordinal[1]) if ordinal else None
    ordinal = _ordinal_at(words, start)
    if ordinal and _has(words, ordinal[1], "of") and words[ordinal[1] + 1 : ordinal[1] + 2]:
        month = words[ordinal[1] + 1]
        return _in_year(month, ordinal, today, ordinal[1] + 2) if month in MONTHS else None
    return None


def _in_year(
    month: str, ordinal: tuple[int, int], today: date, stop: int
) -> tuple[date, int] | None:
    """The next such day; none for a day that the month does not have."""
    for year in (today.year, today.year + 1):
        try:
            day = date(year, MONTHS.index(month) + 1, ordinal[0])
        except ValueError:  # the 30th of February
            continue
        if day >= today:
            return day, stop
    return None


def _ordinal_at(words: Sequence[str], start: int) -> tuple[int, int] | None:
    for length in (2, 1):
        phrase = " ".join(words[start : start + length])
        if phrase in ORDINALS:
            return ORDINALS.index(phrase) + 1, start + len(phrase.split())
        if (day := _NUMBERED_DAY.fullmatch(phrase)) and 0 < int(day[1]) <= 31:
            return int(day[1]), start + 1
    return None


def _time_at(words: Sequence[str], start: int) -> tuple[time, int] | None:
    if start >= len(words):
        return None
    if words[start] in _NAMED_TIMES:
        return time(_NAMED_TIMES[words[start]]), start + 1
    for phrase, minutes in _PAST_AND_TO:
        index = start + len(phrase.split())
        if _has(words, start, phrase) and (hour := _hour_at(words, index)):
            half, stop = _half_at(words, index + 1)
            total = _on_clock(hour, half) * 60 + minutes
            return time(total // 60 % 24, total % 60), stop
    if typed := _CLOCK.fullmatch(words[start]):
        hour, minute = int(typed[1]), int(typed[2] or 0)
        half, stop = (_HALVES[typed[3]], start + 1) if typed[3] else _half_at(words, start + 1)
        if (typed[2] or half is not None or _after_at(words, start)) and hour < 24 and minute < 60:
            # A typed 10:30 is exact; only a bare hour is guessed.
            exact = hour if typed[2] and half is None else _on_clock(hour, half)
            return time(exact, minute), stop
        return None
    spoken = _hour_at(words, start)
    if spoken is None:
        return None
    for length in (2, 1):
        after = words[start + 1 : start + 1 + length]
        if " ".join(after) in _MINUTES:
            half, stop = _half_at(words, start + 1 + len(after))
            if half is not None or _after_at(words, start):
                return time(_on_clock(spoken, half), int(parse_number(after) or 0)), stop
    sharp = _has(words, start + 1, "o'clock")
    half, stop = _half_at(words, start + 1 + sharp)
    if sharp or half is not None or _after_at(words, start):
        return time(_on_clock(spoken, half), 0), stop
    return None


def _after_at(words: Sequence[str], start: int) -> bool:
    """A lone number is a time of day only after `at`."""
    return start > 0 and words[start - 1] == "at"


def _hour_at(words: Sequence[str], index: int) -> int | None:
    return _HOURS.get(words[index]) if index < len(words) else None


def _half_at(words: Sequence[str], start: int) -> tuple[int | None, int]:
    """0 in the morning, 12 in the afternoon, None if not said; and where the words go on."""
    for phrase, half in _HALF_PHRASES:
        if _has(words, start, phrase):
            return half, start + len(phrase.split())
    return None, start


def _on_clock(hour: int, half: int | None) -> int:
    """0 to 23. Without `am` or `pm`, one to six are taken to be in the afternoon."""
    if half is None:
        return hour + 12 if 1 <= hour <= 6 else hour
    return hour % 12 + half
