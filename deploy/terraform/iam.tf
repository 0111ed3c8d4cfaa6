# Roles with exactly the actions that are made. `s3-log-roller policy --prefixes …` prints the same statements for S3.

locals {
  own_schedules = { for name, one in var.schedules : name => one if one.s3_role == null }
  # The buckets of one account share policies; null stands for the account that the roller is in.
  owners = { for name, one in local.own_schedules : coalesce(one.expected_bucket_owner, var.expected_bucket_owner, "own") => one.prefixes... }

  # The same tree below the destination, as the program makes it: the name of the logs' bucket, then their prefix.
  own_places = [for uri in distinct(flatten([for one in local.own_schedules : one.prefixes])) : regex("^s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)$", uri)]
  destinations = var.destination == null || var.destination_role != null ? [] : [
    for place in local.own_places : "${trimsuffix(var.destination, "/")}/${place.bucket}/${place.prefix}"
  ]

  s3_policies = concat(
    flatten([for name in sort(keys(local.owners)) : module.own_buckets[name].policies]),
    flatten(module.destination[*].policies),
  )
}

module "destination" {
  source = "./modules/bucket-policy"
  count  = length(local.destinations) > 0 ? 1 : 0

  prefixes   = local.destinations
  delete     = false
  account_id = var.destination_owner
  partition  = local.partition

  rollup_tags        = var.rollup_tags
  rollup_acl         = var.rollup_acl
  rollup_kms_key_arn = var.rollup_kms_key_arn
}

module "own_buckets" {
  source   = "./modules/bucket-policy"
  for_each = local.owners

  prefixes   = distinct(flatten(each.value))
  delete     = var.delete
  account_id = each.key == "own" ? data.aws_caller_identity.current.account_id : each.key
  partition  = local.partition

  rollup_tags        = var.rollup_tags
  rollup_acl         = var.rollup_acl
  rollup_kms_key_arn = var.rollup_kms_key_arn
  delete_versions    = var.delete_versions
  rollups            = var.destination == null
}

locals {
  function_role_arn  = var.function_role_arn == null ? aws_iam_role.function[0].arn : var.function_role_arn
  scheduler_role_arn = var.scheduler_role_arn == null ? aws_iam_role.scheduler[0].arn : var.scheduler_role_arn

  function_statements = concat(
    [
      {
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
        Resource = [aws_sqs_queue.tasks.arn]
      },
      {
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = [aws_sqs_queue.failed_payloads.arn]
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.function.arn}:*"]
      },
    ],
    length(local.roles) == 0 ? [] : [{ Effect = "Allow", Action = ["sts:AssumeRole"], Resource = local.roles }],
    var.destination_role == null ? [] : [{ Effect = "Allow", Action = ["sts:AssumeRole"], Resource = [var.destination_role] }],
    var.kms_key_arn == null ? [] : [{
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = [var.kms_key_arn]
    }],
  )

  # Lambda itself makes these calls to put the function into the VPC; the function's own code may not (Lambda
  # developer guide, "Giving Lambda functions access to resources in an Amazon VPC").
  network_actions = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
  ]
  network_statements = length(var.subnet_ids) == 0 ? [] : [
    { Effect = "Allow", Action = local.network_actions, Resource = ["*"], Condition = {} },
    {
      Effect    = "Deny"
      Action    = local.network_actions
      Resource  = ["*"]
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "arn:${local.partition}:lambda:${local.region}:${data.aws_caller_identity.current.account_id}:function:${var.name}" } }
    },
  ]

  # Known before anything is made, so that a plan says it; the rest has less than 2,500 characters.
  variable_policy_chars = length(jsonencode(local.roles)) + length(jsonencode(var.extra_policy_statements))

  function_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      local.function_statements,
      [for one in local.network_statements : { for name, value in one : name => value if name != "Condition" || length(value) > 0 }],
      var.extra_policy_statements,
    )
  })
}

resource "aws_iam_role" "function" {
  count = var.function_role_arn == null ? 1 : 0

  name                 = local.role_name
  path                 = var.iam_path
  permissions_boundary = var.permissions_boundary_arn
  description          = "What the S3 access log roller may do"
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
  #checkov:skip=CKV_AWS_290:The EC2 actions for a VPC take no resource, and only Lambda itself may make them.
  #checkov:skip=CKV_AWS_355:The EC2 actions for a VPC take no resource, and only Lambda itself may make them.
  count = var.function_role_arn == null ? 1 : 0

  name   = "s3-log-roller"
  role   = aws_iam_role.function[0].name
  policy = local.function_policy

  lifecycle {
    precondition {
      condition     = local.variable_policy_chars <= 10240 - 2500
      error_message = "allowed_roles and extra_policy_statements take ${local.variable_policy_chars} characters of the function's inline policy, but IAM allows 10,240, and 2,500 are taken. Give the roles the same name in every account and allow arn:aws:iam::*:role/NAME."
    }
  }
}

resource "aws_iam_policy" "s3" {
  count = var.function_role_arn == null ? length(local.s3_policies) : 0

  name        = "${local.role_name}-s3-${count.index + 1}"
  path        = var.iam_path
  description = "What rolling up the access logs takes, part ${count.index + 1}"
  policy      = local.s3_policies[count.index]
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "s3" {
  count = length(aws_iam_policy.s3)

  role       = aws_iam_role.function[0].name
  policy_arn = aws_iam_policy.s3[count.index].arn

  lifecycle {
    precondition {
      condition     = length(local.s3_policies) <= 10
      error_message = "The prefixes take ${length(local.s3_policies)} policies, but a role holds 10 (IAM's default quota). Deploy several copies with fewer buckets each, or reach buckets through an s3_role."
    }
  }
}

resource "aws_iam_role" "scheduler" {
  count = var.scheduler_role_arn == null ? 1 : 0

  name                 = "${local.role_name}-schedule"
  path                 = var.iam_path
  permissions_boundary = var.permissions_boundary_arn
  description          = "Lets EventBridge Scheduler start the S3 access log roller"
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
  count = var.scheduler_role_arn == null ? 1 : 0

  name = "invoke"
  role = aws_iam_role.scheduler[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        { Effect = "Allow", Action = ["lambda:InvokeFunction"], Resource = [aws_lambda_function.roller.arn] },
        { Effect = "Allow", Action = ["sqs:SendMessage"], Resource = [aws_sqs_queue.failed_payloads.arn] },
      ],
      var.kms_key_arn == null ? [] : [
        { Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [var.kms_key_arn] },
      ],
    )
  })
}
