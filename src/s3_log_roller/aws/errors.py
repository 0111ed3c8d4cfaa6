"""boto3's exceptions as this program's errors: one line that names the call, the thing, the region and what to do."""

from __future__ import annotations

import re
from typing import Final

from s3_log_roller.aws import patience
from s3_log_roller.errors import CredentialsError, RollerError, reason

_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEYS: Final = frozenset(
    {"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", "InvalidToken", "AuthFailure"}
)
_WRONG_SECRET: Final = frozenset({"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"})
_DENIED: Final = frozenset(
    {"AccessDenied", "AccessDeniedException", "AccessDenied.Exception", "UnauthorizedOperation", "NotAuthorized"}
)
_MARKUP: Final = re.compile(r"<(\?xml|!doctype|html)\b", re.IGNORECASE)


def error_code(error: Exception) -> str:
    """AWS's code for a refused call; empty for anything else."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
    return str(code).removeprefix("AWS.SimpleQueueService.")


def is_denied(error: Exception) -> bool:
    """The credentials are good but may not do this."""
    return error_code(error) in _DENIED


def translate_error(
    error: Exception,
    call: str,
    resource: str,
    region: str | None,
    kind: type[RollerError],
    *,
    timeout_s: float | None = None,
) -> RollerError:
    """The error to raise for a boto3 exception: `CredentialsError` where the credentials are at fault, else `kind`.

    `call` is written as in a policy (`sqs:SendMessage`), so that a user can search for it.
    """
    where = f"{call} on {resource}" + (f" in {region}" if region else "")
    code = error_code(error)
    advice = _credentials_advice(error, code)
    if advice:
        return CredentialsError(f"{where}: {advice}")
    if code in _DENIED:
        return kind(f"{where}: not allowed; let the caller's policy and the resource's policy allow {call}")
    name = type(error).__name__
    if name == "NoRegionError":
        return kind(f"{where}: no region; give --region or set AWS_REGION")
    if name in {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ReadTimeoutError"}:
        hint = f"check the region, the endpoint and the network; {patience.advice(timeout_s)}"
        return kind(f"{where}: no answer; {hint} ({_one_line(error)})")
    said = _one_line(error)
    if code and _MARKUP.search(said):
        service = call.partition(":")[0].upper()
        return kind(
            f"{where}: the server's answer ({code}) is not one of {service}'s; check AWS_ENDPOINT_URL_{service}"
        )
    return kind(f"{where}: {said}")


def _credentials_advice(error: Exception, code: str) -> str:
    if code in _EXPIRED:
        return "the credentials have expired; renew them and run again"
    if code in _UNKNOWN_KEYS:
        return "the access key or session token is not valid here; check --profile, the environment and the endpoint"
    if code in _WRONG_SECRET:
        return f"the signature was refused ({code}); check the secret key and this machine's clock"
    name = type(error).__name__
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"the program that hands out credentials cannot be run ({error.filename}: {reason(error)})"
    if name == "NoCredentialsError":
        return "no credentials found; give --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if name in {"PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError"} or (
        "SSO" in name or "Unauthorized" in name
    ):
        return f"the credentials could not be loaded; log in again and run again ({_one_line(error)})"
    return ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
