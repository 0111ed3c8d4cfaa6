"""Which buckets of an account log where, and what is wrong with it.

The account is a port: `aws.accounts` asks AWS. A call that is not allowed is told of, and everything else goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Protocol, TypeVar

from s3_log_roller.errors import RollerError
from s3_log_roller.log_keys import parse_log_key
from s3_log_roller.planning.delivery import Delivery, may_deliver

CALLS_AT_ONCE: Final = 16
QUIET_DAYS: Final = 3
"""Logs usually come within hours; none for so many days, today not counted, is worth a word."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, order=True)
class FoundBucket:
    """A bucket of the account."""

    name: str
    region: str


@dataclass(frozen=True, slots=True)
class Logging:
    """Where a bucket's server access logs go."""

    target: str
    """The bucket that the logs go to."""
    prefix: str
    partitioned_by: str
    """`event time` or `delivery time` for date-partitioned keys; empty for simple ones."""

    @property
    def uri(self) -> str:
        """The target prefix, as `plan` and `roll` take it."""
        return f"s3://{self.target}/{self.prefix}"

    @property
    def key_format(self) -> str:
        """For people."""
        return f"partitioned by {self.partitioned_by}" if self.partitioned_by else "simple"


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """What a bucket that logs are delivered to is set to; None if that could not be asked."""

    policy: Mapping[str, Any] | None = None
    """The bucket policy; empty if there is none."""
    acl_lets_logs_in: bool | None = None
    keeps_by_default: bool | None = None
    """Object Lock has a default retention."""
    requester_pays: bool | None = None


class Account(Protocol):
    """An AWS account, to be asked. All methods raise a `RollerError` when a call failed; it names the call."""

    partition: str

    def account_id(self) -> str:
        """Its 12 digits."""

    def list_buckets(self) -> list[FoundBucket]:
        """All its buckets."""

    def logging(self, bucket: FoundBucket) -> Logging | None:
        """Where the bucket logs; None if it does not."""

    def policy(self, bucket: FoundBucket) -> Mapping[str, Any]:
        """The bucket's policy; empty if it has none."""

    def acl_lets_logs_in(self, bucket: FoundBucket) -> bool:
        """Whether the bucket's ACL lets the log delivery group write."""

    def keeps_by_default(self, bucket: FoundBucket) -> bool:
        """Whether Object Lock has a default retention there."""

    def requester_pays(self, bucket: FoundBucket) -> bool:
        """Whether requesters pay there."""

    def is_there(self, bucket: str) -> bool:
        """Whether a bucket of somebody else's exists by that name."""

    def first_keys(self, bucket: FoundBucket, prefix: str, start_after: str) -> list[str]:
        """The first keys with that prefix behind `start_after`, in one request."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with a bucket."""

    kind: str
    """A name that stays, for programs."""
    bucket: str
    text: str
    """A sentence whose subject is the bucket."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found."""

    buckets: Mapping[str, FoundBucket]
    logging: Mapping[str, Logging]
    """Where each bucket logs to, for the buckets that log."""
    problems: Sequence[Problem]
    refused: Sequence[str]
    """Calls that failed, and why: what they would have told is missing."""

    @property
    def targets(self) -> dict[tuple[str, str], list[str]]:
        """(target, prefix) and the buckets whose logs go there."""
        found: dict[tuple[str, str], list[str]] = {}
        for source, logging in sorted(self.logging.items(), key=lambda item: (item[1].target, item[1].prefix, item[0])):
            found.setdefault((logging.target, logging.prefix), []).append(source)
        return found

    @property
    def prefixes(self) -> list[str]:
        """The target prefixes in buckets of the account, as URIs that `plan` and `roll` take."""
        return [f"s3://{target}/{prefix}" for target, prefix in self.targets if target in self.buckets]


def discover(account: Account, today: date) -> Discovery:
    """Ask about every bucket of the account. Raises a `RollerError` only if the buckets cannot be listed."""
    inquiry = _Inquiry(account, today)
    with ThreadPoolExecutor(CALLS_AT_ONCE, "discover") as pool:
        answers = dict(zip(inquiry.buckets, pool.map(inquiry.logging_of, inquiry.buckets.values()), strict=True))
        logging = {name: one for name, answer in answers.items() if answer is not None for one in answer if one}
        targets = sorted({one.target for one in logging.values()})
        settings = dict(zip(targets, pool.map(inquiry.look_at_target, targets), strict=True))
        known = [(source, one) for source, one in logging.items() if one.target in inquiry.buckets]
        for source, one in known:
            inquiry.check(source, one, settings[one.target])
        list(pool.map(inquiry.listen, known))
    for name, answer in answers.items():
        if answer == (None,) and name not in targets:
            inquiry.say("no_logging", name, "does not log")
    problems = sorted(inquiry.problems, key=lambda one: (one.kind == "no_logging", one.bucket, one.kind))
    return Discovery(inquiry.buckets, logging, problems, sorted(inquiry.refused))


