variable "shared" {
  description = "The module ../shared with platform = \"fargate\", as a whole."
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
    condition     = var.shared.platform == "fargate"
    error_message = "shared: the shared module was made for another platform; set its platform to \"fargate\"."
  }
}

variable "subnet_ids" {
  description = "Private subnets with a way to the brokers and to AWS (NAT, or the endpoints of ../endpoints)."
  type        = list(string)
}

variable "assign_public_ip" {
  description = "A public address for the task; only for subnets whose only way out is an internet gateway."
  type        = bool
  default     = false
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

variable "cpu_architecture" {
  description = "ARM64 (a fifth cheaper) or X86_64."
  type        = string
  default     = "ARM64"
  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "cpu_architecture: ARM64 or X86_64."
  }
}

variable "cpu" {
  description = "CPU units; the program has one thread and uses at most 1024."
  type        = number
  default     = 1024
}

variable "memory" {
  description = "MiB; 2048 is the least that Fargate gives with 1024 CPU units. The program needs 24."
  type        = number
  default     = 2048
}

variable "spot" {
  description = "Fargate Spot: a third of the price, and may be taken away at two minutes' notice."
  type        = bool
  default     = false
}

variable "existing_cluster_arn" {
  description = "An ECS cluster that is there already, in place of a new one; for spot it needs the provider FARGATE_SPOT."
  type        = string
  default     = null
}

variable "existing_execution_role_arn" {
  description = "An execution role (pulls the image, writes the log) that is there already, in place of a new one."
  type        = string
  default     = null
}

variable "secrets" {
  description = "Variables of the program whose values are secrets: name to ARN, as ECS takes them (a JSON key may follow the ARN)."
  type        = map(string)
  default     = {}
}

variable "starts_max" {
  description = "The task is started at most so often for one execution."
  type        = number
  default     = 20
  validation {
    condition     = var.starts_max >= 1 && var.starts_max <= 1000
    error_message = "starts_max: 1 to 1000 (an execution has at most 25,000 events)."
  }
}

variable "pause_seconds" {
  description = "Between two starts."
  type        = number
  default     = 30
}

variable "start_timeout_seconds" {
  description = "One start may take so long, from the request to the end of the task."
  type        = number
  default     = 172800
}
