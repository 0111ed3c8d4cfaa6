"""grep's patterns, basic, extended and fixed, as regular expressions of RE2 over bytes.

Lines are bytes here, as for grep in the C locale: `.` is one byte, `-i` folds ASCII only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

import re2

from s3_log_roller.errors import UsageError


class Syntax(Enum):
    """The syntax of a pattern."""

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
_WORD_START: Final = r"\b(?=\w)"
_WORD_END: Final = r"\b(?<=\w)"
_ESCAPES: Final = {"<": _WORD_START, ">": _WORD_END, "b": r"\b", "B": r"\B", "w": r"\w", "W": r"\W"} | {
    "s": r"[ \t\n\r\f\v]",
    "S": r"[^ \t\n\r\f\v]",
    "`": "^",
    "'": "$",
}
_OPERATORS: Final = "(){}|+?"
"""Special alone in extended patterns, behind a backslash in basic ones."""
_NOTHING: Final = "(?:)"
"""An anchor that need not hold. It keeps what follows, another `*` say, from what comes before."""
_BRACKET: Final = re.compile(r"\[\^?\]?(?:\[:[a-z]*:\]|\[[.=].*?[.=]\]|[^\]])*\]", re.DOTALL)
_INTERVAL: Final = re.compile(r"[0-9]*(?:,[0-9]*)?")


class Match(Protocol):
    """Where a pattern was found."""

    def start(self) -> int:
        """Where it begins."""

    def end(self) -> int:
        """Where it ends."""


class Regex(Protocol):
    """A compiled regular expression over bytes, RE2's or Python's."""

    def search(self, text: bytes, position: int = ..., /) -> Match | None:
        """The first match from there on. A position is the beginning of a line."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern, and how it may be looked for."""

    text: str
    syntax: Syntax
    ignore_case: bool
    regex: Regex
    exact: Regex
    """Finds the same lines, and in them just what the pattern means; `regex` may take a character more."""
    literal: bytes | None
    """Found by every match and enough for one, if the pattern is as simple as that."""
    is_local: bool
    """It has no anchor, so a line matches alone just when it matches inside a longer text."""

    @classmethod
    def parse(cls, text: str, syntax: Syntax, ignore_case: bool = False) -> Pattern:
        """Compile grep's pattern. Raises `UsageError`."""
        if syntax is Syntax.FIXED:
            translation = _Translation("", extended=False)
            translation.out, translation.plain = [re.escape(text)], text
        else:
            translation = _Translation(text, extended=syntax is Syntax.EXTENDED)
        plain = translation.plain
        literal = None
        if plain is not None and not (ignore_case and any(char.isalpha() for char in plain)):
            literal = plain.encode("utf-8", "surrogateescape")
        regex = _compile(text, translation, ignore_case=ignore_case)
        exact = regex if not translation.takes_more else _compile_exactly(text, translation, ignore_case=ignore_case)
        return cls(text, syntax, ignore_case, regex, exact, literal, translation.is_local)

    def spans(self, line: bytes) -> list[tuple[int, int]]:
        """Where the pattern matches in a line, one match behind the other; empty ones are left out."""
        spans = []
        position = 0
        while position <= len(line) and (match := self.exact.search(line, position)):
            start, end = match.start(), match.end()
            if end > start:
                spans.append((start, end))
            position = max(end, position + 1)
        return spans

    def __reduce__(self) -> tuple[object, ...]:
        # Compiled expressions can't go to child processes.
        return Pattern.parse, (self.text, self.syntax, self.ignore_case)


def _compile(text: str, translation: _Translation, *, ignore_case: bool) -> Regex:
    r"""Compile with RE2, which takes time linear in the text whatever the pattern is.

    It knows no back references. They go to Python's engine, as does a `\<` or `\>` amid things that are not words.
    """
    source = translation.without_lookarounds()
    if source is None or translation.has_back_reference or (ignore_case and not source.isascii()):
        return _compile_exactly(text, translation, ignore_case=ignore_case)
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # a byte is a character
    options.log_errors = False
    whole = (b"(?im)" if ignore_case else b"(?m)") + source.encode("utf-8", "surrogateescape")
    try:
        regex: Regex = re2.compile(whole, options)
    except re2.error as error:
        why = error.args[0].removesuffix(b": " + whole).decode("utf-8", "replace") if error.args else "RE2 refuses it"
        raise UsageError(f"{text!r} is not a regular expression: {why}") from error
    return regex


