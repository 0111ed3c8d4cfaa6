# The role that the roller assumes in an account whose buckets hold access logs.

variable "name" {
  description = "Name of the role."
  type        = string
  default     = "s3-log-roller-bucket-access"

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "name is 1 to 64 letters, digits and +=,.@_-"
  }
}

variable "trusted_role_arns" {
  description = "Who may assume it: the `function_role_arn` of each copy of the roller."
  type        = list(string)

  validation {
    condition     = length(var.trusted_role_arns) > 0 && alltrue([for arn in var.trusted_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "trusted_role_arns is a list of arn:aws:iam::123456789012:role/NAME, one or more."
  }
}

variable "external_id" {
  description = "A text that the roller has to give as well, the same as `external_id` of its schedule."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "external_id is 2 to 1,224 letters, digits and +=,.@:/-"
  }
}

variable "prefixes" {
  description = "s3://bucket/prefix of the access logs, the same as in the roller's schedule."
  type        = list(string)

  validation {
    condition     = length(var.prefixes) > 0
    error_message = "prefixes has at least one entry."
  }
  validation {
    condition     = !anytrue([for uri in var.prefixes : can(regex("/(.*[^0-9])?20[0-9]{2}(-[0-9-]*)?$", uri))])
    error_message = "A prefix ends in a date, but the rollups lie beside it: end it before the date and choose days with since and until."
  }
}

variable "delete" {
  description = "Allow deleting originals."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the role."
  type        = map(string)
  default     = {}
}

data "aws_partition" "current" {}

module "policy" {
  source = "../bucket-policy"

  prefixes  = var.prefixes
  delete    = var.delete
  partition = data.aws_partition.current.partition
}

resource "aws_iam_role" "access" {
  name                 = var.name
  description          = "Lets the S3 access log roller roll up the access logs of this account"
  max_session_duration = 3600 # all that a role assumed by a role can have
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.trusted_role_arns }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "sts:ExternalId" = var.external_id } }
    }]
  })
  tags = var.tags
}

resource "aws_iam_role_policy" "access" {
  name   = "access-logs"
  role   = aws_iam_role.access.name
  policy = jsonencode({ Version = "2012-10-17", Statement = module.policy.statements })
}

output "role_arn" {
  description = "`s3_role` of the roller's schedule."
  value       = aws_iam_role.access.arn
}
