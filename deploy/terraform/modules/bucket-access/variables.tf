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
