"use strict";

const INK = {
  target: "var(--target)", vector: "var(--vector)", control: "var(--control)", donor: "var(--donor)",
};
const SYMBOL = { target: "times", vector: "circle", control: "triangle", donor: "square" };
const charts = JSON.parse(document.getElementById("data").textContent);

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const round = (value) => String(Number(value.toPrecision(3))).replace("-", "−");
const signed = (value) => (value > 0 ? "+" : "") + round(value);
const STYLE = { fontSize: "13px", background: "transparent" };
const between = ({ low, high }, show = round) => `${show(low)} to ${show(high)}`;
const lowest = (chart) =>
  Math.min(0, ...chart.map((d) => d.estimate.low));

function describe(title, d, show = round) {
  return [title, `${show(d.estimate.value)} (${between(d.estimate, show)})`].join("\n");
}

/* Every drawing function returns SVG elements for one width. */

function drawScale(chart, width) {
  const all = [...chart.curve, ...chart.reported, ...chart.controls];
  const scales = all.map((d) => d.scale);
  const wide = width > 560;
  const differs = chart.curve.filter((d) => d.effective !== null);
  const bounds = { x: "scale", y1: (d) => d.estimate.low, y2: (d) => d.estimate.high };
  const value = { x: "scale", y: (d) => d.estimate.value };
  const title = (what) => (d) =>
    describe(`${what}, scale ${round(d.scale)}`, d)
    + (d.effective === null ? "" : `\neffective scale ${d.effective.toFixed(2)}`) + `\nn = ${d.n}`;
  return [Plot.plot({
    width, height: wide ? 420 : 340, marginRight: wide ? 110 : 84, marginTop: differs.length ? 44 : 24,
    style: STYLE, marginBottom: 46,
    x: { label: "scale", ticks: [...new Set(scales)].sort((a, b) => a - b), tickFormat: (d) => round(d),
         labelAnchor: "center", labelArrow: "none", labelOffset: 40, domain: [Math.min(0, ...scales), Math.max(...scales)] },
    y: { label: chart.unit, grid: true, domain: [lowest(all), chart.top], labelArrow: "none" },
    marks: [
      differs.length ? Plot.axisX(differs.map((d) => d.scale), {
        anchor: "top", label: "effective scale", labelAnchor: "center", labelArrow: "none",
        tickFormat: (scale) => differs.find((d) => d.scale === scale).effective.toFixed(2),
      }) : null,
      Plot.areaY(chart.controls, { ...bounds, fill: INK.control, fillOpacity: 0.25 }),
      Plot.line(chart.controls, { ...value, stroke: INK.control, strokeDasharray: "2 3" }),
      Plot.areaY(chart.curve, { ...bounds, fill: INK.vector, fillOpacity: 0.2 }),
      Plot.ruleY(chart.lines.filter((d) => d.family !== "control"), {
        y: (d) => d.estimate.value, stroke: (d) => INK[d.family], strokeWidth: 1.5,
        strokeDasharray: "6 4",
      }),
      Plot.text(chart.lines, {
        y: "at", text: "label", frameAnchor: "right", textAnchor: "start", dx: 6,
        fill: (d) => INK[d.family],
      }),
      Plot.line(chart.curve, { ...value, stroke: INK.vector, strokeWidth: 2 }),
      Plot.dot(chart.curve, { ...value, fill: INK.vector, r: 4, title: title("choosing items"), tip: true }),
      Plot.ruleX(chart.reported, { ...bounds, stroke: INK.vector, strokeWidth: 2 }),
      Plot.dot(chart.reported, {
        ...value, symbol: "diamond", r: 7, fill: "var(--paper)", stroke: INK.vector, strokeWidth: 2.5,
        title: title("reported items"), tip: true,
      }),
    ],
  })];
}

