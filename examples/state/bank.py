"""Threads move money between accounts, and some transfers fail halfway. No cent is lost, because runs are atomic.

Prints the balances, whose sum is 1000 at the end as at the beginning.
"""

import random
import threading

import weftwork

ACCOUNTS, THREADS, TRANSFERS = 10, 4, 50


@weftwork.op(dtype=weftwork.int64, shape=[])
def check(balance: int) -> int:
    """The balance, unless it is negative."""
    if balance < 0:
        raise ValueError(f"{-balance} short")
    return balance


class Bank:
    """The graph: a transfer, whose last step checks the remaining balance."""

    def __init__(self) -> None:
        self.balances = weftwork.Variable([1000 // ACCOUNTS] * ACCOUNTS, dtype=weftwork.int64, name="balances")
        self.giver = weftwork.placeholder(weftwork.int32, [], name="giver")
        self.taker = weftwork.placeholder(weftwork.int32, [], name="taker")
        self.money = weftwork.placeholder(weftwork.int64, [], name="money")
        moved = weftwork.scatter_add(self.balances, [self.giver, self.taker], [-self.money, self.money])
        self.transfer = check(moved[self.giver])  # raises after the money has been moved


def work(session: weftwork.Session, bank: Bank, seed: int, refused: list[str]) -> None:
    """Make some transfers. Those that the bank refuses change nothing."""
    draw = random.Random(seed)
    for _ in range(TRANSFERS):
        giver, taker = draw.sample(range(ACCOUNTS), 2)
        try:
            session.run(bank.transfer, {bank.giver: giver, bank.taker: taker, bank.money: draw.randint(1, 120)})
        except weftwork.errors.InvalidArgumentError as error:
            refused.append(str(error.__cause__))


def main() -> float:
    """Make transfers in several threads, and return the sum of all balances."""
    bank = Bank()
    refused: list[str] = []
    with weftwork.Session() as session:
        session.run(weftwork.global_variables_initializer())
        threads = [threading.Thread(target=work, args=(session, bank, seed, refused)) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        balances = session.run(bank.balances)
    print(f"{THREADS * TRANSFERS - len(refused)} transfers done, {len(refused)} refused, the last: {refused[-1]}")
    print(f"balances {balances.tolist()}, together {balances.sum()}")
    return balances.sum()


if __name__ == "__main__":
    main()
