// Making elements, and how numbers, sizes and times look. User text only ever becomes text nodes.

// element("td", {class: "number"}, "text", otherElement, ...): null children are left out.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function fill(section, ...children) {
  section.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  section.hidden = false;
}

function heading(id, text, note = null) {
  return element("div", {class: "heading"}, element("h2", {id: id + "-title"}, text),
                 note === null ? null : element("p", {class: "note"}, note));
}

function counted(count, noun) {
  return count.toLocaleString("en") + " " + noun + (count === 1 ? "" : "s");
}

function size(bytes) {
  if (bytes < 1024) return bytes + " B";
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = -1;
  for (; bytes >= 1024 && unit + 1 < units.length; ++unit) bytes /= 1024;
  return bytes.toFixed(1) + " " + units[unit];
}

// Six significant digits, as ckptool prints them. JSON has NaN and the infinities as strings.
function number(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value);
  return String(Number(value.toPrecision(6)));
}

function time(milliseconds) {
  const at = new Date(milliseconds);
  const two = (part) => String(part).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
         `${two(at.getHours())}:${two(at.getMinutes())}`;
}

function timeElement(milliseconds) {
  const iso = new Date(milliseconds).toISOString();
  return element("time", {datetime: iso, title: iso}, time(milliseconds));
}

function duration(hours) {
  const seconds = Math.round(hours * 3600);
  if (seconds < 60) return (hours * 3600).toFixed(seconds < 10 ? 1 : 0) + " s";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(hours * 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return (hours / 24).toFixed(1) + " days";
}

// A number when the text is one, for sorting.
function sortKey(text) {
  const asNumber = Number(text);
  return text !== "" && Number.isFinite(asNumber) ? asNumber : text;
}

// From rows of [name, value]; the first of equal names.
function valueOf(rows, name) {
  const row = rows.find((each) => each[0] === name);
  return row === undefined ? null : row[1];
}
