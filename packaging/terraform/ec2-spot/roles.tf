# What the instance may do beside the job's own permissions (../shared): fetch the binary, keep its
# log, and say that it is done.

locals {
  group_arn = "arn:${var.shared.partition}:autoscaling:${var.shared.region}:${var.shared.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"

  statements = concat(
    [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${var.shared.log_group_arn}:log-stream:*"]
      },
    ],
    [
      for part in local.binary_in_s3 : {
        Sid      = "FetchBinary"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["arn:${var.shared.partition}:s3:::${part[0]}/${part[1]}"]
      }
    ],
    !var.relaunch ? [] : [
      {
        Sid      = "SayDone"
        Effect   = "Allow"
        Action   = ["autoscaling:SetDesiredCapacity"]
        Resource = [local.group_arn]
      },
    ],
  )

  instance_policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

resource "aws_iam_role_policy" "instance" {
  count  = var.existing_instance_profile_name == null ? 1 : 0
  name   = "instance"
  role   = var.shared.job_role_name
  policy = local.instance_policy
}

resource "aws_iam_instance_profile" "instance" {
  count       = var.existing_instance_profile_name == null ? 1 : 0
  name_prefix = "${local.name}-"
  role        = var.shared.job_role_name
  tags        = var.shared.tags
}
