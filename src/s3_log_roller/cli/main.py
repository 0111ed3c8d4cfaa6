"""The command line: runs the command, and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

from s3_log_roller.cli.output import Unwritable, discard_stdout, flush_stdout
from s3_log_roller.cli.parser import PROGRAM, parse
from s3_log_roller.errors import RollerError, UsageError, reason
from s3_log_roller.log_output import configure_logging, printable

logger = logging.getLogger(__name__)

_GC_THRESHOLD: Final = 300_000
"""New objects between two searches for reference cycles. What is loaded at the start stays loaded: searching through it
again and again took a third of the CPU time of the start."""


_DESCRIPTORS: Final = 1_024
"""Open files and connections; `select` sees no more of them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def main(argv: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    gc.set_threshold(_GC_THRESHOLD)
    allow_descriptors()
    if sys.stderr is None:  # closed: what would be told there is told to nobody, and the work goes on
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    configure_logging()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = run_command(sys.argv[1:] if argv is None else argv)
        flush_stdout()
        return code
    except UsageError as error:
        return _complain(str(error), 2)
    except (RollerError, Unwritable) as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt as interruption:
        return _interrupted(interruption, "nothing was done")
    except BrokenPipeError:
        discard_stdout()
        return 128 + signal.SIGPIPE
    except OSError as error:
        logger.debug("system_refused", exc_info=True)
        return _complain(_refusal(error), 1)
    except Exception:
        logger.exception("bug")
        return _complain("this is a bug in the roller: please report it with the lines above", 1)
    finally:
        gc.freeze()  # the interpreter would look through everything once more before it ends


def allow_descriptors() -> None:
    """Let the process have `_DESCRIPTORS` open, where the system grants more than it gives unasked (macOS: 256)."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_command(argv: list[str]) -> int:
    """Parse the arguments and run the command. Raises what the command raises."""
    args = parse(argv, os.environ)
    from s3_log_roller.cli.options import configure_output
    from s3_log_roller.cli.signs import never_silent

    configure_output(args)
    command = importlib.import_module(f"s3_log_roller.cli.commands.{args.command}")
    text = getattr(args, "log_format", "") == "text"
    try:
        with never_silent(wanted=text and not (args.quiet or getattr(args, "no_progress", True))):
            code: int = command.run(args)
    except KeyboardInterrupt as interruption:
        return _interrupted(interruption, command.IF_INTERRUPTED)
    return code


def _refusal(error: OSError) -> str:
    """What the system refused, where no part of the program knows more about it."""
    what = f"{error.filename}: " if error.filename is not None else ""
    return f"this machine does not let the program work: {what}{reason(error)}; see to that, then run again"


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


def _interrupted(interruption: KeyboardInterrupt, consequence: str) -> int:
    if isinstance(interruption, Terminated):
        return _complain(f"terminated by SIGTERM: {consequence}", 143)
    return _complain(f"interrupted by Ctrl-C: {consequence}", 130)


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{PROGRAM}: {printable(message)}\n")
    return code
