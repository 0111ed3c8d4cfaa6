"""One HTTP request to S3 and its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from s3_log_roller.aws.s3.signing import Headers


@dataclass(slots=True, eq=False)
class Request:
    """One S3 call and, once `done`, its answer or what went wrong on the wire for good (`fault`)."""

    operation: str
    """The action as IAM names it, `s3:GetObject`."""
    method: str
    path: str
    query: str = ""
    headers: Headers = ()
    key: str = ""
    """The object that messages name."""
    body: bytes = b""
    check: Callable[[Request], str | None] | None = None
    """Says what is wrong with a successful answer; it is then fetched again."""
    wants_headers: bool = False
    hopeless: bool = False
    """The check found an answer again that will not be another one the next time."""

    done: bool = False
    status: int = 0
    header_lines: Sequence[bytes] = ()
    answer: bytes = b""
    digest: bytes = b""
    """The answer's MD5, if the check took it."""
    fault: str = ""
    tls_fault: bool = False
    attempts: int = 0
    fruitless: int = 0
    """Attempts that count: those since anything else went through while this request was asked to slow down."""
    first_start_s: float = 0.0
    """When the first attempt began, on the transport's clock. Known once one failed."""
    took_s: float = 0.0
    """How long the last attempt took, if it failed on the wire."""
    expected_owner: str = ""
    """The account that the bucket must belong to, where the request was refused."""
    watched: bool = False
    """Before another attempt somebody wants to look: `put_off`, where it would be tried again."""
    put_off: bool = False
    in_vain: bool = False
    """Nothing at all went through, and others fare no better: it is not tried again, or was not sent at all."""
    cancelled: bool = False
    epoch: int = 0
    successes: int = 0
    """How many requests of the transport had succeeded when the last attempt started."""

    @property
    def slowed_down(self) -> bool:
        """Whether the answer asks for fewer requests."""
        return self.status in (429, 503)

    def begin(self, epoch: int, successes: int) -> None:
        """Begin another attempt."""
        self.fault = ""
        self.attempts += 1
        self.epoch = epoch
        self.successes = successes

    def fail_as(self, other: Request) -> None:
        """Be done with what became of another request, without being tried again."""
        self.status, self.answer, self.header_lines, self.fault = (
            other.status,
            other.answer,
            other.header_lines,
            other.fault,
        )
        self.done = self.in_vain = True

    def header(self, name: str) -> str | None:
        """A header of the answer (only with `wants_headers`)."""
        return next((value for rest, value in self.headers_behind(name) if not rest), None)

    def headers_behind(self, prefix: str) -> Iterator[tuple[str, str]]:
        """What follows the prefix in the names of headers of the answer, in lower case, and their values."""
        for line in self.header_lines:
            key, _, value = line.partition(b":")
            name = key.strip().lower().decode("latin-1")
            if name.startswith(prefix):
                yield name.removeprefix(prefix), value.strip().decode("latin-1")
