locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  alarms = {
    dead-letters = {
      description = "Tasks failed too often. See \"When the dead-letter alarm rings\" in docs/guide/on-aws.md."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      statistic   = "Maximum"
      period      = 300
      above       = 0
    }
    old-tasks = {
      description = "A task has been waiting for more than a day."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.tasks.name }
      statistic   = "Maximum"
      period      = 3600
      above       = 24 * 3600
    }
    errors = {
      description = "The function failed as a whole: a prefix that cannot be scanned, a wrong setting, out of memory."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = var.name }
      statistic   = "Sum"
      period      = 3600
      above       = 0
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
  evaluation_periods  = 1
  threshold           = each.value.above
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = var.tags
}

resource "aws_cloudwatch_metric_alarm" "no_success" {
  alarm_name          = "${var.name}-no-success"
  alarm_description   = "Nothing succeeded for 2 days, not even a scan. Does the schedule still fire?"
  namespace           = "S3LogRoller"
  metric_name         = "Successes"
  dimensions          = { FunctionName = var.name }
  statistic           = "Sum"
  period              = 24 * 3600
  evaluation_periods  = 2
  threshold           = 1
  comparison_operator = "LessThanThreshold"
  treat_missing_data  = "breaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = var.tags
}

locals {
  own   = { for metric in ["DayGroupsDone", "Logs", "BytesIn", "BytesOut", "Failures", "OldestUnrolledDayAge"] : metric => ["S3LogRoller", metric, "FunctionName", var.name] }
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
        ["AWS/Lambda", "Errors", "FunctionName", var.name],
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
