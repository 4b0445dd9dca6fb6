// a click on a column's name sorts a table by it: largest first, then smallest; empty cells stay at the end
for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
    const direction = header.getAttribute("aria-sort") === "descending" ? 1 : -1;
    headers.forEach(other => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? "";
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      return direction * (x - y || (isNaN(x - y) ? x.localeCompare(y) : 0));
    };
    const body = table.tBodies[0];
    body.append(...[...body.rows].sort(compare));
  }));
}
