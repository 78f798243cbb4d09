"""User data for real: an instance with metadata, an artefact server, S3, DynamoDB, CloudWatch Logs and Kafka.

Each test ends with the instance shut down by itself, its log kept, and the rows counted.
"""

import hashlib
import json
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

import boto3
import pytest

from instance import METADATA, Instance, Served, render
from lab import csvgen
from lab.ground import wait_until
from lab.job import AGAIN, COMPLETE, MEND
from lab.s3 import REGION, client
from place import binary

LOG_GROUP = "/csv-to-kafka/instances"
ROWS = 20_000
PROGRAM = binary("x86_64")


@dataclass
class Session:
    """The role of the instance: keys with a token."""

    access_key: str
    secret_key: str
    token: str


@pytest.fixture(scope="module", autouse=True)
def metadata_address():
    """On the loopback of this very network; the machine's own keeps what it has."""
    if [name for _, name in socket.if_nameindex()] != ["lo"]:
        pytest.fail("user data is tested in a network namespace alone: vendor-tests/run makes one for root")
    subprocess.run(["ip", "address", "add", f"{METADATA}/32", "dev", "lo"], check=True)


@pytest.fixture(scope="module")
def cloud(dynamodb):
    """One account: the role, and a client of it for each service."""

    class Cloud:
        def __init__(self):
            everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
            trust = {"Version": "2012-10-17",
                     "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
            iam = self.user("iam")
            role = iam.create_role(RoleName="load", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
            iam.put_role_policy(RoleName="load", PolicyName="all", PolicyDocument=json.dumps(everything))
            keys = self.user("sts").assume_role(RoleArn=role, RoleSessionName="instance")["Credentials"]
            self.role = Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
            self.s3, self.logs, self.groups = self.user("s3"), self.user("logs"), self.user("autoscaling")
            self.s3.create_bucket(Bucket="instances")
            self.logs.create_log_group(logGroupName=LOG_GROUP)

        def user(self, service):
            return client(service, dynamodb.endpoint, dynamodb.identity)

        def log(self, stream: str) -> str:
            events = self.logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True)["events"]
            return "".join(event["message"] + "\n" for event in events)

    return Cloud()


class Scene:
    """One job, and the instances that work on it one after the other."""

    def __init__(self, lab, cloud, rows: bytes | None = None):
        self.lab, self.cloud = lab, cloud
        self.table = csvgen.varied(lab.dir / "in.csv", ROWS, seed=41)
        self.key = lab.name("in") + ".csv"
        cloud.s3.put_object(Bucket="instances", Key=self.key, Body=rows or self.table.path.read_bytes())
        self.job = lab.job(self.key, lab.topic(), S3_BUCKET="instances", AWS_ENDPOINT_URL_S3=lab.dynamodb.endpoint)
        self.failing, self.fetched, self.instances = 0, 0, []
        self.artefacts = Served("127.0.0.1", self._artefact)

    def _artefact(self, *_):
        self.fetched += 1
        return (503, b"not now") if self.fetched <= self.failing else (200, PROGRAM.read_bytes())

    def instance(self, **settings) -> Instance:
        wanted = {name: self.job.settings[name] for name in
                  ["S3_BUCKET", "S3_KEY", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC", "DYNAMODB_TABLE", "JOB_ID"]}
        user_data = render(wanted | {
            "AWS_REGION": REGION, "SUBNET_ID": "subnet-1", "SECURITY_GROUP_ID": "sg-1", "INSTANCE_PROFILE": "load",
            "BINARY_URL": "https://set.below", "BINARY_SHA256": hashlib.sha256(PROGRAM.read_bytes()).hexdigest(),
            "LOG_GROUP": LOG_GROUP, "RUN_AGAIN_SECONDS": "1"})
        here = {"BINARY_URL": f"http://127.0.0.1:{self.artefacts.port}/csv-to-kafka", "LOG_SECONDS": 1,
                **{f"AWS_ENDPOINT_URL_{name}": self.lab.dynamodb.endpoint
                   for name in ["S3", "DYNAMODB", "LOGS", "AUTO_SCALING"]}, **settings}
        directory = self.lab.dir / f"instance-{len(self.instances) + 1}"
        instance = Instance(directory, self.cloud.role, here).start(user_data)
        self.instances.append(instance)
        return instance

    def ended(self, instance: Instance, expected: int, *said: str):
        """The instance has ended so, has said this, and CloudWatch Logs has all of it."""
        assert instance.wait() == expected, instance.console[-4000:]
        for words in (*said, f"done, exit code {expected}\n"):
            assert words in instance.log, f"{words!r} is missing in:\n{instance.log[-4000:]}"
        kept = self.cloud.log(f"{self.job.settings['JOB_ID']}/{instance.id}")
        assert kept == instance.log.replace("\x1b", ""), f"{kept[-2000:]}\n--- the file ---\n{instance.log[-2000:]}"

    def item(self) -> dict | None:
        return self.lab.item(self.job)

    def proved(self, rows: int = ROWS):
        assert self.lab.proved(self.job, self.table).records == rows


@pytest.fixture
def scene(lab, cloud):
    made = []

    def make(**arguments) -> Scene:
        made.append(Scene(lab, cloud, **arguments))
        return made[-1]

    yield make
    for scene in made:
        scene.artefacts.close()
        for instance in scene.instances:
            instance.end()


def test_success(scene):
    """The role's credentials and the region come from the metadata, with a session (IMDSv2) each time."""
    scene = scene()
    instance = scene.instance()
    scene.ended(instance, COMPLETE, "csv-to-kafka 0.", "run 1 ended with 0", "complete")
    scene.proved()
    assert scene.item()["status"] == "COMPLETED"
    assert ("GET", "/latest/meta-data/spot/instance-action") in instance.asked, "the run watches for the Spot notice"


def test_wrong_checksum(scene):
    """What was fetched is not run."""
    scene = scene()
    instance = scene.instance(BINARY_SHA256="0" * 64)
    scene.ended(instance, MEND, "BINARY_SHA256 is 0000", "It was not run")
    assert scene.item() is None and not (instance.local / "bin" / "csv-to-kafka").exists()
    assert "run 1" not in instance.log


def test_download_fails_twice(scene):
    scene = scene()
    scene.failing = 2
    scene.ended(scene.instance(), COMPLETE, "run 1 ended with 0")
    assert scene.fetched == 3
    scene.proved()


def test_a_person_must_act(scene):
    """Exit 1 is not tried again; the rows before the bad one are there, and the item says why."""
    scene = scene(rows=b"id,a\n1,x\n2,y\n3,too,many\n4,z\n")
    scene.ended(scene.instance(), MEND, "run 1 ended with 1", "row 3")
    assert len(list(scene.lab.records(scene.job))) == 2
    item = scene.item()
    assert item["status"] == "FAILED" and "row 3" in item["error"]


def test_exit_75_twice(scene):
    """Another run holds the job twice: the third start completes it."""
    scene = scene()
    run = scene.job.start(MAX_ROWS_PER_SECOND=2_000, LEASE_SECONDS=2)
    wait_until("the first records", lambda: any(True for _ in scene.lab.records(scene.job)), 60, 0.2)
    run.terminate()
    assert run.wait() == AGAIN
    holds = threading.Event()
    table = boto3.resource("dynamodb", endpoint_url=scene.lab.dynamodb.endpoint, region_name=REGION,
                           aws_access_key_id=scene.lab.identity.access_key,
                           aws_secret_access_key=scene.lab.identity.secret_key).Table(scene.lab.table)

    def write(expression, **values):
        table.update_item(Key={"job_id": scene.job.settings["JOB_ID"]}, UpdateExpression=expression,
                          ExpressionAttributeNames={"#s": "status"}, ExpressionAttributeValues=values)

    def hold():
        """A live run, on another machine, as far as the ledger tells."""
        while not holds.wait(0.2):
            write("SET #s = :s, run_id = :r, host = :h ADD revision :one",
                  **{":s": "IN_PROGRESS", ":r": "another", ":h": "elsewhere", ":one": 1})

    holder = threading.Thread(target=hold, daemon=True)
    holder.start()
    try:
        instance = scene.instance(LEASE_SECONDS=2)
        wait_until("two runs that gave way", lambda: "run 2 ended with 75" in instance.log, 90, 0.1)
    finally:
        holds.set()
        holder.join()
    write("SET #s = :s", **{":s": "INTERRUPTED"})
    scene.ended(instance, COMPLETE, "run 1 ended with 75", "run 2 ended with 75", "run 3 ended with 0")
    scene.proved()


def test_the_number_of_runs_is_bounded(scene):
    """What the script itself has to say is one line of JSON where the log is JSON: alarms count it."""
    scene = scene()
    instance = scene.instance(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", MAX_RETRIES=0, RUNS_MAX=1, LOG_FORMAT="json")
    scene.ended(instance, AGAIN, "run 1 ended with 75", "RUNS_MAX")
    said = [json.loads(line) for line in instance.log.splitlines() if line.startswith("{")]
    assert [(line["event"], line["exit_code"]) for line in said if "exit_code" in line] == [("ended", 75), ("gave_up", 75)]


def test_the_binary_in_a_private_bucket(scene):
    """Fetched with the role; an object that is not there is said."""
    scene = scene()
    scene.cloud.s3.put_object(Bucket="instances", Key="bin/csv-to-kafka", Body=PROGRAM.read_bytes())
    scene.ended(scene.instance(BINARY_URL="s3://instances/bin/csv-to-kafka"), COMPLETE, "run 1 ended with 0")
    scene.proved()
    assert scene.fetched == 0


def test_no_binary_there(scene):
    scene = scene()
    scene.failing = 100
    scene.ended(scene.instance(), MEND, "can not be fetched from", "event=gave_up exit_code=1")
    assert scene.item() is None


def test_spot_notice_in_mid_run(scene):
    """It ends in good order at the notice, is not started again, and a second instance completes the job."""
    scene = scene()
    first = scene.instance(MAX_ROWS_PER_SECOND=1_000)
    wait_until("the first records", lambda: any(True for _ in scene.lab.records(scene.job)), 60, 0.2)
    first.notice = "2026-11-21T08:22:00Z"
    scene.ended(first, AGAIN, "stopped by the Spot notice of EC2", "run 1 ended with 75", "EC2 takes this instance away")
    assert "run 2" not in first.log
    item = scene.item()
    assert item["status"] == "INTERRUPTED" and 0 < item["last_line"] < ROWS
    scene.proved_part = len(list(scene.lab.records(scene.job)))
    assert scene.proved_part == item["last_line"]
    second = scene.instance()
    scene.ended(second, COMPLETE, "run 1 ended with 0")
    scene.proved()
    assert scene.item()["status"] == "COMPLETED"


@pytest.mark.parametrize("code, is_taken_away, left", [(COMPLETE, False, 0), (MEND, False, 0), (AGAIN, False, 0), (AGAIN, True, 1)])
def test_the_group_that_started_it(scene, code, is_taken_away, left):
    """Set to zero, so that no other instance follows; not where EC2 takes this one away."""
    scene = scene(rows=b"id,a\n1,x,y\n" if code == MEND else None)
    groups, name = scene.cloud.groups, scene.lab.name("group")
    groups.create_launch_configuration(LaunchConfigurationName=name, ImageId="ami-12345678", InstanceType="t3.micro")
    groups.create_auto_scaling_group(AutoScalingGroupName=name, LaunchConfigurationName=name, MinSize=0, MaxSize=1,
                                     DesiredCapacity=1, AvailabilityZones=[f"{REGION}a"])
    extra = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "MAX_RETRIES": 0, "RUNS_MAX": 1} if code == AGAIN else {}
    instance = scene.instance(AUTO_SCALING_GROUP=name, **extra)
    instance.notice = "2026-11-21T08:22:00Z" if is_taken_away else None
    scene.ended(instance, code, *([] if left else [f"the group {name} is set to zero"]))
    found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    assert (found["MinSize"], found["DesiredCapacity"]) == (0, left)


def test_where_the_log_can_not_go(scene):
    """A log group that does not exist is said, and holds nothing up."""
    scene = scene()
    instance = scene.instance(LOG_GROUP="/no/such/group")
    assert instance.wait() == COMPLETE
    assert "ResourceNotFoundException" in instance.log and "could not be sent" in instance.console
    scene.proved()


def test_sigterm_ends_the_run_and_the_instance(scene):
    """What the system sends when somebody else shuts the instance down."""
    scene = scene()
    instance = scene.instance(MAX_ROWS_PER_SECOND=1_000)
    wait_until("the first records", lambda: any(True for _ in scene.lab.records(scene.job)), 60, 0.2)
    time.sleep(0.2)
    instance.process.terminate()
    scene.ended(instance, AGAIN, "stopped by SIGTERM", "run 1 ended with 75")
    assert scene.item()["status"] == "INTERRUPTED"
