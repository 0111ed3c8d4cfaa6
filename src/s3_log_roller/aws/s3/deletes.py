"""Many objects deleted, with an answer for every single one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

from s3_log_roller.aws.s3.calls import Calls, content_md5
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import DeleteAnswer, UnreadableAnswer, delete_request, parse_delete_answer
from s3_log_roller.errors import StorageError
from s3_log_roller.store import DeleteFailure, DeleteReport

DELETE_BATCH: Final = 1_000
DELETES_IN_FLIGHT: Final = 4
DELETE_ATTEMPTS: Final = 5
"""Of a whole batch, while single keys in it are put off."""


def delete(calls: Calls, objects: Iterable[tuple[str, str]]) -> DeleteReport:
    """See `Store.delete`."""
    transport = calls.transport
    window: deque[_DeleteBatch] = deque()
    report = DeleteReport()
    source = iter(objects)
    try:
        while True:
            while len(window) < DELETES_IN_FLIGHT and (batch := dict(islice(source, DELETE_BATCH))):
                window.append(_DeleteBatch(calls.bucket_path, batch, transport.max_attempts))
                transport.submit(window[-1].request)
            if not window:
                return report
            calls.wait(window[0].request)
            window.popleft().account(report)
    finally:
        for unfinished in window:
            transport.cancel(unfinished.request)


class _DeleteBatch:
    """One DeleteObjects call: up to 1,000 keys with their ETags."""

    def __init__(self, path: str, etags: dict[str, str], max_attempts: int) -> None:
        body = delete_request(etags.items())
        headers = (("content-md5", content_md5(body)),)
        first_key = next(iter(etags))
        self.request = Request("s3:DeleteObject", "POST", path, "delete=", headers, first_key, body, self._check)
        self._keys = etags.keys()
        self._attempts = min(DELETE_ATTEMPTS, max_attempts)
        self._answer: DeleteAnswer | None = None

    def _check(self, request: Request) -> str | None:
        try:
            self._answer = parse_delete_answer(request.answer)
        except UnreadableAnswer as error:
            return str(error)
        if self._answer.worth_retrying and request.attempts < self._attempts:
            return "some deletes were put off"
        return None

    def account(self, report: DeleteReport) -> None:
        """Add the answers for every key to the report; no answer is a failure."""
        answer = self._answer
        if answer is None:
            raise StorageError("a delete was accounted for before it was answered")
        report.deleted += len(self._keys & answer.deleted)
        report.markers += answer.markers
        report.failures += answer.failures
        self.request.check = None  # it refers back to this batch: a cycle that would wait for the garbage collector
        unanswered = self._keys - answer.deleted - {refused.key for refused in answer.failures}
        report.failures += [DeleteFailure(key, "S3 did not answer for this key") for key in sorted(unanswered)]
