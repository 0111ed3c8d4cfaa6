"""How a rollup is to be stored, as the headers of the request that creates it: PutObject or CreateMultipartUpload."""

from __future__ import annotations

from urllib.parse import quote

from s3_log_roller.aws.s3.signing import Headers
from s3_log_roller.stored_as import KMS, StoredAs


def creating_headers(stored_as: StoredAs) -> Headers:
    """The headers; none where nothing was asked for. Parts of an upload, and its completion, take none of them."""
    headers = {
        "x-amz-acl": stored_as.acl,
        "x-amz-server-side-encryption": stored_as.sse,
        "x-amz-server-side-encryption-aws-kms-key-id": stored_as.kms_key_id,
        # Thousands of rollups then cost a few calls of KMS. There are no bucket keys for aws:kms:dsse.
        "x-amz-server-side-encryption-bucket-key-enabled": "true" if stored_as.sse == KMS else "",
        "x-amz-storage-class": stored_as.storage_class,
        "x-amz-tagging": "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in stored_as.tags),
    }
    return tuple((name, value) for name, value in headers.items() if value)
