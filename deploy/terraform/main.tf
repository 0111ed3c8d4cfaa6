# One function in two modes, its queues, and a schedule for each payload.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

data "aws_partition" "current" {}

locals {
  roles  = distinct([for one in var.schedules : one.s3_role if one.s3_role != null])
  region = data.aws_region.current.name
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

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = { tasks = aws_sqs_queue.tasks, dead_letters = aws_sqs_queue.dead_letters }

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
  #checkov:skip=CKV_AWS_116:Tasks have the queue's dead-letter queue; a payload comes again with the next schedule, and an alarm tells.
  #checkov:skip=CKV_AWS_117:It calls S3, SQS and STS only; a VPC would add endpoints to pay for.
  #checkov:skip=CKV_AWS_173:No secrets in the environment; a key of one's own is a variable.
  #checkov:skip=CKV_AWS_272:The zip is built by whoever deploys it; signing it would need a profile of theirs.
  function_name    = var.name
  description      = "Rolls S3 server access logs up into one verified tarball per day"
  filename         = var.zip_path
  source_code_hash = filebase64sha256(var.zip_path)
  handler          = "main.lambda_handler"
  runtime          = var.runtime
  architectures    = [var.architecture]
  role             = aws_iam_role.function.arn
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds
  kms_key_arn      = var.kms_key_arn
  tags             = var.tags

  environment {
    variables = merge({
      ROLLUP_QUEUE_NAME         = aws_sqs_queue.tasks.url
      ROLLUP_DELETE             = tostring(var.delete)
      ROLLUP_ALLOW_CROSS_REGION = tostring(var.allow_cross_region)
      ROLLUP_LEVEL              = tostring(var.level)
      ROLLUP_LOG_LEVEL          = var.log_level
      }, length(local.roles) == 0 ? {} : { ROLLUP_ALLOWED_ROLES = join(",", local.roles) },
      var.max_in_flight == null ? {} : { ROLLUP_MAX_IN_FLIGHT = tostring(var.max_in_flight) }
    )
  }

  depends_on = [aws_cloudwatch_log_group.function, aws_iam_role_policy.function]
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

resource "aws_scheduler_schedule" "payload" {
  #checkov:skip=CKV_AWS_297:The payload holds prefixes and a role's name, no secrets.
  for_each = var.schedules

  name                         = "${var.name}-${each.key}"
  description                  = "Looks for days to roll up"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = each.value.timezone
  state                        = each.value.enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.roller.arn
    role_arn = aws_iam_role.scheduler.arn
    input = jsonencode({
      for field, value in each.value : field => value
      if value != null && !contains(["expression", "timezone", "enabled"], field)
    })

    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }
  }
}
