# What a container needs before it runs: a repository for its image, and the execution role that
# pulls it and writes its log. Used by ../fargate and ../batch.

locals {
  given = var.image != null
  image = local.given ? var.image : "${aws_ecr_repository.image[0].repository_url}@${coalesce(var.image_digest, "sha256:${sha256("not pushed yet")}")}"
  # ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY@…; another registry needs no permission.
  given_ecr    = local.given ? regexall("^([0-9]+)\\.dkr\\.ecr\\.([^.]+)\\.[^/]+/([^@:]+)", coalesce(var.image, "-")) : []
  repositories = local.given ? [for part in local.given_ecr : "arn:${var.shared.partition}:ecr:${part[1]}:${part[0]}:repository/${part[2]}"] : [aws_ecr_repository.image[0].arn]
}

resource "aws_ecr_repository" "image" {
  # checkov:skip=CKV_AWS_136:AWS's own key encrypts it; a customer key is a variable, and the image holds nothing but the public binary
  count                = local.given ? 0 : 1
  name                 = var.shared.name
  image_tag_mutability = "IMMUTABLE"
  # An image is built again in a minute.
  force_delete = true
  tags         = var.shared.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = var.repository_kms_key_arn == null ? "AES256" : "KMS"
    kms_key         = var.repository_kms_key_arn
  }
}

locals {
  statements = concat(
    [
      {
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${var.shared.log_group_arn}:log-stream:*"]
      },
    ],
    length(local.repositories) == 0 ? [] : [
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        Resource = local.repositories
      },
      {
        # This action has no resource.
        Sid      = "RegistryLogin"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
    ],
    length(var.secrets) == 0 ? [] : [
      {
        Sid    = "Secrets"
        Effect = "Allow"
        Action = ["secretsmanager:GetSecretValue"]
        # arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, perhaps with :JSON-KEY:: behind it.
        Resource = distinct([for arn in values(var.secrets) : join(":", slice(split(":", arn), 0, 7))])
      },
    ],
    length(var.secrets) == 0 || length(var.shared.kms_key_arns) == 0 ? [] : [
      {
        Sid      = "Decrypt"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = var.shared.kms_key_arns
      },
    ],
  )
}

resource "aws_iam_role" "execution" {
  count                = var.existing_execution_role_arn == null ? 1 : 0
  name_prefix          = "${substr(var.shared.name, 0, 28)}-exec-"
  description          = "csv-to-kafka: pulls the image, writes the log"
  permissions_boundary = var.shared.permissions_boundary_arn
  tags                 = var.shared.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = var.shared.account } }
    }]
  })
}

resource "aws_iam_role_policy" "execution" {
  count  = var.existing_execution_role_arn == null ? 1 : 0
  name   = "execution"
  role   = aws_iam_role.execution[0].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}
