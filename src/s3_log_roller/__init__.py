"""Roll S3 server access logs up into one verified, compressed tarball per day."""

__version__ = "1.0.0"