def _compile_exactly(text: str, translation: _Translation, *, ignore_case: bool) -> Regex:
    """Compile with Python's engine, which knows all that grep's patterns can say."""
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    try:
        return re.compile("".join(translation.out).encode("utf-8", "surrogateescape"), flags)
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"{text!r} is not a regular expression: {error}") from error


class _Translation:
    """Walks through a POSIX pattern once."""

    def __init__(self, text: str, *, extended: bool) -> None:
        self._text = text
        self._extended = extended
        self.is_local = True
        self.plain: str | None = ""
        """The pattern's text, as long as nothing in it is special."""
        self.out: list[str] = []
        self.has_back_reference = False
        self.takes_more = False
        """Without looking ahead and back a match may begin or end with a character that the pattern does not mean."""
        self._depth = 0
        position = 0
        while position < len(text):
            position = self._take(position)

    def without_lookarounds(self) -> str | None:
        """The same without looking ahead or back, which RE2 cannot; None if there is no such way.

        Beside a word character the beginning or the end of a word is any boundary of a word. At the pattern's own
        beginning and end the character before or behind is matched, too.
        """
        out = ["", *self.out, "", ""]
        for place, part in enumerate(out):
            if part in (_WORD_START, _WORD_END):
                beside = out[place + 1] if part == _WORD_START else out[place - 1]
                may_be_absent = part == _WORD_START and out[place + 2].startswith(("*", "?", "{0"))
                if re.fullmatch(r"[A-Za-z0-9_]|\\w", beside) and not may_be_absent:
                    out[place] = r"\b"
        if out[1] == _WORD_START:
            out[1] = r"(?:^|[^\w\n])\b"
            self.takes_more = True
        if out[-3] == _WORD_END:
            out[-3] = r"\b(?:$|[^\w\n])"
            self.takes_more = True
        return None if {_WORD_START, _WORD_END} & set(out) else "".join(out)

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
        elif (char == "^" and (self._extended or (self._at_start() and self.out[-1:] != ["^"]))) or (
            char == "$" and (self._extended or self._at_end(at + 1))
        ):
            self._special(char)
            self.is_local = False
        else:
            self._literal(char)
        return at + 1

    def _at_start(self) -> bool:
        return not self.out or self.out[-1] in ("(", "|", "^")

    def _at_end(self, at: int) -> bool:
        return at == len(self._text) or self._text.startswith((r"\)", r"\|"), at)

    def _literal(self, char: str) -> None:
        self.out.append(re.escape(char))
        if self.plain is not None:
            self.plain += char

    def _special(self, source: str) -> None:
        self.out.append(source)
        self.plain = None

    def _escaped(self, char: str, behind: int) -> int:
        if char in _OPERATORS and not self._extended:
            return self._operator(char, behind)
        if char in "123456789":
            self._special(f"(?:\\{char})")
            self.has_back_reference = True
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
        before = self.out[-1] if self.out else ""
        if before in ("", "(", "|"):
            if not self._extended:
                self._literal(operator)
            self.plain = None if self._extended else self.plain
        elif before in ("*", "+", "?"):
            self.out[-1] = before if before == operator else "*"
        elif before in ("^", "$") or before.startswith((r"\b", r"\B")):
            self.out[-1] = before if operator == "+" else _NOTHING
        elif before != _NOTHING:
            self._special(operator)

    def _bracket(self, at: int) -> int:
        match = _BRACKET.match(self._text, at)
        if match is None:
            raise UsageError(f"{self._text!r}: a [ is not closed")
        inner = match[0][1:-1]
        negated, inner = inner.startswith("^"), inner.removeprefix("^")
        if len(inner) > 2 and inner[0] == inner[-1] == ":":
            raise UsageError(f"{self._text!r}: a character class goes into brackets of its own, as in [[:space:]]")
        out = []
        for part in re.split(r"(\[:[a-z]*:\]|\[\..\.\]|\[=.=\])", inner):
            if part.startswith("[:") and part.endswith(":]"):
                if part[2:-2] not in _CLASSES:
                    raise UsageError(f"{self._text!r}: there is no character class {part}")
                out.append(_CLASSES[part[2:-2]])
            elif len(part) == 5 and part[:2] in ("[.", "[="):
                out.append(re.escape(part[2]))
            elif re.search(r"\[[:.=]", part):
                raise UsageError(f"{self._text!r}: after [: or [. or [= comes no class and no single character")
            else:
                out.append(re.sub(r"([\\\[\]^&~|])", r"\\\1", part))
        self._special(f"[{'^' if negated else ''}{''.join(out)}]")
        return match.end()
