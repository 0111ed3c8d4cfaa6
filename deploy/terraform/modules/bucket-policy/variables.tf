variable "prefixes" {
  description = "Where the access logs are, as s3://bucket/prefix."
  type        = list(string)

  validation {
    condition     = alltrue([for uri in var.prefixes : can(regex("^s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?$", uri))])
    error_message = "prefixes must be a list of s3://bucket/prefix."
  }
  validation {
    condition     = !anytrue([for uri in var.prefixes : can(regex("/(.*[^0-9])?20[0-9]{2}(-[0-9-]*)?$", uri))])
    error_message = "A prefix must not end in a date, since the rollups lie beside it. End it before the date and choose days with since and until."
  }
}

variable "delete" {
  description = "Whether originals may be deleted."
  type        = bool
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

variable "account_id" {
  description = "The account that the buckets must belong to. With null it is not checked."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id must be the 12 digits of an account."
  }
}

variable "partition" {
  description = "The partition of AWS: aws, aws-cn or aws-us-gov."
  type        = string
  default     = "aws"
}

variable "rollups" {
  description = "Rollups are written to these buckets; false if they go to another one."
  type        = bool
  default     = true
}
