variable "name" {
  description = "Name of the function; everything else is named after it. One per region and account."
  type        = string
  default     = "s3-log-roller"

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,39}$", var.name))
    error_message = "name must be 1 to 39 letters, digits and hyphens: IAM allows 64 characters for the name of a role, which ends in the region and -schedule."
  }
}

variable "zip_path" {
  description = "The function's zip, as `make lambda` builds it, for `architecture` and `runtime`."
  type        = string

  validation {
    condition     = endswith(var.zip_path, ".zip")
    error_message = "zip_path must be the path of a .zip file."
  }
}

variable "architecture" {
  description = "Processor: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "runtime" {
  description = "Lambda runtime that the zip was built for."
  type        = string
  default     = "python3.13"

  validation {
    condition     = can(regex("^python3\\.1[2-9]$", var.runtime))
    error_message = "runtime must be python3.12 or newer."
  }
}

variable "schedules" {
  description = "What to roll up and when, by a name of your choice. `expression` is EventBridge Scheduler's (in UTC, or in `timezone`). `alarm_after_days` is how long it may be silent before an alarm rings (null: told from the expression, 0: never); `alarm_on_nothing_found` is whether an alarm rings after a run that found no logs. The rest is the payload: `prefixes` (s3://bucket/prefix, any depth), `s3_role` and `external_id` for buckets of other accounts, `expected_bucket_owner` (12 digits), `min_age_days`, `max_age_days` (0: days of any age; null: 14 without `delete`, any with it), `since` and `until` (YYYY-MM-DD)."
  type = map(object({
    expression             = optional(string, "cron(0 6 * * ? *)")
    timezone               = optional(string, "UTC")
    enabled                = optional(bool, true)
    alarm_after_days       = optional(number)
    alarm_on_nothing_found = optional(bool, true)
    prefixes               = list(string)
    s3_role                = optional(string)
    external_id            = optional(string)
    expected_bucket_owner  = optional(string)
    min_age_days           = optional(number)
    max_age_days           = optional(number)
    since                  = optional(string)
    until                  = optional(string)
  }))

  validation {
    condition     = length(var.schedules) > 0 && alltrue([for name in keys(var.schedules) : can(regex("^[A-Za-z0-9_-]{1,20}$", name))])
    error_message = "schedules must have at least one entry, named with 1 to 20 letters, digits, hyphens and underscores."
  }
  validation {
    condition     = alltrue([for one in var.schedules : can(regex("^(cron|rate|at)\\(.+\\)$", one.expression))])
    error_message = "expression must be cron(…), rate(…) or at(…)."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.alarm_after_days == null || try(one.alarm_after_days >= 0 && one.alarm_after_days <= 7 && floor(one.alarm_after_days) == one.alarm_after_days, false)])
    error_message = "alarm_after_days must be a whole number from 0 to 7: CloudWatch looks back 7 days at most."
  }
  validation {
    condition     = alltrue(flatten([for one in var.schedules : [length(one.prefixes) > 0, [for uri in one.prefixes : can(regex("^s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?$", uri))]]]))
    error_message = "prefixes must be a list of one or more s3://bucket/prefix."
  }
  validation {
    condition     = !anytrue(flatten([for one in var.schedules : [for uri in one.prefixes : can(regex("/(.*[^0-9])?20[0-9]{2}(-[0-9-]*)?$", uri))]]))
    error_message = "A prefix must not end in a date, since the rollups lie beside it. End it before the date and choose days with since and until."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.s3_role == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", one.s3_role))])
    error_message = "s3_role must be arn:aws:iam::123456789012:role/NAME."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.external_id == null || (one.s3_role != null && can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", one.external_id)) && length(coalesce(one.external_id, "-")) <= 1224)])
    error_message = "external_id goes with s3_role and must be 2 to 1,224 letters, digits and +=,.@:/-"
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.expected_bucket_owner == null || can(regex("^[0-9]{12}$", one.expected_bucket_owner))])
    error_message = "expected_bucket_owner must be the 12 digits of an account."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.min_age_days == null || try(one.min_age_days >= 1 && floor(one.min_age_days) == one.min_age_days, false)])
    error_message = "min_age_days must be a whole number, 1 or more: today is never touched."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.max_age_days == null || try(one.max_age_days >= 0 && floor(one.max_age_days) == one.max_age_days, false)])
    error_message = "max_age_days must be a whole number: 1 or more, or 0 for days of any age."
  }
  validation {
    condition     = alltrue(flatten([for one in var.schedules : [for day in [one.since, one.until] : day == null || can(formatdate("YYYY", "${day}T00:00:00Z"))]]))
    error_message = "since and until must be days, YYYY-MM-DD."
  }
}

