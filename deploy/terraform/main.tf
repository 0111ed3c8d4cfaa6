# One function in two modes, its queues, and a schedule for each payload.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  region    = data.aws_region.current.id # `name` is deprecated from provider 6 on, `region` new in it
  partition = data.aws_partition.current.partition
  # Names of roles end in the region, since IAM's are the same in all regions.
  role_name = "${var.name}-${local.region}"

  roles = length(var.allowed_roles) > 0 ? var.allowed_roles : distinct([for one in var.schedules : one.s3_role if one.s3_role != null])

  settings = {
    ROLLUP_QUEUE_NAME            = aws_sqs_queue.tasks.url
    ROLLUP_DELETE                = tostring(var.delete)
    ROLLUP_ALLOWED_ROLES         = join(",", local.roles)
    ROLLUP_EXPECTED_BUCKET_OWNER = var.expected_bucket_owner
    ROLLUP_ALLOW_CROSS_REGION    = tostring(var.allow_cross_region)
    ROLLUP_LEVEL                 = tostring(var.level)
    ROLLUP_MAX_IN_FLIGHT         = try(tostring(var.max_in_flight), null)
    ROLLUP_MAX_AGE_DAYS          = try(tostring(var.max_age_days), null)
    ROLLUP_MIN_AGE_DAYS          = tostring(var.min_age_days)
    ROLLUP_LOG_LEVEL             = var.log_level
    ROLLUP_STORAGE_CLASS         = var.rollup_storage_class
    ROLLUP_TAGS                  = join(",", [for key, value in var.rollup_tags : "${key}=${value}"])
    ROLLUP_SSE                   = var.rollup_encryption
    ROLLUP_SSE_KMS_KEY_ID        = var.rollup_kms_key_arn
    ROLLUP_ACL                   = var.rollup_acl
    ROLLUP_CHECKSUM              = var.rollup_checksum
    ROLLUP_DELETE_VERSIONS       = tostring(var.delete_versions)
    ROLLUP_DESTINATION           = var.destination
    ROLLUP_DESTINATION_ROLE      = var.destination_role
    ROLLUP_DESTINATION_OWNER     = var.destination_owner
  }
  # Known before anything is made, so that a plan says it: all but the queue's URL, which has some 100 characters.
  settings_chars = 100 + sum([for name, value in local.settings : length(name) + (name == "ROLLUP_QUEUE_NAME" ? 0 : length(try(coalesce(value, ""), "")))])
  environment    = { for name, value in local.settings : name => value if value != null && value != "" }
}

resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = var.tags
}

resource "aws_sqs_queue" "tasks" {
  name                       = "${var.name}-tasks"
  visibility_timeout_seconds = 6 * var.timeout_seconds # as AWS asks for
  message_retention_seconds  = 7 * 24 * 3600
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receives
  })
  tags = var.tags
}

