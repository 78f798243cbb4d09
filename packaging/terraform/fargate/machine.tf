# The state machine. Its input may name other settings for one execution:
#
#   {"environment": [{"Name": "JOB_ID", "Value": "orders-2026-02"}]}
#
#   Begin -> Run -> Done                          exit 0
#             |
#             v failed
#         Ended? -> Read exit code -> Exit code? -> Failed         1
#             |                           |
#             | no task, no exit code     | 75, killed
#             v                           v
#           Again? --------> Pause -> Count -> Run
#             |
#             v no more
#           Gave up

locals {
  # One of the two; FARGATE by its launch type needs nothing of an existing cluster.
  placement = { for key, value in {
    CapacityProviderStrategy = [{ CapacityProvider = "FARGATE_SPOT", Weight = 1 }]
    LaunchType               = "FARGATE"
  } : key => value if key == (var.spot ? "CapacityProviderStrategy" : "LaunchType") }

  machine = {
    Comment = "Copies one CSV into Kafka; starts it again after an interruption, at most ${var.starts_max} times."
    StartAt = "Begin"
    States = {
      "Begin" = {
        Type    = "Choice"
        Choices = [{ Variable = "$.environment", IsPresent = true, Next = "Begin with settings" }]
        Default = "Begin as deployed"
      }
      "Begin with settings" = {
        Type       = "Pass"
        Parameters = { "environment.$" = "$.environment", "starts" = 1 }
        Next       = "Run"
      }
      "Begin as deployed" = {
        Type   = "Pass"
        Result = { environment = [], starts = 1 }
        Next   = "Run"
      }
      "Run" = {
        Type           = "Task"
        Resource       = "arn:${var.shared.partition}:states:::ecs:runTask.sync"
        TimeoutSeconds = var.start_timeout_seconds
        Parameters = merge(local.placement, {
          Cluster        = local.cluster_arn
          TaskDefinition = aws_ecs_task_definition.job.arn
          PropagateTags  = "TASK_DEFINITION"
          NetworkConfiguration = {
            AwsvpcConfiguration = {
              Subnets        = var.subnet_ids
              SecurityGroups = [var.shared.security_group_id]
              AssignPublicIp = var.assign_public_ip ? "ENABLED" : "DISABLED"
            }
          }
          Overrides = {
            ContainerOverrides = [{ Name = local.container, "Environment.$" = "$.environment" }]
          }
        })
        ResultPath = null
        Catch = [
          # Nothing that another start would change.
          {
            ErrorEquals = ["ECS.AccessDeniedException", "ECS.InvalidParameterException", "ECS.ClusterNotFoundException", "States.Permissions", "States.Runtime", "States.ParameterPathFailure"]
            ResultPath  = "$.problem"
            Next        = "Failed"
          },
          { ErrorEquals = ["States.TaskFailed"], ResultPath = "$.problem", Next = "Ended?" },
          { ErrorEquals = ["States.ALL"], ResultPath = "$.problem", Next = "Again?" },
        ]
        Next = "Done"
      }
      # A task that ended otherwise than with 0: the cause is its description. Other problems of
      # ECS come by the same name, with words as their cause.
      "Ended?" = {
        Type    = "Choice"
        Choices = [{ Variable = "$.problem.Cause", StringMatches = "{*\"Containers\":*}", Next = "Read exit code" }]
        Default = "Again?"
      }
      "Read exit code" = {
        Type       = "Pass"
        Parameters = { "task.$" = "States.StringToJson($.problem.Cause)" }
        ResultPath = "$.ended"
        Next       = "Exit code?"
      }
      "Exit code?" = {
        Type = "Choice"
        Choices = [
          # Never started, or lost with its host.
          { Variable = "$.ended.task.Containers[0].ExitCode", IsPresent = false, Next = "Again?" },
          # Interrupted, killed (also for want of memory), ended by a SIGTERM that came too early.
          {
            Or   = [for code in [75, 137, 143] : { Variable = "$.ended.task.Containers[0].ExitCode", NumericEquals = code }]
            Next = "Again?"
          },
        ]
        Default = "Failed"
      }
      "Again?" = {
        Type    = "Choice"
        Choices = [{ Variable = "$.starts", NumericLessThan = var.starts_max, Next = "Pause" }]
        Default = "Gave up"
      }
      "Pause" = {
        Type    = "Wait"
        Seconds = var.pause_seconds
        Next    = "Count"
      }
      "Count" = {
        Type       = "Pass"
        Parameters = { "environment.$" = "$.environment", "starts.$" = "States.MathAdd($.starts, 1)" }
        Next       = "Run"
      }
      "Done" = {
        Type = "Succeed"
      }
      "Failed" = {
        Type      = "Fail"
        Error     = "JobFailed"
        CausePath = "$.problem.Cause"
      }
      "Gave up" = {
        Type      = "Fail"
        Error     = "GaveUp"
        CausePath = "$.problem.Cause"
      }
    }
  }
}

resource "aws_sfn_state_machine" "job" {
  # checkov:skip=CKV_AWS_284:the program is not traced with X-Ray; each start is an event of the execution's history
  # checkov:skip=CKV_AWS_285:the service keeps the history of a standard execution for 90 days, and the task has a log
  name       = local.name
  role_arn   = aws_iam_role.machine.arn
  definition = jsonencode(local.machine)
  tags       = var.shared.tags
  depends_on = [aws_iam_role_policy.machine]
}

# What the program can not say itself: a task that never starts, restarts used up. (A job that ended
# with 1 rings the alarm of the shared module too.)
resource "aws_cloudwatch_metric_alarm" "execution" {
  for_each            = toset(["ExecutionsFailed", "ExecutionsTimedOut"])
  alarm_name          = "${local.name}-${each.value}"
  alarm_description   = "An execution of ${local.name} did not end well. See docs/operations.md."
  namespace           = "AWS/States"
  metric_name         = each.value
  dimensions          = { StateMachineArn = aws_sfn_state_machine.job.arn }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.shared.alarm_topic_arn]
  tags                = var.shared.tags
}
