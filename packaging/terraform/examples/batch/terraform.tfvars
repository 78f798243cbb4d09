region     = "eu-west-1"
vpc_id     = "vpc-0a1b2c3d4e5f60718"
subnet_ids = ["subnet-0a1b2c3d4e5f60718", "subnet-0b1c2d3e4f5061728"]
tags       = { team = "data", service = "csv-to-kafka" }

job = {
  id                = "orders-2026-01"
  s3_bucket         = "my-bucket"
  s3_key            = "exports/orders.csv"
  bootstrap_servers = "b-1.orders.a1b2c3.c2.kafka.eu-west-1.amazonaws.com:9098,b-2.orders.a1b2c3.c2.kafka.eu-west-1.amazonaws.com:9098"
  topic             = "orders"
  settings          = { VERIFY = "headers" }
}

# MSK with IAM. For others leave it out, and set KAFKA_SECURITY_PROTOCOL and so on in settings.
msk_cluster_arn         = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/11112222-3333-4444-5555-666677778888-2"
kafka_ports             = [9098]
kafka_security_group_id = "sg-0a1b2c3d4e5f60718"

alarm_emails = ["data-oncall@example.com"]
