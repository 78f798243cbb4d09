"""The examples in an account: what is there after apply, and that nothing is after destroy."""

import base64
import gzip
import json
import shlex
import subprocess

import pytest

from stand import EXAMPLES, REGION, TERRAFORM, init, terraform


@pytest.mark.parametrize("example", EXAMPLES)
def test_apply(stacks, example):
    """Three sets in one account, beside each other, and one in another."""
    applied = stacks[example].wait()
    table = applied.one("aws_dynamodb_table")
    assert table["hash_key"] == "job_id" and table["point_in_time_recovery"][0]["enabled"]
    assert applied.one("aws_cloudwatch_log_group")["retention_in_days"] == 365
    for rule in applied.all("aws_vpc_security_group_egress_rule"):
        assert rule["from_port"] == rule["to_port"] and rule["from_port"] in (443, 9098), rule
    assert applied.all("aws_vpc_security_group_ingress_rule") == [] or example == "fargate-private"
    assert "start:" in applied.outputs["next"] and "watch:" in applied.outputs["next"]


def test_names_of_the_python_system(fargate, batch, spot):
    assert fargate.one("aws_dynamodb_table")["name"] == "csv-kafka-checkpoint"
    assert fargate.one("aws_cloudwatch_log_group")["name"] == "/ecs/csv-to-kafka"
    # Second sets: the name takes the place of csv-to-kafka.
    assert batch.one("aws_cloudwatch_log_group")["name"] == "/aws/batch/second-batch"
    assert batch.one("aws_dynamodb_table")["name"] == "second-batch-checkpoint"
    assert spot.one("aws_cloudwatch_log_group")["name"] == "/ec2/second-ec2-spot"


