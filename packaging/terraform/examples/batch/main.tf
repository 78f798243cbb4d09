# A job on Batch, on Spot instances. terraform.tfvars holds the values to change; packaging/deploy builds,
# pushes and applies.

terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = var.region
}

module "shared" {
  source                    = "../../shared"
  platform                  = "batch"
  name                      = var.name
  tags                      = var.tags
  vpc_id                    = var.vpc_id
  job                       = var.job
  msk_cluster_arn           = var.msk_cluster_arn
  kafka_ports               = var.kafka_ports
  kafka_cidr_blocks         = var.kafka_cidr_blocks
  kafka_security_group_id   = var.kafka_security_group_id
  alarm_emails              = var.alarm_emails
  table_deletion_protection = var.table_deletion_protection
}

module "job" {
  source       = "../../batch"
  shared       = module.shared
  subnet_ids   = var.subnet_ids
  image        = var.image
  image_digest = var.image_digest
}
