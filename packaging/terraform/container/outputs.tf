output "image" {
  value = local.image
}

output "repository_url" {
  value = local.given ? null : aws_ecr_repository.image[0].repository_url
}

output "execution_role_arn" {
  value      = var.existing_execution_role_arn == null ? aws_iam_role.execution[0].arn : var.existing_execution_role_arn
  depends_on = [aws_iam_role_policy.execution]
}
