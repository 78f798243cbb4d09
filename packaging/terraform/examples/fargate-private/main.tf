# A job on Fargate in subnets that have neither NAT nor internet: S3 and DynamoDB by gateway
# endpoints, the rest by interface endpoints, which are made here or (create_endpoints = false)
# only listed. terraform.tfvars holds the values to change; packaging/deploy builds,
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

data "aws_ec2_managed_prefix_list" "gateway" {
  for_each = toset(["s3", "dynamodb"])
  name     = "com.amazonaws.${var.region}.${each.value}"
}

module "shared" {
  source                    = "../../shared"
  platform                  = "fargate"
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
  https_cidr_blocks         = [var.vpc_cidr]
  https_prefix_list_ids     = [for list in data.aws_ec2_managed_prefix_list.gateway : list.id]
}

module "endpoints" {
  source                   = "../../endpoints"
  name                     = var.name
  platform                 = "fargate"
  create                   = var.create_endpoints
  vpc_id                   = var.vpc_id
  subnet_ids               = var.subnet_ids
  route_table_ids          = var.route_table_ids
  client_security_group_id = module.shared.security_group_id
  tags                     = var.tags
}

module "job" {
  source       = "../../fargate"
  shared       = module.shared
  subnet_ids   = var.subnet_ids
  image        = var.image
  image_digest = var.image_digest
  depends_on   = [module.endpoints]
}
