variable "name" {
  description = "Name of the function; everything else is named after it. One per region and account."
  type        = string
  default     = "s3-log-roller"

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{1,40}$", var.name))
    error_message = "name is 1 to 40 letters, digits and hyphens."
  }
}

variable "zip_path" {
  description = "The function's zip, as `make lambda` builds it, for `architecture` and `runtime`."
  type        = string

  validation {
    condition     = endswith(var.zip_path, ".zip")
    error_message = "zip_path is the path of a .zip file."
  }
}

variable "architecture" {
  description = "Processor: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is arm64 or x86_64."
  }
}

variable "runtime" {
  description = "Lambda runtime that the zip was built for."
  type        = string
  default     = "python3.13"

  validation {
    condition     = can(regex("^python3\\.1[2-9]$", var.runtime))
    error_message = "runtime is python3.12 or newer."
  }
}

variable "schedules" {
  description = "What to roll up and when, by a name of your choice. `expression` is EventBridge Scheduler's (UTC unless `timezone` says otherwise); the rest is the payload: `prefixes` (s3://bucket/prefix, any depth), `s3_role` and `external_id` for buckets of other accounts, `min_age_days`, `since` and `until` (YYYY-MM-DD)."
  type = map(object({
    expression   = optional(string, "cron(0 6 * * ? *)")
    timezone     = optional(string, "UTC")
    enabled      = optional(bool, true)
    prefixes     = list(string)
    s3_role      = optional(string)
    external_id  = optional(string)
    min_age_days = optional(number)
    since        = optional(string)
    until        = optional(string)
  }))

  validation {
    condition     = length(var.schedules) > 0 && alltrue([for name in keys(var.schedules) : can(regex("^[A-Za-z0-9_-]{1,20}$", name))])
    error_message = "schedules has at least one entry, named with 1 to 20 letters, digits, hyphens and underscores."
  }
  validation {
    condition     = alltrue([for one in var.schedules : can(regex("^(cron|rate|at)\\(.+\\)$", one.expression))])
    error_message = "expression is cron(…), rate(…) or at(…)."
  }
  validation {
    condition     = alltrue(flatten([for one in var.schedules : [length(one.prefixes) > 0, [for uri in one.prefixes : can(regex("^s3://[A-Za-z0-9][A-Za-z0-9._-]+(/.*)?$", uri))]]]))
    error_message = "prefixes is a list of s3://bucket/prefix, one or more."
  }
  validation {
    condition     = !anytrue(flatten([for one in var.schedules : [for uri in one.prefixes : can(regex("/(.*[^0-9])?20[0-9]{2}(-[0-9-]*)?$", uri))]]))
    error_message = "A prefix ends in a date, but the rollups lie beside it: end it before the date and choose days with since and until."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.s3_role == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", one.s3_role))])
    error_message = "s3_role is arn:aws:iam::123456789012:role/NAME."
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.external_id == null || (one.s3_role != null && can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", one.external_id)) && length(coalesce(one.external_id, "-")) <= 1224)])
    error_message = "external_id goes with s3_role: 2 to 1,224 letters, digits and +=,.@:/-"
  }
  validation {
    condition     = alltrue([for one in var.schedules : one.min_age_days == null || try(one.min_age_days >= 1 && floor(one.min_age_days) == one.min_age_days, false)])
    error_message = "min_age_days is a whole number, 1 or more: today is never touched."
  }
  validation {
    condition     = alltrue(flatten([for one in var.schedules : [for day in [one.since, one.until] : day == null || can(formatdate("YYYY", "${day}T00:00:00Z"))]]))
    error_message = "since and until are days, YYYY-MM-DD."
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

variable "level" {
  description = "Compression level, 1 to 12."
  type        = number
  default     = 8

  validation {
    condition     = var.level >= 1 && var.level <= 12 && floor(var.level) == var.level
    error_message = "level is a whole number from 1 to 12."
  }
}

variable "max_in_flight" {
  description = "S3 requests that one worker has in flight, at most; null for the program's own default."
  type        = number
  default     = null

  validation {
    condition     = var.max_in_flight == null || try(var.max_in_flight >= 1 && var.max_in_flight <= 300, false)
    error_message = "max_in_flight is from 1 to 300."
  }
}

variable "log_level" {
  description = "DEBUG, INFO, WARNING or ERROR."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["DEBUG", "INFO", "WARNING", "ERROR"], var.log_level)
    error_message = "log_level is DEBUG, INFO, WARNING or ERROR."
  }
}

variable "memory_mb" {
  description = "Memory of the function. 1769 MB is one vCPU; more is not faster, 512 is enough."
  type        = number
  default     = 1769

  validation {
    condition     = var.memory_mb >= 256 && var.memory_mb <= 10240
    error_message = "memory_mb is from 256 to 10,240."
  }
}

variable "timeout_seconds" {
  description = "Time limit of an invocation; what does not fit goes on in the next one."
  type        = number
  default     = 900

  validation {
    condition     = var.timeout_seconds >= 60 && var.timeout_seconds <= 900
    error_message = "timeout_seconds is from 60 to 900."
  }
}

variable "max_concurrency" {
  description = "Workers at once, at most."
  type        = number
  default     = 10

  validation {
    condition     = var.max_concurrency >= 2 && var.max_concurrency <= 1000
    error_message = "max_concurrency is from 2 to 1,000 (Lambda's own limits)."
  }
}

variable "batch_size" {
  description = "Tasks per invocation, at most. 1 spreads them the widest."
  type        = number
  default     = 1

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10
    error_message = "batch_size is from 1 to 10."
  }
}

variable "max_receives" {
  description = "Attempts at a task before it goes to the dead-letter queue."
  type        = number
  default     = 3

  validation {
    condition     = var.max_receives >= 3 && var.max_receives <= 1000
    error_message = "max_receives is from 3 to 1,000: an attempt may fail through no fault of the task."
  }
}

variable "log_retention_days" {
  description = "How long the function's own log is kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of the numbers that CloudWatch Logs takes: 1, 3, 5, 7, 14, 30, 60, 90, …"
  }
}

variable "kms_key_arn" {
  description = "KMS key for queues, environment and log; its policy has to allow CloudWatch Logs. null: keys that AWS owns."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn is arn:aws:kms:REGION:ACCOUNT:key/ID."
  }
}

variable "alarm_topic_arn" {
  description = "SNS topic that the alarms go to. null: the alarms only change their state."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_topic_arn == null || can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:.+$", var.alarm_topic_arn))
    error_message = "alarm_topic_arn is arn:aws:sns:REGION:ACCOUNT:NAME."
  }
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
