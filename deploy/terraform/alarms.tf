# What rings when. No alarm rings because there is no data yet: those that wait for something to happen start when it
# has happened for the first time.

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]
  function      = { FunctionName = var.name }

  alarms = {
    dead-letters = {
      description = "Tasks failed too often. See \"When the dead-letter alarm rings\" in docs/guide/on-aws.md."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      statistic   = "Maximum"
      period      = 300
      periods     = 1
      above       = 0
    }
    failed-payloads = {
      description = "A schedule's payload failed as a whole or could not be delivered; the queue of this name has it."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.failed_payloads.name }
      statistic   = "Maximum"
      period      = 300
      periods     = 1
      above       = 0
    }
    old-tasks = {
      description = "A task has been waiting for more than a day."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.tasks.name }
      statistic   = "Maximum"
      period      = 3600
      periods     = 1
      above       = 24 * 3600
    }
    errors = {
      description = "The function failed as a whole: a wrong setting, out of memory, a bug."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = local.function
      statistic   = "Sum"
      period      = 3600
      periods     = 1
      above       = 0
    }
    throttles = {
      description = "The account has no concurrency left for the function: lower max_concurrency or raise the account's quota."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = local.function
      statistic   = "Sum"
      period      = 300
      periods     = 3
      above       = 0
    }
    failed-scans = {
      description = "A prefix could not be scanned to its end; the log says which and why (scan_failed)."
      namespace   = "S3LogRoller"
      metric      = "ScanFailures"
      dimensions  = local.function
      statistic   = "Sum"
      period      = 3600
      periods     = 1
      above       = 0
    }
    unrolled-days = {
      description = "Two days in a row there were logs in no rollup that are older than max_unrolled_age_days."
      namespace   = "S3LogRoller"
      metric      = "OldestUnrolledDayAge"
      dimensions  = local.function
      statistic   = "Maximum"
      period      = 24 * 3600
      periods     = 2
      above       = var.max_unrolled_age_days
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "something_wrong" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  threshold           = each.value.above
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = var.tags
}

locals {
  # How many days a schedule may be silent, where it does not say so itself: two for one that fires daily or more often,
  # one more than its interval for a rarer rate, and no alarm for what CloudWatch cannot wait for (7 days) or what
  # nobody can tell from the expression.
  interval_days = {
    for name, one in var.schedules : name => (
      can(regex("^rate\\([0-9]+ (minute|hour)s?\\)$", one.expression)) ? ceil(tonumber(regex("[0-9]+", one.expression)) / (strcontains(one.expression, "minute") ? 1440 : 24)) :
      can(regex("^rate\\([0-9]+ days?\\)$", one.expression)) ? tonumber(regex("[0-9]+", one.expression)) :
      can(regex("^cron\\([^ ]+ [^ ]+ [*?] [*] [*?]( [*])?\\)$", one.expression)) ? 1 : 1000
    )
  }
  silence_days = {
    for name, one in var.schedules : name => coalesce(one.alarm_after_days, local.interval_days[name] <= 6 ? local.interval_days[name] + 1 : 0) if one.enabled
  }
}

# The state for "no data" is what rings here. It is the one that an alarm is made in, so this rings only after the
# schedule has fired for the first time and then stopped.
resource "aws_cloudwatch_metric_alarm" "silent" {
  for_each = { for name, days in local.silence_days : name => days if days > 0 }

  alarm_name                = "${var.name}-${each.key}-silent"
  alarm_description         = "The schedule ${each.key} has not fired for ${each.value} days or more. Is it enabled, and is its role as it was?"
  namespace                 = "AWS/Scheduler"
  metric_name               = "InvocationAttemptCount"
  dimensions                = { ScheduleGroup = aws_scheduler_schedule_group.payload[each.key].name }
  statistic                 = "Sum"
  period                    = 24 * 3600
  evaluation_periods        = each.value
  threshold                 = 1
  comparison_operator       = "LessThanThreshold"
  treat_missing_data        = "missing"
  alarm_actions             = local.alarm_actions
  insufficient_data_actions = local.alarm_actions
  ok_actions                = local.alarm_actions
  tags                      = var.tags
}

# Each run says how many day groups it found, so this rings after a run that found none, however rare runs are.
resource "aws_cloudwatch_metric_alarm" "nothing_found" {
  for_each = { for name, one in var.schedules : name => one if one.enabled && one.alarm_on_nothing_found }

  alarm_name          = "${var.name}-${each.key}-nothing-found"
  alarm_description   = "The schedule ${each.key} found no logs of the days it asks for. Are its prefixes right, and are logs still delivered?"
  namespace           = "S3LogRoller"
  metric_name         = "DayGroupsFound"
  dimensions          = merge(local.function, { Schedule = each.key })
  statistic           = "Sum"
  period              = 24 * 3600
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = var.tags
}

locals {
  undelivered = {
    refused = { metric = "TargetErrorCount", description = "was refused when it started the function. May its role still invoke it?" }
    dropped = { metric = "InvocationDroppedCount", description = "gave up starting the function for one of the schedule's times." }
  }
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  for_each = merge([for name, one in var.schedules : { for kind, alarm in local.undelivered : "${name}-${kind}" => merge(alarm, { schedule = name }) } if one.enabled]...)

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "EventBridge Scheduler ${each.value.description}"
  namespace           = "AWS/Scheduler"
  metric_name         = each.value.metric
  dimensions          = { ScheduleGroup = aws_scheduler_schedule_group.payload[each.value.schedule].name }
  statistic           = "Sum"
  period              = 3600
  evaluation_periods  = 1
  threshold           = 0
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = var.tags
}

locals {
  own   = { for metric in ["DayGroupsDone", "Logs", "BytesIn", "BytesOut", "Failures", "ScanFailures", "OldestUnrolledDayAge"] : metric => ["S3LogRoller", metric, "FunctionName", var.name] }
  queue = ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"]

  graphs = [
    {
      title   = "Day groups and logs rolled up"
      stat    = "Sum"
      metrics = [local.own.DayGroupsDone, concat(local.own.Logs, [{ yAxis = "right" }])]
    },
    {
      title   = "Bytes in and out"
      stat    = "Sum"
      metrics = [local.own.BytesIn, local.own.BytesOut]
    },
    {
      title = "Failures"
      stat  = "Sum"
      metrics = [
        local.own.Failures,
        local.own.ScanFailures,
        ["AWS/Lambda", "Errors", "FunctionName", var.name],
        ["AWS/Lambda", "Throttles", "FunctionName", var.name],
        concat(local.queue, [aws_sqs_queue.dead_letters.name, { stat = "Maximum" }]),
      ]
    },
    {
      title   = "Waiting tasks; age in days of the oldest day with unrolled logs"
      stat    = "Maximum"
      metrics = [concat(local.queue, [aws_sqs_queue.tasks.name]), concat(local.own.OldestUnrolledDayAge, [{ yAxis = "right" }])]
    },
  ]
}

resource "aws_cloudwatch_dashboard" "roller" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [for number, graph in local.graphs : {
      type       = "metric"
      x          = 12 * (number % 2)
      y          = 6 * floor(number / 2)
      width      = 12
      height     = 6
      properties = merge(graph, { region = local.region, period = 3600 })
    }]
  })
}
