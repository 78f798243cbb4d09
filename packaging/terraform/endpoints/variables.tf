variable "name" {
  type    = string
  default = "csv-to-kafka"
}

variable "platform" {
  description = "fargate, batch or ec2-spot: which endpoints it takes."
  type        = string
}

variable "create" {
  description = "false: only tell which ones are needed (output needed)."
  type        = bool
  default     = true
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  description = "Where the interface endpoints have their addresses: the job's subnets."
  type        = list(string)
}

variable "route_table_ids" {
  description = "Those of the job's subnets, for the gateway endpoints."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "The shared module's output security_group_id."
  type        = string
}

variable "secrets" {
  description = "The job reads a secret."
  type        = bool
  default     = false
}

variable "kms" {
  description = "The job decrypts with a customer key by itself. (For objects, tables and secrets the service does it.)"
  type        = bool
  default     = false
}

variable "tags" {
  type    = map(string)
  default = {}
}
