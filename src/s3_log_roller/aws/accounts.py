"""The control calls that tell of an account's buckets: `planning.discovery.Account` on AWS."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from s3_log_roller.aws.errors import error_code, translate_error
from s3_log_roller.aws.patience import patient
from s3_log_roller.errors import StorageError
from s3_log_roller.planning.discovery import CALLS_AT_ONCE, FoundBucket, Logging

if TYPE_CHECKING:
    import boto3
    from types_boto3_s3 import S3Client

T = TypeVar("T")

LOG_DELIVERY_GROUP: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
_WRITING: Final = ("WRITE", "FULL_CONTROL")
_PARTITIONED_BY: Final = {"EventTime": "event time", "DeliveryTime": "delivery time"}
_DEFAULT_REGION: Final = "us-east-1"
PAGE: Final = 1_000


class AwsAccount:
    """See `planning.discovery.Account`. The calls may come from several threads."""

    def __init__(self, session: boto3.Session, endpoint_url: str | None = None, timeout_s: float | None = None) -> None:
        """A server that does not answer is given up after `timeout_s`."""
        self._session = session
        self._timeout_s = timeout_s
        self._endpoint_url = endpoint_url
        self._region = session.region_name or _DEFAULT_REGION
        self._clients: dict[str, S3Client] = {}
        self._making = threading.Lock()
        self.partition = session.get_partition_for_region(self._region)

    def account_id(self) -> str:
        """See `Account.account_id`."""

        def call() -> str:
            client = self._session.client("sts", region_name=self._region, config=patient(self._timeout_s))
            return client.get_caller_identity()["Account"]

        return self._translated("sts:GetCallerIdentity", "these credentials", self._region, call)

    def list_buckets(self) -> list[FoundBucket]:
        """See `Account.list_buckets`."""

        def call() -> list[FoundBucket]:
            pages = (
                self._client(self._region).get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": PAGE})
            )
            return [
                FoundBucket(bucket["Name"], bucket.get("BucketRegion") or "")
                for page in pages
                for bucket in page.get("Buckets", [])
            ]

        found = self._translated("s3:ListAllMyBuckets", "this account", self._region, call)
        return [bucket if bucket.region else FoundBucket(bucket.name, self._locate(bucket.name)) for bucket in found]

    def logging(self, bucket: FoundBucket) -> Logging | None:
        """See `Account.logging`."""
        answer = self._ask("s3:GetBucketLogging", bucket, lambda s3: s3.get_bucket_logging(Bucket=bucket.name))
        enabled = answer.get("LoggingEnabled")
        if not enabled:
            return None
        partitioned = enabled.get("TargetObjectKeyFormat", {}).get("PartitionedPrefix")
        # S3 API, PartitionedPrefix: event time where nothing is said.
        source = None if partitioned is None else partitioned.get("PartitionDateSource") or "EventTime"
        by = _PARTITIONED_BY.get(source, source) if source else ""
        return Logging(enabled["TargetBucket"], enabled.get("TargetPrefix", ""), by)

    def policy(self, bucket: FoundBucket) -> Mapping[str, Any]:
        """See `Account.policy`."""
        nothing = ("NoSuchBucketPolicy",)
        answer = self._ask("s3:GetBucketPolicy", bucket, lambda s3: s3.get_bucket_policy(Bucket=bucket.name), nothing)
        policy = json.loads(answer.get("Policy") or "{}")
        return policy if isinstance(policy, dict) else {}

    def acl_lets_logs_in(self, bucket: FoundBucket) -> bool:
        """See `Account.acl_lets_logs_in`."""
        answer = self._ask("s3:GetBucketAcl", bucket, lambda s3: s3.get_bucket_acl(Bucket=bucket.name))
        return any(
            grant.get("Grantee", {}).get("URI") == LOG_DELIVERY_GROUP and grant.get("Permission") in _WRITING
            for grant in answer.get("Grants", [])
        )

    def keeps_by_default(self, bucket: FoundBucket) -> bool:
        """See `Account.keeps_by_default`."""
        answer = self._ask(
            "s3:GetBucketObjectLockConfiguration",
            bucket,
            lambda s3: s3.get_object_lock_configuration(Bucket=bucket.name),
            ("ObjectLockConfigurationNotFoundError",),
        )
        return bool(answer.get("ObjectLockConfiguration", {}).get("Rule", {}).get("DefaultRetention"))

    def requester_pays(self, bucket: FoundBucket) -> bool:
        """See `Account.requester_pays`."""
        answer = self._ask(
            "s3:GetBucketRequestPayment", bucket, lambda s3: s3.get_bucket_request_payment(Bucket=bucket.name)
        )
        return answer.get("Payer") == "Requester"

    def is_there(self, bucket: str) -> bool:
        """See `Account.is_there`."""
        from botocore.exceptions import ClientError

        def call() -> bool:
            try:
                self._client(self._region).head_bucket(Bucket=bucket)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 404:
                    return False
                if status not in (301, 400, 403):
                    raise
            return True

        return self._translated("s3:ListBucket", f"s3://{bucket}", self._region, call)

    def first_keys(self, bucket: FoundBucket, prefix: str, start_after: str) -> list[str]:
        """See `Account.first_keys`."""
        answer = self._ask(
            "s3:ListBucket",
            bucket,
            lambda s3: s3.list_objects_v2(Bucket=bucket.name, Prefix=prefix, StartAfter=start_after, MaxKeys=PAGE),
        )
        return [entry["Key"] for entry in answer.get("Contents", [])]

    def _locate(self, name: str) -> str:
        """Where servers do not say it in their list of buckets, one call tells: null stands for us-east-1."""
        bucket = FoundBucket(name, self._region)
        answer = self._ask("s3:GetBucketLocation", bucket, lambda s3: s3.get_bucket_location(Bucket=name))
        return answer.get("LocationConstraint") or _DEFAULT_REGION

    def _ask(
        self,
        call: str,
        bucket: FoundBucket,
        ask: Callable[[S3Client], Mapping[str, Any]],
        nothing_there: Collection[str] = (),
    ) -> Mapping[str, Any]:
        """The answer; empty where S3 answers with one of the codes that say that there is nothing."""
        region = bucket.region or self._region

        def asked() -> Mapping[str, Any]:
            try:
                return ask(self._client(region))
            except Exception as error:
                if error_code(error) in nothing_there:
                    return {}
                raise

        return self._translated(call, f"s3://{bucket.name}", region, asked)

    def _translated(self, call: str, what: str, region: str, ask: Callable[[], T]) -> T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, call, what, region, StorageError, timeout_s=self._timeout_s) from error

    def _client(self, region: str) -> S3Client:
        from botocore.config import Config

        with self._making:
            if region not in self._clients:
                config = patient(self._timeout_s).merge(Config(max_pool_connections=CALLS_AT_ONCE))
                self._clients[region] = self._session.client(
                    "s3", region_name=region, endpoint_url=self._endpoint_url, config=config
                )
            return self._clients[region]
