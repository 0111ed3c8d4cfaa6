output "role_arn" {
  description = "The `s3_role` of the roller's schedule."
  value       = aws_iam_role.access.arn
}
