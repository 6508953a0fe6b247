// Tables whose columns sort when their headings are pressed.

// Text with the numbers in it as numbers: run-9 before run-10, lr0.0005 before lr0.001.
function compareText(a, b) {
  const split = (text) => text.split(/(\d+(?:\.\d+)?)/);  // numbers at the odd places
  const ours = split(a), theirs = split(b);
  for (let i = 0; i < Math.min(ours.length, theirs.length); ++i) {
    const order = i % 2 === 1 ? ours[i] - theirs[i] : ours[i].localeCompare(theirs[i], "en");
    if (order !== 0) return order;
  }
  return ours.length - theirs.length;
}

// Numbers before text, what is missing last in either direction.
function compareKeys(a, b, sign) {
  const missing = (key) => key === null || key === undefined || Number.isNaN(key);
  if (missing(a) || missing(b)) return missing(a) - missing(b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  if (typeof a === "number") return sign * (a - b);
  return sign * compareText(String(a), String(b));
}

// A column: {title, key(row): what it sorts by, cell(row): text or element, number: aligned right,
// header: whether its cells name their row}. `label` is for those who cannot see the table.
class SortedTable {
  constructor(label, columns) {
    this.columns = columns;
    this.sorted = null;
    this.descending = false;
    this.rows = [];
    this.headings = columns.map((column, index) => this.makeHeading(column, index));
    this.body = element("tbody");
    this.element = element(
        "div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label},
        element("table", {}, element("thead", {}, element("tr", {}, ...this.headings)), this.body));
  }

  makeHeading(column, index) {
    const classes = column.number ? "number" : null;
    if (!column.key) return element("th", {scope: "col", class: classes}, column.title);
    const press = element("button", {type: "button", onclick: () => this.press(index)}, column.title,
                          element("span", {class: "arrow", "aria-hidden": "true"}));
    return element("th", {scope: "col", class: classes, "aria-sort": "none"}, press);
  }

  press(index) {
    this.descending = this.sorted === index && !this.descending;
    this.sort(index, this.descending);
  }

  sort(index, descending) {
    this.sorted = index;
    this.descending = descending;
    this.headings.forEach((heading, i) => {
      if (!this.columns[i].key) return;
      const order = descending ? "descending" : "ascending";
      heading.setAttribute("aria-sort", i === index ? order : "none");
    });
    this.draw();
  }

  show(rows) {
    this.rows = rows;
    this.draw();
  }

  draw() {
    const rows = this.ordered = [...this.rows];
    if (this.sorted !== null) {
      const key = this.columns[this.sorted].key;
      const sign = this.descending ? -1 : 1;
      rows.sort((a, b) => compareKeys(key(a), key(b), sign));
    }
    this.body.replaceChildren(...rows.map((row) => element("tr", {}, ...this.columns.map((column) => {
      const attributes = {class: column.number ? "number" : null};
      if (column.header) attributes.scope = "row";
      return element(column.header ? "th" : "td", attributes, column.cell(row));
    }))));
  }
}
