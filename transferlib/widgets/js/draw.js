// What the book's explorers are made with: controls, axes and curves in SVG, drawn anew at the width that there is.

const COLOUR = family => `var(--${family.replace("+", "plus")}, #009e73)`; // of a kind of one's own what is left
const DASH = family => (family.endsWith("+") ? "6 4" : "");
const MARK = {
  base: "M0-7 2-2 7-2 3 1 4.5 6 0 3-4.5 6-3 1-7-2-2-2Z",
  BnB: "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0Z",
  "BnB+": "M-4-4H4V4H-4Z",
  AnB: "M0-5.6 5.6 0 0 5.6-5.6 0Z",
  "AnB+": "M0-5.5 5.2 4H-5.2Z",
  RnB: "M-5-3-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0Z",
};
const signed = (value, digits = 1) => {
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "" : value < 0 ? "−" : "+") + text;
};

function add(parent, name, attributes = {}, ...content) {
  const drawn = name === "svg" || (parent instanceof SVGElement && parent.tagName !== "foreignObject");
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== "") made.setAttribute(key, value);
  made.append(...content);
  parent.append(made);
  return made;
}

// --- controls: native ones, which pointer, touch and keyboard work alike ---

let groups = 0;

function choose(form, name, options, chosen, tell) {
  const set = add(form, "fieldset"), group = `choice-${(groups += 1)}-${Math.random().toString(36).slice(2)}`;
  add(set, "legend", {}, name);
  for (const option of options) {
    const label = add(set, "label");
    const radio = add(label, "input", { type: "radio", name: group, value: option });
    radio.checked = option === chosen;
    radio.addEventListener("change", () => tell(option));
    label.append(` ${option}`);
  }
}

function slide(form, name, words, at, tell, low = 0) {
  const label = add(add(form, "div", { class: "slider" }), "label"), said = document.createElement("b");
  label.append(`${name}: `, said);
  const range = add(label, "input", { type: "range", min: low, max: low + words.length - 1, step: 1 });
  const show = () => {
    said.textContent = words[range.value - low];
    range.setAttribute("aria-valuetext", words[range.value - low]);
  };
  range.value = at;
  range.addEventListener("input", () => { show(); tell(Number(range.value)); });
  show();
  return { set(value) { range.value = value; show(); tell(Number(range.value)); } };
}

// --- axes ---

function ticks([low, high], wanted = 5) {
  const raw = (high - low) / wanted, ten = 10 ** Math.floor(Math.log10(raw));
  const step = ten * ([1, 2, 5, 10].find(k => k * ten >= raw) ?? 10), first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step);
}

