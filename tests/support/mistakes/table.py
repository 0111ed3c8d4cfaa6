"""The table of mistakes: what is wrong, and the line that a user typed."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Mistake(NamedTuple):
    """One wrong input or environment."""

    what: str
    """In the words of whoever made it."""
    line: str
    """What was typed into a shell, but that s3-log-roller is called `roller` here."""
    seconds: int = 2
    """Within how many seconds the answer is there on a machine that does nothing else."""

    @property
    def typed(self) -> str:
        """The line itself."""
        return re.sub(r"(^|[ ;])roller(?= [a-z]|$)", r"\1s3-log-roller", self.line)


MISTAKES: Final[dict[str, list[Mistake]]] = {
    "The command line": [
        Mistake("a mistyped command", "roller rol s3://my-logs/"),
        Mistake("a mistyped option", "roller roll s3://my-logs/ --delte"),
        Mistake("no prefix", "roller roll"),
        Mistake("a bucket's bare name", "roller roll my-logs"),
        Mistake("one slash too few", "roller roll s3:/my-logs/"),
        Mistake("no bucket", "roller roll s3://"),
        Mistake("an ARN", "roller roll arn:aws:s3:::my-logs/web/"),
        Mistake("the ARN of an access point", "roller ls arn:aws:s3:us-west-2:123456789012:accesspoint/logs"),
        Mistake("a web address", "roller roll https://my-logs.s3.us-west-2.amazonaws.com/web/"),
        Mistake("an address of the console", "roller ls https://s3.console.aws.amazon.com/s3/buckets/my-logs"),
        Mistake("a list in one word", "roller roll s3://my-logs/web/,s3://my-logs/api/"),
        Mistake("a glob", "roller roll 's3://my-logs/w*/'"),
        Mistake("a bucket name with capitals", "roller roll s3://My_Logs/"),
        Mistake("a month 13", "roller roll s3://my-logs/ --since 2022-13-01"),
        Mistake("a date as in Europe", "roller roll s3://my-logs/ --until 01.07.2022"),
        Mistake("days the wrong way round", "roller roll s3://my-logs/ --since 2022-07-02 --until 2022-07-01"),
        Mistake("an hour where days are asked for", "roller roll s3://my-logs/ --since 2022-07-01T05"),
        Mistake("an hour 25", "roller cat s3://my-logs/ --since 2022-07-01T25"),
        Mistake("a level that does not exist", "roller roll s3://my-logs/ --level 99"),
        Mistake("no processes", "roller roll s3://my-logs/ --processes 0"),
        Mistake("a timeout of nothing", "roller roll s3://my-logs/ --timeout 0"),
        Mistake("an endpoint without http://", "roller roll s3://my-logs/ --endpoint-url localhost:8333"),
        Mistake("a role by its name", "roller producer --queue-name tasks --s3-role my-role s3://my-logs/"),
        Mistake("an external id without a role", "roller ls s3://my-logs/ --external-id 42"),
        Mistake("half an account", "roller roll s3://my-logs/ --expected-bucket-owner 1234"),
        Mistake("a bracket that never closes", "roller grep -E '(' s3://my-logs/"),
        Mistake("a pattern, and no place to search", "roller grep REST.DELETE"),
        Mistake("a field that records do not have", "roller grep --where statuss=404 s3://my-logs/"),
        Mistake("mistyped SQL", "roller query 'selct 1 from logs' s3://my-logs/web/", 5),
        Mistake("a column that does not exist", "roller query 'select statuss from logs' s3://my-logs/web/", 5),
        Mistake("a question that is not there", "roller query --name who-deletd s3://my-logs/web/"),
        Mistake("SQL that changes something", "roller query 'drop table logs' s3://my-logs/web/", 5),
        Mistake("a status that is not a number", "roller grep --where 'status>high' s3://my-logs/web/"),
        Mistake("a time that ends before it begins", "roller cat s3://my-logs/ --since 2022-07-02 --until 2022-07-01"),
        Mistake("a report to nowhere", "roller report s3://my-logs/web/", 5),
        Mistake("a mistyped variable", "S3_LOG_ROLLER_LEVL=9 roller roll s3://my-logs/"),
        Mistake("a variable with nonsense in it", "S3_LOG_ROLLER_LEVEL=best roller roll s3://my-logs/"),
        Mistake("no such list of prefixes", "roller roll --prefixes-from buckets.txt"),
        Mistake("a wrong line in a list of prefixes", "roller roll --prefixes-from prefixes.txt"),
        Mistake("no such plan", "roller roll --plan plam.json"),
        Mistake("another file for a plan", "roller roll --plan plan.json"),
        Mistake("restore to nowhere", "roller restore s3://my-logs/web/"),
        Mistake("no such manifest", "roller verify --manifest rollups.jsonl s3://my-logs/"),
        Mistake("another file for a manifest", "roller roll s3://my-logs/web/ --manifest notes.txt"),
        Mistake("a device for a manifest", "roller roll s3://my-logs/web/ --manifest /dev/null"),
    ],
    "Names": [
        Mistake("a mistyped bucket", "roller roll s3://my-lgos/"),
        Mistake("a mistyped bucket, to read from", "roller grep REST.DELETE s3://my-lgos/"),
        Mistake("a mistyped prefix", "roller roll s3://my-logs/wbe/"),
        Mistake("a mistyped prefix, to read from", "roller cat s3://my-logs/wbe/"),
        Mistake("a prefix without rollups", "roller verify s3://my-logs/loose/"),
        Mistake("days of which there is nothing", "roller grep GET s3://my-logs/web/ --since 2031-01-01"),
        Mistake("a rollup that is not there", "roller cat s3://my-logs/web/rollup-2022-07-09-00000000.tgz"),
        Mistake("a log that is in no rollup", "roller cat s3://my-logs/web/2022-07-01-01-01-01-0123456789ABCDEF"),
        Mistake(
            "a member that is not there", "roller cat s3://my-logs/web/ --member 2022-07-01-01-01-01-0123456789ABCDEF"
        ),
        Mistake("a mistyped profile", "roller roll s3://my-logs/ --profile prodution"),
        Mistake(
            "no region at all",
            "env -u AWS_REGION -u AWS_DEFAULT_REGION -u AWS_ENDPOINT_URL_SQS roller worker --queue-name tasks",
        ),
        Mistake(
            "a region that does not exist",
            "AWS_ENDPOINT_URL_S3= roller roll s3://my-logs/ --region us-wset-2",
            10,
        ),
        Mistake(
            "a bucket in another region", "AWS_ENDPOINT_URL_S3=$SQS roller roll s3://logs-in-oregon/ --region eu-west-1"
        ),
        Mistake("a mistyped queue", "roller worker --queue-name taks"),
        Mistake("a mistyped queue, to send to", "roller producer --queue-name taks s3://my-logs/"),
        Mistake("the URL of a queue that is gone", "roller worker --queue-name $SQS/000000000000/gone"),
        Mistake("the ARN of a queue", "roller worker --queue-name arn:aws:sqs:us-west-2:000000000000:tasks"),
        Mistake("a FIFO queue", "roller worker --queue-name tasks.fifo"),
        Mistake("a message that is not a task", "roller worker --queue-name broken -q", 10),
        Mistake("restore to a bucket that does not exist", "roller restore s3://my-logs/web/ --to s3://my-lgos/", 5),
        Mistake("no such file", "roller cat rollup-2022-07-01.tgz"),
    ],
    "Credentials": [
        Mistake("none", "AWS_CONFIG_FILE=/dev/null roller roll s3://my-logs/ s3://other-logs/"),
        Mistake("none, to read", "AWS_CONFIG_FILE=/dev/null roller grep REST.DELETE s3://my-logs/"),
        Mistake("none, for the queue", "AWS_CONFIG_FILE=/dev/null roller worker --queue-name tasks"),
        Mistake("a wrong secret key", "roller roll s3://my-logs/ --profile wrong-secret"),
        Mistake("an access key that is not known", "roller roll s3://my-logs/ --profile unknown-key"),
        Mistake("half of them", "roller roll s3://my-logs/ --profile half"),
        Mistake("expired", "roller roll s3://my-logs/ --endpoint-url $EXPIRED"),
        Mistake("expired, to read", "roller cat s3://my-logs/ --endpoint-url $EXPIRED"),
        Mistake("not logged in (SSO)", "roller roll s3://my-logs/ --profile sso"),
        Mistake("a program that is not there", "roller roll s3://my-logs/ --profile process"),
        Mistake("a configuration file that is none", "AWS_CONFIG_FILE=notes.txt roller roll s3://my-logs/"),
        Mistake("a clock that is wrong", "roller roll s3://my-logs/ --endpoint-url $SKEWED"),
        Mistake(
            "a role that does not exist", "roller ls s3://my-logs/ --s3-role arn:aws:iam::123456789012:role/absent"
        ),
        Mistake(
            "a role that you may not assume",
            "roller ls s3://my-logs/ --profile read-only --s3-role arn:aws:iam::123456789012:role/roller",
        ),
    ],
    "Endpoints and proxies": [
        Mistake("nobody listens", "roller roll s3://my-logs/ s3://other-logs/ --endpoint-url $DEAD", 10),
        Mistake("nobody listens, to read", "roller grep GET s3://my-logs/ --endpoint-url $DEAD", 10),
        Mistake("no such host", "roller roll s3://my-logs/ --endpoint-url http://s3.invalid", 10),
        Mistake("no answer", "roller roll s3://my-logs/ s3://other-logs/ --endpoint-url $SILENT --timeout 2", 10),
        Mistake("no answer, to read", "roller cat s3://my-logs/ --endpoint-url $SILENT --timeout 2", 10),
        Mistake("a web site", "roller roll s3://my-logs/ --endpoint-url $WEBSITE", 5),
        Mistake("a page to log in at", "roller roll s3://my-logs/ --endpoint-url $LOGIN", 10),
        Mistake("https where http is spoken", "roller roll s3://my-logs/ --endpoint-url https://${S3#http://}", 10),
        Mistake("a server that is always busy", "roller ls s3://my-logs/ --endpoint-url $BUSY", 60),
        Mistake("nobody listens for SQS", "AWS_ENDPOINT_URL_SQS=$DEAD roller worker --queue-name tasks", 10),
        Mistake("no answer from SQS", "AWS_ENDPOINT_URL_SQS=$SILENT roller worker --queue-name tasks --timeout 2", 20),
        Mistake("S3 where SQS should be", "AWS_ENDPOINT_URL_SQS=$S3 roller worker --queue-name tasks", 10),
        Mistake(
            "a proxy where nobody listens",
            "NO_PROXY= no_proxy= HTTP_PROXY=$DEAD http_proxy=$DEAD roller roll s3://my-logs/",
            10,
        ),
        Mistake(
            "a proxy that does not answer",
            "NO_PROXY= no_proxy= HTTP_PROXY=$SILENT http_proxy=$SILENT roller roll s3://my-logs/ --timeout 2",
            10,
        ),
        Mistake(
            "a proxy that wants a password",
            "NO_PROXY= no_proxy= HTTP_PROXY=$STRICT_PROXY http_proxy=$STRICT_PROXY roller roll s3://my-logs/",
            10,
        ),
        Mistake(
            "a proxy that is no address",
            "NO_PROXY= no_proxy= HTTP_PROXY=office:http http_proxy=office:http roller roll s3://my-logs/",
            10,
        ),
    ],
    "Permissions, each denied in turn": [
        Mistake("s3:ListBucket, roll", "roller roll s3://my-logs/loose/ --profile no-list"),
        Mistake("s3:ListBucket, grep", "roller grep GET s3://my-logs/loose/ --profile no-list"),
        Mistake("s3:ListBucket, plan", "roller plan s3://my-logs/loose/ --profile no-list"),
        Mistake("s3:GetObject, roll", "roller roll s3://my-logs/no-get/ --profile no-get"),
        Mistake("s3:GetObject, cat", "roller cat s3://my-logs/no-get/ --profile no-get"),
        Mistake("s3:GetObject, verify", "roller verify s3://my-logs/web/ --profile no-get"),
        Mistake("s3:PutObject, roll", "roller roll s3://my-logs/no-put/ --profile no-put"),
        Mistake(
            "s3:PutObject, restore",
            "roller restore s3://my-logs/web/ --to s3://my-logs/restored/ --profile read-only",
            5,
        ),
        Mistake("s3:DeleteObject, roll", "roller roll s3://my-logs/no-delete/ --delete --profile no-delete"),
        Mistake("s3:ListAllMyBuckets, discover", "roller discover --endpoint-url $S3_DENIED"),
        Mistake(
            "sqs:GetQueueAttributes, worker",
            "AWS_ENDPOINT_URL_SQS=$SQS_DENIED roller worker --queue-name $SQS_DENIED/000000000000/tasks",
        ),
        Mistake(
            "sqs:SendMessage, producer",
            "AWS_ENDPOINT_URL_SQS=$SQS_DENIED roller producer --queue-name $SQS_DENIED/000000000000/tasks s3://my-logs/loose/",
        ),
        Mistake("sqs:GetQueueUrl, worker", "AWS_ENDPOINT_URL_SQS=$SQS_DENIED roller worker --queue-name tasks"),
    ],
    "Disks, pipes and targets": [
        Mistake("standard output is full", "roller cat s3://my-logs/web/ >/dev/full"),
        Mistake("standard output is full, a list", "roller ls --json s3://my-logs/web/ >/dev/full"),
        Mistake("standard output is full, a summary", "roller roll s3://my-logs/web/ >/dev/full"),
        Mistake("standard output is closed", "roller cat s3://my-logs/web/ >&-"),
        Mistake("nobody reads on", "set -o pipefail; (sleep 1; roller cat s3://my-logs/web/) | true", 5),
        Mistake(
            "restore to a full disk", "trap '' XFSZ; ulimit -f 1; roller restore s3://my-logs/web/ --to restored", 5
        ),
        Mistake("restore to where nobody may write", "roller restore s3://my-logs/web/ --to /proc/logs"),
        Mistake("export to where nobody may write", "roller export s3://my-logs/web/ --to /proc/logs", 5),
        Mistake("a report on a full disk", "roller report s3://my-logs/web/ --html /dev/full", 5),
        Mistake("restore into a file", "roller restore s3://my-logs/web/ --to notes.txt"),
        Mistake(
            "a manifest on a full disk",
            "trap '' XFSZ; ulimit -f 0; roller roll s3://my-logs/full/ --delete --manifest full.jsonl -q",
            5,
        ),
        Mistake("a manifest in no folder", "roller roll s3://my-logs/full/ --manifest no/folder.jsonl"),
        Mistake("a plan in no folder", "roller plan s3://my-logs/loose/ --save no/plan.json", 5),
        Mistake("a page on a full disk", "roller plan s3://my-logs/loose/ --html /dev/full", 5),
        Mistake(
            "an answer on a full standard output",
            "roller query 'select count(*) from logs' s3://my-logs/web/ >/dev/full",
            5,
        ),
    ],
    "Damaged and foreign files": [
        Mistake("a rollup that was cut off", "roller verify cut/*.tgz"),
        Mistake("the same, to read", "roller cat cut/*.tgz"),
        Mistake("a rollup with a flipped bit", "roller verify flipped/*.tgz"),
        Mistake("the same, to restore", "roller restore flipped/*.tgz --to out"),
        Mistake("a rollup under another day's name", "roller verify renamed/*.tgz"),
        Mistake("an empty file", "roller cat empty/*.tgz"),
        Mistake("a text file that is named like a tarball", "roller cat notes.tgz"),
        Mistake("a zip file", "roller verify photos.zip"),
        Mistake("a folder without logs", "roller cat no-logs"),
        Mistake("a damaged rollup in the bucket, to read", "roller verify s3://my-logs/damaged/"),
        Mistake("a damaged rollup in the bucket, to delete", "roller roll s3://my-logs/damaged/ --delete -q"),
    ],
}
