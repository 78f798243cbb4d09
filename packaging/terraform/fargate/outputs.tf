output "repository_url" {
  description = "Where packaging/deploy pushes the image."
  value       = module.container.repository_url
}

output "image" {
  value = module.container.image
}

output "state_machine_arn" {
  value = aws_sfn_state_machine.job.arn
}

output "next" {
  description = "The commands that come next."
  value       = <<-END
    start:  aws stepfunctions start-execution --region ${var.shared.region} --state-machine-arn ${aws_sfn_state_machine.job.arn}
    watch:  aws logs tail ${var.shared.log_group_name} --region ${var.shared.region} --follow
    status: DYNAMODB_TABLE=${var.shared.table_name} AWS_REGION=${var.shared.region} csv-to-kafka status ${var.shared.job_id} --watch
    stop:   aws stepfunctions list-executions --region ${var.shared.region} --state-machine-arn ${aws_sfn_state_machine.job.arn} --status-filter RUNNING --query 'executions[].executionArn' --output text | xargs -n1 aws stepfunctions stop-execution --region ${var.shared.region} --execution-arn
  END
}
