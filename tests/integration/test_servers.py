"""What the other tests rely on the servers for. Where one fails, it is the server, not the program, that changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.support.faulty_proxy import FaultyProxy
from tests.support.waiting import listens, wait_for

from s3_log_roller.demo.servers import (
    REGION,
    Ministack,
    SeaweedFS,
    ServerNotStarted,
    isolated_environment,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sqs import SQSClient

PART_BYTES = 5 * 1024 * 1024


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """S3's error code and the HTTP status."""
    return error.value.response["Error"]["Code"], error.value.response["ResponseMetadata"]["HTTPStatusCode"]


class TestSeaweedFS:
    """The S3 server keeps the promises of S3 that the program is built on."""

    def test_a_conditional_put_writes_only_where_nothing_is(self, s3: S3Client, bucket: str) -> None:
        """`If-None-Match: *` refuses with 412 what would replace an object, and leaves that object alone."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
        assert refusal(error) == ("PreconditionFailed", 412)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"

    def test_a_conditional_multipart_upload_writes_only_where_nothing_is(self, s3: S3Client, bucket: str) -> None:
        """`If-None-Match: *` holds for CompleteMultipartUpload too."""
        bodies = [b"a" * PART_BYTES, b"b"]

        def upload() -> None:
            upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
            parts: list[Any] = [
                {
                    "PartNumber": number,
                    "ETag": s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=number, Body=body)[
                        "ETag"
                    ],
                }
                for number, body in enumerate(bodies, 1)
            ]
            s3.complete_multipart_upload(
                Bucket=bucket, Key="k", UploadId=upload_id, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )

        upload()
        answer = s3.get_object(Bucket=bucket, Key="k")
        assert answer["Body"].read() == b"".join(bodies)
        assert answer["ETag"].endswith('-2"')
        with pytest.raises(ClientError) as error:
            upload()
        assert refusal(error) == ("PreconditionFailed", 412)

    def test_an_aborted_multipart_upload_leaves_nothing(self, s3: S3Client, bucket: str) -> None:
        """After an abort neither the object nor the upload is listed."""
        upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=1, Body=b"x")
        assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1
        s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload_id)
        assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)

    def test_a_bulk_delete_looks_at_each_etag(self, s3: S3Client, bucket: str) -> None:
        """DeleteObjects deletes an object with the right ETag and keeps one with another.

        An absent object counts as deleted only without an ETag; with one the answer is NoSuchKey.
        """
        etag = s3.put_object(Bucket=bucket, Key="right", Body=b"1")["ETag"]
        s3.put_object(Bucket=bucket, Key="wrong", Body=b"2")
        objects: list[Any] = [{"Key": key, "ETag": etag} for key in ("right", "wrong", "gone")] + [{"Key": "absent"}]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects})
        assert {entry["Key"] for entry in answer["Deleted"]} == {"right", "absent"}
        reasons = {entry["Key"]: entry["Code"] for entry in answer["Errors"]}
        assert reasons == {"wrong": "PreconditionFailed", "gone": "NoSuchKey"}
        assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["wrong"]

    def test_a_folder_is_listed_in_utf8_order_from_any_key(self, s3: S3Client, bucket: str) -> None:
        """Names in one folder come in the order of their UTF-8 bytes, behind `start-after` whether it exists or not."""
        keys = [f"f/{name}" for name in ["a b", "a+b", "a-1", "a:", "a~", "b/1", "b/2", "c", "é", "日", "😀"]]
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert keys == sorted(keys, key=str.encode)
        assert listed(s3, bucket) == keys
        for start in (*keys, "f/a,", "f/b/15", "f/b/:", "f/~", "g"):
            assert listed(s3, bucket, StartAfter=start) == [key for key in keys if key.encode() > start.encode()]
        assert listed(s3, bucket, Prefix="f/a", StartAfter="f/a+", MaxKeys=2) == ["f/a+b", "f/a-1"]

    def test_a_folder_comes_before_its_siblings_unlike_in_s3(self, s3: S3Client, bucket: str) -> None:
        """SeaweedFS sorts a folder by its name without the slash: `a/b` before `a-b`, which S3 lists the other way.

        So no test of key order across folders may rely on this server.
        """
        for key in ("a-b", "a/b"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        assert listed(s3, bucket) == ["a/b", "a-b"]
        assert listed(s3, bucket, StartAfter="a-b") == []

    def test_doubled_slashes_are_joined_unlike_in_s3(self, s3: S3Client, bucket: str) -> None:
        """SeaweedFS takes `a//b` for `a/b`. So no test of such keys may rely on this server."""
        s3.put_object(Bucket=bucket, Key="a//b", Body=b"")
        assert listed(s3, bucket) == ["a/b"]

    def test_a_listing_can_be_url_encoded(self, s3: S3Client, bucket: str) -> None:
        """With `encoding-type=url` every key survives XML."""
        keys = {"a b", "a+b", "a%2Fb", "<&>\"'", "a/é", "a#b?c"}
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
        page = s3.list_objects_v2(Bucket=bucket, EncodingType="url")
        assert page["EncodingType"] == "url"
        assert {unquote_plus(entry["Key"]) for entry in page["Contents"]} == keys

    def test_an_etag_is_the_md5_of_a_plain_object(self, s3: S3Client, bucket: str) -> None:
        """PutObject, GetObject and the listing name the same ETag: the body's MD5."""
        digest = f'"{hashlib.md5(b"body").hexdigest()}"'
        assert s3.put_object(Bucket=bucket, Key="k", Body=b"body")["ETag"] == digest
        assert s3.get_object(Bucket=bucket, Key="k")["ETag"] == digest
        assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"] == digest

    def test_a_ranged_get_answers_that_range(self, s3: S3Client, bucket: str) -> None:
        """A range in the middle and a range of the tail come back as asked, with the whole size."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
        middle = s3.get_object(Bucket=bucket, Key="k", Range="bytes=2-4")
        assert (middle["Body"].read(), middle["ContentRange"]) == (b"234", "bytes 2-4/10")
        assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-3")["Body"].read() == b"789"

    def test_a_get_can_ask_for_one_version_of_the_content(self, s3: S3Client, bucket: str) -> None:
        """`If-Match` with another ETag answers 412."""
        s3.put_object(Bucket=bucket, Key="k", Body=b"1")
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", IfMatch='"00000000000000000000000000000000"')
        assert refusal(error) == ("PreconditionFailed", 412)

    def test_a_bucket_that_is_not_there_is_not_made(self, s3: S3Client) -> None:
        """Reading and writing in an absent bucket both answer NoSuchBucket."""
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket="absent", Key="k", Body=b"")
        assert refusal(error) == ("NoSuchBucket", 404)
        with pytest.raises(ClientError) as error:
            s3.list_objects_v2(Bucket="absent")
        assert refusal(error) == ("NoSuchBucket", 404)

    def test_a_wrong_signature_is_refused(self, seaweedfs: SeaweedFS) -> None:
        """A wrong secret key answers SignatureDoesNotMatch."""
        client = boto3.client(
            "s3",
            endpoint_url=seaweedfs.endpoint,
            region_name=REGION,
            aws_access_key_id=seaweedfs.access_key,
            aws_secret_access_key="wrong",
        )
        with pytest.raises(ClientError) as error:
            client.list_buckets()
        assert refusal(error) == ("SignatureDoesNotMatch", 403)

    @pytest.mark.parametrize("policy", sorted(SeaweedFS.POLICIES))
    @pytest.mark.parametrize("as_role", [False, True], ids=["identity", "role"])
    def test_a_policy_allows_what_it_names_and_nothing_else(
        self,
        s3: S3Client,
        s3_as: Callable[[str], S3Client],
        seaweedfs: SeaweedFS,
        bucket: str,
        policy: str,
        as_role: bool,
    ) -> None:
        """Identities and assumed roles with a policy may do its actions; all others are refused one by one."""
        s3.put_object(Bucket=bucket, Key="old", Body=b"x")
        client = s3_as_role(seaweedfs, policy) if as_role else s3_as(policy)

        def delete() -> None:
            answer = client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "old"}]})
            if answer.get("Errors"):
                assert answer["Errors"][0]["Code"] == "AccessDenied"
                raise PermissionError

        attempts: dict[str, Callable[[], object]] = {
            "s3:GetBucketLocation": lambda: client.get_bucket_location(Bucket=bucket),
            "s3:ListBucket": lambda: client.list_objects_v2(Bucket=bucket),
            "s3:GetObject": lambda: client.get_object(Bucket=bucket, Key="old"),
            "s3:PutObject": lambda: client.put_object(Bucket=bucket, Key="new", Body=b"x", IfNoneMatch="*"),
            "s3:DeleteObject": delete,
        }
        allowed = set()
        for action, attempt in attempts.items():
            try:
                attempt()
            except PermissionError:
                continue
            except ClientError as error:
                assert error.response["Error"]["Code"] == "AccessDenied"  # noqa: PT017 - some succeed
                continue
            allowed.add(action)
        assert allowed == SeaweedFS.POLICIES[policy] & attempts.keys()

    def test_a_role_that_is_not_there_cannot_be_assumed(self, seaweedfs: SeaweedFS) -> None:
        """AssumeRole of an unknown role answers AccessDenied, as AWS does."""
        with pytest.raises(ClientError) as error:
            s3_as_role(seaweedfs, "absent")
        assert refusal(error) == ("AccessDenied", 403)

    def test_only_the_administrator_may_assume_roles(self, seaweedfs: SeaweedFS) -> None:
        """The trust policies of the roles are looked at."""
        with pytest.raises(ClientError) as error:
            s3_as_role(seaweedfs, "roller", *seaweedfs.credentials("read-only"))
        assert refusal(error) == ("AccessDenied", 403)

    def test_the_identity_of_lambda_functions_is_an_administrator(self, seaweedfs: SeaweedFS, bucket: str) -> None:
        """Functions that ministack runs come as `000000000000` with the secret `test`."""
        client = boto3.client(
            "s3",
            endpoint_url=seaweedfs.endpoint,
            region_name=REGION,
            aws_access_key_id="000000000000",
            aws_secret_access_key="test",
        )
        client.put_object(Bucket=bucket, Key="k", Body=b"x")
        assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def listed(s3: S3Client, bucket: str, **arguments: Any) -> list[str]:
    """The keys of one page."""
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, **arguments).get("Contents", [])]


def s3_as_role(seaweedfs: SeaweedFS, policy: str, access_key: str = "", secret_key: str = "") -> S3Client:
    """The S3 client of somebody, by default the administrator, who assumed the role with that policy."""
    sts = boto3.client(
        "sts",
        endpoint_url=seaweedfs.endpoint,
        region_name=REGION,
        aws_access_key_id=access_key or seaweedfs.access_key,
        aws_secret_access_key=secret_key or seaweedfs.secret_key,
    )
    assumed = sts.assume_role(RoleArn=seaweedfs.role_arn(policy), RoleSessionName="test")["Credentials"]
    return boto3.client(
        "s3",
        endpoint_url=seaweedfs.endpoint,
        region_name=REGION,
        aws_access_key_id=assumed["AccessKeyId"],
        aws_secret_access_key=assumed["SecretAccessKey"],
        aws_session_token=assumed["SessionToken"],
    )


class TestMinistack:
    """The SQS server keeps the promises of SQS that the program is built on."""

    def test_a_message_is_hidden_until_its_visibility_ends(self, sqs: SQSClient, queue_url: str) -> None:
        """A received message is not received again before its visibility timeout, then it is."""
        sqs.send_message(QueueUrl=queue_url, MessageBody="body")
        (message,) = sqs.receive_message(QueueUrl=queue_url)["Messages"]
        assert "Messages" not in sqs.receive_message(QueueUrl=queue_url)
        sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        (again,) = sqs.receive_message(QueueUrl=queue_url)["Messages"]
        assert (again["MessageId"], again["Body"]) == (message["MessageId"], "body")

    def test_a_deleted_message_does_not_come_back(self, sqs: SQSClient, queue_url: str) -> None:
        """After DeleteMessage the queue is empty, also for those who wait."""
        sqs.send_message(QueueUrl=queue_url, MessageBody="body")
        (message,) = sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=1)["Messages"]
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        assert "Messages" not in sqs.receive_message(QueueUrl=queue_url, WaitTimeSeconds=2)

    def test_a_message_received_too_often_becomes_a_dead_letter(
        self, sqs: SQSClient, queue_url: str, dead_letter_queue_url: str
    ) -> None:
        """The redrive policy moves it, so one bad message cannot block the queue."""
        sqs.send_message(QueueUrl=queue_url, MessageBody="bad")
        receives = 0
        while "Messages" in sqs.receive_message(QueueUrl=queue_url, VisibilityTimeout=0):
            receives += 1
        redrive = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])["Attributes"]
        assert receives == int(json.loads(redrive["RedrivePolicy"])["maxReceiveCount"])
        (message,) = sqs.receive_message(QueueUrl=dead_letter_queue_url)["Messages"]
        assert message["Body"] == "bad"

    def test_a_queue_that_is_not_there_is_said_to_be_absent(self, sqs: SQSClient) -> None:
        """GetQueueUrl answers QueueDoesNotExist."""
        with pytest.raises(sqs.exceptions.QueueDoesNotExist):
            sqs.get_queue_url(QueueName="absent")


class TestMinistackS3:
    """ministack's S3 keeps those promises of S3 that SeaweedFS does not."""

    def test_any_key_is_kept_in_utf8_order(self, any_key_s3: S3Client, any_key_bucket: str) -> None:
        """Keys are plain strings: `//`, dots and slashes mean nothing, and folders are listed in between."""
        keys = ["/a", "a b", "a+b", "a-b", "a/", "a/../b", "a/./b", "a//b", "a/b", "a0", "a:", "é", "é/x", "😀"]
        for key in keys:
            any_key_s3.put_object(Bucket=any_key_bucket, Key=key, Body=key.encode())
        assert keys == sorted(keys, key=str.encode)
        assert listed(any_key_s3, any_key_bucket) == keys
        for start in (*keys, "a.", "a/c", "b"):
            behind = [key for key in keys if key.encode() > start.encode()]
            assert listed(any_key_s3, any_key_bucket, StartAfter=start) == behind
        for key in keys:
            assert any_key_s3.get_object(Bucket=any_key_bucket, Key=key)["Body"].read() == key.encode()

    def test_writes_and_deletes_are_conditional(self, any_key_s3: S3Client, any_key_bucket: str) -> None:
        """`If-None-Match: *` refuses to replace an object, and a bulk delete looks at each ETag."""
        any_key_s3.put_object(Bucket=any_key_bucket, Key="k", Body=b"1", IfNoneMatch="*")
        with pytest.raises(ClientError) as error:
            any_key_s3.put_object(Bucket=any_key_bucket, Key="k", Body=b"2", IfNoneMatch="*")
        assert refusal(error) == ("PreconditionFailed", 412)
        objects: list[Any] = [{"Key": "k", "ETag": '"00000000000000000000000000000000"'}]
        answer = any_key_s3.delete_objects(Bucket=any_key_bucket, Delete={"Objects": objects})
        assert [entry["Code"] for entry in answer["Errors"]] == ["PreconditionFailed"]
        assert listed(any_key_s3, any_key_bucket) == ["k"]

    def test_a_bucket_tells_its_region(self, any_key_s3: S3Client, any_key_bucket: str) -> None:
        """HeadBucket and GetBucketLocation both name it."""
        headers = any_key_s3.head_bucket(Bucket=any_key_bucket)["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-amz-bucket-region"] == REGION
        assert any_key_s3.get_bucket_location(Bucket=any_key_bucket)["LocationConstraint"] == REGION


