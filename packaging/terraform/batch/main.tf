# A queue over Spot instances, and one job definition that is started again where that helps.

locals {
  name    = var.shared.name
  profile = var.existing_instance_profile_arn == null ? aws_iam_instance_profile.instance[0].arn : var.existing_instance_profile_arn
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

resource "aws_launch_template" "instance" {
  name_prefix = "${local.name}-"
  description = "csv-to-kafka: container instances of Batch"
  tags        = var.shared.tags

  # A token is needed, and no container can get one: the job has its role from ECS.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 30
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.ebs_kms_key_arn
      delete_on_termination = true
    }
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.shared.tags, { Name = local.name })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.shared.tags, { Name = local.name })
  }
}

# The names of environment and queue end at random: what replaces one is made before the old one
# goes. Without a service role Batch uses its own service-linked one.
resource "aws_batch_compute_environment" "this" {
  type         = "MANAGED"
  state        = "ENABLED"
  service_role = var.existing_service_role_arn
  tags         = var.shared.tags

  compute_resources {
    type                = var.spot ? "SPOT" : "EC2"
    allocation_strategy = var.spot ? "SPOT_PRICE_CAPACITY_OPTIMIZED" : "BEST_FIT_PROGRESSIVE"
    min_vcpus           = 0
    max_vcpus           = var.vcpus_max
    instance_type       = var.instance_types
    instance_role       = local.profile
    subnets             = var.subnet_ids
    security_group_ids  = [var.shared.security_group_id]
    tags                = merge(var.shared.tags, { Name = local.name })

    ec2_configuration {
      image_type = "ECS_AL2023"
    }

    launch_template {
      launch_template_id = aws_launch_template.instance.id
      version            = aws_launch_template.instance.latest_version
    }
  }

  lifecycle {
    create_before_destroy = true
  }

  depends_on = [aws_iam_role_policy_attachment.instance]
}

resource "aws_batch_job_queue" "this" {
  name     = local.name
  state    = "ENABLED"
  priority = 1
  tags     = var.shared.tags

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.this.arn
  }
}

resource "aws_batch_job_definition" "job" {
  # checkov:skip=CKV_AWS_210:it is not privileged; said below
  name                  = local.name
  type                  = "container"
  platform_capabilities = ["EC2"]
  propagate_tags        = true
  tags                  = var.shared.tags

  container_properties = jsonencode({
    image                  = module.container.image
    command                = []
    jobRoleArn             = var.shared.job_role_arn
    executionRoleArn       = module.container.execution_role_arn
    privileged             = false
    readonlyRootFilesystem = true
    environment            = [for name, value in var.shared.environment : { name = name, value = value }]
    secrets                = [for name, arn in var.secrets : { name = name, valueFrom = arn }]
    resourceRequirements = [
      { type = "VCPU", value = tostring(var.job_vcpus) },
      { type = "MEMORY", value = tostring(var.job_memory) },
    ]
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
  })

  timeout {
    attempt_duration_seconds = var.timeout_seconds
  }

  # The first rule that fits decides; Batch takes five at most.
  retry_strategy {
    attempts = var.attempts

    # Interrupted: progress is saved.
    evaluate_on_exit {
      on_exit_code = "75"
      action       = "RETRY"
    }

    # Killed, also for want of memory or at the end of a Spot notice.
    evaluate_on_exit {
      on_exit_code = "137"
      action       = "RETRY"
    }

    # The instance is gone.
    evaluate_on_exit {
      on_status_reason = "Host EC2*"
      action           = "RETRY"
    }

    # Never started: the image could not be pulled, Docker did not answer.
    evaluate_on_exit {
      on_status_reason = "Task failed to start*"
      action           = "RETRY"
    }

    # 1, and whatever else: a person must look. (Where no rule fits, Batch would retry.)
    evaluate_on_exit {
      on_reason = "*"
      action    = "EXIT"
    }
  }
}

# What the program can not say itself: a job that never starts, attempts used up.
resource "aws_cloudwatch_event_rule" "failed" {
  name        = "${local.name}-failed"
  description = "A job of ${local.name} failed for good"
  tags        = var.shared.tags
  event_pattern = jsonencode({
    source      = ["aws.batch"]
    detail-type = ["Batch Job State Change"]
    detail = {
      status   = ["FAILED"]
      jobQueue = [aws_batch_job_queue.this.arn]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  rule = aws_cloudwatch_event_rule.failed.name
  arn  = var.shared.alarm_topic_arn
}
