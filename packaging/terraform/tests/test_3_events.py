"""Each way in which a run can end, fed to what starts it again."""

import json
import re

import pytest

import executions
from lab.ground import wait_until
from stand import REGION, ROOT


# -- Fargate: the state machine, executed by ministack ------------------------------------

@pytest.fixture(scope="module")
def machine(account, fargate):
    return account.client("stepfunctions"), fargate.outputs["state_machine_arn"]


def starts_of(machine, execution: str) -> int:
    history = machine.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    return sum(event.get("stateEnteredEventDetails", {}).get("name") == "Run" for event in history)


@pytest.mark.parametrize("case", executions.CASES)
def test_state_machine(machine, case):
    client, arn = machine
    _, status, error, starts = executions.CASES[case]
    execution = client.start_execution(stateMachineArn=f"{arn}#{case}", name=case.replace("_", "-"), input="{}")["executionArn"]
    ended = wait_until(case, lambda: (found := client.describe_execution(executionArn=execution))["status"] != "RUNNING" and found)
    assert (ended["status"], ended.get("error"), starts_of(client, execution)) == (status, error, starts), ended


def test_executions_with_settings(machine):
    """An execution's own settings reach every start, also the second one."""
    client, arn = machine
    environment = [{"Name": "JOB_ID", "Value": "orders-2026-02"}]
    execution = client.start_execution(stateMachineArn=f"{arn}#exit_75_twice", input=json.dumps({"environment": environment}))["executionArn"]
    wait_until("execution", lambda: client.describe_execution(executionArn=execution)["status"] == "SUCCEEDED")
    history = client.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    inputs = [json.loads(e["stateEnteredEventDetails"]["input"]) for e in history if e.get("stateEnteredEventDetails", {}).get("name") == "Run"]
    assert [given["environment"] for given in inputs] == [environment] * 3
    assert [given["starts"] for given in inputs] == [1, 2, 3]


# -- Batch: the rules as its documentation gives them --------------------------------------

def fits(pattern: str, value: str) -> bool:
    """A star may stand at the end; letters' case does not matter."""
    pattern, value = pattern.lower(), value.lower()
    return value.startswith(pattern[:-1]) if pattern.endswith("*") else value == pattern


def decide(rules: list[dict], exit_code: int | None, reason: str, status_reason: str) -> str:
    """The first rule of which all conditions hold; where none does, RETRY."""
    assert 1 <= len(rules) <= 5, "Batch takes five"
    for rule in rules:
        conditions = [
            (rule.get("on_exit_code"), "" if exit_code is None else str(exit_code)),
            (rule.get("on_reason"), reason), (rule.get("on_status_reason"), status_reason),
        ]
        if all(fits(pattern, value) for pattern, value in conditions if pattern):
            return rule["action"].upper()
    return "RETRY"


ENDED = "Essential container in task exited"


@pytest.fixture(scope="module")
def strategy(batch):
    return batch.planned("aws_batch_job_definition")[0]["retry_strategy"][0]


@pytest.mark.parametrize(("exit_code", "reason", "status_reason", "expected"), [
    (1, "", ENDED, "EXIT"),
    (75, "", ENDED, "RETRY"),
    (137, "OutOfMemoryError: Container killed due to memory usage", ENDED, "RETRY"),
    (137, "", ENDED, "RETRY"),
    (None, "", "Host EC2 (instance i-0123456789abcdef0) terminated.", "RETRY"),
    (None, "CannotPullContainerError: pull image manifest has been retried", "Task failed to start", "RETRY"),
    (134, "", ENDED, "EXIT"),
    (17, "", ENDED, "EXIT"),
    (None, "", "Job attempt duration exceeded timeout", "EXIT"),
])
def test_batch(strategy, exit_code, reason, status_reason, expected):
    """A success (0) asks no rule."""
    assert strategy["attempts"] == 10
    assert decide(strategy["evaluate_on_exit"], exit_code, reason, status_reason) == expected


# -- EC2: a group of one, kept by moto -----------------------------------------------------

class Group:
    """The group of the module, where instances are replaced."""

    def __init__(self, moto, settings: dict):
        self.ec2, self.scaling, self.name = moto.client("ec2"), moto.client("autoscaling"), settings["name"]
        image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        template = self.ec2.create_launch_template(LaunchTemplateName=self.name, LaunchTemplateData={"ImageId": image, "InstanceType": "c6g.medium"})
        self.scaling.create_auto_scaling_group(
            AutoScalingGroupName=self.name, MinSize=settings["min_size"], MaxSize=settings["max_size"],
            DesiredCapacity=settings["desired_capacity"], AvailabilityZones=[f"{REGION}a"],
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"]})

    def set(self, count: int):
        self.scaling.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=count, HonorCooldown=False)

    def instances(self) -> list[str]:
        group, = self.scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return [i["InstanceId"] for i in group["Instances"] if i["LifecycleState"] == "InService"]

    def end(self, instance: str):
        """What `shutdown -h now` is with instance-initiated termination, and a Spot loss too."""
        self.ec2.terminate_instances(InstanceIds=[instance])

    def remove(self):
        self.scaling.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)
        self.ec2.delete_launch_template(LaunchTemplateName=self.name)


@pytest.mark.parametrize(("event", "empties", "instances_after"), [
    ("exit 0", True, 0),
    ("exit 1", True, 0),
    ("restarts used up", True, 0),
    ("failed start: no binary", True, 0),
    ("lost host", False, 1),
    ("Spot notice, exit 75", False, 1),
])
def test_auto_scaling_group(moto, spot, event, empties, instances_after):
    """The user data's tests (packaging/tests) show that it empties the group just then."""
    settings = spot.one("aws_autoscaling_group")
    assert settings["desired_capacity"] == 0, "apply starts nothing"
    group = Group(moto, settings)
    try:
        assert group.instances() == []
        group.set(1)
        first, = group.instances()
        if empties:
            group.set(0)
        group.end(first)
        after = group.instances()
        assert len(after) == instances_after and first not in after
    finally:
        group.remove()


def test_the_instance_may_empty_its_group_and_no_other(account, spot):
    """What the script asks for is what the policy grants, on this group alone."""
    script = (ROOT / "userdata" / "user-data.sh").read_text()
    policy = json.loads(spot.one("aws_iam_role_policy", "instance")["policy"])
    granted = [s for s in policy["Statement"] if any(a.startswith("autoscaling:") for a in s["Action"])]
    assert [a for s in granted for a in s["Action"]] == ["autoscaling:" + action for action in re.findall(r"Action=(\w+)", script)]
    assert granted[0]["Resource"] == [f"arn:aws:autoscaling:{REGION}:000000000000:autoScalingGroup:*:autoScalingGroupName/second-ec2-spot"]
    instance = account.client("autoscaling", account.user("instance", json.dumps(policy)))
    instance.set_desired_capacity(AutoScalingGroupName="second-ec2-spot", DesiredCapacity=0, HonorCooldown=False)
    admin = account.client("autoscaling")
    admin.create_auto_scaling_group(AutoScalingGroupName="another", MinSize=0, MaxSize=1, DesiredCapacity=0,
                                    LaunchTemplate={"LaunchTemplateId": spot.one("aws_launch_template")["id"]}, AvailabilityZones=[f"{REGION}a"])
    try:
        with pytest.raises(instance.exceptions.ClientError, match="AccessDenied.*SetDesiredCapacity"):
            instance.set_desired_capacity(AutoScalingGroupName="another", DesiredCapacity=0)
    finally:
        admin.delete_auto_scaling_group(AutoScalingGroupName="another", ForceDelete=True)
