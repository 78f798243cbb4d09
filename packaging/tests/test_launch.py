"""launch-spot.sh with an aws that only writes down what it is asked, and the systemd unit."""

import os
import re
import subprocess

import pytest

from place import ROOT

LAUNCH = ROOT / "userdata" / "launch-spot.sh"
GOOD = {
    "BINARY_URL": "https://example.com/csv-to-kafka-aarch64", "BINARY_SHA256": "ab" * 32, "SUBNET_ID": "subnet-1",
    "SECURITY_GROUP_ID": "sg-1", "INSTANCE_PROFILE": "csv-to-kafka", "AWS_REGION": "eu-west-1",
    "KAFKA_BOOTSTRAP_SERVERS": "b-1:9098", "KAFKA_TOPIC": "orders", "S3_BUCKET": "b", "S3_KEY": "it's a key.csv",
    "DYNAMODB_TABLE": "csv-kafka-checkpoint", "JOB_ID": "orders-1", "AWS_SECRET_ACCESS_KEY": "never-sent",
}


def launch(tmp_path, *arguments, **changes):
    asked = tmp_path / "asked"
    aws = tmp_path / "aws"
    aws.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{asked}\n'
                   f'for word in "$@"; do case $word in file://*) cp "${{word#file://}}" {tmp_path}/user-data ;; esac; done\n'
                   "echo i-0123456789abcdef0\n")
    aws.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"} | {k: v for k, v in (GOOD | changes).items() if v is not None}
    done = subprocess.run([LAUNCH, *arguments], env=env, capture_output=True, text=True)
    return done, asked.read_text().splitlines() if asked.exists() else None


def test_it_starts_one_instance_and_says_what_next(tmp_path):
    done, asked = launch(tmp_path)
    assert done.returncode == 0, done.stderr
    for words in [["--instance-type", "c7g.medium"], ["--instance-initiated-shutdown-behavior", "terminate"],
                  ["--metadata-options", "HttpEndpoint=enabled,HttpTokens=required,HttpPutResponseHopLimit=1"],
                  ["--subnet-id", "subnet-1"], ["--iam-instance-profile", "Name=csv-to-kafka"],
                  ["--image-id", "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"]]:
        assert words == asked[asked.index(words[0]):][:2]
    assert "--no-associate-public-ip-address" in asked and "MarketType=spot" in asked[asked.index("--instance-market-options") + 1]
    for words in ["started i-0123456789abcdef0", "status orders-1 --watch", "get-console-output", "terminate-instances"]:
        assert words in done.stdout
    user_data = (tmp_path / "user-data").read_text()
    assert user_data.startswith("#!/bin/bash\n") and len(user_data.encode()) <= 16_384
    # The settings are what a shell reads from it, quotes and all.
    exports = "".join(re.findall(r"^export .*\n", user_data, re.M))
    read = subprocess.run(["bash", "-c", exports + 'printf "%s" "$S3_KEY"'], capture_output=True, text=True, env={})
    assert read.stdout == "it's a key.csv"
    assert "never-sent" not in user_data


def test_a_dry_run_starts_nothing(tmp_path):
    done, asked = launch(tmp_path, "--dry-run")
    assert done.returncode == 0 and asked is None
    assert done.stdout.startswith("aws ec2 run-instances") and "\nexport KAFKA_TOPIC=orders\n" in done.stdout


@pytest.mark.parametrize("changes, said", [
    ({"KAFKA_TOPIC": None, "SUBNET_ID": "", "S3_KEY": None}, ["KAFKA_TOPIC is missing", "SUBNET_ID is missing", "S3_BUCKET and S3_KEY"]),
    ({"BINARY_SHA256": "abc"}, ["64 hexadecimal digits"]),
    ({"BINARY_URL": "http://example.com/x"}, ["neither https://"]),
    ({"ARCHITECTURE": "mips"}, ["arm64 and x86_64"]),
    ({"KAFKA_SASL_PASSWORD": "hush"}, ["user data", "KAFKA_SASL_SECRET_ARN", "KAFKA_SASL_PASSWORD_FILE"]),
    ({"CHECKPOINT": "file:/tmp/x"}, ["would end with it"]),
    ({"KAFKA_SSL_CA_PEM": "x" * 20_000}, ["EC2 takes 16384"]),
])
def test_every_problem_is_named_and_nothing_is_started(tmp_path, changes, said):
    done, asked = launch(tmp_path, **changes)
    assert done.returncode == 1 and asked is None
    for words in said:
        assert words in done.stderr, done.stderr
    assert "hush" not in done.stdout + done.stderr


def test_an_unknown_argument_shows_the_usage(tmp_path):
    done, asked = launch(tmp_path, "--dryrun")
    assert done.returncode == 1 and asked is None and "launch-spot.sh --dry-run" in done.stderr


def test_the_systemd_unit_is_sound(tmp_path):
    """systemd's own check; the binary that it names has to be there for it."""
    unit = (ROOT / "userdata" / "csv-to-kafka@.service").read_text()
    unit = unit.replace("/usr/local/bin/csv-to-kafka run", "/bin/true run")
    (tmp_path / "csv-to-kafka@orders.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / "csv-to-kafka@orders.service"], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    for line in ["RestartPreventExitStatus=1", "Restart=on-failure", "EnvironmentFile=/etc/csv-to-kafka/%i.env"]:
        assert f"\n{line}\n" in unit
