# What the module makes, without an account.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::222222222222:policy/policy" }
  }
}

variables {
  trusted_role_arns = ["arn:aws:iam::111111111111:role/s3-log-roller-us-west-2"]
  external_id       = "secret"
  prefixes          = ["s3://shop-logs/example.com/", "s3://shop-logs/", "s3://more-logs/a"]
}

run "exactly_the_actions_needed" {
  assert {
    condition     = sort(distinct(flatten([for one in jsondecode(aws_iam_policy.access[0].policy).Statement : one.Action]))) == tolist(["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket", "s3:PutObject"])
    error_message = "No more than rolling up takes."
  }
  assert {
    condition     = sort(flatten([for one in jsondecode(aws_iam_policy.access[0].policy).Statement : one.Resource if contains(one.Action, "s3:GetObject")])) == tolist(["arn:aws:s3:::more-logs/a*", "arn:aws:s3:::shop-logs/*"])
    error_message = "On exactly the prefixes, without those that another one covers."
  }
  assert {
    condition     = jsondecode(aws_iam_role.access.assume_role_policy).Statement[0].Condition.StringEquals["sts:ExternalId"] == "secret"
    error_message = "The external id is asked for."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_policy.access[0].policy).Statement : one.Condition.StringEquals["aws:ResourceAccount"] == "222222222222"])
    error_message = "Only buckets of this account: one that somebody else registered anew is out of reach."
  }
}

run "a_roller_made_anew_is_still_trusted" {
  variables {
    trusted_role_arns = [
      "arn:aws:iam::111111111111:role/s3-log-roller-us-west-2",
      "arn:aws:iam::111111111111:role/s3-log-roller-eu-central-1",
    ]
  }
  assert {
    condition     = jsondecode(aws_iam_role.access.assume_role_policy).Statement[0].Principal.AWS == ["arn:aws:iam::111111111111:root"]
    error_message = "The principal is the account: IAM would keep the unique id of a role, and the trust would break when it is made anew."
  }
  assert {
    condition     = jsondecode(aws_iam_role.access.assume_role_policy).Statement[0].Condition.ArnEquals == { "aws:PrincipalArn" = ["arn:aws:iam::111111111111:role/s3-log-roller-us-west-2", "arn:aws:iam::111111111111:role/s3-log-roller-eu-central-1"] }
    error_message = "Only these roles of the account may assume it."
  }
}

run "many_buckets_take_several_policies" {
  command = plan
  variables {
    prefixes = [for number in range(40) : "s3://acme-prod-team-${number}-access-logs-us-east-1-222222222222/team-${number}/"]
    delete   = true
  }
  assert {
    condition     = length(aws_iam_policy.access) > 1 && length(aws_iam_policy.access) <= 10
    error_message = "Forty buckets do not fit one policy, but they fit a role."
  }
}

run "more_than_a_role_can_hold_is_refused" {
  command = plan
  variables {
    prefixes = [for number in range(120) : "s3://acme-prod-team-${number}-access-logs-us-east-1-222222222222/team-${number}/"]
    delete   = true
  }
  expect_failures = [aws_iam_role_policy_attachment.access]
}

run "deleting_is_allowed_when_asked_for" {
  variables {
    delete = true
  }
  assert {
    condition     = strcontains(aws_iam_policy.access[0].policy, "s3:DeleteObject")
    error_message = "Deleting is allowed."
  }
}

run "a_prefix_that_ends_in_a_date_is_refused" {
  command = plan
  variables {
    prefixes = ["s3://shop-logs/example.com/2022-07"]
  }
  expect_failures = [var.prefixes]
}

run "an_external_id_is_needed" {
  command = plan
  variables {
    external_id = ""
  }
  expect_failures = [var.external_id]
}
