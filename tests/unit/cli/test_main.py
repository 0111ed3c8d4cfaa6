from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from multiprocessing import sharedctypes
from pathlib import Path

import pytest
from tests.support.paging import PageByPage
from tests.support.waiting import wait_for

from s3_log_roller import clock
from s3_log_roller.aws import sqs as queues
from s3_log_roller.aws.buckets import Buckets
from s3_log_roller.cli import main as cli
from s3_log_roller.cli.output import Unwritable
from s3_log_roller.cli.parser import COMMANDS
from s3_log_roller.errors import QueueError, StorageError, UsageError
from s3_log_roller.log_keys import DayGroup
from s3_log_roller.rolling.figures import Figures
from s3_log_roller.rolling.options import RollOptions
from s3_log_roller.rolling.outcome import RollOutcome
from s3_log_roller.rolling.queue import InProcessQueue
from s3_log_roller.rolling.tasks import RollTask
from s3_log_roller.rolling.window import Window
from s3_log_roller.rollup.compression import DEFAULT_LEVEL
from s3_log_roller.store import ListedObject, Page
from s3_log_roller.uris import Role

TODAY = date(2022, 7, 3)
LOG = "2022-07-01-01-02-03-0123456789ABCDEF"
ROLE_ARN = "arn:aws:iam::123456789012:role/s3-rollup-bucket-access"


class Bucket(PageByPage):
    def __init__(self, bucket: str) -> None:
        self.bucket = bucket

    def list_page(
        self, prefix: str, start_after: str = "", *, max_keys: int = 1000, continuation_token: str = ""
    ) -> Page:
        keys = [key for key in (f"{prefix}{LOG}",) if key > start_after]
        return Page([ListedObject(key, "e", 1, 0, False) for key in keys], False)


class World:
    """Every bucket but `gone` holds one log under any prefix; SQS is a queue in memory."""

    def __init__(self) -> None:
        self.queue = InProcessQueue()
        self.roles: set[Role | None] = set()
        self.rolled: list[tuple[RollTask, bool, int]] = []
        self.roll: Callable[[RollTask], RollOutcome] = lambda task: RollOutcome(
            task.group, Figures(rollups=1, packed=9, bytes_in=33_000, bytes_out=8_000), ("k",)
        )

    @contextmanager
    def lease(self, buckets: Buckets, bucket: str, role: Role | None, owner: str | None = None) -> Iterator[Bucket]:
        self.roles.add(role)
        if bucket == "gone":
            raise StorageError("the bucket s3://gone does not exist")
        yield Bucket(bucket)

    def reconcile(self, store: Bucket, task: RollTask, options: RollOptions, **_: object) -> RollOutcome:
        self.rolled.append((task, options.delete, options.level))
        return self.roll(task)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(clock, "utc_today", lambda: TODAY)
    monkeypatch.setattr(Buckets, "lease", lambda buckets, *args: world.lease(buckets, *args))
    monkeypatch.setattr("s3_log_roller.rolling.roll.reconcile", world.reconcile)
    monkeypatch.setattr(queues, "SqsQueue", lambda session, name, timeout_s: world.queue)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    return world


def run(line: str) -> int:
    return cli.main(line.split())


