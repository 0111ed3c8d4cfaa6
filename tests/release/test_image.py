"""The image of the command line, and the examples that schedule it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import yaml
from botocore.validate import validate_parameters
from tests.support.paths import ROOT
from tests.support.releasing import Packages

from s3_log_roller import __version__
from s3_log_roller.cli.parser import command_parser
from s3_log_roller.demo.servers import SeaweedFS, isolated_environment

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

IMAGE = ROOT / "deploy" / "image"
USER = "65532:65532"
TOOLS = ("buildah", "mmdebstrap", "umoci", "unshare")
SETTINGS_OF_PIP = ("/etc/pip.conf", "/etc/xdg/pip", "/etc/ssl/certs")
"""Lent to the build, so that it reaches the registry that this machine uses."""


def example(name: str) -> Any:
    """One of the examples, as data."""
    text = (IMAGE / name).read_text()
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def test_the_image_is_pinned_and_runs_without_privileges() -> None:
    """The base is named by its digest, packages come by hash, the user is a number that is not root's."""
    text = (IMAGE / "Containerfile").read_text()
    assert re.search(r"^ARG BASE=\S+:\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == [USER]
    installs = re.findall(r"pip install (.+?) (?:&&|\n)", text)
    assert len(installs) == 2
    assert all("--require-hashes" in options or "--no-deps --no-index" in options for options in installs)
    assert "ADD" not in re.findall(r"^[A-Z]+", text, re.MULTILINE)


def test_the_context_of_the_build_is_what_it_copies() -> None:
    """No sources, no credentials in an environment file, no history get near the image."""
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    (copied,) = re.findall(r"^COPY (requirements.*) /build/$", (IMAGE / "Containerfile").read_text(), re.MULTILINE)
    assert ignored[0] == "*"
    assert sorted(ignored[1:]) == sorted(f"!{path}" for path in copied.split())


@pytest.mark.parametrize("name", ["cronjob.yaml", "ecs-task.json"])
def test_the_examples_call_roll_and_delete_nothing(name: str) -> None:
    """The command is one that the program takes; deleting is for the reader to switch on."""
    document = example(name)
    if name.endswith(".json"):
        (container,) = document["containerDefinitions"]
        command, is_read_only = container["command"], container["readonlyRootFilesystem"]
        assert container["user"] == USER
    else:
        pod = document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        command, is_read_only = container["args"], container["securityContext"]["readOnlyRootFilesystem"]
        assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == USER
        assert pod["securityContext"]["runAsNonRoot"]
    assert is_read_only
    assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", container["image"])
    assert command[0] == "roll"
    assert not command_parser("roll", {}).parse_args(command[1:]).delete


@pytest.mark.parametrize(
    ("name", "service", "operation"),
    [("ecs-task.json", "ecs", "RegisterTaskDefinition"), ("ecs-schedule.json", "scheduler", "CreateSchedule")],
)
def test_the_examples_for_ecs_are_what_aws_takes(name: str, service: str, operation: str) -> None:
    """Each field exists, has its type and its required parts: by AWS's own description of the call."""
    shape = boto3.Session()._session.get_service_model(service).operation_model(operation).input_shape
    assert shape is not None
    parameters = example(name)
    if service == "scheduler":
        parameters["ClientToken"] = "made up by clients"
    validate_parameters(parameters, shape)


@pytest.mark.slow
def test_the_containerfile_is_clean(publishing: Path) -> None:
    """hadolint has nothing to say."""
    command = [str(publishing / "hadolint"), "--no-color", str(IMAGE / "Containerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_the_example_for_kubernetes_has_its_schema(publishing: Path) -> None:
    """By the schemas of Kubernetes, with no field that there is not."""
    command = [str(publishing / "kubernetes-validate"), "--strict", str(IMAGE / "cronjob.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run(*command: str | Path, env: dict[str, str] | None = None) -> str:
    """What the program prints; it has to succeed."""
    done = subprocess.run(list(map(str, command)), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def file_system(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image, built without a daemon on a Debian of packages alone, and unpacked."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid():
        pytest.skip(f"building an image takes root and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}")
    folder = tmp_path_factory.mktemp("image")
    run("mmdebstrap", "--variant=essential", "--include=python3,python3-venv", "bookworm", folder / "debian.tar")
    (folder / "debian").mkdir()
    run("tar", "-xf", folder / "debian.tar", "-C", folder / "debian")
    run("umoci", "init", "--layout", folder / "base")
    run("umoci", "new", "--image", f"{folder}/base:latest")
    run("umoci", "insert", "--image", f"{folder}/base:latest", folder / "debian", "/")
    context = folder / "context"
    for source, name in ((packages.wheel, f"dist/{packages.wheel.name}"), (ROOT / "requirements/runtime.lock", "")):
        target = context / (name or "requirements/runtime.lock")
        target.parent.mkdir(parents=True)
        shutil.copy2(source, target)
    storage: list[str | Path] = ["--storage-driver", "vfs", "--root", folder / "storage", "--runroot", folder / "run"]
    lent = [option for path in SETTINGS_OF_PIP if Path(path).exists() for option in ("--volume", f"{path}:{path}:ro")]
    build = ["bud", "--isolation", "chroot", "--build-arg", f"BASE=oci:{folder}/base:latest", *lent]
    run("buildah", *storage, *build, "-f", IMAGE / "Containerfile", "-t", f"oci:{folder}/image:latest", context)
    run("umoci", "unpack", "--image", f"{folder}/image:latest", folder / "bundle")
    return folder / "bundle"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_image_rolls_up_as_nobody_on_a_read_only_file_system(
    file_system: Path, seaweedfs: SeaweedFS, s3: S3Client, bucket: str
) -> None:
    """As the examples run it: not as root, and with nothing to write to."""
    process = json.loads((file_system / "config.json").read_text())["process"]
    assert (process["user"]["uid"], process["user"]["gid"]) == (65532, 65532)
    s3.put_object(Bucket=bucket, Key="web/2022-07-01-05-15-43-42117B9A70B0F1BA", Body=b"hello\n")
    root = file_system / "rootfs"
    read_only = f"mount --bind {root} {root} && mount -o remount,ro,bind {root}"
    inside = f'{read_only} && exec chroot --userspec={USER} {root} "$@"'
    image = dict(entry.split("=", 1) for entry in process["env"])
    environment = {name: value for name, value in isolated_environment(seaweedfs).items() if name.startswith("AWS_")}

    def roller(*arguments: str) -> str:
        command = ["unshare", "-m", "sh", "-c", inside, "sh", *process["args"][:1], *arguments]
        return run(*command, env=image | environment)

    assert roller("--version") == f"s3-log-roller {__version__}\n"
    assert json.loads(roller("roll", f"s3://{bucket}/", "--delete", "--json"))["originals_deleted"] == 1
    (rollup,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert rollup["Key"].startswith("web/rollup-2022-07-01-")
