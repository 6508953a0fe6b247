// The table of runs: what is filtered, and which runs are chosen for the curves and the comparison.

const statuses = {
  in_progress: "in progress",
  completed: "completed",
  failed: "failed",
  interrupted: "interrupted",
};

// Which runs are chosen, each with a place among the colours that it keeps while it is.
class Choice {
  constructor() {
    this.places = new Map();
    this.listeners = [];
  }

  has(run) { return this.places.has(run); }
  place(run) { return this.places.get(run); }
  runs(all) { return all.filter((run) => this.has(run)); }

  // Does not tell the listeners.
  set(run, chosen) {
    if (!chosen) this.places.delete(run);
    if (!chosen || this.has(run)) return;
    const taken = new Set(this.places.values());
    let free = 0;
    while (taken.has(free)) ++free;
    this.places.set(run, free);
  }

  tell() { this.listeners.forEach((listener) => listener()); }
}

const colourCount = 8;
function colourOf(place) { return `--series-${place % colourCount + 1}`; }

function swatch(choice, run) {
  const place = choice.place(run);
  if (place === undefined) return element("span", {class: "swatch"});
  const made = element("span", {class: place < colourCount ? "swatch" : "swatch hatched"});
  made.style.setProperty("--colour", `var(${colourOf(place)})`);
  return made;
}

function statusBadge(status) {
  return element("span", {class: "status " + status}, statuses[status] ?? status);
}

function chips(rows) {
  if (rows.length === 0) return "–";
  return element("span", {class: "chips"}, ...rows.map(
      ([name, value]) => element("span", {class: "chip"}, value === "" ? name : `${name}: ${value}`)));
}

// The parameters that tell these runs apart; of a single run all.
function tellingParameters(runs) {
  const values = new Map();
  for (const run of runs) {
    for (const [name, value] of run.parameters) {
      if (!values.has(name)) values.set(name, []);
      values.get(name).push(value);
    }
  }
  const tells = ([name, all]) => runs.length === 1 || all.length < runs.length ||
                                 all.some((value) => value !== all[0]);
  return [...values].filter(tells).map(([name]) => name);
}

function bestCell(run) {
  if (run.best === null) return "–";
  return element("span", {title: `epoch ${run.best.epoch}, step ${run.best.step}`},
                 element("span", {class: "dim"}, run.best_metric + " "), number(run.best.value));
}

// Follows the choice by itself: drawing the table anew would take the keyboard's focus away.
function chooseBox(run, choice) {
  const box = element("input", {
    type: "checkbox",
    "aria-label": `choose ${run.name}`,
    onchange: () => {
      choice.set(run, box.checked);
      choice.tell();
    },
  });
  const label = element("label", {class: "choose"}, box, swatch(choice, run));
  const follow = () => {
    box.checked = choice.has(run);
    label.lastChild.replaceWith(swatch(choice, run));
  };
  choice.listeners.push(follow);
  follow();
  return label;
}

function runColumns(runs, choice) {
  const most = 8;  // columns of parameters; all of them are in the comparison
  const boxes = new Map(runs.map((run) => [run, chooseBox(run, choice)]));
  const choose = (run) => boxes.get(run);
  const name = (run) => element("span", {}, element("span", {class: "name"}, run.name),
      run.experiment === "" ? null : element("div", {class: "dim"}, run.experiment));
  const columns = [
    {title: "Chosen", cell: choose},
    {title: "Run", key: (run) => run.name, cell: name, header: true},
    {title: "Status", key: (run) => run.status, cell: (run) => statusBadge(run.status)},
    {title: "Best", key: (run) => run.best?.value, cell: bestCell, number: true},
  ];
  for (const parameter of tellingParameters(runs).slice(0, most)) {
    const value = (run) => valueOf(run.parameters, parameter);
    columns.push({
      title: parameter,
      key: (run) => value(run) === null ? null : sortKey(value(run)),
      cell: (run) => value(run) ?? "–",
      number: runs.every((run) => value(run) === null || typeof sortKey(value(run)) === "number"),
    });
  }
  columns.push(
    {title: "Started", key: (run) => run.started, cell: (run) => timeElement(run.started)},
    {title: "Duration", key: (run) => run.hours, cell: (run) => duration(run.hours), number: true},
    {title: "Attempts", key: (run) => run.attempts.length, cell: (run) => run.attempts.length,
     number: true},
    {title: "Checkpoints", key: (run) => run.checkpoints.length,
     cell: (run) => run.checkpoints.length, number: true},
    {title: "Size", key: (run) => run.size, cell: (run) => size(run.size), number: true});
  if (runs.some((run) => run.tags.length > 0)) {
    columns.push({title: "Tags", key: (run) => run.tags.join(" "), cell: (run) => chips(run.tags)});
  }
  return columns;
}

// What the filter looks through: "lr=0.001" finds a parameter, "team: vision" a tag.
function searchText(run) {
  const pairs = (rows) => rows.flatMap(([name, value]) => [`${name}=${value}`, `${name}: ${value}`]);
  return [run.name, run.id, run.experiment, statuses[run.status], ...pairs(run.parameters),
          ...pairs(run.tags)].join("\n").toLowerCase();
}

class RunsSection {
  constructor(section, runs, choice) {
    this.runs = runs;
    this.choice = choice;
    this.texts = new Map(runs.map((run) => [run, searchText(run)]));
    this.hiddenStatuses = new Set();
    const columns = runColumns(runs, choice);
    this.table = new SortedTable("Runs", columns);
    this.words = element("input", {
      type: "search", id: "filter", placeholder: "name, tag or lr=0.001", autocomplete: "off",
      spellcheck: "false", oninput: () => this.filter(),
    });
    this.count = element("output", {class: "note", id: "run-count", for: "filter"});
    const button = (text, press) => element("button", {type: "button", class: "plain", onclick: press},
                                            text);
    fill(section, heading("runs", "Runs"),
         element("div", {class: "controls"},
                 element("label", {class: "field grow"}, "Filter ", this.words),
                 this.statusBoxes(), this.count),
         this.table.element,
         element("div", {class: "controls"},
                 button("Choose those shown", () => this.chooseOnly(this.table.ordered)),
                 button("Choose none", () => this.chooseOnly([]))));
    this.table.sort(columns.findIndex((column) => column.title === "Started"), true);
    this.filter();
  }

  statusBoxes() {
    const present = Object.keys(statuses).filter((status) =>
        this.runs.some((run) => run.status === status));
    const box = (status) => element("label", {class: "status " + status}, element("input", {
      type: "checkbox", checked: true, value: status,
      onchange: (event) => {
        if (event.target.checked) this.hiddenStatuses.delete(status);
        else this.hiddenStatuses.add(status);
        this.filter();
      },
    }), ` ${statuses[status]} ${this.runs.filter((run) => run.status === status).length}`);
    return element("fieldset", {class: "statuses"}, element("legend", {class: "unseen"}, "Status"),
                   ...present.map(box));
  }

  filter() {
    const words = this.words.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const shown = this.runs.filter((run) => !this.hiddenStatuses.has(run.status) &&
                                           words.every((word) => this.texts.get(run).includes(word)));
    this.table.show(shown);
    this.count.textContent = shown.length === this.runs.length ?
        counted(this.runs.length, "run") :
        `${shown.length} of ${counted(this.runs.length, "run")}`;
  }

  // More than some curves cannot be told apart, and would make the page slow.
  chooseOnly(runs) {
    const wanted = runs.slice(0, 3 * colourCount);
    for (const run of this.runs) this.choice.set(run, wanted.includes(run));
    this.choice.tell();
  }
}
