variable "shared" {
  type = object({
    name                     = string
    tags                     = map(string)
    permissions_boundary_arn = string
    kms_key_arns             = list(string)
    log_group_arn            = string
    region                   = string
    account                  = string
    partition                = string
  })
}

variable "image" {
  type    = string
  default = null
}

variable "image_digest" {
  type    = string
  default = null
}

variable "repository_kms_key_arn" {
  type    = string
  default = null
}

variable "existing_execution_role_arn" {
  type    = string
  default = null
}

variable "secrets" {
  type    = map(string)
  default = {}
}
