# What the module makes, without an account: terraform test (a provider has to be installed, but is not called).

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
    condition     = jsondecode(aws_sqs_queue.tasks.redrive_policy).maxReceiveCount == 5
    error_message = "A task gets five attempts, as AWS advises."
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
    condition     = aws_lambda_event_source_mapping.tasks.scaling_config[0].maximum_concurrency < 10
    error_message = "A new account has a concurrency of 10: the roller must not take all of it."
  }
}

run "a_failed_payload_is_not_run_again" {
  assert {
    condition     = aws_lambda_function_event_invoke_config.roller.maximum_retry_attempts == 0
    error_message = "Lambda would run it twice more, and every run sends its tasks again."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.roller.destination_config[0].on_failure[0].destination == aws_sqs_queue.failed_payloads.arn
    error_message = "What failed is kept."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.something_wrong["failed-payloads"].dimensions.QueueName == "s3-log-roller-failed-payloads"
    error_message = "An alarm rings for what is kept there."
  }
  assert {
    condition     = alltrue([for one in aws_scheduler_schedule.payload : one.target[0].dead_letter_config[0].arn == aws_sqs_queue.failed_payloads.arn])
    error_message = "What Scheduler could not deliver is kept, too."
  }
}

run "no_alarm_rings_for_want_of_data" {
  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.something_wrong), values(aws_cloudwatch_metric_alarm.nothing_found), values(aws_cloudwatch_metric_alarm.undelivered)) :
      alarm.treat_missing_data == "notBreaching" && alarm.insufficient_data_actions == null
    ])
    error_message = "Right after installing there is no data, and nothing is wrong."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.silent : alarm.treat_missing_data == "missing"])
    error_message = "A new alarm is in the state for no data; only coming back to it rings."
  }
  assert {
    condition     = contains(keys(aws_cloudwatch_metric_alarm.something_wrong), "throttles")
    error_message = "Throttles are watched."
  }
}

run "every_schedule_has_alarms_of_its_own" {
  variables {
    alarm_topic_arn = "arn:aws:sns:us-west-2:111111111111:alarms"
    schedules = {
      daily    = { prefixes = ["s3://my-logs/"] }
      hourly   = { prefixes = ["s3://my-logs/"], expression = "rate(12 hours)" }
      rare     = { prefixes = ["s3://my-logs/"], expression = "rate(3 days)" }
      weekly   = { prefixes = ["s3://my-logs/"], expression = "cron(0 6 ? * MON *)" }
      monthly  = { prefixes = ["s3://my-logs/"], expression = "rate(30 days)" }
      patient  = { prefixes = ["s3://my-logs/"], expression = "cron(0 6 ? * MON,THU *)", alarm_after_days = 6 }
      disabled = { prefixes = ["s3://my-logs/"], enabled = false }
      quiet    = { prefixes = ["s3://my-logs/"], alarm_on_nothing_found = false }
    }
  }
  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.silent : name => alarm.evaluation_periods } == { daily = 2, hourly = 2, rare = 4, patient = 6, quiet = 2 }
    error_message = "Each waits for longer than its schedule's interval; there is none for what is rarer than CloudWatch can wait for."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.silent["daily"].dimensions.ScheduleGroup == aws_scheduler_schedule.payload["daily"].group_name && length(distinct([for one in aws_scheduler_schedule.payload : one.group_name])) == 8
    error_message = "Scheduler counts by group, so each schedule has its own."
  }
  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.silent : alarm.insufficient_data_actions == toset([var.alarm_topic_arn])])
    error_message = "Silence goes to the topic."
  }
  assert {
    condition     = sort(keys(aws_cloudwatch_metric_alarm.nothing_found)) == tolist(["daily", "hourly", "monthly", "patient", "rare", "weekly"])
    error_message = "A run that found nothing is noticed, however rare runs are."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.nothing_found["daily"].dimensions == tomap({ FunctionName = "s3-log-roller", Schedule = "daily" }) && jsondecode(output.payloads.daily).schedule == "daily"
    error_message = "The payload tells the function which schedule it counts for."
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.undelivered) == 14 && aws_cloudwatch_metric_alarm.undelivered["rare-dropped"].metric_name == "InvocationDroppedCount" && aws_cloudwatch_metric_alarm.undelivered["rare-refused"].dimensions.ScheduleGroup == "s3-log-roller-rare"
    error_message = "What Scheduler fails to deliver or drops is watched, schedule by schedule."
  }
}

