"""The table of sizes in docs/reference/format.md: `python -m bench.sizes`."""

from __future__ import annotations

from typing import Final

from bench.logs import FIRST_DAY, LogSet, generate
from bench.measure import BUCKET, scratch
from bench.rows import tarball_sizes
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.rollup.originals import Originals
from s3_log_roller.rollup.writer import RollupWriter

LOGS: Final = 12_000
MEAN_RECORDS: Final = (7, 4, 3, 2, 1)


def main() -> None:
    """Print the table, and how long a rollup of very few logs is beyond its data."""
    for records in MEAN_RECORDS:
        logs = LogSet(logs=LOGS, records=records)
        rollup = rollup_bytes(logs)
        with scratch() as directory:
            sizes = tarball_sizes(logs, directory)
        mean = sum(len(content.body) for _, content, _ in generate(logs)) / LOGS
        # A longer digest does not compress: 4 bytes of it are in the index as it is.
        ratios = [(rollup + LOGS * more) / sizes["tar | gzip -9"] for more in (0, 4, 12)]
        cells = [f"{mean:,.0f} bytes", *(f"{ratio:.3f}" for ratio in (*ratios, rollup / sizes["tar czf"]))]
        print("| " + " | ".join(cells) + " |")


def rollup_bytes(logs: LogSet) -> int:
    """The length of the rollup of one day of logs."""
    originals = Originals(group := DayGroup(BUCKET, "example.com/", FIRST_DAY))
    members = sorted(generate(logs), key=lambda log: log[0])
    for key, content, mtime in members:
        originals.append(key.removeprefix(group.target_prefix), content.etag, len(content.body), mtime)
    writer = RollupWriter(group, DEFAULT_LEVEL)
    for original, (_, content, _) in zip(originals, members, strict=True):
        writer.add(original, content.body, bytes.fromhex(content.etag))
    for _ in writer.finish():
        pass
    return writer.bytes_out


if __name__ == "__main__":
    main()
