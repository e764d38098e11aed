"""A training loop while Ray loses requests and replies of its own: prints what was expected and what came out."""

from __future__ import annotations

import json
import os
import sys

os.environ["RAY_testing_rpc_failure"] = json.dumps(
    {
        "CoreWorkerService.grpc_client.PushTask": {
            "num_failures": int(sys.argv[1]),
            "req_failure_prob": 15,
            "resp_failure_prob": 15,
            "in_flight_failure_prob": 0,
        }
    }
)

import weftwork as tf
from tests.chaos.training import Training


def main(steps: int) -> dict:
    """Run the loop with everything in the actor, then as costs say."""
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    seen = {}
    for placement in ("actor", "auto"):
        training = Training(tf.ConfigProto(placement=placement))
        with training.session:
            for step in range(1, steps + 1):
                training.run(step)
            training.verify()
        seen[placement] = training.failed
    return seen


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[2]))))
