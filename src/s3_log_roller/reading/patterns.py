"""grep's patterns, basic, extended and fixed, as Python's regular expressions over bytes.

Lines are bytes here, as for grep in the C locale: `.` is one byte, `-i` folds ASCII only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from s3_log_roller.errors import UsageError


class Syntax(Enum):
    """How a pattern is to be read."""

    BASIC = "-G"
    EXTENDED = "-E"
    FIXED = "-F"


_CLASSES: Final = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r" \t\n\r\f\v",
    "blank": r" \t",
    "punct": r"!-/:-@\[-`{-~",
    "print": " -~",
    "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9A-Fa-f",
}
_ESCAPES: Final = {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "b": r"\b", "B": r"\B", "w": r"\w", "W": r"\W"} | {
    "s": r"\s",
    "S": r"\S",
    "`": "^",
    "'": "$",
}
_OPERATORS: Final = "(){}|+?"
"""Special alone in extended patterns, behind a backslash in basic ones."""
_BRACKET: Final = re.compile(r"\[\^?\]?(?:\[:[a-z]*:\]|\[[.=].*?[.=]\]|[^\]])*\]", re.DOTALL)
_INTERVAL: Final = re.compile(r"[0-9]*(?:,[0-9]*)?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, and how it may be looked for."""

    regex: re.Pattern[bytes]
    literal: bytes | None
    """Found by every match and enough for one, if the pattern is as simple as that."""
    is_local: bool
    """It has no anchor, so a line matches alone just when it matches inside a longer text."""

    @classmethod
    def parse(cls, text: str, syntax: Syntax, *, ignore_case: bool = False) -> Pattern:
        """Compile grep's pattern. Raises `UsageError`."""
        flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
        if syntax is Syntax.FIXED:
            translation = _Translation("", extended=False)
            translation.source, translation.plain = re.escape(text), text
        else:
            translation = _Translation(text, extended=syntax is Syntax.EXTENDED)
        source, plain = translation.source, translation.plain
        try:
            regex = re.compile(source.encode("utf-8", "surrogateescape"), flags)
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"{text!r} is not a regular expression: {error}") from error
        literal = None
        if plain is not None and not (ignore_case and any(char.isalpha() for char in plain)):
            literal = plain.encode("utf-8", "surrogateescape")
        return cls(regex, literal, translation.is_local)


class _Translation:
    """Walks through a POSIX pattern once."""

    def __init__(self, text: str, *, extended: bool) -> None:
        self._text = text
        self._extended = extended
        self.is_local = True
        self.plain: str | None = ""
        """The pattern's text, as long as nothing in it is special."""
        self._out: list[str] = []
        self._depth = 0
        position = 0
        while position < len(text):
            position = self._take(position)
        self.source = "".join(self._out)

    def _take(self, at: int) -> int:
        """Translate what stands there; returns where it ends."""
        text, char = self._text, self._text[at]
        if char == "\\":
            if at + 1 == len(text):
                raise UsageError(f"{text!r} ends with a backslash")
            return self._escaped(text[at + 1], at + 2)
        if char == "[":
            return self._bracket(at)
        if char in _OPERATORS and self._extended:
            return self._operator(char, at + 1)
        if char == "*" and (self._extended or not self._at_start()):
            self._repeat("*")
        elif char == ".":
            self._special(".")
        elif (char == "^" and (self._extended or (self._at_start() and self._out[-1:] != ["^"]))) or (
            char == "$" and (self._extended or self._at_end(at + 1))
        ):
            self._special(char)
            self.is_local = False
        else:
            self._literal(char)
        return at + 1

    def _at_start(self) -> bool:
        return not self._out or self._out[-1] in ("(", "|", "^")

    def _at_end(self, at: int) -> bool:
        return at == len(self._text) or self._text.startswith((r"\)", r"\|"), at)

    def _literal(self, char: str) -> None:
        self._out.append(re.escape(char))
        if self.plain is not None:
            self.plain += char

    def _special(self, source: str) -> None:
        self._out.append(source)
        self.plain = None

    def _escaped(self, char: str, behind: int) -> int:
        if char in _OPERATORS and not self._extended:
            return self._operator(char, behind)
        if char in "123456789":
            self._special(f"(?:\\{char})")
        elif char in _ESCAPES:
            self._special(_ESCAPES[char])
            self.is_local = self.is_local and char in "wWsS"
        else:
            self._literal(char)
        return behind

    def _operator(self, char: str, behind: int) -> int:
        if char == "{":
            end = self._text.find("}" if self._extended else r"\}", behind)
            interval = self._text[behind:end]
            if end < 0 or not _INTERVAL.fullmatch(interval) or not interval or self._at_start():
                self._literal("{")
                return behind
            low, comma, high = interval.partition(",")
            self._special(f"{{{low or 0}{comma}{high}}}")
            return end + (1 if self._extended else 2)
        self._depth += {"(": 1, ")": -1}.get(char, 0)
        if self._depth < 0 and self._extended:
            self._depth = 0
            self._literal(")")
        elif char == "}":
            self._literal(char)
        elif char in "+?":
            self._repeat(char)
        else:
            self._special(char)
        return behind

    def _repeat(self, operator: str) -> None:
        """`*`, `+` or `?`, also where there is nothing to repeat, or something that Python does not repeat."""
        before = self._out[-1] if self._out else ""
        if before in ("", "(", "|"):
            if not self._extended:
                self._literal(operator)
            self.plain = None if self._extended else self.plain
        elif before in ("*", "+", "?"):
            self._out[-1] = before if before == operator else "*"
        elif before in ("^", "$") or before.startswith((r"\b", r"\B")):
            if operator != "+":
                self._out.pop()
        else:
            self._special(operator)

    def _bracket(self, at: int) -> int:
        match = _BRACKET.match(self._text, at)
        if match is None:
            raise UsageError(f"{self._text!r}: a [ is not closed")
        inner = match[0][1:-1]
        negated = inner.startswith("^")
        inner = inner.removeprefix("^")
        out = []
        for part in re.split(r"(\[:[a-z]*:\])", inner):
            if part.startswith("[:") and part.endswith(":]"):
                if part[2:-2] not in _CLASSES:
                    raise UsageError(f"{self._text!r}: there is no character class {part}")
                out.append(_CLASSES[part[2:-2]])
            else:
                out.append(re.sub(r"([\\\[\]^&~|])", r"\\\1", part))
        self._special(f"[{'^' if negated else ''}{''.join(out)}]")
        return match.end()
