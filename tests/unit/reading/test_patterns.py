"""Patterns mean what they mean to grep, held against the grep of this machine."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.support.grep import grep, needs_grep

from s3_log_roller.errors import UsageError
from s3_log_roller.reading.doubles import Origin
from s3_log_roller.reading.lines import LineReader, Query
from s3_log_roller.reading.patterns import Pattern, Syntax
from s3_log_roller.reading.tarball import Member

TEXT = (
    b"GET /a+b HTTP/1.1\nput /aab (x) 404\n\nab\n  aaa|b {2} a{2}\n[x] ^caret$ end$\nback\\slash\n"
    b"REST.GET.OBJECT\nREST-GET-OBJECT\nabab\nABab ABAB\n^\n(\na{x} a{1,x}b\ntab\there\n*star\ncaf\xe9\nlast"
)


def ours(pattern: Pattern, text: bytes = TEXT, *, invert: bool = False) -> bytes:
    pieces = [(Origin("", "f", True), Member("m", len(text), 0), text, True)]
    found: list[bytes] = []
    LineReader(Query(pattern, invert=invert), found.append).run(iter(pieces))
    return b"".join(found)


PATTERNS = [
    "a+b", r"a\+b", "a*b", "*star", "^ab$", "a|b", r"aab\|abab", "(x)", r"\(ab\)\1", r"\(a\)\{2\}", "a{2}", r"a\{2\}",
    "REST.GET", r"REST\.GET", "[x]", "[]x]", r"\[x", "^caret", "caret$", "end$", r"end\$",
    "^$", "^", "$", "", ".", "[^a]",
    "[[:digit:]]", "[[:space:]]here", "[0-9][0-9]*", r"\<ab\>", r"\bab", r"\w\w\W", r"back\\slash",
    "[a-c]$", "a.b", "x*",
    r"\<a*b", r"\<\(ab\|R\)", r"a*\>", r"\<\w", r"\w\>", r"x\s*y", r"\s[[:alpha:]]\S", r"\Bb",
    "(a*)*b$", "a.*b.*c", "a{,2}b", r"\<(a|R)", r"\<[ag]", r"[a-z]\>", r"\<.*T\>", r"\<", r"\>", r"\<\>",
    r"a|\<\W", r"(\<)a",
    "[^[:alnum:][:space:]]", "a||b", "caf.$", "caf..$", r"\<a|b\>", r"(a|\<b)c*\>",
    r"\<(a)\>|x", "a{x}", "a{1,x}b", "a{1", "a{,}b", "a{1,}b",
    "/a+b", "^a+?b", "^a?+b", "a|b)", "a)b)", "a}", r"\+b", r"\>a", r"a\<", r"\(*star\)",
    "()b", "(a|b)*|end", "A+B|R.*T",
    "a|b {2}", "a[^x]*", "t$", "LAST", "get", r"[\]s", "^*star", "(", ")", "a**b",
    r"a\{2\}b", "(a)b)", r"\(^^\)", r"T-\>", r"\<-G", r"\<a*-", r"\<T*-G",
    r"(x|\<T*-)", r"a\{1,2\}b*$",
    "a)(b)", "[a:]", "[x[]", "[[.a.]]", "[^[=a=][=b=]]", "[[.-.]x]", "[[.].]x]", "[[.^.]]", "[[.a.]-c]{2}",
    "[[:digit:][:]",
    "[[:]", "[a[:]", "[[:digit:]", "[[:a]", "[[.]", "[[=x]", "[[.xy.]]", "[:digit:]", "[:", "[::]", "[:a]", "[^:a:]",
]  # fmt: skip


@needs_grep
@pytest.mark.parametrize("invert", [False, True], ids=["", "-v"])
@pytest.mark.parametrize("syntax", list(Syntax), ids=lambda syntax: syntax.value)
@pytest.mark.parametrize("text", PATTERNS)
def test_the_same_lines_as_grep(text: str, syntax: Syntax, invert: bool) -> None:
    """Basic, extended and fixed, also inverted; what grep refuses is refused."""
    for lines in (TEXT, TEXT + b"\n"):
        code, expected = grep(syntax.value, *(["-v"] if invert else []), "-e", text, text=lines)
        if code == 2:
            with pytest.raises(UsageError):
                Pattern.parse(text, syntax)
        else:
            assert ours(Pattern.parse(text, syntax), lines, invert=invert) == expected
            folded = grep(syntax.value, "-i", "-e", text, text=lines)[1]
            assert ours(Pattern.parse(text, syntax, ignore_case=True), lines) == folded


def test_behind_the_end_of_the_last_line_there_is_no_empty_one() -> None:
    """Logs end with the end of a line. Where nothing but empty lines is looked for, none is made up there."""
    for syntax in (Syntax.BASIC, Syntax.EXTENDED):
        for text in ("^$", "^ *$", "^[[:space:]]*$"):
            assert ours(Pattern.parse(text, syntax), b"a\n") == b""
            assert ours(Pattern.parse(text, syntax), b"a\n\nb\n") == b"\n"


@needs_grep
@example(text="^", pattern=".^**.", syntax=Syntax.EXTENDED)
@settings(max_examples=60)
@given(
    text=st.text("ab.*^$ \n", max_size=30),
    pattern=st.text("ab.*^$ [](|)", min_size=1, max_size=6),
    syntax=st.sampled_from([Syntax.BASIC, Syntax.EXTENDED, Syntax.FIXED]),
)
def test_random_patterns_on_random_lines(text: str, pattern: str, syntax: Syntax) -> None:
    """A search through all lines at once finds the lines that match alone."""
    code, expected = grep(syntax.value, "-e", pattern, text=text.encode())
    try:
        compiled = Pattern.parse(pattern, syntax)
    except UsageError:
        return  # some that Python refuses grep makes something of
    if code != 2:
        assert ours(compiled, text.encode()) == expected


def test_what_is_no_pattern_is_refused() -> None:
    """With the pattern, and what is wrong."""
    for text in ("[a", "[[:nonsense:]]", "a\\"):
        with pytest.raises(UsageError, match=r"regular expression|not closed|class|backslash"):
            Pattern.parse(text, Syntax.EXTENDED)


def test_nothing_but_the_error_is_said_of_a_pattern_that_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    """RE2 would say it on standard error, too."""
    with pytest.raises(UsageError, match=r"'a\{2000\}' is not a regular expression: "):
        Pattern.parse("a{2000}", Syntax.EXTENDED)
    assert capfd.readouterr().err == ""


def test_simple_patterns_are_known_to_be_simple() -> None:
    """A block of tar is only looked at closely if it holds the literal."""
    assert Pattern.parse("AccessDenied", Syntax.BASIC).literal == b"AccessDenied"
    assert Pattern.parse(r"REST\.GET", Syntax.EXTENDED).literal == b"REST.GET"
    assert Pattern.parse("REST.GET", Syntax.BASIC).literal is None
    assert Pattern.parse("a", Syntax.FIXED, ignore_case=True).literal is None
    assert Pattern.parse("404", Syntax.FIXED, ignore_case=True).literal == b"404"


@pytest.mark.parametrize(
    ("text", "is_local"), [("a.b", True), ("^a", False), ("a$", False), (r"\<a", False), (r"\w", True)]
)
def test_anchored_patterns_are_not_looked_for_in_tar(text: str, is_local: bool) -> None:
    """In tar a log's first line begins behind a header: `^` would not be found there."""
    assert Pattern.parse(text, Syntax.BASIC).is_local is is_local