def test_fargate_task(fargate):
    task = fargate.one("aws_ecs_task_definition")
    container, = json.loads(task["container_definitions"])
    assert task["runtime_platform"][0]["cpu_architecture"] == "ARM64"
    assert container["stopTimeout"] == 120 and container["readonlyRootFilesystem"] is True
    environment = {pair["name"]: pair["value"] for pair in container["environment"]}
    assert environment["METRICS"] == "emf" and environment["DYNAMODB_TABLE"] == "csv-kafka-checkpoint"
    run = json.loads(fargate.one("aws_sfn_state_machine")["definition"])["States"]["Run"]["Parameters"]
    assert run["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert run["CapacityProviderStrategy"][0]["CapacityProvider"] == "FARGATE_SPOT" and "LaunchType" not in run


def test_batch_compute(batch):
    resources = batch.one("aws_batch_compute_environment")["compute_resources"][0]
    assert resources["type"] == "SPOT" and resources["min_vcpus"] == 0
    assert batch.one("aws_launch_template")["metadata_options"][0]["http_tokens"] == "required"
    container = json.loads(batch.one("aws_batch_job_definition")["container_properties"])
    assert container["readonlyRootFilesystem"] is True and container["privileged"] is False


def test_instance_template(spot):
    template, = spot.planned("aws_launch_template")
    assert template["metadata_options"][0]["http_tokens"] == "required"
    assert template["instance_initiated_shutdown_behavior"] == "terminate"
    assert template["network_interfaces"][0]["associate_public_ip_address"] == "false"
    assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    group, = spot.planned("aws_autoscaling_group")
    assert (group["min_size"], group["max_size"]) == (0, 1)
    assert group["mixed_instances_policy"][0]["instances_distribution"][0]["on_demand_percentage_above_base_capacity"] == 0


def test_user_data(spot, tree, tmp_path):
    """The settings arrive as they are, odd letters too, before the script as it lies in the repository."""
    raw = base64.b64decode(spot.one("aws_launch_template")["user_data"])
    assert len(raw) <= 16 * 1024, "what EC2 takes"
    text = gzip.decompress(raw).decode()
    script = (tree.parents[1] / "userdata" / "user-data.sh").read_text()
    assert text.startswith("#!/bin/bash\n") and text.endswith(script)
    settings = text.removesuffix(script)
    shown = subprocess.run(["bash", "-c", settings + "env -0"], env={}, capture_output=True, check=True).stdout.decode()
    environment = dict(pair.split("=", 1) for pair in shown.split("\0") if "=" in pair)
    assert environment["JOB_ID"] == "orders-2026-01" and environment["METRICS"] == "cloudwatch"
    assert environment["AUTO_SCALING_GROUP"] == "second-ec2-spot" and environment["LOG_GROUP"] == "/ec2/second-ec2-spot"
    # What Terraform's quoting does to the worst value.
    worst = "it's $(touch harm) `touch harm` \\ \"x\" !é"
    line = "export WORST='" + worst.replace("'", "'\\''") + "'\n"
    done = subprocess.run(["bash", "-c", line + "printf %s \"$WORST\""], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == worst and list(tmp_path.iterdir()) == []
    main = (TERRAFORM / "ec2-spot" / "main.tf").read_text()
    assert r"""'${replace(value, "'", "'\\''")}'""" in main


def test_private_subnets(private):
    """Without NAT: nothing but the VPC and the gateways is reachable, and each service has an endpoint."""
    needed = private.outputs["endpoints"]
    assert [s.removeprefix(f"com.amazonaws.{REGION}.") for s in needed["gateway"]] == ["s3", "dynamodb"]
    made = {r["service_name"]: r["vpc_endpoint_type"] for r in private.all("aws_vpc_endpoint")}
    assert made == {s: "Gateway" for s in needed["gateway"]} | {s: "Interface" for s in needed["interface"]}
    for rule in private.all("aws_vpc_security_group_egress_rule"):
        assert rule["cidr_ipv4"] != "0.0.0.0/0"
    assert len(private.all("aws_vpc_security_group_egress_rule", "gateways")) == 2


def test_existing_things(account, tree):
    """Table, log group, roles and image that are there are taken, and none is made."""
    account.client("iam").create_role(RoleName="their-role", AssumeRolePolicyDocument=json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))
    directory = tree / "existing"
    directory.mkdir()
    (directory / "main.tf").write_text(f'''
        provider "aws" {{ region = "{REGION}" }}
        module "shared" {{
          source                   = "../shared"
          platform                 = "fargate"
          name                     = "third"
          permissions_boundary_arn = "arn:aws:iam::000000000000:policy/boundary"
          vpc_id                   = "{account.vpc['VpcId']}"
          existing_table_name      = "their-table"
          existing_log_group_name  = "/their/logs"
          existing_job_role_name   = "their-role"
          alarm_topic_arn          = "arn:aws:sns:{REGION}:000000000000:their-topic"
          kafka_cidr_blocks        = ["10.1.0.0/16"]
          job = {{ s3_bucket = "b", s3_key = "k", bootstrap_servers = "b:9092", topic = "t" }}
        }}
        module "job" {{
          source                      = "../fargate"
          shared                      = module.shared
          subnet_ids                  = ["subnet-1"]
          image                       = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/csv-to-kafka@sha256:{'0' * 64}"
          existing_cluster_arn        = "arn:aws:ecs:{REGION}:000000000000:cluster/theirs"
          existing_execution_role_arn = "arn:aws:iam::000000000000:role/their-execution"
        }}''')
    init(directory)
    env = account.environment()
    terraform(directory, "plan", "-no-color", "-input=false", "-out=plan", **env)
    planned = json.loads(terraform(directory, "show", "-json", "plan", **env))["resource_changes"]
    kinds = sorted(change["type"] for change in planned if change["change"]["actions"] == ["create"])
    for absent in ("aws_dynamodb_table", "aws_cloudwatch_log_group", "aws_ecr_repository", "aws_ecs_cluster", "aws_sns_topic"):
        assert absent not in kinds
    roles = [change["change"]["after"] for change in planned if change["type"] == "aws_iam_role"]
    assert [role["permissions_boundary"] for role in roles] == ["arn:aws:iam::000000000000:policy/boundary"], "the state machine's alone"


def test_next_commands(fargate, batch, spot):
    """They are commands of the AWS CLI that need nothing filled in (but for the id of what was started)."""
    for applied, start in ((fargate, "stepfunctions start-execution"), (batch, "batch submit-job"), (spot, "autoscaling set-desired-capacity")):
        lines = dict(line.split(":", 1) for line in applied.outputs["next"].strip().splitlines())
        assert list(lines) == ["start", "watch", "status", "stop"]
        assert start in lines["start"] and shlex.split(lines["start"])[0] == "aws" and REGION in lines["start"]
