// The Job page: follow an analysis until it ends, cancel it.
import { ask, get, poll, trouble } from "./net.js";
import { data, say, words } from "./words.js";

const at = (id) => document.getElementById(id);
const path = `/v1/analyses/${data.id}`;

function show(job) {
  const step = document.querySelector(`[data-stage="${job.stage}"]`);
  if (step && at("stage").textContent !== step.textContent) at("stage").textContent = step.textContent;
  for (const item of document.querySelectorAll("[data-stage]")) {
    if (item === step) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  at("bar").value = job.progress;
  at("percent").textContent = say("percent", { percent: Math.round(100 * job.progress) });
}

const place = (n) => say(n < 2 ? `ahead_${n}` : "ahead_n", { n });

async function showWait(job) {
  let told = "";
  if (job.state === "queued") {
    const { workers } = await get("/v1/limits");
    told = workers ? place(job.ahead) : words.noworker;
  }
  if (at("ahead").textContent !== told) at("ahead").textContent = told;
}

async function look() {
  const job = await get(path);
  if (job.state === "queued" || job.state === "running") {
    show(job);
    await showWait(job);
    return false;
  }
  // a fresh look at this page says what became of it, or leads on to the result
  if (job.state === "done") location.replace(`/results/${data.id}`);
  else location.reload();
  return true;
}

at("cancel").addEventListener("click", async () => {
  at("cancel").disabled = true;
  at("stage").textContent = words.cancelling;
  try {
    await ask(`${path}/cancel`, { method: "POST" });
  } catch (error) {
    trouble(say("refused", { detail: error.message }));
    at("cancel").disabled = false;
  }
});

poll(look).catch((error) => trouble(say("refused", { detail: error.message })));
