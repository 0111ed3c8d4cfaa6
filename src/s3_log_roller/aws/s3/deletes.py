"""Many objects deleted as fast as the server lets them be, with an answer for every single one.

S3 grants at least 3,500 writes a second for a prefix, and each key of a DeleteObjects call may count as one. What it
puts off, key by key or with the whole call, is sent again, and nothing else is. How many keys are under way, and how
many in one call, follows from what is granted. An attempt counts only if nothing at all was deleted meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from typing import Final

from s3_log_roller.aws.s3.calls import Calls, content_md5, quote_query
from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.limit import PATIENCE_S, AdaptiveLimit
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import (
    DeleteAnswer,
    UnreadableAnswer,
    delete_request,
    delete_versions_request,
    is_not_xml,
    parse_delete_answer,
    parse_single_delete,
)
from s3_log_roller.errors import StorageError
from s3_log_roller.store import DeleteFailure, DeleteReport

DELETE_BATCH: Final = 1_000
DELETES_IN_FLIGHT: Final = 4
SINGLES_IN_FLIGHT: Final = 64
MIN_KEYS_IN_FLIGHT: Final = 8
GROWTH_KEYS: Final = 100
"""More keys under way after a round of calls in which nothing was put off."""
LAST_ANSWERS_S: Final = 10.0
"""So long an interrupted delete waits for the answers to what it has asked for already."""

logger = logging.getLogger(__name__)


def delete(
    calls: Calls, objects: Iterable[tuple[str, str]], report: DeleteReport, markers: dict[str, str] | None = None
) -> DeleteReport:
    """See `Store.delete`. An interruption waits for the answers to the calls under way, up to `LAST_ANSWERS_S`.

    `markers` gets the version ids of the delete markers that were written, by key.
    """
    return _Deleting(calls, objects, report, markers, versions=False).run()


def delete_by_version(calls: Calls, objects: Iterable[tuple[str, str]], report: DeleteReport) -> DeleteReport:
    """Delete (key, version id) pairs, one version of a key, for good. The report is filled in as `delete` does."""
    return _Deleting(calls, objects, report, None, versions=True).run()


class _Deleting:
    """One delete: the keys that are waiting, the requests under way, and the answers."""

    def __init__(
        self,
        calls: Calls,
        objects: Iterable[tuple[str, str]],
        report: DeleteReport,
        markers: dict[str, str] | None,
        *,
        versions: bool,
    ) -> None:
        self._calls = calls
        self._markers = markers
        self._versions = versions
        """The objects are named by their version ids, not by their ETags."""
        self._transport = calls.transport
        self._source: Iterator[tuple[str, str]] = iter(objects)
        self._limit = AdaptiveLimit(
            DELETES_IN_FLIGHT * DELETE_BATCH, MIN_KEYS_IN_FLIGHT, DELETES_IN_FLIGHT * DELETE_BATCH, growth=GROWTH_KEYS
        )
        self._exhausted = False
        self._under_way: list[_Batch] = []
        self._keys_under_way = 0
        self._singly = False
        """The server does not know DeleteObjects."""
        self._fruitless = 0
        """Rounds of calls since anything was deleted."""
        self._began_at = self._progress_at = time.monotonic()
        self._not_before = 0.0
        self._report = report

    def run(self) -> DeleteReport:
        """Delete everything. Raises the error of a call that failed for good as a whole."""
        try:
            while self._under_way or not self._exhausted:
                self._submit()
                if self._take_answers():
                    continue
                pause_s = self._not_before - time.monotonic()
                if self._under_way:
                    self._transport.step(min(1.0, pause_s) if pause_s > 0 else 1.0)
                elif pause_s > 0:
                    time.sleep(pause_s)
            self._tell_end()
            return self._report
        except KeyboardInterrupt:
            self._await_last_answers()
            raise
        finally:
            for batch in self._under_way:
                self._transport.cancel(batch.request)

    def _await_last_answers(self) -> None:
        """Take the answers to the calls under way, which nobody can call back, and ask for nothing more."""
        give_up_at = time.monotonic() + LAST_ANSWERS_S
        for batch in [one for one in self._under_way if not one.request.attempts]:  # not sent yet
            self._transport.cancel(batch.request)
            self._under_way.remove(batch)
        with suppress(StorageError):  # it was interrupted: that is what the caller hears of
            while self._under_way and time.monotonic() < give_up_at:
                if not self._take_answers():
                    self._transport.step(0.1)

    def _tell_end(self) -> None:
        fields = {
            "bucket": self._calls.bucket,
            "deleted": self._report.deleted,
            "failed": len(self._report.failures),
            "seconds": round(time.monotonic() - self._began_at, 3),
            "keys_in_flight": int(self._limit.value),
        }
        logger.debug("deletes_done", extra=fields)

    def _submit(self) -> None:
        """Start as many calls as the limit has room for."""
        if time.monotonic() < self._not_before:
            return
        most, most_keys = (SINGLES_IN_FLIGHT, 1) if self._singly else (DELETES_IN_FLIGHT, DELETE_BATCH)
        while len(self._under_way) < most:
            size = min(most_keys, max(1, int(self._limit.value) // most))
            room = int(self._limit.value) - self._keys_under_way
            if room < min(size, MIN_KEYS_IN_FLIGHT):
                return
            keys = dict(islice(self._source, min(size, room)))
            self._exhausted = not keys
            if not keys:
                return
            if not self._singly and any(map(is_not_xml, keys)):
                self._singly = True  # a path can have them
                self._source = chain(keys.items(), self._source)
                self._submit()
                return
            batch = _Batch(self._calls, keys, self._limit.epoch, singly=self._singly, versions=self._versions)
            self._under_way.append(batch)
            self._keys_under_way += len(keys)
            self._transport.submit(batch.request)

    def _take_answers(self) -> bool:
        """Whether there were any."""
        answered = [batch for batch in self._under_way if batch.request.done]
        for batch in answered:
            self._under_way.remove(batch)
            self._keys_under_way -= len(batch.keys)
            batch.request.check = None  # it refers back to the batch: a cycle
            request = batch.request
            answer = batch.read_single() if batch.singly else batch.answer
            if request.put_off:
                self._put_off(batch, dict.fromkeys(batch.keys, ""), slow_down=request.slowed_down)
            elif request.status in (405, 501) and not batch.singly:
                self._begin_singly(batch)
            elif answer is None:
                raise failure(self._calls.bucket, request)
            else:
                self._account(batch, answer)
        return bool(answered)

    def _account(self, batch: _Batch, answer: DeleteAnswer) -> None:
        """Add the answers for every key to the report; no answer is a failure, unless the key was put off."""
        report = self._report
        deleted = len(batch.keys.keys() & answer.deleted)
        report.deleted += deleted
        report.markers += len(answer.markers)
        if self._markers is not None:
            self._markers |= answer.markers
        report.failures += answer.failures
        refused = {refused.key for refused in answer.failures}
        unanswered = batch.keys.keys() - answer.deleted - refused - answer.put_off.keys()
        report.failures += [DeleteFailure(key, "S3 did not answer for this key") for key in sorted(unanswered)]
        if deleted or not answer.put_off:
            self._fruitless = 0
            self._progress_at = time.monotonic()
        if answer.put_off:
            mine = {key: why for key, why in answer.put_off.items() if key in batch.keys}
            self._put_off(batch, mine, slow_down=True)
        else:
            self._limit.succeeded(len(batch.keys))

    def _put_off(self, batch: _Batch, reasons: dict[str, str], *, slow_down: bool) -> None:
        """Send those keys again a little later, or give up."""
        request = batch.request
        if batch.epoch == self._limit.epoch:
            self._fruitless += 1
        self._limit.complained(batch.epoch)
        now = time.monotonic()
        tried_enough = self._fruitless >= self._transport.wire.max_attempts
        if tried_enough and not (slow_down and now - self._progress_at < PATIENCE_S):
            if request.put_off:
                request.attempts = self._fruitless
                raise failure(self._calls.bucket, request)
            self._give_up(reasons)
            return
        self._exhausted = False
        self._source = chain([(key, batch.keys[key]) for key in reasons], self._source)
        wait_s = self._transport.backoff_s(self._fruitless)
        if slow_down and now < (give_up_at := self._progress_at + PATIENCE_S):
            wait_s = min(wait_s, give_up_at - now)  # the last attempt is made when patience ends, not long after it
        self._not_before = max(self._not_before, now + wait_s)
        fields = {"bucket": self._calls.bucket, "keys": len(reasons), "keys_in_flight": int(self._limit.value)}
        logger.debug("deletes_put_off", extra=fields | {"status": request.status, "wait_s": round(wait_s, 3)})

    def _give_up(self, reasons: dict[str, str]) -> None:
        """The server deletes nothing more: say so of every key that is left."""
        self._report.gave_up = True
        self._report.failures += [DeleteFailure(key, why) for key, why in reasons.items()]
        why = next(iter(reasons.values()))
        self._report.failures += [DeleteFailure(key, f"not asked for: {why}") for key, _ in self._source]
        self._exhausted = True

    def _begin_singly(self, batch: _Batch) -> None:
        self._singly, self._exhausted = True, False
        self._source = chain(batch.keys.items(), self._source)
        sentence = (
            f"The server of s3://{self._calls.bucket} does not know DeleteObjects. Originals are deleted one by one, "
            "which takes longer and is as safe."
        )
        logger.warning("deletes_one_by_one", extra={"bucket": self._calls.bucket, "sentence": sentence})


class _Batch:
    """One call: DeleteObjects for many keys with their ETags or version ids, or DeleteObject for one."""

    def __init__(self, calls: Calls, keys: dict[str, str], epoch: int, *, singly: bool, versions: bool) -> None:
        self.keys = keys
        self.epoch = epoch
        self.answer: DeleteAnswer | None = None
        first_key, first_value = next(iter(keys.items()))
        self.singly = singly
        operation = "s3:DeleteObjectVersion" if versions else "s3:DeleteObject"
        if singly:
            query = f"versionId={quote_query(first_value)}" if versions else ""
            headers = () if versions else (("if-match", f'"{first_value}"'),)
            path = calls.path(first_key)
            self.request = Request(operation, "DELETE", path, query, headers, first_key)
        else:
            body = delete_versions_request(keys.items()) if versions else delete_request(keys.items())
            md5_header = (("content-md5", content_md5(body)),)
            path = calls.bucket_path
            self.request = Request(operation, "POST", path, "delete=", md5_header, first_key, body, self._check)
        self.request.watched = True  # what becomes of a refused call is decided here

    def _check(self, request: Request) -> str | None:
        try:
            self.answer = parse_delete_answer(request.answer)
        except UnreadableAnswer as error:
            return str(error)
        return None

    def read_single(self) -> DeleteAnswer | None:
        """The answer for the one key; None if the call failed for a reason that is not the object's."""
        request = self.request
        written = request.header("x-amz-delete-marker") == "true"
        marker = request.header("x-amz-version-id") or "" if written else None
        return parse_single_delete(request.key, request.status, request.answer, marker=marker)
