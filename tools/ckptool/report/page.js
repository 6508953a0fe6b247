// Begins: reads the data, and fills the page from the top.

function tile(name, value) {
  return element("div", {class: "tile"}, element("dt", {}, name), element("dd", {}, value));
}

function showTop(top, data) {
  const checkpoints = data.runs.reduce((sum, run) => sum + run.checkpoints.length, 0);
  const running = data.runs.filter((run) => run.status === "in_progress").length;
  const tiles = [tile("Runs", data.runs.length.toLocaleString("en")),
                 tile("Checkpoints", checkpoints.toLocaleString("en"))];
  if (running > 0) tiles.push(tile("In progress", running));
  if (data.storage !== null) tiles.push(tile("On disk", size(data.storage.total)));
  if (data.aliases.current.length > 0) tiles.push(tile("Aliases", data.aliases.current.length));
  document.title = `${data.store} – ckpstore report`;
  fill(top, element("p", {class: "kicker"}, "ckpstore report"), element("h1", {}, data.store),
       element("p", {class: "note"}, "as it was at ", timeElement(data.made),
               `, by ckptool ${data.version}`),
       element("dl", {class: "tiles"}, ...tiles));
}

function showUnread(section, lines) {
  if (lines.length === 0) return;
  fill(section, heading("unread", "What could not be read"),
       element("p", {}, "This is not in the report; ckptool verify says what it is and what to do."),
       element("ul", {}, ...lines.map((line) => element("li", {}, line))));
}

// At first the newest that have something to draw, as many as can be told apart at a glance.
function chooseFirst(runs, choice) {
  const most = 6;
  const drawable = runs.filter((run) => run.series.length > 0 || run.checkpoints.length > 0);
  for (const run of drawable.slice(-most)) choice.set(run, true);
}

function begin() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const section = (id) => document.getElementById(id);
  showTop(section("top"), data);
  showUnread(section("unread"), data.unread);
  if (data.runs.length === 0) {
    fill(section("runs"), heading("runs", "No runs yet"),
         element("p", {}, "This store is empty. When a trainer has saved into it, make the report " +
                          "anew, and its runs, curves and checkpoints are here."));
    return;
  }
  const choice = new Choice();
  chooseFirst(data.runs, choice);
  new RunsSection(section("runs"), data.runs, choice);
  if (metricNames(data.runs).length > 0) new CurvesSection(section("curves"), data.runs, choice);
  new CompareSection(section("compare"), data.runs, choice);
  showStorage(section("storage"), data.storage);
  showAliases(section("aliases"), data.aliases);
}

begin();
