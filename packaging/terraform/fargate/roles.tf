# The state machine's role. The task's own are in ../shared and ../container.

data "aws_iam_policy_document" "machine" {
  statement {
    sid       = "Start"
    actions   = ["ecs:RunTask"]
    resources = ["${local.family_arn}:*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }

  statement {
    # checkov:skip=CKV_AWS_356:a task's ARN is not known before it is started; the condition names the cluster
    # checkov:skip=CKV_AWS_111:the condition names the cluster
    sid       = "WatchAndStop"
    actions   = ["ecs:DescribeTasks", "ecs:StopTask"]
    resources = ["*"]
    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }

  statement {
    # How Step Functions hears that a task has ended; the rule's name is the service's own.
    sid       = "HearOfTheEnd"
    actions   = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
    resources = ["arn:${var.shared.partition}:events:${var.shared.region}:${var.shared.account}:rule/StepFunctionsGetEventsForECSTaskRule"]
  }

  statement {
    sid       = "GiveTheTaskItsRoles"
    actions   = ["iam:PassRole"]
    resources = [var.shared.job_role_arn, module.container.execution_role_arn]
    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  statement {
    # With tags on the task definition, ECS asks for this too.
    sid       = "TagTheTask"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${var.shared.partition}:ecs:${var.shared.region}:${var.shared.account}:task/*"]
    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }
}

resource "aws_iam_role" "machine" {
  name_prefix          = "${substr(local.name, 0, 28)}-start-"
  description          = "csv-to-kafka: starts the task"
  permissions_boundary = var.shared.permissions_boundary_arn
  tags                 = var.shared.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.shared.account } }
    }]
  })
}

resource "aws_iam_role_policy" "machine" {
  name   = "start"
  role   = aws_iam_role.machine.id
  policy = data.aws_iam_policy_document.machine.json
}