run "a_schedule_sends_its_payload_and_nothing_else" {
  assert {
    condition = jsondecode(output.payloads.shop) == {
      schedule     = "shop"
      max_age_days = 14
      prefixes     = ["s3://shop-logs/"]
      s3_role      = "arn:aws:iam::222222222222:role/access"
      external_id  = "secret"
      min_age_days = 2
    }
    error_message = "The payload is what the entry says."
  }
  assert {
    condition     = jsondecode(output.payloads.own) == { schedule = "own", max_age_days = 14, prefixes = ["s3://my-logs/example.com/", "s3://my-logs/a*b/"] }
    error_message = "What is not given is left out."
  }
}

run "old_days_are_left_alone_while_originals_are_kept" {
  variables {
    max_age_days = 100
    schedules = {
      own  = { prefixes = ["s3://my-logs/"] }
      all  = { prefixes = ["s3://my-logs/"], max_age_days = 0 }
      week = { prefixes = ["s3://my-logs/"], max_age_days = 7 }
    }
  }
  assert {
    condition     = { for name, payload in output.payloads : name => lookup(jsondecode(payload), "max_age_days", 0) } == { own = 14, all = 0, week = 7 }
    error_message = "Two weeks, unless the schedule says otherwise."
  }
  assert {
    condition     = aws_lambda_function.roller.environment[0].variables.ROLLUP_MAX_AGE_DAYS == "100"
    error_message = "The function's own default is another matter."
  }
}

run "days_of_any_age_are_rolled_up_while_deleting" {
  variables {
    delete = true
  }
  assert {
    condition     = alltrue([for payload in output.payloads : !strcontains(payload, "max_age_days")])
    error_message = "Days that are done are gone from the listing."
  }
}

run "the_role_allows_what_is_needed_and_no_more" {
  assert {
    condition = sort(distinct(flatten([for one in jsondecode(aws_iam_role_policy.function[0].policy).Statement : one.Action]))) == tolist([
      "logs:CreateLogStream", "logs:PutLogEvents",
      "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage",
      "sts:AssumeRole",
    ])
    error_message = "Exactly these actions, without a wildcard."
  }
  assert {
    condition     = sort(distinct(flatten([for one in jsondecode(aws_iam_policy.s3[0].policy).Statement : one.Action]))) == tolist(["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket", "s3:PutObject"])
    error_message = "For S3 exactly these, without deleting."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_policy.s3[0].policy).Statement : one.Condition.StringEquals["aws:ResourceAccount"] == "111111111111"])
    error_message = "Only buckets of the account that the roller is in."
  }
  assert {
    condition     = alltrue([for one in jsondecode(aws_iam_role_policy.function[0].policy).Statement : one.Resource == ["arn:aws:iam::222222222222:role/access"] if one.Action == ["sts:AssumeRole"]])
    error_message = "Only the roles of the schedules."
  }
  assert {
    condition     = strcontains(aws_iam_policy.s3[0].policy, "arn:aws:s3:::my-logs/a$${*}b/*") && !strcontains(aws_iam_policy.s3[0].policy, "shop-logs")
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
    condition     = strcontains(aws_iam_policy.s3[0].policy, "s3:DeleteObject") && aws_lambda_function.roller.environment[0].variables.ROLLUP_DELETE == "true"
    error_message = "The function may delete and does."
  }
}

run "the_owner_of_the_buckets_reaches_policy_payload_and_settings" {
  variables {
    expected_bucket_owner = "333333333333"
    schedules = {
      one = { prefixes = ["s3://my-logs/"] }
      two = { prefixes = ["s3://your-logs/"], expected_bucket_owner = "444444444444" }
    }
  }
  assert {
    condition     = [for policy in aws_iam_policy.s3 : jsondecode(policy.policy).Statement[0].Condition.StringEquals["aws:ResourceAccount"]] == ["333333333333", "444444444444"]
    error_message = "Each bucket may be used only while it belongs to the account named for it."
  }
  assert {
    condition     = jsondecode(output.payloads.two).expected_bucket_owner == "444444444444" && aws_lambda_function.roller.environment[0].variables.ROLLUP_EXPECTED_BUCKET_OWNER == "333333333333"
    error_message = "The function asks S3 for it."
  }
}