def test_the_three_commands_of_the_documentation(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Word for word, the sts form of the role's ARN included; and then the worker finds what the producer sent."""
    code = run(
        "producer --queue-name s3-rollup-us-west-2 "
        "--s3-role arn:aws:sts::123456789012:role/s3-rollup-bucket-access "
        "--prefixes s3://bucket1/ s3://bucket2/logs/ s3://bucket3/access-logs/example.com/"
    )
    assert code == 0
    assert world.roles == {Role(ROLE_ARN)}
    assert capsys.readouterr().out == "3 prefixes scanned with 3 requests: 3 day groups found, 3 tasks sent.\n"

    assert run("worker --queue-name s3-rollup-us-west-2 --delete") == 0
    groups = [str(task.group) for task, _, _ in world.rolled]
    assert groups == [
        "s3://bucket1/2022-07-01",
        "s3://bucket2/logs/2022-07-01",
        "s3://bucket3/access-logs/example.com/2022-07-01",
    ]
    assert all(delete and level == DEFAULT_LEVEL for _, delete, level in world.rolled)
    assert capsys.readouterr().out == (
        "3 day groups done.\n"
        "3 rollups written and verified: 27 logs, 99.0 kB packed into 24.0 kB (4.1 times smaller).\n"
    )


def test_a_producer_says_when_the_queue_still_holds_tasks_of_earlier_runs(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """More is sent than can be done before the next run, and it says what one can do."""
    assert run("producer --queue-name q --prefixes s3://logs/") == 0
    assert "still holds" not in capsys.readouterr().err
    assert run("producer --queue-name q --prefixes s3://logs/") == 0
    assert "The queue q still holds 1 task of earlier runs" in capsys.readouterr().err


def test_roll_does_both_and_deletes_nothing_unasked(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole output: the summary on standard output, one event a line on standard error."""
    assert run("roll --prefixes s3://logs/web/ --level 3") == 0
    assert world.rolled == [(RollTask(DayGroup("logs", "web/", date(2022, 7, 1)), Window(TODAY)), False, 3)]
    output = capsys.readouterr()
    assert output.out == (
        "1 prefix scanned with 1 request: 1 day group found.\n"
        "1 day group done.\n"
        "1 rollup written and verified: 9 logs, 33.0 kB packed into 8.0 kB (4.1 times smaller).\n"
    )
    assert output.err == ("s3://logs/web/2022-07-01: 9 logs rolled up into k, 33.0 kB packed into 8.0 kB\n")


def test_excluded_day_groups_are_not_rolled(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither by `roll` nor, since no task is sent, by a worker; the summary says how many were left out."""
    assert run("roll s3://logs/web/ s3://logs/api/ --exclude s3://logs/api/") == 0
    assert [task.group.target_prefix for task, *_ in world.rolled] == ["web/"]
    assert "1 day group found, 1 excluded.\n" in capsys.readouterr().out
    assert run("producer --queue-name q s3://logs/web/ s3://logs/api/ --exclude s3://logs/web/") == 0
    assert "1 day group found, 1 excluded, 1 task sent.\n" in capsys.readouterr().out


def test_json_is_all_there_is_on_standard_output(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """A program can parse it; the log can be JSON as well."""
    assert run("roll --prefixes s3://logs/ --json --log-format json") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["logs_packed"] == 9
    assert [json.loads(line)["event"] for line in output.err.splitlines()] == ["rolled"]


def test_quiet_says_nothing_when_all_is_well(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """For cron: only failures make noise."""
    assert run("roll --prefixes s3://logs/ -q") == 0
    assert capsys.readouterr() == ("", "")


def test_one_bad_prefix_is_exit_code_3_and_the_others_are_done(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The failure is in the log and in the summary."""
    assert run("roll --prefixes s3://gone/a/ s3://logs/") == 3
    assert len(world.rolled) == 1
    output = capsys.readouterr()
    assert output.out.endswith("1 failed:\n  s3://gone/a/: the bucket s3://gone does not exist\n")
    assert "error: s3://gone/a/ could not be scanned: the bucket s3://gone does not exist\n" in output.err
    assert run("producer --queue-name q --prefixes s3://gone/") == 1


def test_a_queue_that_cannot_be_read_is_not_called_empty(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A queue that is missing, or a receive that is denied: one error, and no word of there being nothing to do."""

    def receive(wait_seconds: int) -> None:
        raise QueueError("sqs:ReceiveMessage on queue q: the queue does not exist")

    monkeypatch.setattr(world.queue, "receive", receive)
    assert run("worker --queue-name https://sqs.us-west-2.amazonaws.com/1/q") == 1
    assert capsys.readouterr() == ("", "s3-log-roller: sqs:ReceiveMessage on queue q: the queue does not exist\n")


def test_count_ends_a_worker(world: World) -> None:
    """The rest stays in the queue."""
    world.queue.send(RollTask(DayGroup("logs", f"{n}/", date(2022, 7, 1)), Window(TODAY)) for n in range(3))
    assert run("worker --queue-name q --count 2") == 0
    assert len(world.rolled) == 2
    assert world.queue.receive(0) is not None


@pytest.mark.parametrize(("interruption", "code"), [(KeyboardInterrupt, 130), (cli.Terminated, 143)])
def test_an_interrupted_run_says_what_is_done_and_how_to_go_on(
    world: World, capsys: pytest.CaptureFixture[str], interruption: type[KeyboardInterrupt], code: int
) -> None:
    """Exit code 130 for Ctrl-C, 143 for SIGTERM, and the summary of what was finished before."""
    done = world.roll

    def roll(task: RollTask) -> RollOutcome:
        if len(world.rolled) == 2:
            raise interruption
        return done(task)

    world.roll = roll
    assert run("roll --prefixes s3://logs/ s3://more/") == code
    output = capsys.readouterr()
    assert "1 rollup written and verified" in output.out
    assert output.out.endswith(
        "Interrupted: 1 day group found and not done. The figures are of what was done until then; nothing is lost, "
        "run again to go on.\n"
    )
    assert output.err.endswith(": what is done stays done; run again to go on\n")


def test_a_machine_that_refuses_is_one_error_and_not_a_bug(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full temporary folder, where processes would share memory. One process needs none."""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sharedctypes, "RawArray", refuse)
    assert cli.main(["roll", "--prefixes", "s3://logs/"]) == 0
    capsys.readouterr()
    assert cli.main(["roll", "--prefixes", "s3://logs/", "--processes", "2"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "s3-log-roller: this machine does not let the program work: No space left on device; "
        "see to that, then run again\n"
    )


@pytest.mark.parametrize(("line", "code"), [("roll --prefixes s3://logs/", 0), ("roll --prefixes logs", 2)])
def test_a_closed_standard_error_stops_nothing(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, code: int
) -> None:
    """As `2>&-` leaves it: the work is done, and the exit code tells what it always tells."""
    monkeypatch.setattr(sys, "stderr", None)
    assert run(line) == code
    assert len(world.rolled) == (code == 0)
    sys.stderr.close()


def test_a_bug_is_admitted(world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, the traceback for the report, and one line that says what it is."""
    monkeypatch.setattr(clock, "utc_today", lambda: 1 // 0)
    assert run("roll --prefixes s3://logs/") == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert error.endswith("s3-log-roller: this is a bug in the roller: please report it with the lines above\n")


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (UsageError("the day is wrong"), 2, "s3-log-roller: the day is wrong\n"),
        (StorageError("no access"), 1, "s3-log-roller: no access\n"),
        (KeyboardInterrupt(), 130, "s3-log-roller: interrupted by Ctrl-C: nothing was done\n"),
        (cli.Terminated(), 143, "s3-log-roller: terminated by SIGTERM: nothing was done\n"),
        (BrokenPipeError(), 141, ""),
        (
            OSError(errno.EMFILE, "Too many open files", "a file"),
            1,
            "s3-log-roller: this machine does not let the program work: a file: Too many open files; "
            "see to that, then run again\n",
        ),
    ],
)
def test_however_a_run_ends_the_exit_code_and_one_line_tell(
    raised: BaseException,
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The codes are those of the help texts and of shells; a reader that went away is told nothing."""
    given_up = []

    def raise_it(argv: list[str]) -> int:
        raise raised

    monkeypatch.setattr(cli, "run_command", raise_it)
    monkeypatch.setattr(cli, "discard_stdout", lambda: given_up.append(True))
    assert cli.main([]) == code
    assert capsys.readouterr() == ("", says)
    assert bool(given_up) is (code == 141)


def test_output_that_cannot_be_written_is_an_error_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is still in the buffer when the work is done counts, too: `cat > file` on a full disk."""

    def refuse() -> None:
        raise Unwritable("the disk is full")

    monkeypatch.setattr(cli, "run_command", lambda argv: 0)
    monkeypatch.setattr(cli, "flush_stdout", refuse)
    assert cli.main([]) == 1
    assert capsys.readouterr().err == "s3-log-roller: the disk is full\n"


PREFIX = "--prefixes s3://logs/"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "name a command: roll, discover, plan, producer"),
        ("rolll", "there is no command 'rolll': did you mean roll?"),
        ("x", "there is no command 'x' (see s3-log-roller --help)"),
        ("roll", "say what to roll up: s3-log-roller roll s3://BUCKET/PREFIX"),
        (
            "roll --prefixes-from no-such-file",
            "--prefixes-from no-such-file cannot be read: No such file or directory\n",
        ),
        (f"roll {PREFIX} --exclude logs/", "'logs/' is not an S3 URI"),
        ("roll --prefixes http://logs/", "'http://logs/' is not an S3 URI: write s3://BUCKET/PREFIX"),
        ("roll --prefixes s3://", "'' is not a valid bucket name"),
        (f"roll {PREFIX} --s3-role me", "'me' is not the ARN of a role"),
        (f"roll {PREFIX} --external-id x1", "--external-id needs --s3-role"),
        (f"roll {PREFIX} --min-age-days 0", "'0' is not a whole number, 1 or more"),
        (f"roll {PREFIX} --level 13", "'13' is not a whole number, from 1 to 9"),
        (f"roll {PREFIX} --since 2022-7-1", "'2022-7-1' is not a date: write YYYY-MM-DD"),
        (f"roll {PREFIX} --since 20220701", "'20220701' is not a date: write YYYY-MM-DD"),
        (f"roll {PREFIX} --since 2022-07-03", "the last day allowed is 2022-07-02 (today is 2022-07-03)"),
        (f"roll {PREFIX} --since 2022-06-02 --until 2022-06-01", "the last day allowed is 2022-06-01"),
        (f"roll {PREFIX} --endpoint-url localhost:8333", "'localhost:8333' is not a valid URL: write http://HOST:PORT"),
        (f"roll {PREFIX} --del", "roll has no option --del: did you mean --delete? (see s3-log-roller roll --help)"),
        (f"roll {PREFIX} --regoin=x", "roll has no option --regoin: did you mean --region?"),
        (f"roll {PREFIX} --zzz", "roll has no option --zzz (see"),
        ("grep -E ( x", "'(' is not a regular expression: missing )\n"),
        (
            "verify --manifest no-such-file s3://logs/",
            "--manifest no-such-file cannot be read: No such file or directory\n",
        ),
        ("worker --queue-name q some", "worker does not take 'some'"),
        ("worker --queue-name q --count 1 --forever", "not allowed with argument"),
        ("worker --queue-name q --count -1", "'-1' is not a whole number, 1 or more"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    world: World, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    """It names what is wrong and what to write; nothing was touched."""
    assert run(line) == 2
    output = capsys.readouterr()
    assert words in output.err
    assert output.err.count("\n") == 1
    assert output.err.startswith("s3-log-roller: ")
    assert output.out == ""
    assert world.roles == set()


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_tells_examples_and_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a user needs without a manual."""
    with pytest.raises(SystemExit) as caught:
        run(f"{command} --help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert re.search(rf"^examples:\n(  # .*\n)?  s3-log-roller {command}", text, re.MULTILINE)
    listed = re.findall(r"^  (\d+) +(\S.*)$", text.split("\nexit codes:\n")[1], re.MULTILINE)
    codes = [int(code) for code, _ in listed]
    assert codes == sorted(set(codes))
    assert {0, 2, 130} <= set(codes)


def test_today_is_the_utc_date() -> None:
    """A worker in any time zone means the same day."""
    from datetime import UTC

    before = datetime.now(UTC).date()
    assert before <= clock.utc_today() <= datetime.now(UTC).date()


def python(
    *arguments: str, code: str = "import sys; from s3_log_roller.cli.main import main; sys.exit(main())"
) -> list[str]:
    return [sys.executable, "-c", code, *arguments]


ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_help_imports_nothing_slow() -> None:
    """Neither boto3 nor rich nor libcurl nor process pools are loaded to show a help text or a usage error."""
    code = (
        "import sys; from s3_log_roller.cli.main import main\n"
        "try: main(['roll', '--help'])\n"
        "except SystemExit: pass\n"
        "main(['roll'])\n"
        "slow = {'boto3', 'botocore', 'rich', 'pycurl', 'multiprocessing', 'concurrent'} & set(sys.modules)\n"
        "sys.exit(f'imported: {slow}' if slow else 0)\n"
    )
    ran = subprocess.run(python(code=code), env=ENVIRONMENT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`s3-log-roller --help | head -1` ends quietly, and so does a summary nobody reads."""
    code = (
        "import sys, time; from s3_log_roller.cli.output import print_result\n"
        "sys.stdin.read(); print_result('x' * 100_000); print_result('y'); sys.exit(3)\n"
    )
    with subprocess.Popen(
        python(code=code), env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_the_program_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """One line on standard error, the exit code shells expect, no traceback."""
    started = tmp_path / "started"
    program = (
        "import sys, time; from pathlib import Path\n"
        "from s3_log_roller import clock; from s3_log_roller.cli import main as cli\n"
        f"def wait(): Path({str(started)!r}).touch(); time.sleep(600)\n"
        "clock.utc_today = wait\n"
        "sys.exit(cli.main(['roll', '--prefixes', 's3://logs/']))\n"
    )
    with subprocess.Popen(python(code=program), env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        wait_for(started.exists, every=0.01)
        process.send_signal(number)
        assert process.stderr
        errors = process.stderr.read()
    assert process.returncode == code
    assert errors.endswith(": what is done stays done; run again to go on\n")
    assert errors.count("\n") == 1


def test_the_program_takes_the_descriptors_that_the_system_grants() -> None:
    """macOS gives 256 unasked, fewer than there are requests in flight."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        cli.allow_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(1024, hard) if hard > 0 else 1024, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        cli.allow_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= soft
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
