"""What S3 refused: which error it is, and what it says."""

from __future__ import annotations

import logging

import pytest

from s3_log_roller.aws.s3.failures import failure
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.errors import AlreadyExists, CredentialsError, ObjectArchived, ObjectGone, StorageError, WrongRegion


def refused(status: int, code: str = "", more: str = "", method: str = "GET", attempts: int = 1) -> Request:
    request = Request("s3:GetObject", method, "/k", key="k")
    request.status, request.attempts = status, attempts
    request.answer = f"<Error><Code>{code}</Code><Message>why</Message>{more}</Error>".encode() if code else b""
    return request


REGION = "<Region>eu-west-1</Region>"


@pytest.mark.parametrize(
    ("request_", "kind", "message"),
    [
        (refused(404, "NoSuchBucket"), StorageError, "the bucket s3://b does not exist (asked with s3:GetObject)"),
        (refused(412, "Other"), ObjectGone, "s3://b/k was replaced since it was listed"),
        (refused(409, "ConditionalRequestConflict", method="PUT"), AlreadyExists, "s3://b/k exists already"),
        (refused(412, "PreconditionFailed", method="PUT"), AlreadyExists, "s3://b/k exists already"),
        (refused(404, "NoSuchKey"), ObjectGone, "s3://b/k is gone since it was listed"),
        (refused(403, "InvalidObjectState"), ObjectArchived, "s3://b/k is in an archive tier: restore it"),
        (refused(400, "ExpiredToken"), CredentialsError, "(ExpiredToken): they have expired"),
        (refused(301, "PermanentRedirect", REGION), WrongRegion, "the bucket is in eu-west-1"),
        (refused(400, "AuthorizationHeaderMalformed", REGION), WrongRegion, "the bucket is in eu-west-1"),
        (refused(400, "AuthorizationHeaderMalformed"), StorageError, "failed: AuthorizationHeaderMalformed: why"),
        (refused(400, "InvalidRequest", REGION), StorageError, "failed: InvalidRequest: why"),
        (refused(301), StorageError, "it was sent on to another server, which is not S3's"),
        (refused(302, "Moved", "<Endpoint>e.example</Endpoint>"), StorageError, "it was sent on to e.example, which"),
        (refused(308), StorageError, "it was sent on to another server"),
        (refused(500, "InternalError"), StorageError, "s3:GetObject on s3://b/k failed: InternalError: why"),
        (
            refused(500, "InternalError", attempts=2),
            StorageError,
            "failed after 2 attempts: InternalError: why; nothing",
        ),
        (refused(500), StorageError, "failed: HTTP 500"),
    ],
)
def test_a_refusal_is_the_error_that_tells_what_to_do(request_: Request, kind: type[Exception], message: str) -> None:
    """By its status and code."""
    error = failure("b", request_)
    assert type(error) is kind
    assert message in str(error)


@pytest.mark.parametrize(
    ("attempts", "tls", "message"),
    [
        (1, False, "failed at once: reset; nothing was lost, run again"),
        (2, False, "failed after 2 attempts: reset; nothing was lost, run again"),
        (1, True, "failed at once: reset; check the endpoint, AWS_CA_BUNDLE and the proxy"),
    ],
)
def test_a_fault_of_the_network_is_told_with_what_to_look_at(attempts: int, tls: bool, message: str) -> None:
    """And how often it was tried."""
    request = refused(0, attempts=attempts)
    request.fault, request.tls_fault = "reset", tls
    assert str(failure("b", request)).endswith(message)


@pytest.mark.parametrize(("status", "told"), [(0, 0), (404, 0), (412, 0), (403, 1), (500, 1)])
def test_what_support_asks_for_is_told_of_what_is_not_ordinary(
    status: int, told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """At the debug level alone."""
    failure("b", refused(status, "Code"))
    assert caplog.messages == []
    with caplog.at_level(logging.DEBUG):
        failure("b", refused(status, "Code"))
    assert caplog.messages == ["refused_by_s3"] * told
