"""Let boto3 work out how to reach a bucket, check that it may be worked on from here, hand over to the transport."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.httpsession import get_cert_path
from botocore.utils import get_environ_proxies

from s3_log_roller import __version__
from s3_log_roller.aws.errors import translate_error
from s3_log_roller.aws.patience import ATTEMPTS, DEFAULT_TIMEOUT_S, advice, connect_timeout_s, patient
from s3_log_roller.aws.s3.bucket import S3Bucket
from s3_log_roller.aws.s3.calls import Calls
from s3_log_roller.aws.s3.ownership import AskAws
from s3_log_roller.aws.s3.redirects import is_aws_host
from s3_log_roller.aws.s3.signing import OWNER_HEADER, Credentials, Signer
from s3_log_roller.aws.s3.transport import Transport
from s3_log_roller.aws.s3.wire import Wire
from s3_log_roller.errors import (
    CredentialsError,
    NoCredentials,
    RollerError,
    StorageError,
    Unreachable,
    WrongRegion,
    reason,
)
from s3_log_roller.store import MAX_IN_FLIGHT
from s3_log_roller.stored_as import BUCKET_DEFAULTS, StoredAs

logger = logging.getLogger(__name__)

_ATTEMPT_SHARE: Final = 0.4
"""An attempt waits for this share of that time: there are two, and some time between them."""
DEFAULT_MAX_ATTEMPTS: Final = 8
"""Used if neither AWS_MAX_ATTEMPTS nor the profile says how many; backing off takes about a minute in all."""


def open_bucket(
    session: boto3.Session,
    bucket: str,
    *,
    worker_region: str | None = None,
    allow_cross_region: bool = False,
    endpoint_url: str | None = None,
    max_in_flight: int | None = None,
    expected_bucket_owner: str | None = None,
    timeout_s: float | None = None,
    etags_are_md5: bool = True,
    stored_as: StoredAs = BUCKET_DEFAULTS,
) -> S3Bucket:
    """Open a bucket that exists and is in the worker's region (or crossing regions is allowed).

    If an owner is expected, S3 refuses every request once the bucket belongs to another account. What is written
    there is stored as `stored_as` says.

    Endpoint, addressing style, FIPS, dual-stack, proxies, CA bundle, retries and credentials are boto3's answers for
    this session. Costs one HeadBucket. Raises `NoCredentials` and `Unreachable` where no other bucket could be opened
    either. After `timeout_s` a server that does not answer is given up.
    """
    region = worker_region or session.region_name or "us-east-1"
    timeout_s = timeout_s or DEFAULT_TIMEOUT_S
    max_attempts = session._session.get_config_variable("max_attempts") or DEFAULT_MAX_ATTEMPTS
    retries: Any = {"mode": "legacy", "total_max_attempts": min(ATTEMPTS, max_attempts)}
    config = patient(timeout_s).merge(Config(user_agent_extra=_user_agent(), retries=retries))
    credentials = _credentials(session)
    try:
        client = session.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)
        url, bucket_region = _locate(client, bucket, expected_bucket_owner)
        if bucket_region not in (None, client.meta.region_name):
            client = session.client("s3", region_name=bucket_region, endpoint_url=endpoint_url, config=config)
            url, bucket_region = _locate(client, bucket, expected_bucket_owner)
    except ClientError as error:
        raise _refused(bucket, error) from error
    except (BotoConnectionError, HTTPClientError) as error:
        raise Unreachable(
            f"s3://{bucket} cannot be reached: {error}: check --endpoint-url, the region, the proxy and the network; "
            f"{advice(timeout_s)}",
            code="Network",
        ) from error
    except RecursionError as error:  # boto3 asks again and again where the bucket is
        raise Unreachable(
            f"s3://{bucket} cannot be reached: the server sends every request elsewhere, as S3 does not; check "
            "--endpoint-url and the proxy, and whether this network wants you to log in",
            code="Network",
        ) from error
    except BotoCoreError as error:
        raise translate_error(error, "s3:ListBucket", f"s3://{bucket}", None, StorageError) from error
    except ValueError as error:
        raise StorageError(f"s3://{bucket} cannot be reached: {error}") from error
    if worker_region and bucket_region and bucket_region != worker_region and not allow_cross_region:
        raise WrongRegion(
            f"s3://{bucket} is in {bucket_region}, but this run works in {worker_region}: run it in {bucket_region}, "
            "or pay for the traffic between regions with --allow-cross-region"
        )
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].removesuffix({"https": ":443", "http": ":80"}[parts.scheme])
    wire = replace(
        _wire(session, client, f"{parts.scheme}://{host}"),
        connect_timeout_s=connect_timeout_s(timeout_s),
        read_timeout_s=timeout_s * _ATTEMPT_SHARE,
        silence_s=timeout_s,
        max_attempts=max_attempts,
    )
    region = bucket_region or client.meta.region_name
    always = ((OWNER_HEADER, expected_bucket_owner),) if expected_bucket_owner else ()
    signer = Signer(host, region, credentials, always=always)
    transport = Transport(wire, signer, max_in_flight or MAX_IN_FLIGHT)
    logger.debug("opened", extra={"bucket": bucket, "host": host, "region": region, "proxy": bool(wire.proxy)})
    base_path = parts.path.rstrip("/") + "/"
    return S3Bucket(
        bucket,
        base_path,
        transport,
        region,
        tells_restores=is_aws_host(host),
        etags_are_md5=etags_are_md5,
        stored_as=stored_as,
        ask_owner=partial(_ask_aws, session, region, expected_bucket_owner) if is_aws_host(host) else None,
    )


def _ask_aws(session: boto3.Session, region: str, owner: str | None, calls: Calls) -> AskAws:
    return AskAws(session, calls, region, owner)


def _user_agent() -> str:
    return f"s3-log-roller/{__version__}"


def _credentials(session: boto3.Session) -> Callable[[], Credentials]:
    """Ask the session for its credentials of the moment; it refreshes those that can be."""
    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        raise CredentialsError(f"the credentials cannot be read: {error}") from error
    except OSError as error:
        why = f"the program that hands them out cannot be run, {error.filename}: {reason(error)}"
        raise CredentialsError(f"the credentials cannot be read: {why}") from error
    if found is None:
        raise NoCredentials("no AWS credentials found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")

    def current() -> Credentials:
        try:
            frozen = found.get_frozen_credentials()
        except (ClientError, BotoCoreError, RuntimeError) as error:  # the last one: fresh ones that are expired already
            raise CredentialsError(f"the credentials cannot be refreshed: {error}") from error
        return Credentials(frozen.access_key or "", frozen.secret_key or "", frozen.token)

    return current


def _locate(client: Any, bucket: str, owner: str | None) -> tuple[str, str | None]:
    """(the URL boto3 reached the bucket at, the region S3 says it is in)."""
    urls: list[str] = []
    client.meta.events.register_first("before-send.s3.HeadBucket", lambda request, **_: urls.append(request.url))
    try:
        answer = client.head_bucket(Bucket=bucket, **({"ExpectedBucketOwner": owner} if owner else {}))
    except ClientError as error:
        answer = error.response
        # HeadBucket names no prefix, so a policy that is bound to one refuses it, and S3 tells the region all the same.
        # What else may be wrong, the first listing will say better: this answer has no body.
        status = answer["ResponseMetadata"]["HTTPStatusCode"]
        if status == 400:
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)  # its answer has a body, and says why
        if status != 403:
            raise
    return urls[-1], answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")


def _refused(bucket: str, error: ClientError) -> RollerError:
    """HeadBucket has no body to explain itself with; the status is all there is."""
    code = error.response.get("Error", {}).get("Code", "")
    if code in ("404", "NoSuchBucket"):
        return StorageError(f"the bucket s3://{bucket} does not exist", code="NoSuchBucket")
    if code in ("400", "ExpiredToken", "InvalidToken"):
        return CredentialsError(
            f"s3:ListBucket on s3://{bucket}: S3 refused the credentials, or found the request malformed ({code}): "
            "renew the credentials, then run again"
        )
    if code == "407":
        return Unreachable(
            "the proxy wants a user name and a password, or other ones (407): write them into HTTP_PROXY or "
            f"HTTPS_PROXY, as in http://USER:PASSWORD@HOST:PORT; s3://{bucket} was not touched",
            code="Network",
        )
    return StorageError(f"s3:ListBucket on s3://{bucket} failed: {error}; nothing was touched, run again", code=code)


def _wire(session: boto3.Session, client: Any, origin: str) -> Wire:
    config = client.meta.config
    proxies = config.proxies if config.proxies is not None else get_environ_proxies(origin)
    ca_bundle = session._session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")
    return Wire(
        origin,
        proxy=(proxies or {}).get(urlsplit(origin).scheme) or "",
        ca_bundle=ca_bundle or get_cert_path(True),
        user_agent=_user_agent(),
    )
