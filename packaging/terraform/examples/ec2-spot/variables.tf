variable "region" {
  type = string
}

variable "name" {
  description = "Another name makes a second set beside the first."
  type        = string
  default     = "csv-to-kafka"
}

variable "tags" {
  type    = map(string)
  default = {}
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "job" {
  type = object({
    id                = optional(string, "csv-job-1")
    s3_bucket         = string
    s3_key            = string
    bootstrap_servers = string
    topic             = string
    settings          = optional(map(string), {})
  })
}

variable "msk_cluster_arn" {
  type    = string
  default = null
}

variable "kafka_ports" {
  type    = list(number)
  default = [9098]
}

variable "kafka_cidr_blocks" {
  type    = list(string)
  default = []
}

variable "kafka_security_group_id" {
  type    = string
  default = null
}

variable "alarm_emails" {
  type    = list(string)
  default = []
}

variable "table_deletion_protection" {
  description = "false before terraform destroy."
  type        = bool
  default     = true
}

variable "binary_url" {
  type = string
}

variable "binary_sha256" {
  type = string
}
