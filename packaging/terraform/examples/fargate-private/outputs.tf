output "next" {
  value = module.job.next
}

output "security_group_id" {
  description = "The brokers' security group must admit this one."
  value       = module.shared.security_group_id
}

output "repository_url" {
  value = module.job.repository_url
}

output "state_machine_arn" {
  value = module.job.state_machine_arn
}

output "endpoints" {
  description = "What these subnets need."
  value       = module.endpoints.needed
}