function plane(svg, { top = 10, width, height, x, y, at, xlabel, ylabel, digits = 0 }) {
  const left = 46, right = 16, bottom = 40;
  const X = v => left + ((v - x[0]) / (x[1] - x[0])) * (width - left - right);
  const Y = v => top + ((y[1] - v) / (y[1] - y[0])) * (height - top - bottom);
  for (const v of ticks(y)) {
    add(svg, "line", { x1: left, x2: width - right, y1: Y(v), y2: Y(v), stroke: "var(--rule)" });
    add(svg, "text", { x: left - 6, y: Y(v) + 4, "text-anchor": "end" }, v < 0 ? `−${(-v).toFixed(digits)}` : v.toFixed(digits));
  }
  for (const v of at ?? ticks(x)) add(svg, "text", { x: X(v), y: height - bottom + 16, "text-anchor": "middle" }, `${v}`);
  add(svg, "text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, xlabel);
  add(svg, "text", { transform: `translate(11 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, ylabel);
  return { X, Y, left, right: width - right, top, bottom: height - bottom };
}

function level(svg, on, y, words = "", side = "start") {
  add(svg, "line", { x1: on.left, x2: on.right, y1: on.Y(y), y2: on.Y(y), stroke: "var(--base)", "stroke-dasharray": "2 3" });
  const x = side === "start" ? on.left + 4 : on.right;
  if (words) add(svg, "text", { x, y: on.Y(y) - 9, "text-anchor": side }, words);
}

// --- what was measured ---

function curve(svg, on, points, family, { faint = false, bars = !faint, marks = !faint } = {}) {
  const group = add(svg, "g", { class: faint ? "faint" : "chosen", "data-family": family, opacity: faint ? 0.45 : 1 });
  const path = points.map(([x, y], i) => `${i ? "L" : "M"}${on.X(x).toFixed(1)} ${on.Y(y).toFixed(1)}`).join("");
  add(group, "path", { d: path, fill: "none", stroke: COLOUR(family), "stroke-width": faint ? 1.3 : 2.2, "stroke-dasharray": DASH(family) });
  for (const [x, y, low, high] of points) {
    if (bars && low != null) bar(group, on, x, low, high, COLOUR(family));
    if (marks) mark(group, on, x, y, family);
  }
}

function mark(svg, on, x, y, family, scale = 1) {
  add(svg, "path", { d: MARK[family] ?? MARK.BnB, transform: `translate(${on.X(x)} ${on.Y(y)}) scale(${scale})`, fill: COLOUR(family) });
}

function bar(svg, on, x, low, high, colour, width = 1.4) {
  const at = on.X(x), ends = `M${at - 4} ${on.Y(low)}h8M${at - 4} ${on.Y(high)}h8M${at} ${on.Y(low)}V${on.Y(high)}`;
  add(svg, "path", { d: ends, stroke: colour, fill: "none", "stroke-width": width });
}

function reach(points, extra = []) {
  const all = [...points.flatMap(([, y, low, high]) => [y, low ?? y, high ?? y]), ...extra];
  const low = Math.min(...all), high = Math.max(...all), room = 0.07 * (high - low || 1);
  return [low - room, high + room];
}

// --- a drawing of its own: the figure that is still a picture becomes one that can be taken in hand ---

function explorer(figure, css, make) {
  if (!document.getElementById("explorer-style")) add(document.head, "style", { id: "explorer-style" }, css);
  const data = JSON.parse(figure.querySelector("script.data").textContent);
  const form = add(figure, "form", { autocomplete: "off" });
  form.addEventListener("submit", event => event.preventDefault());
  const svg = add(figure, "svg", { role: "group", "aria-label": `${data.title}; in words below` });
  const words = add(figure, "p", { "aria-live": "polite" });
  const view = make(data, form, draw, svg, figure);
  function draw() {
    const width = Math.max(260, Math.min(760, figure.clientWidth || 720));
    svg.replaceChildren();
    const height = view.draw(svg, width);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const said = view.words();
    if (words.textContent !== said) words.textContent = said;
  }
  figure.classList.add("live");
  if (view.all) listed(figure, view.all());
  draw();
  let before = figure.clientWidth;
  new ResizeObserver(() => { if (figure.clientWidth !== before) { before = figure.clientWidth; draw(); } }).observe(figure);
}

function listed(figure, all) {
  const details = add(figure, "details"), list = document.createElement("dl");
  add(details, "summary", {}, `All ${all.length} in words`);
  for (const [name, text] of all) { add(list, "dt", {}, name); add(list, "dd", {}, text); }
  details.append(list);
}

// Follow a pointer that is pressed on the drawing: where it is, in the drawing's own pixels.
function follow(svg, target, moved) {
  const at = event => {
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    moved((event.clientX - box.left) * scale, (event.clientY - box.top) * scale);
  };
  target.addEventListener("pointerdown", event => {
    const pull = moving => at(moving), end = () => removeEventListener("pointermove", pull);
    at(event);
    event.preventDefault();
    addEventListener("pointermove", pull);
    addEventListener("pointerup", end, { once: true });
    addEventListener("pointercancel", end, { once: true });
  });
}
