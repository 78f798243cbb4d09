# Dashboard and alarms. The program sends metrics only while it runs, and missing data counts as
# good: nothing rings while no job runs, or after one has completed.

locals {
  namespace = "CSVToKafka"
  alarms = {
    stalled = {
      metric    = "SecondsSinceProgress"
      threshold = var.stalled_seconds
      text      = "runs, and nothing was confirmed for ${var.stalled_seconds} s"
    }
    errors = {
      metric    = "ErrorCount"
      threshold = var.errors_max
      text      = "more than ${var.errors_max} errors within five minutes"
    }
  }
  watched = { for pair in setproduct(keys(local.alarms), local.job_ids) : "${pair[0]}-${pair[1]}" => {
    kind = pair[0], job_id = pair[1], alarm = local.alarms[pair[0]]
  } }

  # What each metric is read by; docs/metrics.md says the same.
  statistics = {
    Average = ["RecordsPerSecond", "KafkaLatency", "SourceLatency", "CompressionRatio"]
    Maximum = ["ProgressPercentage", "RecordsProcessed", "RecordsRemaining", "ETASeconds", "SecondsSinceProgress"]
    Sum     = ["ErrorCount", "RetryCount", "DeadLetters", "CheckpointCount", "BytesRead"]
  }
  statistic_of = merge([for statistic, metrics in local.statistics : { for metric in metrics : metric => statistic }]...)

  widgets = [
    { title = "Rows per second", metrics = ["RecordsPerSecond"] },
    { title = "Progress (%)", metrics = ["ProgressPercentage"] },
    { title = "Time left (s)", metrics = ["ETASeconds"] },
    { title = "Rows: confirmed, and left (estimate)", metrics = ["RecordsProcessed", "RecordsRemaining"] },
    { title = "Waiting for answers (ms)", metrics = ["KafkaLatency", "SourceLatency"] },
    { title = "Seconds since progress", metrics = ["SecondsSinceProgress"] },
    { title = "Errors, retries, dead letters", metrics = ["ErrorCount", "RetryCount", "DeadLetters"] },
    { title = "Bytes read", metrics = ["BytesRead"] },
    { title = "Checkpoints", metrics = ["CheckpointCount"] },
    { title = "Compression ratio", metrics = ["CompressionRatio"] },
  ]
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:an alarm names a job and no data; with AWS's own key CloudWatch could not publish, a customer key is a variable
  count             = var.alarm_topic_arn == null ? 1 : 0
  name              = "${var.name}-alarms"
  kms_master_key_id = var.sns_kms_key_id
  tags              = var.tags
}

resource "aws_sns_topic_policy" "alarms" {
  count = var.alarm_topic_arn == null ? 1 : 0
  arn   = aws_sns_topic.alarms[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms[0].arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      }],
      # The rule of ../batch. EventBridge names no account when it publishes, so that no condition
      # would hold.
      [for service in ["events.amazonaws.com"] : {
        Sid       = "Rule"
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alarms[0].arn
      } if var.platform == "batch"],
    )
  })
}

resource "aws_sns_topic_subscription" "emails" {
  for_each  = toset(var.alarm_emails)
  topic_arn = local.topic_arn
  protocol  = "email"
  endpoint  = each.value
}

resource "aws_cloudwatch_metric_alarm" "job" {
  for_each            = local.watched
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = "Job ${each.value.job_id} ${each.value.alarm.text}. See docs/operations.md."
  namespace           = local.namespace
  metric_name         = each.value.alarm.metric
  dimensions          = { JobId = each.value.job_id }
  statistic           = local.statistic_of[each.value.alarm.metric]
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.alarm.threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  tags                = var.tags
}

# A run's last line says how it ended. Exit code 1 means that a person must act; "gave_up" is what
# the starter of the program says when it starts it no more.
resource "aws_cloudwatch_log_metric_filter" "failed" {
  name           = "${var.name}-failed"
  log_group_name = local.log_group_name
  pattern        = "{ ($.event = \"ended\" && $.exit_code = 1) || $.event = \"gave_up\" }"

  metric_transformation {
    name      = "${var.name}-failed"
    namespace = "${local.namespace}/Logs"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "failed" {
  alarm_name          = "${var.name}-failed"
  alarm_description   = "A job ended with exit code 1, or is started no more: its last log line in ${local.log_group_name} says what to do."
  namespace           = aws_cloudwatch_log_metric_filter.failed.metric_transformation[0].namespace
  metric_name         = aws_cloudwatch_log_metric_filter.failed.metric_transformation[0].name
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = [local.topic_arn]
  tags                = var.tags
}

resource "aws_cloudwatch_dashboard" "job" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat([
      for index, widget in local.widgets : {
        type   = "metric"
        x      = (index % 2) * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title  = widget.title
          region = local.region
          view   = "timeSeries"
          period = 60
          metrics = [for pair in setproduct(local.job_ids, widget.metrics) :
            [local.namespace, pair[1], "JobId", pair[0], { stat = local.statistic_of[pair[1]], label = length(local.job_ids) > 1 ? "${pair[0]} ${pair[1]}" : pair[1] }]
          ]
        }
      }
      ], [{
        type   = "log"
        x      = 0
        y      = 30
        width  = 24
        height = 6
        properties = {
          title  = "What was said last"
          region = local.region
          view   = "table"
          query  = "SOURCE '${local.log_group_name}' | fields @timestamp, level, text | filter level in ['warn', 'error'] or event = 'ended' | sort @timestamp desc | limit 50"
        }
    }])
  })
}
