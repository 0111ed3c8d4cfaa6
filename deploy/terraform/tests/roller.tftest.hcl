# What the module makes, without an account: terraform test (a provider has to be installed, but is not called).

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_region" {
    defaults = { name = "us-west-2" }
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

run "the_defaults_are_safe" {
  assert {
    condition     = aws_lambda_function.roller.environment[0].variables.ROLLUP_DELETE == "false"
    error_message = "Nothing is deleted unless asked for."
  }
  assert {
    condition     = aws_lambda_function.roller.runtime == "python3.13" && aws_lambda_function.roller.architectures[0] == "arm64"
    error_message = "arm64 and Python 3.13 by default."
  }
  assert {
    condition     = aws_sqs_queue.tasks.visibility_timeout_seconds == 6 * aws_lambda_function.roller.timeout
    error_message = "A message stays invisible for six times the time limit."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.tasks.redrive_policy).maxReceiveCount == 3
    error_message = "A task gets three attempts."
  }
  assert {
    condition     = aws_sqs_queue.tasks.sqs_managed_sse_enabled && aws_sqs_queue.dead_letters.sqs_managed_sse_enabled
    error_message = "Both queues are encrypted."
  }
  assert {
    condition     = aws_lambda_event_source_mapping.tasks.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One bad task must not repeat its neighbours."
  }
  assert {
    condition     = aws_lambda_function_recursion_config.roller.recursive_loop == "Allow"
    error_message = "A task may send itself again as often as it takes."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.something_wrong) == 3 && aws_cloudwatch_metric_alarm.no_success.treat_missing_data == "breaching"
    error_message = "Four alarms, and silence is one."
  }
}

run "a_schedule_sends_its_payload_and_nothing_else" {
  assert {
    condition = jsondecode(output.payloads.shop) == {
      prefixes     = ["s3://shop-logs/"]
      s3_role      = "arn:aws:iam::222222222222:role/access"
      external_id  = "secret"
      min_age_days = 2
    }
    error_message = "The payload is what the entry says."
  }
  assert {
    condition     = jsondecode(output.payloads.own) == { prefixes = ["s3://my-logs/example.com/", "s3://my-logs/a*b/"] }
    error_message = "What is not given is left out."
  }
}

run "the_role_allows_what_is_needed_and_no_more" {
  assert {
    condition = sort(distinct(flatten([for one in jsondecode(aws_iam_role_policy.function.policy).Statement : one.Action]))) == tolist([
      "logs:CreateLogStream", "logs:PutLogEvents",
      "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket", "s3:PutObject",
      "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
      "sts:AssumeRole",
    ])
    error_message = "Exactly these actions, without a wildcard and without deleting."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_role_policy.function.policy).Statement : one.Resource == ["arn:aws:iam::222222222222:role/access"] if one.Action == ["sts:AssumeRole"]])
    error_message = "Only the roles of the schedules."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.function.policy, "arn:aws:s3:::my-logs/a$${*}b/*") && !strcontains(aws_iam_role_policy.function.policy, "shop-logs")
    error_message = "The function's own S3 rights end where a role's begin, and a * in a prefix is a literal one."
  }
  assert {
    condition     = aws_lambda_function.roller.environment[0].variables.ROLLUP_ALLOWED_ROLES == "arn:aws:iam::222222222222:role/access"
    error_message = "The function takes on the schedules' roles only."
  }
}

run "deleting_is_allowed_when_asked_for" {
  variables {
    delete = true
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.function.policy, "s3:DeleteObject") && aws_lambda_function.roller.environment[0].variables.ROLLUP_DELETE == "true"
    error_message = "The function may delete and does."
  }
}

run "a_schedule_needs_prefixes" {
  command = plan
  variables {
    schedules = { none = { prefixes = [] } }
  }
  expect_failures = [var.schedules]
}

run "a_schedule_with_a_wrong_expression_or_day_is_refused" {
  command = plan
  variables {
    schedules = { wrong = { prefixes = ["s3://my-logs/"], expression = "daily", since = "2022-02-30" } }
  }
  expect_failures = [var.schedules]
}

run "an_external_id_needs_a_role" {
  command = plan
  variables {
    schedules = { wrong = { prefixes = ["s3://my-logs/"], external_id = "secret" } }
  }
  expect_failures = [var.schedules]
}

run "wrong_numbers_are_refused" {
  command = plan
  variables {
    timeout_seconds = 901
    max_receives    = 1
    level           = 13
    memory_mb       = 64
    max_concurrency = 1
  }
  expect_failures = [var.timeout_seconds, var.max_receives, var.level, var.memory_mb, var.max_concurrency]
}
