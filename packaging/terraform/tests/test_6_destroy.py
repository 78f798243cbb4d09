"""At the end: destroy takes everything away again."""

import pytest

from stand import EXAMPLES


@pytest.fixture(scope="module")
def destroyed(stacks):
    for stack in stacks.values():
        stack.destroy()
    return stacks


@pytest.mark.parametrize("example", EXAMPLES)
def test_destroy(destroyed, example):
    destroyed[example].wait()


def test_nothing_is_left(destroyed):
    for stack in destroyed.values():
        stack.wait()
    names = tuple(stack.name for stack in destroyed.values())
    for place in {stack.account for stack in destroyed.values()}:
        left = [t for t in place.client("dynamodb").list_tables()["TableNames"] if t.endswith("checkpoint")]
        left += [g["logGroupName"] for g in place.client("logs").describe_log_groups()["logGroups"]]
        left += [r["RoleName"] for r in place.client("iam").list_roles()["Roles"] if r["RoleName"].startswith(names)]
        left += [a["AlarmName"] for a in place.client("cloudwatch").describe_alarms()["MetricAlarms"]]
        assert left == []
