"use strict";
// The table of all taps: of tens of thousands of rows only those in sight are in the document.
(() => {
  const SPARE = 8;
  const { columns, above } = JSON.parse(document.getElementById("rows").textContent);
  const total = columns[0].length, isAbove = new Uint8Array(total);
  for (const index of above) isAbove[index] = 1;
  const [live, view, words, only, count] = ["live", "window", "words", "above", "count"].map((id) => document.getElementById(id));
  const table = view.querySelector("table"), body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const kinds = heads.map((head) => head.className);
  const isNumber = kinds.map((kind) => kind.startsWith("number"));
  const texts = Array.from({ length: total }, (_, i) => [1, 2, 3, 4].map((c) => columns[c][i]).join("\n").toLowerCase());
  const everything = Uint32Array.from({ length: total }, (_, i) => i);
  const keys = new Map();
  let order = everything, shown = everything, sorted = -1, down = false, painted = "", height = 27;

  // What a cell is sorted by: numbers by value, words by how they read; nothing and nan come last either way.
  const keysOf = (column) => {
    if (!keys.has(column)) keys.set(column, isNumber[column] ? numbers(columns[column]) : ranks(columns[column]));
    return keys.get(column);
  };
  const numbers = (cells) => Float64Array.from(cells, (cell) =>
    cell.includes("inf") ? (cell.startsWith("-") ? -Infinity : Infinity) : parseFloat(cell.replace(/^\u2265 |,/g, "")));
  const ranks = (cells) => {
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const rank = new Map([...new Set(cells)].sort(compare).map((cell, index) => [cell, index]));
    return Float64Array.from(cells, (cell) => rank.get(cell));
  };

  const sort = () => {
    if (sorted < 0) { order = everything; return; }
    const key = keysOf(sorted), sign = down ? -1 : 1;
    order = everything.slice().sort((one, other) => {
      const x = key[one], y = key[other];
      if (x === y) return one - other;
      if (x !== x || y !== y) return (x !== x) - (y !== y) || one - other;
      return x < y ? -sign : sign;
    });
  };
  const filter = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = order.filter((index) => (!only.checked || isAbove[index]) && wanted.every((word) => texts[index].includes(word)));
    count.textContent = `${shown.length.toLocaleString("en")} of ${total.toLocaleString("en")} rows`;
    view.scrollTop = 0;
    paint();
  };

  const rowOf = (place) => {
    const index = shown[place], row = document.createElement("tr");
    row.setAttribute("aria-rowindex", place + 2);
    if (isAbove[index]) row.className = "above";
    columns.forEach((cells, column) => {
      let cell = row.insertCell();
      cell.className = kinds[column];
      if (kinds[column] === "name") {
        cell = cell.appendChild(document.createElement("bdi"));
        cell.title = cells[index];
      }
      cell.textContent = cells[index];
    });
    return row;
  };
  const gap = (rows) => {
    const row = document.createElement("tr"), cell = row.insertCell();
    row.setAttribute("aria-hidden", "true");
    cell.className = "gap";
    cell.colSpan = columns.length;
    cell.style.height = `${rows * height}px`;
    return row;
  };
  const paint = () => {
    const first = Math.max(0, Math.floor(view.scrollTop / height) - SPARE);
    const last = Math.min(shown.length, first + Math.ceil(view.clientHeight / height) + 2 * SPARE);
    const now = `${first} ${last} ${sorted} ${down} ${only.checked} ${words.value}`;
    if (now === painted) return;
    painted = now;
    const rows = [];
    for (let place = first; place < last; place++) rows.push(rowOf(place));
    body.replaceChildren(gap(first), ...rows, gap(shown.length - last));
    const real = rows.length ? rows[0].getBoundingClientRect().height : height;
    if (Math.abs(real - height) > 0.01) {  // another font, or zoomed
      height = real;
      painted = "";
      paint();
    }
  };

  // Columns as wide as the widest cell of all rows, so that they stay where they are while rows come and go.
  const widths = () => {
    const group = document.createElement("colgroup");
    columns.forEach((cells, column) => {
      const isName = kinds[column] === "name";
      let longest = 0;
      for (const cell of cells) if (cell.length > longest) longest = cell.length;
      if (kinds[column].endsWith("ratio")) longest += 2;  // the mark
      const wide = Math.max(0.9 * heads[column].textContent.length + 2, isName ? 0.9 * longest : longest) + 1.5;
      group.appendChild(document.createElement("col")).style.width = isName ? `min(${wide}ch, var(--name))` : `${wide}ch`;
    });
    table.prepend(group);
  };

  heads.forEach((head, column) => {
    head.setAttribute("aria-sort", "none");
    head.firstElementChild.addEventListener("click", () => {
      const downFirst = isNumber[column] && column > 0;
      if (sorted !== column) [sorted, down] = [column, downFirst];
      else if (down === downFirst) down = !down;
      else sorted = -1;
      heads.forEach((other, at) => other.setAttribute("aria-sort", at !== sorted ? "none" : down ? "descending" : "ascending"));
      sort();
      filter();
    });
  });
  words.addEventListener("input", filter);
  only.addEventListener("change", filter);
  live.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  view.addEventListener("scroll", paint, { passive: true });
  addEventListener("resize", paint);

  only.parentElement.hidden = above.length === 0;
  live.hidden = false;
  document.documentElement.classList.add("scripted");
  widths();
  filter();
})();
