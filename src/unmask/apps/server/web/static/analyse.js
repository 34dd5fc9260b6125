// The Analyse page: choose or drop files, upload them, go to the analysis or the batch.
import { ask, freshKey, passing, pause, Refused, trouble } from "./net.js";
import { send } from "./upload.js";
import { breakable, data, say, size, words } from "./words.js";

const at = (id) => document.getElementById(id);
const WAITS = [2, 5, 10, 20, 30];
let chosen = [];
let busy = false;

function add(files) {
  if (busy) return;
  const refused = [];
  for (const file of files) {
    const values = { name: file.name, size: size(file.size), limit: size(data.max_bytes) };
    if (file.size === 0) refused.push(say("empty", values));
    else if (file.size > data.max_bytes) refused.push(say("too_large", values));
    else chosen.push({ file, key: freshKey() });
  }
  trouble(refused.join(" ") || null);
  draw();
}

function draw() {
  at("chosen").hidden = chosen.length === 0;
  const total = size(chosen.reduce((sum, { file }) => sum + file.size, 0));
  const name = chosen.length === 1 ? "chosen_one" : "chosen_many";
  at("sum").textContent = say(name, { n: chosen.length, size: total });
  at("list").replaceChildren(...chosen.map(line));
}

function line(entry) {
  const item = document.createElement("li");
  const name = document.createElement("bdi");
  name.append(...breakable(entry.file.name));
  const state = document.createElement("span");
  state.className = "small";
  state.textContent = size(entry.file.size);
  const drop = document.createElement("button");
  drop.type = "button";
  drop.className = "quiet";
  drop.textContent = "×";
  drop.setAttribute("aria-label", say("remove", { name: entry.file.name }));
  drop.addEventListener("click", () => {
    chosen = chosen.filter((other) => other !== entry);
    draw();
    at("files").focus();
  });
  const bar = document.createElement("progress");
  Object.assign(bar, { max: 1, value: 0, hidden: true });
  bar.setAttribute("aria-label", entry.file.name);
  item.append(name, " ", state, " ", bar, drop);
  Object.assign(entry, { item, state, bar, drop });
  return item;
}

/** Upload one file, again where that can help; null where it was refused for good. */
async function upload(entry, batch) {
  const name = entry.file.name;
  entry.bar.hidden = false;
  for (let attempt = 0; ; attempt += 1) {
    try {
      const made = await send(entry.file, {
        key: entry.key,
        batch,
        frames: at("frames").value,
        advance(share) {
          entry.bar.value = share;
          entry.state.textContent = say("uploading", { name, percent: Math.round(100 * share) });
        },
      });
      entry.state.textContent = say("uploaded", { name });
      return made;
    } catch (error) {
      const refused = error instanceof Refused;
      if (!passing(error) || attempt >= 100) {
        entry.state.textContent = say("failed", { name, detail: error.message });
        entry.item.classList.add("failed");
        return null;
      }
      const seconds = error.wait ?? WAITS[Math.min(attempt, WAITS.length - 1)];
      entry.state.textContent = say(refused ? "waiting" : "lost", { name, seconds });
      await pause(seconds);
    }
  }
}

async function one(entry) {
  const made = await upload(entry, null);
  if (made) location.assign(`/jobs/${made.id}`);
  return Boolean(made);
}

async function many(entries) {
  const batch = await (await ask("/v1/batches", { method: "POST" })).json();
  let taken = 0;
  for (const entry of entries) {
    if (await upload(entry, batch.id)) taken += 1;
  }
  if (taken === entries.length) {
    location.assign(`/batches/${batch.id}`);
    return true;
  }
  at("said").textContent = say("partly", { taken, total: entries.length });
  if (taken) {
    const link = document.createElement("a");
    link.href = `/batches/${batch.id}`;
    link.textContent = words.open_batch;
    at("said").append(" ", link);
  }
  return false;
}

async function start(event) {
  event.preventDefault();
  if (busy) return;
  if (chosen.length === 0) {
    trouble(words.none);
    at("files").focus();
    return;
  }
  busy = at("start").disabled = at("files").disabled = true;
  trouble(null);
  for (const { drop } of chosen) drop.hidden = true;
  let left = false;
  try {
    left = chosen.length === 1 ? await one(chosen[0]) : await many(chosen);
  } catch (error) {
    trouble(say("refused", { detail: error.message }));
  }
  if (!left) busy = at("start").disabled = at("files").disabled = false;
  if (!left) chosen = chosen.filter(({ item }) => item.classList.contains("failed"));
}

at("files").addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = "";
});
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  add(event.dataTransfer.files);
});
at("upload").addEventListener("submit", start);
