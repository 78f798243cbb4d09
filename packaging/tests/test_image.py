"""The image: what a foreign tool reads out of it, what is in it, and that it runs."""

import json
import subprocess
import sys
import tarfile

import pytest

from lab import csvgen
from lab.ground import CACHE
from lab.job import COMPLETE
from place import ARCHITECTURES, DIST, DOCKER, PACKAGING, Inside, binary, job_settings

IMAGE = DIST / "csv-to-kafka-image.tar"
IMAGE_BYTES_MAX = 4_500_000


def skopeo(*arguments) -> str:
    done = subprocess.run(["skopeo", "--override-os", "linux", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def version() -> str:
    return json.loads((DIST / "sbom.cdx.json").read_text())["metadata"]["component"]["version"]


def config(architecture: str, archive=IMAGE) -> dict:
    return json.loads(skopeo("--override-arch", DOCKER[architecture], "inspect", "--config", f"oci-archive:{archive}:{version()}"))


def unpack(architecture: str, place, archive=IMAGE):
    """The image as a runtime has it on its disk."""
    layout = f"{place}-layout:{version()}"
    skopeo("--override-arch", DOCKER[architecture], "copy", "-q", f"oci-archive:{archive}:{version()}", f"oci:{layout}")
    subprocess.run(["umoci", "unpack", "--image", layout, place], check=True, capture_output=True)
    return place


def files(bundle) -> dict:
    """Each file with its mode, owner and content."""
    root = bundle / "rootfs"
    return {path.relative_to(root).as_posix(): (oct(path.stat().st_mode), path.stat().st_uid, path.stat().st_gid,
                                                path.read_bytes() if path.is_file() else None) for path in root.rglob("*")}


@pytest.fixture(params=ARCHITECTURES)
def bundle(request, tmp_path):
    return request.param, unpack(request.param, tmp_path / "bundle")


def test_its_index_has_both_architectures():
    index = json.loads(skopeo("inspect", "--raw", f"oci-archive:{IMAGE}:{version()}"))
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"}, {"architecture": "arm64", "os": "linux"}]


def test_a_validator_passes_it():
    """Each document, by the schemas of the specification; the layers' sums are checked where it is unpacked."""
    def passes(kind: str, document: dict) -> bool:
        command = [CACHE / "bin" / "oci-schema", f"application/vnd.oci.image.{kind}.v1+json"]
        return subprocess.run(command, input=json.dumps(document), text=True, capture_output=True).returncode == 0

    with tarfile.open(IMAGE) as tar:
        assert json.load(tar.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
        read = lambda descriptor: json.load(tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")))
        outer = json.load(tar.extractfile("index.json"))
        inner = read(outer["manifests"][0])
        manifests = [read(entry) for entry in inner["manifests"]]
        documents = [("index", outer, "manifests"), ("index", inner, "manifests"),
                     *(("manifest", manifest, "config") for manifest in manifests),
                     *(("config", read(manifest["config"]), "rootfs") for manifest in manifests)]
    assert len(documents) == 6
    for kind, document, needed in documents:
        assert passes(kind, document)
        del document[needed]
        assert not passes(kind, document), "it can say no"


def test_it_is_what_the_dockerfile_makes(bundle, tmp_path):
    """buildah builds the Dockerfile: the same configuration, the same files, owners and modes."""
    architecture, place = bundle
    sbom = json.loads((DIST / "sbom.cdx.json").read_text())["metadata"]["component"]
    store = ["buildah", "--root", tmp_path / "store", "--runroot", tmp_path / "run", "--storage-driver", "vfs"]
    theirs = tmp_path / "theirs.tar"
    for command in (
        ["bud", "--isolation", "chroot", "--platform", f"linux/{DOCKER[architecture]}", "-f", PACKAGING / "Dockerfile", "-t", "theirs",
         "--build-arg", f"VERSION={version()}", "--build-arg", f"REVISION={sbom['properties'][0]['value']}", DIST / "context"],
        ["push", "theirs", f"oci-archive:{theirs}:{version()}"],
    ):
        done = subprocess.run([str(word) for word in store + command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    made, wanted = config(architecture), config(architecture, theirs)
    del wanted["config"]["Labels"]["io.buildah.version"]
    # Docker names the default directory, buildah leaves it out.
    assert made["config"].pop("WorkingDir") == "/" and wanted["config"].pop("WorkingDir", "/") == "/"
    for part in ("config", "architecture", "os"):
        assert made[part] == wanted[part]
    assert files(place) == files(unpack(architecture, tmp_path / "their-bundle", theirs))


def test_it_holds_the_binary_a_user_and_nothing_else(bundle):
    architecture, place = bundle
    root = place / "rootfs"
    found = {path.relative_to(root).as_posix(): path.stat().st_mode & 0o7777 for path in root.rglob("*")}
    assert found == {"csv-to-kafka": 0o755, "etc": 0o755, "etc/passwd": 0o644, "etc/group": 0o644}
    assert (root / "csv-to-kafka").read_bytes() == binary(architecture).read_bytes()
    process = json.loads((place / "config.json").read_text())["process"]
    assert (process["user"]["uid"], process["user"]["gid"], process["args"]) == (65532, 65532, ["/csv-to-kafka"])


def test_it_is_small(figure):
    with tarfile.open(IMAGE) as tar:
        read = lambda descriptor: json.load(tar.extractfile("blobs/" + descriptor["digest"].replace(":", "/")))
        index = read(json.load(tar.extractfile("index.json"))["manifests"][0])
        for architecture, entry in zip(ARCHITECTURES, index["manifests"]):
            pulled = sum(layer["size"] for layer in read(entry)["layers"])
            figure(f"{architecture}: {pulled} bytes to pull, {binary(architecture).stat().st_size} unpacked")
            assert pulled <= IMAGE_BYTES_MAX and binary(architecture).stat().st_size <= IMAGE_BYTES_MAX


def test_twice_the_same_bytes(tmp_path):
    for name in ["csv-to-kafka-x86_64", "csv-to-kafka-aarch64", "sbom.cdx.json"]:
        (tmp_path / name).write_bytes((DIST / name).read_bytes())
    subprocess.run([sys.executable, PACKAGING / "image", "--dist", tmp_path], check=True, capture_output=True)
    assert (tmp_path / IMAGE.name).read_bytes() == IMAGE.read_bytes()


def test_it_runs_as_its_configuration_says(lab, bundle):
    """The entry point, as its user, read-only, without an argument: the settings are variables."""
    architecture, place = bundle
    rows = 5_000 if architecture == "x86_64" else 1_000
    table = csvgen.varied(lab.dir / "in.csv", rows, seed=33)
    job, settings = job_settings(lab, lab.put(table.path), lab.topic())
    entry = config(architecture)["config"]["Entrypoint"]
    run = Inside(place / "rootfs", architecture, entry, settings, lab.dir / "log")
    assert run.wait() == COMPLETE, run.said[-3000:]
    assert lab.proved(job, table).records == rows
