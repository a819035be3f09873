// Tables that a field filters: in every <section class="filterable"> the rows that have all words typed into its field.

for (const section of document.querySelectorAll(".filterable")) {
  const field = section.querySelector("input");
  const found = section.querySelector("output");
  const rows = [...section.querySelectorAll("tbody tr")].map((row) => ({ row, words: plain(row.textContent) }));
  const filter = () => {
    const wanted = plain(field.value).split(/\s+/);
    for (const { row, words } of rows) row.hidden = !wanted.every((word) => words.includes(word));
    const left = rows.filter(({ row }) => !row.hidden).length;
    found.textContent = left < rows.length ? `${left} of ${rows.length}` : "";
  };
  field.addEventListener("input", filter);
  filter(); // browsers keep what was typed when one comes back
}

/** Small letters without accents. */
function plain(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}
