"""What S3 refused, as errors that tell the user what to do."""

from __future__ import annotations

import logging
import re

from s3_log_roller.aws.s3.limit import PATIENCE_S
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.xml import parse_fields
from s3_log_roller.errors import (
    AlreadyExists,
    CredentialsError,
    ObjectArchived,
    ObjectGone,
    RollerError,
    StorageError,
    WrongRegion,
)

logger = logging.getLogger(__name__)

_CREDENTIAL_CODES = {
    "ExpiredToken": "they have expired: renew them, then run again",
    "InvalidToken": "the session token is not valid: renew the credentials and run again",
    "InvalidAccessKeyId": "the access key does not exist here: check the profile and the endpoint",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it and run again",
}
_ACTION = re.compile(r"not authorized to perform: ([a-z0-9]+:\w+)")
_ALSO_NEEDED = {
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-server-side-encryption-aws-kms-key-id": "kms:GenerateDataKey and kms:Decrypt for the key",
}
"""Permissions that a header takes on top of s3:PutObject."""


def failure(bucket: str, request: Request) -> RollerError:
    """The error of a request that is done without success."""
    what = f"{request.operation} on s3://{bucket}/{request.key}"
    _tell(bucket, request)
    if request.fault:
        tried = _tried(request) or " at once"
        return StorageError(f"{what} failed{tried}: {request.fault}{_network_hint(request)}", code="Network")
    fields = parse_fields(request.answer)
    code = fields.get("Code") or f"HTTP {request.status}"
    message = fields.get("Message", "")
    if request.status == 501 and dict(request.headers).get("if-none-match"):
        return StorageError(
            f"{what} failed: this server does not know If-None-Match, so a rollup could replace another one there; "
            "nothing was written; reading rollups there works",
            code=code,
        )
    if code == "NoSuchBucket":
        return StorageError(f"the bucket s3://{bucket} does not exist (asked with {request.operation})", code=code)
    if request.status == 412 or code in ("ConditionalRequestConflict", "PreconditionFailed"):
        if request.method == "GET":
            return ObjectGone(f"s3://{bucket}/{request.key} was replaced since it was listed", code=code)
        return AlreadyExists(f"s3://{bucket}/{request.key} exists already", code=code)
    if request.status == 404 and request.method in ("GET", "HEAD"):
        return ObjectGone(f"s3://{bucket}/{request.key} is gone since it was listed", code=code)
    if code == "InvalidObjectState":
        return ObjectArchived(
            f"s3://{bucket}/{request.key} is in an archive tier: restore it, then run again", key=request.key
        )
    if code in _CREDENTIAL_CODES:
        return CredentialsError(f"{what}: S3 refused the credentials ({code}): {_CREDENTIAL_CODES[code]}")
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed") and "Region" in fields:
        return WrongRegion(f"{what}: the bucket is in {fields['Region']}")
    if code in ("AccessDenied", "AllAccessDisabled") or request.status == 403:
        return StorageError(f"{what} was refused ({code}: {message}): {_if_refused(request, message)}", code=code)
    if request.status in (301, 302, 307, 308):
        where = fields.get("Endpoint") or "another server"
        return StorageError(f"{what} failed: it was sent on to {where}, which is not S3's and not followed", code=code)
    if tried := _tried(request):
        return StorageError(f"{what} failed{tried}: {code}: {message}".rstrip(": ") + _network_hint(request), code=code)
    return StorageError(f"{what} failed: {code}: {message}".rstrip(": "), code=code)


def _tried(request: Request) -> str:
    if request.in_vain:
        return f", as all requests did for {PATIENCE_S:.0f} s"
    return f" after {request.attempts} attempts" if request.attempts > 1 else ""


def _if_refused(request: Request, message: str) -> str:
    """What to do where S3 says 403. Its messages name the action and the kind of policy since 2024, but not always.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
    """
    if "explicit deny" in message:
        return (
            "a policy denies it, so more permissions for the role don't help. Look at the bucket policy: it may demand "
            "how objects are stored (--sse, --sse-kms-key-id, --tag, --acl, --storage-class)"
        )
    named = _ACTION.search(message)
    advice = f"the credentials need {named[1] if named else request.operation} there"
    if request.operation == "s3:PutObject" and not named:
        asked = dict(request.headers)
        needed = [action for header, action in _ALSO_NEEDED.items() if header in asked]
        advice += "".join(f", and {action}" for action in needed)
        advice += ", or the bucket policy demands how objects are stored (--sse, --tag, --acl)"
    if owner := request.expected_owner:
        advice += f", or the bucket is not of the account {owner}, as --expected-bucket-owner says"
    return advice


def _tell(bucket: str, request: Request) -> None:
    """Log what AWS's support asks for. It is shown with --verbose and in JSON logs."""
    if request.status in (0, 404, 412) or not logger.isEnabledFor(logging.DEBUG):
        return
    fields = parse_fields(request.answer)
    details = {
        "operation": request.operation,
        "bucket": bucket,
        "key": request.key,
        "status": request.status,
        "code": fields.get("Code", ""),
        "request_id": fields.get("RequestId") or request.header("x-amz-request-id") or "",
        "host_id": fields.get("HostId") or request.header("x-amz-id-2") or "",
    }
    logger.debug("refused_by_s3", extra=details)


def single_failure(bucket: str, request: Request) -> StorageError:
    """The error of one request among many. Raises what would fail all the others, too: credentials, the region, a
    server that does nothing."""
    error = failure(bucket, request)
    if isinstance(error, StorageError) and not request.in_vain:
        return error
    raise error


def _network_hint(request: Request) -> str:
    if request.tls_fault:
        return "; check the endpoint, AWS_CA_BUNDLE and the proxy"
    return "; nothing was lost, run again"
