"""The commands, one module each.

A module has `add_arguments(parser)` and `run(args) -> exit code`; its help texts `DESCRIPTION`, `EXAMPLES` and
`EXIT_CODES`; and `IF_INTERRUPTED`, which says after Ctrl-C or SIGTERM what is done and how to go on. It is imported
when its command is asked for. What is slow to import (boto3, libcurl) waits for `run`.
"""
