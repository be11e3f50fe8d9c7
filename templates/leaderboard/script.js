"use strict";
// Sorting by the buttons in a table's head, and a filter above it. Without this script the tables are plain.

// What a cell is sorted by; null where it has no value. Absent values stand last in both directions.
function keyOf(row, column, numeric) {
  const cell = row.cells[column];
  if (numeric) return "value" in cell.dataset ? Number(cell.dataset.value) : null;
  return cell.querySelector(".absent") ? null : cell.textContent.trim();
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
}

function sortBy(table, head) {
  const before = head.getAttribute("aria-sort");
  const direction = before ? (before === "ascending" ? "descending" : "ascending") : head.dataset.first;
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  const sign = direction === "ascending" ? 1 : -1;
  const keyed = Array.from(body.rows, (row) => [keyOf(row, head.cellIndex, head.dataset.sort === "number"), row]);
  keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
  body.append(...keyed.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, head));
    head.append(button);
  }
}

for (const input of document.querySelectorAll("input[data-filter]")) {
  const rows = Array.from(document.getElementById(input.dataset.filter).tBodies[0].rows);
  const words = rows.map((row) => row.textContent.toLowerCase());
  const status = document.getElementById(input.dataset.filter + "-status");
  const apply = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !wanted.every((word) => words[index].includes(word));
      shown += !row.hidden;
    });
    status.textContent = wanted.length ? `${shown} of ${rows.length} shown` : "";
  };
  input.addEventListener("input", apply);
  input.closest("[hidden]").hidden = false;
  apply(); // a browser may keep what was typed before a reload
}