run "one_role_name_in_all_accounts_needs_one_line" {
  variables {
    allowed_roles = ["arn:aws:iam::*:role/access"]
  }
  assert {
    condition     = aws_lambda_function.roller.environment[0].variables.ROLLUP_ALLOWED_ROLES == "arn:aws:iam::*:role/access" && strcontains(aws_iam_role_policy.function[0].policy, "arn:aws:iam::*:role/access")
    error_message = "The pattern reaches the function and its policy."
  }
}

run "a_role_that_is_not_allowed_is_refused" {
  command = plan
  variables {
    allowed_roles = ["arn:aws:iam::*:role/other"]
  }
  expect_failures = [aws_scheduler_schedule.payload["shop"]]
}

run "the_function_runs_in_a_vpc" {
  variables {
    subnet_ids         = ["subnet-1", "subnet-2"]
    security_group_ids = ["sg-1"]
  }
  assert {
    condition     = aws_lambda_function.roller.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"])
    error_message = "It is in the subnets."
  }
  assert {
    condition     = [for one in jsondecode(aws_iam_role_policy.function[0].policy).Statement : one.Effect if contains(one.Action, "ec2:CreateNetworkInterface")] == ["Allow", "Deny"]
    error_message = "Lambda may make network interfaces, the function's own code may not."
  }
}

run "a_vpc_needs_security_groups" {
  command = plan
  variables {
    subnet_ids = ["subnet-1"]
  }
  expect_failures = [aws_lambda_function.roller]
}

run "roles_fit_into_the_rules_of_an_organization" {
  variables {
    iam_path                 = "/apps/"
    permissions_boundary_arn = "arn:aws:iam::111111111111:policy/boundary"
    extra_policy_statements  = [{ Effect = "Allow", Action = ["sns:Publish"], Resource = ["arn:aws:sns:us-west-2:111111111111:topic"] }]
  }
  assert {
    condition     = alltrue([for role in [aws_iam_role.function[0], aws_iam_role.scheduler[0]] : role.path == "/apps/" && role.permissions_boundary == "arn:aws:iam::111111111111:policy/boundary"])
    error_message = "Path and permissions boundary are those asked for."
  }
  assert {
    condition     = strcontains(aws_iam_role_policy.function[0].policy, "sns:Publish")
    error_message = "Statements of one's own are in the policy."
  }
}

run "roles_that_exist_already_are_used" {
  variables {
    function_role_arn  = "arn:aws:iam::111111111111:role/mine"
    scheduler_role_arn = "arn:aws:iam::111111111111:role/mine-too"
  }
  assert {
    condition     = length(aws_iam_role.function) + length(aws_iam_role.scheduler) + length(aws_iam_policy.s3) == 0
    error_message = "No role is made."
  }
  assert {
    condition     = aws_lambda_function.roller.role == "arn:aws:iam::111111111111:role/mine" && alltrue([for one in aws_scheduler_schedule.payload : one.target[0].role_arn == "arn:aws:iam::111111111111:role/mine-too"])
    error_message = "The roles given are used."
  }
  assert {
    condition     = length(output.function_policies) == 2
    error_message = "What the role has to allow is an output."
  }
}

run "names_fit_the_longest_region" {
  variables {
    name = "a-name-of-the-39-characters-that-fit-in"
  }
  override_data {
    target = data.aws_region.current
    values = { id = "us-isof-south-1" }
  }
  assert {
    condition     = length(aws_iam_role.scheduler[0].name) == 64
    error_message = "IAM allows 64 characters for the name of a role."
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
    name            = "a-name-of-the-40-characters-that-do-not-"
  }
  expect_failures = [var.timeout_seconds, var.max_receives, var.level, var.memory_mb, var.max_concurrency, var.name]
}
