"""The figures of docs/deploy.md follow from the prices and rates that it names."""

import re

from stand import MODULES, ROOT, TERRAFORM

ROWS = 100_000_000


def test_costs():
    text = (ROOT / "docs" / "deploy.md").read_text()
    rows = re.findall(r"^\| (Fargate|Batch|EC2)[^|]*\| ([\d.]+) \| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.M)
    assert len(rows) == 5
    for name, price, overhead, *costs in rows:
        for rate, cost in zip((700_000, 200_000), costs):
            assert abs((ROWS / rate + int(overhead)) / 3600 * float(price) - float(cost)) <= 0.00006, (name, rate)
    fargate = 0.03238 + 2 * 0.00356
    assert abs(fargate - 0.0395) < 0.0001 and abs(fargate * 0.3 - 0.0119) < 0.0001


def test_variables_that_are_named_exist():
    known = {name for module in MODULES for name in re.findall(r'^variable "(\w+)"', (TERRAFORM / module / "variables.tf").read_text(), re.M)}
    known |= {name for path in TERRAFORM.glob("examples/*/*.tf") for name in re.findall(r'^(?:variable|output) "(\w+)"', path.read_text(), re.M)}
    known |= {name for module in MODULES for name in re.findall(r'^output "(\w+)"', (TERRAFORM / module / "outputs.tf").read_text(), re.M)}
    text = (ROOT / "docs" / "deploy.md").read_text()
    named = set(re.findall(r"`([a-z]+(?:_[a-z0-9]+)+)(?: = \w+)?`", text))
    assert named - known - {"min_vcpus"} == set() and len(named) > 15
