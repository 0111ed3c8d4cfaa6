"""The CloudFormation template: it lints, and deployed it is the whole machine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.emulator import ARCH
from tests.support.paths import ROOT
from tests.support.sample_bucket import members, put_logs
from tests.support.servers import client
from tests.support.waiting import wait_for

from s3_log_roller.aws.policy import Grant, policies_for
from s3_log_roller.aws_lambda.settings import PREFIX, Settings
from s3_log_roller.demo.servers import REGION, Ministack, SeaweedFS
from s3_log_roller.uris import S3Uri

TEMPLATE = ROOT / "deploy" / "template.yaml"
TERRAFORM = ROOT / "deploy" / "terraform" / "main.tf"

ODD = 'a,b "c"/'
"""A prefix that lists and JSON written by hand would break."""


@pytest.mark.parametrize("deployment", [TEMPLATE, TERRAFORM])
def test_a_deployment_can_set_every_setting(deployment: Path) -> None:
    """No setting of the function is out of reach, and none is set that the function does not know."""
    variables = {PREFIX + field.name.upper() for field in fields(Settings)}
    assert set(re.findall(rf"\b{PREFIX}[A-Z_]+", deployment.read_text())) == variables


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("cfn-lint", [str(TEMPLATE)]),
        ("checkov", ["-f", str(TEMPLATE), "--framework", "cloudformation", "--quiet", "--compact", "--skip-download"]),
        (
            "checkov",
            [
                "-d",
                str(ROOT / "deploy/terraform"),
                "--framework",
                "terraform",
                "--quiet",
                "--compact",
                "--skip-download",
            ],
        ),
    ],
)
def test_linters_pass(tool: str, arguments: list[str]) -> None:
    """No error and no unexplained security finding; what is skipped says why in place."""
    beside_python = Path(sys.executable).parent / tool
    program = str(beside_python) if beside_python.exists() else shutil.which(tool)
    if program is None:
        pytest.skip(f"{tool} is not installed: pip install {tool}")
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


class Stack:
    """The template deployed to ministack, with the function led to the servers."""

    def __init__(self, ministack: Ministack, seaweedfs: SeaweedFS, zip_path: Path, prefixes: list[str]) -> None:
        self.clients = {
            name: client(ministack, name)
            for name in ("cloudformation", "iam", "lambda", "logs", "s3", "scheduler", "sqs")
        }
        self.name = "roller"
        self._deploy(zip_path, prefixes)
        self._lead_to(ministack, seaweedfs)

    def _deploy(self, zip_path: Path, prefixes: list[str]) -> None:
        code = self.clients["s3"]
        code.create_bucket(Bucket="code", CreateBucketConfiguration={"LocationConstraint": REGION})
        code.upload_file(str(zip_path), "code", "function.zip")
        (document,) = policies_for(map(S3Uri.parse, prefixes), Grant(delete=True))
        policy = json.dumps(document)
        arn = self.clients["iam"].create_policy(PolicyName="logs", PolicyDocument=policy)["Policy"]["Arn"]
        parameters = {
            "CodeBucket": "code",
            "CodeKey": "function.zip",
            "Architecture": ARCH,
            "Prefixes": json.dumps(prefixes),
            "S3PolicyArns": arn,
            "Delete": "true",
            "ScheduleState": "DISABLED",
            "TimeoutSeconds": "60",
        }
        formation = self.clients["cloudformation"]
        formation.create_stack(
            StackName=self.name,
            TemplateBody=TEMPLATE.read_text(),
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        stack = wait_for(lambda: self._at_rest(formation))
        assert stack["StackStatus"] == "CREATE_COMPLETE", self._failures(formation)
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def _failures(self, formation: Any) -> list[tuple[str, str]]:
        events = formation.describe_stack_events(StackName=self.name)["StackEvents"]
        reasons = [(event["LogicalResourceId"], event.get("ResourceStatusReason", "")) for event in events]
        return [(name, reason) for name, reason in reasons if reason]

    def _at_rest(self, formation: Any) -> Any:
        (stack,) = formation.describe_stacks(StackName=self.name)["Stacks"]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    def _lead_to(self, ministack: Ministack, seaweedfs: SeaweedFS) -> None:
        """Endpoints for the function; and two numbers that the emulator takes from a template as text."""
        function = self.clients["lambda"]
        variables = function.get_function_configuration(FunctionName=self.name)["Environment"]["Variables"]
        variables |= {
            "AWS_ENDPOINT_URL_S3": seaweedfs.endpoint,
            "AWS_ENDPOINT_URL_STS": seaweedfs.endpoint,
            "AWS_ENDPOINT_URL_SQS": ministack.endpoint,
        }
        function.update_function_configuration(FunctionName=self.name, Environment={"Variables": variables})
        (mapping,) = function.list_event_source_mappings()["EventSourceMappings"]
        function.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": 4})
        redrive = {"deadLetterTargetArn": self.outputs["DeadLetterQueueArn"], "maxReceiveCount": 3}
        # Failed messages come back after 2 seconds instead of 6 minutes.
        attributes = {"VisibilityTimeout": "2", "RedrivePolicy": json.dumps(redrive)}
        self.clients["sqs"].set_queue_attributes(QueueUrl=self.outputs["QueueUrl"], Attributes=attributes)

    def fire(self) -> None:
        """Have the schedule fire once, in a moment."""
        scheduler = self.clients["scheduler"]
        schedule = scheduler.get_schedule(Name=self.outputs["ScheduleName"], GroupName=self.name)
        moment = datetime.now(UTC) + timedelta(seconds=1)
        scheduler.update_schedule(
            Name=schedule["Name"],
            GroupName=self.name,
            ScheduleExpression=f"at({moment:%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow=schedule["FlexibleTimeWindow"],
            Target=schedule["Target"],
            State="ENABLED",
        )

    def invoke(self, payload: dict[str, Any]) -> None:
        """Start the function as Scheduler does: with an event that nobody waits for."""
        self.clients["lambda"].invoke(FunctionName=self.name, InvocationType="Event", Payload=json.dumps(payload))

    def receive(self, queue: str) -> list[str]:
        """The bodies of messages that are waiting in the queue; they are taken off it."""
        sqs, url = self.clients["sqs"], self.outputs[queue]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]

    def messages(self, queue: str) -> int:
        """How many messages the queue holds, given out or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.clients["sqs"].get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def log_streams(self) -> list[list[dict[str, Any]]]:
        """The JSON lines of each of the function's environments."""
        logs, group = self.clients["logs"], self.outputs["LogGroupName"]
        streams = []
        for stream in logs.describe_log_streams(logGroupName=group)["logStreams"]:
            events = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])["events"]
            streams.append([json.loads(event["message"]) for event in events if event["message"].startswith("{")])
        return streams


