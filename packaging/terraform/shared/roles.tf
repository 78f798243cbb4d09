# The permissions of the program, each with the reason why it is there. packaging/terraform/test
# runs a job with exactly these, and once more without each.

locals {
  s3_arn     = "arn:${local.partition}:s3:::${var.job.s3_bucket}"
  s3_prefix  = coalesce(var.s3_prefix, var.job.s3_key)
  s3_objects = var.s3_prefix == null ? "${local.s3_arn}/${var.job.s3_key}" : "${local.s3_arn}/${var.s3_prefix}*"

  # cluster/NAME/UUID is topic/NAME/UUID/TOPIC for the permissions on a topic.
  msk_topics = var.msk_cluster_arn == null ? "" : replace(var.msk_cluster_arn, ":cluster/", ":topic/")
  topics     = compact([var.job.topic, lookup(var.job.settings, "KAFKA_DLQ_TOPIC", "")])

  statements = concat(
    [
      {
        # A version that is named has a permission of its own; otherwise the object is held to its ETag.
        Sid      = "ReadSource"
        Effect   = "Allow"
        Action   = [contains(keys(var.job.settings), "S3_VERSION_ID") ? "s3:GetObjectVersion" : "s3:GetObject"]
        Resource = [local.s3_objects]
      },
      {
        # Without it S3 answers 403 for an object that is not there: the message could not tell.
        Sid       = "TellMissingFromForbidden"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [local.s3_arn]
        Condition = { StringLike = { "s3:prefix" = ["${local.s3_prefix}*"] } }
      },
      {
        Sid      = "Checkpoint"
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
        Resource = [local.table_arn]
      },
    ],
    length(var.kms_key_arns) == 0 ? [] : [
      {
        Sid      = "Decrypt"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.kms_key_arns
      },
    ],
    length(var.secret_arns) == 0 ? [] : [
      {
        Sid      = "Secrets"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = var.secret_arns
      },
    ],
    local.metrics != "cloudwatch" ? [] : [
      {
        Sid       = "Metrics"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringEquals = { "cloudwatch:namespace" = "CSVToKafka" } }
      },
    ],
    var.msk_cluster_arn == null ? [] : [
      {
        # On a topic's ARN WriteDataIdempotently never matches.
        Sid      = "MskCluster"
        Effect   = "Allow"
        Action   = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"]
        Resource = [var.msk_cluster_arn]
      },
      {
        # ReadData: a resumed job reads back what the partition holds.
        Sid      = "MskTopics"
        Effect   = "Allow"
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData", "kafka-cluster:ReadData"]
        Resource = [for topic in local.topics : "${local.msk_topics}/${topic}"]
      },
    ],
  )

  job_policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })

  principal = var.platform == "ec2-spot" ? "ec2.amazonaws.com" : "ecs-tasks.amazonaws.com"
  # An instance's role is assumed without a source account.
  trust_condition = var.platform == "ec2-spot" ? {} : { Condition = { StringEquals = { "aws:SourceAccount" = local.account } } }
}

resource "aws_iam_role" "job" {
  count                = var.existing_job_role_name == null ? 1 : 0
  name_prefix          = "${var.name}-"
  description          = "csv-to-kafka: reads the source, keeps the checkpoint"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge({
      Effect    = "Allow"
      Principal = { Service = local.principal }
      Action    = "sts:AssumeRole"
    }, local.trust_condition)]
  })
}

resource "aws_iam_role_policy" "job" {
  count  = var.existing_job_role_name == null ? 1 : 0
  name   = "job"
  role   = aws_iam_role.job[0].id
  policy = local.job_policy
}

data "aws_iam_role" "job" {
  count = var.existing_job_role_name == null ? 0 : 1
  name  = var.existing_job_role_name
}