# Payloads that failed as a whole or could not be delivered. They are not tasks, so they have a queue of their own.
resource "aws_sqs_queue" "failed_payloads" {
  name                      = "${var.name}-failed-payloads"
  message_retention_seconds = 14 * 24 * 3600
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = {
    tasks           = aws_sqs_queue.tasks
    dead_letters    = aws_sqs_queue.dead_letters
    failed_payloads = aws_sqs_queue.failed_payloads
  }

  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Deny"
      Principal = "*"
      Action    = ["sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"]
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_cloudwatch_log_group" "function" {
  #checkov:skip=CKV_AWS_158:A key of one's own is a variable; without it CloudWatch Logs encrypts with its own.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_function" "roller" {
  #checkov:skip=CKV_AWS_50:The log and the metrics say where time goes; tracing would cost and adds calls.
  #checkov:skip=CKV_AWS_115:The mapping's maximum concurrency bounds the workers without taking from the account's pool.
  #checkov:skip=CKV_AWS_116:Tasks have the queue's dead-letter queue; failed payloads have the event invoke configuration.
  #checkov:skip=CKV_AWS_117:It calls S3, SQS and STS only; a VPC is a variable, and adds endpoints to pay for.
  #checkov:skip=CKV_AWS_173:No secrets in the environment; a key of one's own is a variable.
  #checkov:skip=CKV_AWS_272:The zip is built by whoever deploys it; signing it would need a profile of theirs.
  function_name    = var.name
  description      = "Rolls S3 server access logs up into one verified tarball per day"
  filename         = var.zip_path
  source_code_hash = filebase64sha256(var.zip_path)
  handler          = "main.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  role             = local.function_role_arn
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds
  kms_key_arn      = var.kms_key_arn
  tags             = var.tags

  environment {
    variables = local.environment
  }

  dynamic "vpc_config" {
    for_each = length(var.subnet_ids) == 0 ? [] : [true]

    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = var.security_group_ids
    }
  }

  lifecycle {
    precondition {
      condition     = local.settings_chars <= 4000
      error_message = "The function's environment would have ${local.settings_chars} characters, but Lambda takes 4 KB (this module 4,000). Most of it will be the ARNs in allowed_roles. Give the roles the same name in every account and allow arn:aws:iam::*:role/NAME."
    }
    precondition {
      condition     = length(var.subnet_ids) == 0 || length(var.security_group_ids) > 0
      error_message = "A function in a VPC needs security_group_ids besides subnet_ids."
    }
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function, aws_iam_role_policy_attachment.s3]
}

# Lambda would run a failed payload twice more, and every run sends its tasks again.
resource "aws_lambda_function_event_invoke_config" "roller" {
  function_name                = aws_lambda_function.roller.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 3600

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed_payloads.arn
    }
  }
}

# A task that does not fit one invocation sends itself again. Lambda would take that for a loop after 16 times.
resource "aws_lambda_function_recursion_config" "roller" {
  function_name  = aws_lambda_function.roller.function_name
  recursive_loop = "Allow"
}

resource "aws_lambda_event_source_mapping" "tasks" {
  event_source_arn        = aws_sqs_queue.tasks.arn
  function_name           = aws_lambda_function.roller.arn
  batch_size              = var.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.max_concurrency
  }

  depends_on = [aws_lambda_function_recursion_config.roller]
}

# A group for each, because Scheduler counts by group: so one dead schedule is seen among several.
resource "aws_scheduler_schedule_group" "payload" {
  for_each = var.schedules

  name = "${var.name}-${each.key}"
  tags = var.tags
}

# While originals are kept, a scan finds every day that ever was, and each takes some requests just to see that nothing
# is left to do. So a schedule looks at the last two weeks only; the first run, by hand, has no such bound.
locals {
  max_age_days = { for name, one in var.schedules : name => one.max_age_days != null ? one.max_age_days : var.delete ? 0 : 14 }
}

resource "aws_scheduler_schedule" "payload" {
  #checkov:skip=CKV_AWS_297:The payload holds prefixes and a role's name, no secrets.
  for_each = var.schedules

  name                         = "${var.name}-${each.key}"
  group_name                   = aws_scheduler_schedule_group.payload[each.key].name
  description                  = "Looks for days to roll up"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = each.value.timezone
  state                        = each.value.enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.roller.arn
    role_arn = local.scheduler_role_arn
    input = jsonencode(merge({ schedule = each.key }, { for field, days in { max_age_days = local.max_age_days[each.key] } : field => days if days > 0 }, {
      for field, value in each.value : field => value
      if value != null && !contains(["max_age_days", "expression", "timezone", "enabled", "alarm_after_days", "alarm_on_nothing_found"], field)
    }))

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }

    dead_letter_config {
      arn = aws_sqs_queue.failed_payloads.arn
    }
  }

  lifecycle {
    precondition {
      condition     = each.value.s3_role == null || anytrue([for role in local.roles : role == each.value.s3_role || replace(role, "::*:", "::${try(split(":", each.value.s3_role)[4], "")}:") == each.value.s3_role])
      error_message = "The s3_role of the schedule ${each.key} is not one of allowed_roles, so the function would refuse it."
    }
  }

  depends_on = [aws_iam_role_policy.scheduler]
}
