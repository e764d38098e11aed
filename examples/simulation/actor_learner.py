"""Asynchronous actor-learners: threads explore a grid, and learn the shortest path from a table that they share.

This is Q-learning (Watkins 1989) with several learners (Mnih et al. 2016). The threads use one session, in which each
update is atomic. Prints the length of the path, which is 8.
"""

import threading

import numpy as np

import weftwork as tf

SIZE, LEARNERS = 5, 4
MOVES = [(0, 1), (0, -1), (1, 0), (-1, 0)]
GOAL = SIZE * SIZE - 1


def walk(place: int, move: int) -> tuple[int, float]:
    """The place after a move, and the reward: 1 at the goal, otherwise a small penalty."""
    row, column = (min(max(at + step, 0), SIZE - 1) for at, step in zip(divmod(place, SIZE), MOVES[move], strict=True))
    after = row * SIZE + column
    return after, 1.0 if after == GOAL else -0.01


class Learner:
    """The graph: the values of all moves at a place, and an update of one of the values."""

    def __init__(self) -> None:
        self.table = tf.Variable(tf.zeros([SIZE * SIZE, 4]), name="table")
        self.episodes = tf.Variable(0, name="episodes", trainable=False)
        self.place = tf.placeholder(tf.int32, [], name="place")
        self.move = tf.placeholder(tf.int32, [], name="move")
        self.after = tf.placeholder(tf.int32, [], name="after")
        self.reward = tf.placeholder(tf.float32, [], name="reward")
        self.values = tf.gather(self.table, self.place)
        best = tf.reduce_max(tf.gather(self.table, self.after))
        target = self.reward + 0.9 * tf.where_v2(tf.equal(self.after, GOAL), 0.0, best)
        error = target - self.values[self.move]
        self.update = tf.scatter_nd_add(self.table, [[self.place, self.move]], [0.5 * error])
        self.count = tf.assign_add(self.episodes, 1)


def learn(session: tf.Session, learner: Learner, seed: int, episodes: int) -> None:
    """Walk, and learn from each step."""
    rng = np.random.RandomState(seed)
    while session.run(learner.count) <= episodes:
        place = rng.randint(GOAL)
        for _ in range(50):
            values = session.run(learner.values, {learner.place: place})
            move = rng.randint(4) if rng.uniform() < 0.3 else int(values.argmax())
            after, reward = walk(place, move)
            feed = {learner.place: place, learner.move: move, learner.after: after, learner.reward: reward}
            session.run(learner.update, feed)
            place = after
            if place == GOAL:
                break


def main(episodes: int = 300) -> float:
    """Learn, and return the length of the learned path from one corner to the other."""
    learner = Learner()
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        coordinator = tf.train.Coordinator()
        threads = [threading.Thread(target=learn, args=(session, learner, seed, episodes)) for seed in range(LEARNERS)]
        for thread in threads:
            thread.start()
        coordinator.join(threads)
        table = session.run(learner.table)
    place, steps = 0, 0
    while place != GOAL and steps < 50:
        place, _ = walk(place, table[place].argmax())
        steps += 1
    print(f"{steps} steps from corner to corner")
    return steps


if __name__ == "__main__":
    main()
