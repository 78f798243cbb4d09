output "launch_template_id" {
  value = aws_launch_template.job.id
}

output "auto_scaling_group_name" {
  value = var.relaunch ? aws_autoscaling_group.job[0].name : null
}

output "instance_policy_json" {
  description = "What an existing instance profile's role needs beside the job's policy."
  value       = local.instance_policy
}

output "next" {
  description = "The commands that come next."
  value = join("\n", [
    var.relaunch
    ? "start:  aws autoscaling set-desired-capacity --region ${var.shared.region} --auto-scaling-group-name ${local.group_name} --desired-capacity 1"
    : "start:  aws ec2 run-instances --region ${var.shared.region} --launch-template LaunchTemplateId=${aws_launch_template.job.id}",
    "watch:  aws logs tail ${var.shared.log_group_name} --region ${var.shared.region} --follow",
    "status: DYNAMODB_TABLE=${var.shared.table_name} AWS_REGION=${var.shared.region} csv-to-kafka status ${var.shared.job_id} --watch",
    var.relaunch
    ? "stop:   aws autoscaling set-desired-capacity --region ${var.shared.region} --auto-scaling-group-name ${local.group_name} --desired-capacity 0"
    : "stop:   aws ec2 terminate-instances --region ${var.shared.region} --instance-ids INSTANCE",
  ])
}
