"""How words are pronounced: looked up where known, guessed from their letters where not."""

import functools
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_SOUNDS = (
    ("tion", "SH AH N"), ("sion", "ZH AH N"), ("ough", "AO"), ("augh", "AO"), ("eigh", "EY"),
    ("igh", "AY"), ("tch", "CH"), ("sch", "SH"), ("ch", "CH"), ("sh", "SH"), ("th", "TH"),
    ("ph", "F"), ("wh", "W"), ("ck", "K"), ("ng", "NG"), ("qu", "K W"), ("kn", "N"), ("wr", "R"),
    ("ee", "IY"), ("ea", "IY"), ("oo", "UW"), ("ou", "AW"), ("ow", "OW"), ("oi", "OY"),
    ("oy", "OY"), ("ai", "EY"), ("ay", "EY"), ("au", "AO"), ("aw", "AO"), ("oa", "OW"),
    ("ie", "IY"), ("ei", "IY"), ("ue", "UW"), ("ew", "UW"), ("ar", "AA R"), ("er", "ER"),
    ("ir", "ER"), ("or", "AO R"), ("ur", "ER"), ("ce", "S EH"), ("ci", "S IH"), ("cy", "S IY"),
    ("ge", "JH EH"), ("a", "AE"), ("b", "B"), ("c", "K"), ("d", "D"), ("e", "EH"), ("f", "F"),
    ("g", "G"), ("h", "HH"), ("i", "IH"), ("j", "JH"), ("k", "K"), ("l", "L"), ("m", "M"),
    ("n", "N"), ("o", "AA"), ("p", "P"), ("q", "K"), ("r", "R"), ("s", "S"), ("t", "T"),
    ("u", "AH"), ("v", "V"), ("w", "W"), ("x", "K S"), ("y", "IY"), ("z", "Z"),
)  # fmt: skip
_LETTERS = {
    "a": "EY", "b": "B IY", "c": "S IY", "d": "D IY", "e": "IY", "f": "EH F", "g": "JH IY",
    "h": "EY CH", "i": "AY", "j": "JH EY", "k": "K EY", "l": "EH L", "m": "EH M", "n": "EH N",
    "o": "OW", "p": "P IY", "q": "K Y UW", "r": "AA R", "s": "EH S", "t": "T IY", "u": "Y UW",
    "v": "V IY", "w": "D AH B AH L Y UW", "x": "EH K S", "y": "W AY", "z": "Z IY",
}  # fmt: skip
_VOWELS = frozenset("aeiouy")


@functools.cache
def load(path: Path) -> dict[str, tuple[str, ...]]:
    """The pronunciations of every word in a dictionary of the CMU's format."""
    words: dict[str, tuple[str, ...]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            word, _, phones = line.partition(" ")
            word = word.partition("(")[0]
            words[word] = (*words.get(word, ()), phones.strip())
    return words


def pronunciations(
    words: Iterable[str], known: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """Those of each word; a guess for a word that is not in `known`."""
    return {word: known.get(word) or (guess(word),) for word in sorted(words)}


def guess(word: str) -> str:
    """The phones of an unknown word by its spelling, one by one if it cannot be spoken otherwise.

    Crude on purpose: a name that is heard badly is better than one that stops the decoder.
    """
    plain = unicodedata.normalize("NFKD", word.lower()).encode("ascii", "ignore").decode()
    letters = "".join(letter for letter in plain if letter in _LETTERS)
    if not letters:
        return "AH"
    if not _VOWELS & set(letters):
        return " ".join(_LETTERS[letter] for letter in letters)
    if len(letters) > 3 and letters.endswith("e") and letters[-2] not in _VOWELS:
        letters = letters[:-1]
    phones = []
    index = 0
    while index < len(letters):
        # Every single letter is in the table, so something always fits.
        spelling, sound = next(s for s in _SOUNDS if letters.startswith(s[0], index))
        doubled = len(spelling) == 1 and letters[index + 1 : index + 2] == spelling
        phones.append(sound)
        index += len(spelling) + doubled
    return " ".join(phones)


def as_file(entries: dict[str, tuple[str, ...]]) -> str:
    """Pronunciations in the format in which a decoder reads them."""
    lines = [
        f"{word}{f'({number})' if number > 1 else ''} {phones}\n"
        for word, variants in entries.items()
        for number, phones in enumerate(variants, 1)
    ]
    return "".join(lines)
