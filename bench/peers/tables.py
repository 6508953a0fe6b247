"""tables.py FOLDER: FOLDER/results.json as Markdown, in FOLDER/tables.md."""
import math
import statistics
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import goals
from results import Group, Metric, Results, Row, compression, first, later, number, plain
from series import MOST_STATES, SAVES

OURS = "ckpstore"
SCALE = {"s": 1.0, "ms": 1e3, "MB": 1e-6, "x": 1.0, "": 1.0}
EXACT = ("exact", "restore_exact", "one_exact", "cold_restore_exact")

Column = tuple[str, str, Metric]  # title, unit, value of a row

SAVING: list[Column] = [
    ("stall, first", "s", first("stall")), ("stall, later", "s", later("stall")),
    ("durable, first", "s", first("durable")), ("durable, later", "s", later("durable")),
    ("CPU, later", "s", later("cpu")), ("added, first", "MB", first("added")), ("added, later", "MB", later("added")),
    ("raw/bytes", "x", compression), ("extra memory", "MB", plain("peak_memory"))]
LOADING: list[Column] = [
    ("load, fresh memory", "s", plain("load")), ("load, trainer's tensors", "s", plain("restore")),
    ("the same, cold", "s", plain("cold_restore")), ("one tensor", "ms", plain("one"))]
MANY: list[Column] = [
    ("one by one", "s", plain("one_by_one")), ("stall p50", "ms", plain("one_by_one_stall")),
    ("queued", "s", plain("queued")), ("stall p50, queued", "ms", plain("stall")), ("bytes", "MB", plain("bytes")),
    ("files", "", plain("files")), ("best epoch", "ms", plain("best")), ("again", "ms", plain("best_again")),
    ("index rebuilt", "ms", plain("rebuild"))]


def cell(group: Group, peer: str, column: Column) -> str:
    _, unit, metric = column
    values = [value * SCALE[unit] for value in group.values(peer, metric).values()]
    if not values:
        return "-"
    low, high = number(min(values)), number(max(values))
    return number(statistics.median(values)) + (f" ({low}-{high})" if low != high else "")


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    header = list(header)
    return ["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
            *("| " + " | ".join(row) + " |" for row in rows), ""]


def titled(column: Column) -> str:
    return f"{column[0]}, {column[1]}" if column[1] not in ("", "x") else column[0]


def exact(rows: list[Row]) -> str:
    answers = [row[key] for row in rows for key in (*EXACT, "best_exact", "rebuild_exact") if key in row]
    return "-" if not answers else "yes" if all(answers) else "**no**"


def failures(group: Group) -> list[str]:
    lines = []
    for row in group["rows"]:
        lines += [f"{row['peer']}: {key.replace('_', ' ')}: {value}" for key, value in row.items()
                  if key.endswith("error")]
    return [f"- {line}" for line in dict.fromkeys(lines)]


def absolute(group: Group, columns: list[Column]) -> list[str]:
    columns = [column for column in columns if any(group.values(peer, column[2]) for peer in group.peers())]
    rows = [[peer, *(cell(group, peer, column) for column in columns), exact(group.of(peer))]
            for peer in group.peers()]
    rows = [row for row in rows if any(entry != "-" for entry in row[1:])]
    return markdown(["system", *map(titled, columns), "exact"], rows)


def relative(group: Group, columns: list[Column]) -> list[str]:
    """Ours as a part of the others', in the same rounds."""
    columns = [column for column in columns if group.values(OURS, column[2])]

    def quotient(peer: str, metric: Metric) -> str:
        value = group.ratio(OURS, metric, peer)
        return "-" if value is None else number(value)
    rows = [[peer, *(quotient(peer, column[2]) for column in columns)] for peer in group.peers() if peer != OURS]
    rows = [row for row in rows if any(entry != "-" for entry in row[1:])]
    return markdown([f"{OURS} /", *(column[0] for column in columns)], rows)


def conditions(group: Group) -> str:
    load = group["load"]
    return (f"{group['place']} ({group['file_system']}), {group['started']}, load average {min(load)} to {max(load)}, "
            f"ckpstore {group['machine']['ckpstore']}")


def speed(group: Group) -> list[str]:
    columns = [MANY] if group["workload"] == "W4" else [SAVING, LOADING]
    lines = []
    for part in columns:
        lines += absolute(group, part)
    lines += relative(group, [column for part in columns for column in part])
    return lines


def series(group: Group) -> list[str]:
    """A long run of saves: the first, and the others in ten parts."""
    lines = []
    for row in group["rows"]:
        if "series" not in row or len(row["series"]["added"]) < 2:
            continue
        saves, count = row["series"], len(row["series"]["added"])
        size = math.ceil((count - 1) / 10)
        parts = [range(1), *(range(start, min(start + size, count)) for start in range(1, count, size))]
        if row["last"] < SAVES - 1:
            lines += [f"{row['peer']} was stopped after {row['last'] + 1} saves: the store had grown to "
                      f"{MOST_STATES} full states.", ""]

        def middle(key: str, part: range, scale: float) -> str:
            return number(statistics.median(saves[key][i] for i in part) * scale)
        lines += markdown(
            [f"{row['peer']}, saves", "added, MB", "the largest, MB", "stall, ms", "durable, ms"],
            [[f"{part.start + 1}-{part.stop}", middle("added", part, 1e-6),
              number(max(saves["added"][i] for i in part) * 1e-6), middle("stall", part, 1e3),
              middle("durable", part, 1e3)] for part in parts])
    return lines + absolute(group, [("load of the last, trainer's tensors", "s", plain("restore")),
                                    ("bytes", "MB", plain("bytes"))])


def integrity(group: Group) -> list[str]:
    outcomes: dict[str, None] = {}
    for row in group["rows"]:
        outcomes |= dict.fromkeys(key for key in row if key not in ("peer", "round", "error", "died"))
    return markdown(["system", *outcomes],
                    [[row["peer"], *(str(row.get(key, "-")) for key in outcomes)] for row in group["rows"]])


TITLES = {
    "series": "Many saves of an embedding table of which 1 % changes",
    "flips": "One bit flipped, 20 times, then a load",
    "kills": "SIGKILL at 8 moments while a checkpoint is overwritten (a store: while one is added)",
    "torn": "Every tensor changed as soon as save() has returned: how many come back changed"}


def section(group: Group) -> list[str]:
    test, workload = group["test"], group["workload"]
    title = f"{workload}, {group['place']}" if test == "speed" else f"{TITLES[test]} ({workload})"
    render: Callable[[Group], list[str]] = {"speed": speed, "series": series}.get(test, integrity)
    notes = failures(group)
    return [f"## {title}", "", conditions(group), "", *render(group), *notes, *([""] if notes else [])]


def document(results: Results) -> str:
    lines = ["# Side by side with other checkpoint systems", "",
             "Written by `bench/peers/run.sh`; [bench/README.md](../README.md) says how to read it.",
             "Medians of the rounds, with their smallest and largest value.", ""]
    machines = {(key, value): None for group in results.groups.values() for key, value in group["machine"].items()
                if key != "ckpstore"}
    lines += [f"- {key}: {value}" for key, value in machines]
    absent = {f"- {peer} is left out: {reason}": None for group in results.groups.values()
              for peer, reason in group["absent"].items()}
    lines += [*absent, "", "## Goals", "", *goals.table(results)]
    for group in results.groups.values():
        lines += section(group)
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "tables.md").write_text(document(Results(folder / "results.json")), encoding="utf-8")
    print(f"wrote {folder / 'tables.md'}")


if __name__ == "__main__":
    main()