/* On a narrow page each label has a line of its own above its marks, where no rule crosses it. */
function drawForest(chart, width) {
  const narrow = width < 620;
  const rows = chart.rows.map((row, index) => ({ ...row, index: `${index}`, above: `${index} label` }));
  const lines = rows.flatMap((d) => (narrow ? [d.above, d.index] : [d.index]));
  const sizes = narrow ? { marginLeft: 12, height: 19 * lines.length + 66 }
    : { marginLeft: 240, height: 24 * lines.length + 66 };
  return [Plot.plot({
    width, ...sizes, marginRight: 20,
    style: STYLE, marginBottom: 46,
    x: { label: chart.unit, grid: !narrow, nice: true, labelAnchor: "center", labelArrow: "none", labelOffset: 40, tickFormat: (d) => signed(d) },
    y: { type: "band", label: null, domain: lines, padding: 0, axis: null },
    symbol: { type: "identity" },
    marks: [
      narrow
        ? Plot.text(rows, { y: "above", text: "label", frameAnchor: "left", fill: "var(--ink)" })
        : Plot.axisY({ tickFormat: (index) => rows[index].label, tickSize: 0, label: null }),
      Plot.tickX(rows, { y: "index", x: 0, stroke: "var(--ink)" }),
      Plot.ruleY(rows, {
        y: "index", x1: (d) => d.estimate.low, x2: (d) => d.estimate.high,
        stroke: (d) => INK[d.family], strokeWidth: 2,
      }),
      Plot.dot(rows, {
        y: "index", x: (d) => d.estimate.value, symbol: (d) => SYMBOL[d.family], r: 5,
        stroke: (d) => INK[d.family], strokeWidth: 2,
        fill: (d) => (d.significant ? INK[d.family] : "var(--paper)"),
        title: (d) => `${describe(d.label, d, signed)}\nadjusted ${d.p}`, tip: true,
      }),
    ],
  })];
}

function drawRobust(chart, width) {
  const narrow = width < 620;
  const kinds = [...new Set(chart.rows.map((d) => d.items))];
  const states = [...new Map(chart.rows.map((d) => [d.label, d])).values()];
  const at = (d) => (states.findIndex((s) => s.label === d.label) - (states.length - 1) / 2) * 12;
  const marks = [];
  for (const state of states) {
    const rows = chart.rows.filter((d) => d.label === state.label);
    const options = { y: "items", dy: at(state) };
    marks.push(
      Plot.ruleY(rows, {
        ...options, x1: (d) => d.estimate.low, x2: (d) => d.estimate.high, stroke: INK[state.family],
        strokeWidth: 2,
      }),
      Plot.dot(rows, {
        ...options, x: (d) => d.estimate.value, symbol: SYMBOL[state.family], r: 5,
        fill: state.family === "target" ? "none" : INK[state.family], stroke: INK[state.family],
        strokeWidth: 2, title: (d) => `${describe(`${d.label}, ${d.items}`, d)}\nn = ${d.n}`, tip: true,
      }),
    );
  }
  const plot = Plot.plot({
    width, height: 60 * kinds.length + 66, marginLeft: narrow ? 78 : 110, marginRight: 20,
    style: STYLE, marginBottom: 46,
    x: { label: chart.unit, grid: true, domain: [lowest(chart.rows), chart.top], labelAnchor: "center",
         labelArrow: "none", labelOffset: 40 },
    y: { label: null, domain: kinds, tickSize: 0 },
    symbol: { type: "identity" },
    marks,
  });
  const keys = element("p", { className: "keys" });
  for (const state of states) {
    const mark = Plot.plot({
      width: 14, height: 14, margin: 0, axis: null, symbol: { type: "identity" },
      marks: [Plot.dot([state], {
        frameAnchor: "middle", symbol: SYMBOL[state.family], r: 4.5, stroke: INK[state.family],
        strokeWidth: 2, fill: state.family === "target" ? "none" : INK[state.family],
      })],
    });
    mark.setAttribute("aria-hidden", "true");
    keys.append(element("span", {}, mark, state.label));
  }
  return [keys, plot];
}

/* Colours are mixed from the page's own, so that light and dark follow the reader's choice. */
const shade = (share) => `color-mix(in oklab, var(--vector) ${(100 * share).toFixed(1)}%, var(--panel))`;

function colourKey(low, high, scale) {
  const middle = scale.invert(0.5);
  const key = element("div", { className: "colours" },
    ...[low, middle, high].map((value) => element("span", { textContent: round(value) })));
  key.setAttribute("aria-hidden", "true");
  return key;
}

