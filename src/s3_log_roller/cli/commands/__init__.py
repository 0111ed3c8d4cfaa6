"""The commands, one module each: `add_arguments(parser)` and `run(args) -> exit code`.

A module is imported when its command is asked for; what is slow to import (boto3, libcurl) waits for `run`.
"""
