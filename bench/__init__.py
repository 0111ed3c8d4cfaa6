"""Benchmarks: `python -m bench.run`, against an S3 server of our own, `python -m bench.s3_server`."""
