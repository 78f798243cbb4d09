# The endpoints with which a job runs in subnets that have neither NAT nor internet.

data "aws_region" "current" {}

locals {
  region   = data.aws_region.current.id
  gateways = ["s3", "dynamodb"]
  # ECR keeps the layers of images in S3: the gateway serves them.
  of_platform = {
    fargate  = ["ecr.api", "ecr.dkr", "logs"]
    batch    = ["ecr.api", "ecr.dkr", "logs", "ecs", "ecs-agent", "ecs-telemetry"]
    ec2-spot = ["logs", "monitoring", "autoscaling"]
  }
  interfaces = concat(local.of_platform[var.platform], var.secrets ? ["secretsmanager"] : [], var.kms ? ["kms"] : [])
}

resource "aws_vpc_endpoint" "gateway" {
  for_each          = var.create ? toset(local.gateways) : []
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  tags              = merge(var.tags, { Name = "${var.name}-${each.value}" })
}

resource "aws_security_group" "endpoints" {
  count       = var.create ? 1 : 0
  name_prefix = "${var.name}-endpoints-"
  description = "csv-to-kafka: in from the job"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "job" {
  count                        = var.create ? 1 : 0
  security_group_id            = aws_security_group.endpoints[0].id
  description                  = "the job"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = var.client_security_group_id
  tags                         = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each            = var.create ? toset(local.interfaces) : []
  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${local.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.endpoints[0].id]
  private_dns_enabled = true
  tags                = merge(var.tags, { Name = "${var.name}-${each.value}" })
}

