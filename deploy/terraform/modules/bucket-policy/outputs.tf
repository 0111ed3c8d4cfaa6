output "policies" {
  description = "The policies, as JSON. All of them together allow rolling up the logs; each fits a managed policy."
  value       = local.policies

  precondition {
    condition     = alltrue([for policy in local.policies : length(policy) <= local.max_chars])
    error_message = "One bucket's prefixes take a policy of ${max(0, [for policy in local.policies : length(policy)]...)} characters, but a managed policy holds ${local.max_chars}. Name fewer, shorter prefixes: a prefix covers everything below it."
  }
}
