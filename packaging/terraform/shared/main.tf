# What the three deployments have in common: the checkpoint table, the log group, the job's role
# and security group, dashboard and alarms. Used by ../fargate, ../batch and ../ec2-spot.

data "aws_partition" "current" {}
data "aws_region" "current" {}
data "aws_caller_identity" "current" {}

locals {
  region         = data.aws_region.current.id
  partition      = data.aws_partition.current.partition
  account        = data.aws_caller_identity.current.account_id
  table_name     = coalesce(var.existing_table_name, var.table_name, var.name == "csv-to-kafka" ? "csv-kafka-checkpoint" : "${var.name}-checkpoint")
  table_arn      = var.existing_table_name == null ? aws_dynamodb_table.checkpoint[0].arn : "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table/${var.existing_table_name}"
  log_group_name = var.existing_log_group_name == null ? aws_cloudwatch_log_group.job[0].name : var.existing_log_group_name
  log_group_arn  = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group_name}"
  log_folder     = { fargate = "/ecs", batch = "/aws/batch", ec2-spot = "/ec2" }[var.platform]
  job_ids        = coalesce(var.alarm_job_ids, [var.job.id])
  topic_arn      = var.alarm_topic_arn == null ? aws_sns_topic.alarms[0].arn : var.alarm_topic_arn

  # A container's log driver is read by CloudWatch, so a line of the log is a metric there; an
  # instance has no such reader and calls the service.
  metrics = var.platform == "ec2-spot" ? "cloudwatch" : "emf"

  environment = merge({
    AWS_REGION              = local.region
    JOB_ID                  = var.job.id
    S3_BUCKET               = var.job.s3_bucket
    S3_KEY                  = var.job.s3_key
    DYNAMODB_TABLE          = local.table_name
    KAFKA_BOOTSTRAP_SERVERS = var.job.bootstrap_servers
    KAFKA_TOPIC             = var.job.topic
    LOG_FORMAT              = "json"
    METRICS                 = local.metrics
    }, var.msk_cluster_arn == null ? {} : {
    KAFKA_SECURITY_PROTOCOL = "SASL_SSL"
    KAFKA_SASL_MECHANISM    = "AWS_MSK_IAM"
  }, var.job.settings)
}

resource "aws_dynamodb_table" "checkpoint" {
  # checkov:skip=CKV_AWS_119:DynamoDB's own key encrypts it; a customer key is a variable, as it costs and can be lost
  count                       = var.existing_table_name == null ? 1 : 0
  name                        = local.table_name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job_id"
  deletion_protection_enabled = var.table_deletion_protection
  tags                        = var.tags

  attribute {
    name = "job_id"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.table_point_in_time_recovery
  }

  dynamic "server_side_encryption" {
    for_each = var.table_kms_key_arn == null ? [] : [var.table_kms_key_arn]
    content {
      enabled     = true
      kms_key_arn = server_side_encryption.value
    }
  }
}

resource "aws_cloudwatch_log_group" "job" {
  # checkov:skip=CKV_AWS_158:CloudWatch's own key encrypts it; a customer key is a variable, and no row value is ever logged
  # checkov:skip=CKV_AWS_338:how long logs are kept is a variable, and a year by default
  count             = var.existing_log_group_name == null ? 1 : 0
  name              = coalesce(var.log_group_name, "${local.log_folder}/${var.name}")
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_security_group" "job" {
  # checkov:skip=CKV2_AWS_5:the module that uses this one attaches it
  name_prefix = "${var.name}-"
  description = "csv-to-kafka: out to AWS and to the brokers, nothing in"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = var.name })

  lifecycle {
    create_before_destroy = true
  }
}

# Names are resolved by the VPC's own resolver, which no security group filters.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each          = toset(var.https_cidr_blocks)
  security_group_id = aws_security_group.job.id
  description       = "AWS: S3, DynamoDB, logs, image"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = each.value
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "gateways" {
  count             = length(var.https_prefix_list_ids)
  security_group_id = aws_security_group.job.id
  description       = "AWS: gateway endpoints"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  prefix_list_id    = var.https_prefix_list_ids[count.index]
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "kafka" {
  for_each          = { for pair in setproduct(var.kafka_ports, var.kafka_cidr_blocks) : "${pair[0]} ${pair[1]}" => pair }
  security_group_id = aws_security_group.job.id
  description       = "the brokers"
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[0]
  cidr_ipv4         = each.value[1]
  tags              = var.tags
}

resource "aws_vpc_security_group_egress_rule" "kafka_group" {
  for_each                     = { for port in var.kafka_ports : tostring(port) => port if var.kafka_security_group_id != null }
  security_group_id            = aws_security_group.job.id
  description                  = "the brokers"
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
  referenced_security_group_id = var.kafka_security_group_id
  tags                         = var.tags
}
