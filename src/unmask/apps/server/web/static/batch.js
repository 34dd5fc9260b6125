// The Batch page: progress, filter, sort, delete.
import { ask, get, poll, trouble } from "./net.js";
import { data, say } from "./words.js";

const at = (id) => document.getElementById(id);
const path = `/v1/batches/${data.id}`;
const NUMBERS = ["number", "score"];
const ENDED = ["done", "failed", "cancelled", "expired"];
const OPEN = ["queued", "running"];
let order = { key: "number", down: false };

const rows = () => Array.from(at("rows").rows);

function filter() {
  const group = at("group").value;
  const part = at("name").value.toLowerCase();
  let shown = 0;
  for (const row of rows()) {
    const fits = (!group || row.dataset.group === group)
      && row.dataset.name.toLowerCase().includes(part);
    row.hidden = !fits;
    shown += fits;
  }
  at("shown").textContent = say("shown", { n: shown, total: rows().length });
}

function sort() {
  const value = (row) => row.dataset[order.key];
  const compare = NUMBERS.includes(order.key)
    ? (a, b) => Number(value(a)) - Number(value(b))
    : (a, b) => value(a).localeCompare(value(b));
  const sorted = rows().sort((a, b) => (order.down ? -1 : 1) * compare(a, b));
  at("rows").append(...sorted);
  for (const button of document.querySelectorAll("[data-sort]")) {
    const head = button.closest("th");
    if (button.dataset.sort !== order.key) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
  }
}

async function refresh() {
  const page = await (await ask(`/batches/${data.id}/rows`)).text();
  const held = document.activeElement?.closest("#rows a")?.getAttribute("href");
  const made = document.createElement("template");
  made.innerHTML = `<table><tbody>${page}</tbody></table>`;
  at("rows").replaceChildren(...made.content.querySelectorAll("tr"));
  if (held) at("rows").querySelector(`a[href="${held}"]`)?.focus();
  sort();
  filter();
}

async function look() {
  const batch = await get(path);
  const now = ENDED.reduce((sum, state) => sum + (batch[state]), 0);
  const complete = now === batch.jobs;
  if (now !== rows().filter((row) => !OPEN.includes(row.dataset.group)).length) await refresh();
  at("bar").max = Math.max(1, batch.jobs);
  at("bar").value = now;
  at("progress").textContent = complete
    ? say("complete", { total: batch.jobs }) : say("progress", { ended: now, total: batch.jobs });
  at("missing").textContent = complete ? "" : say("missing", { n: batch.jobs - now });
  return complete;
}

for (const button of document.querySelectorAll("[data-sort]")) {
  button.addEventListener("click", () => {
    const key = button.dataset.sort;
    order = { key, down: order.key === key ? !order.down : key === "score" };
    sort();
  });
}
at("filter").addEventListener("input", filter);
at("filter").addEventListener("submit", (event) => event.preventDefault());
at("delete").addEventListener("click", async () => {
  if (!confirm(say("delete_sure"))) return;
  try {
    await ask(path, { method: "DELETE" });
    location.assign("/");
  } catch (error) {
    trouble(say("refused", { detail: error.message }));
  }
});
filter();
poll(look).catch((error) => trouble(say("refused", { detail: error.message })));
