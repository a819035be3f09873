// Tables that a click on a heading sorts: every <table class="sortable">, by the data-value of its cells; by size where
// the heading says data-sort="number".

const alphabet = new Intl.Collator("en", { numeric: true });

for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const isDescending = heading.ariaSort === "ascending";
      for (const other of headings) other.ariaSort = null;
      heading.ariaSort = isDescending ? "descending" : "ascending";
      const compare = heading.dataset.sort === "number" ? (a, b) => a - b : alphabet.compare;
      sortRows(table.tBodies[0], column, (a, b) => (isDescending ? compare(b, a) : compare(a, b)));
    });
  });
}

/** What has no value stands last, whichever way the others are sorted. */
function sortRows(body, column, compare) {
  const rows = [...body.rows].map((row) => ({ row, value: row.cells[column].dataset.value }));
  const filled = rows.filter(({ value }) => value !== "").sort((a, b) => compare(a.value, b.value));
  const empty = rows.filter(({ value }) => value === "");
  body.append(...[...filled, ...empty].map(({ row }) => row));
}
