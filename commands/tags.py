"""`steward tags PLANT [TAG…]`: the points of a plant by what they are to other systems, Brick and Haystack."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from commands.serving import endpoints
from config.load import load_plant
from config.plant import Point
from config.settings import read_settings

EXAMPLE = "tags config/plants/riverside water pressure"


def add(parser: argparse.ArgumentParser) -> None:
    """Arguments of this command."""
    parser.add_argument("plant", help="folder of the plant")
    parser.add_argument("tag", nargs="*", help="Brick class (Water_Level_Sensor) or Haystack marker (water); a point has them all")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a list: point, brick, haystack (with the marker point)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """0 when there are such points, 1 when there are none; without a tag, those that have any."""
    plant = load_plant(Path(arguments.plant), endpoints=endpoints(read_settings()))
    tagged = [point for point in plant.points.values() if point.spec.tags.brick or point.spec.tags.haystack]  # fmt: skip
    found = [point for point in tagged if point.spec.tags.has(arguments.tag)]
    if arguments.json:
        print(json.dumps([_row(plant.site, point) for point in found], ensure_ascii=False))
    else:
        _print(found)
        print(f"{plant.site}: {len(found)} points; {len(tagged)} of {len(plant.points)} have tags")
    known = {tag for point in tagged for tag in (point.spec.tags.brick, *point.spec.tags.haystack) if tag}  # fmt: skip
    for tag in arguments.tag:
        if tag not in known:
            print(f"steward tags: no point has {tag!r}; there are {', '.join(sorted(known)) or 'none'}", file=sys.stderr)  # fmt: skip
    return 0 if found else 1


def _row(site: str, point: Point) -> dict[str, object]:
    tags = point.spec.tags
    markers = [*tags.haystack, "point"] if tags.haystack else []
    return {"point": f"{site}/{point.id}", "brick": tags.brick, "haystack": markers}


def _print(points: Sequence[Point]) -> None:
    long = max((len(point.id) for point in points), default=0)
    wide = max((len(point.spec.tags.brick) for point in points), default=0)
    for point in points:
        tags = point.spec.tags
        print(f"{point.id:{long}}  {tags.brick:{wide}}  {' '.join(tags.haystack)}".rstrip())
