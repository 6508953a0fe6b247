// The curves: one chart of one metric, with the chosen runs over each other.

function cssColour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// What a checkpoint is drawn as; the first that fits.
const marks = [
  {name: "alias", style: "rectRot", radius: 8, fits: (each) => each.aliases !== undefined},
  {name: "best", style: "star", radius: 9, fits: (each) => each.flags.includes("best")},
  {name: "superseded or salvaged", style: "crossRot", radius: 5,
   fits: (each) => each.flags.includes("superseded") || each.flags.includes("salvaged")},
  {name: "checkpoint", style: "circle", radius: 5, fits: () => true},
];
function markOf(checkpoint) { return marks.find((mark) => mark.fits(checkpoint)); }

function checkpointText(checkpoint) {
  const names = [...checkpoint.flags, ...(checkpoint.aliases ?? []).map((alias) => "@" + alias)];
  return `checkpoint ${checkpoint.id}` + (names.length === 0 ? "" : `: ${names.join(", ")}`);
}

function pointText(point, metric) {
  const at = `step ${point.step}, epoch ${point.epoch}`;
  if (point.attempt) {
    const from = point.attempt.from;
    return `${point.run.name}: attempt ${point.attempt.number} from checkpoint ${from.id}, ` +
           `which is gone (${at})`;
  }
  const value = point.value === null ? "" : ` ${metric} ${number(point.value)}`;
  const mark = point.checkpoint ? `; ${checkpointText(point.checkpoint)}` : "";
  return `${point.run.name}:${value} (${at})${mark}`;
}

