"""The questions that come with the program: a `.sql` file each, in `named/`.

A file begins with comments: what it answers, then its caveats, then a line `Parameter NAME (default VALUE): meaning`
for each of its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from itertools import takewhile

from s3_log_roller.errors import UsageError

_PARAMETER = re.compile(r"^-- Parameter (\w+) \(default (.*?)\): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class NamedQuestion:
    """A question and its SQL, comments included."""

    name: str
    text: str

    @property
    def purpose(self) -> str:
        """What it answers, in a sentence."""
        return self.text.partition("\n")[0].removeprefix("-- ")

    @property
    def caveats(self) -> str:
        """What one has to know to read the answer right; often nothing."""
        comments = takewhile(lambda line: line.startswith("-- "), self.text.split("\n")[1:])
        return " ".join(line.removeprefix("-- ") for line in comments if not _PARAMETER.match(line))

    @property
    def defaults(self) -> dict[str, str]:
        """The values of its parameters unless others are given."""
        return dict(_PARAMETER.findall(self.text))

    def with_defaults(self, given: Mapping[str, str]) -> dict[str, str]:
        """All of its parameters. Raises `UsageError` for one that it does not have."""
        defaults = self.defaults
        for name in given:
            if name not in defaults:
                has = f"its parameters are {', '.join(defaults)}" if defaults else "it has none"
                raise UsageError(f"the question {self.name} has no parameter {name}: {has}")
        return {**defaults, **given}


def all_questions() -> list[NamedQuestion]:
    """Every question, by name."""
    paths = (path for path in files(__package__).joinpath("named").iterdir() if path.name.endswith(".sql"))
    texts = {path.name.removesuffix(".sql"): path.read_text(encoding="utf-8") for path in paths}
    return [NamedQuestion(name, text.rstrip("\n")) for name, text in sorted(texts.items())]


def find_question(name: str) -> NamedQuestion:
    """The question of that name. Raises `UsageError`."""
    questions = {question.name: question for question in all_questions()}
    if name in questions:
        return questions[name]
    likely = get_close_matches(name, questions, n=1)
    guess = f": did you mean {likely[0]}?" if likely else ": query --list shows all of them"
    raise UsageError(f"there is no question called {name!r}{guess}")


def describe_questions() -> str:
    """A line for each question."""
    questions = all_questions()
    width = max(len(question.name) for question in questions)
    return "\n".join(f"{question.name:<{width}}  {question.purpose}" for question in questions)
