"""charts.py FOLDER: the figures of FOLDER/results.json that a reader wants first, as SVG."""
import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from results import Metric, Results, compression, later, number, plain

OURS = "ckpstore"
LIMITS = {"memcpy", "hash"}
PLACES = ("disk", "tmpfs")  # the first that was measured
COLOURS = {OURS: "#1f5fa8", "ckpstore_sync": "#7fa8d4"}
OTHERS, LIMIT = "#b0b7c0", "#e3c27c"


class Panel(NamedTuple):
    title: str
    workload: str
    metric: Metric
    unit: str = "s"
    scale: float = 1.0
    logarithmic: bool = False


class Figure(NamedTuple):
    name: str
    title: str
    panels: list[Panel]


FIGURES = [
    Figure("w1", "GPT-2 124M with AdamW, 1.49 GB: the second save, and loading it", [
        Panel("training waits", "W1", later("stall")),
        Panel("until durable", "W1", later("durable")),
        Panel("load into the trainer's tensors", "W1", plain("restore")),
        Panel("extra memory", "W1", plain("peak_memory"), "GB", 1e-9)]),
    Figure("bytes", "raw bytes / stored bytes, all checkpoints of a workload (more is better)", [
        Panel("dense (W1)", "W1", compression, ""),
        Panel("LoRA (W2)", "W2", compression, ""),
        Panel("embedding table (W3)", "W3", compression, ""),
        Panel("mixed precision (W5)", "W5", compression, ""),
        Panel("real weights (R1)", "R1", compression, ""),
        Panel("real training (R2)", "R2", compression, "")]),
    Figure("w4", "1000 checkpoints of 382 KB, saved and durable (logarithmic)", [
        Panel("each waited for", "W4", plain("one_by_one"), logarithmic=True),
        Panel("queued, one wait", "W4", plain("queued"), logarithmic=True),
        Panel("find the best epoch", "W4", plain("best"), "ms", 1e3, logarithmic=True)]),
]


def colour(peer: str) -> str:
    return LIMIT if peer in LIMITS else COLOURS.get(peer, OTHERS)


def draw_panel(axes, panel: Panel, values: dict[str, list[float]], peers: list[str]) -> None:
    for place, peer in enumerate(peers):
        measured = values.get(peer)
        if not measured:
            continue
        middle = statistics.median(measured)
        axes.barh(place, middle, color=colour(peer), height=0.7)
        axes.plot([min(measured), max(measured)], [place, place], color="#40464d", linewidth=1)
        axes.annotate(f" {number(middle)}", (max(middle, *measured), place), va="center", fontsize=7)
    if panel.logarithmic:
        axes.set_xscale("log")
    axes.set_title(panel.title + (f" [{panel.unit}]" if panel.unit else ""), fontsize=8)
    axes.margins(x=0.25)
    axes.tick_params(labelsize=7, length=0)
    axes.xaxis.set_visible(False)  # every bar carries its value
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def draw(figure: Figure, results: Results, folder: Path) -> None:
    import matplotlib.pyplot as plt
    values: list[tuple[Panel, dict[str, list[float]]]] = []
    places: dict[str, None] = {}
    for panel in figure.panels:
        group = next((group for place in PLACES if (group := results.get(panel.workload, "speed", place))), None)
        if group is not None:
            places[group["place"]] = None
            values.append((panel, {peer: [value * panel.scale for value in group.values(peer, panel.metric).values()]
                                   for peer in group.peers()}))
    if not values:
        return
    peers = list(dict.fromkeys(peer for _, by_peer in values for peer, found in by_peer.items() if found))
    width, height = 1.2 + 1.7 * len(values), 0.8 + 0.2 * len(peers)
    drawing, row = plt.subplots(1, len(values), sharey=True, squeeze=False, figsize=(width, height),
                                layout="constrained")
    for axes, (panel, by_peer) in zip(row[0], values):
        draw_panel(axes, panel, by_peer, peers)
    row[0][0].set_yticks(range(len(peers)), peers)
    row[0][0].invert_yaxis()
    drawing.suptitle(f"{figure.title}; {', '.join(places)}", fontsize=9)
    drawing.savefig(folder / f"{figure.name}.svg", metadata={"Date": None})
    plt.close(drawing)
    print(f"wrote {folder / figure.name}.svg")


def main() -> None:
    folder = Path(sys.argv[1])
    try:
        import matplotlib
    except ImportError:
        print("no charts: matplotlib is not installed")
        return
    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "ckpstore", "font.family": "sans-serif"}
    results = Results(folder / "results.json")
    for figure in FIGURES:
        draw(figure, results, folder)


if __name__ == "__main__":
    main()
