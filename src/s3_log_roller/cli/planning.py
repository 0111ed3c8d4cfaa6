"""What `plan` and `roll --dry-run` share: from the options to a plan, and to where it is shown."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing
from dataclasses import replace
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, Final, TypedDict

from s3_log_roller import clock
from s3_log_roller.cli import options, prefixes, storing
from s3_log_roller.cli.pages import check_page, import_page, write_page
from s3_log_roller.errors import RollerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from s3_log_roller.aws.buckets import Buckets, Connection
    from s3_log_roller.planning.inventory import Inventory
    from s3_log_roller.planning.plan import Plan
    from s3_log_roller.planning.prices import Prices
    from s3_log_roller.rolling.destination import Destination
    from s3_log_roller.rolling.tasks import ScanTask

logger = logging.getLogger(__name__)

PAGE: Final = "s3_log_roller.planning.page"
DEFAULT_KEEP_DAYS: Final = 365
DEFAULT_MEMORY_MB: Final = 1_769
"""The memory of the function that deploy/ deploys."""


SEED: Final = 7
"""Samples are drawn with this seed, so that the same bucket gives the same plan."""
WIDTH: Final = 80
"""Columns, where standard output is not a terminal."""
MAX_WIDTH: Final = 120


class Screen(TypedDict):
    """What the views need to know of standard output."""

    width: int
    colours: bool


def add_plan_arguments(parser: ArgumentParser, title: str = "the plan") -> None:
    """Add the options that say what the plan reckons with."""
    group = parser.add_argument_group(title)
    group.add_argument("--measure", action="store_true", help="read some logs to learn how well they compress")
    group.add_argument(
        "--sample",
        action="store_true",
        help="estimate days of more than a page instead of counting them; for buckets of hundreds of millions of logs",
    )
    group.add_argument(
        "--keep-days",
        type=options.at_least(1, 36_500),
        default=DEFAULT_KEEP_DAYS,
        metavar="N",
        help=f"how long the logs are kept (default {DEFAULT_KEEP_DAYS})",
    )
    group.add_argument("--html", metavar="FILE", help="also write the plan as a page: one file that needs nothing else")
    group.add_argument("--save", metavar="FILE", help="also write the plan to a file that `roll --plan` takes")
    group.add_argument("--prices", metavar="FILE", help="prices to use instead of those in the package")
    group.add_argument(
        "--lambda-memory",
        type=options.at_least(128, 10_240),
        default=DEFAULT_MEMORY_MB,
        metavar="MB",
        help=f"memory of the Lambda function that would do it (default {DEFAULT_MEMORY_MB})",
    )


def plan_from(args: Namespace) -> Plan:
    """Take the inventory and make the plan. Prefixes that cannot be listed are in its `failures`."""
    from s3_log_roller.aws.buckets import Buckets
    from s3_log_roller.planning.plan import Terms, make_plan

    if args.sample and args.save:
        raise UsageError("--save needs every log counted: leave --sample out")
    if args.html:
        import_page(PAGE)  # before anything is listed
    check_page("--html", args.html)
    check_page("--save", args.save)
    places = prefixes.places_from(args)
    roll_options = storing.roll_options_from(args)
    connection = replace(options.connection_from(args), bucket_regions=prefixes.bucket_regions(places))
    today = clock.utc_today()
    scans = list(chain.from_iterable(prefixes.scans_from(args, places, today)))
    prices = _read_prices(args.prices)
    terms = Terms(
        today=today,
        window=scans[0].window,
        prefixes=tuple(f"s3://{scan.bucket}/{scan.prefix}" for scan in scans),
        delete=roll_options.delete,
        level=roll_options.level,
        stored_as=roll_options.stored_as,
        delete_versions=roll_options.delete_versions,
        destination=roll_options.destination,
        keep_days=args.keep_days,
        lambda_memory_mb=args.lambda_memory,
    )
    failures: dict[str, str] = {}
    inventories = []
    with closing(Buckets(connection)) as buckets:
        for scan in scans:
            try:
                inventories.append(
                    take(
                        buckets,
                        scan,
                        roll_options.destination,
                        with_digests=bool(args.save),
                        sample=args.sample,
                        level=args.level * args.measure,
                    )
                )
            except RollerError as error:
                what = f"s3://{scan.bucket}/{scan.prefix}"
                sentence = f"{what} could not be planned: {error}"
                logger.error("plan_failed", extra={"prefix": what, "why": str(error), "sentence": sentence})
                failures[what] = str(error)
    plan = make_plan(terms, inventories, _prices_of(inventories, prices), failures=failures)
    if args.save:
        _save(plan, scans, connection, args.save)
    return plan


def show(plan: Plan, args: Namespace) -> int:
    """Print the plan as the options say; the exit code tells whether every prefix could be planned."""
    from s3_log_roller.cli.output import print_result

    if args.html:
        write_page("--html", args.html, import_page(PAGE).render_page(plan))
    if args.json:
        from s3_log_roller.planning.document import to_json

        print_result(json.dumps(to_json(plan), indent=2) + "\n")
    elif not args.quiet:
        from s3_log_roller.cli.plan_view import render_plan

        print_result(render_plan(plan, **screen()))
    if not plan.failures:
        return 0
    return 3 if plan.inventories else 1


def _save(plan: Plan, scans: Sequence[ScanTask], connection: Connection, path: str) -> None:
    from s3_log_roller.planning.saved import encode_saved

    if plan.failures:
        raise UsageError(f"not everything could be planned, so nothing was saved: {next(iter(plan.failures.values()))}")
    write_page("--save", path, encode_saved(plan, scans, connection.bucket_regions))


def screen() -> Screen:
    """How wide standard output is, and whether it shows colours."""
    is_terminal = sys.stdout.isatty()
    colours = is_terminal and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return Screen(width=min(MAX_WIDTH, shutil.get_terminal_size().columns) if is_terminal else WIDTH, colours=colours)


def take(
    buckets: Buckets,
    scan: ScanTask,
    destination: Destination | None,
    *,
    with_digests: bool,
    sample: bool = False,
    level: int = 0,
) -> Inventory:
    """The inventory of a scan's prefix; some logs are measured at a compression level, unless that is 0."""
    from s3_log_roller.planning.stocktaking import measure, take_inventory
    from s3_log_roller.rolling.destination import open_destination

    sampling = Random(SEED) if sample else None  # noqa: S311 - nothing is a secret here
    with (
        buckets.lease(scan.bucket, scan.role, scan.owner) as store,
        open_destination(buckets.lease, destination, scan.bucket) as elsewhere,
    ):
        found = take_inventory(
            store, scan.prefix, scan.window, elsewhere=elsewhere, with_digests=with_digests, sampling=sampling
        )
        found.region = store.region
        if level:
            measure(store, found, level)
    return found


def _read_prices(path: str | None) -> Prices | None:
    from s3_log_roller.planning.prices import read_prices

    return read_prices(path) if path else None


def _prices_of(inventories: list[Inventory], given: Prices | None) -> dict[str, Prices]:
    """The prices for each region of these buckets that there are some for."""
    from s3_log_roller.planning.prices import shipped_prices

    found = {}
    for region in {inventory.region for inventory in inventories}:
        prices = given if given is not None and given.hold_in(region) else shipped_prices(region)
        if prices is not None:
            found[region] = prices
    return found
