"""The messages of an event, as the worker receives them."""

from __future__ import annotations

from typing import Any

import pytest

from s3_log_roller.aws_lambda.batch import Batch
from s3_log_roller.rolling.queue import InProcessQueue


@pytest.mark.parametrize(("attributes", "receives"), [({"attributes": {"ApproximateReceiveCount": "3"}}, 3), ({}, 1)])
def test_a_message_says_how_often_the_queue_gave_it_out(attributes: dict[str, Any], receives: int) -> None:
    """As SQS tells it: a range that failed before is tried in another way."""
    batch = Batch([{"body": "b", "messageId": "m"} | attributes], InProcessQueue(), lambda: True)
    delivery = batch.receive(0)
    assert delivery is not None
    assert (delivery.receives, delivery.body, delivery.message_id) == (receives, "b", "m")
    assert batch.unacknowledged == ["m"]
    delivery.acknowledge()
    assert batch.unacknowledged == []


def test_the_first_message_is_begun_in_any_case_and_another_only_while_there_is_time() -> None:
    """In the order of the event; what is put off and is no task stays to be given out again."""
    queue = InProcessQueue()
    has_time = [True, False]
    batch = Batch([{"body": name, "messageId": name} for name in "abc"], queue, lambda: has_time.pop(0))
    assert [delivery and delivery.body for delivery in (batch.receive(0), batch.receive(0), batch.receive(0))] == [
        "a", "b", None,
    ]  # fmt: skip
    batch.put_off_rest()
    assert batch.unacknowledged == ["a", "b", "c"]
    assert batch.receive(0) is None
    assert batch.backlog() == 0