function drawHeat(chart, width) {
  const every = Math.ceil((chart.layers.length * 28) / Math.max(width - 220, 100));
  return chart.panels.flatMap((panel) => {
    const cells = panel.kinds.flatMap((kind, row) => chart.layers.map((layer, column) => (
      { kind, layer, value: panel.values[row][column] })));
    const measured = (d) => d.value !== null && (!panel.log || d.value > 0);
    const seen = cells.filter(measured);
    const [low, high] = d3.extent(seen, (d) => d.value);
    const scale = (panel.log ? d3.scaleLog() : d3.scaleLinear()).domain([low, high]);
    const share = (value) => (low < high ? scale(value) : 1);
    const plot = Plot.plot({
      width, height: 22 * panel.kinds.length + 66, marginLeft: 178, marginRight: 4,
      style: STYLE, marginBottom: 46,
      x: { label: "layer", labelAnchor: "center", labelArrow: "none", labelOffset: 40,
           domain: chart.layers, padding: 0, tickSize: 0,
           ticks: chart.layers.filter((_, i) => i % every === 0) },
      y: { label: null, domain: panel.kinds, padding: 0, tickSize: 0 },
      color: { type: "identity" },
      marks: [
        Plot.cell(cells.filter((d) => !measured(d)), { x: "layer", y: "kind", fill: "none", stroke: "var(--line)" }),
        Plot.cell(seen, {
          x: "layer", y: "kind", fill: (d) => shade(share(d.value)), stroke: "var(--paper)",
          title: (d) => `${d.kind}, layer ${d.layer}\n${Number(d.value.toPrecision(3))}`, tip: true,
        }),
      ],
    });
    const key = low < high ? [colourKey(low, high, scale)] : [];
    return [element("h3", { textContent: panel.title }), ...key, plot];
  });
}

const DRAW = {
  ScaleChart: drawScale, ForestChart: drawForest, RobustChart: drawRobust, HeatMap: drawHeat,
};

function draw(slot) {
  const width = Math.floor(slot.getBoundingClientRect().width);
  if (!width || slot.drawnAt === width) return;
  slot.drawnAt = width;
  const chart = charts[Number(slot.dataset.chart)];
  const parts = DRAW[chart.kind](chart, width);
  for (const part of parts.filter((p) => p instanceof SVGElement && !p.ariaHidden)) {
    // Plot labels its groups ("dot", "rule"); the figure is one image to a screen reader.
    for (const group of part.querySelectorAll("[aria-label]")) group.removeAttribute("aria-label");
    part.setAttribute("role", "img");
    part.setAttribute("aria-label", slot.dataset.label);
  }
  slot.replaceChildren(...parts);
}

// Drawn in the next frame: a change of size while sizes are observed is an error.
const watcher = new ResizeObserver((entries) =>
  requestAnimationFrame(() => entries.forEach((entry) => draw(entry.target))));
for (const slot of document.querySelectorAll("[data-chart]")) watcher.observe(slot);

/* Sorting: up, down, and back to the plan's order; within groups, whose first row stays on top. */

function sort(table, column, direction) {
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => {
    const [left, right] = [value(a), value(b)];
    if (left === "" || right === "") return (left === "") - (right === "");
    return (Number(left) - Number(right)) * (direction === "descending" ? -1 : 1);
  };
  const plan = (a, b) => a.cells[0].dataset.value - b.cells[0].dataset.value;
  const named = (a, b) => a.cells[0].textContent.localeCompare(b.cells[0].textContent)
    * (direction === "descending" ? -1 : 1);
  const order = direction === "none" ? plan : column === 0 ? named : compare;
  for (const body of table.tBodies) body.append(...[...body.rows].slice(1).sort(order));
}

for (const table of document.querySelectorAll("table.conditions")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const order = column === 0 ? ["none", "ascending", "descending"] : ["none", "descending", "ascending"];
    const next = order[(order.indexOf(head.ariaSort) + 1) % order.length];
    for (const other of heads) other.ariaSort = "none";
    head.ariaSort = next;
    sort(table, column, next);
  }));
}

/* The item browser. What models wrote only ever becomes text nodes. */

const PAGE = 5;

async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("packed").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function side(title, text, read, right) {
  const output = element("pre", { textContent: text || "(nothing)" });
  output.tabIndex = 0;
  output.ariaLabel = title;
  output.role = "group";
  const parts = [element("h4", { textContent: title }), output];
  if (read) parts.push(element("small", { textContent: `read as: ${read}` }));
  return element("div", { className: right ? "right" : "wrong" }, ...parts);
}

/* An item's code: what was made of it, and whether it is right before and after. */
const OUTCOMES = [["broken", true, false], ["fixed", false, true], ["unchanged", true, true], ["unchanged", false, false]];
const outcome = ([code]) => OUTCOMES[code][0];
const words = ({ texts }, item) => [...item.slice(2, 5), item[6]].map((index) => texts[index]).join("\n").toLowerCase();
const address = (condition, name) => `#item=${[condition.task, condition.condition, name].map(encodeURIComponent).join("/")}`;

