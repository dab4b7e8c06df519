"use strict";
// Sort a table by the column whose head is pressed; a second press turns the order round.
document.querySelectorAll("table.sortable th button").forEach((button) => {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = button.closest("table").tBodies[0];
    const column = head.cellIndex;
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    const key = (row) => {
      const cell = row.cells[column];
      return cell.dataset.sort === undefined ? cell.textContent : Number(cell.dataset.sort);
    };
    const order = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (typeof x === "number" && typeof y === "number") return x - y;
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
      return x.localeCompare(y);
    };
    const rows = Array.from(body.rows).sort((a, b) => (ascending ? order(a, b) : order(b, a)));
    head.parentElement.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...rows);
  });
});
// Before/after: the slider says how much of the upper image is cut away from the left.
document.querySelectorAll("figure.slider").forEach((figure) => {
  const input = figure.querySelector("input");
  const show = () => {
    figure.style.setProperty("--cut", `${100 - input.value}%`);
    input.setAttribute("aria-valuetext", `${input.value} %`);
  };
  input.addEventListener("input", show);
  show();
});
// A printed page shows what is folded away; afterwards it is folded again.
let unfolded = [];
window.addEventListener("beforeprint", () => {
  unfolded = Array.from(document.querySelectorAll("details:not([open])"));
  unfolded.forEach((part) => { part.open = true; });
});
window.addEventListener("afterprint", () => {
  unfolded.forEach((part) => { part.open = false; });
  unfolded = [];
});
