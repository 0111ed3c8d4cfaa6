# What a plan refuses before anything is made, because AWS would refuse it in the middle of an apply.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_region" {
    defaults = { id = "us-west-2" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:us-west-2:111111111111:queue"
      url = "https://sqs.us-west-2.amazonaws.com/111111111111/queue"
    }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111111111111:role/role" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::111111111111:policy/policy" }
  }
  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-west-2:111111111111:function:s3-log-roller" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-west-2:111111111111:log-group:/aws/lambda/s3-log-roller" }
  }
}

variables {
  zip_path = "tests/any.zip"
  schedules = {
    own = { prefixes = ["s3://my-logs/example.com/", "s3://my-logs/a*b/"] }
    shop = {
      expression   = "rate(1 day)"
      prefixes     = ["s3://shop-logs/"]
      s3_role      = "arn:aws:iam::222222222222:role/access"
      external_id  = "secret"
      min_age_days = 2
    }
  }
}

run "many_buckets_take_several_policies" {
  command = plan
  variables {
    delete = true
    schedules = {
      all = { prefixes = [for number in range(40) : "s3://acme-prod-team-${number}-access-logs-us-east-1-111111111111/"] }
    }
  }
  assert {
    condition     = length(aws_iam_policy.s3) > 3 && length(aws_iam_policy.s3) <= 10
    error_message = "Forty buckets do not fit three policies, but they fit a role."
  }
}

run "more_than_a_role_can_hold_is_refused" {
  command = plan
  variables {
    delete = true
    schedules = {
      all = { prefixes = [for number in range(150) : "s3://acme-prod-team-${number}-access-logs-us-east-1-111111111111/team-${number}/"] }
    }
  }
  expect_failures = [aws_iam_role_policy_attachment.s3]
}

run "more_roles_than_the_environment_holds_are_refused" {
  command = plan
  variables {
    allowed_roles = concat(["arn:aws:iam::222222222222:role/access"], [for number in range(80) : "arn:aws:iam::${100000000000 + number}:role/s3-log-roller-bucket-access"])
  }
  expect_failures = [aws_lambda_function.roller]
}

run "more_statements_than_a_role_holds_are_refused" {
  command = plan
  variables {
    extra_policy_statements = [for number in range(200) : { Effect = "Allow", Action = "sns:Publish", Resource = "arn:aws:sns:us-west-2:111111111111:topic-${number}" }]
  }
  expect_failures = [aws_iam_role_policy.function]
}