function article({ texts }, condition, item) {
  const [code, name, question, answer, before, beforeRead, after, afterRead] = item;
  const [, wasRight, isRight] = OUTCOMES[code];
  const link = element("a", { href: address(condition, texts[name]), textContent: texts[name] });
  return element("article", { className: "item" },
    element("h3", {}, link, ` · ${condition.condition} · ${outcome(item)}`),
    element("pre", { className: "question", textContent: texts[question] }),
    element("div", { className: "sides" },
      side(condition.baseline, texts[before], texts[beforeRead], wasRight),
      side(condition.condition, texts[after], texts[afterRead], isRight)),
    element("details", {}, element("summary", { textContent: "Reference answer" }),
      element("pre", { textContent: texts[answer] })));
}

function browse(found) {
  const form = document.getElementById("filters");
  const { task, condition, outcome: kind, text } = form.elements;
  const buttons = [document.getElementById("previous"), document.getElementById("next")];
  const list = document.getElementById("list");
  let page = 0;

  const options = (select, names) =>
    select.replaceChildren(...names.map((name) => element("option", { value: name, textContent: name })));
  options(task, [...new Set(found.conditions.map((c) => c.task))]);
  const chosen = () => found.conditions.find((c) => c.task === task.value && c.condition === condition.value);

  function conditions() {
    const of = found.conditions.filter((c) => c.task === task.value);
    options(condition, of.map((c) => c.condition));
    // Results of earlier versions do not say which items were compared.
    kind.querySelector("[value=unchanged]").hidden = of.some((c) => c.unchanged === undefined);
    const vector = of.find((c) => / \+ .* vector$/.test(c.condition));
    if (vector) condition.value = vector.condition;
  }

  const isOf = (item) => (kind.value ? outcome(item) === kind.value : outcome(item) !== "unchanged");

  function wanted() {
    const sought = text.value.toLowerCase();
    return (chosen()?.items ?? []).filter((item) =>
      isOf(item) && (!sought || words(found, item).includes(sought)));
  }

  function show() {
    const of = chosen();
    const items = wanted();
    const total = !of ? 0 : kind.value ? of[kind.value] : of.fixed + of.broken;
    const kept = of ? of.items.filter(isOf).length : 0;
    const pages = Math.max(1, Math.ceil(items.length / PAGE));
    page = Math.max(0, Math.min(page, pages - 1));
    const told = [`${total} ${kind.value || "changed"} items`];
    if (kept < total) told.push(`${kept} of them are kept here`);
    if (text.value) told.push(`${items.length} with this text`);
    document.getElementById("count").textContent = `${told.join(", ")}; page ${page + 1} of ${pages}`;
    list.replaceChildren(...items.slice(page * PAGE, (page + 1) * PAGE).map((item) => article(found, of, item)));
    buttons[0].disabled = page === 0;
    buttons[1].disabled = page === pages - 1;
  }

  /* The address of one item: show its page, and the item marked. */
  function follow() {
    if (!location.hash.startsWith("#item=")) return;
    const [ofTask, ofCondition, name] = location.hash.slice(6).split("/").map(decodeURIComponent);
    task.value = ofTask;
    conditions();
    condition.value = ofCondition;
    text.value = "";
    const named = (item) => found.texts[item[1]] === name;
    const item = chosen()?.items.find(named);
    kind.value = item && outcome(item) === "unchanged" ? "unchanged" : "";
    const at = wanted().findIndex(named);
    page = Math.floor(Math.max(0, at) / PAGE);
    show();
    const linked = list.children[at % PAGE];
    linked?.classList.add("linked");
    linked?.scrollIntoView();
  }

  const restart = () => { page = 0; show(); };
  task.addEventListener("change", () => { conditions(); restart(); });
  for (const input of [condition, kind]) input.addEventListener("change", restart);
  text.addEventListener("input", restart);
  form.addEventListener("submit", (event) => event.preventDefault());
  buttons[0].addEventListener("click", () => { page -= 1; show(); });
  buttons[1].addEventListener("click", () => { page += 1; show(); });
  addEventListener("hashchange", follow);
  conditions();
  show();
  follow();
}

unpack().then(browse);
