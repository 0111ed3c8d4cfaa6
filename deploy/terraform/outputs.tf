output "function_name" {
  description = "The function, for `aws lambda invoke`."
  value       = aws_lambda_function.roller.function_name
}

output "function_role_arn" {
  description = "The role that roles in other accounts have to trust (`trusted_role_arns` of bucket-access)."
  value       = aws_iam_role.function.arn
}

output "queue_url" {
  description = "The queue of tasks."
  value       = aws_sqs_queue.tasks.url
}

output "dead_letter_queue_url" {
  description = "Where tasks go that failed too often."
  value       = aws_sqs_queue.dead_letters.url
}

output "dead_letter_queue_arn" {
  description = "The source of `aws sqs start-message-move-task`."
  value       = aws_sqs_queue.dead_letters.arn
}

output "log_group_name" {
  description = "The function's log."
  value       = aws_cloudwatch_log_group.function.name
}

output "schedule_names" {
  description = "The schedules by the names given to them."
  value       = { for name, schedule in aws_scheduler_schedule.payload : name => schedule.name }
}

output "payloads" {
  description = "What each schedule sends, for `aws lambda invoke --payload`."
  value       = { for name, schedule in aws_scheduler_schedule.payload : name => schedule.target[0].input }
}