class _Inquiry:
    """The questions, and what came of them."""

    def __init__(self, account: Account, today: date) -> None:
        self.problems: list[Problem] = []
        self.refused: set[str] = set()
        self.buckets = {bucket.name: bucket for bucket in sorted(account.list_buckets())}
        self._account = account
        self._since = today - timedelta(days=QUIET_DAYS)
        self._account_id = self.ask(account.account_id) or ""

    def say(self, kind: str, bucket: str, text: str) -> None:
        """Something is wrong with that bucket."""
        self.problems.append(Problem(kind, bucket, text))

    def ask(self, question: Callable[[], T]) -> T | None:
        """The answer; None, and the refusal is noted, where the call fails."""
        try:
            return question()
        except RollerError as error:
            self.refused.add(str(error))
            return None

    def logging_of(self, bucket: FoundBucket) -> tuple[Logging | None] | None:
        """Where the bucket logs, as a tuple of one; None if that cannot be asked."""
        return self.ask(lambda: (self._account.logging(bucket),))

    def look_at_target(self, name: str) -> TargetSettings:
        """What the target is set to. One that is not among the account's buckets is gone, or somebody else's."""
        account, target = self._account, self.buckets.get(name)
        if target is not None:
            return TargetSettings(
                self.ask(lambda: account.policy(target)),
                self.ask(lambda: account.acl_lets_logs_in(target)),
                self.ask(lambda: account.keeps_by_default(target)),
                self.ask(lambda: account.requester_pays(target)),
            )
        is_there = self.ask(lambda: account.is_there(name))
        if is_there:
            self.say("target_elsewhere", name, "is a target in another account: S3 delivers no logs there")
        elif is_there is not None:
            self.say("target_gone", name, "is a target, but does not exist: logs for it are lost")
        return TargetSettings()

    def check(self, source: str, logging: Logging, settings: TargetSettings) -> None:
        """What the settings of a source and its target say."""
        name, here, there = logging.target, self.buckets[source].region, self.buckets[logging.target].region
        if source == name:
            self.say("logs_into_itself", source, "logs into itself: every log delivered makes another one, for ever")
        if here and there and here != there:
            text = f"is in {here}, its target s3://{name} in {there}: S3 delivers no logs there"
            self.say("other_region", source, text)
        if settings.policy is not None and settings.acl_lets_logs_in is not None:
            delivery = Delivery(self._account.partition, self._account_id, source, name, logging.prefix)
            reason = may_deliver(settings.policy, delivery, acl_allows=settings.acl_lets_logs_in)
            if reason:
                self.say("not_allowed_to_deliver", source, f"cannot deliver to {logging.uri}: {reason}")
        if settings.keeps_by_default:
            text = f"logs to s3://{name}, where Object Lock has a default retention: S3 delivers no logs there"
            self.say("default_retention", source, text)
        if settings.requester_pays:
            text = f"logs to s3://{name}, where requesters pay: S3 delivers no logs there"
            self.say("requester_pays", source, text)

    def listen(self, known: tuple[str, Logging]) -> None:
        """Say so if no log was delivered lately; one LIST tells."""
        source, logging = known
        prefix, since = logging.prefix, str(self._since)
        if logging.partitioned_by:
            if not self._account_id:
                return
            prefix += f"{self._account_id}/{self.buckets[source].region}/{source}/"
            since = f"{self._since:%Y/%m/%d}/"
        target = self.buckets[logging.target]
        keys = self.ask(lambda: self._account.first_keys(target, prefix, f"{prefix}{since}"))
        if keys is None or any(_is_log(key, prefix, exactly=not logging.partitioned_by) for key in keys):
            return
        text = f"has logging on, but no log came to s3://{target.name}/{prefix} since {self._since}"
        self.say("no_delivery", source, text)


def _is_log(key: str, prefix: str, *, exactly: bool) -> bool:
    log = parse_log_key(key)
    return log is not None and (log.target_prefix == prefix if exactly else log.target_prefix.startswith(prefix))
