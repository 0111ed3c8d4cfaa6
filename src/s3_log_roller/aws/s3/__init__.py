"""The S3 edge: bulk requests on libcurl, everything about how to reach S3 worked out by boto3."""

from s3_log_roller.aws.s3.bucket import S3Bucket
from s3_log_roller.aws.s3.opening import open_bucket

__all__ = ["S3Bucket", "open_bucket"]
