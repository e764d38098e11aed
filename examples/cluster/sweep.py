"""A parameter sweep on a cluster: an epidemic in sixteen variants, on three machines that this program simulates.

On a real cluster, run it with `--address auto`. Prints a table of the share of people who fall ill.
"""

# Ray's test cluster has few types:
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

import argparse
import random

import ray
from ray.cluster_utils import Cluster

import weftwork

CONTACTS = [1, 2, 3, 4]
CHANCES = [0.1, 0.2, 0.3, 0.4]


@weftwork.op(outputs=2, num_cpus=1)
def epidemic(contacts: int, chance: float, people: int = 3000, days: int = 60) -> tuple[float, str]:
    """The share of people who ever fall ill, and the machine that found out."""
    draw = random.Random(0)
    healthy, ill = people - 10, 10
    for _ in range(days):
        meetings = sum(draw.random() < healthy / people for _ in range(ill * contacts))
        infected = min(healthy, sum(draw.random() < chance for _ in range(meetings)))
        recovered = sum(draw.random() < 0.3 for _ in range(ill))
        healthy, ill = healthy - infected, ill + infected - recovered
    return 1 - healthy / people, ray.get_runtime_context().get_node_id()


def sweep(address: str) -> tuple[dict[tuple[int, float], float], set[str]]:
    """{(contacts, chance): share of ill people} and the machines that took part."""
    variants = [(contacts, chance) for contacts in CONTACTS for chance in CHANCES]
    with weftwork.Graph().as_default():
        results = [epidemic(*variant) for variant in variants]
        with weftwork.Session(address) as session:
            found = session.run(results)
    shares = {variant: share for variant, (share, _) in zip(variants, found, strict=True)}
    return shares, {machine for _, machine in found}


def three_machines() -> Cluster:
    """A cluster on this machine: each of its nodes believes that it is a machine with one CPU."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    return cluster


def main(address: str | None = None) -> float:
    """Run the sweep, and return the share of the variants in which less than half of the people fall ill."""
    cluster = None if address else three_machines()
    shares, machines = sweep(address or str(cluster and cluster.address))
    print("chance  " + "  ".join(f"{contacts} contacts" for contacts in CONTACTS))
    for chance in CHANCES:
        print(f"{chance:6}  " + "  ".join(f"{shares[contacts, chance]:10.0%}" for contacts in CONTACTS))
    print(f"{len(shares)} variants on {len(machines)} machines")
    if cluster:
        ray.shutdown()
        cluster.shutdown()
    return sum(share < 0.5 for share in shares.values()) / len(shares)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", help="of a running cluster, or auto; by default, the program starts one")
    main(parser.parse_args().address)
