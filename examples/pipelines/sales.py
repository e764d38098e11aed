"""A pipeline of files and tables: reads the tills of several shops, cleans them, joins prices, and writes one report.

It uses the standard library alone. Each file is a branch of the graph, so files are read on all cores. `main` returns
the share of the rows that could be used.
"""

import csv
import json
import random
import tempfile
from pathlib import Path

import weftwork

PRICES = {"tea": 2.0, "bread": 3.0, "wool": 12.0, "loom": 240.0}


def make_files(folder: Path, shops: int, rows: int) -> list[Path]:
    """What the shops sent: a CSV file each, in which some rows are damaged. And a table of prices."""
    (folder / "prices.json").write_text(json.dumps(PRICES))
    draw = random.Random(1)
    paths = [folder / f"shop{shop}.csv" for shop in range(shops)]
    for path in paths:
        with path.open("w", newline="") as file:
            sheet = csv.writer(file)
            sheet.writerow(["month", "item", "count"])
            for _ in range(rows):
                count = draw.choice(["1", "2", "3", "?"]) if draw.random() < 0.1 else str(draw.randint(1, 9))
                sheet.writerow([draw.randint(1, 12), draw.choice(list(PRICES)), count])
    return paths


@weftwork.op
def read(path: str) -> list[dict[str, str]]:
    """The rows of a file."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@weftwork.op(outputs=2)
def clean(rows: list[dict[str, str]]) -> tuple[list[dict[str, str]], int]:
    """The rows whose count is a number, and how many are not."""
    good = [row for row in rows if row["count"].isdigit()]
    return good, len(rows) - len(good)


@weftwork.op
def load(path: str) -> dict[str, float]:
    """What a JSON file holds."""
    return json.loads(Path(path).read_text())


@weftwork.op
def income(rows: list[dict[str, str]], prices: dict[str, float]) -> dict[int, float]:
    """{month: money} of a table of rows."""
    months = dict.fromkeys(range(1, 13), 0.0)
    for row in rows:
        months[int(row["month"])] += int(row["count"]) * prices[row["item"]]
    return months


@weftwork.op
def report(tables: list[dict[int, float]], path: str) -> dict[int, float]:
    """Write the sum of all shops, and return it."""
    total = {month: sum(table[month] for table in tables) for month in tables[0]}
    Path(path).write_text(json.dumps(total, sort_keys=True))
    return total


def main(shops: int = 8, rows: int = 2000) -> float:
    folder = Path(tempfile.mkdtemp())
    cleaned = [clean(read(str(path))) for path in make_files(folder, shops, rows)]
    prices = load(str(folder / "prices.json"))
    total = report([income(good, prices) for good, _ in cleaned], str(folder / "report.json"))
    dropped = sum(bad for _, bad in cleaned)
    with weftwork.Session() as session:
        months, lost = session.run((total, dropped))
    most = max(months.values())
    for month, money in sorted(months.items()):
        print(f"{month:2} {'#' * round(40 * money / most)} {money:,.0f}")
    print(f"{lost} of {shops * rows} rows were damaged; the report is {folder / 'report.json'}")
    return 1 - lost / (shops * rows)


if __name__ == "__main__":
    main()
