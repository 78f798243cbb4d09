# What ../fargate, ../batch and ../ec2-spot take as `shared`.

output "name" {
  value = var.name
}

output "platform" {
  value = var.platform
}

output "tags" {
  value = var.tags
}

output "permissions_boundary_arn" {
  value = var.permissions_boundary_arn
}

output "job_id" {
  value = var.job.id
}

output "secret_arns" {
  value = var.secret_arns
}

output "kms_key_arns" {
  value = var.kms_key_arns
}

output "environment" {
  description = "What the program is told, as environment variables."
  value       = local.environment
}

output "table_name" {
  value = local.table_name
}

output "table_arn" {
  value = local.table_arn
}

output "log_group_name" {
  value = local.log_group_name
}

output "log_group_arn" {
  value = local.log_group_arn
}

output "job_role_arn" {
  value = var.existing_job_role_name == null ? aws_iam_role.job[0].arn : data.aws_iam_role.job[0].arn
  # The role can do something only once its policy is there.
  depends_on = [aws_iam_role_policy.job]
}

output "job_role_name" {
  value = var.existing_job_role_name == null ? aws_iam_role.job[0].name : var.existing_job_role_name
}

output "job_policy_json" {
  description = "What an existing role needs."
  value       = local.job_policy
}

output "security_group_id" {
  description = "The brokers' own security group must admit this one."
  value       = aws_security_group.job.id
}

output "alarm_topic_arn" {
  value = local.topic_arn
}

output "region" {
  value = local.region
}

output "account" {
  value = local.account
}

output "partition" {
  value = local.partition
}
