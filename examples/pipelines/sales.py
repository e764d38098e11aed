"""A pipeline of files: read the sales of several shops, drop damaged rows, look up prices, and draw the total.

Each file is a branch of the graph, so the files are read on all cores. Needs only the standard library. Prints a chart
of the income per month, and how many rows were damaged.
"""

import csv
import json
import random
import tempfile
from pathlib import Path

import weftwork

PRICES = {"tea": 2.0, "bread": 3.0, "wool": 12.0, "loom": 240.0}


def make_files(folder: Path, shops: int, rows: int) -> list[Path]:
    """Write a table of prices, and a CSV file for each shop in which some rows are damaged; return the latter."""
    (folder / "prices.json").write_text(json.dumps(PRICES))
    draw = random.Random(1)
    paths = [folder / f"shop{shop}.csv" for shop in range(shops)]
    for path in paths:
        with path.open("w", newline="") as file:
            sheet = csv.writer(file)
            sheet.writerow(["month", "item", "count"])
            for _ in range(rows):
                count = "?" if draw.random() < 0.025 else draw.randint(1, 9)
                sheet.writerow([draw.randint(1, 12), draw.choice(list(PRICES)), count])
    return paths


@weftwork.op
def load(path: str) -> dict[str, float]:
    """The prices."""
    return json.loads(Path(path).read_text())


@weftwork.op(outputs=2)
def read(path: str) -> tuple[list[dict[str, str]], int]:
    """The good rows of a file, and how many others it has."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    good = [row for row in rows if row["count"].isdigit()]
    return good, len(rows) - len(good)


@weftwork.op
def income(rows: list[dict[str, str]], prices: dict[str, float]) -> list[float]:
    """The income of a shop in each month."""
    months = [0.0] * 12
    for row in rows:
        months[int(row["month"]) - 1] += int(row["count"]) * prices[row["item"]]
    return months


@weftwork.op
def total(shops: list[list[float]]) -> list[float]:
    """The income of all shops in each month."""
    return [sum(month) for month in zip(*shops, strict=True)]


def main(shops: int = 8, rows: int = 2000) -> float:
    """Run the pipeline, and return the share of good rows."""
    folder = Path(tempfile.mkdtemp())
    tables = [read(str(path)) for path in make_files(folder, shops, rows)]
    prices = load(str(folder / "prices.json"))
    months = total([income(good, prices) for good, _ in tables])
    damaged = sum(bad for _, bad in tables)
    with weftwork.Session() as session:
        incomes, lost = session.run((months, damaged))
    for month, money in enumerate(incomes, start=1):
        print(f"{month:2} {'#' * round(40 * money / max(incomes))} {money:,.0f}")
    print(f"{lost} of {shops * rows} rows were damaged")
    return 1 - lost / (shops * rows)


if __name__ == "__main__":
    main()