variable "expected_bucket_owner" {
  description = "The account, by its 12 digits, that all buckets must belong to where a schedule does not name another. null: S3 is not asked, and the function's policy names the account that the roller is in."
  type        = string
  default     = null

  validation {
    condition     = var.expected_bucket_owner == null || can(regex("^[0-9]{12}$", var.expected_bucket_owner))
    error_message = "expected_bucket_owner must be the 12 digits of an account."
  }
}

variable "allowed_roles" {
  description = "Roles that payloads and tasks may name: arn:aws:iam::123456789012:role/NAME, or arn:aws:iam::*:role/NAME for the role of that name in every account. Empty: the roles of the schedules."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.allowed_roles : can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|[*]):role/[A-Za-z0-9_+=,.@/-]+$", arn))])
    error_message = "allowed_roles must be a list of arn:aws:iam::123456789012:role/NAME or arn:aws:iam::*:role/NAME."
  }
}

variable "min_age_days" {
  description = "Leave the last so many days alone, today among them, where a schedule does not say otherwise."
  type        = number
  default     = 1

  validation {
    condition     = var.min_age_days >= 1 && floor(var.min_age_days) == var.min_age_days
    error_message = "min_age_days must be a whole number, 1 or more: today is never touched."
  }
}

variable "max_age_days" {
  description = "Leave days alone that are more than so many days old, also in payloads that do not say so. null: days of any age."
  type        = number
  default     = null

  validation {
    condition     = var.max_age_days == null || try(var.max_age_days >= 1 && floor(var.max_age_days) == var.max_age_days, false)
    error_message = "max_age_days must be a whole number, 1 or more."
  }
}

variable "delete" {
  description = "Delete originals once their rollup was read back and verified. Leave it false for the first week."
  type        = bool
  default     = false
}

variable "allow_cross_region" {
  description = "Work on buckets in other regions, too, and pay for the traffic between them."
  type        = bool
  default     = false
}

variable "rollup_storage_class" {
  description = "Storage class of rollups; null for the bucket's default. A lifecycle rule moves them to archive classes."
  type        = string
  default     = null

  validation {
    condition     = var.rollup_storage_class == null || contains(["STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"], coalesce(var.rollup_storage_class, "STANDARD"))
    error_message = "rollup_storage_class must be STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING or GLACIER_IR."
  }
}

variable "rollup_encryption" {
  description = "How S3 encrypts rollups: `aws:kms`, `aws:kms:dsse` or `AES256`; null for the bucket's default."
  type        = string
  default     = null

  validation {
    condition     = var.rollup_encryption == null || contains(["aws:kms", "aws:kms:dsse", "AES256"], coalesce(var.rollup_encryption, "AES256"))
    error_message = "rollup_encryption must be aws:kms, aws:kms:dsse or AES256."
  }
}

variable "rollup_checksum" {
  description = "`sha256`: S3 holds uploads to it and keeps it, beside the MD5."
  type        = string
  default     = null

  validation {
    condition     = var.rollup_checksum == null || var.rollup_checksum == "sha256"
    error_message = "rollup_checksum must be sha256."
  }
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

variable "destination" {
  description = "`s3://BUCKET/PREFIX` that rollups go to, each below the name of its logs' bucket; null for beside the logs."
  type        = string
  default     = null

  validation {
    condition     = var.destination == null || can(regex("^s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?$", var.destination))
    error_message = "destination must be s3://BUCKET/PREFIX."
  }
}

variable "destination_role" {
  description = "ARN of the role that the function assumes for the destination; null if its own permissions do."
  type        = string
  default     = null

  validation {
    condition     = var.destination_role == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.destination_role))
    error_message = "destination_role must be arn:aws:iam::ACCOUNT:role/NAME."
  }
}

