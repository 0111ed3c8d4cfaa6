# The role that the roller assumes in an account whose buckets hold access logs.

data "aws_partition" "current" {}

data "aws_caller_identity" "current" {}

module "policy" {
  source = "../bucket-policy"

  prefixes   = var.prefixes
  delete     = var.delete
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  rollup_tags        = var.rollup_tags
  rollup_acl         = var.rollup_acl
  rollup_kms_key_arn = var.rollup_kms_key_arn
  delete_versions    = var.delete_versions
}

locals {
  # Not the roles themselves: IAM would keep their unique ids, and a roller that is made anew, under the same name,
  # could not assume this role any more.
  trusted_accounts = distinct([for arn in var.trusted_role_arns : join(":", slice(split(":", arn), 0, 5))])
}

resource "aws_iam_role" "access" {
  name                 = var.name
  path                 = var.iam_path
  permissions_boundary = var.permissions_boundary_arn
  description          = "Lets the S3 access log roller roll up the access logs of this account"
  max_session_duration = 3600 # a role assumed by a role cannot have more
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = [for account in local.trusted_accounts : "${account}:root"] }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:PrincipalArn" = var.trusted_role_arns }
        StringEquals = { "sts:ExternalId" = var.external_id }
      }
    }]
  })
  tags = var.tags
}

resource "aws_iam_policy" "access" {
  count = length(module.policy.policies)

  name        = "${var.name}-${count.index + 1}"
  path        = var.iam_path
  description = "What rolling up the access logs of this account takes, part ${count.index + 1}"
  policy      = module.policy.policies[count.index]
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "access" {
  count = length(aws_iam_policy.access)

  role       = aws_iam_role.access.name
  policy_arn = aws_iam_policy.access[count.index].arn

  lifecycle {
    precondition {
      condition     = length(module.policy.policies) <= 10
      error_message = "The prefixes take ${length(module.policy.policies)} policies, but a role holds 10 (IAM's default quota). Use several roles, or name fewer prefixes: a prefix covers everything below it."
    }
  }
}