class CurvesSection {
  constructor(section, runs, choice) {
    this.runs = runs;
    this.choice = choice;
    this.names = metricNames(runs);
    this.range = null;  // of x, when zoomed
    this.current = -1;  // the point that the keyboard is at
    fill(section, heading("curves", "Metrics"), this.makeControls(), this.makeChart(),
         this.makeLegend(), this.notes = element("div", {class: "notes"}),
         (this.table = this.makeTable()).element);
    choice.listeners.push(() => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.draw();
  }

  makeControls() {
    const redraw = () => {
      this.range = null;
      this.draw();
    };
    this.metric = element("select", {id: "metric", onchange: redraw},
                          ...this.names.map((name) => element("option", {value: name}, name)));
    this.axis = element("select", {id: "axis", onchange: redraw},
                        element("option", {value: "step"}, "step"),
                        element("option", {value: "epoch"}, "epoch"));
    const box = (id, text, checked) => {
      const made = element("input", {type: "checkbox", id, checked, onchange: () => this.draw()});
      return [made, element("label", {class: "box"}, made, " " + text)];
    };
    const [logarithmic, logarithmicLabel] = box("log", "log scale", false);
    const [checkpoints, checkpointsLabel] = box("marks", "checkpoints", true);
    const [superseded, supersededLabel] = box("left", "superseded", false);
    Object.assign(this, {logarithmic, checkpoints, superseded});
    this.reset = element("button", {type: "button", class: "plain", id: "reset", hidden: true,
                                    onclick: () => this.zoom(null)}, "Reset zoom");
    return element("div", {class: "controls"},
                   element("label", {class: "field"}, "Metric ", this.metric),
                   element("label", {class: "field"}, "Over ", this.axis), logarithmicLabel,
                   checkpointsLabel, supersededLabel, this.reset);
  }

  makeChart() {
    this.canvas = element("canvas", {
      id: "chart", tabindex: 0, role: "img", "aria-describedby": "readout",
      onkeydown: (event) => this.pressKey(event),
    });
    this.selection = element("div", {class: "selection", hidden: true});
    this.readout = element("output", {id: "readout", class: "note", "aria-live": "polite"});
    this.makeZoomable();
    return element("div", {}, element("div", {class: "chart"}, this.canvas, this.selection),
                   this.readout);
  }

  makeLegend() {
    const signs = {alias: "◆", best: "✶", "superseded or salvaged": "✕", checkpoint: "●"};
    const items = marks.map((mark) => element("li", {},
        element("span", {"aria-hidden": "true"}, signs[mark.name] + " "), mark.name));
    items.push(element("li", {}, element("span", {"aria-hidden": "true"}, "△ "),
                       "resumed from a checkpoint that is gone"));
    items.push(element("li", {}, element("span", {"aria-hidden": "true", class: "bad"}, "✕ "),
                       "NaN or infinite"));
    return element("ul", {class: "legend"}, ...items);
  }

  makeTable() {
    const at = (point) => point === null ? "–" : element("span", {}, number(point.value),
        element("span", {class: "dim"}, ` @ ${point.step}`));
    const key = (point) => point === null || typeof point.value === "string" ? null : point.value;
    const curve = (title, pick) => ({title, number: true, key: (one) => key(pick(one)),
                                     cell: (one) => at(pick(one))});
    return new SortedTable("Curves", [
      {title: "Run", header: true, key: (one) => one.run.name,
       cell: (one) => element("span", {class: "name"}, swatch(this.choice, one.run), " ",
                              one.run.name)},
      curve("Last", (one) => one.last),
      curve("Least", (one) => one.extreme((a, b) => a < b)),
      curve("Greatest", (one) => one.extreme((a, b) => a > b)),
      {title: "Points", number: true, key: (one) => one.series?.logged ?? one.points.length,
       cell: (one) => one.series === null ? `${one.points.length} checkpoints` :
           one.series.logged.toLocaleString("en")},
    ]);
  }

  draw() {
    const chosen = this.choice.runs(this.runs);
    this.curves = chosen.map((run) => new Curve(run, this.metric.value, this.axis.value,
                                                this.logarithmic.checked))
        .filter((curve) => !curve.empty);
    this.table.show(this.curves);
    this.current = -1;
    this.chart?.destroy();
    this.chart = new Chart(this.canvas, {
      type: "line",
      data: {datasets: this.curves.flatMap((curve) => this.datasetsOf(curve))},
      options: this.options(),
    });
    this.reset.hidden = this.range === null;
    this.say(chosen);
  }

  say(chosen) {
    const drawn = this.curves.map((curve) => curve.run.name).join(", ");
    this.canvas.setAttribute("aria-label", this.curves.length === 0 ? "no curve" :
        `${this.metric.value} over ${this.axis.value}s of ${drawn}; arrow keys go along the points`);
    const lines = [];
    if (chosen.length === 0) lines.push("Choose runs in the table above.");
    else if (this.curves.length === 0) lines.push("None of the chosen runs has this metric.");
    else if (this.curves.length < chosen.length) {
      lines.push(`${counted(chosen.length - this.curves.length, "chosen run")} without this metric.`);
    }
    const logged = this.sum((curve) => curve.series?.logged ?? 0);
    const shown = this.sum((curve) => curve.series?.shown ?? 0);
    if (shown < logged) {
      lines.push(`${counted(logged, "point")} were logged, ${shown.toLocaleString("en")} are here: ` +
                 "the least and the greatest of neighbours, so that no peak is lost.");
    }
    const nonfinite = this.sum((curve) => curve.nonfinite.length);
    if (nonfinite > 0) lines.push(`${counted(nonfinite, "point")} NaN or infinite: the curve breaks.`);
    const notShown = this.sum((curve) => curve.notShown);
    if (notShown > 0) {
      lines.push(`${counted(notShown, "point")} at or below zero: not on a logarithmic scale.`);
    }
    if (this.curves.some((curve) => curve.fromCheckpoints)) {
      lines.push("Runs that logged no such series are drawn from their checkpoints.");
    }
    this.notes.replaceChildren(...lines.map((line) => element("p", {class: "note"}, line)));
    this.readout.textContent = this.curves.length === 0 ? "" :
        "Drag over the chart to zoom. With the keyboard: arrows, + and −, Escape.";
  }

  sum(count) { return this.curves.reduce((sum, curve) => sum + count(curve), 0); }

  datasetsOf(curve) {
    const place = this.choice.place(curve.run);
    const colour = cssColour(colourOf(place));
    const line = {borderColor: colour, backgroundColor: colour, borderWidth: 2, pointHitRadius: 0,
                  pointRadius: curve.points.length === 1 ? 3 : 0, pointHoverRadius: 4,
                  borderDash: place < colourCount ? [] : [7, 4]};
    const dots = {showLine: false, borderColor: colour, backgroundColor: colour, borderWidth: 2};
    const sets = [];
    if (this.checkpoints.checked) {
      const styles = curve.checkpoints.map((point) => markOf(point.checkpoint));
      sets.push({...dots, data: curve.checkpoints, pointStyle: styles.map((style) => style.style),
                 pointRadius: styles.map((style) => style.radius),
                 pointHoverRadius: styles.map((style) => style.radius + 2),
                 pointBorderColor: colour, pointBackgroundColor: colour});
      sets.push({...dots, data: curve.resumes, pointStyle: "triangle", pointRadius: 7,
                 pointBackgroundColor: "transparent"});
    }
    sets.push({...dots, data: curve.nonfinite, pointStyle: "crossRot", pointRadius: 6,
               borderColor: cssColour("--bad")});
    sets.push({...line, data: curve.points});
    if (this.superseded.checked) {
      sets.push({...line, data: curve.superseded, borderWidth: 1, borderDash: [2, 3]});
    }
    return sets;
  }

  options() {
    const text = cssColour("--dim"), grid = cssColour("--line");
    const axis = (title, type) => ({type, title: {display: true, text: title, color: text},
                                    ticks: {color: text, maxRotation: 0}, grid: {color: grid}});
    const x = axis(this.axis.value, "linear");
    if (this.range !== null) [x.min, x.max] = this.range;
    return {
      animation: false, parsing: false, normalized: true, responsive: true,
      maintainAspectRatio: false, spanGaps: false,
      interaction: {mode: "nearest", axis: "xy", intersect: false},
      scales: {x, y: axis(this.metric.value, this.logarithmic.checked ? "logarithmic" : "linear")},
      plugins: {legend: {display: false}, tooltip: {
        displayColors: false,
        callbacks: {
          title: (items) => items.length === 0 ? "" : items[0].raw.run.name,
          label: (item) => this.tooltipLines(item.raw),
        },
      }},
    };
  }

  tooltipLines(point) {
    const lines = point.value === null ? [] : [`${this.metric.value} ${number(point.value)}`];
    lines.push(`step ${point.step}, epoch ${point.epoch}`);
    if (point.checkpoint) lines.push(checkpointText(point.checkpoint));
    if (point.attempt) {
      lines.push(`attempt ${point.attempt.number} from checkpoint ${point.attempt.from.id}`,
                 "which is gone");
    }
    return lines;
  }

  zoom(range) {
    this.range = range;
    this.draw();
  }

  // A mouse's drag; a finger's scrolls the page.
  makeZoomable() {
    let from = null;
    const at = (event) => event.clientX - this.canvas.getBoundingClientRect().left;
    this.canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = at(event);
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = at(event);
      this.selection.hidden = Math.abs(to - from) < 5;
      this.selection.style.left = Math.min(from, to) + "px";
      this.selection.style.width = Math.abs(to - from) + "px";
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const ends = [from, at(event)].sort((a, b) => a - b);
      from = null;
      this.selection.hidden = true;
      if (ends[1] - ends[0] < 5) return;
      this.zoom(ends.map((pixel) => this.chart.scales.x.getValueForPixel(pixel)));
    });
    this.canvas.addEventListener("dblclick", () => this.zoom(null));
  }

  pressKey(event) {
    const moves = {ArrowRight: 1, ArrowLeft: -1};
    const {min, max} = this.chart.scales.x;
    const quarter = (max - min) / 4;
    if (event.key in moves) this.goTo(this.current + moves[event.key]);
    else if (event.key === "+") this.zoom([min + quarter, max - quarter]);
    else if (event.key === "-") this.zoom([min - 2 * quarter, max + 2 * quarter]);
    else if (event.key === "Escape") this.zoom(null);
    else return;
    event.preventDefault();
  }

  // Along the points of all curves that are in sight, by x.
  goTo(index) {
    const {min, max} = this.chart.scales.x;
    const all = [];
    this.chart.data.datasets.forEach((set, datasetIndex) => set.data.forEach((point, i) => {
      const inSight = point.x >= min && point.x <= max && !Number.isNaN(point.y);
      if (inSight) all.push({datasetIndex, index: i, point});
    }));
    if (all.length === 0) return;
    all.sort((a, b) => a.point.x - b.point.x);
    this.current = (index + all.length) % all.length;
    const active = all[this.current];
    const place = this.chart.getDatasetMeta(active.datasetIndex).data[active.index];
    this.chart.setActiveElements([active]);
    this.chart.tooltip.setActiveElements([active], {x: place.x, y: place.y});
    this.chart.update();
    this.readout.textContent = pointText(active.point, this.metric.value);
  }
}
