# One task that copies and ends, and a state machine that starts it again where that helps.

locals {
  name        = var.shared.name
  cluster_arn = var.existing_cluster_arn == null ? aws_ecs_cluster.this[0].arn : var.existing_cluster_arn
  container   = "csv-to-kafka"
  # The ARN without its revision: a permission that outlives the next deployment.
  family_arn = "arn:${var.shared.partition}:ecs:${var.shared.region}:${var.shared.account}:task-definition/${local.name}"
}

module "container" {
  source                      = "../container"
  shared                      = var.shared
  image                       = var.image
  image_digest                = var.image_digest
  repository_kms_key_arn      = var.repository_kms_key_arn
  existing_execution_role_arn = var.existing_execution_role_arn
  secrets                     = var.secrets
}

resource "aws_ecs_cluster" "this" {
  # checkov:skip=CKV_AWS_65:Container Insights costs more than the task; the program tells what it does itself
  count = var.existing_cluster_arn == null ? 1 : 0
  name  = local.name
  tags  = var.shared.tags
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  count              = var.existing_cluster_arn == null ? 1 : 0
  cluster_name       = aws_ecs_cluster.this[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

resource "aws_ecs_task_definition" "job" {
  family                   = local.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = var.shared.job_role_arn
  execution_role_arn       = module.container.execution_role_arn
  tags                     = var.shared.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  container_definitions = jsonencode([{
    name                   = local.container
    image                  = module.container.image
    essential              = true
    readonlyRootFilesystem = true
    # The program ends within ten seconds of SIGTERM, whatever its peers do; this is the most that
    # Fargate grants.
    stopTimeout = 120
    environment = [for name, value in var.shared.environment : { name = name, value = value }]
    secrets     = [for name, arn in var.secrets : { name = name, valueFrom = arn }]
    linuxParameters = {
      capabilities = { drop = ["ALL"] }
    }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.shared.log_group_name
        awslogs-region        = var.shared.region
        awslogs-stream-prefix = "job"
        # A log that is not taken must not hold up the job.
        mode            = "non-blocking"
        max-buffer-size = "25m"
      }
    }
  }])
}