@pytest.mark.parametrize("syntax", [Syntax.BASIC, Syntax.EXTENDED])
@pytest.mark.parametrize("text", ["(a*)*b$", r"\(a*\)*b$", "a.*b.*c.*d.*e", "(a|aa)+$", r"\<(a*)*b\>"])
def test_no_pattern_takes_long_on_any_line(text: str, syntax: Syntax) -> None:
    """A long line made to make a matcher try everything is done with at once, as with grep."""
    pattern = Pattern.parse(text, syntax)
    begin = time.process_time()
    ours(pattern, b"a" * 200_000 + b"!\n" + b"abcd" * 50_000 + b"\n")
    assert time.process_time() - begin < 2


@needs_grep
@pytest.mark.parametrize("text", [r"a\>", r"\<a", r"\<a\>", r"\<a*", r"[ab]*\>", "a", "b*", r"\ba", "(a)(b)"])
def test_spans_are_what_the_pattern_means_and_no_more(text: str) -> None:
    """Though lines may be found by an expression that takes a character more. As grep -o has them."""
    line = b"a ab-a, ba aa"
    expected = grep("-oE", "-e", text, text=line + b"\n")[1].splitlines()
    spans = Pattern.parse(text, Syntax.EXTENDED).spans(line)
    assert [line[start:end] for start, end in spans] == expected


def test_patterns_go_to_other_processes() -> None:
    """Compiled anew there."""
    pattern = Pattern.parse("A(b|c)+", Syntax.EXTENDED, ignore_case=True)
    copy = pickle.loads(pickle.dumps(pattern))
    assert ours(copy, b"xabcx\nx\n") == b"xabcx\n"


@needs_grep
@pytest.mark.parametrize("text", ["\xe9", "\xc9", "[\xe9]", "a\xe9*", "ab"])
def test_only_ascii_is_folded(text: str) -> None:
    """Bytes beyond it are not letters, as for grep in the C locale."""
    lines = "caf\xe9\nCAF\xc9\nAB\n".encode() + b"\xe9\n\xc3\n\xe3\n\xc9\n"
    for syntax in Syntax:
        expected = grep(syntax.value, "-i", "-e", text, text=lines)[1]
        assert ours(Pattern.parse(text, syntax, ignore_case=True), lines) == expected
