"""The files of deploy/ are what Ray's launcher and KubeRay take, as far as one machine can tell."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"


def test_the_launcher_s_file_is_valid_for_ray():
    from ray.autoscaler._private.util import prepare_config, validate_config

    content = yaml.safe_load((DEPLOY / "ray-cluster.yaml").read_text())
    validate_config(prepare_config(content))
    assert any("weftwork" in command for command in content["setup_commands"])


def test_the_kubernetes_file_is_a_ray_cluster_with_one_image():
    content = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())
    assert (content["apiVersion"], content["kind"]) == ("ray.io/v1", "RayCluster")
    groups = [content["spec"]["headGroupSpec"], *content["spec"]["workerGroupSpecs"]]
    images = {c["image"] for group in groups for c in group["template"]["spec"]["containers"]}
    assert len(images) == 1


def test_the_page_names_the_files_that_are_there():
    page = (DEPLOY / "README.md").read_text()
    for name in ("ray-cluster.yaml", "kuberay.yaml"):
        assert f"({name})" in page
        assert (DEPLOY / name).exists()


@pytest.fixture
def started():
    """A cluster started as the page says, on a free port; the commands' environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ray = str(Path(sys.executable).parent / "ray")
    head = [ray, "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"]
    environment = {**os.environ, "PYTHONPATH": str(DEPLOY.parent), "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(
        head, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    yield port, environment
    process.terminate()
    process.wait(30)


def test_a_program_joins_a_cluster_that_was_started_by_hand(started):
    port, environment = started
    program = f"""
import time, weftwork as tf
for _ in range(60):
    try:
        session = tf.Session("127.0.0.1:{port}")
        break
    except tf.errors.NotFoundError:
        time.sleep(0.5)
node = tf.op(num_cpus=1)(lambda: 6 * 7)()
print([device.name for device in session.list_devices()], session.run(node))
session.close()
"""
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "['/job:localhost/replica:0/task:0/device:CPU:0'] 42", done.stderr
