# The S3 statements for some prefixes, the same as `s3-log-roller policy` prints.

terraform {
  required_version = ">= 1.9"
}

variable "prefixes" {
  description = "s3://bucket/prefix of the access logs."
  type        = list(string)

  validation {
    condition     = alltrue([for uri in var.prefixes : can(regex("^s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?$", uri))])
    error_message = "prefixes is a list of s3://bucket/prefix."
  }
}

variable "delete" {
  description = "Allow deleting originals."
  type        = bool
}

variable "partition" {
  description = "aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

locals {
  places = [for uri in var.prefixes : regex("^s3://(?P<bucket>[^/]+)/?(?P<prefix>.*)$", uri)]
  by_bucket = {
    for place in local.places : place.bucket => place.prefix...
  }
  # Without prefixes that another one covers; `*`, `?` and `$` are meant literally.
  patterns = {
    for bucket, prefixes in local.by_bucket : bucket => [
      for prefix in sort(distinct(prefixes)) :
      "${replace(replace(replace(prefix, "$", "$${$}"), "*", "$${*}"), "?", "$${?}")}*"
      if !anytrue([for other in prefixes : other != prefix && startswith(prefix, other)])
    ]
  }
  actions = concat(["s3:AbortMultipartUpload"], var.delete ? ["s3:DeleteObject"] : [], ["s3:GetObject", "s3:PutObject"])
}

output "statements" {
  description = "Statements of an IAM policy."
  value = flatten([for bucket, patterns in local.patterns : [
    {
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = ["arn:${var.partition}:s3:::${bucket}"]
      Condition = { StringLike = { "s3:prefix" = patterns } }
    },
    {
      Effect    = "Allow"
      Action    = local.actions
      Resource  = [for pattern in patterns : "arn:${var.partition}:s3:::${bucket}/${pattern}"]
      Condition = {}
    },
  ]])
}
