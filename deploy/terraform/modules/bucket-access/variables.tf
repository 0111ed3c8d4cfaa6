variable "name" {
  description = "Name of the role, and what the names of its policies begin with."
  type        = string
  default     = "s3-log-roller-bucket-access"

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,61}$", var.name))
    error_message = "name must be 1 to 61 letters, digits and +=,.@_-"
  }
}

variable "trusted_role_arns" {
  description = "Who may assume the role: the `function_role_arn` of each copy of the roller."
  type        = list(string)

  validation {
    condition     = length(var.trusted_role_arns) > 0 && alltrue([for arn in var.trusted_role_arns : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "trusted_role_arns must be a list of one or more arn:aws:iam::123456789012:role/NAME."
  }
}

variable "external_id" {
  description = "A text that the roller has to give as well, the same as the `external_id` of its schedule."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id)) && length(var.external_id) <= 1224
    error_message = "external_id must be 2 to 1,224 letters, digits and +=,.@:/-"
  }
}

variable "prefixes" {
  description = "Where the access logs are, as s3://bucket/prefix; the same as in the roller's schedule."
  type        = list(string)

  validation {
    condition     = length(var.prefixes) > 0
    error_message = "prefixes must have at least one entry."
  }
  validation {
    condition     = !anytrue([for uri in var.prefixes : can(regex("/(.*[^0-9])?20[0-9]{2}(-[0-9-]*)?$", uri))])
    error_message = "A prefix must not end in a date, since the rollups lie beside it. End it before the date and choose days with since and until."
  }
}

variable "delete" {
  description = "Whether originals may be deleted."
  type        = bool
  default     = false
}

variable "rollup_tags" {
  description = "Tags of every rollup, 10 at most."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.rollup_tags) <= 10 && alltrue([for key, value in var.rollup_tags : can(regex("^[^=,]{1,128}$", key)) && can(regex("^[^,]{0,256}$", value))])
    error_message = "rollup_tags: 10 at most, without commas, and without = in keys."
  }
}

variable "rollup_kms_key_arn" {
  description = "KMS key that S3 encrypts rollups with; null for AWS's own key, or where no KMS key is used."
  type        = string
  default     = null

  validation {
    condition     = var.rollup_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.rollup_kms_key_arn))
    error_message = "rollup_kms_key_arn must be arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "rollup_acl" {
  description = "`bucket-owner-full-control`, where the bucket still has ACLs on."
  type        = string
  default     = null

  validation {
    condition     = var.rollup_acl == null || var.rollup_acl == "bucket-owner-full-control"
    error_message = "rollup_acl must be bucket-owner-full-control."
  }
}

variable "delete_versions" {
  description = "Whether versions of originals may be deleted for good."
  type        = bool
  default     = false
}

variable "iam_path" {
  description = "Path of the role and its policies in IAM."
  type        = string
  default     = "/"
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the role."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the role and its policies."
  type        = map(string)
  default     = {}
}
