"""Fixtures over the stand-ins; the vendor tests' own are here too."""

import shutil
from pathlib import Path

import pytest

from stand import EXAMPLES, ROOT, TERRAFORM, Account, Applied, Moto, Stack


@pytest.fixture(scope="session")
def tree(ground) -> Path:
    """A copy of what the modules are made of: Terraform writes beside its configuration."""
    tree = ground / "tree"
    shutil.copytree(TERRAFORM, tree / "packaging" / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    shutil.copytree(ROOT / "userdata", tree / "userdata")
    return tree / "packaging" / "terraform"


@pytest.fixture(scope="session")
def account(ground):
    account = Account(ground / "account")
    yield account
    account.server.kill()


@pytest.fixture(scope="session")
def moto(ground):
    account = Moto(ground / "moto")
    yield account
    account.server.kill()


@pytest.fixture(scope="session")
def stacks(account, moto, tree):
    return {example: Stack(moto if example == "batch" else account, tree, example) for example in EXAMPLES}


@pytest.fixture(scope="session")
def fargate(stacks) -> Applied:
    return stacks["fargate"].wait()


@pytest.fixture(scope="session")
def batch(stacks) -> Applied:
    return stacks["batch"].wait()


@pytest.fixture(scope="session")
def spot(stacks) -> Applied:
    return stacks["ec2-spot"].wait()


@pytest.fixture(scope="session")
def private(stacks) -> Applied:
    return stacks["fargate-private"].wait()
