output "function_name" {
  description = "The function, for `aws lambda invoke`."
  value       = aws_lambda_function.roller.function_name
}

output "function_role_arn" {
  description = "The role that roles in other accounts have to trust (`trusted_role_arns` of bucket-access)."
  value       = local.function_role_arn
}

output "function_policies" {
  description = "What the function's role has to allow, as JSON documents; for the role that `function_role_arn` names."
  value       = concat([local.function_policy], local.s3_policies)
}

output "kms_key_policy_statements" {
  description = "What the policy of `kms_key_arn` has to allow besides the account itself, as JSON."
  value = jsonencode([{
    Effect    = "Allow"
    Principal = { Service = "logs.${local.region}.amazonaws.com" }
    Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    Resource  = "*"
    Condition = {
      ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.partition}:logs:${local.region}:${data.aws_caller_identity.current.account_id}:log-group:/aws/lambda/${var.name}" }
    }
  }])
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

output "failed_payloads_queue_url" {
  description = "Where payloads go that failed as a whole or could not be delivered."
  value       = aws_sqs_queue.failed_payloads.url
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
