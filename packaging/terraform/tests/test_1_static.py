"""What needs no account: format, validation, policy scan, names."""

import json
import os
import re
import subprocess

import pytest

from lab.ground import CACHE
from stand import EXAMPLES, MODULES, ROOT, TERRAFORM, init, terraform


def test_format():
    terraform(TERRAFORM, "fmt", "-check", "-recursive", "-diff", "-no-color")


@pytest.mark.parametrize("module", MODULES)
def test_validate_module(tree, module):
    """Each by itself; the examples are validated by their apply."""
    init(tree / module)
    found = json.loads(terraform(tree / module, "validate", "-json"))
    assert found["valid"] and found["error_count"] == 0 and found["warning_count"] == 0, found["diagnostics"]


def test_policy_scan(tmp_path):
    """checkov finds nothing; what is skipped has its reason beside it."""
    done = subprocess.run(
        [CACHE / "venv-checkov" / "bin" / "checkov", "-d", TERRAFORM, "--framework", "terraform", "--skip-download",
         "--skip-path", "tests", "--compact", "--quiet", "-o", "json"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=840)
    found = json.loads(done.stdout)
    failed = [f"{f['check_id']} {f['resource']}: {f['check_name']}" for f in found["results"]["failed_checks"]]
    assert failed == [] and found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 60, "the scan saw the modules"
    for path in TERRAFORM.rglob("*.tf"):
        for skip in re.findall(r"checkov:skip=(.*)", path.read_text()):
            assert re.fullmatch(r"CKV2?_AWS_\d+:.{20,}", skip), f"{path.name}: {skip} gives no reason"


def test_examples_are_filled_in():
    """Each has a tfvars that names what must be changed, and outputs that say what comes next."""
    for example in EXAMPLES:
        directory = TERRAFORM / "examples" / example
        given = set(re.findall(r"^(\w+)\s*=", (directory / "terraform.tfvars").read_text(), re.M))
        variables = (directory / "variables.tf").read_text()
        needed = {name for name, body in re.findall(r'variable "(\w+)" \{(.*?)\n\}', variables, re.S) if "default" not in body}
        assert needed <= given, f"{example}: {needed - given}"
        assert 'output "next"' in (directory / "outputs.tf").read_text()


def test_settings_are_settings():
    """A variable of the program that a module or an example names is one."""
    known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", (ROOT / "docs" / "settings.md").read_text()))
    known |= {"METRICS"}
    # The user data's own.
    script = (ROOT / "userdata" / "user-data.sh").read_text()
    known |= set(re.findall(r"^#   ([A-Z][A-Z0-9_]+)", script, re.M)) | set(re.findall(r"^# *BINARY_URL, BINARY_SHA256", script, re.M))
    known |= {word for word in ("BINARY_URL", "BINARY_SHA256", "LOG_GROUP", "AUTO_SCALING_GROUP", "RUNS_MAX") if re.search(rf"\$\{{?{word}\b", script)}
    for path in [*TERRAFORM.rglob("*.tf"), *TERRAFORM.rglob("*.tfvars")]:
        for name in re.findall(r"^\s+([A-Z][A-Z0-9_]{4,})\s+=", path.read_text(), re.M):
            assert name in known, f"{path.name}: {name} is no setting"
