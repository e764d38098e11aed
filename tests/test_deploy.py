"""The files of deploy/ are what Ray's launcher and KubeRay take, as far as one machine can tell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.programs import Program

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


def test_the_commands_of_the_page_install_what_runs(tmp_path):
    page = (DEPLOY / "README.md").read_text()
    make, install = re.findall(r"^    python -m (pip (?:wheel|install) .*)$", page, re.MULTILINE)
    assert (make, install) == ("pip wheel --no-deps --wheel-dir dist .", "pip install dist/weftwork-*.whl")
    shutil.copytree(
        DEPLOY.parent, tmp_path / "checkout", symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "dist")
    )
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    place = {"cwd": tmp_path / "checkout", "check": True}
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."], **place)
    (wheel,) = (tmp_path / "checkout" / "dist").glob("weftwork-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(tmp_path / "there"), str(wheel)], **place)
    program = "import weftwork as tf; print(tf.__file__, tf.Session().run(tf.add(1, 2)))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "there")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    path, value = done.stdout.split()
    assert Path(path).is_relative_to(tmp_path / "there"), done.stderr
    assert value == "3"


def test_nobody_is_told_to_install_from_an_index_that_has_it_not():
    places = [DEPLOY, *[DEPLOY.parent / top for top in ("README.md", "graph", "actors", "scheduler", "weftwork")]]
    files = [p for place in places for p in ([place] if place.is_file() else place.rglob("*")) if p.is_file()]
    told = re.compile(r"""pip["']?[ :\[].*weftwork["' )]""")
    texts = {p: p.read_text() for p in files if p.suffix in (".py", ".md", ".yaml")}
    assert {p.name: told.findall(text) for p, text in texts.items() if told.search(text)} == {}


JOINS = Program(
    script="""
import os, socket, subprocess, sys, time
import weftwork as tf

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
ray = os.path.join(os.path.dirname(sys.executable), "ray")
head = [ray, "start", "--head", f"--port={port}", "--num-cpus=1", "--include-dashboard=false", "--block"]
null = subprocess.DEVNULL
process = subprocess.Popen(head, stdout=null, stderr=null, start_new_session=True)
try:
    for _ in range(60):
        try:
            session = tf.Session(f"127.0.0.1:{port}")
            break
        except tf.errors.NotFoundError:
            time.sleep(0.5)
    node = tf.op(num_cpus=1)(lambda: 6 * 7)()
    print([device.name for device in session.list_devices()], session.run(node), flush=True)
    session.close()
finally:
    process.terminate()
    process.wait(30)
"""
)


def test_a_program_joins_a_cluster_that_was_started_by_hand():
    """As the page says, on a free port."""
    done = JOINS.done()
    found = [line for line in done.stdout.splitlines() if line.startswith("['")]
    assert found == ["['/job:localhost/replica:0/task:0/device:CPU:0'] 42"], done.stderr