@pytest.fixture
def stack(ministack: Ministack, seaweedfs: SeaweedFS, function_zip: Path) -> Stack:
    return Stack(ministack, seaweedfs, function_zip, ["s3://whole-machine/logs/", f"s3://whole-machine/{ODD}"])


@pytest.mark.slow
def test_the_whole_machine_runs(stack: Stack, seaweedfs: SeaweedFS) -> None:
    """The schedule fires, tasks are sent, several workers run at once, logs become rollups, and a bad task ends in the
    dead-letter queue alone. A prefix with commas and quotes arrives as it was given. Deleting the stack leaves nothing.
    """
    s3 = client(seaweedfs, "s3")
    s3.create_bucket(Bucket="whole-machine")
    keys = put_logs(s3, "whole-machine", "logs/", days=12, logs=40)
    odd_keys = put_logs(s3, "whole-machine", ODD, days=1, logs=2)
    bad = '{"task":"roll","bad":true}'
    stack.clients["sqs"].send_message(QueueUrl=stack.outputs["QueueUrl"], MessageBody=bad)
    stack.fire()
    wait_for(lambda: len(members(s3, "whole-machine", "logs/")) == len(keys))
    wait_for(lambda: stack.messages("DeadLetterQueueUrl") == 1 and stack.messages("QueueUrl") == 0)
    assert sorted(members(s3, "whole-machine", "logs/")) == sorted(keys)
    assert sorted(members(s3, "whole-machine", ODD)) == sorted(odd_keys)
    assert s3.list_objects_v2(Bucket="whole-machine", Prefix="logs/2")["KeyCount"] == 0

    (dead,) = stack.clients["sqs"].receive_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"])["Messages"]
    assert dead["Body"] == bad

    streams = stack.log_streams()
    rolled = [[event for event in events if event.get("event") == "rolled"] for events in streams]
    assert sum(map(len, rolled)) == 13
    assert sum(map(bool, rolled)) > 1, "one environment did all the work: no two workers at once"

    put_logs(s3, "whole-machine", "logs/", days=1, logs=1)
    _payloads_run_once(stack)

    formation = stack.clients["cloudformation"]
    formation.delete_stack(StackName=stack.name)
    wait_for(lambda: not stack.clients["lambda"].list_functions()["Functions"])
    wait_for(lambda: not [url for url in stack.clients["sqs"].list_queues().get("QueueUrls", []) if "roller-" in url])


def _payloads_run_once(stack: Stack) -> None:
    """A payload that fails as a whole is kept and not run again; one that fails in part is answered."""

    def events(name: str) -> list[dict[str, Any]]:
        return [event for stream in stack.log_streams() for event in stream if event.get("event") == name]

    produced = len(events("produced"))
    bad = {"prefixes": ["s3://no-such-bucket/"]}
    stack.invoke(bad)
    (kept,) = wait_for(lambda: stack.receive("FailedPayloadsQueueUrl"))
    assert json.loads(kept)["requestPayload"] == bad
    assert "no-such-bucket does not exist" in json.loads(kept)["responsePayload"]["errorMessage"]

    stack.invoke({"prefixes": ["s3://no-such-bucket/", "s3://whole-machine/"]})
    wait_for(lambda: len(events("produced")) == produced + 2)
    time.sleep(3)  # Lambda's first retry would come after a minute, the emulator's after a second
    assert len(events("produced")) == produced + 2
    assert len(events("scan_failed")) == 2
    assert stack.receive("FailedPayloadsQueueUrl") == []
