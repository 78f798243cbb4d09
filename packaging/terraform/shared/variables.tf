variable "name" {
  description = "Begins the name of everything here; another one allows a second set in the same account."
  type        = string
  default     = "csv-to-kafka"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,31}$", var.name))
    error_message = "name: 3 to 32 of a-z, 0-9 and -, beginning with a letter."
  }
}

variable "platform" {
  description = "fargate, batch or ec2-spot: who assumes the job's role, and how it reports metrics."
  type        = string
  validation {
    condition     = contains(["fargate", "batch", "ec2-spot"], var.platform)
    error_message = "platform: fargate, batch or ec2-spot."
  }
}

variable "tags" {
  description = "On everything that takes tags."
  type        = map(string)
  default     = {}
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds each role made here."
  type        = string
  default     = null
}

variable "job" {
  description = "What is copied where, and the settings of the program (docs/settings.md); settings win over the rest."
  type = object({
    id                = optional(string, "csv-job-1")
    s3_bucket         = string
    s3_key            = string
    bootstrap_servers = string
    topic             = string
    settings          = optional(map(string), {})
  })
  validation {
    condition     = alltrue([for name in keys(var.job.settings) : can(regex("^[A-Z][A-Z0-9_]*$", name))])
    error_message = "job.settings: names are those of environment variables, such as KAFKA_PARTITION."
  }
  validation {
    condition     = length(setintersection(keys(var.job.settings), ["KAFKA_SASL_PASSWORD", "KAFKA_SSL_KEY_PEM", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])) == 0
    error_message = "job.settings: a secret does not belong in a state file; name it in secret_arns or log in with MSK IAM."
  }
}

variable "s3_prefix" {
  description = "Keys that the job may read; by default the job's own key alone. Wider for jobs that are started with another key."
  type        = string
  default     = null
}

variable "kms_key_arns" {
  description = "Customer keys with which the object, the table or the secrets are encrypted: the job may decrypt with them."
  type        = list(string)
  default     = []
}

variable "secret_arns" {
  description = "Secrets that the job may read (the logins of MSK begin with AmazonMSK_)."
  type        = list(string)
  default     = []
}

variable "table_name" {
  description = "Name of the checkpoint table that is made here; csv-kafka-checkpoint with the default name."
  type        = string
  default     = null
}

variable "existing_table_name" {
  description = "A checkpoint table that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "table_point_in_time_recovery" {
  description = "The table can be restored to any second of the last 35 days."
  type        = bool
  default     = true
}

variable "table_deletion_protection" {
  description = "The table can not be deleted, by terraform destroy neither."
  type        = bool
  default     = true
}

variable "table_kms_key_arn" {
  description = "Customer key of the table; by default it is encrypted with DynamoDB's own."
  type        = string
  default     = null
}

variable "log_group_name" {
  description = "Name of the log group that is made here; by default /ecs/, /aws/batch/ or /ec2/ and the name."
  type        = string
  default     = null
}

variable "existing_log_group_name" {
  description = "A log group that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long the logs are kept."
  type        = number
  default     = 365
}

variable "log_kms_key_arn" {
  description = "Customer key of the log group; its policy must admit CloudWatch Logs."
  type        = string
  default     = null
}

variable "existing_job_role_name" {
  description = "A role for the program that is there already, in place of a new one; outputs.job_policy_json is what it needs."
  type        = string
  default     = null
}

variable "vpc_id" {
  description = "Where it runs."
  type        = string
}

variable "kafka_ports" {
  description = "Ports of the brokers: 9092 plain, 9094 TLS, 9096 SCRAM, 9098 MSK IAM."
  type        = list(number)
  default     = [9098]
}

variable "kafka_cidr_blocks" {
  description = "Where the brokers are."
  type        = list(string)
  default     = []
}

variable "kafka_security_group_id" {
  description = "The brokers' security group, where it is in this VPC; it must admit the one made here (output)."
  type        = string
  default     = null
}

variable "https_cidr_blocks" {
  description = "Where the endpoints of AWS are: everywhere, or the VPC alone where it has interface endpoints."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "https_prefix_list_ids" {
  description = "Prefix lists of gateway endpoints (S3, DynamoDB), needed where https_cidr_blocks is not everywhere."
  type        = list(string)
  default     = []
}

variable "msk_cluster_arn" {
  description = "An MSK cluster that is logged in to with IAM; without it the job has no permission on any."
  type        = string
  default     = null
  validation {
    condition     = var.msk_cluster_arn == null || can(regex("^arn:aws[a-z-]*:kafka:[^:]+:[0-9]+:cluster/[^/]+/[^/]+$", var.msk_cluster_arn))
    error_message = "msk_cluster_arn: arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID."
  }
}

variable "alarm_job_ids" {
  description = "Jobs whose metrics are watched and drawn; by default the job's own id."
  type        = list(string)
  default     = null
}

variable "alarm_topic_arn" {
  description = "An SNS topic for the alarms that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "alarm_emails" {
  description = "Addresses that are told; each must confirm once."
  type        = list(string)
  default     = []
}

variable "stalled_seconds" {
  description = "A running job without progress for so long is called stalled."
  type        = number
  default     = 300
}

variable "errors_max" {
  description = "More errors than these within five minutes raise the alarm."
  type        = number
  default     = 10
}

variable "sns_kms_key_id" {
  description = "Key of the alarm topic; CloudWatch can publish with a customer key only if its policy admits it."
  type        = string
  default     = null
}
