"""The Terraform modules: formatted, valid, tested, and applied to an emulator of AWS.

Where Terraform or its AWS provider is not installed, tests that need them are skipped, see tests/support/terraform.py.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.emulator import ARCH
from tests.support.paths import ROOT
from tests.support.servers import client
from tests.support.terraform import Terraform

from s3_log_roller.aws.policy import MAX_POLICY_CHARS, Grant, key_statements, policies_for, policy_chars
from s3_log_roller.demo.servers import REGION, Ministack
from s3_log_roller.stored_as import StoredAs
from s3_log_roller.uris import S3Uri

MODULES = ROOT / "deploy" / "terraform"


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A copy, so that Terraform's own files stay out of the sources."""
    ignored = shutil.ignore_patterns(".terraform*", "*.tfstate*")
    return Path(shutil.copytree(MODULES, tmp_path / "deploy" / "terraform", ignore=ignored))


def test_the_modules_are_formatted() -> None:
    """`terraform fmt` would change nothing."""
    Terraform(MODULES).run("fmt", "-check", "-recursive", "-diff")


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", [".", "modules/bucket-access", "examples/single-account", "examples/many-accounts", "examples/vpc"]
)
def test_the_modules_and_examples_are_valid(module: str, modules: Path) -> None:
    """Each can be planned as it stands."""
    terraform = Terraform(modules / module)
    terraform.init()
    assert "The configuration is valid" in terraform.run("validate", "-no-color").stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", [".", "modules/bucket-access"])
def test_the_modules_pass_their_own_tests(module: str, modules: Path) -> None:
    """tests/*.tftest.hcl: safe defaults, exact payloads and policies, wrong values refused."""
    terraform = Terraform(modules / module)
    terraform.init()
    assert ", 0 failed." in terraform.run("test", "-no-color").stdout


def applied_policies(modules: Path, uris: list[str], *, delete: bool, **more: Any) -> list[dict[str, Any]]:
    """What modules/bucket-policy makes of these prefixes."""
    terraform = Terraform(modules / "modules" / "bucket-policy")
    terraform.run("init", "-input=false", "-backend=false")
    values = {"prefixes": uris, "delete": delete, "account_id": ACCOUNT} | more
    (terraform.directory / "terraform.tfvars.json").write_text(json.dumps(values))
    terraform.run("apply", "-auto-approve")
    return [json.loads(policy) for policy in json.loads(terraform.run("output", "-json", "policies").stdout)]


@pytest.mark.parametrize("delete", [False, True])
def test_the_module_and_the_policy_command_agree(delete: bool, modules: Path) -> None:
    """Both allow exactly the same, wildcards in prefixes and covered prefixes included."""
    uris = ["s3://logs-b/x$y/", "s3://logs-a/b*", "s3://logs-a/a?/", "s3://logs-a/a?/b/", "s3://logs-c", "s3://logs-d/"]
    printed = policies_for(map(S3Uri.parse, uris), Grant(delete, account=ACCOUNT))
    assert granted(applied_policies(modules, uris, delete=delete)) == granted(printed)


def test_the_module_and_the_policy_command_agree_on_how_rollups_are_stored(modules: Path) -> None:
    """Tags, the ACL, the key and versions take the same permissions in both."""
    key = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    tags = {"team": "web logs", "cost": "12"}
    acl = "bucket-owner-full-control"
    stored_as = StoredAs(tags=tuple(tags.items()), sse="aws:kms", kms_key_id=key, acl=acl)
    uris = [f"s3://acme-prod-team-{n}-access-logs/" for n in range(20)]
    grant = Grant(True, account=ACCOUNT, stored_as=stored_as, delete_versions=True)
    printed = policies_for(map(S3Uri.parse, uris), grant, key_statements(stored_as))
    stored = {"rollup_tags": tags, "rollup_acl": acl, "rollup_kms_key_arn": key, "delete_versions": True}
    applied = applied_policies(modules, uris, delete=True, **stored)
    assert granted(applied) == granted(printed)
    assert all(policy_chars(policy) <= MAX_POLICY_CHARS for policy in applied)


