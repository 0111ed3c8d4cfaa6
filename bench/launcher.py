"""Start one command from a small process and say what it used.

    python launcher.py REPORT.json CORES COMMAND...

A process of its own, because Linux counts the memory of the process that started a command as the command's own peak
(`ru_maxrss` survives `exec`), and the benchmark itself is large.
"""

import json
import os
import sys
import time


def main() -> int:
    """Run, wait, write the report; the exit code is the command's."""
    report, cores, *command = sys.argv[1:]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    started = time.monotonic()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall_s = time.monotonic() - started
    with open(report, "w", encoding="utf-8") as file:
        json.dump(
            {
                "wall_s": wall_s,
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "user_s": usage.ru_utime,
                "system_s": usage.ru_stime,
                "peak_mb": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1 << 10) / 1e6,
            },
            file,
        )
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
