"""packaging/deploy, with programs in the place of Terraform, the AWS CLI and skopeo that write down how they are called."""

import hashlib
import os
import shutil
import subprocess

import pytest

from stand import ROOT

DIGEST = "sha256:" + hashlib.sha256(b"{}").hexdigest()
REPOSITORY = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/csv-to-kafka"
STUB = f"""#!/bin/sh
echo "${{0##*/}} $*" >>"$CALLS"
case "${{0##*/}} $*" in
    *"output -raw repository_url") echo {REPOSITORY} ;;
    *"output -raw next") echo "start: aws stepfunctions start-execution" ;;
    *"output -raw security_group_id") echo sg-1 ;;
    *"skopeo inspect --raw"*) printf '{{}}' ;;
    *get-login-password*) echo secret-of-an-hour ;;
    *describe-images*) exit "${{IMAGE_IS_THERE:-254}}" ;;
    "$FAILS"*) exit 9 ;;
esac
"""


@pytest.fixture
def deploy(tmp_path):
    """A packaging directory whose build and image are such programs too."""
    packaging = tmp_path / "packaging"
    shutil.copytree(ROOT / "packaging" / "terraform" / "examples", packaging / "terraform" / "examples")
    shutil.copy(ROOT / "packaging" / "deploy", packaging)
    (packaging / "dist").mkdir()
    (packaging / "dist" / "csv-to-kafka-aarch64").write_bytes(b"binary")
    programs = tmp_path / "programs"
    programs.mkdir()
    for place in (*(programs / n for n in ("terraform", "aws", "skopeo")), packaging / "build", packaging / "image"):
        place.write_text(STUB)
        place.chmod(0o755)
    calls = tmp_path / "calls"

    def run(*arguments, expect=0, fails="nothing", **env):
        calls.write_text("")
        done = subprocess.run([packaging / "deploy", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
                              env={"PATH": f"{programs}:{os.environ['PATH']}", "CALLS": str(calls), "FAILS": fails, **env})
        assert done.returncode == expect, done.stderr
        return done, calls.read_text().replace(str(packaging), "P").splitlines()
    return run


STACK = "terraform -chdir=P/terraform/examples/"


def test_a_container_is_pinned_by_its_digest(deploy):
    done, calls = deploy("fargate", "--yes", "--", "-var=name=other")
    assert calls == [
        "aws sts get-caller-identity --query Arn --output text",
        "build ",
        f"{STACK}fargate init -input=false",
        "image ",
        f"{STACK}fargate apply -input=false -auto-approve -var=name=other -target module.job.module.container.aws_ecr_repository.image",
        f"{STACK}fargate output -raw repository_url",
        "skopeo inspect --raw oci-archive:P/dist/csv-to-kafka-image.tar",
        f"aws ecr describe-images --region eu-west-1 --repository-name csv-to-kafka --image-ids imageDigest={DIGEST}",
        "aws ecr get-login-password --region eu-west-1",
        f"skopeo login --username AWS --password-stdin {REPOSITORY.split('/')[0]}",
        f"skopeo copy --all --preserve-digests oci-archive:P/dist/csv-to-kafka-image.tar docker://{REPOSITORY}:{DIGEST[7:19]}",
        f"{STACK}fargate apply -input=false -auto-approve -var=name=other -var image_digest={DIGEST}",
        f"{STACK}fargate output -raw next",
        f"{STACK}fargate output -raw security_group_id",
    ]
    assert "start-execution" in done.stdout and "sg-1" in done.stdout and "secret-of-an-hour" not in done.stderr


def test_an_image_that_is_there_is_not_pushed_again(deploy):
    _, calls = deploy("batch", "--yes", IMAGE_IS_THERE="0")
    assert not any(call.startswith("skopeo copy") for call in calls)
    assert f"{STACK}batch apply -input=false -auto-approve -var image_digest={DIGEST}" in calls


def test_a_binary_has_an_address_of_its_own(deploy):
    _, calls = deploy("ec2-spot", "--artifacts", "s3://artifacts/ctk/")
    sum_ = hashlib.sha256(b"binary").hexdigest()
    url = f"s3://artifacts/ctk/csv-to-kafka-aarch64-{sum_[:16]}"
    assert f"aws s3 cp --only-show-errors P/dist/csv-to-kafka-aarch64 {url}" in calls
    assert f"{STACK}ec2-spot apply -input=true -var binary_url={url} -var binary_sha256={sum_}" in calls


@pytest.mark.parametrize("platform", ["fargate", "batch", "ec2-spot"])
def test_plan_does_nothing(deploy, platform):
    done, calls = deploy(platform, "--plan", "--artifacts", "s3://artifacts/ctk")
    assert calls == []
    said = done.stderr.splitlines()
    assert all(line.startswith("+ ") for line in said) and sum(" apply " in line for line in said) == (1 if platform == "ec2-spot" else 2)


@pytest.mark.parametrize(("fails", "last"), [("build", "build "), ("terraform -chdir", f"{STACK}fargate init -input=false")])
def test_a_step_that_fails_ends_it(deploy, fails, last):
    _, calls = deploy("fargate", "--yes", fails=fails, expect=9)
    assert calls[-1] == last and not any(" apply " in call for call in calls)


@pytest.mark.parametrize(("arguments", "said"), [
    ([], "which one"), (["ec2-spot"], "--artifacts"), (["fargate", "--stack", "absent"], "no such directory"), (["lambda"], "unknown argument"),
])
def test_what_is_missing_is_named(deploy, arguments, said):
    done, calls = deploy(*arguments, expect=1)
    assert said in done.stderr and calls == []


def test_shellcheck():
    scripts = [ROOT / "packaging" / "deploy", ROOT / "packaging" / "terraform" / "test"]
    done = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