def test_the_module_and_the_policy_command_agree_on_a_destination(modules: Path) -> None:
    """On the logs' buckets without rollups, and on the destination, whose prefixes are those that the module makes."""
    uris = ["s3://logs-a/web/", "s3://logs-b"]
    grant = Grant(True, account=ACCOUNT, destination=S3Uri("archive", "kept/"), destination_account=ACCOUNT)
    logs = policies_for(map(S3Uri.parse, uris), replace(grant, rollups=False))
    assert granted(applied_policies(modules, uris, delete=True, rollups=False)) == granted(logs)
    there = policies_for(map(S3Uri.parse, uris), replace(grant, logs=False))
    below = ["s3://archive/kept/logs-a/web/", "s3://archive/kept/logs-b/"]
    assert granted(applied_policies(modules, below, delete=False)) == granted(there)


@pytest.mark.parametrize("prefix", ["", "team-{}/"])
def test_many_buckets_take_policies_that_fit(prefix: str, modules: Path) -> None:
    """Forty buckets fit the ten policies that a role can have, each in 6,144 characters, and nothing is left out."""
    uris = [f"s3://acme-prod-team-{n}-access-logs-us-east-1-{ACCOUNT}/{prefix.format(n)}" for n in range(40)]
    policies = applied_policies(modules, uris, delete=True)
    assert len(policies) <= 10
    assert all(policy_chars(policy) <= MAX_POLICY_CHARS for policy in policies)
    assert granted(policies) == granted(policies_for(map(S3Uri.parse, uris), Grant(delete=True, account=ACCOUNT)))


def granted(policies: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Each action on each resource, and its condition."""
    return {
        (action, resource, json.dumps(statement.get("Condition"), sort_keys=True))
        for policy in policies
        for statement in policy["Statement"]
        for action in statement["Action"]
        for resource in statement["Resource"]
    }


FORGOTTEN_OF_ALARMS = frozenset(
    {
        "actions_enabled",
        "alarm_description",
        "dimensions",
        "period",
        "statistic",
        "treat_missing_data",
    }
)
"""What ministack 1.5.33 does not give back to the provider of an alarm it was given with it."""


def planned_changes(terraform: Terraform) -> dict[str, set[str]]:
    """The attributes that another apply would change, by resource."""
    terraform.run("plan", "-no-color", "-out=again.tfplan")
    plan = json.loads(terraform.run("show", "-json", "again.tfplan").stdout)
    changes = {}
    for resource in plan["resource_changes"]:
        change = resource["change"]
        if change["actions"] != ["no-op"]:
            before, after = change["before"] or {}, change["after"] or {}
            names = before.keys() | after.keys()
            changes[resource["address"]] = {name for name in names if before.get(name) != after.get(name)}
    return changes


ACCOUNT = "123456789012"
ENDPOINTS = ("cloudwatch", "iam", "lambda", "logs", "scheduler", "sqs", "sts")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_module_is_applied_and_destroyed(modules: Path, ministack: Ministack, function_zip: Path) -> None:
    """On an emulator of AWS everything can be made, and goes again without a trace.

    A second plan right after it would change nothing but what the emulator forgets.
    """
    terraform = Terraform(modules)
    endpoints = "\n".join(f'    {service} = "{ministack.endpoint}"' for service in ENDPOINTS)
    (modules / "emulator_override.tf").write_text(
        f"""
provider "aws" {{
  region                      = "{REGION}"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  endpoints {{
{endpoints}
  }}
}}
"""
    )
    values = {
        "zip_path": str(function_zip),
        "architecture": ARCH,
        "schedules": {"daily": {"prefixes": ["s3://my-logs/"], "enabled": False}},
        "name": "applied",
    }
    (modules / "terraform.tfvars.json").write_text(json.dumps(values))
    terraform.init()
    terraform.run("apply", "-auto-approve", "-no-color")
    try:
        changes = planned_changes(terraform)
        assert {address for address in changes if not address.startswith("aws_cloudwatch_metric_alarm.")} == set()
        assert {name for names in changes.values() for name in names} <= FORGOTTEN_OF_ALARMS
        functions = client(ministack, "lambda")
        assert functions.get_function_configuration(FunctionName="applied")["Timeout"] == 900
        (mapping,) = functions.list_event_source_mappings(FunctionName="applied")["EventSourceMappings"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    finally:
        terraform.run("destroy", "-auto-approve", "-no-color")
    assert terraform.run("state", "list").stdout == ""
    assert client(ministack, "lambda").list_functions()["Functions"] == []