variable "destination_owner" {
  description = "Account that the destination must belong to; null for any."
  type        = string
  default     = null

  validation {
    condition     = var.destination_owner == null || can(regex("^[0-9]{12}$", var.destination_owner))
    error_message = "destination_owner must be the 12 digits of an account."
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
  description = "In versioned buckets, delete the versions that were verified for good, not only hide them."
  type        = bool
  default     = false
}

variable "level" {
  description = "Compression level, 1 to 9."
  type        = number
  default     = 8

  validation {
    condition     = var.level >= 1 && var.level <= 9 && floor(var.level) == var.level
    error_message = "level must be a whole number from 1 to 9."
  }
}

variable "max_in_flight" {
  description = "S3 requests that one worker has in flight, at most; null for the program's own default."
  type        = number
  default     = null

  validation {
    condition     = var.max_in_flight == null || try(var.max_in_flight >= 1 && var.max_in_flight <= 300, false)
    error_message = "max_in_flight must be from 1 to 300."
  }
}

variable "log_level" {
  description = "DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level must be DEBUG, INFO, WARNING or ERROR."
  }
}

variable "memory_mb" {
  description = "Memory of the function. 1769 MB is one vCPU; more is not faster, 512 is enough."
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_mb >= 256 && var.memory_mb <= 10240
    error_message = "memory_mb must be from 256 to 10,240."
  }
}

variable "timeout_seconds" {
  description = "Time limit of an invocation; what does not fit goes on in the next one."
  type        = number
  default     = 900

  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 900
    error_message = "timeout_seconds must be from 60 to 900."
  }
}

variable "max_concurrency" {
  description = "Workers at once, at most. The default leaves room for other functions in a new account, which has a concurrency of 10 in all."
  type        = number
  default     = 5

  validation {
    condition     = var.max_concurrency >= 2 && var.max_concurrency <= 1000
    error_message = "max_concurrency must be from 2 to 1,000 (Lambda's own limits)."
  }
}

variable "batch_size" {
  description = "Tasks per invocation, at most. 1 spreads them the widest."
  type        = number
  default     = 1

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10
    error_message = "batch_size must be from 1 to 10."
  }
}

variable "max_receives" {
  description = "Attempts at a task before it goes to the dead-letter queue."
  type        = number
  default     = 5 # AWS advises 5 or more: a throttled delivery counts, too

  validation {
    condition     = var.max_receives >= 3 && var.max_receives <= 1000
    error_message = "max_receives must be from 3 to 1,000: an attempt may fail through no fault of the task."
  }
}

variable "log_retention_days" {
  description = "How long the function's own log is kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the numbers that CloudWatch Logs takes: 1, 3, 5, 7, 14, 30, 60, 90, …"
  }
}

variable "kms_key_arn" {
  description = "KMS key for queues, environment and log; its policy has to hold what the output `kms_key_policy_statements` says. null: keys that AWS owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that the alarms go to. null: the alarms only change their state."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn must be arn:aws:sns:REGION:ACCOUNT:NAME."
  }
}

variable "max_unrolled_age_days" {
  description = "An alarm rings when logs older than so many days were in no rollup, two days in a row. S3 delivers some logs up to 9 days late."
  type        = number
  default     = 10

  validation {
    condition     = var.max_unrolled_age_days >= 1
    error_message = "max_unrolled_age_days must be 1 or more."
  }
}

variable "subnet_ids" {
  description = "Subnets, to run the function in a VPC. They need a way to S3 (a gateway endpoint is free), SQS and STS; see examples/vpc."
  type        = list(string)
  default     = []
}

variable "security_group_ids" {
  description = "Security groups of the function in the VPC; it only needs to reach out by HTTPS."
  type        = list(string)
  default     = []
}

variable "iam_path" {
  description = "Path of the roles and policies in IAM."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/(.+/)?$", var.iam_path))
    error_message = "iam_path must begin and end with a slash."
  }
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles."
  type        = string
  default     = null
}

variable "function_role_arn" {
  description = "A role that exists already, for the function. It has to allow what the output `function_policies` says. null: one is made."
  type        = string
  default     = null
}

variable "scheduler_role_arn" {
  description = "A role that exists already, for EventBridge Scheduler: it has to allow lambda:InvokeFunction on the function and sqs:SendMessage on the queue of failed payloads. null: one is made."
  type        = string
  default     = null
}

variable "extra_policy_statements" {
  description = "Statements to add to the policy of the function's role, in the form of an IAM policy."
  type        = any
  default     = []
}

variable "dashboard" {
  description = "Make a CloudWatch dashboard (three are free, then 3 USD a month each)."
  type        = bool
  default     = true
}

variable "tags" {
  description = "Tags for everything that takes tags."
  type        = map(string)
  default     = {}
}
