# One Spot instance that fetches the binary, copies, and ends itself; and a group of one that
# starts another instance when this one is taken away.

locals {
  name       = var.shared.name
  group_name = local.name
  profile    = var.existing_instance_profile_name == null ? aws_iam_instance_profile.instance[0].name : var.existing_instance_profile_name
  script     = coalesce(var.user_data_script, "${path.module}/../../../userdata/user-data.sh")
  ami        = "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.cpu_architecture}"

  settings = merge(var.shared.environment, {
    BINARY_URL    = var.binary_url
    BINARY_SHA256 = var.binary_sha256
    RUNS_MAX      = tostring(var.runs_max)
    LOG_GROUP     = var.shared.log_group_name
  }, var.relaunch ? { AUTO_SCALING_GROUP = local.group_name } : {})

  # The settings before the script, each in single quotes, so that no value is ever run.
  user_data = join("\n", concat(
    ["#!/bin/bash"],
    [for name, value in local.settings : "export ${name}='${replace(value, "'", "'\\''")}'"],
    [file(local.script)],
  ))

  binary_in_s3 = regexall("^s3://([^/]+)/(.+)$", var.binary_url)
}

resource "aws_launch_template" "job" {
  name_prefix                          = "${local.name}-"
  description                          = "csv-to-kafka: one job, then it ends itself"
  image_id                             = coalesce(var.ami_id, local.ami)
  instance_type                        = var.instance_type
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true
  user_data                            = base64gzip(local.user_data)
  tags                                 = var.shared.tags

  iam_instance_profile {
    name = local.profile
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  network_interfaces {
    device_index                = 0
    subnet_id                   = var.relaunch ? null : var.subnet_ids[0]
    security_groups             = [var.shared.security_group_id]
    associate_public_ip_address = var.assign_public_ip
    delete_on_termination       = true
  }

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = 8
      volume_type           = "gp3"
      encrypted             = true
      kms_key_id            = var.ebs_kms_key_arn
      delete_on_termination = true
    }
  }

  # A group chooses the market itself (its mixed instances policy).
  dynamic "instance_market_options" {
    for_each = var.spot && !var.relaunch ? [1] : []
    content {
      market_type = "spot"
      spot_options {
        spot_instance_type             = "one-time"
        instance_interruption_behavior = "terminate"
      }
    }
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "instance"
    tags          = merge(var.shared.tags, { Name = local.name })
  }

  tag_specifications {
    resource_type = "volume"
    tags          = merge(var.shared.tags, { Name = local.name })
  }

  lifecycle {
    precondition {
      condition     = length(base64gzip(local.user_data)) <= 21844
      error_message = "The user data is longer than the 16 KiB that EC2 takes: shorten job.settings (a certificate belongs in a file or in the image)."
    }
  }
}

# One instance, or none. Its user data sets desired_capacity to 0 after exit code 0 or 1, or when
# restarts are used up; after a Spot loss nobody does, and the group starts another one.
resource "aws_autoscaling_group" "job" {
  # checkov:skip=CKV_AWS_153:the tags are copied below, from a map
  count                     = var.relaunch ? 1 : 0
  name                      = local.group_name
  min_size                  = 0
  max_size                  = 1
  desired_capacity          = 0
  vpc_zone_identifier       = var.subnet_ids
  health_check_type         = "EC2"
  health_check_grace_period = 60
  default_cooldown          = 0
  wait_for_capacity_timeout = "0"
  capacity_rebalance        = false

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = var.spot ? 0 : 100
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.job.id
        version            = aws_launch_template.job.latest_version
      }
      dynamic "override" {
        for_each = var.instance_types
        content {
          instance_type = override.value
        }
      }
    }
  }

  dynamic "tag" {
    for_each = merge(var.shared.tags, { Name = local.name })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    # 1 starts a job, and the instance sets it to 0 again: no business of apply.
    ignore_changes = [desired_capacity]
  }

  depends_on = [aws_iam_role_policy.instance]
}
