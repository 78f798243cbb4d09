variable "shared" {
  description = "The module ../shared with platform = \"ec2-spot\", as a whole."
  type = object({
    name                     = string
    platform                 = string
    tags                     = map(string)
    permissions_boundary_arn = string
    job_id                   = string
    environment              = map(string)
    kms_key_arns             = list(string)
    secret_arns              = list(string)
    table_name               = string
    log_group_name           = string
    log_group_arn            = string
    job_role_arn             = string
    job_role_name            = string
    security_group_id        = string
    alarm_topic_arn          = string
    region                   = string
    account                  = string
    partition                = string
  })
  validation {
    condition     = var.shared.platform == "ec2-spot"
    error_message = "shared: the shared module was made for another platform; set its platform to \"ec2-spot\"."
  }
}

variable "subnet_ids" {
  description = "Private subnets with a way to the brokers and to AWS (NAT, or the endpoints of ../endpoints)."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "A public address for the instance; only for subnets whose only way out is an internet gateway."
  type        = bool
  default     = false
}

variable "binary_url" {
  description = "Where the instance fetches the binary: https://… or s3://bucket/key (with its own role)."
  type        = string
  validation {
    condition     = can(regex("^(https|s3)://", var.binary_url))
    error_message = "binary_url: https://… or s3://bucket/key."
  }
}

variable "binary_sha256" {
  description = "What the binary must be; it comes from here and is never fetched from beside the binary."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.binary_sha256))
    error_message = "binary_sha256: 64 hexadecimal digits, as sha256sum prints them."
  }
}

variable "instance_type" {
  description = "The program has one thread and needs 24 MiB."
  type        = string
  default     = "c7g.medium"
}

variable "instance_types" {
  description = "For the Auto Scaling group, all of one architecture: many kinds, so that Spot has somewhere to go."
  type        = list(string)
  default     = ["c7g.medium", "c6g.medium", "m7g.medium", "m6g.medium"]
}

variable "ami_id" {
  description = "By default the newest Amazon Linux 2023 of the architecture, as AWS names it in Systems Manager."
  type        = string
  default     = null
}

variable "cpu_architecture" {
  description = "arm64 or x86_64; that of the binary and of the instance types."
  type        = string
  default     = "arm64"
  validation {
    condition     = contains(["arm64", "x86_64"], var.cpu_architecture)
    error_message = "cpu_architecture: arm64 or x86_64."
  }
}

variable "spot" {
  description = "Spot instances; false for On-Demand."
  type        = bool
  default     = true
}

variable "relaunch" {
  description = "An Auto Scaling group of one instance, which starts another one after a Spot loss."
  type        = bool
  default     = true
}

variable "runs_max" {
  description = "The program is started at most so often on one instance."
  type        = number
  default     = 20
}

variable "existing_instance_profile_name" {
  description = "An instance profile that is there already, in place of a new one; output instance_policy_json is what its role needs beside the job's policy."
  type        = string
  default     = null
}

variable "ebs_kms_key_arn" {
  description = "Customer key of the disk; it is encrypted in any case."
  type        = string
  default     = null
}

variable "user_data_script" {
  description = "Path of the script; by default userdata/user-data.sh of this repository."
  type        = string
  default     = null
}