class TestFaultyProxy:
    """The proxy that the tests of faults go through."""

    def test_it_closes_what_it_accepted_just_before_its_end(self) -> None:
        """Or its socket would be found unclosed later, in the middle of another test."""
        busy, go_on = threading.Event(), threading.Event()

        def keep_busy() -> None:
            busy.set()
            go_on.wait(60)

        with warnings.catch_warnings(record=True) as warned, FaultyProxy(1) as proxy:
            warnings.simplefilter("always", ResourceWarning)
            proxy._loop.call_soon_threadsafe(keep_busy)
            assert busy.wait(60)
            # It finds a connection, and that it is to end, at the same time.
            with socket.create_connection(("127.0.0.1", proxy.port), 10) as client:
                ending = asyncio.run_coroutine_threadsafe(proxy._stop(), proxy._loop)
                go_on.set()
                ending.result(60)
                with suppress(ConnectionResetError):
                    assert client.recv(1) == b""
        assert [str(one.message) for one in warned] == []


class TestServing:
    """Both servers start where nobody else is and leave nothing behind."""

    def test_two_of_a_kind_run_side_by_side(self, seaweedfs: SeaweedFS) -> None:
        """A second SeaweedFS has ports and contents of its own, and frees its directory."""
        with SeaweedFS() as second:
            assert second.port != seaweedfs.port
            assert second.directory.exists()
        assert not second.directory.exists()
        assert not listens(second.port)

    def test_only_this_machine_is_served(self, seaweedfs: SeaweedFS, ministack: Ministack) -> None:
        """Neither server listens on an address that others could reach."""
        outside = {str(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in outside - {"127.0.0.1"}:
            for server in (seaweedfs, ministack):
                with socket.socket() as probe:
                    probe.settimeout(1)
                    assert probe.connect_ex((address, server.port)) != 0

    def test_a_subprocess_is_led_to_the_servers(
        self, seaweedfs: SeaweedFS, ministack: Ministack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """boto3 in the isolated environment needs no arguments, and sees none of the user's own settings."""
        monkeypatch.setenv("AWS_PROFILE", "of-the-user")
        monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-user")
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        program = """if True:
            import boto3
            boto3.client("s3").list_buckets()
            boto3.client("sqs").list_queues()
            print(boto3.client("sts").get_caller_identity()["Arn"])
        """
        environment = isolated_environment(seaweedfs, ministack)
        arn = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
        assert arn.strip().endswith(":user/admin")

    @pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
    def test_servers_end_with_the_program_that_started_them(self, end: signal.Signals, tmp_path: Path) -> None:
        """However the program ends, no server outlives it."""
        program = """if True:
            import sys, time
            from pathlib import Path
            from s3_log_roller.demo.servers import Ministack
            with Ministack(Path(sys.argv[1])) as server:
                print(server.port, flush=True)
                time.sleep(60)
        """
        command = [sys.executable, "-c", program, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            server = Ministack()
            server.port = int(process.stdout.readline())
            assert listens(server.port)
            process.send_signal(end)
            assert process.wait(60) != 0
        wait_for(lambda: not listens(server.port), every=0.02)

    def test_a_server_ends_with_an_exception(self) -> None:
        """An error inside the `with` block stops the server and passes on."""
        with pytest.raises(KeyError), Ministack() as server:
            raise KeyError
        assert not listens(server.port)

    def test_a_server_that_does_not_start_says_why(self) -> None:
        """The error carries the last lines of the server's own log."""

        class Broken(Ministack):
            def _command(self) -> list[str]:
                self.port = 1
                return ["/bin/sh", "-c", "echo no licence for Mondays; exit 1"]

        with pytest.raises(ServerNotStarted, match="no licence for Mondays"), Broken():
            pass
