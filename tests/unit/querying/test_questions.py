"""Each question that comes with the program, on made-up logs whose answer is known."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.support.columns import answer_of
from tests.support.records import CHECKSUM, OWNER, a_line

from s3_log_roller.errors import UsageError
from s3_log_roller.querying.questions import all_questions, describe_questions, find_question

ALICE = "arn:aws:iam::111122223333:user/alice"
MALLORY = "arn:aws:iam::999999999999:user/mallory"


def line(operation: str = "REST.GET.OBJECT", who: str = "-", key: str = "k", **changes: tuple[str, str]) -> str:
    text = a_line().replace(" - 3E57427F3 REST.GET.OBJECT k ", f" {who} 3E57427F3 {operation} {key} ")
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new, 1)
    return text


STATUS = {status: ('" 200 -', f'" {status}') for status in ("204 -", "403 AccessDenied", "503 SlowDown")}
_LINES = [
    line(who=ALICE, key="a/b/1", n=(" 113 9 7 3 ", " 1000 9 900 3 ")),
    line(who=ALICE, key="a/b/1", n=(" 113 9 7 3 ", " 500 9 7 3 ")),
    line(who=MALLORY, key="a/2", s=STATUS["403 AccessDenied"]),
    line("REST.PUT.OBJECT", ALICE, "a/b/1"),
    line("REST.PUT.OBJECT", ALICE, "unread%2520key"),
    line("REST.DELETE.OBJECT", ALICE, "gone", s=STATUS["204 -"], t=("TLSv1.2", "TLSv1")),
    line("REST.DELETE.OBJECT", MALLORY, "kept", s=STATUS["403 AccessDenied"]),
    line("BATCH.DELETE.OBJECT", ALICE, "batch", s=STATUS["204 -"]),
    line("S3.EXPIRE.OBJECT", "AmazonS3", "old", s=('" 200 -', '" - -')),
    line("REST.PUT.BUCKETPOLICY", ALICE, "-", acl=("TLSv1.2 - -", "TLSv1.2 - Yes")),
    line(s=STATUS["503 SlowDown"], sig=("SigV4", "SigV2")),
    CHECKSUM,
    "nonsense",
]
LINES = [text.replace(" 3E57427F3 ", f" {number:016X} ", 1) for number, text in enumerate(_LINES)]
"""Each with a request id of its own, as S3 gives them: answers in the order of ids are the same every time."""
TRUTH: dict[str, list[dict[str, object]]] = {
    "who-deleted": [
        {"key": "batch", "kind": "batch", "requester": ALICE},
        {"key": "gone", "kind": "request", "requester": ALICE},
        {"key": "old", "kind": "lifecycle rule", "requester": "AmazonS3"},
    ],
    "refused": [
        {"requester": MALLORY, "operation": "REST.DELETE.OBJECT", "requests": 1},
        {"requester": MALLORY, "operation": "REST.GET.OBJECT", "requests": 1},
    ],
    "server-errors": [
        {"operation": "REST.GET.OBJECT", "errors": 1, "requests": 4, "percent": 25.0, "error_codes": ["SlowDown"]}
    ],
    "anonymous": [{"bucket": "b", "operation": "REST.GET.OBJECT", "requests": 1, "successful": 0}],
    "old-tls": [{"tls": "TLSv1", "requester": ALICE, "requests": 1}],
    "sigv2": [{"requester": "anonymous", "requests": 1}],
    "acls-needed": [{"requester": ALICE, "operation": "REST.PUT.BUCKETPOLICY", "requests": 1}],
    "top-keys": [{"key": "a/b/1", "requests": 3, "bytes_sent": 1613}, {"key": "a/2", "requests": 1}],
    "bytes-by-requester": [{"requester": ALICE, "requests": 7, "bytes_sent": 2065}, {"requester": MALLORY}],
    "bytes-by-prefix": [{"prefix": "a", "requests": 4, "bytes_sent": 1726}, {"prefix": "", "requests": 5}],
    "bytes-by-address": [{"remote_ip": "192.0.2.3", "requests": 10, "requesters": 2}],
    "never-read": [{"key": "unread key", "bytes": 9}],
    "slowest": [{"total_time": 900, "key": "a/b/1"}, {"total_time": 7}],
    "lifecycle": [{"operation": "S3.EXPIRE.OBJECT", "objects": 1, "bytes": 9}],
    "config-changes": [{"operation": "REST.PUT.BUCKETPOLICY", "requester": ALICE, "http_status": 200}],
    "other-accounts": [
        {"account": "999999999999", "requester": MALLORY, "requests": 2, "successful": 0},
        {"account": "unknown", "requester": "AmazonS3"},
    ],
    "requests-by-day": [{"requests": 10, "refused": 2, "client_errors": 0, "server_errors": 1, "bytes_sent": 2404}],
    "requests-by-operation": [
        {"operation": "REST.GET.OBJECT", "requests": 4, "refused": 1, "server_errors": 1, "bytes_sent": 1726},
        {"operation": "REST.DELETE.OBJECT", "requests": 2, "refused": 1, "server_errors": 0},
        {"operation": "REST.PUT.OBJECT", "requests": 2, "refused": 0},
        {"operation": "BATCH.DELETE.OBJECT", "requests": 1},
        {"operation": "REST.PUT.BUCKETPOLICY", "requests": 1},
    ],
    "deletes-by-requester": [
        {"requester": "AmazonS3", "kind": "lifecycle rule", "objects": 1},
        {"requester": ALICE, "kind": "batch", "objects": 1},
        {"requester": ALICE, "kind": "request", "objects": 1},
    ],
    "overview": [
        {
            "records": 12,
            "requests": 10,
            "bytes_sent": 2404,
            "refused": 2,
            "server_errors": 1,
            "deleted": 3,
            "anonymous": 1,
            "old_tls": 1,
        }
    ],
}
GIVEN = {"other-accounts": {"account": "111122223333"}}
STARTS = frozenset({"top-keys", "bytes-by-requester", "bytes-by-prefix", "slowest"})
"""Of their answers the truth is the beginning."""


@pytest.mark.parametrize("name", [question.name for question in all_questions()])
def test_the_answer_is_the_truth(name: str) -> None:
    """Row by row; and the columns that are left out of reading change nothing."""
    question = find_question(name)
    parameters = question.with_defaults(GIVEN.get(name, {}))
    rows = answer_of(question.text, LINES, parameters)
    assert rows == answer_of(question.text, LINES, parameters, all_columns=True)
    truth = TRUTH[name]
    shown = rows[: len(truth)] if name in STARTS else rows
    assert [{column: row[column] for column in true} for row, true in zip(shown, truth, strict=True)] == truth
    if "time" in rows[0] and name != "slowest":
        assert rows[0]["time"] == datetime(2019, 2, 6, 0, 0, 38, tzinfo=UTC)


def test_every_question_says_what_it_answers() -> None:
    """In a sentence, with the meaning of every parameter; nobody needs to read the SQL."""
    for question in all_questions():
        assert question.purpose.endswith("."), question.name
        assert question.purpose in describe_questions()
        assert set(question.defaults) == {word.strip(",)") for word in _dollars(question.text)}


def _dollars(text: str) -> list[str]:
    sql = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [part.split()[0] for part in sql.split("$")[1:] if part[0].isalpha()]


def test_a_question_takes_its_parameters_and_no_others() -> None:
    """Their values never become SQL."""
    question = find_question("who-deleted")
    odd = question.with_defaults({"key": "' OR true --"})
    assert answer_of(question.text, LINES, odd) == []
    assert [row["key"] for row in answer_of(question.text, LINES, question.with_defaults({"key": "g%"}))] == ["gone"]
    with pytest.raises(UsageError, match="has no parameter k: its parameters are key"):
        question.with_defaults({"k": ""})
    with pytest.raises(UsageError, match="did you mean who-deleted"):
        find_question("who-delete")
    assert OWNER not in str(TRUTH)
