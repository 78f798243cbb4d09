variable "shared" {
  description = "The module ../shared with platform = \"batch\", as a whole."
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
    security_group_id        = string
    alarm_topic_arn          = string
    region                   = string
    account                  = string
    partition                = string
  })
  validation {
    condition     = var.shared.platform == "batch"
    error_message = "shared: the shared module was made for another platform; set its platform to \"batch\"."
  }
}

variable "subnet_ids" {
  description = "Private subnets with a way to the brokers and to AWS (NAT, or the endpoints of ../endpoints)."
  type        = list(string)
}

variable "image" {
  description = "An image that is there already (repository@sha256:…), in place of a new repository."
  type        = string
  default     = null
}

variable "image_digest" {
  description = "Digest (sha256:…) of the image in the new repository; packaging/deploy sets it after its push."
  type        = string
  default     = null
  validation {
    condition     = var.image_digest == null || can(regex("^sha256:[0-9a-f]{64}$", var.image_digest))
    error_message = "image_digest: sha256: and 64 hexadecimal digits."
  }
}

variable "repository_kms_key_arn" {
  description = "Customer key of the new repository."
  type        = string
  default     = null
}

variable "instance_types" {
  description = "All of one architecture; many kinds, so that Spot has somewhere to go. The program has one thread."
  type        = list(string)
  default     = ["c7g.medium", "c6g.medium", "m7g.medium", "m6g.medium", "r7g.medium", "r6g.medium"]
}

variable "spot" {
  description = "Spot instances; false for On-Demand."
  type        = bool
  default     = true
}

variable "vcpus_max" {
  description = "Of the compute environment: one for each job that runs at the same time."
  type        = number
  default     = 4
}

variable "job_vcpus" {
  type    = number
  default = 1
}

variable "job_memory" {
  description = "MiB; the program needs 24."
  type        = number
  default     = 256
}

variable "attempts" {
  description = "A job is started at most so often."
  type        = number
  default     = 10
  validation {
    condition     = var.attempts >= 1 && var.attempts <= 10
    error_message = "attempts: 1 to 10, which is all that Batch grants."
  }
}

variable "timeout_seconds" {
  description = "One attempt may take so long."
  type        = number
  default     = 172800
}

variable "existing_execution_role_arn" {
  description = "An execution role (pulls the image, writes the log) that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "existing_service_role_arn" {
  description = "A role for Batch itself; by default its service-linked one, which AWS makes."
  type        = string
  default     = null
}

variable "existing_instance_profile_arn" {
  description = "An instance profile for ECS container instances that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "ebs_kms_key_arn" {
  description = "Customer key of the instances' disks; they are encrypted in any case."
  type        = string
  default     = null
}

variable "secrets" {
  description = "Variables of the program whose values are secrets: name to ARN (a JSON key may follow the ARN)."
  type        = map(string)
  default     = {}
}
