"""Whose a rollup will be: in somebody else's bucket with ACLs on, an object belongs to the account that writes it.

The bucket's owner then can't read it, and must not lose the originals for it. What needs no special permission is asked
first: whose the credentials are (STS), and whether the bucket is of that account (a listing that S3 is to refuse
otherwise). Only of a bucket of another account its setting has to be known. If STS can't be reached, nobody knows
whose the bucket is, and the run goes on: nearly all buckets are of the account that rolls them up.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, Protocol

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from s3_log_roller.aws.s3.calls import Calls, quote_query
from s3_log_roller.aws.s3.request import Request
from s3_log_roller.aws.s3.signing import OWNER_HEADER
from s3_log_roller.errors import StorageError
from s3_log_roller.stored_as import OWNER_CONTROL, StoredAs

if TYPE_CHECKING:
    import boto3

ENFORCED: Final = "BucketOwnerEnforced"
"""ACLs are off; everything belongs to the bucket's owner."""
PREFERRED: Final = "BucketOwnerPreferred"
"""What is written with the ACL `bucket-owner-full-control` belongs to the bucket's owner."""
OBJECT_WRITER: Final = "ObjectWriter"
"""What is written belongs to the writer. It is so, too, where a bucket has no setting."""
UNKNOWN: Final = ""

logger = logging.getLogger(__name__)


class Questions(Protocol):
    """What has to be known of a bucket and of the credentials."""

    def account(self) -> str:
        """The account of the credentials; empty if nobody says it."""

    def belongs_to(self, account: str, key: str) -> bool | None:
        """Whether the bucket is of that account, asked at a key that may be listed; None if nobody says it."""

    def setting(self) -> str:
        """The bucket's Object Ownership, or `UNKNOWN`."""


def check_ownership(bucket: str, key: str, stored_as: StoredAs, ask: Questions) -> None:
    """Raise `StorageError` where that rollup would belong to the writer in another account's bucket."""
    account = ask.account()
    own = ask.belongs_to(account, key) if account else None
    if own is None:
        logger.debug("owner_unknown", extra={"bucket": bucket})
    if own is not False:
        return
    setting = ask.setting()
    if setting == ENFORCED or (stored_as.acl == OWNER_CONTROL and setting in (PREFERRED, UNKNOWN)):
        return
    where = f"s3://{bucket} is of another account than these credentials ({account})"
    if setting == UNKNOWN:
        raise StorageError(
            f"{where}, and whose a rollup would be there is not known: allow s3:GetBucketOwnershipControls, or give "
            f"--acl {OWNER_CONTROL}, so that its owner can read the rollups in any case; nothing was written or deleted"
        )
    remedy = f"give --acl {OWNER_CONTROL}"
    if setting == OBJECT_WRITER:
        remedy = (
            f"have its owner set it to {ENFORCED}, which switches ACLs off, or use a role of that account (--s3-role)"
        )
    raise StorageError(
        f"{where} and has ACLs on (Object Ownership {setting}): a rollup would belong to the writer and "
        f"not to the bucket's owner; {remedy}; nothing was written or deleted"
    )


class AskAws:
    """`Questions` to AWS."""

    def __init__(self, session: boto3.Session, calls: Calls, region: str, expected_owner: str | None) -> None:
        self._session = session
        self._calls = calls
        self._config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
        self._region = region
        self._expected_owner = expected_owner

    def account(self) -> str:
        """See `Questions.account`."""
        try:
            return self._session.client("sts", region_name=self._region, config=self._config).get_caller_identity()[
                "Account"
            ]
        except (BotoCoreError, ClientError):
            return ""

    def belongs_to(self, account: str, key: str) -> bool | None:
        """See `Questions.belongs_to`."""
        if self._expected_owner:
            return self._expected_owner == account  # S3 holds every request to it
        query = f"encoding-type=url&list-type=2&max-keys=1&prefix={quote_query(key)}"
        owner = ((OWNER_HEADER, account),)
        listing = Request("s3:ListBucket", "GET", self._calls.bucket_path, query, owner, key)
        self._calls.transport.run(listing)
        return {200: True, 403: False}.get(listing.status)

    def setting(self) -> str:
        """See `Questions.setting`."""
        s3 = self._session.client("s3", region_name=self._region, config=self._config)
        try:
            rules = s3.get_bucket_ownership_controls(Bucket=self._calls.bucket)["OwnershipControls"]["Rules"]
        except ClientError as error:
            none = error.response.get("Error", {}).get("Code") == "OwnershipControlsNotFoundError"
            return OBJECT_WRITER if none else UNKNOWN
        except BotoCoreError:
            return UNKNOWN
        return rules[0]["ObjectOwnership"] if rules else OBJECT_WRITER
