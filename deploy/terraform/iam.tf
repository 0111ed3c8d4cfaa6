# Roles with exactly the actions that are made. `s3-log-roller policy --prefixes …` prints the same statements for S3.

module "own_buckets" {
  source = "./bucket-policy"

  prefixes  = distinct(flatten([for one in var.schedules : one.prefixes if one.s3_role == null]))
  delete    = var.delete
  partition = data.aws_partition.current.partition
}

resource "aws_iam_role" "function" {
  name        = "${var.name}-${local.region}"
  description = "What the S3 access log roller may do"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "function" {
  name = "s3-log-roller"
  role = aws_iam_role.function.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Effect   = "Allow"
          Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
          Resource = [aws_sqs_queue.tasks.arn]
        },
        {
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.function.arn}:*"]
        },
      ],
      length(local.roles) == 0 ? [] : [{ Effect = "Allow", Action = ["sts:AssumeRole"], Resource = local.roles }],
      var.kms_key_arn == null ? [] : [{
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource = [var.kms_key_arn]
      }],
      module.own_buckets.statements,
    )
  })
}

resource "aws_iam_role" "scheduler" {
  name        = "${var.name}-${local.region}-schedule"
  description = "Lets EventBridge Scheduler start the S3 access log roller"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "scheduler" {
  name = "invoke"
  role = aws_iam_role.scheduler.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [aws_lambda_function.roller.arn]
    }]
  })
}
