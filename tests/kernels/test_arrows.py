"""The C core has three floors, and no arrow points upwards: kernels, network, training.

An object points at another when it uses a symbol that the other defines. No objects of csrc point
at each other in a circle, and no file includes a header of a floor above its own.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

from tests.helpers.objects import CSRC, symbols

FLOORS = ("kernels", "network", "training")

# From one object to another: the symbols of the second that the first uses.
Arrows = Mapping[str, Mapping[str, Set[str]]]


def find_arrows(defined: Mapping[str, Set[str]], used: Mapping[str, Set[str]]) -> Arrows:
    return {
        user: {
            owner: names & defined[owner]
            for owner in defined
            if owner != user and names & defined[owner]
        }
        for user, names in used.items()
    }


def shortest_circle(arrows: Arrows, start: str) -> list[str] | None:
    """The objects of the shortest way from one back to itself; None if there is none."""
    came_from: dict[str, str] = {}
    reached = [start]
    for node in reached:
        for target in arrows.get(node, ()):
            if target == start:
                way = [node]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if target not in came_from:
                came_from[target] = node
                reached.append(target)
    return None


def describe_circle(arrows: Arrows) -> str:
    """The shortest circle, arrow by arrow, and what is in others; "" if there is none."""
    circles = {start: way for start in arrows if (way := shortest_circle(arrows, start))}
    if not circles:
        return ""
    way = min(circles.values(), key=len)
    steps = zip(way, [*way[1:], way[0]], strict=True)
    lines = [describe_arrow(user, owner, arrows[user][owner]) for user, owner in steps]
    rest = sorted(circles)
    return "\n".join(
        [f"{len(rest)} of {len(arrows)} objects are in circles: {', '.join(rest)}", *lines]
    )


def describe_arrow(user: str, owner: str, names: Set[str]) -> str:
    return f"  {user} uses {', '.join(sorted(names))} of {owner}"


def floor(name: str) -> int:
    return FLOORS.index(name.partition("/")[0])


def arrows_upwards(arrows: Arrows) -> list[str]:
    return [
        describe_arrow(user, owner, names)
        for user, owners in arrows.items()
        for owner, names in owners.items()
        if floor(owner) > floor(user)
    ]


def includes_upwards(csrc: Path) -> Iterator[str]:
    """What files of a floor include from one above it; paths start at the file or at csrc."""
    for path in sorted(p for name in FLOORS for p in (csrc / name).rglob("*.[ch]")):
        own = path.relative_to(csrc).as_posix()
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            for start in (path.parent, csrc) if match else ():
                header = (start / match[1]).resolve()
                if header.is_file() and header.is_relative_to(csrc):
                    name = header.relative_to(csrc).as_posix()
                    if "/" in name and floor(name) > floor(own):
                        yield f"  {own}:{number} includes {name}"
                    break


@pytest.fixture(scope="session")
def arrows(objects) -> Arrows:
    built = {
        source.relative_to(CSRC).with_suffix("").as_posix(): made.result()
        for source, made in objects.items()
    }
    return find_arrows(
        {name: symbols(path, "--defined-only", "--extern-only") for name, path in built.items()},
        {name: symbols(path, "--undefined-only") for name, path in built.items()},
    )


needs_gnu_tools = pytest.mark.skipif(
    sys.platform != "linux", reason="the options of cc and nm are those of ELF systems"
)


def fail_with(findings: str) -> None:
    if findings:
        pytest.fail(f"\n{findings}", pytrace=False)


def test_each_source_is_on_a_floor():
    assert {path.relative_to(CSRC).parts[0] for path in CSRC.rglob("*.c")} == set(FLOORS)


@needs_gnu_tools
def test_objects_are_in_no_circle(arrows):
    fail_with(describe_circle(arrows))


@needs_gnu_tools
def test_no_object_uses_a_floor_above(arrows):
    fail_with("\n".join(arrows_upwards(arrows)))


@needs_gnu_tools
def test_arrows_are_read(arrows):
    # Where nothing is found nothing is wrong; these arrows are there as long as there is a core.
    floors = {(floor(user), floor(owner)) for user in arrows for owner in arrows[user]}
    assert {(1, 0), (2, 0), (2, 1)} <= floors
    assert any(owner.startswith("kernels/kernels_") for owner in arrows["kernels/dispatch"])


def test_no_file_includes_a_floor_above():
    fail_with("\n".join(includes_upwards(CSRC)))


def test_circle_is_found_with_its_symbols():
    defined = {"network/a": {"f"}, "network/b": {"g"}, "training/c": {"h"}, "training/d": {"main"}}
    used = {"network/a": {"g", "malloc"}, "network/b": {"h"}, "training/c": {"f"}}
    arrows = find_arrows(defined, used | {"training/d": {"f", "g", "h"}})
    assert describe_circle(arrows).splitlines() == [
        "3 of 4 objects are in circles: network/a, network/b, training/c",
        "  network/a uses g of network/b",
        "  network/b uses h of training/c",
        "  training/c uses f of network/a",
    ]
    assert arrows_upwards(arrows) == ["  network/b uses h of training/c"]


def test_arrows_without_a_circle_are_fine():
    defined = {"kernels/a": {"f"}, "network/b": {"g"}, "training/c": {"h"}}
    used = {"kernels/a": {"malloc"}, "network/b": {"f"}, "training/c": {"f", "g"}}
    arrows = find_arrows(defined, used)
    assert describe_circle(arrows) == ""
    assert arrows_upwards(arrows) == []


@pytest.mark.parametrize("line", ['#include "network/n.h"', '# include "../network/n.h"'])
def test_include_upwards_is_found(tmp_path, line):
    for name in FLOORS:
        (tmp_path / name).mkdir()
    (tmp_path / "mlp.h").write_text("")
    (tmp_path / "network" / "n.h").write_text('#include "kernels/k.inc.h"\n#include "n.h"\n')
    (tmp_path / "kernels" / "k.inc.h").write_text(f'#include <math.h>\n#include "mlp.h"\n{line}\n')
    assert list(includes_upwards(tmp_path)) == ["  kernels/k.inc.h:3 includes network/n.h"]
