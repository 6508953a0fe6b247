// The chosen runs beside each other, the storage, and the aliases.

// All names in the runs' rows, in the order in which they come.
function namesIn(runs, part) {
  const names = new Set();
  for (const run of runs) run[part].forEach(([name]) => names.add(name));
  return [...names].sort(compareText);
}

class CompareSection {
  constructor(section, runs, choice) {
    this.section = section;
    this.runs = runs;
    this.choice = choice;
    this.differencesOnly = element("input", {type: "checkbox", id: "differences",
                                             onchange: () => this.draw()});
    this.place = element("div");
    fill(section, heading("compare", "Side by side"),
         element("div", {class: "controls"},
                 element("label", {class: "box"}, this.differencesOnly, " differences only")),
         this.place);
    choice.listeners.push(() => this.draw());
    this.draw();
  }

  draw() {
    const runs = this.choice.runs(this.runs);
    if (runs.length === 0) {
      this.place.replaceChildren(element("p", {class: "note"}, "Choose runs in the table above."));
      return;
    }
    const head = element("tr", {}, element("th", {scope: "col"}, "Name"), ...runs.map((run) =>
        element("th", {scope: "col"}, swatch(this.choice, run), " ", run.name)));
    const parts = [["parameters", "Parameters"], ["tags", "Tags"], ["notes", "Notes"],
                   ["environment", "Environment"]];
    const bodies = parts.map(([part, title]) => this.bodyOf(runs, part, title))
        .filter((body) => body !== null);
    this.place.replaceChildren(bodies.length === 0 ?
        element("p", {class: "note"}, this.differencesOnly.checked ? "No differences." :
            "These runs have no parameters.") :
        element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Side by side"},
                element("table", {class: "compare"}, element("thead", {}, head), ...bodies)));
  }

  bodyOf(runs, part, title) {
    const rows = [];
    for (const name of namesIn(runs, part)) {
      const values = runs.map((run) => valueOf(run[part], name));
      const differs = values.some((value) => value !== values[0]);
      if (this.differencesOnly.checked && !differs) continue;
      rows.push(element("tr", {class: differs ? "differs" : null},
          element("th", {scope: "row"}, name, !differs ? null :
              element("span", {class: "mark", title: "differs"}, " ≠")),
          ...values.map((value) => element("td", {}, value ?? "–"))));
    }
    if (rows.length === 0) return null;
    const span = runs.length + 1;
    return element("tbody", {}, element("tr", {class: "part"},
        element("th", {colspan: span, scope: "rowgroup"}, element("span", {}, title))), ...rows);
  }
}

// What the files of a run are, as parts of a bar.
const diskParts = [
  {name: "checkpoints", colour: "--series-1", bytes: (disk) => disk.payload},
  {name: "manifests and headers", colour: "--series-3",
   bytes: (disk) => disk.manifests + disk.headers + disk.padding},
  {name: "journals", colour: "--series-5", bytes: (disk) => disk.journals},
  {name: "garbage, freed by prune", colour: "--series-2", bytes: (disk) => disk.garbage},
  {name: "dead, in progress, other", colour: "--dim",
   bytes: (disk) => disk.dead + disk.in_progress + disk.unreadable + disk.other},
];

function bar(disk, most) {
  const parts = diskParts.filter((part) => part.bytes(disk) > 0).map((part) => {
    const piece = element("span", {title: `${part.name}: ${size(part.bytes(disk))}`});
    piece.style.setProperty("--colour", `var(${part.colour})`);
    piece.style.width = 100 * part.bytes(disk) / most + "%";
    return piece;
  });
  return element("span", {class: "bar", "aria-hidden": "true"}, ...parts);
}

function storageText(storage) {
  const {raw, stored, shared, derived, compressed, checkpoints} = storage.needed;
  const part = raw === 0 ? "" : ` (${(100 * stored / raw).toFixed(0)} %)`;
  const rounded = derived === 0 ? "" : `, what is the rounding of others ${size(derived)}`;
  const garbage = storage.disk.garbage === 0 ? "" :
      `; the next prune frees at least ${size(storage.disk.garbage)}`;
  return `${counted(checkpoints, "checkpoint")} of ${size(raw)} in all take ${size(stored)}${part}: ` +
         `sharing saved ${size(shared)}, compression ${size(compressed)}${rounded}. The store has ` +
         `${size(storage.total)} on disk${garbage}.`;
}

function showStorage(section, storage) {
  if (storage === null) return;
  const most = Math.max(1, ...storage.runs.map((run) => run.disk.total));
  const bytes = (title, pick) => ({title, number: true, key: pick, cell: (run) => size(pick(run))});
  const table = new SortedTable("Storage by run", [
    {title: "Run", header: true, key: (run) => run.name,
     cell: (run) => element("span", {class: "name"}, run.name)},
    bytes("On disk", (run) => run.disk.total),
    {title: "", cell: (run) => bar(run.disk, most)},
    {title: "Checkpoints", number: true, key: (run) => run.needed.checkpoints,
     cell: (run) => run.needed.checkpoints},
    bytes("Raw", (run) => run.needed.raw),
    bytes("Shared", (run) => run.needed.shared),
    bytes("Compressed", (run) => run.needed.compressed),
    bytes("Stored", (run) => run.needed.stored),
    bytes("Garbage", (run) => run.disk.garbage),
  ]);
  table.rows = storage.runs;
  table.sort(1, true);
  const legend = element("ul", {class: "legend"}, ...diskParts.map((part) => {
    const sign = element("span", {class: "swatch", "aria-hidden": "true"});
    sign.style.setProperty("--colour", `var(${part.colour})`);
    return element("li", {}, sign, " " + part.name);
  }));
  fill(section, heading("storage", "Storage", storageText(storage)), table.element, legend);
}

function checkpointCell(checkpoint) {
  if (checkpoint === null) return "–";
  if (checkpoint.gone) return element("span", {class: "dim"}, checkpoint.id + " (gone)");
  return `${checkpoint.run}@${checkpoint.id}`;
}

function aliasHistory(changes) {
  const plain = (title, name) => ({title, key: (change) => change[name],
                                   cell: (change) => change[name] || "–"});
  const table = new SortedTable("History of the aliases", [
    {title: "Time", key: (change) => change.time, cell: (change) => timeElement(change.time)},
    plain("Alias", "alias"),
    {title: "Action", key: (change) => change.action,
     cell: (change) => change.action.replace("_", " ")},
    {title: "From", cell: (change) => checkpointCell(change.from)},
    {title: "To", cell: (change) => checkpointCell(change.to)},
    plain("Who", "who"),
    {title: "Metadata", cell: (change) => chips(change.metadata)},
    plain("Note", "note"),
  ]);
  table.show([...changes].reverse());
  return table.element;
}

function showAliases(section, aliases) {
  if (aliases.history.length === 0) return;
  const current = aliases.current.map((change) => element("li", {},
      element("strong", {}, "@" + change.alias), " → ", checkpointCell(change.to),
      element("span", {class: "dim"}, ` since ${time(change.time)}, by ${change.who}`),
      change.note === "" ? null : element("span", {class: "dim"}, ` “${change.note}”`)));
  fill(section, heading("aliases", "Aliases"),
       current.length === 0 ? element("p", {class: "note"}, "None points at anything now.") :
                              element("ul", {class: "aliases"}, ...current),
       element("h3", {}, "History, newest first"), aliasHistory(aliases.history));
}
