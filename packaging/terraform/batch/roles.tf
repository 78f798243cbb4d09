# The instances' role. The job's own are in ../shared and ../container.

resource "aws_iam_role" "instance" {
  count                = var.existing_instance_profile_arn == null ? 1 : 0
  name_prefix          = "${substr(local.name, 0, 28)}-host-"
  description          = "csv-to-kafka: container instances of Batch"
  permissions_boundary = var.shared.permissions_boundary_arn
  tags                 = var.shared.tags
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

# What the ECS agent needs, as AWS keeps it.
resource "aws_iam_role_policy_attachment" "instance" {
  count      = var.existing_instance_profile_arn == null ? 1 : 0
  role       = aws_iam_role.instance[0].name
  policy_arn = "arn:${var.shared.partition}:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "instance" {
  count       = var.existing_instance_profile_arn == null ? 1 : 0
  name_prefix = "${substr(local.name, 0, 28)}-host-"
  role        = aws_iam_role.instance[0].name
  tags        = var.shared.tags
}
