"""A training loop while Ray loses requests and replies of its own: prints how many messages were lost."""

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
os.environ["RAY_timeout_ms_task_wait_for_death_info"] = "100"  # how long Ray waits for news of whom it lost

import weftwork as tf
from tests.chaos.training import Training
from tests.warm import forked_workers
from weftwork.scheduler.machines import backend


def main(steps: int) -> dict:
    """Run the loop with everything in the actor and as costs say, in turns, so that both meet failures."""
    import ray

    lost, real = [], backend.result

    def counting(handle):
        try:
            return real(handle)
        except backend.WorkerLost as error:
            lost.append(error)
            raise

    backend.result = counting
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    trainings = {placement: Training(tf.ConfigProto(placement=placement)) for placement in ("actor", "auto")}
    for step in range(1, steps + 1):
        for training in trainings.values():
            training.run(step)
    for training in trainings.values():
        training.verify()
        training.session.close()
    return {"lost": len(lost), "failed": [training.failed for training in trainings.values()]}


if __name__ == "__main__":
    with forked_workers():
        print(json.dumps(main(int(sys.argv[2]))))
