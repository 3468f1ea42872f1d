"""Write src/weather/stations.py from stations.csv."""

import csv
from pathlib import Path

with Path("stations.csv").open(encoding="utf-8", newline="") as table:
    stations = {row["name"]: int(row["height"]) for row in csv.DictReader(table)}
text = f'"""Stations, generated from stations.csv."""\n\nSTATIONS = {stations}\n'
Path("src/weather/stations.py").write_text(text, encoding="utf-8")
