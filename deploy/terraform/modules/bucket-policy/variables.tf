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
