output "repository_url" {
  description = "Where packaging/deploy pushes the image."
  value       = module.container.repository_url
}

output "image" {
  value = module.container.image
}

output "job_queue_arn" {
  value = aws_batch_job_queue.this.arn
}

output "job_definition_arn" {
  value = aws_batch_job_definition.job.arn
}

output "next" {
  description = "The commands that come next."
  value       = <<-END
    start:  aws batch submit-job --region ${var.shared.region} --job-name ${local.name} --job-queue ${aws_batch_job_queue.this.name} --job-definition ${aws_batch_job_definition.job.name}
    watch:  aws logs tail ${var.shared.log_group_name} --region ${var.shared.region} --follow
    status: DYNAMODB_TABLE=${var.shared.table_name} AWS_REGION=${var.shared.region} csv-to-kafka status ${var.shared.job_id} --watch
    stop:   aws batch terminate-job --region ${var.shared.region} --reason "stopped by hand" --job-id JOB
  END
}
